"""What a run tells on a terminal, and in a file of lines."""

from types import SimpleNamespace

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.app import progress


@pytest.fixture
def now(monkeypatch):
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def lines(capsys, events, now):
    """What is printed of `events`, (seconds from now, event, values) each."""
    with progress.Progress() as told:
        told("start", {"step": 0, "steps": 1000, "directory": "r"})
        capsys.readouterr()
        for seconds, event, values in events:
            now[0] += seconds
            told(event, values)
    return capsys.readouterr().out.splitlines()


def at(step, seconds, rate=0.0, left=None, loss=0.0):
    return seconds, "progress", {"step": step, "rate": rate, "left": left, "metrics": {"loss": np.float32(loss)}}


def test_the_first_line_has_no_rate_yet(capsys, now):
    events = [at(1, 16), at(2, 3, 9e9, 1e-9), at(3, 0.5, 9e9, 1e-9), at(9, 13, 40.0, 3725, 1.5)]
    assert lines(capsys, events, now) == [
        "step 1/1000  loss 0.000",
        "step 9/1000  40 images/s  loss 1.500  left 1:02:05",
    ]


def test_lines_come_by_time_and_each_has_new_figures(capsys, now):
    """Where a row of the log takes longer than a line: eight lines with the losses of one row told nothing."""
    row = (0, "log", {"metrics": {"loss": 7.0, "norm": 1.0}})
    steps = [at(1 + i, 5, 2.0, 61.0, loss=10 + i) for i in range(13)]
    assert lines(capsys, [row, *steps], now) == [
        "step 4/1000  2 images/s  loss 7.000  left 1:01",
        "step 8/1000  2 images/s  loss 17.000  left 1:01",
        "step 12/1000  2 images/s  loss 21.000  left 1:01",
    ]


def test_a_collapse_is_said_at_the_end(capsys, tmp_path):
    run = ga.configure("conv_vae", image_shape=(32, 32, 3))
    summary = {"model": "conv_vae", "test": {"kl": 0.02, "elbo": -9.0}}
    end = {"directory": tmp_path, "interrupted": False, "samples": True, "class_names": {}, "step": 9}
    with progress.Progress() as told:
        told("data", {"source": SimpleNamespace(report=(), warnings=()), "run": run, "devices": 1})
        told("end", end | {"summary": summary})
    out = capsys.readouterr().out
    assert "warning: the latents carry 0.02 nats a picture: the posterior has collapsed" in out
    assert out.index("warning") < out.index("next:")


@pytest.mark.parametrize(("steps", "said"), [(9, True), (10**9, False)])
def test_what_was_trained_longer_and_comes_with_the_package_is_named(steps, said, capsys, tmp_path):
    run = ga.configure("modgan", image_shape=(32, 32, 3), data={"source": "emoji"})
    end = {"directory": tmp_path, "interrupted": False, "samples": True, "class_names": {}, "step": steps}
    with progress.Progress() as told:
        told("data", {"source": SimpleNamespace(report=(), warnings=()), "run": run, "devices": 1})
        told("end", end | {"summary": {"model": "modgan", "test": {}}})
    lines = capsys.readouterr().out.splitlines()
    assert ("  genart sample icons  # comes with the package, trained for longer" in lines) == said
    assert f"  genart sample {tmp_path} --truncation 0.7  # less varied, better drawn" in lines
