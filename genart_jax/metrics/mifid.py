"""What the MiFID multiplies a Frechet distance by, where pictures are memorised (Bai et al. 2021, arXiv:2106.03062).

It is the MiFID only over the features of the FID's Inception network; over others it is a `mifd`.
"""

from __future__ import annotations

import math

import numpy as np

from genart_jax.metrics.exact import Array, Floats
from genart_jax.metrics.features import check_features, error_of_mean

THRESHOLD = 0.1
"""Mean least cosine distance below which pictures count as memorised. It is the number of the paper's competition, for
Inception's features (`cosine_distance_eps` in its code), and torchmetrics' default; none is published for others."""

_LEAST = 1e-15  # copies of everything would divide by 0; the competition adds as much
_ROWS = 2048  # of a tile


def memorisation_distance(train: Array, fake: Array) -> tuple[float, float]:
    """The mean over generated pictures of the least 1 - |cos| to a training picture, and its standard error.

    As in the competition's code, features of length 0 are left out; NaN where there are no others.

    Args:
      train, fake: features (m, d) and (n, d).
    """
    check_features(train=train, fake=fake)
    train, fake = (_directions(x) for x in (train, fake))
    if not (len(train) and len(fake)):
        return math.nan, math.nan
    tiles = (fake[i : i + _ROWS] for i in range(0, len(fake), _ROWS))
    least = np.concatenate([1 - np.abs(tile @ train.T).max(axis=1) for tile in tiles])
    return float(np.mean(least)), error_of_mean(least)


def penalty(distance: float, threshold: float = THRESHOLD) -> float:
    """1 / distance below the threshold, else 1: the factor of the Frechet distance."""
    return 1 / max(distance, _LEAST) if distance < threshold else 1.0


def _directions(features: Array) -> Floats:
    """Rows of length 1, those of length 0 left out."""
    features = np.asarray(features, np.float64)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    there = length[:, 0] > 0
    return features[there] / length[there]
