"""What a data source gives: two splits of uint8 pictures with named integer conditions.

`open_source` dispatches on the source's name; each kind lives in a module of its own (emoji, idx, folder, tfds).
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from genart_jax.config import BatchSpec, Data, UserError
from genart_jax.runtime.paths import expanded, join_list, split_list

Array = np.ndarray[Any, Any]

ARRAYS = "arrays"
"""The name of a source that was given in Python."""
KINDS = ("emoji", "idx", "stacked", "folder", "pictures", "tfds", "built")


@dataclasses.dataclass(frozen=True)
class Split:
    """One split, in memory (`images`) or read one example at a time (`read`).

    Attributes:
      size: number of examples.
      condition: name -> integer array (size,); also given for a streamed split where it is known without decoding.
      images: uint8 (size, height, width, channels), or None for a streamed split.
      ordered: the rows come in their order, without a permutation.
      read: index -> {"image": uint8 (height, width, channels), "condition": {name: int}}, or None for one in memory;
        may be called from several threads.
    """

    size: int
    condition: dict[str, Array]
    images: Array | None = None
    read: Callable[[int], dict[str, Any]] | None = None
    ordered: bool = False


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
      name: as the user gave it.
      train, test: its splits; `test` is never trained on.
      image_shape: (height, width, channels).
      class_names: condition -> names of its classes, in the order of their integers.
      fingerprint: SHA-256 over the data (or over names and sizes of streamed files): tells a resumed run that the
        data is still the same.
      former: what earlier versions took for the fingerprint, where it said less; see `conditions.same_data`.
      report: lines about the data to show at the start of a run.
      warnings: lines about what is wrong with it.
      unreadable: "path: reason" of every file that had to be left out.
    """

    name: str
    train: Split
    test: Split
    image_shape: tuple[int, ...]
    class_names: dict[str, tuple[str, ...]]
    fingerprint: str
    report: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    former: tuple[str, ...] = ()

    @property
    def spec(self) -> BatchSpec:
        """The batch that this source offers."""
        return BatchSpec(self.image_shape, tuple((name, len(names)) for name, names in self.class_names.items()))


def open_source(data: Data) -> Source:
    """The source that `data.source` names: emoji[:SIZE], idx:DIR, stacked:DIR, folder:DIR,
    pictures:FILE:FILE..., tfds:NAME[:SPLIT], or a set that `genart data build` made, by its name or as built:DIR.

    Its report begins with one line that is alike for every kind: sizes, shape and conditions.

    Raises:
      UserError: an unknown kind, or what the kind itself finds wrong.
    """
    from genart_jax.data.build import catalogue

    if not data.source:
        data = dataclasses.replace(data, source="emoji")
    kind, _, rest = data.source.partition(":")
    if catalogue.knows(data.source):
        from genart_jax.data import built

        return finished(built.load(data.source), data)
    if data.source == ARRAYS:
        raise UserError("this run was given its data in Python; give it again: ga.fit(run, directory, data=...)")
    if kind not in KINDS:
        raise UserError(f"unknown data source {data.source!r}; {_advice(data.source, kind)}")
    if kind != "emoji" and not rest:
        raise UserError(
            f"data source {kind!r} needs a {'name, tfds:NAME' if kind == 'tfds' else f'folder, {kind}:DIR'}"
        )
    # Imported here: each kind has needs of its own (Pillow, tfds), and this module is the contract they all import.
    if kind == "emoji":
        from genart_jax.data import emoji

        if rest and not rest.isdecimal():
            raise UserError(f"emoji:{rest}: the size is a number of pixels, as in emoji:32")
        source = emoji.load(int(rest)) if rest else emoji.load()
    elif kind == "idx":
        from genart_jax.data import idx

        source = idx.load(rest)
    elif kind == "stacked":
        from genart_jax.data import stacked

        source = stacked.load(rest)
    elif kind == "folder":
        from genart_jax.data import folder

        source = folder.load(rest, data)
    elif kind == "pictures":
        from genart_jax.data import pictures

        source = pictures.load(rest, data)
    elif kind == "built":
        from genart_jax.data import built

        source = built.load_folder(expanded(rest))
    else:
        from genart_jax.data import tfds

        source = tfds.load(rest, data)
    return finished(source, data)


def finished(source: Source, data: Data) -> Source:
    """The source under its name, cut down to `data.limit`, with the summary first in its report.

    Raises:
      UserError: `data.image_size` is another than a source that is not resized has, or `data.limit` is too large.
    """
    kind = data.source.partition(":")[0]
    height, *width = data.image_size or source.image_shape[:2]
    wanted = (height, *(width or [height]))
    if kind not in ("folder", "pictures", "tfds") and tuple(wanted) != tuple(source.image_shape[:2]):
        here = "x".join(map(str, source.image_shape[:2]))
        hint = "say emoji:64 or emoji:128" if kind == "emoji" else "leave it out"
        raise UserError(f"data.image-size {wanted}: {kind} has pictures of {here} and is not resized; {hint}")
    source = dataclasses.replace(source, name=data.source)
    if data.limit:
        note = f"limited to {data.limit} of {source.train.size} training examples; counts above are of all"
        source = dataclasses.replace(source, train=limited(source.train, data.limit), report=(*source.report, note))
    return dataclasses.replace(source, report=(summary(source), *source.report))


