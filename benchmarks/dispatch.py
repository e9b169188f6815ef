"""What a step costs inside the trainer's loop over several steps, against one dispatched by itself.

    python -m benchmarks.dispatch [MODEL ...] [--group N] [--rounds N] [--out FILE.md]

On the embedded art set at each model's default preset. The two forms take turns (A B A B ...), and the ratio is taken
round by round, so that a busy machine slows both alike. Above 1, single dispatch is faster.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import jax

import genart_jax as ga
from benchmarks import machine
from genart_jax.train.dispatch import make_dispatch
from genart_jax.train.store import Checkpoints
from genart_jax.train.trainer import Trainer


class Form:
    """One way to run `group` steps: by itself, or in the loop."""

    def __init__(self, name: str, group: int, looped: bool) -> None:
        run = ga.configure(name, train={"steps_per_dispatch": group if looped else 1})
        self.trainer = Trainer(run, Path(tempfile.mkdtemp()) / "run", lambda event, values: None)
        self.dispatch = make_dispatch(self.trainer.algorithm, self.trainer.loader, self.trainer.run)
        self.group, self.count, self.step = group, group if looped else 1, 0
        with Checkpoints(self.trainer.directory) as self.trainer.checkpoints:
            self.trainer.state = self.trainer.first_state()

    def seconds(self) -> float:
        """Seconds for a group of steps."""
        start = time.perf_counter()
        for _ in range(self.group // self.count):
            self.trainer.state, _ = self.dispatch(self.trainer, self.step, self.count)
            self.step += self.count
        jax.block_until_ready(self.trainer.state)
        return time.perf_counter() - start


@dataclasses.dataclass(frozen=True)
class Row:
    """Milliseconds a step, and the ratio looped / single with its quartiles."""

    model: str
    single: float
    looped: float
    ratio: tuple[float, float, float]


def measure(name: str, group: int, rounds: int) -> Row:
    """Both forms of one model in turn."""
    single, looped = Form(name, group, False), Form(name, group, True)
    for form in (single, looped):
        form.seconds()  # compiles
    pairs = [(single.seconds(), looped.seconds()) for _ in range(rounds)]
    a, b = (statistics.median(values) / group * 1e3 for values in zip(*pairs, strict=True))
    low, middle, high = statistics.quantiles([y / x for x, y in pairs], n=4)
    return Row(name, a, b, (low, middle, high))


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    models = args.models or ga.list_models()
    lines = [
        f"# A step in a loop of {args.group} on the device, against a step dispatched by itself",
        "",
        f"`python -m benchmarks.dispatch {' '.join(models)} --group {args.group} --rounds {args.rounds}`",
        f"{machine.about()}. Default presets, float32.",
        "",
        "| model | single, ms | looped, ms | ratio looped / single (quartiles) |",
        "|---|---|---|---|",
    ]
    for name in models:
        row = measure(name, args.group, args.rounds)
        low, middle, high = row.ratio
        lines.append(f"| {row.model} | {row.single:.1f} | {row.looped:.1f} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
        print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
