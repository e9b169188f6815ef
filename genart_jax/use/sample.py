"""Pictures out of a trained model: drawing them and writing them to files."""

from __future__ import annotations

import functools
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import media, provenance, videos
from genart_jax.data.conditions import class_word, draw_conditions
from genart_jax.data.grid import make_grid, scale_of
from genart_jax.data.provenance import Provenance
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.runtime.watch import watched
from genart_jax.train.checkpoint import Model, Saved
from genart_jax.types import check_condition, to_float, to_uint8
from genart_jax.use import mesh

_GRID = 1024  # pictures: more of them on one canvas are nothing to look at, and a lot of memory
BATCH = 64  # fixed, so that the same seed gives the same picture however many are asked for


class Samples(NamedTuple):
    """uint8 images (n, ..., height, width, channels), and integer conditions (n,) by name."""

    images: Array
    condition: dict[str, Array]

    def _repr_png_(self) -> bytes:
        """A grid of the pictures, as a notebook shows it."""
        content = io.BytesIO()
        make_grid(self.images[:_GRID], scale=scale_of(self.images)).save(content, format="PNG")
        return content.getvalue()


def draw_samples(
    model: Model,
    saved: Saved,
    num: int,
    seed: int,
    given: Mapping[str, int] | None = None,
    numbers: Mapping[str, float] | None = None,
) -> Samples:
    """`num` pictures from a seed. Conditions that are not given are drawn as they occur in the training data.

    Args:
      model: which has the use "sample".
      saved: its run's configuration and data.
      num: how many.
      seed: of all that is drawn.
      given: condition -> class.
      numbers: what the use takes besides, such as truncation; what is left out has its default.

    Raises:
      UserError: the model draws no pictures, or something given is not for it, or out of range.
    """
    return joined(list(draw_in_parts(model, saved, num, seed, given, numbers)))


def joined(parts: Sequence[Samples]) -> Samples:
    """All pictures of parts."""
    condition = {name: np.concatenate([part.condition[name] for part in parts]) for name in parts[0].condition}
    return Samples(np.concatenate([part.images for part in parts]), condition)


