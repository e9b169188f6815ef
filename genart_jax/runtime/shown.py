"""Trees of arrays in few words: what `repr` and a notebook show of states and algorithms."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax

Row = tuple[str, str]
"""A name, and what is said of it."""
_WIDE = 110  # letters of a line


def size_of(tree: Any) -> str:
    """Such as "23 arrays, 442,739 numbers, 1.8 MB"; "nothing" without arrays."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    if not leaves:
        return "nothing"
    count = sum(math.prod(leaf.shape) for leaf in leaves)
    # Keys of `jax.random` have no itemsize of NumPy's.
    width = sum(math.prod(leaf.shape) * getattr(leaf.dtype, "itemsize", 8) for leaf in leaves)
    arrays = f"{len(leaves)} array{'s' if len(leaves) > 1 else ''}"
    return f"{arrays}, {count:,} number{'s' if count != 1 else ''}, {_bytes(width)}"


def _bytes(width: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if width >= size:
            return f"{width / size:.1f} {unit}"
    return f"{width} bytes"


def leaves_of(tree: Any) -> list[Row]:
    """Path -> shape and type of each array."""
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), _form(leaf))
        for path, leaf in jax.tree.leaves_with_path(tree)
    ]


def _form(leaf: Any) -> str:
    return f"{tuple(leaf.shape)} {leaf.dtype}" if hasattr(leaf, "dtype") else repr(leaf)


def parts_of(parts: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each role of each part that has any arrays: "params generator", and its size."""
    return [
        (f"{part} {role}", size_of(tree))
        for part, roles in parts.items()
        for role, tree in roles.items()
        if jax.tree.leaves(tree)
    ]


def text(title: str, rows: Iterable[Row]) -> str:
    """Lines: the title, and the rows in two columns, what is long on several lines."""
    listed = list(rows)
    width = max((len(name) for name, _ in listed), default=0)
    lines = [title]
    for name, said in listed:
        first, *others = textwrap.wrap(said, _WIDE - width) or [""]
        lines += [f"  {name:<{width}}  {first}", *(f"  {'':<{width}}  {other}" for other in others)]
    return "\n".join(line.rstrip() for line in lines)


def page(title: str, rows: Iterable[Row], more: Sequence[Row] = (), label: str = "arrays") -> str:
    """HTML: the title, the rows as a table, and, folded, `more` of them."""
    left = " style='text-align:left'"
    line = lambda name, said: f"<tr><th{left}>{html.escape(name)}</th><td{left}>{html.escape(said)}</td></tr>"
    table = lambda listed: "".join(line(*row) for row in listed)
    folded = f"<details><summary>{len(more)} {label}</summary><table>{table(more)}</table></details>" if more else ""
    return f"<div><b>{html.escape(title)}</b><table>{table(rows)}</table>{folded}</div>"
