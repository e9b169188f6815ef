"""The script of volumes, in miniature."""

import functools

import numpy as np
import pytest
from PIL import Image

from benchmarks import volumes
from genart_jax.data.build import run as build


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A few volumes of 16 voxels."""
    out = tmp_path_factory.mktemp("sets") / "solids"
    build.build("shapes3d", 16, out, limit=100)
    return f"built:{out}"


SHORT = {"train": {"steps": 2, "batch": 8, "log_every": 1, "save_every": 2, "sample_every": 0}}


def test_a_table_and_pictures_in_miniature(full, source, tmp_path, capsys, monkeypatch):
    if not full:
        pytest.skip("trains three models and uses them in every way: by --full")
    monkeypatch.setattr(volumes, "judge", functools.partial(volumes.judge, **SHORT))
    found = volumes.measure(tmp_path, 0, source, ["tiny"], num=16, **SHORT)
    assert list(found) == ["judge", "gan3d tiny", "conv_vae volumes"]
    assert "it is none" in capsys.readouterr().err  # a judge that has seen 16 volumes
    gan, vae = found["gan3d tiny"], found["conv_vae volumes"]
    assert 0 <= gan["class accuracy of 16 samples"] <= 1
    assert {"fd, over the judge's features", "recall, over the judge's features"} <= gan.keys()
    assert all(np.isfinite(list(row.values())).all() for row in found.values())
    assert 0 <= vae["IoU of missing halves, completed"] <= 1
    volumes.pictures(tmp_path / "volumes.md", tmp_path, ["tiny"], 0)
    assert Image.open(tmp_path / "volumes_tiny.png").size == (8 * 98 + 2, 5 * 98 + 2)
    assert (tmp_path / "volumes_vae.png").exists()


def test_rows_are_means_over_seeds():
    seeds = {seed: {"gan3d default": {"recall": value}} for seed, value in ((0, 0.2), (3, 0.4))}
    page = volumes.table(seeds, "x")
    assert "seeds 0, 3." in page
    assert "| gan3d default | recall | 0.3 | 0.1414 |" in page
    assert "| 0.2 | one seed |" in volumes.table({0: seeds[0]}, "x")
    assert "| other | recall | 0.5 | one seed |" in volumes.table(seeds | {4: {"other": {"recall": 0.5}}}, "x")
    poor = {0: {"judge": {"accuracy": 0.94}}, 1: {"judge": {"accuracy": 0.99}}}
    assert "it is no judge" in volumes.table(poor, "x")
    assert "it is no judge" not in volumes.table({1: poor[1]}, "x")


def test_seeds_that_are_measured_one_at_a_time_come_together(tmp_path):
    out = tmp_path / "volumes.md"
    volumes.gather(out, {1: {"judge": {"accuracy": 0.98}}})
    volumes.gather(out, {0: {"judge": {"accuracy": 0.5}}})
    both = volumes.gather(out, {0: {"judge": {"accuracy": 0.96}}})
    assert both == {0: {"judge": {"accuracy": 0.96}}, 1: {"judge": {"accuracy": 0.98}}}
    assert list(both) == [0, 1]


def test_a_half_is_known():
    known = volumes.halves(np.zeros((2, 6, 6, 6, 1), np.uint8))
    assert known[0, :, 0, 0, 0].tolist() == [1, 1, 1, 0, 0, 0]


def test_the_nearest_is_the_one_that_shares_most():
    rng = np.random.default_rng(0)
    known = np.where(rng.random((5, 4, 4, 4, 1)) < 0.5, 255, 0).astype(np.uint8)
    assert volumes.nearest(known[:2], known) == 1
    half = known[:1].copy()
    half[:, 2:] = 0
    overlaps = [(half & one).astype(bool).sum() / (half | one).astype(bool).sum() for one in known]
    np.testing.assert_allclose(volumes.nearest(half, known), max(overlaps), rtol=1e-6)
