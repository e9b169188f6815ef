"""Latents with labels: of a model's conditions, of the pictures it was trained on, or as a classifier sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.data.conditions import parse_conditions
from genart_jax.data.source import Split, open_source
from genart_jax.runtime import compiler
from genart_jax.runtime.packaged import place
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import load
from genart_jax.types import State, to_float
from genart_jax.use.latent.space import Space

_TOGETHER = 64


class Labelled(NamedTuple):
    """Latents, and whether each has a label.

    Attributes:
      values: (n, length), of one layer where each has its own.
      labels: bool (n,).
      what: what the labels are of, in the plural.
    """

    values: Array
    labels: Array
    what: str


def labelled(
    space: Space, word: str, num: int = 2000, seed: int = 0, given: Mapping[str, int] | None = None
) -> Labelled:
    """Latents labelled by a word.

    RUN=CLASS is a class of a classifier, which looks at pictures of drawn latents. NAME=CLASS is a class of the data:
    where the model encodes, of training pictures that are encoded; in w, of the condition that w was mapped of.

    Args:
      space: whose latents.
      word: the label.
      num: how many latents.
      seed: of the draw.
      given: conditions of drawn latents, class by name; those that are left out are drawn as well.

    Raises:
      UserError: an unknown word, or a condition that the latents do not hold.
    """
    name, _, value = word.rpartition("=")
    if not name or not value:
        raise UserError(f"{word!r}: write NAME=CLASS for a condition, or RUN=CLASS for a classifier's class")
    if (place(name) / "config.json").is_file():
        return _seen(space, name, value, num, seed, given)
    uses, saved = space.model.algorithm.uses, space.saved
    if "encode" in uses and space.name == "z":
        return _encoded(space, name, word, num, seed)
    if name not in dict(space.model.algorithm.batch_spec.conditions):
        there = ", ".join(saved.data["class_names"]) or "none"
        raise UserError(
            f"{word}: {name!r} is no condition of this model ({there}), and no folder of a classifier's run"
        )
    if space.name == "z":
        raise UserError(
            f"{word}: {saved.run.name} is given its conditions beside z, so no direction of z is theirs; choose them"
            f" with --condition {word}, or name a classifier's run: RUN=CLASS"
        )
    wanted = parse_conditions([word], saved.data["class_names"])[name]
    halves = [{name: wanted}, None]  # drawn as they are, a rare class would be in too few
    parts = [space.core(num // 2, seed + i, half)[1:] for i, half in enumerate(halves)]
    labels = np.concatenate([condition[name] == wanted for _, condition in parts])
    return Labelled(np.concatenate([values for values, _ in parts]), labels, "latents")


def _seen(space: Space, run: str, value: str, num: int, seed: int, given: Mapping[str, int] | None) -> Labelled:
    """Drawn latents, labelled by what a classifier sees in their pictures."""
    model = load(run)
    algorithm, state = model
    use = algorithm.use("predict", f"{run}, a run of {model.config.name},")
    label, _ = algorithm.batch_spec.only_condition(f"{run}={value}")
    wanted = parse_conditions([f"{label}={value}"], model.class_names)[label]
    shape = algorithm.batch_spec.image_shape
    codes = space.draw([(seed, i) for i in range(num)], given)
    pictures = space.show(codes)
    if pictures.ndim != 4 or pictures.shape[-1] != shape[-1]:
        raise UserError(f"{run} classifies pictures of {shape}, these are {pictures.shape[1:]}")

    def predict(state: State, images: jax.Array) -> jax.Array:
        x = to_float(images)
        if x.shape[1:] != shape:
            x = jnp.clip(jax.image.resize(x, (len(x), *shape), "cubic", antialias=True), -1.0, 1.0)
        return jnp.argmax(use.function(state, x), axis=-1)

    compiled = compiler.jit(predict)
    values = codes.values[:, 0] if space.layers else codes.values
    found = [np.asarray(compiled(state, part))[:size] for part, size in _parts(pictures)]
    return Labelled(values, np.concatenate(found) == wanted, f"pictures, as {run} sees them,")


def _encoded(space: Space, name: str, word: str, num: int, seed: int) -> Labelled:
    """Training pictures, encoded, with the classes that the data gives them."""
    saved = space.saved
    source = open_source(saved.run.data)
    names = {key: tuple(value) for key, value in source.class_names.items()}
    if name not in names:
        there = ", ".join(names) or "none"
        raise UserError(f"{word}: {name!r} is no label of {saved.run.data.source} ({there}), and no classifier's run")
    wanted = parse_conditions([word], names)[name]
    chosen = np.sort(np.random.default_rng(seed).permutation(source.train.size)[:num])
    images, classes = _read(source.train, chosen, [*names])
    if images.shape[1:] != space.model.algorithm.batch_spec.image_shape:
        raise UserError(f"{saved.run.data.source} has pictures of {images.shape[1:]} now, other than in this run")
    told = {key: classes[key] for key, _ in space.model.algorithm.batch_spec.conditions}
    known = np.all([value >= 0 for value in [classes[name], *told.values()]], axis=0)
    values = encode(space, images[known], {key: value[known] for key, value in told.items()}, seed)
    return Labelled(values, classes[name][known] == wanted, "encoded training pictures")


def encode(space: Space, images: Array, condition: Mapping[str, Array], seed: int = 0) -> Array:
    """uint8 pictures (n, ...) with their conditions -> latents (n, length)."""
    use = space.model.algorithm.use("encode", space.saved.run.name).function
    compiled = compiler.jit(lambda state, x, key, told: use(state, to_float(x), key, told or None))
    out = []
    for n, (part, size) in enumerate(_parts(images)):
        told = {name: _parts(value)[n][0] for name, value in condition.items()}
        key = jax.random.fold_in(jax.random.key(seed), n)
        out.append(np.asarray(compiled(space.state, part, key, told))[:size])
    return np.concatenate(out)


def _parts(values: Array) -> list[tuple[Array, int]]:
    """Pieces of one length, the last filled up, with how many of each are real."""
    starts = range(0, len(values), _TOGETHER)
    pieces = [values[start : start + _TOGETHER] for start in starts]
    return [(np.pad(p, [(0, _TOGETHER - len(p)), *[(0, 0)] * (p.ndim - 1)], mode="edge"), len(p)) for p in pieces]


def _read(split: Split, chosen: Array, names: list[str]) -> tuple[Array, dict[str, Array]]:
    """Pictures and classes of some examples."""
    if split.read is None:
        return split.arrays["image"][chosen], {name: split.arrays[name][chosen] for name in names}
    rows = [split.read(int(i)) for i in chosen]
    images = np.stack([row["image"] for row in rows])
    return images, {name: np.array([row[name] for row in rows], np.int32) for name in names}


def class_mean(space: Space, word: str, num: int = 2000, seed: int = 0) -> Array:
    """The mean latent (length,) of training pictures of a class, encoded: for arithmetic with VAEs.

    Raises:
      UserError: the model does not encode, or there is no such class, or none of its pictures.
    """
    if "encode" not in space.model.algorithm.uses:
        raise UserError(f"{space.saved.run.name} does not encode pictures, so there is no mean of {word}; a VAE does")
    found = labelled(space, word, num, seed)
    if not found.labels.any():
        raise UserError(f"{word}: none of {len(found.labels)} {found.what} has it")
    return np.asarray(found.values[found.labels].mean(axis=0), np.float32)
