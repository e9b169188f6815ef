"""The page of a run's checkpoints, without a training."""

from pathlib import Path

from benchmarks import quality_over_time
from benchmarks.quality_over_time import minutes, reached, table


def test_minutes_go_on_where_a_run_was_resumed():
    rows = [{"step": 10, "seconds": 60.0}, {"step": 20, "seconds": 120.0}, {"step": 20, "test/loss": 1.0},
            {"step": 30, "seconds": 30.0}, {"step": 40, "seconds": 90.0}]  # fmt: skip
    assert [minutes(rows, step) for step in (5, 10, 20, 30, 40, 50)] == [0, 1, 2, 2.5, 3.5, 3.5]


def test_the_page_says_when_the_style_was_as_asked(brief_run, tmp_path, monkeypatch):
    monkeypatch.setattr(quality_over_time.machine, "about", lambda: "a machine")
    brief_run("modgan", tmp_path / "run")
    name = quality_over_time.column("icons_style")
    found = {10: {"minutes": 2.0, "FD lite0": 90.0, name: 0.7}, 20: {"minutes": 4.0, "FD lite0": 50.0, name: 0.81}}
    assert reached(found, name) == "reached between 2 and 4 minutes"
    assert reached(found, name, 0.9) == "not reached"
    page = table(tmp_path / "run", found, {"truncation": 0.7}, Path("x.md"))
    assert "| 10 | 2 | 90.0 | 0.700 |" in page
    assert "Of pictures as asked, by icons_style, 80%: reached between 2 and 4 minutes of training." in page
    assert "truncation 0.7" in page
    assert "](x.png)" in page


def test_real_checkpoints_are_scored(brief_run, tmp_path, monkeypatch):
    brief_run("modgan", tmp_path / "run")
    monkeypatch.setattr(quality_over_time, "NUM", 100)
    monkeypatch.setattr(quality_over_time, "score_run", lambda *_, **__: [])
    quality_over_time.main([str(tmp_path / "run"), "--out", str(tmp_path / "page.md")])
    page = (tmp_path / "page.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| 2 |"))
    assert all(0 <= float(share) <= 1 for share in row.strip("| ").split(" | ")[-2:])
    assert (tmp_path / "page.png").exists()
    assert (tmp_path / "page_samples.png").exists()
