"""Runs of a few steps, and a cache of their own for features."""

import pytest

import genart_jax as ga
from tests.data.test_idx import write


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Runs of two steps by name: two GANs that differ by their seed, a VAE, a classifier, and two on stacked digits."""
    root = tmp_path_factory.mktemp("evaluated")
    write(root / "digits", size=(16, 16), classes=3)

    def fit(place, model, source="emoji", seed=0):
        options = {"train": {"steps": 2, "seed": seed}, "parallel": {"data": 1}, "data": {"source": source}}
        ga.fit(ga.configure(model, preset="tiny", **options), root / place)

    fit("gan", "dcgan")
    fit("gan_1", "dcgan", seed=1)
    fit("vae", "conv_vae")
    fit("classifier", "simple_cnn")
    fit("stacked", "dcgan", f"stacked:{root / 'digits'}")
    fit("digits_classifier", "simple_cnn", f"idx:{root / 'digits'}")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder in which features are kept."""
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
