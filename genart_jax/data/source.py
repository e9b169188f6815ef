"""What a data source gives: two splits of examples, each with the same named fields.

`open_source` dispatches on the source's name; each kind lives in a module of its own (emoji, idx, folder, tfds).
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from genart_jax.config import BatchSpec, Data, Field, UserError
from genart_jax.config.batch import class_fields
from genart_jax.runtime.paths import expanded, join_list, split_list
from genart_jax.runtime.values import Array

ARRAYS = "arrays"
"""The name of a source that was given in Python."""
KINDS = ("emoji", "idx", "stacked", "folder", "pairs", "pictures", "videos", "tfds", "built")


Example = dict[str, Any]
"""One example as it is at rest, by the names of its fields: uint8 pictures, masks, and integers for classes."""


class Split(NamedTuple):
    """One split: in memory, or read one example at a time.

    Attributes:
      size: number of examples.
      arrays: by the names of the fields, with the examples as leading axis: pictures uint8, masks in [0, 1], classes
        integers (size,). Of a split that is read, those that are known without it, such as labels.
      read: index -> all of an example, or None for a split in memory; may be called from several threads.
      order: whether the rows of an epoch come shuffled, or in their order.
      other: the same split of a second set, which is not paired with this one and has an order of its own. Its pictures
        are the field "other".
    """

    size: int
    arrays: Mapping[str, Array] = {}
    read: Callable[[int], Example] | None = None
    order: Literal["shuffled", "as given"] = "shuffled"
    other: Split | None = None

    @property
    def streamed(self) -> bool:
        """Whether some of it is not in memory."""
        return self.read is not None or (self.other is not None and self.other.streamed)

    def only(self, names: Collection[str]) -> Split:
        """The split with just the fields of these names."""
        arrays = {name: values for name, values in self.arrays.items() if name in names}
        read, other = self.read, self.other.only(["image"]) if self.other is not None and "other" in names else None
        part = None if read is None else lambda index: {n: v for n, v in read(index).items() if n in names}
        return self._replace(arrays=arrays, read=part, other=other)


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
      name: as the user gave it.
      train, test: its splits; `test` is never trained on.
      pictures: the fields with pixels and masks: "image", and maybe others.
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
    pictures: Mapping[str, Field]
    class_names: dict[str, tuple[str, ...]]
    fingerprint: str
    report: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    former: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels); of videos and volumes with frames or depth in front."""
        return self.pictures["image"].shape

    @property
    def spec(self) -> BatchSpec:
        """The batch that this source offers."""
        classes = {name: len(names) for name, names in self.class_names.items()}
        return BatchSpec(fields={**self.pictures, **class_fields(classes)}, class_names=self.class_names)


