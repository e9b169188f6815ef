"""`genart checkpoint`: what there is, whether it is whole, and mending it."""

import json
import shutil

import pytest

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.train.store import Checkpoints


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "original"
    options = ["--preset", "tiny", "--steps", "4", "--train.save-every", "2", "--parallel.data", "1"]
    assert main(["train", "mlp_vae", "--run", str(run), *options, "--train.best", "bits_per_dim:min"]) == 0
    return run


@pytest.fixture
def run(original, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(original, tmp_path / "run")


def said(capsys, *args, code=0):
    capsys.readouterr()
    assert main(["checkpoint", *map(str, args)]) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def damage(run, step):
    file = max((run / "checkpoints" / str(step)).rglob("*"), key=lambda f: f.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def test_a_whole_run(run, capsys):
    lines = said(capsys, "ls", run).splitlines()
    assert [line.split()[0] for line in lines] == ["2", "4"]
    assert all("bits_per_dim" in line and "MiB" in line for line in lines)
    assert sum("(best)" in line for line in lines) == 1
    assert said(capsys, "verify", run).split() == ["2", "whole", "4", "whole"]
    assert said(capsys, "repair", "run") == "run goes on from step 4\n"


def test_damage_is_found_and_mended(run, capsys):
    damage(run, 4)
    (run / "checkpoints" / "9").mkdir()
    (run / "checkpoints" / ".saving-6").mkdir()
    out = said(capsys, "verify", run, code=1)
    assert "2  whole" in out
    assert "SHA-256 differs" in out
    assert "9  SHA256SUMS is missing" in out
    assert "no checkpoint, or not a whole one" in said(capsys, "ls", run)
    out = said(capsys, "repair", run)
    assert "removed checkpoints/.saving-6" in out
    assert "set aside checkpoints/damaged/4: " in out
    assert out.endswith(f"{run} goes on from step 2\n")
    assert said(capsys, "verify", run).split() == ["2", "whole"]
    assert main(["train", "mlp_vae", "--run", str(run)]) == 0
    assert int(ga.load(run).state.step) == 4


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"[1]", b'{"version": 1, "run": {"name": 3}}'])
def test_a_configuration_comes_back_from_a_checkpoint(run, capsys, content):
    whole = json.loads((run / "config.json").read_text())
    (run / "config.json").unlink()
    if content is not None:
        (run / "config.json").write_bytes(content)
    assert main(["train", "mlp_vae", "--run", str(run), "--preset", "tiny"]) == 2
    assert "genart checkpoint repair" in capsys.readouterr().err
    assert "4  whole" in said(capsys, "verify", run, code=1)
    assert "restored config.json from step 4" in said(capsys, "repair", run)
    assert json.loads((run / "config.json").read_text()) == whole


def test_nothing_to_mend_it_with(run, capsys):
    (run / "config.json").write_text("{")
    for step in (2, 4):
        damage(run, step)
    assert "no whole checkpoint holds it" in said(capsys, "repair", run, code=2)


def test_mistakes(run, capsys):
    assert "is not a run" in said(capsys, "ls", "nowhere", code=2)
    for words in ([], ["ls"], ["mend", "run"], ["ls", "run", "run"]):
        assert "ls|verify|repair RUN" in said(capsys, *words, code=2)
    assert "ls|verify|repair" in said(capsys, "--help")


def test_sampling_from_a_step(run, capsys):
    assert main(["sample", str(run), "--num", "2", "--step", "2", "--out", "a.png"]) == 0
    assert main(["sample", str(run), "--num", "2", "--step", "best", "--out", "b.png"]) == 0
    assert main(["sample", str(run), "--step", "3"]) == 2
    assert main(["sample", str(run), "--step", "worst"]) == 2
    err = capsys.readouterr().err
    assert "no checkpoint of step 3" in err
    assert "wanted a number or best" in err


def test_the_run_that_a_checkpoint_belongs_to_is_known_to_the_commands(run, tmp_path, capsys):
    with Checkpoints(tmp_path / "other", about={"id": "other", "run": {"name": "dcgan"}}) as other:
        other.save(ga.load(run).state.replace(step=ga.load(run).state.step + 3), None)
    shutil.copytree(tmp_path / "other" / "checkpoints" / "7", run / "checkpoints" / "7")
    assert "7  it belongs to another run, of dcgan" in said(capsys, "verify", run, code=1)
