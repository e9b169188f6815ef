"""Scalars that change over a run: one small type for learning rates, decays, weights of terms and probabilities."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.types import Scalar

_TEXT = re.compile(r"(?P<name>\w+)=(?P<start>.+?)\.\.(?P<end>[^:@]+)(?::(?P<shape>\w+))?(?:@(?P<steps>\d+))?")
SHAPES = ("cosine", "linear")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """From `start` to `end` over `steps` steps, and `end` from then on.

    Attributes:
      shape: "cosine" (half a wave, flat at both ends) or "linear".
    """

    start: float
    end: float
    steps: int
    shape: str = "cosine"

    def __call__(self, step: jax.Array | float) -> jax.Array:
        """The value at a step, float32."""
        share = jnp.clip(jnp.asarray(step, jnp.float32) / self.steps, 0.0, 1.0)
        if self.shape == "cosine":
            share = 0.5 - 0.5 * jnp.cos(jnp.pi * share)
        return self.start + (self.end - self.start) * share


def value_at(scalar: Scalar, step: jax.Array | float) -> float | jax.Array:
    """The number at a step."""
    return scalar(step) if callable(scalar) else scalar


def parse(texts: tuple[str, ...], steps: int, known: tuple[str, ...] = ()) -> dict[str, Schedule]:
    """Schedules by name from texts such as "b2=0.9..0.99:cosine@5000"; without @, over the run's `steps`.

    Raises:
      UserError: not of that form, twice the same name, or one that is not among the `known`.
    """
    out: dict[str, Schedule] = {}
    for text in texts:
        match = _TEXT.fullmatch(text)
        shape = (match["shape"] or "cosine") if match else ""
        numbers = [_number(match[part]) for part in ("start", "end")] if match else []
        if match is None or shape not in SHAPES or not all(map(math.isfinite, numbers)) or match["steps"] == "0":
            form = "NAME=FROM..TO, then :cosine or :linear, then @STEPS, such as b2=0.9..0.99:cosine@5000"
            raise UserError(f"train.schedules: {text!r}; wanted {form}")
        name = match["name"]
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UserError(f"train.schedules: {name!r} cannot be scheduled here; {hint}")
        if name in out:
            raise UserError(f"train.schedules: {name} is there twice")
        out[name] = Schedule(numbers[0], numbers[1], int(match["steps"] or max(1, steps)), shape)
    return out


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
