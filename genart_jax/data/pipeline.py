"""From a split to batches: which rows a step sees, how they come to the device, and what is done to them there.

The order of examples is a function of seed and step alone, the same for both loaders and any number of processes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import Data, UserError
from genart_jax.data import augment
from genart_jax.data.source import Array, Split, example
from genart_jax.types import Batch, to_float


@functools.lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, size: int) -> Array:
    """The order of an epoch: a permutation of range(size), int64 and read-only."""
    # Sorting raw Philox words, because numpy promises the stream of its bit generators for ever, but not what
    # Generator.permutation makes of it; a run must resume under another numpy.
    words = np.random.Philox(key=np.array([seed % 2**64, epoch], np.uint64)).random_raw(size)
    order = np.argsort(words, kind="stable")
    order.flags.writeable = False
    return order


def rows(
    seed: int, step: int, global_batch: int, size: int, order: Callable[[int, int, int], Array] = permutation
) -> Array:
    """The rows that make up the global batch of `step`: int64 (global_batch,), each in [0, size).

    Batches follow one another through the permutations of the epochs without a gap: one may span two or more.
    """
    start, end, parts = step * global_batch, (step + 1) * global_batch, []
    while start < end:
        epoch, place = divmod(start, size)
        parts.append(order(seed, epoch, size)[place : place + end - start])
        start += len(parts[-1])
    return np.concatenate(parts)


class Loader(Protocol):
    """Brings one split's batches to a training loop.

    `constants` stays on the device for the whole run and `next(step)` goes there every step; both are pytrees, and
    every leaf of a payload has this process's share of the batch as its leading axis. `materialize` is pure and may
    be traced: (constants, payload) -> {"image": uint8 (B, height, width, channels), "condition": {name: int32 (B,)}}.
    """

    constants: Any

    def next(self, step: int) -> Any:
        """The payload of `step`; cheapest if the steps come in order."""
        ...

    def materialize(self, constants: Any, payload: Any) -> Batch:
        """The raw batch of a payload."""
        ...

    def get_state(self) -> bytes | None:
        """The position after the last payload, for a checkpoint; None where the step says it all."""
        ...

    def set_state(self, state: bytes | None) -> None:
        """Goes back to a position; None changes nothing."""
        ...


def make_loader(
    split: Split,
    seed: int | Sequence[int],
    global_batch: int,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 4,
    place: Callable[[Any], Any] = jax.device_put,
) -> Loader:
    """The loader for `split`: by rows if it is in memory, by grain if it is streamed.

    Args:
      seed: of the order of examples; several, one for each member of a sweep: payload and batch then have an axis of
        members after that of examples.
      global_batch: examples a step, over all processes; each takes its contiguous columns.
      workers: threads that decode (streamed splits; 0 decodes when asked).
      place: pytree of host arrays -> the same on the device (or all devices) that hold `constants`.

    Raises:
      UserError: the split is empty, the batch does not divide by the processes, grain is not installed, or the split
        of a sweep is streamed.
    """
    if not split.size:
        raise UserError("the training split is empty")
    if global_batch < 1 or global_batch % process_count:
        raise UserError(f"a batch of {global_batch} cannot be shared by {process_count} processes")
    local = global_batch // process_count
    columns = slice(process_index * local, (process_index + 1) * local)
    if split.images is None:
        if not isinstance(seed, int):
            raise UserError("sweep: this data is streamed; raise --data.memory-limit-mb, or train the members by turns")
        return StreamLoader(split, seed, global_batch, columns, workers)
    return MemoryLoader(split, seed, global_batch, columns, place)


class MemoryLoader:
    """Pictures on the device, row numbers as payload: {"rows": int32 (local batch,)}, or (local batch, members)."""

    def __init__(
        self,
        split: Split,
        seed: int | Sequence[int],
        global_batch: int,
        columns: slice,
        place: Callable[[Any], Any] = jax.device_put,
    ) -> None:
        seeds = (seed,) if isinstance(seed, int) else tuple(seed)
        order = functools.lru_cache(maxsize=2 * len(set(seeds)))(permutation.__wrapped__)

        def chosen(step: int) -> Array:
            if split.ordered:
                return np.arange(step * global_batch, (step + 1) * global_batch) % split.size
            each = {one: rows(one, step, global_batch, split.size, order) for one in seeds}
            return each[seeds[0]] if isinstance(seed, int) else np.stack([each[one] for one in seeds], axis=1)

        self._order: Callable[[int], Array] = chosen
        self._columns = columns
        condition = {name: values.astype(np.int32) for name, values in split.condition.items()}
        self.constants: Any = place({"image": split.images, "condition": condition})

    def next(self, step: int) -> dict[str, Array]:
        """See Loader."""
        return {"rows": self._order(step)[self._columns].astype(np.int32)}

    def materialize(self, constants: Any, payload: Any) -> Batch:
        """See Loader."""
        return jax.tree.map(lambda leaf: jnp.take(leaf, payload["rows"], axis=0, mode="clip"), constants)

    def get_state(self) -> None:
        """See Loader."""

    def set_state(self, state: bytes | None) -> None:
        """See Loader."""


class StreamLoader:
    """Pictures decoded by grain's threads; the payload is the batch itself, and the state is grain's."""

    def __init__(self, split: Split, seed: int, global_batch: int, columns: slice, workers: int) -> None:
        try:
            import grain
        except ImportError as error:
            raise UserError('streamed data needs grain: pip install "genart_jax[data]"') from error
        local = columns.stop - columns.start

        def read(index: int) -> dict[str, Any]:
            step, column = divmod(index, local)
            epoch, place = divmod(step * global_batch + columns.start + column, split.size)
            return _int32(example(split, int(permutation(seed, epoch, split.size)[place])))

        # Not grain's own shuffle: its order would differ from MemoryLoader's, and with the number of processes.
        options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=max(2 * local, 2 * workers))
        positions = grain.MapDataset.range(2**62)
        self._batches = iter(positions.map(read).to_iter_dataset(options).batch(local))
        self._seek = functools.partial(grain.experimental.set_next_index, self._batches)
        self._position = functools.partial(grain.experimental.get_next_index, self._batches)
        self.constants: Any = {}

    def next(self, step: int) -> Batch:
        """See Loader."""
        if step != self._position():
            self._seek(step)
        return next(self._batches)

    def materialize(self, constants: Any, payload: Any) -> Batch:
        """See Loader."""
        del constants
        return payload

    def get_state(self) -> bytes:
        """See Loader."""
        return json.dumps(self._batches.get_state()).encode()

    def set_state(self, state: bytes | None) -> None:
        """See Loader."""
        if state is not None:
            self._batches.set_state(json.loads(state))


def _int32(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"image": one["image"], "condition": {name: np.int32(v) for name, v in one["condition"].items()}}


def evaluation_batches(
    split: Split,
    batch: int,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 4,
    columns: int | None = None,
) -> Iterator[Batch]:
    """Yields this process's columns of the split's batches, in order, each example once.

    A batch has `batch` examples of the split in `columns` places (None: as many), over all processes. Each of these
    gets equally many batches of equal size: what is left over holds copies that have `weight` 0. There may be fewer
    places than `batch` where the split has no more examples.

    Yields:
      {"image": uint8 (B, height, width, channels), "condition": {name: int32 (B,)}, "weight": float32 (B,)} as numpy
      arrays, where B = columns / process_count.

    Raises:
      UserError: the places do not divide by the processes, or are too few.
    """
    columns = columns or batch
    if batch < 1 or columns % process_count:
        raise UserError(f"a batch of {columns} cannot be shared by {process_count} processes")
    if columns < min(batch, split.size):
        raise UserError(f"{columns} places are too few for batches of {batch}")
    return _evaluation_batches(split, batch, columns // process_count, process_index, workers)


def _evaluation_batches(split: Split, batch: int, local: int, process_index: int, workers: int) -> Iterator[Batch]:
    place = np.arange(process_index * local, (process_index + 1) * local)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for start in range(0, split.size, batch):
            positions = np.where(place < batch, start + place, split.size)
            chosen = np.minimum(positions, split.size - 1)
            if split.images is not None:
                condition = {name: values[chosen].astype(np.int32) for name, values in split.condition.items()}
                raw: Batch = {"image": split.images[chosen], "condition": condition}
            else:
                examples = [_int32(one) for one in pool.map(functools.partial(example, split), chosen.tolist())]
                raw = jax.tree.map(lambda *leaves: np.stack(leaves), *examples)
            yield raw | {"weight": (positions < split.size).astype(np.float32)}


def prepare(raw: Mapping[str, Any], keys: jax.Array | None, data: Data) -> Batch:
    """A raw batch as models take it; pure, and may be traced.

    Args:
      raw: uint8 `image` (B, height, width, channels) and maybe `target` and `mask`, and whatever else is passed on.
      keys: (B,) typed keys, one an example, or None for evaluation: nothing is augmented.
      data: its `flip` and `crop` apply to `image`, `target` and `mask` alike, its `jitter` and `cutout` to `image` and
        `target`.

    Returns:
      The batch, with uint8 `image` and `target` as float32 in [-1, 1].
    """
    batch = dict(raw)
    for name in ("image", "target", "mask"):
        if name not in batch:
            continue
        images = jnp.asarray(batch[name])
        if keys is not None and data.flip:
            images = augment.flip(images, keys)
        if keys is not None and data.crop:
            images = augment.crop(images, keys, data.crop)
        # A mask keeps its own values; the others are moved first, while a pixel is one byte and not four.
        if name != "mask":
            images = to_float(images) if images.dtype == jnp.uint8 else images
            if keys is not None and data.jitter:
                images = augment.jitter(images, keys, data.jitter)
            if keys is not None and data.cutout:
                images = augment.cutout(images, keys, data.cutout)
        batch[name] = images
    return batch
