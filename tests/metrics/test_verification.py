"""Verification and nearest neighbours by formulas of their own."""

import numpy as np
import pytest

from genart_jax.metrics import verification

RNG = np.random.default_rng(0)


def test_the_area_is_the_chance_that_a_true_pair_scores_higher():
    same, different = np.round(RNG.normal(1, 1, 60), 1), np.round(RNG.normal(0, 1, 80), 1)
    found = verification.roc(same, different)
    higher = np.mean((same[:, None] > different) + 0.5 * (same[:, None] == different))
    np.testing.assert_allclose(found.area, higher, rtol=1e-12)
    thresholds = np.unique(np.concatenate([same, different]))
    wrong = [max(np.mean(different >= t), np.mean(same < t)) for t in thresholds]
    assert min(wrong) - 0.03 < found.equal_error <= min(wrong) + 1e-9
    t = np.quantile(different, 0.9)
    assert found.accepted_at(0.1) >= np.mean(same > t)
    with pytest.raises(ValueError, match="0 pairs of one identity and 2 of two"):
        verification.roc(np.array([]), different[:2])
    clear = verification.roc(np.array([0.9, 0.8]), np.array([0.1, 0.2]))
    assert (clear.area, clear.equal_error) == (1.0, 0.0)


def test_pairs_and_nearest_neighbours():
    x, who = RNG.normal(size=(7, 3)), np.array([0, 0, 1, 1, 2, 2, 2])
    same, different = verification.pairs(x, who)
    assert (len(same), len(different)) == (5, 16)
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(same[0], cosine(x[0], x[1]), rtol=1e-12)
    near = [max((j for j in range(7) if j != i), key=lambda j, i=i: cosine(x[i], x[j])) for i in range(7)]
    assert verification.top_1(x, who) == np.mean(who[near] == who)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("figure", [verification.pairs, verification.top_1])
def test_an_embedding_without_a_direction_is_refused(figure, bad):
    vectors = np.ones((4, 3))
    vectors[2] = bad
    with pytest.raises(ValueError, match="1 of 4 embeddings are 0 or not finite"):
        figure(vectors, np.array([0, 0, 1, 1]))
