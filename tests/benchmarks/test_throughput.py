"""Comparisons of processes, with a peer that has no framework."""

import argparse
import importlib.util
import json

import pytest

from benchmarks import compare, report, throughput
from benchmarks.worker import Worker, WorkerError
from genart_jax.config import UserError

FAKE = "tests.benchmarks.fake_peer"
CASE = "mlp_vae,preset=tiny,size=8x8x1"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(compare.Settings, "__new__", quick(compare.Settings.__new__))
    # Workers need no fake devices, and matplotlib's first import warns.
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true")


def quick(new):
    return lambda cls, *args, **kwargs: new(cls, *args, **{"pause": 0.0, **kwargs})


def options(**given):
    defaults = {"preset": "default", "batch": None, "image_size": None, "precision": None, "devices": 1}
    return argparse.Namespace(**defaults | given)


def test_cases():
    case = throughput.parse_case("dcgan,size=64x48,width=8,batch=4,step.r1_every=2,conditions=()", options(batch=9))
    assert case["image_shape"] == [64, 48, 3]
    assert case["batch"] == 4
    assert case["options"] == {"width": 8, "step.r1_every": 2, "conditions": ()}
    assert throughput.parse_case("simple_cnn", options(image_size=[32]))["image_shape"] == [32, 32, 1]
    assert throughput.parse_case("simple_cnn", options())["image_shape"] is None
    for wrong in ("dcgn", "dcgan,width", "dcgan,size=big"):
        with pytest.raises(UserError):
            throughput.parse_case(wrong, options())


def test_a_comparison_and_what_it_writes(tmp_path, capsys):
    files = {name: tmp_path / f"out.{name}" for name in ("json", "markdown")}
    words = [CASE, "--against", FAKE, "--rounds", "3", "--profile", str(tmp_path / "trace")]
    assert throughput.main([*words, *(w for n, p in files.items() for w in (f"--{n}", str(p)))]) == 0
    out = capsys.readouterr().out
    assert f"{FAKE} broken failed: RuntimeError: no compiler" in out
    content = json.loads(files["json"].read_text())
    assert content["version"] == 1
    assert content["machine"]["cores"] >= 1
    assert {"jax", "python"} <= set(content["versions"])
    assert content["date"]
    assert content["command"].startswith(f"python -m benchmarks.throughput {CASE}")
    assert str(tmp_path) not in files["json"].read_text() + files["markdown"].read_text()
    (result,) = content["results"]
    assert result["label"] == "mlp_vae, 8x8x1, batch 8, float32, tiny"
    for name in ("images_per_second", "mfu", "rss_bytes", "bytes_accessed", "host_fraction", "compile_seconds"):
        assert result[name] > 0, name
    peer = result["peer"]
    assert peer["best"] == "fast"
    assert peer["variants"]["slow"]["dropped"]
    assert len(peer["variants"]["slow"]["rounds"]) == 2
    assert peer["variants"]["fast"]["step_seconds"] == [0.01, 0.01, 0.01]
    assert "no compiler" in peer["variants"]["broken"]["error"]
    low, middle, high = result["ratio"]
    assert 0 < low <= middle <= high
    assert middle == pytest.approx(0.01 / result["step_seconds"][1])
    table = files["markdown"].read_text().splitlines()
    assert len({line.count("|") for line in table if line.startswith("|")}) == 1
    (data,) = tmp_path.glob("benchmark-train-fp32-nhwc-jax*-cpu*.csv")
    assert data.read_text().splitlines()[1].startswith(f'"{result["label"]}",')
    assert list((tmp_path / "trace").rglob("perfetto_trace.json.gz"))


def test_a_peer_of_another_size_is_refused(monkeypatch):
    monkeypatch.setattr(compare, "OURS", "tests.benchmarks.fake_ours")
    with pytest.raises(AssertionError, match="parameters"):
        throughput.main([f"{CASE},batch=5", "--against", FAKE, "--rounds", "1"])


def test_a_peer_may_refuse_an_option(monkeypatch, capsys):
    monkeypatch.setattr(compare, "OURS", "tests.benchmarks.fake_ours")
    assert throughput.main([f"{CASE},batch=3", "--against", FAKE]) == 2
    assert capsys.readouterr().err == "throughput: three is no batch\n"


def test_mistakes(capsys):
    for wrong, word in (
        (["dcgn"], "dcgan"),
        (["--rounds", "0"], "at least 1"),
        (["--against", "abacus"], "torch"),
        ([f"{CASE},devices=2", "--against", FAKE], "one device"),
        ([f"{CASE},widht=3"], "widht"),
    ):
        assert throughput.main(wrong) == 2, wrong
        err = capsys.readouterr().err
        assert word in err
        assert err.count("\n") == 1


def test_first_step_reads_the_cache_of_the_one_before():
    args = options(preset="tiny", image_size=[8, 8, 1])
    seconds = compare.first_step(throughput.parse_case("mlp_vae", args))
    assert 0 < seconds["step"] < seconds["warm"]
    assert seconds["cold"] > 0


def test_a_worker_that_dies():
    with Worker("no.such.module") as worker, pytest.raises(WorkerError, match="no"):
        worker.ask("prepare")
    with Worker("os") as worker, pytest.raises(WorkerError, match="code 7"):
        worker.ask("_exit", status=7)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.filterwarnings("ignore")
def test_chart(tmp_path):
    alone = {"label": "a", "images_per_step": 8, "step_seconds": [0.1, 0.2, 0.3]}
    for name, results in (
        ("alone", [alone, alone | {"label": "b"}]),
        ("ratio", [alone | {"ratio": [0.9, 1.1, 1.2], "peer": {"name": "torch"}}]),
    ):
        report.chart({"results": results}, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
