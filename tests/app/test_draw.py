"""`genart sample`: where pictures go, and that none is overwritten by others. Nothing is drawn in earnest."""

import types

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.app import draw
from genart_jax.app.cli import main
from genart_jax.data.provenance import of_source
from genart_jax.use.sample import Samples


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A run of one model, whose pictures show what was asked for; returns a function that calls the command."""
    data = {"class_names": {"style": ["noto", "line/art"]}}
    state = {"step": 1}
    monkeypatch.setattr(draw, "described", lambda run: types.SimpleNamespace(run=ga.get_config("dcgan"), data=data))
    about = lambda: of_source("dcgan", "id", "", state["step"], "emoji")
    monkeypatch.setattr(draw, "load", lambda run, step: types.SimpleNamespace(step=state["step"], provenance=about()))

    def samples(model, saved, num, seed, given, numbers):
        grey = 16 * model.step + 8 * given.get("style", 0) + int(50 * numbers.get("truncation", 1.0))
        return Samples(np.full((num, 8, 8, 3), grey + seed, np.uint8), {"style": np.full(num, given.get("style", 0))})

    monkeypatch.setattr(draw, "draw_samples", samples)

    def call(*words):
        assert main(["sample", str(tmp_path), "--num", "4", *words]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(f"{tmp_path}/samples/")
        return line.removeprefix(f"{tmp_path}/samples/")

    call.state, call.folder = state, tmp_path / "samples"
    return call


def test_no_picture_is_overwritten_by_another(run):
    asked = [
        ((), "sample_seed0.png"),
        (("--seed", "1"), "sample_seed1.png"),
        (("--condition", "style=noto"), "sample_seed0_style=noto.png"),
        (("--condition", "style=line/art"), "sample_seed0_style=line-art.png"),
        (("--truncation", "0.5"), "sample_seed0_truncation=0.5.png"),
        (("--num", "9"), "sample_seed0-2.png"),
    ]
    made = {}
    for words, name in asked:
        assert run(*words) == name
        made[name] = (run.folder / name).read_bytes()
    for words, name in asked:
        assert run(*words) == name, "the same command, the same file"
    run.state["step"] = 2  # it has been trained further
    assert run() == "sample_seed0-3.png"
    for name, content in made.items():
        assert (run.folder / name).read_bytes() == content
    assert len([*run.folder.iterdir()]) == 7
