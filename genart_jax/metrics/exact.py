"""Float64 on the device inside one function, while the rest of the process stays in float32.

Distances between distributions are small differences of large sums, and square roots of eigenvalues that should be 0
turn a rounding error of 1e-7 into one of 3e-4, once for every dimension.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

from genart_jax.runtime import values

P = ParamSpec("P")
T = TypeVar("T")

Floats = values.Array
"""On the host."""
Array = jax.Array | Floats
"""Of JAX, or on the host."""


def exact(function: Callable[P, T]) -> Callable[P, T]:
    """The function with 64-bit types while it runs; arrays that it returns keep them."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return wrapped
