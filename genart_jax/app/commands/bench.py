"""`genart bench [NAME ...]`: speed and memory of training steps."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Literal

from genart_jax import registry
from genart_jax.app.arguments import leading, parse
from genart_jax.config import UserError

USAGE = "bench [NAME ...] [--json]"
SUMMARY = "speed and memory of training steps"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart bench`."""

    preset: str = "default"
    """Which of the models' presets to measure."""
    image_size: tuple[int, ...] = ()
    """Height, width and channels; empty: what is usual for the model."""
    batch: int | None = None
    """Examples a step; None: the preset's."""
    precision: Literal["float32", "tf32", "bfloat16"] | None = None
    """Precision of products and activations; None: the preset's."""
    devices: int = 1
    """Devices that share a batch."""
    rounds: int = 5
    """How often each model is timed."""
    json: bool = False
    """As JSON."""


def run(args: Sequence[str]) -> None:
    """The command."""
    names, rest = leading(args)
    text = "Speed and memory of training steps; without names, of every model."
    options: Options = parse(Options, rest, "genart bench [NAME ...]", text)
    if len(options.image_size) not in (0, 3, 4):
        raise UserError(
            f"--image-size takes (depth or frames,) height, width and channels, not {len(options.image_size)} numbers"
        )
    if options.image_size and min(options.image_size) < 1:
        raise UserError(f"--image-size {' '.join(map(str, options.image_size))}: each must be at least 1")
    if options.rounds < 1:
        raise UserError(f"--rounds must be at least 1, not {options.rounds}")
    for name in names:
        registry.find(name)

    from genart_jax.train import bench

    results = []
    for name in names or registry.list_models():
        try:
            run = bench.resolved(
                name, options.preset, options.image_size, options.batch, options.precision, options.devices
            )
            figures = bench.measure(run, options.rounds)
        except UserError as error:
            raise UserError(_renamed(str(error))) from None
        results.append(figures)
        if not options.json:
            low, middle, high = (1e3 * t for t in figures["step_seconds"])
            shape = "x".join(map(str, run.model.image_shape))
            print(f"{name:<16}{shape:<12}batch {run.train.batch:<6}{figures['images_per_second']:>10,.0f} images/s")
            print(f"    step {middle:.3g} ms ({low:.3g} to {high:.3g}), compiled in {figures['compile_seconds']:.1f} s,"
                  f" {figures['host_fraction']:.1%} of it on the host")  # fmt: skip
            print(f"    {figures['flops'] / 1e9:.3g} GFLOP a step, {figures['mfu']:.0%} of the matmul rate,"
                  f" {figures['memory']['peak_bytes'] / 2**20:.0f} MiB")  # fmt: skip
    if options.json:
        print(json.dumps(results, indent=2))


def _renamed(message: str) -> str:
    """A mistake with the options of this command in place of those of `genart train`."""
    for there, here in (
        ("--data.image-size", "--image-size"),
        ("lower --parallel.data or .model", "lower --devices"),
        ("train.batch", "--batch"),
    ):
        message = message.replace(there, here)
    return message
