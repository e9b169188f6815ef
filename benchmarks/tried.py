"""What was tried to make the slowest training steps faster on CPU, each against the step as it is.

    python -m benchmarks.tried [--case LABEL] [--variant NAME] [--rounds N] [--out benchmarks/results/tried.md]

A variant is the same step with one thing replaced; all variants of a case take turns in one process. Where PyTorch is
faster (results/throughput.md), this is what did not close the gap, and what it would be worth to leave work out.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import shlex
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import machine
from genart_jax.losses import elbo
from genart_jax.models import simple_cnn
from genart_jax.nn import conv, pool
from genart_jax.nn.conv import choice, chunks
from genart_jax.nn.conv.direct import conv_lax
from genart_jax.nn.conv.geometry import Geometry, canonical
from genart_jax.runtime import compiler
from genart_jax.steps import common, optim
from genart_jax.train import bench

Patch = contextlib.AbstractContextManager[Any]


def plain_sum(x: jax.Array, logits: jax.Array) -> jax.Array:
    """`elbo.bernoulli_nll` as a reduction, into which XLA fuses all that leads to it."""
    return jnp.sum(jax.nn.softplus(logits) - x * logits, axis=tuple(range(1, x.ndim)))


def barrier_sum(x: jax.Array, logits: jax.Array) -> jax.Array:
    """The same, kept apart from what leads to it."""
    return jnp.sum(jax.lax.optimization_barrier(jax.nn.softplus(logits) - x * logits), axis=tuple(range(1, x.ndim)))


def no_norm(tree: Any) -> jax.Array:
    """In place of `common.global_norm`: nothing is computed for the log."""
    return jnp.zeros(())


def optimizer_by(change: Callable[[Any], Any]) -> Patch:
    """Every step's optimizer, changed."""
    made = optim.make_optimizer
    return mock.patch.object(common, "make_optimizer", lambda *args, **kwargs: change(made(*args, **kwargs)))


def after_all_gradients(optimizer: Any) -> Any:
    """An optimizer that begins when all gradients are there, so that XLA need not copy parameters before."""

    def update(grads: Any, state: Any, params: Any = None, **kwargs: Any) -> Any:
        return optimizer.update(jax.lax.optimization_barrier(grads), state, params, **kwargs)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def option(**compiler_options: Any) -> Patch:
    """Programs compiled with options of XLA's."""
    compile_ = jax.stages.Lowered.compile
    changed = functools.partialmethod(compile_, compiler_options=compiler_options)
    return mock.patch.object(jax.stages.Lowered, "compile", changed)


def selecting_pool(x: jax.Array, window: Sequence[int], strides: Sequence[int]) -> jax.Array:
    """2x2 max-pooling whose gradient is one selection by the number of the largest in its window."""
    return _selected(x)


@jax.custom_jvp
def _selected(x: jax.Array) -> jax.Array:
    return pool.max_pool(x, (2, 2), (2, 2))


