"""From a split to batches: which rows a step sees, how they come to the device, and what is done to them there.

The order of examples is a function of seed and step alone, the same for both loaders and any number of processes.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import Data, Field, UserError
from genart_jax.data import augment
from genart_jax.data.source import Example, Split, example
from genart_jax.nn.random import stream
from genart_jax.runtime.values import Array
from genart_jax.types import Batch, Tree, batch_of, to_float


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


def rows_of(
    split: Split, seed: int, step: int, global_batch: int, order: Callable[[int, int, int], Array] = permutation
) -> Array:
    """The rows of a split in the global batch of `step`: as `rows`, or one after another where they come as given."""
    if split.order == "as given":
        return np.arange(step * global_batch, (step + 1) * global_batch) % split.size
    return rows(seed, step, global_batch, split.size, order)


class Loader(Protocol):
    """Brings one split's batches to a training loop.

    `constants` stays on the device for the whole run and `next(step)` goes there every step; both are pytrees, and
    every leaf of a payload has this process's share of the batch as its leading axis. `materialize` is pure and may
    be traced: (constants, payload) -> the raw batch, the split's fields by their names: what `prepare` takes.
    """

    constants: Tree

    def next(self, step: int) -> Tree:
        """The payload of `step`; cheapest if the steps come in order."""
        ...

    def materialize(self, constants: Tree, payload: Tree) -> Batch:
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
    place: Callable[[Tree], Tree] = jax.device_put,
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
    if split.streamed:
        if not isinstance(seed, int):
            raise UserError("sweep: this data is streamed; raise --data.memory-limit-mb, or train the members by turns")
        return StreamLoader(split, seed, global_batch, columns, workers)
    return MemoryLoader(split, seed, global_batch, columns, place)


OTHER = "other"
"""The field that a second, unpaired set gives, and the name of the stream of seeds that it is ordered by."""


def other_seed(seed: int) -> int:
    """The seed of a second set's order: of a stream of its own, so that the two orders have nothing in common."""
    return int.from_bytes(hashlib.sha256(f"{OTHER}:{seed}".encode()).digest()[:8], "big")


class MemoryLoader:
    """Data on the device, row numbers as payload: {"rows": int32 (local batch,)}, or (local batch, members).

    Where the split has a second set, so has the payload: {"rows": ..., "other": ...}.
    """

    def __init__(
        self,
        split: Split,
        seed: int | Sequence[int],
        global_batch: int,
        columns: slice,
        place: Callable[[Tree], Tree] = jax.device_put,
    ) -> None:
        seeds = (seed,) if isinstance(seed, int) else tuple(seed)
        order = functools.lru_cache(maxsize=4 * len(set(seeds)))(permutation.__wrapped__)

        def chosen(split: Split, step: int, own: Callable[[int], int]) -> Array:
            each = {one: rows_of(split, own(one), step, global_batch, order) for one in seeds}
            return each[seeds[0]] if isinstance(seed, int) else np.stack([each[one] for one in seeds], axis=1)

        self._orders: dict[str, Callable[[int], Array]] = {"rows": lambda step: chosen(split, step, lambda one: one)}
        constants = {name: np.asarray(values) for name, values in split.arrays.items()}
        if (other := split.other) is not None:
            self._orders[OTHER] = lambda step: chosen(other, step, other_seed)
            constants[OTHER] = other.arrays["image"]
        self._columns = columns
        self.constants: Tree = place(constants)

    def next(self, step: int) -> dict[str, Array]:
        """See Loader."""
        return {name: order(step)[self._columns].astype(np.int32) for name, order in self._orders.items()}

    def materialize(self, constants: Tree, payload: Tree) -> Batch:
        """See Loader."""
        places = {name: payload[OTHER if name == OTHER and OTHER in payload else "rows"] for name in constants}
        return {name: jnp.take(leaf, places[name], axis=0, mode="clip") for name, leaf in constants.items()}

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

        def read(index: int) -> Example:
            step, column = divmod(index, local)
            position = step * global_batch + columns.start + column
            one = dict(example(split, _row(split, seed, position)))
            if split.other is not None:
                one[OTHER] = example(split.other, _row(split.other, other_seed(seed), position))["image"]
            return one

        # Not grain's own shuffle: its order would differ from MemoryLoader's, and with the number of processes.
        options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=max(2 * local, 2 * workers))
        positions = grain.MapDataset.range(2**62)
        self._batches = iter(positions.map(read).to_iter_dataset(options).batch(local))
        self._seek = functools.partial(grain.experimental.set_next_index, self._batches)
        self._position = functools.partial(grain.experimental.get_next_index, self._batches)
        self.constants: Tree = {}

    def next(self, step: int) -> Batch:
        """See Loader."""
        if step != self._position():
            self._seek(step)
        return next(self._batches)

    def materialize(self, constants: Tree, payload: Tree) -> Batch:
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