def draw_in_parts(
    model: Model,
    saved: Saved,
    num: int,
    seed: int,
    given: Mapping[str, int] | None = None,
    numbers: Mapping[str, float] | None = None,
) -> Iterator[Samples]:
    """The pictures of `draw_samples`, a few at a time, so that not all need be in memory."""
    algorithm, state = model
    use = algorithm.use("sample", saved.run.name)
    if num < 1:
        raise UserError(f"num {num}: wanted at least 1")
    check_condition(given, algorithm.batch_spec)
    options = chosen_numbers(model, saved, numbers)
    whole = -(-num // BATCH) * BATCH
    condition = draw_conditions(algorithm.batch_spec.conditions, saved.data["condition_table"], whole, seed, given)
    sample = _compiled(use.function, tuple(options.items()))
    key = jax.random.key(seed)
    for index in watched(range(whole // BATCH), num, "pictures drawn", BATCH):
        part = {name: value[index * BATCH : (index + 1) * BATCH] for name, value in condition.items()}
        images = to_uint8(sample(state, random.stream(key, "batch", index), BATCH, part))
        rest = num - index * BATCH
        yield Samples(images[:rest], {name: value[:rest] for name, value in part.items()})


def chosen_numbers(model: Model, saved: Saved, numbers: Mapping[str, float] | None) -> dict[str, float]:
    """Those of the numbers that pictures are drawn with, such as truncation, that are not the model's defaults.

    Raises:
      UserError: one that the model does not take, or out of range.
    """
    if not numbers:
        return {}
    known = {one.name: one for one in model.algorithm.use("sample", saved.run.name).of_kind("number")}
    for name, value in numbers.items():
        if name not in known:
            raise UserError(f"{saved.run.name} takes no {name} to sample; it takes {', '.join(known) or 'no number'}")
        if not known[name].low <= value <= known[name].high:
            wanted = f"a number from {known[name].low:g} to {known[name].high:g}"
            raise UserError(f"{name}: got {value:g}, wanted {wanted}")
    return {name: value for name, value in numbers.items() if value != known[name].default}


def extend_samples(
    model: Model,
    saved: Saved,
    first: Path,
    num: int,
    seed: int,
    given: Mapping[str, int] | None = None,
    length: int = 0,
) -> Samples:
    """`num` videos that begin with the picture, or all frames of the video, in the file or folder `first`.

    Args:
      model: which has the use "extend".
      saved: its run's configuration and data.
      first: a picture, an animated GIF or WebP, or a folder of frames.
      num: how many.
      seed: of all that is drawn.
      given: condition -> class; the others are drawn as they occur in the training data.
      length: frames of each video in all; 0: as many as in training.

    Raises:
      UserError: the model goes on from no frames, they cannot be read, or none is left to make.
    """
    algorithm, state = model
    use = algorithm.use("extend", saved.run.name)
    if num < 1:
        raise UserError(f"num {num}: wanted at least 1")
    check_condition(given, algorithm.batch_spec)
    _, height, width, channels = algorithm.batch_spec.image_shape
    frames = to_float(videos.first_frames(first, (height, width), channels))[None]
    options = {"frames": float(length)} if length else {}
    extend = compiler.jit(functools.partial(use.function, **options))
    condition = draw_conditions(algorithm.batch_spec.conditions, saved.data["condition_table"], num, seed, given)
    made = extend(state, np.repeat(np.asarray(frames), num, axis=0), jax.random.key(seed), condition or None)
    return Samples(to_uint8(made), condition)


@functools.lru_cache(maxsize=2)
def _compiled(sample: Callable[..., jax.Array], options: tuple[tuple[str, float], ...]) -> Callable[..., jax.Array]:
    """Compiled once for a model whose pictures are drawn several times."""
    return compiler.jit(functools.partial(sample, **dict(options)), static_argnums=2)


def caption(condition: Mapping[str, Array], class_names: Mapping[str, Sequence[str]]) -> str:
    """Words such as "style=noto shape=food"; "(various)" where pictures differ, "(hidden)" where it is in all."""
    words = []
    for name, values in condition.items():
        one = int(values[0])
        same = bool(np.all(values == one))
        words.append(f"{name}={('(hidden)' if one < 0 else class_names[name][one]) if same else '(various)'}")
    return " ".join(words)


def write_samples(
    out: Path,
    samples: Samples,
    class_names: Mapping[str, Sequence[str]],
    seed: int,
    overwrite: bool = True,
    about: Provenance | None = None,
) -> Path:
    """Writes a grid (FILE.png), arrays (FILE.npz: images and each condition), or single pictures (a folder).

    Videos are a row of frames, with an animation beside the PNG. Volumes are shaded surfaces, with a turntable (GIF)
    beside it; of them FILE.obj, FILE.stl and FILE.glb are meshes, beside one another in one file. FILE.gif and
    FILE.webp are a grid of videos that move, or of volumes that turn.

    Returns the path. Without `overwrite`, another grid that lies there stays, and this one is FILE-2.png, and so on.
    With `about`, pictures say in their metadata where they come from, and arrays under "provenance".

    Raises:
      UserError: another kind of file, or a place that cannot be written.
    """
    images, condition, out = *samples, expanded(out)
    try:
        if out.suffix == ".npz":
            out.parent.mkdir(parents=True, exist_ok=True)
            names = {f"{name}_names": np.array(class_names[name]) for name in condition}
            said = {} if about is None else {"provenance": np.array(about.content())}
            np.savez(out, allow_pickle=False, images=images, **condition, **names, **said)
        elif out.suffix == ".png":
            if len(images) > _GRID:
                raise UserError(f"--out {out}: a grid shows at most {_GRID} pictures; write FILE.npz or a folder")
            text = f"{caption(condition, class_names)}  seed={seed}".strip()
            draw = lambda one: make_grid(one[""], scale=scale_of(images), caption=text)
            content = io.BytesIO()
            provenance.save(draw({"": images}), content, about, format="PNG")
            out = out if overwrite else _free(out, content.getvalue())
            media.save(out, {"": images}, draw, about, turn=True)
        elif out.suffix in media.MOVING:
            if len(images) > _GRID:
                raise UserError(f"--out {out}: a grid shows at most {_GRID} pictures; write FILE.npz or a folder")
            media.animate(out, {"": images}, lambda one: make_grid(one[""], scale=scale_of(one[""])), about)
        elif not out.suffix:
            out.mkdir(parents=True, exist_ok=True)
            for name, image in zip(file_names(condition, class_names, len(images)), images, strict=True):
                media.save(out / name, {"": image[None]}, _single, about, turn=True)
        elif out.suffix in mesh.FORMATS and media.is_volume(images.shape[1:]):
            made = mesh.file_of(images, out.suffix, about)
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(made)
        else:
            raise UserError(
                f"--out {out}: name FILE.png for a grid, FILE.npz for arrays, or a folder for single pictures; of"
                f" videos and volumes also FILE{', FILE'.join(media.MOVING)}; of volumes FILE"
                f"{', FILE'.join(mesh.FORMATS)}"
            )
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror or error}") from None
    return out


def file_names(condition: Mapping[str, Array], class_names: Mapping[str, Sequence[str]], num: int) -> list[str]:
    """A name for each single picture: its number and its classes, as in 00003_noto_food.png."""
    out = []
    for i in range(num):
        classes = [class_word(class_names[name], int(value[i])) for name, value in condition.items()]
        classes = [re.sub(r"[^\w.-]", "-", word) for word in classes]  # "T-shirt/top" is no file name
        out.append("_".join([f"{i:05d}", *classes]) + ".png")
    return out


def _single(columns: media.Columns) -> Image.Image:
    """An example alone: grey where it is a grey picture, else as a tile."""
    ((image,),) = columns.values()
    grey = image.ndim == 3 and image.shape[-1] == 1
    return Image.fromarray(image.squeeze(-1) if grey else media.tiles(image[None])[0])


def _free(path: Path, content: bytes) -> Path:
    """The path, or the first with a number behind its name, at which nothing but this content lies."""
    names = (path.with_stem(f"{path.stem}-{i}") if i > 1 else path for i in itertools.count(1))
    return next(p for p in names if not p.exists() or p.read_bytes() == content)
