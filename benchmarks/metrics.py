"""What an evaluation costs: seconds of its parts, with seeded pictures and random weights of the real networks' shapes.

    python -m benchmarks.metrics [--extractor lite0:112 ...] [--num 5000] [--size 32] [--out FILE.md]

The weights do not matter for the time, so nothing has to be fetched. Everything is timed once after a warm-up of one
batch: compilation counts, as it does for a user, but in a row of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from benchmarks import machine
from genart_jax import assets, registry
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.metrics import diversity, frechet, inception_score, kernel, precision_recall


def random_weights(asset: str) -> Any:
    """Variables as the network is initialised."""
    image = jnp.zeros((1, 224, 224, 3))
    if asset == "vgg19":
        from genart_jax.nn.vgg import VGG

        return dict(jax.jit(VGG(until="relu5_4").init)(jax.random.key(0), image))
    run = ga.configure(asset, image_shape=image.shape[1:], conditions=(("class", 1000),))
    network = registry.model_module(asset).networks(run.model)["classifier"].module
    return dict(jax.jit(network.init)(jax.random.key(0), image))


def measure(word: str, num: int, size: int) -> dict[str, float]:
    """Seconds by part."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (num, size, size, 3)).astype(np.uint8) for _ in range(2)]
    with mock.patch.object(assets, "load", random_weights), mock.patch.object(assets, "sha256", return_value="random"):
        extractor = make_extractor(word)
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = function()
        seconds[name] = time.perf_counter() - start
        return result

    timed("compiling the extractor", lambda: extractor(images[0][: extractor.batch]))
    # One forward pass more is in the row above; what is left is the passes themselves.
    real, _ = timed("features of the real pictures", lambda: extractor(images[0]))
    fake, logits = timed("features of the generated pictures", lambda: extractor(images[1]))
    moments = timed("moments", lambda: frechet.fit(real))
    timed("Frechet distance", lambda: frechet.distance(moments, frechet.fit(fake)))
    timed("its bootstrap, 20 replicates", lambda: frechet.bootstrap_error(moments, fake))
    timed("its extrapolation, 15 points", lambda: frechet.extrapolate(moments, fake))
    timed("kernel distance", lambda: kernel.polynomial(real, fake))
    timed("precision, recall, density, coverage", lambda: precision_recall.compute(real, fake))
    timed("sliced Wasserstein distance", lambda: diversity.sliced_wasserstein(real, fake))
    timed("diversity", lambda: diversity.pairwise(fake))
    if logits is not None:
        timed("class score", lambda: inception_score.over_splits(logits))
    return seconds


def table(results: dict[str, dict[str, float]], num: int, size: int, command: str) -> str:
    """The seconds as a Markdown table, one column an extractor."""
    parts = list(dict.fromkeys(part for seconds in results.values() for part in seconds))
    lines = [
        f"# What an evaluation of {num} generated against {num} real pictures of {size} px costs",
        "",
        f"`{command}`: seconds, one run each, float32 features and float64 sums.",
        f"{machine.about()}.",
        "",
        f"| part | {' | '.join(results)} |",
        f"|---|{'---|' * len(results)}",
    ]
    for part in parts:
        lines.append(f"| {part} | {' | '.join(f'{s[part]:.1f}' if part in s else '' for s in results.values())} |")
    known = {name: s["features of the real pictures"] for name, s in results.items()}
    lines.append(f"| **whole** | {' | '.join(f'**{sum(s.values()):.0f}**' for s in results.values())} |")
    again = (sum(s.values()) - known[name] for name, s in results.items())
    lines.append(f"| whole, the real features from the cache | {' | '.join(f'{value:.0f}' for value in again)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extractor", nargs="+", default=["lite0:112"])
    parser.add_argument("--num", type=int, default=5000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results = {word: measure(word, args.num, args.size) for word in args.extractor}
    words = " ".join(args.extractor)
    command = f"python -m benchmarks.metrics --extractor {words} --num {args.num} --size {args.size}"
    text = table(results, args.num, args.size, command)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
