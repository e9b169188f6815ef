"""Runs that were trained on 2026-11-28, before the engine: they load, do what they did, and go on."""

import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

import genart_jax as ga
from tests.golden import cases

HERE = Path(__file__).parent
USES = json.loads((HERE / "states.json").read_text(encoding="utf-8"))["uses"]


@pytest.fixture
def old(tmp_path):
    """A function: name -> the directory of that run."""

    def unpacked(name):
        with zipfile.ZipFile(HERE / f"{name}.zip") as archive:
            archive.extractall(tmp_path)
        return tmp_path / name

    return unpacked


def close(images, name):
    wanted = np.array(USES[name])
    assert np.linalg.norm(cases.sketch({"images": images}) - wanted) <= 1e-4 * np.linalg.norm(wanted)


def test_a_gan_samples_and_goes_on(old):
    directory = old("dcgan")
    model = ga.load(directory)
    asked = {"style": 2, "shape": 1, "color": 3}
    sample = jax.jit(model.algorithm.sample, static_argnums=2)
    close(sample(model.state, jax.random.key(3), 4, asked), "dcgan sample")
    options = {"steps": 6, "batch": 8, "log_every": 2, "samples": 4}
    run = ga.configure("dcgan", preset="tiny", train=options, step={"r1_gamma": 1.0, "r1_every": 2})
    ga.fit(run, directory)
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows if "critic_loss" in row] == [2, 4, 6]


def test_a_tokenizer_reconstructs(old):
    model = ga.load(old("vqvae"))
    images = np.linspace(-1, 1, 2 * 32 * 32 * 3).astype(np.float32).reshape(2, 32, 32, 3)
    close(jax.jit(model.algorithm.transform)(model.state, images, jax.random.key(3)), "vqvae transform")
