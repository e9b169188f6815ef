"""A second Python for CI is found where it works, and nowhere else."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "scripts" / "newer_python.py"


@pytest.fixture
def newer(tmp_path, monkeypatch):
    """The script's module, on a machine with no other Python than those that `put` makes."""
    for name in ("PATH", "PYENV_ROOT", "ASDF_DATA_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    spec = importlib.util.spec_from_file_location("newer_python", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put(path, says, status=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_none(newer, tmp_path):
    assert newer.find(than=(3, 11)) == ""
    put(tmp_path / "PATH/python3.13", "not found", 127)  # a version manager's shim
    put(tmp_path / "PATH/python3.12", "3.12")
    assert newer.find(than=(3, 12)) == ""  # as new as the default


def test_the_newest_that_works(newer, tmp_path):
    put(tmp_path / "PATH/python3.14", "3.14", 1)  # without ensurepip, say
    old = put(tmp_path / "PATH/python3.12", "3.12")
    assert newer.find(than=(3, 11)) == old
    managed = put(tmp_path / "PYENV_ROOT/versions/3.13.0/bin/python", "3.13")
    put(tmp_path / "PATH/python3.13", "not found", 127)
    assert newer.find(than=(3, 11)) == managed
