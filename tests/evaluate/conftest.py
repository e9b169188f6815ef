"""Runs of a few steps, and a cache of their own for features."""

import json
import shutil

import pytest

import genart_jax as ga
from tests.data.test_idx import write


def another_seed(run, copy):
    """A copy of a run that says it was trained with seed 1."""
    shutil.copytree(run, copy)
    config = json.loads((copy / "config.json").read_text())
    config["run"]["train"]["seed"] = 1
    (copy / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="session")
def runs(tmp_path_factory, brief_run):
    """Runs of two steps by name: a GAN, a VAE, a classifier, and two on (stacked) digits.

    gan_1 is a copy of the GAN that says it had another seed.
    """
    root = tmp_path_factory.mktemp("evaluated")
    write(root / "digits", size=(16, 16), classes=3)

    def fit(place, model, source):
        options = {"train": {"steps": 2}, "parallel": {"data": 1}, "data": {"source": source}}
        ga.fit(ga.configure(model, preset="tiny", **options), root / place)

    for place, model in (("gan", "dcgan"), ("vae", "conv_vae"), ("classifier", "simple_cnn")):
        brief_run(model, root / place)
    fit("stacked", "dcgan", f"stacked:{root / 'digits'}")
    fit("digits_classifier", "simple_cnn", f"idx:{root / 'digits'}")
    another_seed(root / "gan", root / "gan_1")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder in which features are kept."""
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
