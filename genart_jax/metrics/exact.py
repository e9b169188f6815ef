"""Float64 on the device inside one function, while the rest of the process stays in float32.

Distances between distributions are small differences of large sums, and square roots of eigenvalues that should be 0
turn a rounding error of 1e-7 into one of 3e-4, once for every dimension.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")

Array = Any
"""A numpy or JAX array."""


def exact(function: Callable[P, T]) -> Callable[P, T]:
    """The function with 64-bit types while it runs; arrays that it returns keep them."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return wrapped
