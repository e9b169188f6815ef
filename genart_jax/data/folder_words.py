"""What is said about a folder of pictures: what is left out, what is odd, which classes it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genart_jax.data import picture
from genart_jax.data.files import File, Found
from genart_jax.data.layout import Item, Layout
from genart_jax.data.source import Split
from genart_jax.runtime.values import Array, Json

_SHOWN = 5  # names in a line


@dataclasses.dataclass(frozen=True)
class Read:
    """What the first pass finds out about a file; `pixels` is a hash of them (streamed: of the file)."""

    content: bytes = b""
    pixels: bytes = b""
    size: tuple[int, int] = (0, 0)
    error: str = ""
    notes: tuple[str, ...] = ()

    def record(self) -> Json:
        """What JSON holds of it, without `content`."""
        return {"pixels": self.pixels.hex(), "size": self.size, "error": self.error, "notes": self.notes}

    @classmethod
    def of(cls, content: bytes, record: Json) -> Read:
        """From what `record` gave."""
        height, width = record["size"]
        pixels, notes = bytes.fromhex(record["pixels"]), tuple(record["notes"])
        return cls(content, pixels, (height, width), record["error"], notes)


class Readable(NamedTuple):
    """Pictures that can be read, one after the other; `label` is -1 where there are no classes.

    `rows`: where they are in `images`, which holds the unreadable ones too, and is None if the set is streamed.
    """

    items: list[Item]
    reads: list[Read]
    images: Array | None
    rows: Array
    names: tuple[str, ...]
    label: Array


def sizes(results: list[Read]) -> str:
    """Of which sizes the pictures are."""
    found = sorted({r.size for r in results}, key=lambda s: (s[0] * s[1], s))
    low, high = (f"{h}x{w}" for h, w in (found[0], found[-1]))
    return low if len(found) == 1 else f"{len(found)} sizes, {low} to {high}"


def nothing(directory: Path, found: Found, layout: Layout) -> str:
    """Why a set has no pictures."""
    if found.unread:
        return f"folder:{directory}: there are no pictures in it that are read: {_unread_line(found)}"
    if layout.problems:
        return f"folder:{directory}: there are no pictures left: {'; '.join(layout.problems)}"
    return f"folder:{directory}: there are no pictures in it ({', '.join(picture.SUFFIXES)})"


def unread(found: Found) -> list[tuple[File, str]]:
    """Pictures of formats that are not read, each with what would help."""
    return [(file, picture.UNREAD_SUFFIXES[file.path.suffix.lower()]) for file in found.unread]


def _unread_line(found: Found) -> str:
    kinds = {reason: file for file, reason in reversed(unread(found))}
    shown = ", ".join(f"{file.name} ({reason})" for reason, file in reversed(kinds.items()))
    return f"{len(found.unread)} pictures of formats that are not read: {shown}"


def some(names: Sequence[object]) -> str:
    """The first few of the names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more


def file_problems(directory: Path, kept: Readable, bad: list[tuple[File, str]], found: Found) -> list[str]:
    """Lines about files: what cannot be read, what is odd, what is a copy."""
    lines, total = [], len(kept.items) + len(bad)
    if bad:
        shown = some([f"{file.name} ({error})" for file, error in bad])
        lines.append(f"{len(bad)} of {total} pictures cannot be read and are left out: {shown}")
    if found.unread:
        lines.append(f"left out: {_unread_line(found)}")
    if found.odd:
        lines.append(f"left out: {some([f'{path} ({error})' for path, error in found.odd])}")
    noted: dict[str, list[str]] = {}
    for item, read in zip(kept.items, kept.reads, strict=True):
        for note in read.notes:
            noted.setdefault(note, []).append(item.file.name)
    lines += [f"{len(names)} pictures: {note}: {some(names)}" for note, names in noted.items()]
    if len(kept.items) < 100:
        lines.append(f"only {len(kept.items)} pictures: a model will learn them by heart")
    copies = len(kept.reads) - len({r.pixels for r in kept.reads})
    if copies:
        lines.append(f"{copies} of {len(kept.reads)} pictures are copies of others")
    return lines


def class_problems(directory: Path, kept: Readable, train: Split) -> list[str]:
    """Lines about classes: a single one, unequal ones, some without training pictures."""
    if not kept.names:
        return []
    lines, counts = [], np.bincount(kept.label, minlength=len(kept.names))
    if len(kept.names) == 1:
        deep = any(len(item.file.parts) > 2 for item in kept.items)
        hint = f"; if its sub-folders are the classes, say folder:{directory / kept.names[0]}" if deep else ""
        lines.append(f"there is only one class, {kept.names[0]}: a condition that tells nothing{hint}")
    if counts.max() > 10 * counts.min():
        large, small = int(counts.argmax()), int(counts.argmin())
        most = f"{kept.names[large]} has {counts[large]} pictures, {kept.names[small]} {counts[small]}"
        lines.append(f"the classes are unbalanced: {most}")
    absent = np.flatnonzero(np.bincount(train.arrays["label"], minlength=len(kept.names)) == 0)
    if len(absent):
        lines.append(f"no training pictures of {some([kept.names[i] for i in absent])}: the test split has them all")
    return lines
