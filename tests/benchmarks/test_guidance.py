"""Priors by how they draw: another guidance is the same model, and the table has a line of each."""

import numpy as np
import pytest

import genart_jax as ga
from benchmarks import guidance
from genart_jax.evaluate.pictures import Trained, open_run
from tests.train.test_trainer import fit, small_data  # noqa: F401  # a fixture


def test_another_way_to_draw_is_the_same_model(tmp_path, small_data):  # noqa: F811
    run = tmp_path / "prior"
    fit("code_prior", run)
    trained = Trained(run, ga.read_config(run), ga.load(run), None)
    other = guidance.drawing(trained, 2.0, 0.5)
    assert other.model is trained.model
    assert other.numbers == {"temperature": 0.5, "guidance": 2.0}
    picture = guidance.sheet(trained, [1.0, 3.0], 1.0)
    assert picture.size == (guidance.SHOWN * guidance.SIDE, 2 * (guidance.SIDE + guidance.LETTERS + 4))
    first, second = np.split(np.asarray(picture), 2)
    assert (first != second).any()


def test_a_line_of_each():
    one = {"fd_lite0": 123.45, "precision_lite0": 0.25, "recall_lite0": 0.0241, "style": 0.7, "shape": 0.333}
    page = guidance.page({("prior", 1.5, 0.9): one}, 500)
    assert "| prior | 1.5 | 0.9 | 123.5 | 0.250 | 0.024 | 70.0 | 33.3 |" in page
    assert "500 samples" in page


def test_what_is_no_prior_is_said(tmp_path, capsys):
    assert guidance.main([str(tmp_path / "none"), "--out", str(tmp_path / "out.md")]) == 2
    assert capsys.readouterr().err.startswith("guidance: ")
    with pytest.raises(ga.UserError, match="takes no guidance"):
        guidance.drawing(open_run("icons"), 2.0, 1.0)
