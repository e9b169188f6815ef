"""What a checkpoint and the guards cost: on the training thread, in the background, and a step on average.

    python -m benchmarks.saving [MODEL[,OPTION=NUMBER ...] ...] [--out FILE.md]

At each model's default preset on the embedded art set, with options of the model's where they are given
(`mlp_vae,hidden=13500` is a checkpoint of 1 GB). The host's own time a step is that of the trainer's loop with a step
that computes nothing: the order of the pictures, their way to the device, the call, and a row of the log every 50.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

import genart_jax as ga
from benchmarks import machine
from genart_jax.train import guard, manifest, trainer
from genart_jax.train.clock import Clock
from genart_jax.train.dispatch import make_dispatch
from genart_jax.train.guard import StopSignals
from genart_jax.train.records import Records
from genart_jax.train.trainer import Trainer
from genart_jax.train.watch import Watch
from genart_jax.types import Metrics, State


@dataclasses.dataclass(frozen=True)
class Row:
    """Milliseconds, but for the size (MB), the hashing (GB/s) and the name."""

    model: str
    size: float
    step: float
    host: float
    guard: float
    call: float
    background: float
    hashing: float

    @property
    def per_step(self) -> float:
        """On the training thread, of one save in 500 steps."""
        return (self.guard + self.call) / 500


def median(function: Callable[[], Any], times: int) -> float:
    """Milliseconds of a call: the median of so many, or of those that ten seconds have room for, but three at least."""
    out = list[float]()
    while len(out) < times and (len(out) < 3 or sum(out) < 10_000):
        start = time.perf_counter()
        jax.block_until_ready(function())
        out.append(1e3 * (time.perf_counter() - start))
    return statistics.median(out)


def measure(name: str, directory: Path, steps: int = 1000, saves: int = 7) -> Row:
    """All figures of one model; `steps`: of the loop alone, five times; `saves`: that are timed."""
    model, *options = name.split(",")
    given: dict[str, Any] = {key: int(value) for key, _, value in (option.partition("=") for option in options)}
    run = ga.configure(model, **given, train={"steps": 10**6, "save_every": 0, "sample_every": 0, "log_every": 50})
    whole = Trainer(run, directory, lambda event, values: None)
    group = whole.run.train.steps_per_dispatch
    dispatch, begins = make_dispatch(whole.algorithm, whole.loader, whole.run), itertools.count(step=group)
    with whole.open_checkpoints() as whole.checkpoints, StopSignals() as whole.stop:
        whole.state = whole.first_state()

        def some() -> Any:
            whole.state, metrics = dispatch(whole, next(begins), group)
            return metrics

        step = median(some, 25) / group
        guarded = median(lambda: guard.not_finite(whole.state), 9)
        calls, totals, sums = [], [], []
        for _ in range(saves):
            some()
            jax.block_until_ready(whole.state)
            start = time.perf_counter()
            whole.checkpoints.save(whole.state, None)
            calls.append(1e3 * (time.perf_counter() - start))
            whole.checkpoints.wait()
            totals.append(1e3 * (time.perf_counter() - start))
            folder = whole.checkpoints.path / str(whole.step)
            start = time.perf_counter()
            size = sum(file.stat().st_size for file in manifest.files(folder) if manifest.digest(file))
            sums.append(size / 1e9 / (time.perf_counter() - start))
        whole.log = Records(directory, whole.saved, 0, lambda text: None)
        whole.watch = Watch(whole.run, whole.algorithm.members, [])
        host = _host(whole, list(some()), steps)
    call, total = statistics.median(calls), statistics.median(totals)
    return Row(name, size / 1e6, step, host, guarded, call, total - call, statistics.median(sums))


def _host(whole: Trainer, metrics: Sequence[str], steps: int) -> float:
    """Milliseconds of a step that computes nothing: the loop, the batch's way to the device, the call, the log."""

    def nothing(state: State, *args: Any) -> tuple[State, Metrics]:
        return state.replace(step=state.step + 1), {name: jnp.zeros(()) for name in metrics}

    dispatch = make_dispatch(
        whole.algorithm._replace(step=nothing), whole.loader, whole.run, (whole.mesh, whole.layout)
    )
    times = []
    with (
        mock.patch.object(trainer, "make_dispatch", return_value=dispatch),
        mock.patch.object(Trainer, "_save", return_value=None),
        mock.patch.object(Trainer, "_look", return_value=None),
        mock.patch.object(type(whole.checkpoints), "require", return_value=None),
    ):
        for _ in range(6):  # the first compiles
            train = dataclasses.replace(whole.run.train, steps=whole.step + steps)
            whole.run = dataclasses.replace(whole.run, train=train)
            start = time.perf_counter()
            whole._run(Clock())
            times.append(1e3 * (time.perf_counter() - start) / steps)
    return statistics.median(times[1:])


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["mlp_vae", "conv_vae", "simple_cnn", "dcgan"])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "# What a checkpoint and its guards cost",
        "",
        f"`python -m benchmarks.saving {' '.join(args.models)}`, default presets, float32.",
        f"{machine.about()}.",
        "",
        "On the training thread: the trainer's loop with a step that computes nothing (the order of the pictures,",
        "their way to the device, the call, a row of the log every 50), the search for NaN in the state, and `save()`.",
        "In the background: Orbax's writing, SHA-256 of each file, fsync. A step's share is for one save in 500 steps.",
        "",
        "| model | checkpoint, MB | step, ms | loop, ms (of the step) | NaN guard, ms | save(), ms |"
        " share of a step, ms (of it) | background, ms | SHA-256, GB/s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in args.models:
        with tempfile.TemporaryDirectory() as directory:
            r = measure(name, Path(directory) / "run")
        lines.append(
            f"| {r.model} | {r.size:.1f} | {r.step:.2f} | {r.host:.3f} ({r.host / r.step:.2%}) | {r.guard:.2f} |"
            f" {r.call:.1f} | {r.per_step:.3f} ({r.per_step / r.step:.2%}) | {r.background:.0f} | {r.hashing:.2f} |"
        )
        print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
