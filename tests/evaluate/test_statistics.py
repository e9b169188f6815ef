"""Files of mu and sigma."""

import json

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.evaluate.statistics import facts, read_statistics, save_statistics
from genart_jax.metrics import frechet


def moments(dimensions=4, seed=0):
    return frechet.fit(np.random.default_rng(seed).normal(size=(30, dimensions)))


def test_what_is_written_is_read(tmp_path):
    extractor = make_extractor("pixels:2")
    path = save_statistics(tmp_path / "x.npz", moments(12), facts(extractor) | {"pictures": 30})
    found = read_statistics(path)
    mean, covariance = frechet.compute(moments(12))
    np.testing.assert_array_equal(found.mu, mean)
    np.testing.assert_array_equal(found.sigma, covariance)
    np.testing.assert_allclose(found.moments.comoment, moments(12).comoment, rtol=1e-12)
    assert found.moments.count == 30
    assert found.caveat == ""
    found.check(extractor, 12)
    with pytest.raises(ga.UserError, match="made with extractor pixels_2, not pixels_3"):
        found.check(make_extractor("pixels:3"), 12)
    with pytest.raises(ga.UserError, match="is there already"):
        save_statistics(path, moments(), {})
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_published_files_hold_mu_and_sigma_alone(tmp_path):
    mean, covariance = frechet.compute(moments())
    np.savez(tmp_path / "cifar.npz", mu=mean.astype(np.float32), sigma=covariance, mu_s=np.zeros(2))
    found = read_statistics(tmp_path / "cifar.npz")
    assert found.mu.dtype == np.float64
    assert len(found.digest) == 64
    assert "does not say" in found.caveat
    found.check(make_extractor("pixels:2"), 4)
    with pytest.raises(ga.UserError, match=r"cifar\.npz has statistics of 4 numbers a picture, pixels_2 makes 12"):
        found.check(make_extractor("pixels:2"), 12)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.zeros(3)}, "holds images, and no mu and sigma"),
        ({"mu": np.zeros(3), "sigma": np.zeros((4, 4))}, r"mu of \(3,\) and sigma of \(4, 4\)"),
        ({"mu": np.full(3, np.nan), "sigma": np.eye(3)}, "finite real"),
        ({"mu": np.zeros(3), "sigma": np.eye(3) * 1j}, "finite real"),
        ({"mu": np.zeros(2), "sigma": np.array([[1.0, 2], [0, 1]])}, "not symmetric"),
        ({"mu": np.array([{}]), "sigma": np.eye(1)}, "cannot be read"),
    ],
)
def test_wrong_files(tmp_path, arrays, words):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ga.UserError, match=words):
        read_statistics(tmp_path / "x.npz")


def test_no_such_files(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(ga.UserError, match="cannot be read"):
        read_statistics(tmp_path / "x.npz")
    (tmp_path / "y.npz").write_text(json.dumps({}))
    with pytest.raises(ga.UserError, match="cannot be read"):
        read_statistics(tmp_path / "y.npz")
    with pytest.raises(ga.UserError, match="no such file"):
        read_statistics(tmp_path / "nowhere.npz")
    with pytest.raises(ga.UserError, match=r"ends in \.npz"):
        save_statistics(tmp_path / "x.npy", moments(), {})
    with pytest.raises(ga.UserError, match="no such folder"):
        save_statistics(tmp_path / "new" / "x.npz", moments(), {})
