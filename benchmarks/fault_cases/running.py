"""Faults 5, 7, 8 and 12: stopping, going on, numbers that are not finite, and a long run."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import genart_jax as ga
from benchmarks import machine
from benchmarks.fault_cases.common import COMMAND, TINY, Count, fit, folder
from genart_jax.config import UserError
from genart_jax.train.log import read_rows
from genart_jax.train.store import Checkpoints


def resumes() -> Count:
    """A run that is stopped in the middle of an epoch and goes on, against one that is not: every model, to the bit."""
    names, exact, wrong = ga.list_models(), 0, []

    def stop(event: str, values: dict[str, Any]) -> None:
        if event == "progress" and values["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    for name in names:
        with folder() as root:
            try:
                options: dict[str, Any] = {"steps": 7, "log_every": 1, "sample_every": 2, "save_every": 0}
                fit(name, root / "whole", **options)
                fit(name, root / "parts", stop, **options)
                assert int(ga.load(root / "parts").state.step) == 3
                fit(name, root / "parts", **options)
            except UserError as error:
                wrong.append(f"{name}: {error}")
                continue
            a, b = (jax.tree.leaves_with_path(ga.load(root / part).state) for part in ("whole", "parts"))
            same = all(p == q and np.array_equal(x, y) for (p, x), (q, y) in zip(a, b, strict=True))
            rows = [
                [
                    {k: v for k, v in row.items() if "second" not in k}
                    for row in read_rows(root / part / "metrics.jsonl")
                ]
                for part in ("whole", "parts")
            ]
            pictures = [
                {p.name: p.read_bytes() for p in sorted((root / part / "samples").glob("*.png"))}
                for part in ("whole", "parts")
            ]
            if same and rows[0] == rows[1] and pictures[0] == pictures[1]:
                exact += 1
            else:
                wrong.append(
                    f"{name}: state {same}, metrics {rows[0] == rows[1]}, samples {pictures[0] == pictures[1]}"
                )
        print(f"  {name}: {'exact' if exact and not (wrong and wrong[-1].startswith(name)) else wrong[-1]}", flush=True)
    return Count(len(names), exact, "; ".join(wrong) or "states, metrics and pictures, in every model of the registry")


def not_finite() -> Count:
    """NaN in data, gradients, parameters, at single and at looped dispatch: the tests of it, which are whole."""
    tests = ["tests/train/test_guard.py", "-k", "nan"]
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", *tests]
    out = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True).stdout
    passed, failed = (int(m[1]) if (m := re.search(rf"(\d+) {word}", out)) else 0 for word in ("passed", "failed"))
    return Count(
        passed + failed, passed, "the step is left out, or the run goes back once, then stops; no NaN was saved"
    )


def terminations(times: int = 12) -> Count:
    """SIGTERM at a random moment, from imports over compilation to steps, saves and evaluations."""
    rng, good, slowest = random.Random(0), 0, 0.0
    steps: list[int] = []
    for _ in range(times):
        with folder() as root:
            command = [*COMMAND, "train", "conv_vae", "--run", str(root / "run"), "--steps", "100000", *TINY]
            command += ["--train.eval-every", "40", "--train.save-every", "30"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            time.sleep(rng.uniform(2, 14))
            process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            out = process.communicate(timeout=60)[0]
            seconds = time.monotonic() - told
            found = Checkpoints(root / "run").steps()
            rows = [row["step"] for row in read_rows(root / "run" / "metrics.jsonl")]
            kept = not rows or bool(found and found[-1] >= rows[-1])
            good += process.returncode == 0 and seconds < 10 and kept
            if process.returncode != 0 or not kept:
                print(process.returncode, out)
            slowest, steps = max(slowest, seconds), [*steps, found[-1] if found else 0]
    said = f"exit code 0, at most {slowest:.1f} s after the signal, no step lost; stopped at steps {steps}"
    return Count(times, good, said)


def long_run(steps: int = 50_000) -> Count:
    """24 h in miniature: memory of host and device, and speed, from the first to the last tenth of a long run."""
    marks: list[tuple[int, float, float, int]] = []
    started = time.perf_counter()

    def callback(event: str, values: dict[str, Any]) -> None:
        if event == "progress" and values["step"] % (steps // 10) == 0:
            with Path("/proc/self/statm").open() as file:
                rss = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
            live = sum(x.nbytes for x in jax.live_arrays())
            marks.append((values["step"], time.perf_counter(), rss, live))

    with folder() as root:
        options: dict[str, Any] = {
            "steps": steps,
            "save_every": 1000,
            "sample_every": 2500,
            "eval_every": 2500,
            "log_every": 50,
        }
        fit("mlp_vae", root / "run", callback, **options)
        checkpoints = Checkpoints(root / "run").steps()
    rates = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in itertools.pairwise(marks)]
    rss, live = [m[2] for m in marks], [m[3] / 2**20 for m in marks]
    # The first tenth compiles and fills caches.
    steady = sum(rates[-3:]) > 0.85 * sum(rates[:3])
    flat = rss[-1] - rss[1] < 16 and live[-1] <= live[1] * 1.01 and steady
    said = (
        f"{steps} steps of mlp_vae in {time.perf_counter() - started:.0f} s with 50 saves, 20 evaluations: host memory "
        f"{rss[1]:.0f} MiB after two tenths, {rss[-1]:.0f} at the end; device arrays {live[1]:.2f} and {live[-1]:.2f} "
        f"MiB; steps a second by tenths {', '.join(f'{r:.0f}' for r in rates)}; checkpoints {checkpoints}"
    )
    return Count(1, int(flat), said)
