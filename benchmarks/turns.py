"""Programs timed in turn, A B C A B C ..., so that a busy machine slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax

Name = TypeVar("Name")


def seconds(programs: dict[Name, Callable[[], Any]], rounds: int, at_least: float = 0.01) -> dict[Name, list[float]]:
    """Seconds of a call of each program, round by round; the calls before, which compile, are not counted.

    Args:
      programs: what is called, without arguments.
      rounds: turns of each.
      at_least: seconds of a turn. A shorter program is called so many times, one after another.
    """
    repeats = {}
    for name, program in programs.items():
        jax.block_until_ready(program())
        start = time.perf_counter()
        jax.block_until_ready(program())
        repeats[name] = max(1, round(at_least / (time.perf_counter() - start)))
    times = {name: list[float]() for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                out = program()
            jax.block_until_ready(out)
            times[name].append((time.perf_counter() - start) / repeats[name])
    return times
