"""The share of pictures in which a classifier sees the class that they were made for."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.exact import Array, Floats


class State(NamedTuple):
    """Pictures made for each class (classes,), and those of them that show it (classes,)."""

    made: Floats
    right: Floats


class Accuracy(NamedTuple):
    """The share that is right with its binomial standard error, and the mean of the classes' shares."""

    value: float
    standard_error: float
    balanced: float


def empty(classes: int) -> State:
    """The state of no pictures."""
    return State(np.zeros(classes), np.zeros(classes))


def update(state: State, logits: Array, labels: Array, weight: Array | None = None) -> State:
    """Adds pictures by their logits (n, classes) and the classes (n,) that they were made for; -1 is not counted.

    Raises:
      UserError: a label that is no class.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    weight = np.ones(len(labels)) if weight is None else np.asarray(weight)
    if len(wrong := labels[(labels < -1) | (labels >= len(state.made))]):
        raise UserError(f"labels: {wrong[0]} is no class; wanted 0 to {len(state.made) - 1}, or -1 for none")
    logits, labels, weight = (x[labels >= 0] for x in (logits, labels, weight))
    right = weight * (np.argmax(logits, axis=1) == labels)
    classes = len(state.made)
    return merge(state, State(np.bincount(labels, weight, classes), np.bincount(labels, right, classes)))


def merge(a: State, b: State) -> State:
    """The state of both."""
    return State(a.made + b.made, a.right + b.right)


def compute(state: State) -> Accuracy:
    """The figures; NaN of no pictures."""
    total, there = state.made.sum(), state.made > 0
    if not total:
        return Accuracy(math.nan, math.nan, math.nan)
    share = float(state.right.sum() / total)
    error = math.sqrt(share * (1 - share) / total)
    return Accuracy(share, error, float(np.mean(state.right[there] / state.made[there])))
