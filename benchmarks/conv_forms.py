"""Times every form of convolution at the shapes of the zoo's models, for `genart_jax.nn.conv.choose`, and pooling.

    python -m benchmarks.conv_forms [--rounds 9] [--only transpose] [--markdown FILE] [--json FILE]

Forms of one case are timed in turn (A B C A B C ...) and the least times are compared, so that a busy machine slows
all alike. The rate counts the multiplications of the convolution itself, not what a form adds to them. The last columns
are the time of the chosen form inside ``lax.scan`` and ``lax.cond`` over its time outside.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from benchmarks import machine, turns
from genart_jax.nn.conv import choose
from genart_jax.nn.conv.choice import FORMS, SHIFTS
from genart_jax.nn.conv.geometry import Geometry
from genart_jax.nn.conv.grouped import split
from genart_jax.nn.pool import avg_pool, max_pool
from genart_jax.runtime import compiler, heap

# name, batch, input size, kernel, stride, padding, channels of x, channels of y
CASES = [
    ("dcgan64", 64, 64, 4, 2, 1, 3, 64),
    ("dcgan64", 64, 32, 4, 2, 1, 64, 128),
    ("dcgan64", 64, 16, 4, 2, 1, 128, 256),
    ("dcgan64", 64, 8, 4, 2, 1, 256, 512),
    ("dcgan64", 64, 4, 4, 1, 0, 512, 1),
    ("dcgan64", 64, 4, 4, 1, 0, 512, 100),
    ("dcgan32", 64, 32, 4, 2, 1, 3, 32),
    ("dcgan32", 64, 16, 4, 2, 1, 32, 64),
    ("dcgan32", 64, 8, 4, 2, 1, 64, 128),
    ("dcgan32", 64, 4, 4, 1, 0, 128, 1),
    ("vae28", 64, 28, 3, 2, 1, 1, 32),
    ("vae32", 128, 16, 4, 2, 1, 32, 64),
    ("vae32", 128, 8, 4, 2, 1, 64, 128),
    ("vae32", 128, 32, 4, 2, 1, 3, 32),
    ("cnn28", 64, 28, 3, 1, 1, 1, 32),
    ("cnn28", 64, 14, 3, 1, 1, 32, 64),
    ("cnn64", 64, 64, 3, 1, 1, 3, 32),
    ("cnn64", 64, 32, 3, 1, 1, 32, 64),
    ("cnn64", 64, 16, 3, 1, 1, 64, 128),
    ("wide", 64, 16, 3, 1, 1, 64, 64),
    ("wide", 64, 16, 3, 1, 1, 64, 128),
    ("wide", 64, 16, 3, 1, 1, 128, 128),
    ("wide", 64, 8, 3, 1, 1, 256, 256),
    ("wide", 16, 8, 3, 1, 1, 128, 128),
    ("resnet", 64, 16, 1, 1, 0, 128, 128),
    ("resnet", 64, 16, 1, 2, 0, 128, 256),
    ("resnet", 64, 32, 3, 2, 1, 64, 128),
]  # fmt: skip

# the same and groups: depthwise where they are as many as the channels
VOLUMES = [
    ("gan3d", 16, 32, 4, 2, 1, 1, 12),
    ("gan3d", 16, 16, 4, 2, 1, 12, 24),
    ("gan3d", 16, 8, 4, 2, 1, 24, 48),
    ("gan3d", 16, 16, 4, 2, 1, 32, 64),
]
"""Of three dimensions; `winograd` is of two alone."""
GROUPED = [
    ("depthwise", 64, 32, 3, 1, 1, 64, 64, 64),
    ("depthwise", 64, 32, 3, 2, 1, 64, 64, 64),
    ("depthwise", 64, 16, 5, 1, 2, 128, 128, 128),
    ("depthwise", 64, 16, 5, 2, 2, 128, 128, 128),
    ("blur", 64, 32, 4, 1, 2, 3, 3, 3),
    ("grouped", 64, 16, 3, 1, 1, 128, 128, 8),
    ("grouped", 64, 16, 3, 2, 1, 128, 128, 8),
]

# name, image shape, window, stride
POOLED = [
    ("cnn28", (128, 28, 28, 32), 2, 2),
    ("cnn64", (64, 64, 64, 32), 2, 2),
    ("stem", (64, 32, 32, 64), 3, 2),
]


@dataclasses.dataclass
class Row:
    """One operation at one shape: the rate of each form in GF/s."""

    model: str
    operation: str
    batch: int
    size: int
    kernel: int
    stride: int
    inputs: int
    outputs: int
    chosen: str
    rates: dict[str, float]
    scan: float | None = None
    cond: float | None = None
    groups: int = 1


def seconds(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The least time of each function, called in turn: other work on the machine only ever adds to it."""
    return {name: min(times) for name, times in turns.seconds(functions, rounds).items()}


