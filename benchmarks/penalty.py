"""What a gradient penalty costs, in passes forward and backward of the same critic over the same pictures.

    python -m benchmarks.penalty [MODEL[,KEY=VALUE...] ...] [--rounds N] [--out FILE.md]

Both take turns: the gradient of the mean score with respect to the critic's parameters (one pass forward and one back),
and that of the R1 penalty, the mean squared gradient of the scores with respect to the pictures, which differentiates
twice. Each is one compiled program. The critic is as it is initialised, in training, at the preset's batch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import machine, throughput, turns
from genart_jax import registry
from genart_jax.api import build
from genart_jax.config import UserError
from genart_jax.losses.penalties import squared_gradient
from genart_jax.runtime import compiler
from genart_jax.steps import common
from genart_jax.train import bench

MODELS = ("dcgan", "dcgan,size=64,width=64", "sngan", "stylegan2")
_AT_LEAST = 0.2  # seconds of a turn


def programs(case: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The two programs, ready to be called without arguments, and the pictures that each sees."""
    run = bench.resolved(**case)
    algorithm, key = build(run), jax.random.key(0)
    batch = bench.random_batch(algorithm.batch_spec, run.train.batch)
    whole = bench.random_batch(algorithm.batch_spec, run.train.batch * algorithm.batches_per_step)
    state = jax.jit(algorithm.init)(key, whole)
    critic = registry.model_module(run.name).networks(run.model)["critic"].module
    condition = common.conditions_of(batch, algorithm.batch_spec)

    def score(params: Any, images: jax.Array) -> jax.Array:
        scores, _ = critic.apply({"params": params, **state.mutable["critic"]}, images, condition, train=True)
        return scores

    plain = compiler.jit(jax.grad(lambda p, x: jnp.mean(score(p, x))))
    penalty = compiler.jit(jax.grad(lambda p, x: jnp.mean(squared_gradient(lambda y: score(p, y), x))))
    params, images = state.params["critic"], batch["image"]
    made = {"plain": plain, "penalty": penalty}
    return {name: lambda f=f: f(params, images) for name, f in made.items()}, run.train.batch


def measure(case: dict[str, Any], rounds: int) -> tuple[dict[str, float], tuple[float, float, float], int]:
    """Median seconds of both, the quartiles of their ratio round by round, and the pictures."""
    made, pictures = programs(case)
    times = turns.seconds(made, rounds, _AT_LEAST)
    low, middle, high = statistics.quantiles([b / a for a, b in zip(*times.values(), strict=True)], n=4)
    return {name: statistics.median(values) for name, values in times.items()}, (low, middle, high), pictures


def main(argv: Sequence[str] | None = None) -> int:
    """Prints and writes the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL[,KEY=VALUE...]")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    models = args.models or list(MODELS)
    words = " ".join([*args.models, "--rounds", str(args.rounds)])
    lines = [
        "# What a gradient penalty costs",
        "",
        f"`python -m benchmarks.penalty {words}`: {machine.about()}; float32. Milliseconds of the critic's"
        " gradient by its mean score and by the R1 penalty over the same pictures: medians, and quartiles of their"
        " ratio.",
        "",
        "| model | pictures | forward and backward, ms | R1 penalty, ms | passes |",
        "|---|---:|---:|---:|---:|",
    ]
    try:
        cases = [throughput.parse_case(text, throughput.parse([])) for text in models]
        for text, case in zip(models, cases, strict=True):
            times, (low, middle, high), pictures = measure(case, args.rounds)
            cells = f"{1e3 * times['plain']:.1f} | {1e3 * times['penalty']:.1f}"
            lines.append(f"| {text} | {pictures} | {cells} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
            print(lines[-1], flush=True)
    except UserError as error:
        print(f"penalty: {error}", file=sys.stderr)
        return 2
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
