"""Tests for copies, against SciPy and scikit-learn, and on generators that copy or do not."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

import genart_jax as ga
from genart_jax.metrics import memorisation
from genart_jax.metrics.memorisation import mann_whitney, nearest_variant, roc, three_sample


def blobs(seed, n, d=6):
    """Two clusters."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + 6 * rng.integers(0, 2, (n, 1))


TRAIN, HELD_OUT, HONEST = blobs(0, 300), blobs(1, 200), blobs(2, 250)
COPIER = TRAIN[:250] + 0.05 * np.random.default_rng(3).standard_normal((250, 6))


def test_mann_whitney_is_scipys():
    a, b = np.random.default_rng(0).integers(0, 9, 40) * 1.0, np.random.default_rng(1).integers(2, 10, 60) * 1.0
    for x, y in ((a, b), (b, a), (a + 0.1 * np.arange(40), b)):
        expected = scipy.stats.mannwhitneyu(x, y, alternative="less", method="asymptotic", use_continuity=False)
        np.testing.assert_allclose(scipy.stats.norm.cdf(mann_whitney(x, y)), expected.pvalue, rtol=1e-9)
    assert mann_whitney(np.ones(3), np.ones(4)) == 0


def test_roc_is_scikit_learns():
    rng = np.random.default_rng(0)
    members, others = np.round(rng.normal(0.5, 1, 80), 1), np.round(rng.normal(0, 1, 120), 1)
    found = roc(members, others)
    truth, scores = np.repeat([1, 0], [80, 120]), np.concatenate([members, others])
    np.testing.assert_allclose(found.auc, sklearn.metrics.roc_auc_score(truth, scores), rtol=1e-12)
    false, true, _ = sklearn.metrics.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false, false)
    np.testing.assert_allclose(found.true, true)
    np.testing.assert_allclose(found.true_at(0.01), true[false <= 0.01].max())
    spread = np.std([roc(rng.normal(0.5, 1, 80), rng.normal(0, 1, 120)).auc for _ in range(200)])
    np.testing.assert_allclose(found.error, spread, rtol=0.2)
    with pytest.raises(ga.UserError, match="at least two"):
        roc(members[:1], others)


def test_three_samples():
    honest, copier = (three_sample(TRAIN, HELD_OUT, x) for x in (HONEST, COPIER))
    assert abs(honest.z) < 3
    assert abs(honest.cells) < 3
    assert copier.z < -10
    assert copier.cells < -5
    assert copier.closer > 0.95
    # One region is copied, and pictures of the other are far off: the whole hides it, the regions show it.
    copied = TRAIN[TRAIN.mean(1) > 3][:120]
    far = blobs(5, 300)
    far = far[far.mean(1) < 3][:120] * 2.0
    mixed = three_sample(TRAIN, HELD_OUT, np.concatenate([copied, far]), cells=2)
    only = three_sample(TRAIN, HELD_OUT, copied, cells=2)
    assert mixed.z > only.z + 5
    assert only.cells < -5


def test_authenticity():
    honest, _ = memorisation.authenticity(TRAIN, HONEST)
    held_out, error = memorisation.authenticity(TRAIN, HELD_OUT)
    copier, _ = memorisation.authenticity(TRAIN, COPIER)
    assert copier < 0.02
    assert abs(honest - held_out) < 4 * error
    # By hand: the nearest training point of each, and that one's own nearest.
    train, fake = np.array([[0.0], [1.0], [5.0]]), np.array([[0.5], [7.0], [-3.0], [9.5]])
    np.testing.assert_allclose(memorisation.authenticity(train, fake)[0], 0.5)


def test_k_means_finds_clusters():
    centres = memorisation.k_means(TRAIN, 2)
    np.testing.assert_allclose(np.sort(centres.mean(1)), [0, 6], atol=0.3)
    assert len(memorisation.k_means(np.zeros((5, 2)), 3)) == 1


def pictures(seed, n):
    low = np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 3))
    return np.kron(low, np.ones((1, 4, 4, 1))).astype(np.uint8)


def test_duplicates_under_mirroring_and_shifts():
    train, others = pictures(0, 30), pictures(1, 10)
    moved = np.pad(train[:, :-2], [(0, 0), (2, 0), (0, 0), (0, 0)], mode="edge")  # two pixels down
    fake = np.concatenate([train[3:4], train[5:6, :, ::-1], moved[7:8], moved[9:10, :, ::-1], others])
    match = nearest_variant(fake, train)
    assert match.distance[:2].max() == 0
    assert match.distance[:4].max() < match.distance[4:].min() / 2
    np.testing.assert_array_equal(match.row[:4], [3, 5, 7, 9])
    assert match.variant[:2] == ["as it is", "mirror"]
    assert match.variant[2] == "shift -2,0"
    assert match.variant[3] == "mirror shift -2,0"
    plain = nearest_variant(fake, train, shifts=(), mirror=False)
    difference = (others[0] / 255.0 - train / 255.0).reshape(30, -1)
    np.testing.assert_allclose(plain.distance[4], np.sqrt((difference**2).mean(1)).min(), rtol=1e-5)
    assert len(list(memorisation.variants(train))) == 18


def test_copies_are_at_no_distance_to_the_last_bit():
    train = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), np.uint8)
    match = nearest_variant(train[50:150], train, shifts=())
    assert not match.distance.any()
    np.testing.assert_array_equal(match.row, np.arange(50, 150))


def test_percentiles():
    reference = np.arange(10.0)
    np.testing.assert_allclose(memorisation.percentiles(np.array([-1, 4.5, 4, 99]), reference), [0, 50, 45, 100])
