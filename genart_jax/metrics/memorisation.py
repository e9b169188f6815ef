"""Tests of whether generated pictures are copies of training pictures, over features or pixels as rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.exact import Array, Floats
from genart_jax.metrics.features import error_of_mean
from genart_jax.metrics.neighbours import nearest


class Copying(NamedTuple):
    """The three-sample test.

    z: how much farther from the training set generated pictures lie than held-out ones, in standard deviations of
      chance: below -3 they are copies, far above 0 they are nothing like the data.
    cells: the same, weighted over regions of the data, which finds copying in some of them.
    closer: the probability that a generated picture lies closer to the training set than a held-out one.
    """

    z: float
    cells: float
    closer: float


def three_sample(train: Array, held_out: Array, fake: Array, cells: int = 5, least: int = 20, seed: int = 0) -> Copying:
    """Data copying by distances to the nearest training picture (Meehan et al. 2020, sections 4.1 and 4.2).

    Args:
      train, held_out, fake: features (n, d) of each set.
      cells: regions, by k-means on the training set.
      least: generated pictures that a region needs to count.
      seed: of k-means.
    """
    to_held_out, to_fake = (nearest(x, train)[0][:, 0] for x in (held_out, fake))
    centres = k_means(train, cells, seed)
    here, there = (nearest(x, centres)[1][:, 0] for x in (held_out, fake))
    total = weight = 0.0
    for cell in range(len(centres)):
        mine, theirs = to_held_out[here == cell], to_fake[there == cell]
        if len(theirs) >= least and len(mine) > 1:
            total += len(mine) * mann_whitney(theirs, mine)
            weight += len(mine)
    z = mann_whitney(to_fake, to_held_out)
    return Copying(z, total / weight if weight else math.nan, 1 - roc(to_fake, to_held_out).auc)


def mann_whitney(a: Floats, b: Floats) -> float:
    """The U statistic of a > b in standard deviations from its mean, corrected for ties; 0 where all are equal."""
    m, n = len(a), len(b)
    u = float(np.sum(_placements(a, b)))
    _, counts = np.unique(np.concatenate([a, b]), return_counts=True)
    ties = np.sum(counts.astype(np.float64) ** 3 - counts) / ((m + n) * (m + n - 1))
    variance = m * n / 12 * (m + n + 1 - ties)
    return (u - m * n / 2) / math.sqrt(variance) if variance > 0 else 0.0


def _placements(a: Floats, b: Floats) -> Floats:
    """For each of `a`, how many of `b` lie below it; equal ones count half."""
    ordered = np.sort(b)
    return 0.5 * (np.searchsorted(ordered, a, "left") + np.searchsorted(ordered, a, "right"))


def k_means(features: Array, k: int, seed: int = 0, rounds: int = 20) -> Floats:
    """Centres (at most k, d) by Lloyd's iteration, begun as k-means++ (Arthur & Vassilvitskii 2007)."""
    features, rng = np.asarray(features, np.float64), np.random.default_rng(seed)
    centres = features[rng.integers(len(features))][None]
    while len(centres) < min(k, len(features)):
        squared = nearest(features, centres)[0][:, 0] ** 2
        if not squared.any():
            break
        centres = np.concatenate([centres, features[rng.choice(len(features), p=squared / squared.sum())][None]])
    for _ in range(rounds):
        labels = nearest(features, centres)[1][:, 0]
        there = np.unique(labels)
        moved = np.stack([features[labels == label].mean(axis=0) for label in there])
        if moved.shape == centres.shape and np.allclose(moved, centres):
            break
        centres = moved
    return centres


