"""MNIST binarised once, by a stated seed: bounds of VAEs over CPU time, as a table and a figure.

    python -m benchmarks.binarised [--only MODEL ...] [--seconds N] [--runs DIR] [--out FILE.md]

A pixel is white with the probability of its grey value, drawn once for all by numpy's default generator and the seed
0, the training split before the test split: near the fixed set of papers, not equal to it. Each model trains for
--seconds CPU seconds of this call, and goes on in the next. Beside FILE.md goes FILE.png; it needs matplotlib, and the
digits (genart data build mnist).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from benchmarks import machine, vaes
from genart_jax.config import Parallel
from genart_jax.data.source import Split
from genart_jax.evaluate.bounds import log_likelihood
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.train import parallel
from genart_jax.train.evaluation import make_evaluator

SEED, LOOKED_AT, DRAWS, BOUNDED = 0, 1000, 100, 500
"""Of the binarisation; test pictures of the curve; draws of the weighted bound, and its test pictures."""
_STEP = {"likelihood": "bernoulli", "ema_decay": 0.999}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "mlp_vae": {"hidden": 400, "latent_dim": 20, "step": _STEP, "train": {"eval_every": 500, "log_every": 500}},
    "conv_vae": {"step": _STEP, "latent_dim": 20, "train": {"eval_every": 100, "log_every": 100}},
    "hvae": {"step": _STEP, "width": 32, "middle": 16, "latent_channels": 4, "layers": (3, 2, 1),
             "train": {"eval_every": 100, "log_every": 100}},
}  # fmt: skip
_STEPS, _BATCH = 100_000, 128


def binarised(images: Array, rng: np.random.Generator) -> Array:
    """uint8 pictures (n, height, width, 1) -> the same of 0 and 255, white with the probability of the grey value."""
    return np.where(255 * rng.random(images.shape, np.float32) < images, np.uint8(255), np.uint8(0))


def digits() -> dict[str, Array]:
    """Both splits, uint8 of 0 and 255."""
    data, rng = ga.open_data("mnist"), np.random.default_rng(SEED)
    return {name: binarised(part.arrays["image"], rng) for name, part in (("train", data.train), ("test", data.test))}


class Curve(vaes.Budget):
    """Bounds over CPU seconds of training, without those of evaluation."""

    def __init__(self, seconds: float, before: float) -> None:
        super().__init__(seconds)
        self.before, self.apart, self.mark = before, 0.0, 0.0
        self.rows: list[tuple[int, float, float]] = []

    def used(self) -> float:
        """See `vaes.Budget`."""
        return super().used() - self.apart

    def __call__(self, event: str, values: Mapping[str, Any]) -> None:
        """Takes one event; an evaluation begins where the row of the log is written."""
        super().__call__(event, values)
        if event == "log":
            self.mark = self.used()
        if event == "evaluate":
            self.apart += self.used() - self.mark
            self.rows.append((values["step"], self.before + self.mark, float(values["metrics"]["elbo"])))


def trained(name: str, runs: Path, seconds: float, data: Mapping[str, Array]) -> dict[str, Any]:
    """Trains a model further, and returns its curve and its bounds at the end."""
    directory, options = runs / name, dict(RECIPES[name])
    file = directory / "result.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {"rows": [], "seconds": 0.0}
    train = {"steps": _STEPS, "batch": _BATCH, "save_every": 0, "sample_every": 0, **options.pop("train")}
    curve = Curve(seconds, found["seconds"])
    splits = {"train": {"image": data["train"]}, "test": {"image": data["test"][:LOOKED_AT]}}
    run = ga.configure(name, train=train, **options)
    ga.fit(run, directory, curve, data=splits)
    found = {"rows": found["rows"] + curve.rows, "seconds": found["seconds"] + curve.used()}
    algorithm, state = ga.load(directory)
    evaluate = make_evaluator(algorithm, run.data, parallel.make_mesh(Parallel(data=1), 1))
    test = Split(len(data["test"]), {"image": data["test"]})
    found["elbo"] = float(evaluate(state, test, jax.random.key(0))["elbo"])
    found["iw_elbo"] = weighted(algorithm, state, data["test"][:BOUNDED])
    found["steps"] = int(state.step)
    found["parameters"] = sum(x.size for params in state.params.values() for x in jax.tree.leaves(params))
    file.write_text(json.dumps(found))
    return found


def weighted(algorithm: ga.Algorithm, state: ga.State, images: Array, batch: int = 100) -> float:
    """The importance-weighted bound of some pictures."""
    bound: Callable[..., jax.Array] = compiler.jit(
        lambda state, x, key: log_likelihood(algorithm, state, {"image": x, "condition": {}}, key, DRAWS)
    )
    parts = [bound(state, ga.to_float(images[i : i + batch]), jax.random.key(i)) for i in range(0, len(images), batch)]
    return float(jnp.mean(jnp.concatenate(parts)))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page."""
    lines = [
        "# MNIST, binarised once\n",
        f"`python -m benchmarks.binarised`: {machine.about()}.",
        f"White with the probability of the grey value, drawn once by the seed {SEED}; batches of {_BATCH}, Adam at",
        "1e-3 and moving averages of parameters. Nats, of 10,000 test pictures by the evidence lower bound, and of the",
        f"first {BOUNDED} by {DRAWS} draws. CPU minutes without evaluations, one process. Figures that are published",
        "for another binarisation of the same set are near and not equal: 89.8 for a VAE, 79.1 for one with layers.",
        "\n| model | parameters | steps | CPU minutes | negative ELBO | by draws |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        lines.append(
            f"| {name} | {one['parameters']:,} | {one['steps']:,} | {one['seconds'] / 60:.1f} | {-one['elbo']:.2f} |"
            f" {-one['iw_elbo']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def plot(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Negative bounds of the first test pictures over CPU minutes."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, one in found.items():
        axes.plot([row[1] / 60 for row in one["rows"]], [-row[2] for row in one["rows"]], label=name)
    axes.set_xscale("log")
    axes.set_ylim(75, 160)
    axes.set_xlabel("CPU minutes of training")
    axes.set_ylabel(f"negative ELBO, nats, {LOOKED_AT} test pictures")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(RECIPES), metavar="MODEL", help=", ".join(RECIPES))
    parser.add_argument("--seconds", type=float, default=600.0, help="CPU seconds of each training in this call")
    parser.add_argument("--runs", type=Path, default=Path("runs/binarised"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/binarised.md"))
    args = parser.parse_args(argv)
    try:
        data = digits()
        for name in args.only or RECIPES:
            print(f"{args.runs / name} ...", flush=True)
            trained(name, args.runs, args.seconds, data)
    except ga.UserError as error:
        print(f"binarised: {error}", file=sys.stderr)
        return 2
    done = {name: args.runs / name / "result.json" for name in RECIPES}
    found = {name: json.loads(file.read_text()) for name, file in done.items() if file.is_file()}
    args.out.write_text(table(found))
    plot(found, args.out.with_suffix(".png"))
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
