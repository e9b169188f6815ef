"""Distances between distributions, against SciPy, prdc, scikit-learn and what torch-fidelity says."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import prdc
import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats

import genart_jax as ga
from genart_jax.metrics import (
    diversity,
    features,
    frechet,
    inception_score,
    kernel,
    monge,
    neighbours,
    precision_recall,
)
from tests.metrics import seeded

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())


@pytest.fixture(params=list(seeded.FEATURES))
def sets(request):
    """(name, real features, generated features)."""
    real, fake = seeded.FEATURES[request.param]
    return request.param, seeded.features(*real), seeded.features(*fake)


def test_frechet_distance(sets):
    name, real, fake = sets
    got = frechet.distance(frechet.fit(real), frechet.fit(fake))
    np.testing.assert_allclose(got, REFERENCE[name]["frechet_inception_distance"], rtol=1e-4)
    a, b = (np.cov(x.astype(np.float64), rowvar=False) for x in (real, fake))
    shift = real.mean(0, dtype=np.float64) - fake.mean(0, dtype=np.float64)
    if len(fake) > fake.shape[1]:  # SciPy's root of a singular product is not accurate
        direct = shift @ shift + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
        np.testing.assert_allclose(got, direct, rtol=1e-6)


def test_frechet_distance_of_known_gaussians():
    """Diagonal covariances: the sum of squared differences of standard deviations."""
    moments = [
        frechet.Moments(np.float64(11), np.array(m), 10 * np.diag(s) ** 2.0)
        for m, s in (([0.0, 1.0, 2.0], [1.0, 2.0, 0.0]), ([1.0, 1.0, 0.0], [3.0, 0.5, 0.1]))
    ]
    np.testing.assert_allclose(frechet.distance(*moments), 1 + 4 + 4 + 2.25 + 0.01, rtol=1e-12)
    assert abs(frechet.distance(moments[0], moments[0])) < 1e-12


def test_moments_merge_and_skip_padding():
    x = seeded.features(0, 100, 8, 1000.0, 1.0)  # far from the origin: sums of squares would cancel
    parts = [frechet.update(frechet.empty(8), x[i : i + 30]) for i in range(0, 90, 30)]
    padded = np.concatenate([x[90:], x[:5]])
    parts.append(frechet.update(frechet.empty(8), padded, np.array([1.0] * 10 + [0.0] * 5)))
    merged = frechet.merge(frechet.merge(parts[3], parts[0]), frechet.merge(parts[2], parts[1]))
    mean, covariance = frechet.compute(merged)
    np.testing.assert_allclose(mean, x.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(x.astype(np.float64), rowvar=False), rtol=1e-9)
    doubled = frechet.update(frechet.empty(8), x, np.full(100, 2))
    np.testing.assert_allclose(doubled.comoment, 2 * np.asarray(merged.comoment), rtol=1e-9)
    assert jnp.zeros(2).dtype == jnp.float32  # 64 bits stayed inside
    assert frechet.merge(frechet.empty(8), merged).comoment.dtype == np.float64
    with pytest.raises(ga.UserError, match="at least 2"):
        frechet.compute(frechet.empty(3))


def test_frechet_distance_by_products_of_few_pictures(sets):
    """Singular values of the pictures' products, against square roots of covariances."""
    _, real, fake = sets
    got = frechet.of_few(real[:40], fake[:25])
    np.testing.assert_allclose(got, frechet.distance(frechet.fit(real[:40]), frechet.fit(fake[:25])), rtol=1e-6)
    a, b = (np.cov(x.astype(np.float64), rowvar=False) for x in (real[:40], fake[:25]))
    shift = real[:40].mean(0, dtype=np.float64) - fake[:25].mean(0, dtype=np.float64)
    values = np.linalg.eigvals(a @ b)  # of a product of two covariances: real, not negative
    direct = shift @ shift + np.trace(a + b) - 2 * np.sum(np.sqrt(np.maximum(values.real, 0)))
    np.testing.assert_allclose(got, direct, rtol=1e-4)
    with pytest.raises(ga.UserError, match="at least 2"):
        frechet.of_few(real[:1], fake)


