"""Several processes on this machine: they train as one does, stop together, and notice when one is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.config import Parallel, PeerLostError
from genart_jax.train import cluster
from genart_jax.train.log import read_rows
from tests import compiled

OPTIONS = ("mlp_vae", "--preset", "tiny", "--train.sample-every", "0", "--train.save-every", "0")
HEARTBEAT = 10


def launch(directory, count, *options):
    """Starts the processes of a run, one CPU device each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    one_device = " ".join(flag for flag in compiled.flags().split() if "device_count" not in flag)
    environment = os.environ | {"XLA_FLAGS": one_device, "JAX_PLATFORMS": "cpu"}
    several = ["--parallel.coordinator", where, "--parallel.processes", str(count), "--parallel.heartbeat", "10"]
    command = [sys.executable, "-m", "genart_jax", "train", *OPTIONS, "--run", str(directory), *several, *options]
    return [
        subprocess.Popen(
            [*command, "--parallel.process", str(i)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for i in range(count)
    ]  # fmt: skip


def outputs(processes, limit):
    """What they print, once all have ended; ends them at the limit."""
    try:
        return [process.communicate(timeout=limit)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()


def rows(directory):
    return [row for row in read_rows(directory / "metrics.jsonl") if "loss" in row]


def wait_for(directory, step, processes, limit=120):
    end = time.monotonic() + limit
    while not any(row["step"] >= step for row in rows(directory)):
        if time.monotonic() > end or any(process.poll() is not None for process in processes):
            pytest.fail(f"step {step} was not reached: {outputs(processes, 1)}")
        time.sleep(0.1)


def alone(directory, steps):
    train = {"steps": steps, "log_every": 1, "sample_every": 0, "save_every": 0}
    return ga.fit(ga.configure("mlp_vae", preset="tiny", train=train, parallel={"data": 1}), directory)


@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_train_as_one(tmp_path, count, request):
    if count > 2 and not request.config.getoption("--full"):
        pytest.skip("four processes: with --full")
    said = outputs(processes := launch(tmp_path / "several", count, "--steps", "6"), 240)
    assert [process.returncode for process in processes] == [0] * count, said
    assert "next:" in said[0]
    assert not any(word in text for text in said[1:] for word in ("next:", "test split")), said[1]
    # The one line that is not the package's own: the docs say what it is.
    for i, text in enumerate(said):
        assert f"[Gloo] Rank {i} is connected to {count - 1} peer ranks" in text
    page = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
    assert "`[Gloo] Rank 0 is connected to 1 peer ranks`" in page
    alone(tmp_path / "one", 6)
    several, one = rows(tmp_path / "several"), rows(tmp_path / "one")
    assert [row["step"] for row in several] == [1, 2, 3, 4, 5, 6]
    for name in ("loss", "vae_grad_norm"):
        np.testing.assert_allclose([r[name] for r in several], [r[name] for r in one], rtol=1e-4, err_msg=name)
    there, here = (json.loads((tmp_path / name / "summary.json").read_text())["test"] for name in ("several", "one"))
    assert there == pytest.approx(here, rel=1e-3)
    trained, expected = (ga.load(tmp_path / name).state for name in ("several", "one"))
    for a, b in zip(jax.tree.leaves(trained.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
    assert ga.load(tmp_path / "several").state.step == 6


def test_stopped_together_lost_and_resumed(tmp_path):
    """SIGTERM to both; the same command again, and SIGKILL to one; then a single process goes on."""
    forever = ("--steps", "1000000", "--train.save-every", "50")
    processes = launch(tmp_path, 2, *forever)
    wait_for(tmp_path, 3, processes)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    start = time.monotonic()
    said = outputs(processes, 60)
    seconds = time.monotonic() - start
    sys.stdout.write(f"SIGTERM to both: ended after {seconds:.1f} s\n")
    assert seconds < 10
    assert [process.returncode for process in processes] == [0, 0], said
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["interrupted"]
    assert ga.load(tmp_path).state.step == summary["step"]

    processes = launch(tmp_path, 2, *forever)
    wait_for(tmp_path, summary["step"] + 60, processes)
    processes[1].kill()
    start = time.monotonic()
    said = outputs(processes, 60)
    seconds = time.monotonic() - start
    sys.stdout.write(f"SIGKILL to one: the other ended after {seconds:.1f} s\n{said[0]}\n")
    assert processes[0].returncode != 0
    assert re.search("another (process|task)", said[0]), said[0]
    assert seconds < HEARTBEAT + 5

    before = int(ga.load(tmp_path).state.step)
    assert before >= summary["step"]
    alone(tmp_path, before + 2)
    assert ga.load(tmp_path).state.step == before + 2


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, ""),
        ({"SLURM_NTASKS": "8"}, ""),  # an allocation, not a step of it
        (dict.fromkeys(("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID"), "1"), ""),
        (
            dict.fromkeys(("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID"), "1")
            | {"SLURM_NTASKS": "8"},
            "slurm",
        ),
        ({"OMPI_MCA_orte_hnp_uri": "x", "OMPI_COMM_WORLD_SIZE": "2"}, "mpi"),
        ({"OMPI_MCA_orte_hnp_uri": "x", "OMPI_COMM_WORLD_SIZE": "1"}, ""),
        ({"KUBERNETES_SERVICE_HOST": "x", "JOB_COMPLETION_INDEX": "0"}, "kubernetes"),
        ({"KUBERNETES_SERVICE_HOST": "x"}, ""),
    ],
)
def test_clusters_are_recognised(environment, kind, monkeypatch):
    monkeypatch.setattr(cluster, "_installed", lambda package: package == "kubernetes")
    assert cluster.recognised(environment) == kind


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"process": 1}, "need --parallel.coordinator"),
        ({"coordinator": "host"}, "wanted host:port"),
        ({"coordinator": "host:1"}, "also needs"),
        ({"coordinator": "host:1", "process": 2, "processes": 2}, "wanted 0 to 1"),
        ({"coordinator": "host:1", "process": 0, "processes": 2, "heartbeat": 0}, "heartbeat"),
    ],
)
def test_options_that_contradict_one_another_are_refused(options, words, monkeypatch):
    monkeypatch.setattr(cluster, "recognised", lambda: "")
    with pytest.raises(ga.UserError, match=words):
        cluster.join(Parallel(**options))


