"""What a run shows of itself while it trains: labelled pictures of test examples, as its algorithm gives them, or
samples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike

from genart_jax.config import BatchSpec
from genart_jax.data.conditions import draw_conditions
from genart_jax.data.pipeline import prepare, read_rows, rows_of
from genart_jax.data.source import Source
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.steps import sweep
from genart_jax.train import parallel
from genart_jax.train.checkpoint import Saved
from genart_jax.types import Algorithm, Batch, State, Tree

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


def by_member(shown: Mapping[str, ArrayLike], members: int, rank: int) -> dict[str, Array]:
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


class Gallery:
    """The pictures that a run draws of its states: the same examples, classes and noise all along."""

    def __init__(self, saved: Saved, algorithm: Algorithm, source: Source, mesh: Mesh, key: jax.Array) -> None:
        self._saved, self._algorithm, self._source, self._mesh, self._key = saved, algorithm, source, mesh, key

    def draw(self, state: State) -> tuple[dict[str, Array], list[list[str]] | None] | None:
        """Pictures by label, (members, num, ...), and the names of the classes of each; None where there are none."""
        spec, num = self._algorithm.batch_spec, self._saved.run.train.samples
        key, words = random.stream(self._key, "samples"), None
        if self._shown is not None:
            raw = examples(self._source, spec, max(1, num // 2))
            words = words_of(raw, self._saved.data["class_names"])
            made = self._shown(state, parallel.put(raw, parallel.replicated(self._mesh)), key)
        elif self._algorithm.sample is not None:
            made = {"sample": self._sample(state, key, num, self.condition)}
        else:
            return None
        return by_member(jax.device_get(made), self._algorithm.members, len(spec.image_shape)), words

    @functools.cached_property
    def condition(self) -> dict[str, Array]:
        """The conditions of the samples: the same all along; of a sweep (members, num), as each alone has them."""
        run = self._saved.run
        facts = self._algorithm.batch_spec.conditions, self._saved.data["condition_table"], run.train.samples
        drawn = [draw_conditions(*facts, one.train.seed) for one in sweep.runs(run) or (run,)]
        return jax.tree.map(lambda *x: np.stack(x), *drawn) if self._algorithm.members else drawn[0]

    @functools.cached_property
    def _shown(self) -> Callable[..., Mapping[str, jax.Array]] | None:
        """(state, raw batch, key) -> pictures by label, where the algorithm shows any but samples."""
        if (show := show_of(self._algorithm)) is None:
            return None
        data, fields = self._saved.run.data, self._algorithm.batch_spec.fields
        return self._on_mesh(lambda state, raw, key: show(state, prepare(raw, None, data, fields), key))

    @functools.cached_property
    def _sample(self) -> Callable[..., jax.Array]:
        assert self._algorithm.sample is not None
        return self._on_mesh(self._algorithm.sample, static_argnums=(2,))

    def _on_mesh(self, use: Callable[..., Tree], static_argnums: tuple[int, ...] = ()) -> Callable[..., Tree]:
        """A use of the state, (state, ...) -> images, compiled; every device has the result."""
        whole = lambda state, *args: use(parallel.gathered(state, self._mesh), *args)
        return compiler.jit(whole, out_shardings=parallel.replicated(self._mesh), static_argnums=static_argnums)
