"""CPU time and memory of training steps in two checkouts of this project, in alternating pairs.

    python -m benchmarks.step_pairs OLD NEW [--models dcgan stylegan2] [--pairs 10] [--python PYTHON]

OLD and NEW are folders with the package; both run with the same Python and the same versions of everything. A step has
no lazy terms; its CPU time is that of the process, the median of a run's rounds. Memory is what the compiled program
needs at most. Written to benchmarks/results/step_pairs.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = {"dcgan": (6, 5), "stylegan2": (3, 1), "conv_vae": (6, 10), "simple_cnn": (6, 10)}
"""Rounds, and steps in each."""

CACHE = {
    "JAX_COMPILATION_CACHE_DIR": tempfile.mkdtemp(prefix="step_pairs-"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
"""Each checkout compiles its programs once, in its first pair."""

ONE = """
import json, sys, time
import jax, jax.numpy as jnp, numpy as np
import genart_jax as ga
name, rounds, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
alg = ga.build(name, image_shape=(32, 32, 3), conditions=(("style", 5),))
num, rng = 64 * alg.batches_per_step, np.random.default_rng(0)
images = rng.uniform(-1, 1, (num, 32, 32, 3)).astype(np.float32)
batch = {"image": jnp.asarray(images), "condition": {"style": jnp.asarray(rng.integers(0, 5, num).astype(np.int32))}}
key = jax.random.key(0)
state = ga.jit(alg.init)(key, batch)
step = ga.jit(alg.step, donate_argnums=0, static_argnames="due")
for _ in range(2):
    state, metrics = step(state, batch, key, due=())
jax.block_until_ready(metrics)
times = []
for _ in range(rounds):
    begun = time.process_time()
    for _ in range(steps):
        state, metrics = step(state, batch, key, due=())
    jax.block_until_ready(metrics)
    times.append((time.process_time() - begun) / steps)
needs = step.lower(state, batch, key, due=()).compile().memory_analysis()
peak = (needs.temp_size_in_bytes + needs.argument_size_in_bytes + needs.output_size_in_bytes) / 2**20
print(json.dumps([sorted(times)[len(times) // 2], peak, jax.__version__]))
"""


def measure(checkout: Path, python: str, model: str) -> tuple[float, float, str]:
    """CPU seconds of a step, MiB of the compiled program, and JAX's version."""
    rounds, steps = MODELS[model]
    environment = os.environ | {"PYTHONPATH": str(checkout), "JAX_PLATFORMS": "cpu"} | CACHE
    command = [python, "-c", ONE, model, str(rounds), str(steps)]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    seconds, peak, version = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak, version


def row(model: str, old: Path, new: Path, python: str, pairs: int) -> str:
    """A line of the table: medians, and of the ratios of pairs the median, the least and the largest."""
    both, version = [], ""
    for index in range(pairs):
        order = (old, new) if index % 2 == 0 else (new, old)
        found = {place: measure(place, python, model) for place in order}
        both.append((found[old], found[new]))
        version = found[new][2]
        print(model, index, f"{found[old][0]:.4f} {found[new][0]:.4f}", flush=True)
    ratios = sorted(b[0] / a[0] for a, b in both)
    times = [statistics.median(one[i][0] for one in both) for i in (0, 1)]
    peaks = [statistics.median(one[i][1] for one in both) for i in (0, 1)]
    return (
        f"| `{model}` | {1e3 * times[0]:.1f} | {1e3 * times[1]:.1f} | {statistics.median(ratios):.3f} "
        f"({ratios[0]:.3f} to {ratios[-1]:.3f}) | {peaks[0]:.0f} | {peaks[1]:.0f} | {peaks[1] / peaks[0]:.3f} "
        f"| {pairs} | {version} |\n"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--python", default=sys.executable)
    args = parser.parse_args()
    names = [
        subprocess.run(["git", "-C", place, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        for place in (args.old, args.new)
    ]
    lines = [row(model, args.old.resolve(), args.new.resolve(), args.python, args.pairs) for model in args.models]
    old, new = (name.stdout.strip() for name in names)
    head = (
        f"# Steps before and after\n\nBy `python -m benchmarks.step_pairs`: {old} against {new}, on "
        f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} CPU cores, {datetime.date.today().isoformat()}.\n"
        "CPU milliseconds of a step of 64 pictures of 32x32 without lazy terms, and the compiled program's memory in "
        "MiB; medians.\n\n"
        "| model | before, ms | after, ms | ratio of pairs | before, MiB | after, MiB | ratio | pairs | jax |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    (Path(__file__).parent / "results" / "step_pairs.md").write_text(head + "".join(lines))


if __name__ == "__main__":
    main()
