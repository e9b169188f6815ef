"""One process trains a run directory: what the second is told, and when a file that was left is stale."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.config import NotSavedError
from genart_jax.train import owner
from genart_jax.train.owner import NAME, Owner, owning
from tests.train.test_trainer import small_data  # noqa: F401  # a fixture

TOY = "tests.train.toy:Config"
HOLD = """
import sys, time
from pathlib import Path
from genart_jax.train.owner import owning
with owning(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def run(tmp_path):
    """A run directory that was left with its file; the file's content can be changed."""
    directory = tmp_path / "run"
    directory.mkdir()
    Owner(directory, print)._write()
    return directory


def leave(run, age=0.0, **changes):
    """The file as another process has left it, `age` seconds ago."""
    path = run / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    os.utime(path, (time.time() - age,) * 2)


def taken(run):
    """What is told while the directory is taken over."""
    notes = []
    with owning(run, notes.append) as mine:
        mine.check()
        assert json.loads((run / NAME).read_text())["process"] == os.getpid()
    assert not list(run.iterdir())
    return notes


def test_the_second_is_refused_and_one_that_was_killed_is_stale_at_once(tmp_path):
    run = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, run], stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"ready\n"
        with pytest.raises(ga.UserError, match=rf"in use by process {first.pid} on .*another --run"), owning(run):
            pass
        first.send_signal(signal.SIGKILL)
        while owner._started(first.pid):  # until it is a zombie, which nobody has waited for yet
            time.sleep(0.01)
        assert taken(run) == []


def test_a_second_training_gets_one_line_and_changes_nothing(tmp_path, capsys):
    run, words = tmp_path / "run", ["train", TOY, "--run", str(tmp_path / "run"), "--parallel.data", "1"]

    def second(event, values):
        if event == "save" and values["step"] == 2:
            before = (run / "config.json").read_bytes(), (run / "metrics.jsonl").read_bytes()
            assert main([*words, "--train.seed", "1"]) == 2
            assert before == ((run / "config.json").read_bytes(), (run / "metrics.jsonl").read_bytes())

    ga.fit(ga.configure(TOY, parallel={"data": 1}), run, second)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "genart:" in line]
    assert f"{run} is in use by process {os.getpid()} " in line
    assert not (run / NAME).exists()
    assert main(words) == 0


def test_nothing_is_left_of_a_run_that_was_refused(tmp_path):
    with pytest.raises(ga.UserError, match="no condition"):
        ga.fit(ga.configure("mlp_vae", preset="tiny", conditions=("flavour",)), tmp_path / "some" / "where")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"boot": "before"}, {"space": "a container's"}])
def test_a_process_elsewhere_is_known_by_its_signs_of_life(run, monkeypatch, changes):
    """Another host's, one of before a reboot, one of another container: its number says nothing here."""
    leave(run, age=3600, **changes)
    assert taken(run) == []
    Owner(run, print)._write()
    leave(run, **changes)
    monkeypatch.setattr(owner, "PATIENCE", 0.3)
    (note,) = taken(run)
    assert "until it is clear whether that still runs" in note


def test_a_process_elsewhere_that_lives_is_not_disturbed(run, monkeypatch):
    monkeypatch.setattr(owner, "PATIENCE", 5.0)
    leave(run, host="elsewhere")
    touch = threading.Timer(0.2, os.utime, [run / NAME])
    touch.start()
    with pytest.raises(ga.UserError, match="on elsewhere, since"), owning(run):
        pass
    touch.join()
    assert json.loads((run / NAME).read_text())["host"] == "elsewhere"


def test_other_files_that_were_left(run):
    leave(run, started="another process with this number")
    assert taken(run) == []
    Owner(run, print)._write()
    leave(run, folder=1)  # as a copy of a run that is being trained has it
    assert taken(run) == []
    (run / NAME).write_text("")  # the power went before it was written
    os.utime(run / NAME, (0, 0))
    assert taken(run) == []


def test_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "BEAT", 0.02)
    with owning(tmp_path) as mine:
        os.utime(tmp_path / NAME, (0, 0))
        while (tmp_path / NAME).stat().st_mtime == 0:
            time.sleep(0.01)
        mine.check()
        leave(tmp_path, token="another's")  # after a pause of this process, say
        with pytest.raises(NotSavedError, match="has taken this run over"):
            mine.check()
    assert (tmp_path / NAME).exists(), "the other's"
