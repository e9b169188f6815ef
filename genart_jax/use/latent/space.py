"""The latent space of a trained model: places in it, and the pictures that are there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.api import build
from genart_jax.config import UserError
from genart_jax.data.conditions import class_word, draw_conditions
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model, load
from genart_jax.types import State, Use, check_condition, to_uint8
from genart_jax.use.sample import BATCH

SpaceName = Literal["z", "w"]
Seed = tuple[int, int]
"""(seed, index): that picture of `genart sample --seed`, counted from 0."""
_TOGETHER = 32  # pictures that one program makes; fewer are filled up


class Codes(NamedTuple):
    """Places in a latent space, each with what else its picture is made of.

    Attributes:
      values: float32 (n, *shape) of the space.
      condition: classes by name, int32 (n,).
      words: n captions.
    """

    values: Array
    condition: dict[str, Array]
    words: tuple[str, ...]

    def take(self, index: Sequence[int] | Array) -> Codes:
        """Those at these places of the list, in this order.

        Raises:
          UserError: there are not so many.
        """
        chosen = np.asarray(index, np.int64)
        if wrong := chosen[(chosen < 0) | (chosen >= len(self.values))].tolist():
            raise UserError(f"there is no latent {wrong[0]}; there are 0 to {len(self.values) - 1}")
        condition = {name: value[chosen] for name, value in self.condition.items()}
        return Codes(self.values[chosen], condition, tuple(self.words[i] for i in chosen))

    def told(self, given: Mapping[str, int]) -> Codes:
        """The same with these classes, whatever they had.

        Raises:
          UserError: a condition that they do not have.
        """
        if unknown := given.keys() - self.condition.keys():
            raise UserError(f"condition {min(unknown)!r}: these latents have {', '.join(self.condition) or 'none'}")
        changed = {name: np.full(len(self.values), value, np.int32) for name, value in given.items()}
        return self._replace(condition=self.condition | changed)


class Space:
    """What a model decodes: "z", a standard normal's, or "w", the styles that a mapping network makes of z.

    Attributes:
      model: the run's.
      saved: its configuration, and what is known of its data.
      name: "z" or "w".
      shape: of one code: (length,), a map (height, width, channels), or (layers, length) where each layer has its own.
      layers: how many layers have a code of their own; 0: there is one for all.
    """

    def __init__(self, model: Model, name: SpaceName | Literal[""] = "") -> None:
        """The space of a loaded model; without a name, w where there is one.

        Raises:
          UserError: the model was put together by hand, or has no continuous latents, or not this space.
        """
        if model.saved is None:
            raise UserError("this model does not know its data and configuration; take one of ga.load(RUN)")
        self.model, self.saved = model, model.saved
        self.decode = _decode(model, self.saved.run.name)
        mapped = "synthesize" in model.algorithm.uses
        if name == "w" and not mapped:
            raise UserError(f"{self.saved.run.name} has no mapping network, and so no space w; it has z")
        self.name: SpaceName = name or ("w" if mapped else "z")
        use = model.algorithm.uses["synthesize"] if self.name == "w" else self.decode
        self.shape = use.inputs[0].shape
        self.layers = self.shape[0] if len(self.shape) == 2 else 0

    @property
    def state(self) -> State:
        """The model's."""
        return self.model.state

    @property
    def length(self) -> int:
        """Of a code, or of one layer's."""
        return self.shape[-1]

    def draw(self, seeds: Sequence[Seed], given: Mapping[str, int] | None = None) -> Codes:
        """What the pictures of `genart sample` are made of. Conditions not given are those that these pictures have.

        Raises:
          UserError: a negative number, or a condition or a class that there is not.
        """
        check_condition(given, self.model.algorithm.batch_spec)
        latents, condition = self.latents(seeds, given)
        words = [" ".join([f"seed {s}:{i}" if i else f"seed {s}", *self._classes(condition, n)])
                 for n, (s, i) in enumerate(seeds)]  # fmt: skip
        return Codes(self.of_latents(latents, condition), condition, tuple(words))

    def latents(self, seeds: Sequence[Seed], given: Mapping[str, int] | None = None) -> tuple[Array, dict[str, Array]]:
        """Latents z (n, length of z) and conditions, as `draw` has them."""
        if not seeds or min(map(min, seeds)) < 0:
            raise UserError("name one picture or more, by a seed of 0 or more, or SEED:INDEX")
        spec, table = self.model.algorithm.batch_spec, self.saved.data["condition_table"]
        parts: dict[Seed, Array] = {}
        for seed, batch in sorted({(seed, index // BATCH) for seed, index in seeds}):
            key = random.stream(jax.random.key(seed), "batch", batch)
            parts[seed, batch] = np.asarray(self._drawn(self.state, key, BATCH))
        most = {seed: max(i for s, i in seeds if s == seed) for seed in {seed for seed, _ in seeds}}
        drawn = {
            seed: draw_conditions(spec.conditions, table, (last // BATCH + 1) * BATCH, seed, given)
            for seed, last in most.items()
        }
        latents = np.stack([parts[seed, index // BATCH][index % BATCH] for seed, index in seeds])
        condition = {name: np.array([drawn[s][name][i] for s, i in seeds], np.int32) for name, _ in spec.conditions}
        return latents, condition

    def of_latents(self, latents: Array, condition: Mapping[str, Array]) -> Array:
        """Codes of this space that latents z stand for."""
        return latents if self.name == "z" else self._by_parts(self._mapped, latents, condition)

    def make(self, state: State, values: jax.Array, condition: Any, truncation: float | jax.Array = 1.0) -> jax.Array:
        """Pictures of codes, float32 in [-1, 1]; a pure function, for `jit` and gradients.

        Args:
          state: the model's.
          values: (batch, *shape).
          condition: classes by name, (batch,).
          truncation: the share of the distance to the space's centre that is kept: to w's mean, or to z = 0. A model
            that truncates z itself does so.
        """
        told, use = condition or None, self.model.algorithm.uses
        if self.name == "w":
            centre = use["map"].function(state, self._zeros(), _first(told), truncation=0.0)
            return use["synthesize"].function(state, centre + truncation * (values - centre))
        if self.decode.of_kind("number"):
            return self.decode.function(state, values, told, truncation=truncation)
        return self.decode.function(state, values * truncation, told)

    def show(self, codes: Codes, truncation: float = 1.0) -> Array:
        """Pictures of codes, uint8 (n, ..., height, width, channels).

        Raises:
          UserError: codes of another space, or a truncation out of range.
        """
        if codes.values.shape[1:] != self.shape:
            raise UserError(f"latents of {codes.values.shape[1:]}: space {self.name} here has {self.shape}")
        (low, high) = next(((one.low, one.high) for one in self.decode.of_kind("number")), (0.0, 1.5))
        if not low <= truncation <= high:
            raise UserError(f"truncation {truncation:g}: wanted {low:g} to {high:g}")
        shown = functools.partial(self._pictures, truncation=jnp.float32(truncation))
        return to_uint8(self._by_parts(shown, codes.values, codes.condition))

    def words(self, codes: Codes) -> list[str]:
        """The classes of each, such as "style=noto shape=food"."""
        return [" ".join(self._classes(codes.condition, i)) for i in range(len(codes.values))]

    def core(
        self, num: int, seed: int, given: Mapping[str, int] | None = None
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Of drawn pictures: z (num, length of z), the code (num, length) that all layers have, and conditions."""
        latents, condition = self.latents([(seed, i) for i in range(num)], given)
        values = self.of_latents(latents, condition)
        return latents, values[:, 0] if self.layers else values, condition

    def _classes(self, condition: Mapping[str, Array], index: int) -> list[str]:
        names = self.saved.data["class_names"]
        return [f"{name}={class_word(names[name], int(value[index]))}" for name, value in condition.items()]

    def _zeros(self) -> jax.Array:
        return jnp.zeros((1, *self.decode.inputs[0].shape))

    def _by_parts(self, function: Callable[..., Any], values: Array, condition: Mapping[str, Array]) -> Array:
        """`function(state, values, condition)` of so many at a time that one program serves for all."""
        parts = []
        for start in range(0, len(values), _TOGETHER):
            own = np.arange(start, min(start + _TOGETHER, len(values)))
            whole = np.pad(own, (0, _TOGETHER - len(own)), mode="edge")
            told = {name: value[whole] for name, value in condition.items()}
            parts.append(np.asarray(function(self.state, values[whole], told))[: len(own)])
        return np.concatenate(parts)

    @functools.cached_property
    def _drawn(self) -> Callable[..., Any]:
        draw = self.model.algorithm.use("draw", self.saved.run.name).function
        return compiler.jit(draw, static_argnums=2)

    @functools.cached_property
    def _mapped(self) -> Callable[..., Any]:
        use = self.model.algorithm.uses["map"].function
        return compiler.jit(lambda state, z, told: use(state, z, told or None))

    @functools.cached_property
    def _pictures(self) -> Callable[..., Any]:
        return compiler.jit(self.make)


def _first(condition: Mapping[str, jax.Array] | None) -> dict[str, jax.Array] | None:
    return None if condition is None else {name: value[:1] for name, value in condition.items()}


def _decode(model: Model, name: str) -> Use:
    """The use that makes pictures of latents.

    Raises:
      UserError: there is none, and why.
    """
    uses = model.algorithm.uses
    if "decode" in uses and uses["decode"].of_kind("latents") and "draw" in uses:
        return uses["decode"]
    wanted = "latent is for models with continuous latents: GANs such as modgan, and VAEs such as conv_vae"
    if "decode" in uses and uses["decode"].of_kind("codes"):
        raise UserError(f"the latents of {name} are codes, whole numbers with nothing between them; {wanted}")
    raise UserError(f"{name} has no latents that pictures are made of; {wanted}")


def open_space(
    run: str | Path | Model, name: SpaceName | Literal[""] = "", step: int | Literal["best"] | None = None
) -> Space:
    """The latent space of what `ga.load` loads, or has loaded: a run at its newest good checkpoint or at `step`.

    Raises:
      UserError: no run there, no checkpoint, or a model without continuous latents.
    """
    model = run if isinstance(run, Model) else load(run, step)
    saved = model.saved
    if saved is not None and saved.run.train.remat:  # for gradients; it hides what is inside from those who look
        whole = dataclasses.replace(saved.run, train=dataclasses.replace(saved.run.train, remat=False))
        model = Model(build(whole), model.state, saved, model.run, model.sha256)
    return Space(model, name)
