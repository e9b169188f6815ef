"""Where the time of a training step goes: the operations that XLA runs, under the names of the layers they come from.

    python -m benchmarks.profile MODEL[,KEY=VALUE...] [--top 15]

At least ten steps are traced. Times are summed over threads, so where the cores work on different operations they add
up to more than the step; an operation that threads share counts once. What a loop contains is counted in its body.
Convolutions by Eigen (see `genart_jax.runtime.compiler`) are in the trace for as long as they take to hand out: what a
step lacks is theirs.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import throughput
from genart_jax.config import UserError


def measure(case: dict[str, Any]) -> tuple[float, list[tuple[str, float, float]]]:
    """Milliseconds of a step, and of each operation in it: (name, milliseconds, times a step)."""
    from genart_jax.train.bench import Subject, resolved

    subject = Subject(resolved(**case))
    seconds = min(subject.round() for _ in range(5))
    with tempfile.TemporaryDirectory() as directory:
        steps = subject.profile(directory)
        path = next(p for p in Path(directory).rglob("*.trace.json.gz") if "perfetto" not in p.name)
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return 1e3 * seconds, summarize(events, subject.hlo(), steps)


def summarize(events: Sequence[dict[str, Any]], hlo: str, steps: int) -> list[tuple[str, float, float]]:
    """Operations of a trace, dearest first, joined by the layer they come from."""
    layers, loops = dict[tuple[str, str], str](), set[tuple[str, str]]()
    for program in re.split(r"^HloModule ", hlo, flags=re.M)[1:]:  # each numbers its operations anew
        module = re.split(r"[^\w.-]", program, maxsplit=1)[0]
        found = re.findall(r'^\s*(?:ROOT )?%?([\w.-]+) = .*op_name="([^"]*)"', program, re.M)
        layers |= {(module, name): layer for name, layer in found}
        loops |= {(module, name) for name in re.findall(r"^\s*(?:ROOT )?%?([\w.-]+) = .* while\(", program, re.M)}
    spent, count = collections.Counter[str](), collections.Counter[str]()
    for event in events:
        args = event.get("args", {}) if event.get("ph") == "X" else {}
        name, key = args.get("hlo_op"), (args.get("hlo_module", ""), args.get("hlo_op", ""))
        if name is None or key in loops:
            continue
        kind = re.sub(r"[._]?\d+$", "", name)
        layer = re.sub(r"jit\([^)]*\)/|vmap\(\)/", "", layers.get(key, ""))
        spent[f"{kind} | {layer}"] += event["dur"]
        count[f"{kind} | {layer}"] += 1
    return [(name, time / 1e3 / steps, count[name] / steps) for name, time in spent.most_common()]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL[,KEY=VALUE...]")
    parser.add_argument("--top", type=int, default=15)
    args = parser.parse_args(argv)
    try:
        step, rows = measure(throughput.parse_case(args.model, throughput.parse([])))
    except UserError as error:
        print(f"genart: {error}", file=sys.stderr)
        return 2
    whole = sum(time for _, time, _ in rows)
    print(f"{args.model}: step {step:.3g} ms, operations {whole:.3g} ms over all threads\n")
    print("| ms | times | operation | layer |\n|---:|---:|---|---|")
    for name, time, count in rows[: args.top]:
        print(f"| {time:.2f} | {count:g} | {name} |")
    print(f"| {sum(time for _, time, _ in rows[args.top :]):.2f} | | {max(0, len(rows) - args.top)} others | |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