def operands(operation: str, batch: int, g: Geometry, inputs: int, outputs: int) -> tuple[jax.Array, jax.Array]:
    """Random arrays for one operation."""
    shapes = {
        "x": (batch, *g.size, inputs),
        "w": (*g.kernel, inputs // g.groups, outputs),
        "y": (batch, *g.out, outputs),
    }
    first, second = {"conv": ("x", "w"), "transpose": ("y", "w"), "weight": ("x", "y")}[operation]
    keys = jax.random.split(jax.random.key(0))
    return jax.random.normal(keys[0], shapes[first]), jax.random.normal(keys[1], shapes[second])


def forms_of(operation: str, batch: int, g: Geometry, inputs: int, outputs: int) -> dict[str, Callable[..., jax.Array]]:
    """The forms that can compute one case."""
    table: dict[str, Callable[..., jax.Array]] = dict(FORMS[operation])
    if g.ndim == 3:
        table.pop("winograd")
    if g.groups == 1:
        return table
    if g.groups == inputs == outputs:  # so many parts that compiling `split` takes minutes
        return {"lax": table["lax"], "shifts": SHIFTS[operation]}
    one = choose(operation, dataclasses.replace(g, groups=1), inputs // g.groups, outputs // g.groups, batch)
    return {"lax": table["lax"], "split": functools.partial(split, table[one])}


def inside(form: Callable[..., jax.Array], a: jax.Array, b: jax.Array, g: Geometry, rounds: int) -> tuple[float, float]:
    """Time of a call in ``scan`` (which is a ``while`` to XLA) and in ``cond``, over that of a call outside."""
    # As of a step over batches: each call has operands of its own, or XLA moves out of the loop what depends on them
    # alone; and all of a result is kept, or XLA leaves out what is never looked at, more of it outside of a loop.
    count = 8
    a, b = (jnp.stack([v] * count) for v in (a, b))
    out = jax.eval_shape(lambda: form(a[0], b[0], g))

    def outside(i: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
        return form(a[i], b[i], g)

    def scan(i: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
        first = i, jnp.zeros(out.shape, out.dtype)
        turn = lambda carry, _: ((carry[0] + 1, outside(carry[0], a, b)), None)
        return lax.scan(turn, first, length=count)[0][1]

    def cond(i: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
        return lax.cond(i == 0, lambda: outside(i, a, b), lambda: jnp.zeros(out.shape, out.dtype))

    i = jnp.zeros((), jnp.int32)
    made = {f.__name__: compiler.jit(f) for f in (outside, scan, cond)}
    times = seconds({name: functools.partial(f, i, a, b) for name, f in made.items()}, rounds)
    return times["scan"] / (count * times["outside"]), times["cond"] / times["outside"]


def measure(case: tuple[Any, ...], operation: str, rounds: int, scan: bool) -> Row:
    """Times every form of one operation at one shape."""
    model, batch, size, kernel, stride, pad, inputs, outputs, *groups = case
    n = 3 if case in VOLUMES else 2
    g = Geometry((size,) * n, (kernel,) * n, (stride,) * n, ((pad, pad),) * n, (1,) * n, *groups)
    g = dataclasses.replace(g, eigen=bool(compiler.options()))
    a, b = operands(operation, batch, g, inputs, outputs)
    table = forms_of(operation, batch, g, inputs, outputs)
    jitted = {name: compiler.jit(lambda a, b, form=form: form(a, b, g)) for name, form in table.items()}
    times = seconds({name: functools.partial(f, a, b) for name, f in jitted.items()}, rounds)
    work = 2e-9 * batch * g.out[0] ** n * kernel**n * inputs * outputs / g.groups
    chosen, rates = choose(operation, g, inputs, outputs, batch), {k: work / t for k, t in times.items()}
    row = Row(model, operation, batch, size, kernel, stride, inputs, outputs, chosen, rates, groups=g.groups)
    if scan:
        row.scan, row.cond = inside(table[chosen], a, b, g, rounds)
    return row


def measure_pool(case: tuple[Any, ...], rounds: int) -> dict[str, Any]:
    """Milliseconds of pooling, forward with gradient and the gradient of a penalty on the gradient."""
    model, shape, window, stride = case
    x = jax.random.normal(jax.random.key(0), shape)

    def first(x: jax.Array, pool: Callable[..., jax.Array]) -> jax.Array:
        return jax.grad(lambda x: (pool(x, (window,) * 2, (stride,) * 2) ** 3).sum())(x)

    def second(x: jax.Array, pool: Callable[..., jax.Array]) -> jax.Array:
        return jax.grad(lambda x: (first(x, pool) ** 2).sum())(x)

    pools = {"max flax": nn.max_pool, "max": max_pool, "avg flax": nn.avg_pool, "avg": avg_pool}
    times = {}
    for order, function in {"gradient": first, "second": second}.items():
        jitted = {name: compiler.jit(functools.partial(function, pool=pool)) for name, pool in pools.items()}
        timed = seconds({name: functools.partial(f, x) for name, f in jitted.items()}, rounds)
        times[order] = {name: 1e3 * t for name, t in timed.items()}
    return {"model": model, "shape": shape, "window": window, "stride": stride, "ms": times}


def markdown(rows: list[Row], pools: list[dict[str, Any]]) -> str:
    """One table for each operation, then the grouped ones and pooling; the chosen form is bold."""
    lines = []
    for operation, grouped in itertools.product(FORMS, (False, True)):
        part = [row for row in rows if row.operation == operation and (row.groups > 1) == grouped]
        if not part:
            continue
        names = list(dict.fromkeys(name for row in part for name in row.rates))
        title = f"{operation} in groups" if grouped else operation
        lines += [f"### {title}", "", f"| model | x | kernel | channels | {' | '.join(names)} | in scan | in cond |"]
        lines += ["|---|---|---|---|" + "---:|" * (len(names) + 2)]
        for row in part:
            digits = 1 if grouped else 0
            rates = {n: f"{row.rates[n]:.{digits}f}" if n in row.rates else "" for n in names}
            cells = [f"**{rates[n]}**" if n == row.chosen else rates[n] for n in names]
            ratios = " | ".join("" if ratio is None else f"{ratio:.2f}" for ratio in (row.scan, row.cond))
            channels = f"{row.inputs}, {row.outputs}" + (f" in {row.groups}" if grouped else "")
            head = f"{row.model} | {row.batch} x {row.size}² | {row.kernel}x{row.kernel} s{row.stride} | {channels}"
            lines.append(f"| {head} | {' | '.join(cells)} | {ratios} |")
        lines.append("")
    if pools:
        names = list(pools[0]["ms"]["gradient"])
        lines += ["### pooling", "", "Milliseconds, less is better.", ""]
        lines += [
            f"| model | x | window | derivative | {' | '.join(names)} |",
            "|---|---|---|---|" + "---:|" * len(names),
        ]
        for pool, order in itertools.product(pools, ("gradient", "second")):
            cells = [f"{pool['ms'][order][name]:.1f}" for name in names]
            shape, window = "x".join(map(str, pool["shape"])), pool["window"]
            head = f"{pool['model']} | {shape} | {window}x{window} s{pool['stride']} | {order}"
            lines.append(f"| {head} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=[*FORMS, "pool"], help="one operation")
    parser.add_argument("--model", help="the cases of one model")
    parser.add_argument("--no-scan", action="store_true", help="leave out the last columns")
    parser.add_argument("--markdown", type=Path, help="write the tables")
    parser.add_argument("--json", type=Path, help="write every rate")
    args = parser.parse_args()
    rows = [
        measure(case, operation, args.rounds, not args.no_scan)
        for operation in FORMS
        if args.only in (None, operation)
        for case in [*CASES, *GROUPED, *VOLUMES]
        if args.model in (None, case[0])
    ]
    pools = [
        measure_pool(case, args.rounds)
        for case in POOLED
        if args.only in (None, "pool") and args.model in (None, case[0])
    ]
    table = markdown(rows, pools)
    print(machine.about(), table, sep="\n\n")
    if args.markdown:
        command = "`python -m benchmarks.conv_forms " + " ".join(sys.argv[1:]) + "`"
        about = "GF/s of each form, float32, more is better; bold: the form that `choose` takes."
        args.markdown.write_text(f"# Forms of convolution\n\n{command}\n\n{machine.about()}. {about}\n\n{table}")
    if args.json:
        args.json.write_text(
            json.dumps(
                {"machine": machine.about(), "rows": [dataclasses.asdict(r) for r in rows], "pool": pools}, indent=1
            )
        )


if __name__ == "__main__":
    heap.keep()  # as in training
    main()
