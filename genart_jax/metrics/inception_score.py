"""exp E KL(p(y|x) || p(y)) over any classifier's probabilities (Salimans et al. 2016, section 4).

It is called Inception score only where the classifier is that Inception network.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.exact import Array, exact


class State(NamedTuple):
    """count (), sum of probabilities (classes,), sum of p log p over classes (); all float64."""

    count: Array  # type: ignore[assignment]  # of pictures, in place of a tuple's own method
    probability: Array
    negative_entropy: Array


@exact
def empty(classes: int) -> State:
    """The state of no pictures."""
    return State(jnp.zeros(()), jnp.zeros(classes), jnp.zeros(()))


@exact
def update(state: State, logits: Array, weight: Array | None = None) -> State:
    """Adds pictures by their logits or log probabilities (n, classes), each counted `weight` (n,) times."""
    logits = jnp.asarray(logits, jnp.float64)
    weight = jnp.ones(len(logits)) if weight is None else jnp.asarray(weight, jnp.float64)
    shifted = logits - jnp.max(logits, axis=1, keepdims=True)
    log_p = shifted - jnp.log(jnp.sum(jnp.exp(shifted), axis=1, keepdims=True))
    p = jnp.exp(log_p)
    entropies = jnp.sum(jnp.where(p > 0, p * log_p, 0.0), axis=1)
    return merge(state, State(jnp.sum(weight), weight @ p, weight @ entropies))


@exact
def merge(a: State, b: State) -> State:
    """The state of both."""
    return State(*(x + y for x, y in zip(a, b, strict=True)))


def compute(state: State) -> float:
    """The score: 1 to the number of classes."""
    count, probability, negative_entropy = (np.asarray(x, np.float64) for x in state)
    mean = probability / count
    return float(np.exp(negative_entropy / count - np.sum(mean * np.log(np.where(mean > 0, mean, 1.0)))))


def over_splits(logits: Array, splits: int = 10) -> tuple[float, float]:
    """The score's mean over consecutive tenths of the pictures, and the standard deviation between them.

    Raises:
      UserError: fewer pictures than splits.
    """
    n, classes = np.shape(logits)
    if n < splits:
        raise UserError(f"an Inception score over {splits} parts of {n} pictures: too few of them")
    edges = [i * n // splits for i in range(splits + 1)]
    values = [compute(update(empty(classes), logits[a:b])) for a, b in itertools.pairwise(edges)]
    return float(np.mean(values)), float(np.std(values))
