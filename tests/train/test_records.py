"""What a run writes: the same rows with and without stops, and nothing of an attempt that it has gone back from."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.data import media
from genart_jax.train.checkpoint import read_config
from genart_jax.train.log import read_rows
from genart_jax.train.records import Means, Records, pictures_of
from tests.train.test_trainer import small_data  # noqa: F401  # a fixture


def fit(directory, steps, callback=None, **train):
    train = {"steps": steps, "log_every": 10, "sample_every": 0, "save_every": 0} | train
    return ga.fit(ga.configure("tests.train.toy:Config", train=train, parallel={"data": 1}), directory, callback)


def rows(directory, name="loss"):
    return {row["step"]: row[name] for row in read_rows(directory / "metrics.jsonl") if name in row}


def stop_at(step):
    def callback(event, values):
        if event == "progress" and values["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    return callback


def test_the_rows_of_a_stopped_run_are_those_of_a_whole_one(tmp_path):
    fit(tmp_path / "whole", 40)
    fit(tmp_path / "longer", 15)
    assert list(rows(tmp_path / "longer")) == [10, 15]
    fit(tmp_path / "longer", 15)
    assert list(rows(tmp_path / "longer")) == [10, 15], "a finished run keeps its last row"
    fit(tmp_path / "longer", 40)
    for step in (3, 20, 27):
        fit(tmp_path / "stopped", 40, stop_at(step))
        assert max(rows(tmp_path / "stopped")) == step
    fit(tmp_path / "stopped", 40)
    assert list(rows(tmp_path / "whole")) == [10, 20, 30, 40]
    assert rows(tmp_path / "longer") == rows(tmp_path / "stopped") == rows(tmp_path / "whole")


def test_the_time_goes_on_where_it_stopped(tmp_path):
    """As of a run that took long: however busy the machine is, what is added is less."""
    fit(tmp_path, 40)
    log = tmp_path / "metrics.jsonl"
    written = [json.loads(line) for line in log.read_text().splitlines()]
    for row in written:
        row |= {"seconds": 1e6} if row["step"] == 40 and "seconds" in row else {}
    log.write_text("".join(json.dumps(row) + "\n" for row in written))
    fit(tmp_path, 80)
    seconds = list(rows(tmp_path, "seconds").values())
    assert 1e6 == seconds[3] < seconds[4] <= seconds[-1]
    assert json.loads((tmp_path / "summary.json").read_text())["seconds"] == seconds[-1]


def test_means_do_not_depend_on_where_they_are_cut():
    values = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    whole, parts = Means(), Means()
    whole.add({"loss": values, "r1": values[::4]})
    parts.add({"loss": values[:2], "r1": values[:1]})
    parts = Means(json.loads(json.dumps(parts.content())))
    for start in (2, 5):
        parts.add({"loss": values[start : start + (3 if start == 2 else 4)]})
    parts.add({"r1": values[4::4]})
    expected = whole.take()
    np.testing.assert_allclose(expected["loss"], values.mean(axis=0, dtype=np.float64), rtol=1e-12)
    for name, mean in parts.peek().items():
        np.testing.assert_array_equal(mean, expected[name])
    assert whole.content() == {}


def test_a_step_that_is_reached_again_is_evaluated_again(tmp_path):
    """The newest checkpoint is damaged, so the run goes back; its last row on the test split goes with it."""
    for _ in range(2):
        fit(tmp_path, 4, save_every=2)
        assert list(rows(tmp_path, "test/loss")) == [4]
    first = (tmp_path / "summary.json").read_text()
    (tmp_path / "checkpoints" / "4" / "about.json").write_text("{}")
    fit(tmp_path, 4, save_every=2)
    assert list(rows(tmp_path, "test/loss")) == [4]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["test"] == json.loads(first)["test"]
    assert summary["state"] != json.loads(first)["state"]


@pytest.mark.parametrize("name", ["id", "state", "step", "model"])
def test_a_summary_of_another_state_is_not_taken_over(tmp_path, name):
    path = fit(tmp_path, 4) / "summary.json"
    summary = json.loads(path.read_text())
    assert summary["id"] == read_config(tmp_path).data["id"]
    path.write_text(json.dumps(summary | {name: "another", "test": {"loss": 99.0}}))
    fit(tmp_path, 4)
    again = json.loads(path.read_text())
    assert again | {"date": ""} == summary | {"date": ""}
    assert list(rows(tmp_path, "test/loss")) == [4], "the row is there once"


def test_a_summary_that_was_never_written_says_the_same(tmp_path):
    path = fit(tmp_path, 20) / "summary.json"
    summary = json.loads(path.read_text())
    path.unlink()
    fit(tmp_path, 20)
    assert json.loads(path.read_text()) | {"date": ""} == summary | {"date": ""}


def test_pictures_of_steps_that_were_gone_back_from_are_set_aside(tmp_path):
    saved, notes = read_config(fit(tmp_path, 1)), []
    for attempt in range(2):
        for step in (2, 1_000_000, 900_000, 40):
            path = tmp_path / "samples" / f"{step:06d}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{attempt}")
            if step == 900_000:
                media.beside(path).write_text(f"moving {attempt}")
        (tmp_path / "samples" / "sample_seed0.png").write_text("")
        assert [int(path.stem) for path in pictures_of(tmp_path)] == [2, 40, 900_000, 1_000_000]
        Records(tmp_path, saved, 40, notes.append)
        assert [path.name for path in pictures_of(tmp_path)] == ["000002.png", "000040.png"]
        assert f"2 pictures of steps after 40 are of an earlier attempt: now in {tmp_path}/samples/older" in notes
    older = {path.name: path.read_text() for path in (tmp_path / "samples" / "older").iterdir()}
    moving = {media.beside(Path(f"900000{more}.png")).name: f"moving {i}" for i, more in enumerate(("", "-1"))}
    assert older == {"900000.png": "0", "900000-1.png": "1", "1000000.png": "0", "1000000-1.png": "1"} | moving
