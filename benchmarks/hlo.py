"""What a compiled program computes and sends, read from its HLO text.

FLOPs are those of matrix products and convolutions, 2 for each multiplication; taps on the zeros of an expanded image
are left out, taps on padding are not. The body of a loop counts as often as it runs, and of a condition's branches the
dearest counts. Collectives are counted alike.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterator

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_BYTES = {"pred": 1, "s4": 0.5, "u4": 0.5, "bf16": 2, "c64": 8, "c128": 16}
_SHAPE = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.+?) ([a-z][\w-]*)\((.*)$")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One operation between devices: its kind, the devices of a group, and its payload.

    The payload is the whole array in bytes: of an all-gather what comes out, of a reduce-scatter what goes in.
    """

    kind: str
    group: int
    payload: int


@dataclasses.dataclass
class Cost:
    """FLOPs of one device, and how often each collective runs."""

    flops: float = 0.0
    collectives: Counter[Collective] = dataclasses.field(default_factory=Counter)

    def add(self, other: Cost, times: int = 1) -> None:
        """Adds what another part does, so many times."""
        self.flops += times * other.flops
        for collective, count in other.collectives.items():
            self.collectives[collective] += times * count


def read(text: str) -> Cost:
    """The cost of a program, from `compiled.as_text()`.

    Raises:
      ValueError: the program has a loop of unknown length around what is counted, or none of the text is understood.
    """
    computations, entry = _computations(text)
    shapes = {name: shape for lines in computations.values() for name, shape, *_ in lines}
    devices = int(found[1]) if (found := re.search(r"num_partitions=(\d+)", text)) else 1
    known: dict[str, Cost] = {}

    def cost(name: str) -> Cost:
        if name not in known:
            known[name] = total = Cost()
            for _, result, operation, rest in computations[name]:
                total.add(_own(operation, result, rest, shapes, devices))
                called = [c for c in _called(rest) if c in computations]
                if operation == "conditional":
                    total.add(max(map(cost, called), key=lambda c: c.flops))
                elif operation == "while":
                    inner = Cost()
                    for part in called:
                        inner.add(cost(part))
                    length = re.search(r'"known_trip_count":\{"n":"(\d+)"', rest)
                    if length is None and (inner.flops or inner.collectives):
                        raise ValueError("a loop of unknown length")
                    total.add(inner, int(length[1]) if length else 0)
                else:
                    for part in called:
                        total.add(cost(part))
        return known[name]

    return cost(entry)


def _computations(text: str) -> tuple[dict[str, list[tuple[str, str, str, str]]], str]:
    """Computation -> its (name, result's type, operation, the rest of the line); and the entry's name."""
    out: dict[str, list[tuple[str, str, str, str]]] = {}
    lines: list[tuple[str, str, str, str]] = []
    entry = ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            lines = out[head[2]] = []
            entry = head[2] if head[1] else entry
        elif found := _INSTRUCTION.match(line):
            lines.append((found[1], found[2], found[3], found[4]))
    if not entry:
        raise ValueError("no entry computation in this text")
    return out, entry


def _called(rest: str) -> Iterator[str]:
    for found in re.finditer(r"\b(?:calls|to_apply|body|condition|branch_computations)=(\{[^}]*\}|%?[\w.-]+)", rest):
        yield from re.findall(r"[\w.-]+", found[1])
    yield from re.findall(r"\b(?:true|false)_computation=%?([\w.-]+)", rest)


def _dims(shape: str) -> list[list[int]]:
    return [[int(n) for n in found[2].split(",") if n] for found in _SHAPE.finditer(shape)]


def size_of(shape: str) -> int:
    """Bytes of a type such as "(f32[3,4]{1,0}, bf16[8])"."""
    bits = lambda kind: _BYTES.get(kind) or int(re.sub(r"\D.*", "", kind[1:]) or 0) / 8
    return int(sum(bits(found[1]) * math.prod(dims) for found, dims in zip(_SHAPE.finditer(shape), _dims(shape),
                                                                          strict=True)))  # fmt: skip


def _own(operation: str, result: str, rest: str, shapes: dict[str, str], devices: int) -> Cost:
    """The cost of an instruction without that of what it calls."""
    if operation == "dot":
        contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", rest)
        left = _dims(shapes[_operands(rest)[0]])[0]
        over = [left[int(i)] for i in contracted[1].split(",") if i] if contracted else []
        return Cost(2.0 * math.prod(_dims(result)[0]) * math.prod(over))
    if operation == "convolution":
        labels = re.search(r"dim_labels=\w+_(\w+)->", rest)
        dilated = re.search(r"lhs_dilate=([\dx]+)", rest)
        assert labels is not None
        kernel = _dims(shapes[_operands(rest)[1]])[0]
        taps = math.prod(n for n, label in zip(kernel, labels[1], strict=True) if label != "o")
        zeros = math.prod(map(int, dilated[1].split("x"))) if dilated else 1
        return Cost(2.0 * math.prod(_dims(result)[0]) * taps / zeros)
    kind = operation.removesuffix("-start")
    if kind not in KINDS:
        return Cost()
    if kind != operation:
        raise ValueError(f"{operation}: only programs whose collectives are synchronous are understood")
    group = devices if kind == "collective-permute" else _group(rest, devices)
    payload = size_of(result) * (group if kind == "reduce-scatter" else 1)
    return Cost(0.0, Counter({Collective(kind, group, payload): 1}))


def _operands(rest: str) -> list[str]:
    return re.findall(r"%([\w.-]+)", rest.split("), ")[0])


def _group(rest: str, devices: int) -> int:
    """The devices of one group, of the ways in which `replica_groups` is written."""
    if found := re.search(r"replica_groups=\{\{([\d,]*)\}", rest):
        return len(found[1].split(","))
    if found := re.search(r"replica_groups=\[(?:\d+,)*(\d+)\]<=", rest):
        return int(found[1])
    if found := re.search(r"replica_groups=mesh\[([^\]]*)\].*?\{('[^}]*)\}", rest):
        sizes = {name: int(n) for name, n in re.findall(r"'(\w+)'=(\d+)", found[1])}
        parts = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", found[2])
        return math.prod(int(part) if part else sizes[name] for name, part in parts)
    return devices
