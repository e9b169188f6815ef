"""What a run shows of itself while it trains: labelled pictures of test examples, as its algorithm gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from genart_jax.config import BatchSpec
from genart_jax.data.pipeline import read_rows, rows_of
from genart_jax.data.source import Source
from genart_jax.types import Algorithm, Batch, State

Array = np.ndarray[Any, Any]
Show = Callable[[State, Batch, jax.Array], Mapping[str, jax.Array]]
_SEED = 0  # of the order of test examples: every run on the same data shows the same ones


def show_of(algorithm: Algorithm) -> Show | None:
    """The algorithm's own `show`; of one that makes pictures of pictures alone, what goes in and what comes out.

    None where samples are to be drawn instead, or there is nothing to draw.
    """
    if algorithm.show is not None:
        return algorithm.show
    if "transform" not in algorithm.uses or "sample" in algorithm.uses:
        return None
    transform = algorithm.uses["transform"]

    def show(state: State, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        told = {one.name: batch["condition"] for one in transform.of_kind("condition") if batch["condition"]}
        beside = {"target": batch["target"]} if "target" in batch else {}
        return {"input": batch["image"], "output": transform.function(state, batch["image"], key, **told), **beside}

    return show


def examples(source: Source, spec: BatchSpec, num: int) -> Batch:
    """Up to `num` test examples as a raw batch, shuffled by a fixed seed (training examples where there are none)."""
    split = (source.test if source.test.size else source.train).only(spec.fields)
    return read_rows(split, rows_of(split, _SEED, 0, min(num, split.size)))


def words_of(raw: Mapping[str, Array], class_names: Mapping[str, Sequence[str]]) -> list[list[str]] | None:
    """Of each example of a raw batch, the names of its classes ("?" of one that is not known); None without classes."""
    lines = [
        [names[int(v)] if v >= 0 else "?" for v in raw[name]] for name, names in class_names.items() if name in raw
    ]
    return [list(words) for words in zip(*lines, strict=True)] if lines else None


def by_member(shown: Mapping[str, Any], members: int, rank: int) -> dict[str, Array]:
    """The pictures of each label with a leading axis of members (one of a run alone).

    Args:
      shown: arrays (n, ...), or of a sweep (members, n, ...) where they are of its members and not the same for all.
      members: of the sweep, 0 for none.
      rank: axes of one example.
    """
    out = {}
    for label, pictures in shown.items():
        own = np.asarray(pictures)
        own = own if own.ndim == rank + 2 else own[None]
        out[label] = np.broadcast_to(own, (max(1, members), *own.shape[1:]))
    return out
