"""A sweep's members in one program, against the same runs in turn.

    python -m benchmarks.sweep [MODEL[/PRESET] ...] [--members N] [--steps N] [--rounds N] [--out FILE.md]

On the embedded art set, by the trainer's own dispatch of single steps, data included, after compilation. The two take
turns (A B A B ...), and the ratio is taken round by round, so that a busy machine slows both alike: above 1, the sweep
is faster. In turn, one run's program serves all, as the cache of compiled programs would have it; so starting eight
processes, and what they compile, is not counted. Compilation is given beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

import genart_jax as ga
from benchmarks import machine
from genart_jax.train.dispatch import make_dispatch
from genart_jax.train.trainer import Trainer

CASES = ("mlp_vae", "mlp_vae/tiny", "simple_cnn/tiny", "conv_vae/tiny", "dcgan/tiny")


class Subject:
    """One trainer, of a run alone or of a sweep, ready to step."""

    def __init__(self, case: str, members: int, precision: str) -> None:
        name, _, preset = case.partition("/")
        run = ga.configure(name, preset=preset or "default", sweep={"seeds": members}, train={"precision": precision})
        run = dataclasses.replace(run, parallel=dataclasses.replace(run.parallel, data=1))
        self.trainer = Trainer(run, Path(tempfile.mkdtemp()) / "run", lambda event, values: None)
        self.dispatch = make_dispatch(self.trainer.algorithm, self.trainer.loader, self.trainer.run)
        self.step = 0
        with self.trainer.open_checkpoints() as self.trainer.checkpoints:
            self.trainer.state = self.trainer.first_state()
        self.compile_seconds = self.seconds(self.period)

    @property
    def period(self) -> int:
        """Steps after which lazy terms come again."""
        return max([1, *(every for _, every in self.trainer.algorithm.lazy)])

    def seconds(self, steps: int) -> float:
        """Seconds for so many steps, begun where lazy terms are due."""
        jax.block_until_ready(self.trainer.state)
        start = time.perf_counter()
        for _ in range(steps):
            self.trainer.state, metrics = self.dispatch(self.trainer, self.step, 1)
            self.step += 1
        jax.block_until_ready((self.trainer.state, metrics))
        return time.perf_counter() - start


def measure(case: str, members: int, steps: int, rounds: int, precision: str) -> str:
    """A line of the table."""
    alone, together = Subject(case, 0, precision), Subject(case, members, precision)
    steps = -(-steps // alone.period) * alone.period
    for subject in (alone, together):
        subject.seconds(alone.period)
    pairs = [(members * alone.seconds(steps), together.seconds(steps)) for _ in range(rounds)]
    in_turn, one = (1e3 * statistics.median(times) / steps for times in zip(*pairs, strict=True))
    low, middle, high = statistics.quantiles([a / b for a, b in pairs], n=4, method="inclusive")
    train = alone.trainer.run.train
    return (
        f"| {case} | {train.batch} | {in_turn:.2f} | {one:.2f} | {middle:.2f} ({low:.2f} to {high:.2f}) "
        f"| {alone.compile_seconds:.1f} | {together.compile_seconds:.1f} |"
    )


def hardware() -> str:
    """The accelerator, or the processor with its cores."""
    kind: Any = jax.devices()[0]
    if kind.platform == "cpu":
        return f"{machine.cores()} cores of {machine.processor()}"
    return str(kind.device_kind)


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    command = f"python -m benchmarks.sweep {' '.join(args.cases)} --members {args.members} --steps {args.steps}"
    lines = [
        f"`{command} --rounds {args.rounds} --precision {args.precision}`",
        f"{hardware()}, jax {jax.__version__}, commit {machine.commit()}, {datetime.datetime.now(datetime.UTC).date()},"
        " seeds from 0.",
        "",
        f"| model/preset | batch | {args.members} in turn, ms a step of all | together, ms | ratio (quartiles) "
        "| compiling one, s | the sweep, s |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for case in args.cases:
        lines.append(measure(case, args.members, args.steps, args.rounds, args.precision))
        print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
