"""Times the forms of StyleGAN2's building blocks: modulated convolution, and the filter of its resampling.

    python -m benchmarks.style_forms [--batch N] [--rounds N] [--markdown FILE]

Each form is timed forwards, and for the gradient in all its arguments (which includes the forward pass); forms take
turns, and the least time of the rounds counts. Takes a minute or two on a CPU.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks import machine, turns
from genart_jax.nn.conv import conv
from genart_jax.nn.resample import FILTER, upfirdn
from genart_jax.nn.style import modulated_conv

CONVOLUTIONS = ((4, 128, 128, False), (8, 64, 64, False), (16, 32, 32, False), (32, 16, 16, False), (16, 32, 16, True))
"""Side, channels in and out, whether upsampled: the layers of the preset for 32 pixels."""
FILTERS = ((16, 32, 1, 1), (33, 16, 1, 1), (32, 16, 1, 2), (16, 16, 2, 1))
"""Side, channels, up, down."""


def seconds(
    functions: dict[str, Callable[..., Any]], args: tuple[jax.Array, ...], rounds: int
) -> dict[str, list[float]]:
    """Least milliseconds of each function: [forward, with its gradient]."""
    programs: dict[tuple[str, int], Callable[[], Any]] = {}
    for name, function in functions.items():
        loss = lambda *a, function=function: jnp.sum(jnp.sin(function(*a)))
        gradient = jax.value_and_grad(loss, argnums=tuple(range(len(args))))
        both = jax.jit(function), jax.jit(gradient)
        programs |= {(name, i): functools.partial(program, *args) for i, program in enumerate(both)}
    best = {key: 1e3 * min(times) for key, times in turns.seconds(programs, rounds).items()}
    return {name: [best[name, 0], best[name, 1]] for name in functions}


def square(x: jax.Array, up: int, down: int, platform_conv: bool) -> jax.Array:
    """The filter in one pass over both axes, by `nn.conv` or by XLA's own depthwise convolution."""
    line = np.array(FILTER) / sum(FILTER)
    channels, total = x.shape[-1], len(FILTER) + up - 2 if up > 1 else len(FILTER) - down
    pads = (((total + 1) // 2, total // 2),) * 2
    kernel = jnp.broadcast_to(jnp.asarray(np.outer(line, line) * up**2, x.dtype)[..., None, None], (4, 4, 1, channels))
    if not platform_conv:
        return conv(x, kernel, strides=down, input_dilation=up, padding=pads, groups=channels)
    return lax.conv_general_dilated(
        x,
        kernel,
        (down, down),
        pads,
        (up, up),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
    )


def axes(x: jax.Array, up: int, down: int) -> jax.Array:
    """The filter one axis after the other."""
    line = np.array(FILTER) / sum(FILTER)
    channels, total = x.shape[-1], len(FILTER) + up - 2 if up > 1 else len(FILTER) - down
    pads = ((total + 1) // 2, total // 2)
    for axis in range(2):
        here = lambda value, other, axis=axis: tuple(value if i == axis else other for i in range(2))
        kernel = jnp.asarray((line * up).reshape(here(-1, 1)), x.dtype)[..., None, None]
        kernel = jnp.broadcast_to(kernel, (*kernel.shape[:3], channels))
        options = {"strides": here(down, 1), "input_dilation": here(up, 1), "padding": here(pads, (0, 0))}
        x = conv(x, kernel, groups=channels, **options)
    return x


def measure(batch: int, rounds: int) -> list[str]:
    """Both tables as lines of Markdown."""
    draw = lambda *shape: jax.random.normal(jax.random.key(0), shape)
    cell = lambda pair: f"{pair[0]:.2f} / {pair[1]:.2f}"
    lines = ["| modulated convolution | scale | grouped |", "|---|---:|---:|"]
    for side, inputs, outputs, up in CONVOLUTIONS:
        args = draw(batch, side, side, inputs), draw(3, 3, inputs, outputs), draw(batch, inputs)
        forms = {
            form: lambda *a, form=form, up=up: modulated_conv(*a, up=up, form=form) for form in ("scale", "grouped")
        }
        found = seconds(forms, args, rounds)
        label = f"{side}² {inputs} to {outputs}{' upsampled' if up else ''}"
        lines.append(f"| {label} | {cell(found['scale'])} | {cell(found['grouped'])} |")
    lines += [
        "",
        "| filter | `upfirdn` | one pass | an axis at a time | XLA's depthwise |",
        "|---|---:|---:|---:|---:|",
    ]
    for side, channels, factor, down in FILTERS:
        total = len(FILTER) + factor - 2 if factor > 1 else len(FILTER) - down
        line, pads = np.array(FILTER) / sum(FILTER) * factor, ((total + 1) // 2, total // 2)
        found = seconds(
            {
                "ours": lambda x, u=factor, d=down, line=line, pads=pads: upfirdn(x, line, up=u, down=d, padding=pads),
                "one": lambda x, u=factor, d=down: square(x, u, d, False),
                "axes": lambda x, u=factor, d=down: axes(x, u, d),
                "lax": lambda x, u=factor, d=down: square(x, u, d, True),
            },
            (draw(batch, side, side, channels),),
            rounds,
        )
        label = f"{side}² {channels} channels{' up' if factor > 1 else ' down' if down > 1 else ''}"
        lines.append(f"| {label} | " + " | ".join(cell(found[name]) for name in ("ours", "one", "axes", "lax")) + " |")
    return lines


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    head = [
        "# Forms of StyleGAN2's building blocks",
        "",
        f"`python -m benchmarks.style_forms --batch {args.batch} --rounds {args.rounds}`: milliseconds at batch "
        f"{args.batch}, float32, forward / with the gradient.",
        f"{machine.about()}.",
        "",
    ]
    text = "\n".join([*head, *measure(args.batch, args.rounds)]) + "\n"
    print(text)
    if args.markdown:
        args.markdown.write_text(text)


if __name__ == "__main__":
    main()
