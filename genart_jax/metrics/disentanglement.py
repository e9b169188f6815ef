"""How far each number of a latent is about one known factor of what is seen, and each factor in one number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime.values import Array

BINS = 20


def mutual_information(latents: Array, factors: Mapping[str, Array], bins: int = BINS) -> tuple[Array, Array]:
    """Nats that each number of a latent tells of each factor, (factors, latent), and each factor's entropy (factors,).

    From counts, numbers in `bins` equal steps from their least to their largest.

    Args:
      latents: (n, latent) floats.
      factors: name -> classes (n,), whole numbers from 0.
      bins: of a number.
    """
    low, high = latents.min(axis=0), latents.max(axis=0)
    share = (latents - low) / np.maximum(high - low, 1e-12)
    cells = np.minimum((share * bins).astype(np.int64), bins - 1)
    told, entropy = [], []
    for labels in factors.values():
        classes = int(labels.max()) + 1
        counts = np.stack([np.bincount(labels * bins + one, minlength=classes * bins) for one in cells.T])
        joint = counts.reshape(-1, classes, bins) / len(labels)
        apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=2, keepdims=True)
        ratio = np.divide(joint, apart, out=np.ones_like(joint), where=joint > 0)
        told.append(np.sum(joint * np.log(ratio), axis=(1, 2)))
        p = np.bincount(labels) / len(labels)
        entropy.append(-np.sum(p[p > 0] * np.log(p[p > 0])))
    return np.stack(told), np.array(entropy)


def gap(told: Array, entropy: Array) -> Array:
    """The mutual information gap of each factor (factors,), from 0 to 1: how much more its best number tells of it than
    the second best, as a share of its entropy; 0 of a factor that has none.

    Chen et al. 2018, "Isolating sources of disentanglement in variational autoencoders", arXiv:1802.04942, eq. 6.
    """
    best = np.sort(told, axis=1)
    second = best[:, -2] if told.shape[1] > 1 else 0.0
    return np.where(entropy > 0, (best[:, -1] - second) / np.maximum(entropy, 1e-12), 0.0)


class Dci(NamedTuple):
    """Disentanglement, completeness and informativeness, from 0 to 1, higher is better.

    Attributes:
      disentanglement: how far a number matters to one factor alone, the mean weighted by how much each matters.
      completeness: how far one number alone matters to a factor, the mean over factors.
      informativeness: share of held-out examples whose factor is told from the latent, the mean over factors.
      chance: the same of always saying a factor's commonest class.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    chance: float


def dci(latents: Array, factors: Mapping[str, Array], seed: int = 0) -> Dci:
    """Eastwood & Williams 2018, "A framework for the quantitative evaluation of disentangled representations", ICLR,
    section 2, by random forests of 50 trees on a random half, examined on the other. A split looks at all numbers, and
    a leaf has five examples at least: else numbers that say nothing seem to matter.

    Args:
      latents: (n, latent) floats.
      factors: name -> classes (n,), whole numbers from 0.
      seed: of the halves and of the trees.

    Raises:
      UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ModuleNotFoundError:
        raise UserError("DCI needs scikit-learn: pip install scikit-learn") from None
    order = np.random.default_rng(seed).permutation(len(latents))
    learn, ask = order[: len(order) // 2], order[len(order) // 2 :]
    importance, right, common = [], [], []
    for labels in factors.values():
        forest = RandomForestClassifier(50, max_features=None, min_samples_leaf=5, random_state=seed).fit(
            latents[learn], labels[learn]
        )
        importance.append(forest.feature_importances_)
        right.append(np.mean(forest.predict(latents[ask]) == labels[ask]))
        common.append(np.bincount(labels[ask]).max() / len(ask))
    matters = np.stack(importance, axis=1)  # (latent, factors)
    weight = matters.sum(axis=1) / max(matters.sum(), 1e-12)
    return Dci(
        float(np.sum(weight * _one_alone(matters, axis=1))),
        float(np.mean(_one_alone(matters, axis=0))),
        float(np.mean(right)),
        float(np.mean(common)),
    )


def _one_alone(matters: Array, axis: int) -> Array:
    """1 less the entropy of shares along an axis, in units of the most that it can be: 1 where one has all."""
    number = matters.shape[axis]
    if number < 2:
        return np.ones(matters.shape[1 - axis])
    share = matters / np.maximum(matters.sum(axis=axis, keepdims=True), 1e-12)
    return 1 + np.sum(share * np.log(np.maximum(share, 1e-12)), axis=axis) / np.log(number)
