"""The listings of docs/extending.md, each run as it stands."""

import importlib
import json
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from PIL import Image

import genart_jax as ga
from genart_jax.losses import terms
from genart_jax.losses.adversarial import LOSSES
from tests import zoo

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"
KEY = jax.random.key(4)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """All listings as files of a folder on the path, forgotten afterwards."""
    listings = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name, text in listings:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(terms, "CRITIC_TERMS", dict(terms.CRITIC_TERMS))
    before = dict(LOSSES)
    yield {name: sum(1 for line in text.splitlines() if line.strip()) for name, text in listings}
    LOSSES.clear()
    LOSSES.update(before)
    for name, _ in listings:
        sys.modules.pop(name, None)


@pytest.fixture
def pictures(tmp_path):
    """A folder of twenty small pictures, as a source."""
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for i in range(20):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{i}.png")
    return {"source": f"folder:{folder}", "image_size": (16,)}


def fit(name, directory, data, steps):
    train = {"steps": steps, "batch": 8, "log_every": 2, "samples": 4}
    ga.fit(ga.configure(name, data=data, train=train, parallel={"data": 2}), directory)
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_listings_are_short(files):
    assert files["my_gp"] <= 12
    assert files["two_critics"] <= 60
    assert files["mlp_gan"] <= 45


def test_a_model_of_ones_own_trains(files, pictures, tmp_path):
    rows = fit("mlp_gan:Config", tmp_path / "run", pictures, 2)
    assert np.isfinite(rows[0]["critic_loss"])
    assert ga.load(tmp_path / "run").algorithm.batch_spec.image_shape == (16, 16, 3)


def test_a_loss_and_a_term_of_ones_own(files):
    importlib.import_module("my_gp")
    importlib.import_module("logistic_margin")
    rows = []
    for term in ("gp=10", "my_gp=10"):
        step = {"loss": "margin", "critic_terms": (term,), "r1_gamma": 0.0}
        algorithm = ga.build("mlp_gan:Config", image_shape=zoo.SHAPE, step=step)
        batch = zoo.batch(algorithm.batch_spec, 8)
        _, metrics = jax.jit(algorithm.step)(zoo.start(algorithm, KEY, batch), batch, KEY)
        rows.append((float(metrics["critic_loss"]), float(metrics[term.partition("=")[0]])))
    assert rows[0][0] == rows[1][0]  # before any update
    np.testing.assert_allclose(rows[0][1], rows[1][1], rtol=0.5)  # its own draws


def test_what_was_written_for_earlier_versions_is_refused_in_one_line(files, tmp_path):
    head = "from mlp_gan import Config, Critic, Generator, PRESETS, networks\nfrom genart_jax.types import Algorithm\n"
    step = "build = lambda networks, config, axis_name: Algorithm(None, 1, None, None, None, sample=None)\n"
    (tmp_path / "old_step.py").write_text(f"{head}STEP = 'old_step'\n{step}")
    bare = "networks = lambda config, dtype, axis_name: (Generator(config), Critic(config))\n"
    (tmp_path / "old_model.py").write_text(f"{head}STEP = 'genart_jax.steps.gan'\n{bare}")
    for name, words in (("old_step", "its step is of an earlier version .*'sample'"), ("old_model", "returned tuple")):
        with pytest.raises(ga.UserError, match=words) as found:
            ga.build(f"{name}:Config", image_shape=zoo.SHAPE)
        assert "docs/extending.md" in str(found.value)


def test_two_critics_through_the_trainer(files, pictures, tmp_path):
    """With two devices, a checkpoint, and a resume to the same bits."""
    fit("two_critics:Config", tmp_path / "parts", pictures, 2)
    parts = fit("two_critics:Config", tmp_path / "parts", pictures, 4)
    whole = fit("two_critics:Config", tmp_path / "whole", pictures, 4)
    assert {"critic_loss", "second_loss", "generator_loss"} <= whole[0].keys()
    assert [r["generator_loss"] for r in parts if "generator_loss" in r][-1] == whole[1]["generator_loss"]
    states = [ga.load(tmp_path / name).state for name in ("parts", "whole")]
    for a, b in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(a, b)
    assert {*states[0].params} == {"critic", "second", "generator"}


def test_two_critics_on_two_devices(files):
    """One SGD step gives the same parameters on one device and on two."""
    options = {"image_shape": zoo.SHAPE, "optimizer": zoo.SGD}
    one = ga.build("two_critics:Config", **options)
    two = ga.build("two_critics:Config", axis_name="data", **options)
    batch = zoo.batch(one.batch_spec, 8)
    state = zoo.start(one, KEY, batch)
    mesh = jax.make_mesh((2,), ("data",), (AxisType.Auto,))
    alone, _ = jax.jit(one.step)(state, batch, KEY)
    split = jax.jit(jax.shard_map(two.step, mesh=mesh, in_specs=(P(), P("data"), P()), out_specs=P()))
    both, _ = split(state, batch, KEY)
    for a, b, c in zip(*map(jax.tree.leaves, (alone.params, both.params, state.params)), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-5 * np.max(np.abs(a - c)) + 1e-9