def limited(split: Split, limit: int) -> Split:
    """`limit` examples of a split, the same for every seed; a smaller choice is a part of a larger one.

    Raises:
      UserError: there are not so many.
    """
    if not 0 < limit <= split.size:
        raise UserError(f"data.limit {limit}: there are {split.size} training examples; choose 1 to that, or 0 for all")
    words = np.random.Philox(key=np.array([0, split.size], np.uint64)).random_raw(split.size)
    rows = np.sort(np.argsort(words, kind="stable")[:limit])
    read = split.read
    return dataclasses.replace(
        split,
        size=limit,
        condition={name: values[rows] for name, values in split.condition.items()},
        images=None if split.images is None else split.images[rows],
        read=None if read is None else lambda index: read(int(rows[index])),
    )


def absolute(source: str) -> str:
    """The source with the folder that it names as an absolute path, to mean the same from everywhere."""
    kind, _, rest = source.partition(":")
    if kind == "pictures":
        return f"{kind}:{join_list([expanded(path).resolve() for path in split_list(rest) if path])}"
    return f"{kind}:{expanded(rest).resolve()}" if kind in ("idx", "stacked", "folder", "built") and rest else source


def _advice(source: str, kind: str) -> str:
    if source and (expanded(source).is_dir() or (source.lower().endswith(".zip") and expanded(source).is_file())):
        return f"for a folder of pictures say folder:{source}"
    from genart_jax.data.build import catalogue

    near = difflib.get_close_matches(kind, [*KINDS, *catalogue.names()], 1)
    return (
        f"did you mean {near[0]}?"
        if near
        else "choose emoji[:SIZE], idx:DIR, stacked:DIR, folder:DIR, pictures:FILE:FILE, tfds:NAME[:SPLIT], or a set "
        "of genart data list"
    )


def example(split: Split, index: int) -> dict[str, Any]:
    """One example of either kind of split, as `Split.read` gives it."""
    if split.images is not None:
        condition = {name: int(values[index]) for name, values in split.condition.items()}
        return {"image": split.images[index], "condition": condition}
    assert split.read is not None
    return split.read(index)


def summary(source: Source) -> str:
    """One line: name, sizes, shape, conditions with their numbers of classes."""
    conditions = ", ".join(f"{name} ({len(names)})" for name, names in source.class_names.items())
    shape = "x".join(map(str, source.image_shape))
    with_conditions = f"conditions {conditions}" if conditions else "no conditions"
    return f"{source.name}: {source.train.size} train, {source.test.size} test, {shape}, {with_conditions}"


def count_lines(class_names: Mapping[str, Sequence[str]], train: Split, test: Split, most: int = 20) -> tuple[str, ...]:
    """One line a condition: how many examples its first `most` classes have in each split, where that is known.

    What is unlabelled (-1) is in no class; where there is some, the line says how much.
    """
    lines = []
    for name, names in class_names.items():
        if name in train.condition and name in test.condition:
            labels = [split.condition[name] for split in (train, test)]
            counts = [np.bincount(x[x >= 0], minlength=len(names)) for x in labels]
            without = [int(np.sum(x < 0)) for x in labels]
            shown = [f"{word} {a} + {b}" for word, a, b in list(zip(names, *counts, strict=False))[:most]]
            more = ", ..." if len(names) > most else ""
            more += f"; unlabelled {without[0]} + {without[1]}" if any(without) else ""
            lines.append(f"{name} (train + test): {', '.join(shown)}{more}")
    return tuple(lines)


def fingerprint(*parts: Array | bytes | str) -> str:
    """SHA-256 (hex) over arrays (with their shape and dtype), bytes and words."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype}{part.shape}".encode())
            sha.update(np.ascontiguousarray(part).data)
        else:
            data = part.encode() if isinstance(part, str) else part
            sha.update(f"{len(data)}:".encode() + data)
    return sha.hexdigest()


def held_out(digests: Sequence[bytes], fraction: float) -> Array:
    """Which examples to test on: boolean (len(digests),), decided by each example's own SHA-256 digest.

    So the choice does not change when examples come or go, and copies stay on one side. At least one example is on
    either side, provided that there are two different ones; if there are not, all are False.

    Raises:
      UserError: `fraction` is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise UserError(f"data.test_fraction: got {fraction}, wanted 0 or more and less than 1")
    ranks = np.array([int.from_bytes(d[:8], "big") for d in digests], np.uint64)
    if len(ranks) == 0 or ranks.min() == ranks.max():
        return np.zeros(len(ranks), bool)
    test = (ranks / 2.0**64 < fraction) | (ranks == ranks.min())
    return test & (ranks != ranks.max())
