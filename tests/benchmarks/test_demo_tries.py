"""The table of tries, without a try."""

import json

import pytest

import genart_jax as ga
from benchmarks import demo_tries


def test_a_recipe_is_data():
    options = json.loads('{"width": 8, "step": {"r1_gamma": 4.0}, "train": {"batch": 32}}')
    run = demo_tries.recipe(options, seed=3, steps=20)
    assert (run.name, run.model.width, run.step.r1_gamma) == ("modgan", 8, 4.0)
    assert (run.train.seed, run.train.steps, run.train.batch, run.train.sample_every) == (3, 20, 32, 0)
    assert run.step.loss == "relativistic"  # the default preset's
    assert demo_tries.recipe({"model": "dcgan", "preset": "tiny"}, seed=0, steps=None).train.steps == 4
    with pytest.raises(ga.UserError, match="critic_widht"):
        demo_tries.recipe({"critic_widht": 4}, seed=0, steps=None)


def test_a_step_costs_what_it_costs_after_compilation(monkeypatch):
    clock = demo_tries.Clock()
    times = iter([10.0, 12.0, 14.0, 16.0, 18.0, 20.0])
    monkeypatch.setattr(demo_tries, "cpu_seconds", lambda: next(times))
    for step in (10, 20, 30, 40, 50, 60):
        clock("progress", {"step": step})
        clock("log", {})
    assert clock.per_step() == pytest.approx(0.2)


def test_rows_are_added_to_one_table(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_tries.machine, "about", lambda: "a machine")
    judged = {"style": (tmp_path, "style SHA-256 0123456789ab, 0.900 of the test icons")}
    for label in ("one", "two"):
        demo_tries.add_row(tmp_path / "tries.md", {"try": label, "FD lite0": "99.5"}, judged)
    text = (tmp_path / "tries.md").read_text()
    assert text.count("0123456789ab") == text.count("a machine") == 1
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert all(row.count("|") == len(demo_tries.COLUMNS) + 1 for row in rows)
    assert rows[-1].startswith("| two |  |")
