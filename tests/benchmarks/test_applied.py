"""The table over trained models, on tiny runs."""

import json
import sys

import pytest

import genart_jax as ga
from benchmarks import applied
from benchmarks import metrics as cost
from tests.data.test_idx import write
from tests.evaluate.conftest import another_seed


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("applied")
    write(root / "digits", size=(16, 16), classes=3)
    data = {"source": f"idx:{root / 'digits'}"}
    for place, model in (("a", "dcgan"), ("vae", "conv_vae"), ("judge", "simple_cnn")):
        options = {"data": data, "train": {"steps": 1}, "parallel": {"data": 1}}
        ga.fit(ga.configure(model, preset="tiny", **options), root / place)
    another_seed(root / "a", root / "b")
    return root


def test_table(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path))
    words = [
        "--classifier",
        str(runs / "judge"),
        "--num",
        "12",
        "--checked",
        "11",
        "--extractor",
        "pixels:4",
        "--copies",
        "pixels:5",
    ]
    command = ["applied", *(str(runs / name) for name in ("a", "b", "vae")), *words, "--out", str(tmp_path / "t.md")]
    monkeypatch.setattr(sys, "argv", command)
    searched, reports = applied.originality, []

    def once(run, *args):  # one search in earnest: the table is what is tested here
        if not reports:
            reports.append(searched(run, *args))
        (run / "originality.json").write_text(json.dumps(reports[0]))
        return reports[0]

    monkeypatch.setattr(applied, "originality", once)
    applied.main()
    text = (tmp_path / "t.md").read_text()
    assert "| dcgan, 1 steps | 0, 1 (n = 2) |" in text
    assert "| conv_vae, 1 steps | 0 (n = 1) |" in text
    assert ", sd " in text
    assert "no condition" in text
    assert "bicubic" in text
    # What is there already is not made again.
    monkeypatch.setattr(applied, "score_run", lambda *a: pytest.fail("made again"))
    monkeypatch.setattr(applied, "originality", lambda *a: pytest.fail("made again"))
    applied.main()
    assert (tmp_path / "t.md").read_text() == text


def test_cost_of_an_evaluation():
    seconds = cost.measure("pixels:4", 60, 8)
    assert min(seconds.values()) > 0
    text = cost.table({"pixels:4": seconds}, 60, 8, "command")
    assert "| Frechet distance |" in text
    assert "**whole**" in text
