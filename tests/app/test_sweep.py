"""Sweeps on the command line: values with commas, and a member by its number."""

import json
from pathlib import Path

import pytest

from genart_jax.app.cli import main
from genart_jax.app.commands.train import expand


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["--sweep.optimizer.b1", "0.5,0.9"], ["--sweep.optimizer.b1", "0.5", "0.9"]),
        (["--sweep.optimizer.b1=0.5,0.9", "--seed", "1"], ["--sweep.optimizer.b1", "0.5", "0.9", "--train.seed", "1"]),
        (
            ["--sweep.optimizer.b1", "0.5,", "0.9", "--run", "a,b"],
            ["--sweep.optimizer.b1", "0.5", "0.9", "--run", "a,b"],
        ),
        (["--sweep.seeds", "2", "--data=idx:a,b"], ["--sweep.seeds", "2", "--data.source=idx:a,b"]),
    ],
)
def test_values_are_taken_apart_at_commas(given, wanted):
    assert expand(given) == wanted


def test_a_sweep_from_training_to_its_members(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))  # without weights: no scores over them
    run = str(tmp_path / "run")
    train = ["train", "mlp_vae", "--preset", "tiny", "--steps", "1", "--parallel.data", "1", "--run", run]
    assert main([*train, "--sweep.seeds", "2", "--sweep.optimizer.learning-rate", "1e-4,2e-4"]) == 0
    out = capsys.readouterr().out
    assert "member 3: seed 1  learning-rate 0.0002" in out
    assert "learning-rate 0.0001: bits_per_dim" in out
    assert " +- " in out
    assert f"genart sample {run} --member 0" in out
    assert main(["train", "mlp_vae", "--run", run]) == 0  # the sweep is the saved run's, which has all its steps
    assert main(["sample", run, "--member", "4"]) == 2
    capsys.readouterr()
    assert main(["sample", run, "--member", "3", "--num", "4"]) == 0
    assert capsys.readouterr().out.strip() == f"{run}/members/3/samples/sample_seed0.png"
    assert main(["sample", run, "--num", "4"]) == 0
    paths = [f"{run}/members/{i}/samples/sample_seed0.png" for i in range(4)]
    assert capsys.readouterr().out.split() == paths
    assert len({Path(path).read_bytes() for path in paths}) >= 2, "seeds"
    assert main(["sample", run, "--num", "4", "--out", f"{tmp_path}/all.npz"]) == 0
    assert capsys.readouterr().out.split() == [f"{tmp_path}/all_member{i}.npz" for i in range(4)]
    assert main(["evaluate", run, "--member", "3", "--seed", "1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    whole = json.loads((tmp_path / "run" / "summary.json").read_text())
    expected = whole["sweep"]["members"][3]["test"]["bits_per_dim"]
    assert figures["bits_per_dim"] == pytest.approx(expected, abs=1e-5)
    assert main(["checkpoint", "verify", f"{run}/members/3"]) == 0
    assert "1  whole" in capsys.readouterr().out
    assert main(["train", "mlp_vae", "--run", f"{run}/members/3", "--steps", "2"]) == 2
    assert "goes on as a whole" in capsys.readouterr().err