def _row(split: Split, seed: int, position: int) -> int:
    """The row at a position of the endless order of a split."""
    epoch, place = divmod(position, split.size)
    return place if split.order == "as given" else int(permutation(seed, epoch, split.size)[place])


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
      Raw batches as numpy arrays, as a Loader's `materialize` gives them, and with `weight`, float32 (B,), where
      B = columns / process_count. A second set's examples come in their order, from the first again after the last.

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
            yield read_rows(split, chosen, pool) | {"weight": (positions < split.size).astype(np.float32)}


def read_rows(split: Split, chosen: Array, pool: ThreadPoolExecutor | None = None) -> Batch:
    """The examples of these rows as a raw batch, with those of a second set at the same places."""
    if split.read is None:
        raw: Batch = {name: values[chosen] for name, values in split.arrays.items()}
    else:
        found = map(split.read, chosen.tolist()) if pool is None else pool.map(split.read, chosen.tolist())
        raw = jax.tree.map(lambda *leaves: np.stack(leaves), *found)
    if split.other is None:
        return raw
    return raw | {OTHER: read_rows(split.other, chosen % split.other.size, pool)["image"]}


def prepare(raw: Mapping[str, Tree], keys: jax.Array | None, data: Data, fields: Mapping[str, Field]) -> Batch:
    """A raw batch as models take it; pure, and may be traced.

    Args:
      raw: the fields by their names as they are at rest, and maybe `weight`.
      keys: (B,) typed keys, one an example, or None for evaluation: nothing is augmented.
      data: its `flip`, `crop` and `randaugment` move all pictures and masks of an example alike; its `randaugment`,
        `jitter` and `cutout` change colours of its pictures alike, and no mask. `other`, which is not of the same
        example, has draws of its own.
      fields: those of the batch; what else `raw` holds is left out.

    Returns:
      The batch: pictures as float32 in [-1, 1], masks as float32, classes as int32 under `condition`.
    """

    def leaf(name: str, field: Field) -> jax.Array:
        values = jnp.asarray(raw[name])
        if field.kind == "class":
            return values.astype(jnp.int32)
        if keys is None:
            return _at_full_depth(values, field)
        own = jax.vmap(lambda key: stream(key, OTHER))(keys) if name == OTHER else keys
        return _augmented(values, own, data, field)

    batch = batch_of(fields, leaf)
    return batch | {"weight": raw["weight"]} if "weight" in raw else batch


def _at_full_depth(values: jax.Array, field: Field) -> jax.Array:
    """Pixels in [-1, 1], and masks with their values."""
    pixels = field.kind == "pixels" and values.dtype == jnp.uint8
    return to_float(values) if pixels else values.astype(jnp.float32)


def _augmented(values: jax.Array, keys: jax.Array, data: Data, field: Field) -> jax.Array:
    if data.flip:
        values = augment.flip(values, keys)
    if data.crop:
        values = augment.crop(values, keys, data.crop)
    values = _at_full_depth(values, field)  # moved before, while a pixel is one byte and not four
    if data.randaugment:
        count, strength = int(data.randaugment[0]), data.randaugment[1]
        values = augment.randaugment(values, keys, count, strength, field.kind == "pixels")
    if field.kind == "pixels" and data.jitter:
        values = augment.jitter(values, keys, data.jitter)
    if field.kind == "pixels" and data.cutout:
        values = augment.cutout(values, keys, data.cutout)
    return values


def check_augmentation(data: Data, fields: Mapping[str, Field]) -> None:
    """Raises UserError where the options of `data` do not suit the fields of a batch."""
    areas = {name: field for name, field in fields.items() if field.kind != "class"}
    sides = {name: field.shape[-3:-1] for name, field in areas.items()}
    if data.crop >= min(min(side) for side in sides.values()):
        raise UserError(f"data.crop {data.crop}: wanted less than the sides of the pictures")
    paired = {side for name, side in sides.items() if name != OTHER}
    if data.crop and len(paired) > 1:
        shown = ", ".join(f"{name} {height}x{width}" for name, (height, width) in sides.items())
        raise UserError(f"data.crop moves pictures of one size alike, and these are {shown}; set it to 0")
    if data.randaugment:
        augment.check_randaugment(data.randaugment)
        if odd := next((f.shape for f in areas.values() if len(f.shape) != 3), None):
            raise UserError(f"data.randaugment is for pictures (height, width, channels), not for {odd}")
    for field in areas.values():
        if data.jitter and field.kind == "pixels":
            augment.check_jitter(data.jitter, field.shape[-1])
