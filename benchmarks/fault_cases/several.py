"""Faults 6, 8 with two processes, and 9: devices that change, and processes that stop or are lost together."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np

import genart_jax as ga
from benchmarks.fault_cases.common import COMMAND, Count, folder
from genart_jax.train.log import read_rows

_RUN = ["train", "mlp_vae", "--preset", "tiny", "--train.sample-every", "0", "--train.log-every", "1"]
_HEARTBEAT, _TRIES = 10, 5


def _losses(run: Path) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in read_rows(run / "metrics.jsonl") if "loss" in row}


def devices() -> Count:
    """A run on 1, then 4, then 2 devices, against one on 1 device."""
    with folder() as root:

        def part(name: str, steps: int, data: int) -> None:
            environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={data}"}
            options = ["--run", str(root / name), "--steps", str(steps), "--parallel.data", str(data)]
            subprocess.run([*COMMAND, *_RUN, *options], env=environment, check=True, capture_output=True)

        part("one", 9, 1)
        for steps, data in ((3, 1), (6, 4), (9, 2)):
            part("moved", steps, data)
        one, moved = _losses(root / "one"), _losses(root / "moved")
    apart = max(abs(one[i] - moved[i]) / abs(one[i]) for i in range(1, 10))
    return Count(1, int(apart < 1e-5), f"3 steps on each of 1, 4 and 2 devices; losses differ by {apart:.1e} at most")


def _start(run: Path) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    several = ["--parallel.coordinator", where, "--parallel.processes", "2", "--parallel.heartbeat", str(_HEARTBEAT)]
    command = [*COMMAND, *_RUN, "--run", str(run), "--steps", "1000000", "--train.save-every", "50", *several]
    return [
        subprocess.Popen(
            [*command, "--parallel.process", str(i)],
            env=os.environ | {"XLA_FLAGS": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]


def _wait(run: Path, step: int, processes: list[subprocess.Popen[str]]) -> None:
    end = time.monotonic() + 240
    while max([0, *_losses(run)]) < step:
        if time.monotonic() > end or any(process.poll() is not None for process in processes):
            raise RuntimeError(f"step {step} was not reached")
        time.sleep(0.05)


def _ended(processes: list[subprocess.Popen[str]]) -> tuple[float, list[str]]:
    """Seconds until all have ended, and what they said."""
    start = time.monotonic()
    try:
        said = [process.communicate(timeout=90)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return time.monotonic() - start, said


def terminations() -> Count:
    """SIGTERM to both of two processes at random steps; each start goes on from where the last stopped."""
    rng, survived, slowest = random.Random(0), 0, 0.0
    stops: list[int] = []
    with folder() as root:
        for _ in range(_TRIES):
            before = int(ga.load(root / "run").state.step) if stops else 0
            processes = _start(root / "run")
            _wait(root / "run", before + rng.randrange(2, 120), processes)
            for process in processes:
                process.send_signal(signal.SIGTERM)
            seconds, _ = _ended(processes)
            slowest = max(slowest, seconds)
            stops.append(int(ga.load(root / "run").state.step))
            reached = max(_losses(root / "run"))
            survived += [p.returncode for p in processes] == [0, 0] and seconds < 10 and stops[-1] >= reached
    return Count(_TRIES, survived, f"exit code 0 of both, at most {slowest:.1f} s after the signal; stopped at {stops}")


def losses() -> Count:
    """SIGKILL to one of two processes at random steps; the other ends by itself, and a start goes on."""
    rng, survived, waits = random.Random(1), 0, []
    steps: list[int] = []
    with folder() as root:
        for _ in range(_TRIES):
            before = steps[-1] if steps else 0
            processes = _start(root / "run")
            _wait(root / "run", before + rng.randrange(60, 160), processes)
            processes[rng.randrange(2)].kill()
            seconds, said = _ended(processes)
            waits.append(seconds)
            steps.append(int(ga.load(root / "run").state.step))
            left = [p for p in processes if p.returncode != -signal.SIGKILL]
            told = any("another" in text for text in said)
            survived += len(left) == 1 and left[0].returncode != 0 and told and seconds < _HEARTBEAT + 5
            survived -= steps[-1] < before
    words = f"the other ended after {np.median(waits):.1f} s (median; at most {max(waits):.1f}), heartbeat {_HEARTBEAT}"
    return Count(_TRIES, survived, f"{words} s, and said why; the next start went on, from steps {steps}")
