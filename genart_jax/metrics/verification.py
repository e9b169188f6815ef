"""Whether embeddings tell who is who: pairs of one identity against pairs of two, and the nearest neighbour's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genart_jax.metrics.exact import Array, Floats


class Roc(NamedTuple):
    """By falling threshold: shares of pairs of two identities, and of one, that are taken for one (n,); the area under
    that curve, and the rate at which both kinds of mistake are equally frequent.
    """

    false_accept: Floats
    true_accept: Floats
    area: float
    equal_error: float

    def accepted_at(self, rate: float) -> float:
        """The share of true pairs that are accepted where at most so large a share of the false ones is."""
        return float(self.true_accept[self.false_accept <= rate].max())


def pairs(embeddings: Array, identities: Array) -> tuple[Floats, Floats]:
    """Cosines of all pairs of one identity, and of all of two: from (n, d) and (n,).

    Raises:
      ValueError: an embedding is 0 or not finite.
    """
    x = _directions(embeddings)
    i, j = np.triu_indices(len(x), 1)
    same = np.asarray(identities)[i] == np.asarray(identities)[j]
    cosine = np.einsum("nd,nd->n", x[i], x[j]) if len(x) < 300 else (x @ x.T)[i, j]
    return cosine[same], cosine[~same]


def roc(same: Array, different: Array) -> Roc:
    """The receiver operating characteristic of scores of true pairs (n,) and false ones (m,).

    Raises:
      ValueError: there are none of one kind.
    """
    if not len(same) or not len(different):
        raise ValueError(f"{len(same)} pairs of one identity and {len(different)} of two: both are needed")
    scores = np.concatenate([same, different])
    true = np.concatenate([np.ones(len(same)), np.zeros(len(different))])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # equal scores are accepted together
    accepted = np.stack([np.cumsum(1 - true[order]), np.cumsum(true[order])])[:, last]
    x, y = (np.concatenate([[0.0], part]) / part[-1] for part in accepted)
    gap = x - (1 - y)
    at = int(np.argmax(gap >= 0))
    step = gap[at] - gap[at - 1]
    share = -gap[at - 1] / step if at else 0.0
    equal = x[at - 1] + share * (x[at] - x[at - 1]) if at else x[0]
    return Roc(x, y, float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2), float(equal))


def top_1(embeddings: Array, identities: Array) -> float:
    """The share whose nearest other picture, by the cosine, is of the same identity.

    Raises:
      ValueError: an embedding is 0 or not finite.
    """
    x, own = _directions(embeddings), np.asarray(identities)
    cosine = x @ x.T
    np.fill_diagonal(cosine, -np.inf)
    return float(np.mean(own[cosine.argmax(axis=1)] == own))


def _directions(embeddings: Array) -> Floats:
    """(n, d) of length 1: without a direction there is no cosine, and pairs of what is not a number would all pass."""
    x = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    if bad := int((~(np.isfinite(lengths) & (lengths > 0))).sum()):
        raise ValueError(f"{bad} of {len(x)} embeddings are 0 or not finite: the network has not been trained, or died")
    directions: Floats = x / lengths
    return directions