def open_source(data: Data) -> Source:
    """The source that `data.source` names: emoji[:STYLE][:SIZE], idx:DIR, stacked:DIR, folder:DIR, pairs:DIR,
    pictures:FILE:FILE..., videos:DIR, tfds:NAME[:SPLIT], or a set that `genart data build` made, by its name or as
    built:DIR.

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
    return finished(_load(kind, rest, data), data)


def _load(kind: str, rest: str, data: Data) -> Source:
    """The source of a kind; `rest` is what comes behind its name."""
    # Imported here: each kind has needs of its own (Pillow, tfds), and this module is the contract they all import.
    if kind == "emoji":
        from genart_jax.data import emoji

        words = rest.split(":") if rest else []
        size = int(words.pop()) if words and words[-1].isdecimal() else emoji.SIZES[0]
        if words and (len(words) > 1 or words[0] not in emoji.STYLES):
            styles = ", ".join(emoji.STYLES)
            raise UserError(f"emoji:{rest}: wanted emoji[:STYLE][:SIZE], as emoji:64 or emoji:noto; styles: {styles}")
        return emoji.load(size, style=words[0] if words else "")
    if kind == "idx":
        from genart_jax.data import idx

        return idx.load(rest)
    if kind == "stacked":
        from genart_jax.data import stacked

        return stacked.load(rest)
    if kind == "folder":
        from genart_jax.data import folder

        return folder.load(rest, data)
    if kind == "pairs":
        from genart_jax.data import pairs

        return pairs.load(rest, data)
    if kind == "pictures":
        from genart_jax.data import pictures

        return pictures.load(rest, data)
    if kind == "videos":
        from genart_jax.data import videos

        return videos.load(rest, data)
    if kind == "built":
        from genart_jax.data import built

        return built.load_folder(expanded(rest))
    from genart_jax.data import tfds

    return tfds.load(rest, data)


def finished(source: Source, data: Data) -> Source:
    """The source under its name, cut down to `data.limit`, with the summary first in its report.

    Raises:
      UserError: `data.image_size` is another than a source that is not resized has, or `data.limit` is too large.
    """
    kind = data.source.partition(":")[0]
    sides = source.image_shape[-3:-1]
    height, *width = data.image_size or sides
    wanted = (height, *(width or [height]))
    if kind not in ("folder", "pairs", "pictures", "videos", "tfds") and tuple(wanted) != tuple(sides):
        here = "x".join(map(str, sides))
        hint = "say emoji:64 or emoji:128" if kind == "emoji" else "leave it out"
        raise UserError(f"data.image-size {wanted}: {kind} has pictures of {here} and is not resized; {hint}")
    source = dataclasses.replace(source, name=data.source)
    if data.other:
        source = with_other(source, data)
    if data.limit:
        note = f"limited to {data.limit} of {source.train.size} training examples; counts above are of all"
        source = dataclasses.replace(source, train=limited(source.train, data.limit), report=(*source.report, note))
    return dataclasses.replace(source, report=(summary(source), *source.report))


def with_other(source: Source, data: Data) -> Source:
    """The source with the pictures of `data.other` as the field `other`, which is paired with nothing.

    Raises:
      UserError: that source is not to be had.
    """
    other = open_source(dataclasses.replace(data, source=data.other, other="", limit=0))
    both = lambda one: fingerprint("other", one, other.fingerprint)
    return dataclasses.replace(
        source,
        train=source.train._replace(other=other.train),
        test=source.test._replace(other=other.test),
        pictures={**source.pictures, "other": other.pictures["image"]},
        fingerprint=both(source.fingerprint),
        former=tuple(both(one) for one in source.former),
        report=(*source.report, f"other: {other.report[0]}"),
        warnings=(*source.warnings, *(f"other: {line}" for line in other.warnings)),
        unreadable=(*source.unreadable, *other.unreadable),
    )


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
    return split._replace(
        size=limit,
        arrays={name: values[rows] for name, values in split.arrays.items()},
        read=None if read is None else lambda index: read(int(rows[index])),
    )


def absolute(source: str) -> str:
    """The source with the folder that it names as an absolute path, to mean the same from everywhere."""
    kind, _, rest = source.partition(":")
    if kind == "pictures":
        return f"{kind}:{join_list([expanded(path).resolve() for path in split_list(rest) if path])}"
    from genart_jax.data.build import catalogue

    if kind not in ("idx", "stacked", "folder", "pairs", "videos", "built") or not rest:
        return source
    return source if kind == "stacked" and catalogue.knows(rest) else f"{kind}:{expanded(rest).resolve()}"


def _advice(source: str, kind: str) -> str:
    if source and (expanded(source).is_dir() or (source.lower().endswith(".zip") and expanded(source).is_file())):
        return f"for a folder of pictures say folder:{source}"
    from genart_jax.data.build import catalogue

    near = difflib.get_close_matches(kind, [*KINDS, *catalogue.names()], 1)
    return (
        f"did you mean {near[0]}?"
        if near
        else "choose emoji[:STYLE][:SIZE], idx:DIR, stacked:DIR, folder:DIR, pairs:DIR, pictures:FILE:FILE, "
        "videos:DIR, tfds:NAME[:SPLIT], or a set of genart data list"
    )


def example(split: Split, index: int) -> Example:
    """One example of either kind of split."""
    if split.read is not None:
        return split.read(index)
    return {name: values[index] for name, values in split.arrays.items()}


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
        if name in train.arrays and name in test.arrays:
            labels = [split.arrays[name] for split in (train, test)]
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
