"""Which classes are taken for which: counts of true and seen classes, and what they say."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from genart_jax.metrics.exact import Array, Floats


class Shares(NamedTuple):
    """The share that is right, and the mean over classes of their own shares, each with its standard error."""

    accuracy: float
    error: float
    balanced: float
    balanced_error: float


def empty(classes: int) -> Floats:
    """The matrix of no answers (classes, classes): rows are true classes, columns those that were seen."""
    return np.zeros((classes, classes))


def update(matrix: Floats, scores: Array, labels: Array) -> Floats:
    """Adds answers by their scores (n, classes) and the true classes (n,); -1 is not counted."""
    scores, labels = np.asarray(scores), np.asarray(labels)
    known, classes = labels >= 0, len(matrix)
    places = labels[known] * classes + scores[known].argmax(axis=1)
    return matrix + np.bincount(places, minlength=classes**2).reshape(classes, classes)


def compute(matrix: Floats) -> Shares:
    """The shares; NaN of no answers. A class without pictures does not count in the balanced one."""
    total, of_class = matrix.sum(), matrix.sum(axis=1)
    if not total:
        return Shares(math.nan, math.nan, math.nan, math.nan)
    there = of_class > 0
    share, own = float(matrix.trace() / total), (matrix.diagonal() / np.maximum(of_class, 1))[there]
    spread = float(np.sum(own * (1 - own) / of_class[there]))
    binomial = math.sqrt(share * (1 - share) / total)
    return Shares(share, binomial, float(own.mean()), math.sqrt(spread) / len(own))


def mistakes(matrix: Floats, most: int) -> list[tuple[int, int, int]]:
    """The most frequent ones, as (true class, seen class, how often)."""
    wrong = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [(int(i), int(j), int(wrong[i, j])) for i, j in pairs if wrong[i, j]]