def authenticity(train: Array, fake: Array, own: Floats | None = None) -> tuple[float, float]:
    """The share of pictures that are farther from their nearest training picture than that one is from its own nearest
    (Alaa et al. 2022, section 3.3), and its standard error. 0: all are noisy copies.

    `own` (len(train),) are the distances to each training picture's nearest other one, where they are known.
    """
    distance, index = nearest(fake, train)
    own = nearest(train, train, same=True)[0][:, 0] if own is None else own
    authentic = distance[:, 0] > own[index[:, 0]]
    return float(np.mean(authentic)), error_of_mean(authentic)


class Roc(NamedTuple):
    """A receiver operating characteristic.

    auc, error: the area under it and its standard error (DeLong et al. 1988).
    false, true: rates at every threshold, ascending from (0, 0) to (1, 1).
    """

    auc: float
    error: float
    false: Floats
    true: Floats

    def true_at(self, false: float) -> float:
        """The largest true positive rate at this false positive rate or less."""
        return float(self.true[self.false <= false].max())


def roc(members: Floats, others: Floats) -> Roc:
    """How well a score tells members (higher) from others.

    Raises:
      UserError: fewer than two of either.
    """
    members, others = np.asarray(members, np.float64), np.asarray(others, np.float64)
    if min(len(members), len(others)) < 2:
        raise UserError(f"a ROC needs at least two of each, not {len(members)} and {len(others)}")
    above = _placements(members, others) / len(others)
    below = 1 - _placements(others, members) / len(members)
    error = math.sqrt(np.var(above, ddof=1) / len(members) + np.var(below, ddof=1) / len(others))
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    rates = [1 - np.searchsorted(np.sort(x), thresholds, "left") / len(x) for x in (others, members)]
    false, true = (np.concatenate([[0.0], rate]) for rate in rates)
    return Roc(float(np.mean(above)), error, false, true)


def variants(images: Array, shifts: tuple[int, ...] = (1, 2), mirror: bool = True) -> Iterator[tuple[str, Floats]]:
    """Pictures (n, height, width, channels) as they are, mirrored and shifted by some pixels, each with its name.

    The edge is repeated where a shifted picture has no pixels.
    """
    images = np.asarray(images)
    most = max(shifts, default=0)
    padded = np.pad(images, [(0, 0), (most, most), (most, most), (0, 0)], mode="edge")
    height, width = images.shape[1:3]
    moves = [(0, 0)] + [move for s in shifts for move in ((s, 0), (-s, 0), (0, s), (0, -s))]
    for down, right in moves:
        top, left = most - down, most - right
        moved = padded[:, top : top + height, left : left + width]
        name = f"shift {down},{right}" if (down, right) != (0, 0) else ""
        yield name or "as it is", moved
        if mirror:
            yield f"mirror {name}".strip(), moved[:, :, ::-1]


class Match(NamedTuple):
    """For each picture: root mean squared difference to its nearest of the others over all variants, in [0, 1] of the
    range of pixels; the row of that one; and the variant's name.
    """

    distance: Floats
    row: Floats
    variant: list[str]


def nearest_variant(queries: Array, keys: Array, shifts: tuple[int, ...] = (1, 2), mirror: bool = True) -> Match:
    """The nearest of `keys` to any variant of each of `queries`, both uint8 (n, height, width, channels)."""
    rows = lambda x: np.asarray(x, np.float32).reshape(len(x), -1) / 255
    flat = rows(keys)
    best: Match | None = None
    for name, moved in variants(queries, shifts, mirror):
        distance, index = (x[:, 0] for x in nearest(rows(moved), flat))
        distance = distance / math.sqrt(flat.shape[1])
        if best is None:
            best = Match(distance, index, [name] * len(distance))
            continue
        closer = distance < best.distance
        words = [name if c else old for c, old in zip(closer, best.variant, strict=True)]
        best = Match(np.where(closer, distance, best.distance), np.where(closer, index, best.row), words)
    assert best is not None
    return best


def percentiles(values: Floats, reference: Floats) -> Floats:
    """For each value, the percentage of reference values below it; equal ones count half."""
    return 100 * _placements(values, reference) / len(reference)
