"""What augmentation adds to a training step of `dcgan` at 32 pixels.

    python -m benchmarks.augment_cost [--rounds N] [--batch N] [--cache DIR] [--out FILE.md]

Forms take turns (A B C D A B ...), each for eight steps, of which one has the R1 penalty, and ratios are taken round by
round, so that a busy machine slows all alike. A second table has each group of operations alone, there and back.
With `--cache`, a second start need not compile.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import genart_jax as ga
from benchmarks import machine, turns
from genart_jax.config import Data
from genart_jax.data import augment
from genart_jax.data.augment.ada import OPS as ADA
from genart_jax.data.augment.diffaugment import OPS as DIFFAUGMENT
from genart_jax.data.pipeline import prepare
from genart_jax.data.source import open_source
from genart_jax.runtime import compiler

FORMS: dict[str, dict[str, Any]] = {
    "none": {},
    "DiffAugment": {"augment": "diffaugment"},
    "ADA: blit": {"augment": "ada", "augment_ops": ("blit",)},
    "ADA: blit, geometric, color": {"augment": "ada"},
    "ADA: all six groups": {"augment": "ada", "augment_ops": ADA},
}
STEPS = 8


class Form:
    """A training step, and its state."""

    def __init__(self, options: dict[str, Any], batch: int) -> None:
        source = open_source(Data())
        step = {"augment_schedule": "constant", "augment_p": 0.6, **options}
        self.algorithm = ga.build(
            "dcgan",
            preset="non_saturating",
            image_shape=source.image_shape,
            conditions=source.spec.conditions,
            step=step,
        )
        raw = {name: values[:batch] for name, values in source.train.arrays.items()}
        self.batch = prepare(raw, None, Data(), source.spec.fields)
        self.key = jax.random.key(0)
        self.state = compiler.jit(self.algorithm.init, once=True)(self.key, self.batch)
        self.step = compiler.jit(self.algorithm.step, donate_argnums=0, static_argnames="due")

    def seconds(self) -> float:
        """Seconds a step."""
        start = time.perf_counter()
        for i in range(STEPS):
            self.state, _ = self.step(self.state, self.batch, self.key, due=self.algorithm.due(i))
        jax.block_until_ready(self.state)
        return (time.perf_counter() - start) / STEPS


def alone(batch: int, rounds: int) -> list[str]:
    """Rows of milliseconds that each group of operations takes for a batch, and those that its gradient takes."""
    images = jax.random.normal(jax.random.key(0), (batch, 32, 32, 3))
    keys = jax.random.split(jax.random.key(1), batch)
    pipelines = {"DiffAugment": (augment.diffaugment, DIFFAUGMENT), "ADA": (augment.ada, ADA)}
    programs: dict[str, Callable[[], Any]] = {}
    for pipeline, (function, ops) in pipelines.items():
        for op in ops:
            see = functools.partial(function, keys=keys, p=0.6, ops=(op,))
            forward, back = jax.jit(see), jax.jit(lambda g, see=see: jax.vjp(see, images)[1](g))
            programs[f"{pipeline}: {op}"] = functools.partial(forward, images)
            programs[f"{pipeline}: {op}, back"] = functools.partial(back, images)
    times = turns.seconds(programs, rounds)
    cell = lambda name: f"{1e3 * statistics.median(times[name]):.2f}"
    return [f"| {name} | {cell(name)} | {cell(name + ', back')} |" for name in programs if "back" not in name]


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.cache:
        jax.config.update("jax_compilation_cache_dir", str(args.cache))
    forms = {name: Form(options, args.batch) for name, options in FORMS.items()}
    for form in forms.values():
        form.seconds()  # compiles
    rounds = [{name: form.seconds() for name, form in forms.items()} for _ in range(args.rounds)]
    lines = [
        "# What augmentation of the critic's pictures adds to a step",
        "",
        f"`python -m benchmarks.augment_cost --rounds {args.rounds} --batch {args.batch}`: preset `non_saturating`,"
        f" 32x32, {args.batch} real and {args.batch} generated pictures a step, p = 0.6 (the cost does not depend on"
        " p). Medians; quartiles of the ratio, round by round.",
        f"{machine.about()}; float32.",
        "",
        "| augmentation | step, ms | more than none | a picture, microseconds |",
        "|---|---:|---:|---:|",
    ]
    for name in forms:
        step = statistics.median(r[name] for r in rounds)
        low, middle, high = statistics.quantiles([r[name] / r["none"] - 1 for r in rounds], n=4)
        added = statistics.median(r[name] - r["none"] for r in rounds) / (2 * args.batch)
        more = f"{middle:.1%} ({low:.1%} to {high:.1%})" if name != "none" else ""
        lines.append(f"| {name} | {1e3 * step:.1f} | {more} | {1e6 * added:.0f} |")
    lines += [
        "",
        f"Groups of operations alone, milliseconds for {args.batch} pictures, medians of {args.rounds} rounds:",
        "",
        "| group | there | gradient back |",
        "|---|---:|---:|",
        *alone(args.batch, args.rounds),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