def test_published_statistics_are_moments(sets):
    _, real, fake = sets
    mean, covariance = real.mean(0, dtype=np.float64), np.cov(real.astype(np.float64), rowvar=False)
    moments = frechet.of_statistics(mean, covariance)
    wanted = frechet.distance(frechet.fit(real), frechet.fit(fake))
    np.testing.assert_allclose(frechet.distance(moments, frechet.fit(fake)), wanted, rtol=1e-7)
    whole = frechet.of_statistics(mean, covariance, len(real))
    merged = frechet.compute(frechet.merge(whole, frechet.fit(fake)))
    both = np.concatenate([real, fake]).astype(np.float64)
    np.testing.assert_allclose(merged[1], np.cov(both, rowvar=False), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_weighted_distances_are_those_to_repeated_pictures(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    real, x = frechet.fit(seeded.features(0, 90, 6, 100.0, 1.0)), seeded.features(1, 50, 6, 100.5, 1.2)
    weights = [np.arange(50) % 4, np.arange(50) < 20]
    wanted = [frechet.distance(real, frechet.fit(np.repeat(x, w, axis=0))) for w in weights]
    np.testing.assert_allclose(list(frechet.weighted_distances(real, x, weights)), wanted, rtol=1e-9)


def test_bootstrap_error_is_the_spread_over_new_samples():
    draw = lambda seed: np.random.default_rng(seed).standard_normal((300, 4)) * [1, 1.5, 1, 0.5] + [0.5, 0, 0, 0]
    real = frechet.fit(np.random.default_rng(1000).standard_normal((400, 4)))
    spread = np.std([frechet.distance(real, frechet.fit(draw(seed))) for seed in range(100)], ddof=1)
    errors = [frechet.bootstrap_error(real, draw(seed), 50, seed) for seed in range(5)]
    np.testing.assert_allclose(np.mean(errors), spread, rtol=0.2)


def test_extrapolation_takes_the_bias_of_few_samples_away():
    """Both sets from one distribution, the real one very large: at infinitely many samples the distance is 0."""
    dimensions, n = 20, 400
    real = frechet.Moments(np.float64(1e9), np.zeros(dimensions), (1e9 - 1) * np.eye(dimensions))
    values, plain = [], []
    for seed in range(8):
        x = np.random.default_rng(seed).standard_normal((n, dimensions))
        found = frechet.extrapolate(real, x, smallest=100, seed=seed)
        values.append(found.value)
        plain.append(found.distances[-1])
        np.testing.assert_allclose(plain[-1], frechet.distance(real, frechet.fit(x)), rtol=1e-9)
    assert found.sizes[0] == 100
    assert found.sizes[-1] == n
    assert len(found.sizes) == 15
    error = np.std(values, ddof=1) / np.sqrt(8)
    assert np.mean(plain) > 0.25
    assert abs(np.mean(values)) < max(4 * error, 0.02)
    # The line itself, by another package.
    line = scipy.stats.linregress(1 / np.array(found.sizes), found.distances)
    np.testing.assert_allclose([found.value, found.fit_error], [line.intercept, line.intercept_stderr], rtol=1e-6)


def test_kernel_distance(sets, monkeypatch):
    name, real, fake = sets
    expected = REFERENCE[name]
    got = kernel.subsets(real, fake, size=40, count=20)
    np.testing.assert_allclose(got.value, expected["kernel_inception_distance_mean"], rtol=1e-4)
    np.testing.assert_allclose(got.standard_error, expected["kernel_inception_distance_std"], rtol=1e-4)
    whole = kernel.polynomial(real, fake)
    monkeypatch.setattr(kernel, "_TILE", 37)
    np.testing.assert_allclose(kernel.polynomial(real, fake), whole, rtol=1e-9)


def test_jackknife_of_the_kernel_distance():
    x, y = seeded.features(0, 30, 5, 0, 1).astype(np.float64), seeded.features(1, 20, 5, 0.2, 1).astype(np.float64)
    got = kernel.polynomial(x, y)
    left_out = [[kernel.polynomial(np.delete(x, i, 0), y).value for i in range(30)],
                [kernel.polynomial(x, np.delete(y, i, 0)).value for i in range(20)]]  # fmt: skip
    variance = sum((len(v) - 1) / len(v) * np.sum((v - np.mean(v)) ** 2) for v in map(np.array, left_out))
    np.testing.assert_allclose(got.standard_error, np.sqrt(variance), rtol=1e-9)
    # And it is the spread over new samples. Where both sets are alike, a jackknife of pairs is too wide, never too
    # narrow, and the distance has no bias.
    for shift, ratios in ((0.0, (1.0, 1.7)), (1.0, (0.8, 1.25))):
        shifted = np.array([0.0, shift])[:, None, None]
        draws = [
            kernel.polynomial(*(np.random.default_rng(seed).standard_normal((2, 100, 5)) + shifted))
            for seed in range(120)
        ]
        values = np.array([d.value for d in draws])
        assert shift or abs(values.mean()) < 3 * values.std() / np.sqrt(120)
        assert ratios[0] < np.mean([d.standard_error for d in draws]) / values.std() < ratios[1]


def test_precision_recall_density_coverage(sets, monkeypatch, capsys):
    name, real, fake = sets
    for k in (3, 5):
        expected = prdc.compute_prdc(real, fake, k)
        got = precision_recall.compute(real, fake, k)
        for figure, value in expected.items():
            np.testing.assert_allclose(getattr(got, figure)[0], value, rtol=1e-9, err_msg=figure)
    of_three = precision_recall.compute(real, fake, 3)
    np.testing.assert_allclose(of_three.precision[0], REFERENCE[name]["precision"], rtol=1e-6)
    np.testing.assert_allclose(of_three.recall[0], REFERENCE[name]["recall"], rtol=1e-6)
    monkeypatch.setattr(precision_recall, "TILE", 41)
    monkeypatch.setattr(neighbours, "TILE", 41)
    assert precision_recall.compute(real, fake, 5) == got
    p = got.precision[0]
    np.testing.assert_allclose(got.precision[1] ** 2, p * (1 - p) / (len(fake) - 1), atol=1e-12)


def test_nearest_neighbours(sets, monkeypatch):
    _, real, fake = sets
    monkeypatch.setattr(neighbours, "TILE", 64)
    distances, indices = neighbours.nearest(fake, real, 4)
    expected, places = scipy.spatial.KDTree(real.astype(np.float64)).query(fake.astype(np.float64), 4)
    np.testing.assert_allclose(distances, expected, rtol=1e-6)
    np.testing.assert_array_equal(indices, places)
    own, mine = neighbours.nearest(real, real, 2, same=True)
    expected, places = scipy.spatial.KDTree(real.astype(np.float64)).query(real.astype(np.float64), 3)
    np.testing.assert_allclose(own, expected[:, 1:], rtol=1e-6)
    np.testing.assert_array_equal(mine, places[:, 1:])
    with pytest.raises(ga.UserError, match="too few"):
        neighbours.nearest(real[:3], real[:3], 3, same=True)


def test_inception_score(sets):
    name, _, fake = sets
    mean, spread = inception_score.over_splits(fake, 10)
    np.testing.assert_allclose(mean, REFERENCE[name]["inception_score_mean"], rtol=1e-6)
    np.testing.assert_allclose(spread, REFERENCE[name]["inception_score_std"], rtol=1e-4)
    classes = fake.shape[1]
    parts = [inception_score.update(inception_score.empty(classes), x) for x in (fake[:20], fake[20:])]
    padded = inception_score.update(parts[0], fake, np.zeros(len(fake)))
    merged = inception_score.compute(inception_score.merge(padded, parts[1]))
    np.testing.assert_allclose(merged, inception_score.over_splits(fake, 1)[0], rtol=1e-9)
    sure = 1000 * np.eye(4)
    np.testing.assert_allclose(inception_score.over_splits(sure, 1)[0], 4, rtol=1e-9)


def test_sliced_wasserstein(sets):
    _, real, fake = sets
    value, error = diversity.sliced_wasserstein(real, fake, 20, seed=3)
    along = diversity.directions(real.shape[1], 20, 3)
    np.testing.assert_allclose(np.linalg.norm(along, axis=0), 1)
    each = [scipy.stats.wasserstein_distance(real @ d, fake @ d) for d in along.T]
    np.testing.assert_allclose(value, np.mean(each), rtol=1e-6)
    rng, again = np.random.default_rng(3), []
    for _ in range(20):
        drawn = fake[rng.integers(0, len(fake), len(fake))]
        again.append(np.mean([scipy.stats.wasserstein_distance(real @ d, drawn @ d) for d in along.T]))
    np.testing.assert_allclose(error, np.std(again, ddof=1), rtol=1e-4)


def quantiles(values, count):
    """`count` values that spread as `values` do, where count is a multiple of theirs."""
    return np.repeat(np.sort(values), count // len(values))


def test_monge_distance(sets):
    """Against pairs of sorted values, as many of each as the least common multiple has."""
    _, real, fake = sets
    d = real.shape[1]
    got = monge.monge(real, fake, projections=30, seed=3)
    along = diversity.directions(d, 30, 3)
    count = np.lcm(len(real), len(fake))
    squared = lambda x, y: np.mean((quantiles(x, count) - quantiles(y, count)) ** 2)
    wide = real.astype(np.float64), fake.astype(np.float64)
    np.testing.assert_allclose(got.value, 3 * d * np.mean([squared(wide[0] @ u, wide[1] @ u) for u in along.T]))
    rng, again = np.random.default_rng(3), []
    for _ in range(20):
        drawn = wide[1][rng.integers(0, len(fake), len(fake))]
        again.append(3 * d * np.mean([squared(wide[0] @ u, drawn @ u) for u in along.T]))
    np.testing.assert_allclose(got.standard_error, np.std(again, ddof=1), rtol=1e-7)


def test_monge_distance_in_blocks_and_of_known_distributions(monkeypatch):
    x, y = seeded.features(0, 60, 7, 0, 1), seeded.features(1, 60, 7, 0, 1)
    whole = monge.monge(x, y, 11)
    assert monge.monge(x, x, 5).value == 0
    np.testing.assert_allclose(monge.monge(y, x, 11, replicates=0).value, whole.value, rtol=1e-12)
    # A shift by s: each projection moves by u's, whose square has the mean |s|^2 / d; times 3 d that is 3 |s|^2.
    shift = np.array([1.0, -2.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(monge.monge(x, x + shift, 4000, replicates=0).value, 3 * shift @ shift, rtol=0.05)
    monkeypatch.setattr(monge, "_BLOCK", 130)  # two directions at a time
    np.testing.assert_allclose(monge.monge(x, y, 11), whole, rtol=1e-12)
    with pytest.raises(ga.UserError, match="at least 1"):
        monge.monge(x, y, 0)
    with pytest.raises(ga.UserError, match="different lengths"):
        monge.monge(x, y[:, :3])


def test_pairwise_diversity(sets, monkeypatch):
    _, real, _ = sets
    value, error = diversity.pairwise(real)
    np.testing.assert_allclose(value, scipy.spatial.distance.pdist(real.astype(np.float64)).mean(), rtol=1e-9)
    left_out = np.array([diversity.pairwise(np.delete(real, i, 0))[0] for i in range(0, len(real), 7)])
    assert abs(left_out - value).max() > 0
    monkeypatch.setattr(diversity, "TILE", 33)
    np.testing.assert_allclose(diversity.pairwise(real), (value, error), rtol=1e-9)
    few = real[:9]
    left_out = np.array([diversity.pairwise(np.delete(few, i, 0))[0] for i in range(9)])
    np.testing.assert_allclose(
        diversity.pairwise(few)[1], np.sqrt(8 / 9 * np.sum((left_out - left_out.mean()) ** 2)), rtol=1e-9
    )


def test_modes():
    labels = np.array([0, 0, 1, 3])
    found = diversity.modes(labels, 4)
    assert found.found == 3
    np.testing.assert_allclose(found.kl, scipy.stats.entropy([0.5, 0.25, 0, 0.25], [0.25] * 4), rtol=1e-12)
    assert diversity.modes(labels, 4, [2, 1, 5, 0]).kl == np.inf
    np.testing.assert_allclose(diversity.modes(labels, 4, [4, 2, 0, 2]).kl, 0, atol=1e-12)
    with pytest.raises(ga.UserError, match="integers"):
        diversity.modes(np.array([4]), 4)


def test_within_each_condition():
    x, y = seeded.features(0, 90, 4, 0, 1), seeded.features(1, 60, 4, 0, 1)
    labels, others = np.arange(90) % 3, np.arange(60) % 2
    got = diversity.per_condition(lambda a, b: (len(a), len(b)), x, labels, y, others)
    assert got == {0: (30, 30), 1: (30, 30)}
    with pytest.raises(ga.UserError, match="in common"):
        diversity.per_condition(len, x, labels, y, others + 5)


def test_collected_features_merge():
    x = seeded.features(0, 10, 4, 0, 1)
    a = features.update(features.empty(), jnp.asarray(x[:4]))
    b = features.update(features.empty(), x[4:], np.array([1, 1, 1, 1, 0, 0]))
    np.testing.assert_array_equal(features.compute(features.merge(a, b)), x[:8])
    with pytest.raises(ga.UserError, match="no features"):
        features.compute(features.empty())


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4)), "different lengths"),
        (np.zeros((5, 3, 1)), np.zeros((5, 3)), "wanted"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "not finite"),
    ],
)
def test_wrong_features_are_named(real, fake, words):
    for metric in (kernel.polynomial, precision_recall.compute, diversity.sliced_wasserstein):
        with pytest.raises(ga.UserError, match=words):
            metric(real, fake)


def test_tiles_bound_memory():
    """Nothing of the size of all pairs: the largest array of a tile's program does not grow with the sets."""
    struct = lambda *shape: jax.ShapeDtypeStruct(shape, np.float64)
    with jax.enable_x64(True):
        tile = neighbours.TILE
        program = precision_recall._tile.lower(struct(tile, 1280), struct(tile, 1280), struct(tile), struct(tile))
        assert program.compile().memory_analysis().temp_size_in_bytes < 8 * tile * tile * 8
