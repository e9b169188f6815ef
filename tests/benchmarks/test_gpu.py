"""The command for a GPU: what it writes, that it keeps to its time and goes on where it was."""

import importlib.util
import json
import subprocess
import sys

import pytest

from benchmarks import gpu_report
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import cells, peaks
from benchmarks.gpu.cells import OURS, TORCH, Cell
from benchmarks.gpu.results import read
from benchmarks.peers import MODELS
from genart_jax.train import bench

FAKE = "tests.benchmarks.fake_gpu"


def step(batch, side=OURS, **more):
    values = {"kind": "step", "batch": batch} if side == OURS else {"variant": "eager"}
    return Cell("throughput", f"net, batch {batch}", side, values, **{"seconds": 0.1, "cap": 20.0} | more)


@pytest.fixture
def plan(monkeypatch):
    monkeypatch.setattr(gpu, "WORK", FAKE)
    monkeypatch.setattr(gpu, "PEERS", FAKE)
    return lambda *given: monkeypatch.setattr(gpu, "cells", lambda miniature: list(given))


def run(out, *words):
    return gpu.main(["--out", str(out), "--minutes", "1", *words])


def lines(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_a_line_for_each_result_and_for_what_fails(plan, tmp_path, capsys):
    quality = Cell("quality", "demo", OURS, {"kind": "quality", "seconds": 32.0}, 0.1, 20.0)
    alike = Cell("alike", "net, 3 steps", OURS, {}, 0.1, 20.0, devices=2)
    plan(step(13), step(13, TORCH), step(8), step(8, TORCH), alike, quality)
    assert run(tmp_path) == 0
    about, failed, ours, torch, same, *demo = lines(tmp_path)
    assert about["part"] == "about"
    assert about["device"] == "NVIDIA H200"
    assert about["command"].startswith("python -m benchmarks.gpu")
    assert failed["error"] == "RuntimeError: out of memory"
    assert ours["images_per_second"] == 5000
    assert ours["of_peak"] == pytest.approx(0.5)
    assert ours["mfu"] == pytest.approx(0.989)
    assert torch["images_per_second"] == 2500
    assert torch["of_peak"] == pytest.approx(0.25)
    assert same["alike"]
    assert [row["training_seconds"] for row in demo] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert [row["done"] for row in demo] == [False] * 5 + [True]
    assert str(tmp_path) not in (tmp_path / "results.jsonl").read_text()
    text = gpu_report.markdown(*read(tmp_path / "results.jsonl"))
    assert "| net, batch 8 | 5,000 | 0.2 | 50.0% | 98.9% | 2,500 | 49.5% | 2.00 | 1 MiB | 3 MiB | 3 MiB | 1.0 |" in text
    assert "throughput / net, batch 13 / genart_jax: RuntimeError: out of memory" in text
    assert "within pmap 1.0e-07" in text
    assert "| 32.0 | 10 | 50.0% |" in text


def test_it_goes_on_with_what_is_missing_and_then_with_what_failed(plan, tmp_path):
    plan(step(13), step(8))
    assert run(tmp_path) == 0
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"part": "throughput", "na')  # the machine was taken away
    plan(step(13), step(8), step(9))
    assert run(tmp_path) == 0
    abouts, rows = read(tmp_path / "results.jsonl")
    assert [row["name"][-2:] for row in rows] == ["13", " 8", " 9", "13"]
    assert len(abouts) == 2


def test_results_of_another_device_are_not_mixed(plan, tmp_path, capsys):
    plan(step(8))
    assert run(tmp_path) == 0
    assert run(tmp_path, "--miniature") == 2
    assert "give another --out" in capsys.readouterr().err


def test_a_cpu_is_for_rehearsals(plan, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_PLATFORM", "cpu")
    plan(step(8))
    assert run(tmp_path) == 2
    assert "--miniature" in capsys.readouterr().err
    assert not (tmp_path / "results.jsonl").exists()
    assert run(tmp_path, "--miniature") == 0


def test_it_keeps_to_its_time(plan, tmp_path, capsys):
    plan(step(14, cap=0.5), step(8), step(9, seconds=1e6))
    assert run(tmp_path) == 0
    _, late, done = lines(tmp_path)
    assert late["error"] == "stopped: its time was over"
    assert late["seconds"] < 5
    assert done["name"] == "net, batch 8"
    out = capsys.readouterr().out
    assert "left out: throughput / net, batch 9" in out
    assert "1 not begun" in out
    assert run(tmp_path, "--minutes", "0") == 2


def test_peaks():
    assert peaks.peak("NVIDIA H200", "bfloat16") == 989e12
    assert peaks.peak("NVIDIA A100-SXM4-80GB", "bfloat16") == 312e12
    assert peaks.peak("NVIDIA H100 80GB HBM3", "bfloat16") == 989e12
    assert peaks.peak("NVIDIA H100 PCIe", "bfloat16") == 756e12
    assert peaks.peak("Tesla V100-SXM2-16GB", "bfloat16") is None
    assert peaks.peak("NVIDIA L40S", "bfloat16") is None
    assert peaks.peak("cpu", "float32") is None


def test_every_step_can_be_configured_and_has_its_peer():
    for small in (False, True):
        found = cells.cells(small)
        assert len({cell.key for cell in found}) == len(found)
        assert {cell.part for cell in found} == set(cells.PARTS)
        for cell in found:
            if cell.side == TORCH:
                assert cell.values["name"] in MODELS, cell
            elif cell.part != "quality":
                bench.resolved(**{k: v for k, v in cell.values.items() if k not in ("kind", "steps")})


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.filterwarnings("ignore")
def test_chart(plan, tmp_path):
    plan(step(8), step(8, TORCH), step(16))
    assert run(tmp_path) == 0
    words = [str(tmp_path / "results.jsonl"), "--chart", str(tmp_path / "a.png"), "--markdown", str(tmp_path / "a.md")]
    assert gpu_report.main(words) == 0
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert gpu_report.main([str(tmp_path / "none")]) == 2


def test_our_side_alone_and_under_all_devices():
    from benchmarks.gpu import work

    case = {"name": "mlp_vae", "preset": "tiny", "image_shape": [8, 8, 1], "options": {}, "precision": "float32"}
    found = work.alike(16, steps=2, **case)
    assert found["alike"], found
    assert found["devices"] == 8
    assert found["moved"] > 1e-4
    case |= {"name": "vgg", "image_shape": [8, 8, 3], "precision": "bfloat16"}
    features = work.prepare("features", batch=2, **case)
    assert features.round() > 0
    assert features.facts["flops"] > 1e4


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import benchmarks.gpu.__main__, benchmarks.gpu_report, benchmarks.gpu.work
import genart_jax as ga
assert ga.load("icons_style").algorithm.uses["predict"]
"""


def test_it_needs_no_more_than_training():
    """Neither the command line's packages nor the extras; and the judge is read without the package of its format."""
    extras = ("tyro", "safetensors", "grain", "tensorflow", "tensorflow_datasets", "matplotlib", "skimage", "fastapi",
              "sklearn", "huggingface_hub", "flatbuffers", "torch")  # fmt: skip
    subprocess.run([sys.executable, "-c", BLOCKED.format(blocked=set(extras))], check=True)
