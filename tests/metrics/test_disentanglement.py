"""MIG and DCI: of latents that are the factors, of mixtures of them, and against scikit-learn."""

import numpy as np
from sklearn.metrics import mutual_info_score

from genart_jax.metrics import disentanglement

RNG = np.random.default_rng(0)
FACTORS = {"a": RNG.integers(0, 4, 3000), "b": RNG.integers(0, 3, 3000)}
NOISE = 0.05 * RNG.normal(size=(3000, 3))
APART = np.stack([FACTORS["a"], FACTORS["b"], 0 * FACTORS["a"]], axis=1) + NOISE * [1, 1, 20]
MIXED = np.stack([FACTORS["a"] + FACTORS["b"], FACTORS["a"] - FACTORS["b"], 0 * FACTORS["a"]], axis=1) + NOISE


def gap(latents):
    return disentanglement.gap(*disentanglement.mutual_information(latents, FACTORS))


def test_information_is_that_of_scikit_learn():
    told, entropy = disentanglement.mutual_information(MIXED, FACTORS, bins=7)
    for j in range(3):
        edges = np.linspace(MIXED[:, j].min(), MIXED[:, j].max(), 8)[1:-1]
        cells = np.digitize(MIXED[:, j], edges)
        for i, labels in enumerate(FACTORS.values()):
            np.testing.assert_allclose(told[i, j], mutual_info_score(labels, cells), atol=1e-3)
    for i, labels in enumerate(FACTORS.values()):
        np.testing.assert_allclose(entropy[i], mutual_info_score(labels, labels), rtol=1e-9)


def test_the_gap_is_wide_where_each_factor_has_its_number():
    assert gap(APART).min() > 0.95
    assert gap(MIXED).max() < 0.3
    np.testing.assert_allclose(gap(np.repeat(APART[:, :1], 2, axis=1))[0], 0, atol=1e-9)  # two that tell the same


def test_dci():
    apart, mixed = (disentanglement.dci(x, FACTORS) for x in (APART, MIXED))
    assert min(apart.disentanglement, apart.completeness) > 0.9
    assert max(mixed.disentanglement, mixed.completeness) < 0.6
    assert apart.informativeness > 0.99
    assert mixed.informativeness > 0.9  # all of it is there, not apart
    nothing = disentanglement.dci(NOISE, FACTORS)
    assert abs(nothing.informativeness - nothing.chance) < 0.06
