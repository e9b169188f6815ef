"""The state of metrics that need every picture's features: they are collected on the host, one part an update."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.exact import Array, Floats

State = tuple[Floats, ...]
"""Parts of shape (n_i, dimensions), in order."""


def empty() -> State:
    """Nothing collected."""
    return ()


def update(state: State, features: Array, weight: Array | None = None) -> State:
    """Adds features (n, dimensions); those of weight 0 (padding) are left out."""
    values = np.asarray(features)
    return (*state, values if weight is None else values[np.asarray(weight) > 0])


def merge(a: State, b: State) -> State:
    """The features of both, those of `a` first."""
    return (*a, *b)


def compute(state: State) -> Floats:
    """All features (n, dimensions)."""
    if not state:
        raise UserError("no features were given")
    return np.concatenate(state)


def check_features(**named: Array) -> None:
    """Raises UserError unless all are finite (n, dimensions) arrays with the same number of dimensions."""
    shapes = {name: np.shape(value) for name, value in named.items()}
    for name, shape in shapes.items():
        if len(shape) != 2 or not shape[0]:
            raise UserError(f"{name}: got features of shape {shape}, wanted (n, dimensions)")
        if not np.isfinite(named[name]).all():
            raise UserError(f"{name}: features are not finite")
    if len({shape[1] for shape in shapes.values()}) > 1:
        raise UserError(f"features of different lengths: {shapes}")


def error_of_mean(hits: Sequence[float] | Array) -> float:
    """The standard error of the mean of independent values (n,), at least 2 of them."""
    values = np.asarray(hits, np.float64)
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