@_selected.defjvp
def _selected_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    n, h, w, c = primals[0].shape
    tiles, tangent = (v.reshape(n, h // 2, 2, w // 2, 2, c) for v in (primals[0], tangents[0]))
    value, first = tiles[:, :, 0, :, 0], jnp.zeros((n, h // 2, w // 2, c), jnp.int8)
    for i in (1, 2, 3):
        other = tiles[:, :, i // 2, :, i % 2]
        first, value = jnp.where(value < other, jnp.int8(i), first), jnp.maximum(value, other)
    chosen = first[:, :, None, :, None] == np.arange(4, dtype=np.int8).reshape(2, 1, 2, 1)
    return value, jnp.where(chosen, tangent, 0.0).sum((2, 4))


def stacking_pool(x: jax.Array, window: Sequence[int], strides: Sequence[int]) -> jax.Array:
    """2x2 max-pooling whose gradient stacks the parts for even and odd positions, one axis after the other."""
    return _stacked(x)


@jax.custom_vjp
def _stacked(x: jax.Array) -> jax.Array:
    return pool.max_pool(x, (2, 2), (2, 2))


def _stacked_forward(x: jax.Array) -> tuple[jax.Array, Any]:
    a, b = x[:, :, 0::2], x[:, :, 1::2]
    rows = jnp.maximum(a, b)
    c, d = rows[:, 0::2], rows[:, 1::2]
    return jnp.maximum(c, d), (a < b, c < d)


def _stacked_backward(later: Any, g: jax.Array) -> tuple[jax.Array]:
    n, h, w, c = g.shape
    part = lambda chosen, g, axis: jnp.stack([jnp.where(chosen, 0.0, g), jnp.where(chosen, g, 0.0)], axis)
    rows = part(later[1], g, 2).reshape(n, 2 * h, w, c)
    return (part(later[0], rows, 3).reshape(n, 2 * h, 2 * w, c),)


_stacked.defvjp(_stacked_forward, _stacked_backward)


def pairs(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y of a first convolution, of stride 1, at two positions of the last axis at once: a kernel that is one
    wider, has both outputs, and moves by two. Other convolutions as they are.
    """
    if w.shape[-2] > 3 or max((*g.strides, *g.dilation)) > 1 or g.out[-1] % 2:
        return conv_lax(x, w, g)
    here, there = (jnp.pad(w, [(0, 0)] * (g.ndim - 1) + [(i, 1 - i), (0, 0), (0, 0)]) for i in (0, 1))
    both = jnp.concatenate([here, there], -1)
    strides = (*g.strides[:-1], 2)
    y = jax.lax.conv_general_dilated(
        x, both, strides, g.padding, dimension_numbers=canonical(g.ndim), precision=g.precision
    )
    return y.reshape(x.shape[0], *g.out, w.shape[-1])


def form(function: Any = None, **names: str) -> Patch:
    """Convolutions in other forms than `choose` takes."""
    stack = contextlib.ExitStack()
    if function is not None:
        stack.enter_context(mock.patch.dict(choice.CONV, blocks=function))
        names["conv"] = "blocks"
    stack.enter_context(conv.forms(**names))
    return stack


def positions(factor: float) -> Patch:
    """More images, or fewer, in each chunk of a form that has chunks."""
    stack = contextlib.ExitStack()
    for name in ("POSITIONS", "SHARED_POSITIONS"):
        changed = int(factor * getattr(chunks, name))
        stack.enter_context(mock.patch.object(chunks, name, changed))
    return stack


def many_channels(least: int) -> Patch:
    """`winograd` for all 3x3 convolutions of stride 1 with so many channels on both sides."""

    def enough(operation: str, g: Geometry, inputs: int, outputs: int) -> bool:
        return g.kernel == (3, 3) and g.strides == (1, 1) == g.dilation and min(inputs, outputs) >= least

    return mock.patch.object(choice, "_many_channels", enough)


LIBRARY = ",".join(f"LIBRARY_FUSION_TYPE_{kind}" for kind in ("DOT", "INDIVIDUAL_DOT", "ELTWISE", "REDUCE"))

# Each of a case's variants: what is told of it, and a patch or options of the configuration.
EVERYWHERE: dict[str, Callable[[], Patch]] = {
    "without norms of gradients, updates and parameters": lambda: mock.patch.object(common, "global_norm", no_norm),
    "the optimizer waits for all gradients": lambda: optimizer_by(after_all_gradients),
    "the optimizer on one flat vector": lambda: optimizer_by(optax.flatten),
    "XLA: vectors of 512 bits": lambda: option(xla_cpu_prefer_vector_width=512),
    "XLA: copies without a look at regions": lambda: option(xla_cpu_copy_insertion_use_region_analysis=False),
    "XLA: elementwise operations in its library too": lambda: option(xla_cpu_experimental_ynn_fusion_type=LIBRARY),
    "XLA: preset for a fast run time": lambda: option(xla_cpu_opt_preset="CPU_OPT_PRESET_FAST_RUNTIME"),
}
LIKELIHOOD: dict[str, Callable[[], Patch]] = {
    "likelihood by a plain sum": lambda: mock.patch.object(elbo, "bernoulli_nll", plain_sum),
    "likelihood by a plain sum behind a barrier": lambda: mock.patch.object(elbo, "bernoulli_nll", barrier_sum),
}
POOL: dict[str, Callable[[], Patch]] = {
    "pool: one selection": lambda: mock.patch.object(simple_cnn, "max_pool", selecting_pool),
    "pool: stacked": lambda: mock.patch.object(simple_cnn, "max_pool", stacking_pool),
}
THREADS: dict[str, Callable[[], Patch]] = {
    "jax.jit: convolutions by another library": lambda: mock.patch.object(compiler, "options", dict),
}
FIRST: dict[str, Callable[[], Patch]] = {
    "first convolution: two positions at once": lambda: form(pairs),
}
FORMS: dict[str, Callable[[], Patch]] = {
    "without winograd": lambda: mock.patch.object(choice, "_many_channels", return_value=False),
    "winograd from 64 channels on": lambda: many_channels(64),
    "winograd from 32 channels on": lambda: many_channels(32),
    "convolutions by lax alone": lambda: form(conv="lax", transpose="lax", weight="lax"),
    "transposes by phases": lambda: form(transpose="phases"),
    "transposes by blocks": lambda: form(transpose="blocks"),
    "weight gradients by lax": lambda: form(weight="lax"),
    "weight gradients by matrix products": lambda: form(weight="matmul"),
    "half as many images in a chunk": lambda: positions(0.5),
    "twice as many images in a chunk": lambda: positions(2),
}
CASES: tuple[tuple[str, dict[str, Any], dict[str, Callable[[], Patch]]], ...] = (
    ("mlp_vae", {"name": "mlp_vae"}, LIKELIHOOD | EVERYWHERE),
    ("simple_cnn, batch 128", {"name": "simple_cnn", "batch": 128}, THREADS | POOL | FORMS | EVERYWHERE),
    (
        "simple_cnn 64x64, batch 128",
        {"name": "simple_cnn", "image_shape": (64, 64, 3), "batch": 128},
        THREADS | POOL | FIRST | FORMS | EVERYWHERE,
    ),
    ("dcgan", {"name": "dcgan"}, THREADS | FORMS | EVERYWHERE),
    ("conv_vae", {"name": "conv_vae"}, THREADS | FORMS | EVERYWHERE),
    ("vqvae", {"name": "vqvae"}, THREADS | FORMS | EVERYWHERE),
    ("sngan", {"name": "sngan"}, THREADS | FORMS),
    ("resnet", {"name": "resnet"}, THREADS | FORMS | EVERYWHERE),
    ("kl_autoencoder", {"name": "kl_autoencoder"}, THREADS | FORMS),
    ("super_resolution 64x64", {"name": "super_resolution", "image_shape": (64, 64, 3)}, THREADS | FORMS),
    (  # a round of each takes half a minute
        "dcgan 64x64, width 64",
        {"name": "dcgan", "image_shape": (64, 64, 3), "batch": 64, "options": {"width": 64}},
        THREADS | FORMS,
    ),
)


def measure(case: dict[str, Any], variants: dict[str, Callable[[], Patch]], rounds: int) -> Iterator[str]:
    """A row for each variant: median and least time of a step, and its least time over that of the step as it is."""
    subjects = {}
    for name, patch in {"as it is": contextlib.nullcontext, **variants}.items():
        with patch():
            subjects[name] = bench.Subject(bench.resolved(**case))
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            times[name].append(1e3 * subject.round())
    for name, own in times.items():
        ratio = min(own) / min(times["as it is"])
        yield f"| {name} | {statistics.median(own):.3g} | {min(own):.3g} | {ratio:.2f} |"


def main() -> None:
    """Measures, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=[label for label, _, _ in CASES], help="one alone")
    names = sorted({name for _, _, variants in CASES for name in variants})
    parser.add_argument("--variant", choices=names, metavar="NAME", help="one alone, in the cases that have it")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/tried.md"))
    args = parser.parse_args()
    lines = [
        "# What was tried to make steps faster",
        "",
        f"`python -m benchmarks.tried {shlex.join(sys.argv[1:])}`; {machine.about()};"
        f" float32. Milliseconds of a step, over rounds in which all"
        " variants take turns. The last column compares the least times, as other work on the machine only ever adds to"
        " them: below 1 is faster.",
    ]
    for label, case, variants in CASES:
        variants = {name: patch for name, patch in variants.items() if args.variant in (None, name)}
        if args.case not in (None, label) or not variants:
            continue
        lines += [
            "",
            f"## {label}",
            "",
            "| variant | median ms | least ms | of the least as it is |",
            "|---|---:|---:|---:|",
        ]
        lines += list(measure(case, variants, args.rounds))
        args.out.write_text("\n".join(lines) + "\n")
        jax.clear_caches()
    print(args.out.read_text())


if __name__ == "__main__":
    main()
