"""Pictures a second through EfficientNet-lite0 at 224 px, here and in PyTorch with the same weights.

    python -m benchmarks.features [--batches 1 8 64] [--rounds 3] [--out FILE.md]

Features are the activations after the global pooling (1280 numbers), float32, in inference. The two take turns round by
round in one process, each with all cores; a round is as many batches as 32 pictures need, and the medians of the
rounds are compared. Random pictures; weights of `genart assets fetch efficientnet_lite0`, else random ones.
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
import numpy as np

from benchmarks import machine
from genart_jax import assets
from genart_jax.models import efficientnet_lite0

_PICTURES = 32  # of a round, at least


def ours(variables: Any, module: Any) -> Callable[[np.ndarray[Any, Any]], Any]:
    """Images (B, 224, 224, 3) -> features, waited for."""
    forward = jax.jit(lambda v, x: module.apply(v, x)[1]["pooled"])
    placed = jax.device_put(variables)
    return lambda images: jax.block_until_ready(forward(placed, images))


def torchs(variables: Any, config: efficientnet_lite0.Config) -> Callable[[np.ndarray[Any, Any]], Any]:
    """The same in PyTorch: its own modules in eager mode, channels last, TensorFlow's SAME padding."""
    import torch
    from torch import nn

    torch.set_num_threads(machine.cores())

    def layer(name: str, p: Any, s: Any, stride: int = 1, act: bool = True, depthwise: bool = False) -> list[Any]:
        kernel = torch.tensor(np.asarray(p[name]["kernel"]).transpose(3, 2, 0, 1))
        side, inputs = kernel.shape[-1], kernel.shape[0] if depthwise else kernel.shape[1]
        # With stride 2 and an even size, SAME pads one more after the picture than before it.
        pad = [nn.ZeroPad2d((side // 2 - 1, side // 2) * 2)] if stride == 2 else []
        groups = inputs if depthwise else 1
        same = 0 if stride == 2 else side // 2
        conv = nn.Conv2d(inputs, kernel.shape[0], side, stride, same, groups=groups, bias=False)
        conv.weight.data = kernel
        norm = nn.BatchNorm2d(kernel.shape[0], eps=1e-3)
        for key, value in (("weight", p[f"{name}_norm"]["scale"]), ("bias", p[f"{name}_norm"]["bias"])):
            getattr(norm, key).data = torch.tensor(np.asarray(value))
        norm.running_mean, norm.running_var = (torch.tensor(np.asarray(s[f"{name}_norm"][k])) for k in ("mean", "var"))
        return [*pad, conv, norm, *([nn.ReLU6(inplace=True)] if act else [])]

    class Block(nn.Module):
        def __init__(self, p: Any, s: Any, stride: int) -> None:
            super().__init__()
            layers = layer("expand", p, s) if "expand" in p else []
            layers += layer("depthwise", p, s, stride, depthwise=True) + layer("project", p, s, act=False)
            self.body = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            y = self.body(x)
            return x + y if x.shape == y.shape else y

    params, stats = variables["params"], variables["batch_stats"]
    blocks: list[Any] = []
    for stride, depth in zip(config.strides, config.depths, strict=True):
        for i in range(depth):
            name = f"block_{len(blocks)}"
            blocks.append(Block(params[name], stats[name], stride if i == 0 else 1))
    network: Any = nn.Sequential(
        *layer("stem", params, stats, 2), *blocks, *layer("head", params, stats), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    network = network.eval().to(memory_format=torch.channels_last)

    def run(images: np.ndarray[Any, Any]) -> Any:
        with torch.inference_mode():
            x = torch.from_numpy(images).permute(0, 3, 1, 2)  # the same memory, channels last
            return network(x * (127.5 / 128.0) + 0.5 / 128.0).numpy()

    return run


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    config = efficientnet_lite0.Config(image_shape=(224, 224, 3), conditions=(("imagenet", 1000),))
    module = efficientnet_lite0.networks(config)["classifier"].module
    name = "efficientnet_lite0"
    published = assets.available(name)
    images = np.random.default_rng(0).uniform(-1, 1, (max(args.batches), 224, 224, 3)).astype(np.float32)
    init = jax.jit(functools.partial(module.init, jax.random.key(0)))
    variables = assets.load(name) if published else jax.device_get(init(images[:1]))
    both = {"genart_jax": ours(variables, module), "PyTorch": torchs(variables, config)}
    a, b = (run(images[:2]) for run in both.values())
    difference = float(np.abs(np.asarray(a) - b).max())
    lines = [
        "# Features of EfficientNet-lite0",
        "",
        f"`python -m benchmarks.features --batches {' '.join(map(str, args.batches))} --rounds {args.rounds}`:",
        "pictures a second at 224 px, median of the rounds (least to most), float32, "
        f"{'published' if published else 'random'} weights, seed 0. {machine.about()}.",
        f"The two agree within {difference:.1e}.",
        "",
        "| batch | genart_jax | PyTorch eager | ratio |",
        "|---|---|---|---|",
    ]
    for batch in args.batches:
        part, repeats = images[:batch], -(-_PICTURES // batch)
        rates: dict[str, list[float]] = {key: [] for key in both}
        for run in both.values():
            run(part)
        for _ in range(args.rounds):
            for key, run in both.items():
                start = time.perf_counter()
                for _ in range(repeats):
                    run(part)
                rates[key].append(batch * repeats / (time.perf_counter() - start))
        cells = [f"{statistics.median(r):.1f} ({min(r):.1f} to {max(r):.1f})" for r in rates.values()]
        ratio = statistics.median(x / y for x, y in zip(*rates.values(), strict=True))
        lines.append(f"| {batch} | {' | '.join(cells)} | {ratio:.2f} |")
        print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