@pytest.fixture
def initialized(monkeypatch):
    """What `jax.distributed.initialize` is called with."""
    given = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **options: given.append((args, options)))
    return given


@pytest.mark.parametrize("error", [RuntimeError, jax.errors.JaxRuntimeError])
def test_others_that_cannot_be_reached_are_one_line(error, monkeypatch, tmp_path, capsys):
    def initialize(*args, **options):
        raise error("DEADLINE_EXCEEDED: Barrier timed out. Id: [Init]\nmany more lines")

    monkeypatch.setattr(cluster, "recognised", lambda: "")
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    where = ("--parallel.coordinator", "127.0.0.1:9", "--parallel.process", "0", "--parallel.processes", "2")
    assert main(["train", *OPTIONS, "--run", str(tmp_path / "run"), *where]) == 2
    said = capsys.readouterr().err
    assert said == "genart: cannot join the other processes: DEADLINE_EXCEEDED: Barrier timed out. Id: [Init]\n"
    assert not (tmp_path / "run").exists()


def test_a_connection_that_breaks_names_the_process_and_what_to_do(monkeypatch):
    """Where Gloo loses a peer, in the words of the program; other errors, and those of a single process, stay."""
    error = jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer [127.0.0.1]:1\nmore")
    with pytest.raises(jax.errors.JaxRuntimeError, match="UNKNOWN"), cluster.peers():
        raise error
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    words = r"process 0 of 2: another process .*Gloo all-reduce failed: .*closed by peer.*same command.*last checkpoint"
    with pytest.raises(PeerLostError, match=words) as caught, cluster.peers():
        raise error
    assert "\n" not in str(caught.value)
    with pytest.raises(jax.errors.JaxRuntimeError, match="out of memory"), cluster.peers():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")


def test_a_kubernetes_job_gives_the_number_of_the_process(monkeypatch, initialized):
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "3")
    monkeypatch.setattr(cluster, "recognised", lambda: "")
    left = cluster.join(Parallel(model=2, coordinator="job-0.service:1234", processes=4))
    options = {"cluster_detection_method": "deactivate", "heartbeat_timeout_seconds": 60}
    assert initialized == [(("job-0.service:1234", 4, 3), options)]
    assert left == Parallel(model=2)


@pytest.mark.parametrize("kind", ["slurm", "mpi", "kubernetes", "tpu"])
def test_on_a_recognised_cluster_jax_finds_the_others(kind, monkeypatch, initialized):
    monkeypatch.setattr(cluster, "recognised", lambda: kind)
    assert cluster.join(Parallel(data=4)) == Parallel(data=4)
    options = {"cluster_detection_method": None, "heartbeat_timeout_seconds": 60}
    assert initialized == [((None, None, None), options)]


def test_tpus_of_a_single_host_train_alone(monkeypatch):
    def initialize(*args, **options):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(cluster, "recognised", lambda: "tpu")
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    assert cluster.join(Parallel(model=2)) == Parallel(model=2)
