"""Which numbers an option may hold, written beside its type: `weight: Annotated[float, Range(0)]`. No jax here."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

_hints = functools.cache(typing.get_type_hints)


class Range(NamedTuple):
    """Finite numbers from `low` to `high`; `above` and `below` leave these ends themselves out."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def complaint(self, value: float) -> str:
        """What is wrong with a number, as in "must be at least 1, not 0"; empty if nothing is."""
        enough = value > self.low if self.above else value >= self.low
        little = value < self.high if self.below else value <= self.high
        if enough and little and math.isfinite(value):
            return ""
        if math.isfinite(self.high):
            low, high = ("more than " * self.above, "below " * self.below)
            return f"must be {low}{self.low} to {high}{self.high}, not {value}"
        if not math.isfinite(value):
            return f"must be a finite number, not {value}"
        if self.above:
            return f"must be more than {self.low}, not {value}"
        return f"must be at least {self.low}, not {value}" if self.low else f"must not be negative, as {value} is"


Count = Annotated[int, Range(1)]
"""1 or more."""
Natural = Annotated[int, Range(0)]
"""0 or more; 0 is mostly "off" or "all"."""
Weight = Annotated[float, Range(0)]
"""0 or more."""
Positive = Annotated[float, Range(0, above=True)]
"""More than 0."""
Share = Annotated[float, Range(0, 1)]
"""0 to 1, with both."""
Decay = Annotated[float, Range(0, 1, below=True)]
"""0 to below 1."""
Momentum = Annotated[float, Range(-1, 1, above=True, below=True)]
"""A decay that may also be negative, as games between players want it at times."""


def complaints(config: Any, section: str = "") -> Iterator[str]:
    """A line for each number out of range, in a dataclass and those inside it, as in "step.beta must ..., not -1".

    Numbers that only the device knows, such as those of a sweep, are passed over.
    """
    cls: type = type(config)
    for name, hint in _hints(cls, include_extras=True).items():
        value = getattr(config, name)
        path = f"{section}.{name}" if section else name
        if dataclasses.is_dataclass(value):
            yield from complaints(value, path)
            continue
        for bounds in _bounds(hint):
            numbers = value if isinstance(value, tuple) else (value,)
            words = [bounds.complaint(one) for one in numbers if isinstance(one, (int, float))]
            yield from (f"{path.replace('_', '-')} {word}" for word in words if word)


def _bounds(hint: Any) -> Iterator[Range]:
    """The ranges in a type such as `tuple[Count, ...]` or `Weight | None`."""
    if typing.get_origin(hint) is Annotated:
        yield from (one for one in hint.__metadata__ if isinstance(one, Range))
    else:
        for part in typing.get_args(hint):
            yield from _bounds(part)
