"""Times every form of the three convolutions at the shapes of the zoo's models, for `genart_jax.nn.conv.choose`.

    python -m benchmarks.conv_forms [--rounds 9] [--only transpose] [--markdown FILE] [--json FILE]

Forms of one case are timed in turn (A B C A B C ...) and the least times are compared, so that a busy machine slows
all alike. The rate counts the multiplications of the convolution itself, not what a form adds to them. The last column
is the time of the chosen form inside ``lax.scan`` over its time outside.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from genart_jax.nn._conv_forms import FORMS, Geometry
from genart_jax.nn.conv import choose

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
    ("vae28", 64, 14, 3, 2, 1, 32, 64),
    ("cnn28", 64, 28, 3, 1, 1, 1, 32),
    ("cnn28", 64, 28, 3, 1, 1, 32, 64),
    ("cnn64", 64, 64, 3, 1, 1, 3, 32),
    ("cnn64", 64, 32, 3, 1, 1, 32, 64),
    ("cnn64", 64, 16, 3, 1, 1, 64, 128),
    ("resnet", 64, 16, 1, 1, 0, 128, 128),
    ("resnet", 64, 16, 1, 2, 0, 128, 256),
    ("resnet", 64, 32, 3, 2, 1, 64, 128),
]  # fmt: skip


@dataclasses.dataclass
class Row:
    """One operation at one shape: the rate of each form in GF/s."""

    model: str
    operation: str
    size: int
    kernel: int
    stride: int
    inputs: int
    outputs: int
    chosen: str
    rates: dict[str, float]
    scan: float | None = None


def seconds(functions: dict[str, Callable[[], Any]], rounds: int, at_least: float = 0.01) -> dict[str, float]:
    """The least time of each function, called in turn: other work on the machine only ever adds to it."""
    repeats, times = {}, {name: list[float]() for name in functions}
    for name, function in functions.items():
        jax.block_until_ready(function())
        start = time.perf_counter()
        jax.block_until_ready(function())
        repeats[name] = max(1, min(20, round(at_least / (time.perf_counter() - start))))
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                out = function()
            jax.block_until_ready(out)
            times[name].append((time.perf_counter() - start) / repeats[name])
    return {name: min(values) for name, values in times.items()}


def operands(operation: str, batch: int, g: Geometry, inputs: int, outputs: int) -> tuple[jax.Array, jax.Array]:
    """Random arrays for one operation."""
    shapes = {
        "x": (batch, *g.size, inputs),
        "w": (*g.kernel, inputs, outputs),
        "y": (batch, *g.out, outputs),
    }
    first, second = {"conv": ("x", "w"), "transpose": ("y", "w"), "weight": ("x", "y")}[operation]
    keys = jax.random.split(jax.random.key(0))
    return jax.random.normal(keys[0], shapes[first]), jax.random.normal(keys[1], shapes[second])


def scan_ratio(form: Callable[..., jax.Array], a: jax.Array, b: jax.Array, g: Geometry, rounds: int) -> float:
    """Time of four calls inside ``scan`` over four times one call."""

    def body(carry: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        out = form(carry, b, g)
        return carry + 1e-9 * out.ravel()[0], out.ravel()[0]

    inside = jax.jit(lambda a: lax.scan(body, a, None, length=4))
    outside = jax.jit(lambda a: body(a, None))
    both = seconds({"inside": lambda: inside(a), "outside": lambda: outside(a)}, rounds)
    return both["inside"] / (4 * both["outside"])


def measure(case: tuple[Any, ...], operation: str, rounds: int, scan: bool) -> Row:
    """Times every form of one operation at one shape."""
    model, batch, size, kernel, stride, pad, inputs, outputs = case
    g = Geometry((size,) * 2, (kernel,) * 2, (stride,) * 2, ((pad, pad),) * 2, (1, 1))
    a, b = operands(operation, batch, g, inputs, outputs)
    table = FORMS[operation]
    jitted = {name: jax.jit(lambda a, b, form=form: form(a, b, g)) for name, form in table.items()}
    times = seconds({name: lambda f=f: f(a, b) for name, f in jitted.items()}, rounds)  # type: ignore[misc]
    work = 2e-9 * batch * g.out[0] ** 2 * kernel**2 * inputs * outputs
    chosen = choose(operation, g, inputs, outputs)
    row = Row(model, operation, size, kernel, stride, inputs, outputs, chosen, {k: work / t for k, t in times.items()})
    if scan:
        row.scan = scan_ratio(table[chosen], a, b, g, rounds)
    return row


def markdown(rows: list[Row]) -> str:
    """One table for each operation; the chosen form is bold."""
    lines = []
    for operation in FORMS:
        part = [row for row in rows if row.operation == operation]
        if not part:
            continue
        names = list(FORMS[operation])
        lines += [f"### {operation}", "", f"| model | x | kernel | channels | {' | '.join(names)} | in scan |"]
        lines += ["|---|---|---|---|" + "---:|" * (len(names) + 1)]
        for row in part:
            cells = [f"**{row.rates[n]:.0f}**" if n == row.chosen else f"{row.rates[n]:.0f}" for n in names]
            scan = "" if row.scan is None else f"{row.scan:.2f}"
            head = f"{row.model} | {row.size}² | {row.kernel}x{row.kernel} s{row.stride} | {row.inputs}, {row.outputs}"
            lines.append(f"| {head} | {' | '.join(cells)} | {scan} |")
        lines.append("")
    return "\n".join(lines)


def machine() -> str:
    """The processor, its cores, the versions and the date."""
    name = platform.processor()
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text()
        name = next((s.split(":", 1)[1].strip() for s in text.splitlines() if s.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores, jax {jax.__version__}, {datetime.date.today()}"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=list(FORMS), help="one operation")
    parser.add_argument("--model", help="the cases of one model")
    parser.add_argument("--no-scan", action="store_true")
    parser.add_argument("--markdown", type=Path, help="write the tables")
    parser.add_argument("--json", type=Path, help="write every rate")
    args = parser.parse_args()
    rows = [
        measure(case, operation, args.rounds, not args.no_scan)
        for operation in ([args.only] if args.only else FORMS)
        for case in CASES
        if args.model in (None, case[0])
    ]
    table = markdown(rows)
    print(machine(), table, sep="\n\n")
    if args.markdown:
        command = "`python -m benchmarks.conv_forms " + " ".join(sys.argv[1:]) + "`"
        about = "GF/s of each form at batch 64, float32, more is better; bold: the form that `choose` takes."
        args.markdown.write_text(f"# Forms of convolution\n\n{command}\n\n{machine()}. {about}\n\n{table}")
    if args.json:
        args.json.write_text(
            json.dumps({"machine": machine(), "rows": [dataclasses.asdict(r) for r in rows]}, indent=1)
        )


if __name__ == "__main__":
    jnp.zeros(()).block_until_ready()
    main()
