"""Results as data beside the tables, and their curves over commits."""

import csv
import importlib.util
import subprocess

import pytest

from benchmarks import history, records


def content(rate, commit, date, case="dcgan, 32x32x3, batch 64, float32", precision="float32", platform="cpu"):
    result = {
        "label": case, "platform": platform, "device": "NVIDIA H200", "run": {"train": {"precision": precision}},
        "step_seconds": [0.09, 0.1, 0.12], "images_per_second": rate, "flops": 7e9, "mfu": 0.5, "rss_bytes": 2**30,
        "memory": {"peak_bytes": 2**20}, "compile_seconds": 2.0, "ratio": [1.1, 1.2, 1.3],
        "peer": {"name": "torch", "best": "eager", "variants": {"eager": {"step_seconds": [0.11, 0.12, 0.13]}}},
    }  # fmt: skip
    return {"results": [result], "versions": {"jax": "0.12.0.1"}, "machine": {"cores": 2}, "commit": commit,
            "date": date}  # fmt: skip


FILE = "benchmark-train-fp32-nhwc-jax0.12-cpu2.csv"


def test_the_contract_is_in_the_name(tmp_path):
    (path,) = records.write(tmp_path, content(640.0, "abc1234", "2026-11-01T10:00:00+00:00"))
    assert path.name == FILE
    (other,) = records.write(tmp_path, content(9.0, "abc1234", "2026-11-01", precision="bfloat16", platform="gpu"))
    assert other.name == "benchmark-train-bf16-nhwc-jax0.12-nvidia-h200.csv"
    (row,) = csv.DictReader(path.open())
    assert row["images_per_second"] == "640"
    assert row["step_ms"] == "100"
    assert row["peer"] == "torch eager"
    assert (row["ratio_q1"], row["ratio"], row["peer_step_ms"]) == ("1.1", "1.2", "120")
    assert (row["commit"], row["program_mib"]) == ("abc1234", "1")


def test_rows_of_other_cases_stay(tmp_path):
    records.write(tmp_path, content(640.0, "a", "2026-11-01"))
    records.write(tmp_path, content(10.0, "b", "2026-11-02", case="vqvae"))
    records.write(tmp_path, content(700.0, "c", "2026-11-03"))
    rows = records.read((tmp_path / FILE).read_text(), FILE)
    assert {case: (row["images_per_second"], row["commit"]) for case, row in rows.items()} == {
        "dcgan, 32x32x3, batch 64, float32": ("700", "c"),
        "vqvae": ("10", "b"),
    }


def git(folder, *words):
    name = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, *name, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init")
    folder = tmp_path / "results"
    folder.mkdir()
    for rate, commit, date in ((640.0, "a", "2026-11-01"), (700.0, "b", "2026-11-02")):
        records.write(folder, content(rate, commit, date))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-m", commit)
    records.write(folder, content(900.0, "c+changes", "2026-11-03"))
    records.write(folder, content(10.0, "c", "2026-11-03", case="vqvae"))
    return folder


def test_a_curve_for_each_case(repository, capsys):
    found = history.curves(history.versions(repository), "images_per_second")
    assert found["train-fp32-nhwc-jax0.12-cpu2", "dcgan, 32x32x3, batch 64, float32"] == [
        ("2026-11-01", "a", 640.0), ("2026-11-02", "b", 700.0), ("2026-11-03", "c+changes", 900.0),
    ]  # fmt: skip
    assert len(found) == 2
    assert history.main([str(repository), "--case", "vqvae"]) == 0
    out = capsys.readouterr().out
    assert "2026-11-03  c                10" in out
    assert "dcgan" not in out


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_chart(repository, tmp_path):
    assert history.main([str(repository), "--value", "ratio", "--chart", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_mistakes_are_one_line(repository, tmp_path, capsys):
    assert history.main([str(tmp_path / "none")]) == 2
    assert history.main([str(repository), "--case", "nothing"]) == 2
    (repository / FILE).write_text("a,b\n1,2\n")
    assert history.main([str(repository)]) == 2
    with pytest.raises(history.UserError, match="has no results of"):
        records.write(repository, content(1.0, "d", "2026-11-04"))
    assert capsys.readouterr().err.count("\n") == 3
