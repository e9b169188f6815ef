"""Paths with ~, and lists of files."""

import os

import pytest

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.runtime.paths import expanded, join_list, split_list


def test_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x"
    assert expanded("x/~") == expanded("./x/~")
    with pytest.raises(ga.UserError, match="write the whole path"):
        expanded("~nobody-of-this-name/x")


def test_lists_keep_names_with_the_separator_in_them():
    paths = ["a.png", f"12{os.pathsep}30.png", r"back\slash.png"]
    assert split_list(join_list(paths)) == paths
    assert split_list(os.pathsep.join(("a", "b", ""))) == ["a", "b", ""]


def test_commands_and_library_know_the_home_folder(monkeypatch, tmp_path, capsys):
    """A run below the home folder, from its training to what is drawn from it; the working folder stays empty."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    options = ["--preset", "tiny", "--steps", "1", "--model.image-shape", "32", "32", "3"]
    assert main(["train", "mlp_vae", "--run=~/run", *options]) == 0
    assert main(["train", "mlp_vae", "--run=~/tuned", "--init-from=~/run", *options]) == 0
    assert main(["train", "mlp_vae", "--run=~/run"]) == 0
    for words in (
        ["sample", "~/run", "--num", "4", "--out=~/made/grid.png"],
        ["evaluate", "~/run", "--extractor", "none"],
        ["checkpoint", "verify", "~/run"],
        ["export", "~/run", "~/exported", "--platforms", "cpu"],
    ):
        assert main(words) == 0, words
    assert {p.name for p in home.iterdir()} >= {"run", "tuned", "made", "exported"}
    assert [p.name for p in (home / "made").iterdir()] == ["grid.png"]
    assert int(ga.load("~/run").state.step) == 1
    ga.fit(ga.configure(ga.train.checkpoint.read_config("~/run").run, train={"steps": 2}), "~/run")
    assert int(ga.load("~/run").state.step) == 2
    with pytest.raises(ga.UserError, match=str(home)):
        read_tensors("~/nothing.safetensors")
    assert not list(here.iterdir())
    capsys.readouterr()
