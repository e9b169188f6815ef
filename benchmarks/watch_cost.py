"""What watching the game costs: CPU time of a run's steps with and without it, in alternating pairs.

    python -m benchmarks.watch_cost [MODEL ...] [--pairs 3] [--steps 1000]

A run trains on the embedded icons with its default preset; its steps' CPU time is that of the process, from the log,
past what compiles. Written to benchmarks/results/watch_cost.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import genart_jax as ga
from benchmarks import machine
from benchmarks.demo_tries import Clock


def per_step(model: str, every: int, steps: int, directory: Path) -> float:
    """CPU seconds of a step, looked at `every` so many steps (0: never)."""
    clock = Clock()
    quiet = {"sample_every": 0, "save_every": 0, "log_every": 50, "steps": steps, "watch_every": every}
    ga.fit(ga.configure(model, train=quiet), directory, callback=clock)
    return clock.per_step()


def row(model: str, pairs: int, steps: int) -> str:
    """A line of the table."""
    every = ga.get_config(model, "default").train.watch_every
    both = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(pairs):
            order = (0, every) if index % 2 == 0 else (every, 0)
            found = {i: per_step(model, i, steps, Path(folder) / f"{model}-{index}-{i}") for i in order}
            both.append((found[0], found[every]))
            print(model, index, both[-1], flush=True)
    ratios = sorted(b / a for a, b in both)
    plain, watched = (1e3 * statistics.median(pair[i] for pair in both) for i in (0, 1))
    return (
        f"| `{model}` | {every} | {plain:.2f} | {watched:.2f} | {statistics.median(ratios):.3f} ({ratios[0]:.3f} to "
        f"{ratios[-1]:.3f}) | {pairs} |\n"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["modgan", "dcgan"])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    args = parser.parse_args()
    head = (
        f"# What watching a GAN costs\n\nBy `python -m benchmarks.watch_cost`, {args.steps} steps a run. "
        f"{machine.about()}.\n\n"
        "| model | looks every | CPU ms a step without | with | ratio of pairs | pairs |\n|---|---|---|---|---|---|\n"
    )
    rows = [row(model, args.pairs, args.steps) for model in args.models]
    (Path(__file__).parent / "results" / "watch_cost.md").write_text(head + "".join(rows))


if __name__ == "__main__":
    main()
