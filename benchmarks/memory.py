"""What `train.remat` and `train.microbatch` save in memory, and what they cost in time.

    python -m benchmarks.memory [--rounds N] [--out FILE.md]

Each case is compiled as it is and with the option, and the variants take turns; memory is what XLA plans for a step
beyond its arguments (`memory_analysis().temp_size_in_bytes`).
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks import machine
from genart_jax.train import bench

# model, image shape, batch, and the variants beside the plain one
CASES: tuple[tuple[str, tuple[int, ...], int, tuple[dict[str, Any], ...]], ...] = (
    ("dcgan", (64, 64, 3), 64, ({"train.remat": True},)),
    (
        "conv_vae",
        (64, 64, 3),
        128,
        ({"train.remat": True}, {"train.microbatch": 32}, {"train.remat": True, "train.microbatch": 32}),
    ),
    ("simple_cnn", (64, 64, 3), 128, ({"train.remat": True}, {"train.microbatch": 32})),
)


def rows(name: str, shape: tuple[int, ...], batch: int, variants: tuple[dict[str, Any], ...], rounds: int) -> list[str]:
    """The table's rows for one case."""
    subjects = [bench.Subject(bench.resolved(name, image_shape=shape, batch=batch, options=v)) for v in ({}, *variants)]
    times = [[subject.round() for subject in subjects] for _ in range(rounds)]
    plain = subjects[0].facts["memory"]["temporary_bytes"]
    lines = []
    for i, (variant, subject) in enumerate(zip(({}, *variants), subjects, strict=True)):
        words = " ".join(f"--{k} {v}" if v is not True else f"--{k}" for k, v in variant.items()) or "as it is"
        size = subject.facts["memory"]["temporary_bytes"]
        ratio = statistics.median(row[i] / row[0] for row in times)
        what = f"{name} {shape[0]}x{shape[1]} batch {batch}"
        lines.append(f"| {what} | {words} | {size / 2**20:.0f} | {size / plain:.2f} | {ratio:.2f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "# Memory against time",
        "",
        f"`python -m benchmarks.memory --rounds {args.rounds}`: default presets, float32. {machine.about()}.",
        "",
        "| case | options | temporary memory, MiB | of plain | time of plain |",
        "|---|---|---|---|---|",
    ]
    for case in CASES:
        lines += rows(*case, args.rounds)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
