"""The penalty of memorised pictures, against scikit-learn, and what torchmetrics 1.9.0 says of the same features."""

import numpy as np
import pytest
import sklearn.metrics

import genart_jax as ga
from genart_jax.metrics import mifid
from tests.metrics import seeded


def test_memorisation_distance(monkeypatch):
    """Against scikit-learn's cosine distances, whose sign the published code leaves out."""
    rng = np.random.default_rng(5)
    train, fake = rng.standard_normal((70, 6)), rng.standard_normal((40, 6))
    train[3] = fake[2] = 0  # no direction: left out
    fake[1] = -2 * train[1]
    distances = sklearn.metrics.pairwise_distances(np.delete(fake, 2, 0), np.delete(train, 3, 0), metric="cosine")
    least = np.min(1 - np.abs(1 - distances), axis=1)
    value, error = mifid.memorisation_distance(train, fake)
    np.testing.assert_allclose(value, least.mean(), rtol=1e-9)
    np.testing.assert_allclose(error, least.std(ddof=1) / np.sqrt(39), rtol=1e-9)
    assert least[1] < 1e-12
    monkeypatch.setattr(mifid, "_ROWS", 7)
    np.testing.assert_allclose(mifid.memorisation_distance(train, fake), (value, error), rtol=1e-12)
    assert np.isnan(mifid.memorisation_distance(train, np.zeros((2, 6)))[0])
    with pytest.raises(ga.UserError, match="different lengths"):
        mifid.memorisation_distance(train, fake[:, :4])


@pytest.mark.parametrize(
    ("name", "distance"),
    [
        ("few dimensions", 0.07585756065779757),
        ("more dimensions than pictures", 0.23881821014668944),
        ("far from the origin", 0.001937691602320718),
    ],
)
def test_as_torchmetrics(name, distance):
    real, fake = (seeded.features(*spec) for spec in seeded.FEATURES[name])
    np.testing.assert_allclose(mifid.memorisation_distance(real, fake)[0], distance, rtol=1e-6)


def test_the_penalty():
    assert mifid.penalty(0.05) == 20
    assert mifid.penalty(0.1) == mifid.penalty(0.3) == 1
    assert mifid.penalty(0.3, 0.5) == pytest.approx(1 / 0.3)
    assert mifid.penalty(0.0) == pytest.approx(1e15)
