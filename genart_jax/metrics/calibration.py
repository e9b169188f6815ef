"""The expected calibration error: how far a classifier's confidence is from how often it is right.

Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, eq. 3: answers are sorted into bins of
equal width by the probability of the likeliest class, and the gap between mean probability and accuracy is averaged
over the bins, each with its share of the answers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from genart_jax.metrics.exact import Array, Floats

BINS = 15
"""As in the paper."""


class State(NamedTuple):
    """By bins of confidence (bins,): answers, the sum of their confidences, and those that are right."""

    number: Floats
    confidence: Floats
    right: Floats


class Calibration(NamedTuple):
    """The error in [0, 1], and the mean confidence beside the accuracy."""

    error: float
    confidence: float
    accuracy: float


def empty(bins: int = BINS) -> State:
    """The state of no answers."""
    return State(np.zeros(bins), np.zeros(bins), np.zeros(bins))


def update(state: State, probabilities: Array, labels: Array) -> State:
    """Adds answers by their probabilities (n, classes) and the true classes (n,); -1 is not counted."""
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    known = labels >= 0
    top = probabilities[known].max(axis=1, initial=0.0)
    right = 1.0 * (probabilities[known].argmax(axis=1) == labels[known])
    bins = len(state.number)
    place = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)  # each bin holds its upper end
    sums = (np.bincount(place, weight, bins) for weight in (np.ones(len(top)), top, right))
    return merge(state, State(*sums))


def merge(a: State, b: State) -> State:
    """The state of both."""
    return State(*(x + y for x, y in zip(a, b, strict=True)))


def compute(state: State) -> Calibration:
    """The figures; NaN of no answers."""
    total = state.number.sum()
    if not total:
        return Calibration(math.nan, math.nan, math.nan)
    gaps = np.abs(state.right - state.confidence)
    return Calibration(*(float(x.sum() / total) for x in (gaps, state.confidence, state.right)))
