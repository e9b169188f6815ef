"""A folder or zip archive of pictures; its sub-folders, if it has any, are the classes of the condition `label`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from genart_jax.config import Data, UserError
from genart_jax.data import cache, picture
from genart_jax.data.files import File, Found, find
from genart_jax.data.layout import Item, Layout, arrange
from genart_jax.data.source import Array, Source, Split, count_lines, example, fingerprint, held_out
from genart_jax.paths import expanded

_SHOWN = 5  # names in a line
_SAY_EVERY = 5.0  # seconds between lines of how many pictures have been read
_WORTH_KEEPING = 2.0  # seconds of decoding from which on the decoded set is kept in the user's cache
_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class _Read:
    """What the first pass finds out about a file; `pixels` is a hash of them (streamed: of the file)."""

    content: bytes = b""
    pixels: bytes = b""
    size: tuple[int, int] = (0, 0)
    error: str = ""
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """What JSON holds of it, without `content`."""
        return {"pixels": self.pixels.hex(), "size": self.size, "error": self.error, "notes": self.notes}

    @classmethod
    def of(cls, content: bytes, record: dict[str, Any]) -> _Read:
        """From what `record` gave."""
        height, width = record["size"]
        pixels, notes = bytes.fromhex(record["pixels"]), tuple(record["notes"])
        return cls(content, pixels, (height, width), record["error"], notes)


class _Set(NamedTuple):
    """Pictures that can be read, one after the other; `label` is -1 where there are no classes.

    `rows`: where they are in `images`, which holds the unreadable ones too, and is None if the set is streamed.
    """

    items: list[Item]
    reads: list[_Read]
    images: Array | None
    rows: Array
    names: tuple[str, ...]
    label: Array


def load(directory: str | Path, data: Data) -> Source:
    """Reads every picture under `directory`, or in that zip archive, in the order of their names.

    A picture's label is the first folder on its way; pictures beside such folders have none and are left out. A
    dataset.json says the labels in their place. Folders `train` and `test` (or `testing`, `val`, `valid`,
    `validation`; in any case) are the splits, with the label below them; else the test split is chosen by the SHA-256
    of each file, so copies of a file are on one side. Hidden files are ignored; what cannot be read is named in a
    warning. Pictures are brought to `data.image_size` (64x64 where empty) by `picture.to_uint8_picture`. Above
    `data.memory_limit_mb` pictures are decoded when asked for; one that then turns out to be damaged is replaced by the
    next, with a line in the log (an error with `data.strict`).

    Raises:
      UserError: no such folder, no picture in it that can be read, or with `data.strict` one that cannot.
    """
    directory = expanded(directory)
    size, channels = picture.picture_size(data.image_size), data.channels
    picture.check_channels(channels)
    found = find(directory)
    layout = arrange(found)
    if not layout.items:
        raise UserError(_nothing(directory, found, layout))
    shape = (*size, channels)
    stream = len(layout.items) * int(np.prod(shape)) > data.memory_limit_mb * 2**20
    reads, images = decode_all([item.file for item in layout.items], size, channels, stream, data.workers)
    bad = [(item.file, r.error) for item, r in zip(layout.items, reads, strict=True) if r.error]
    if bad and data.strict:
        raise UserError(f"{bad[0][0]}: {bad[0][1]}; remove it, or read without data.strict")
    if len(bad) == len(reads):
        raise UserError(f"folder:{directory}: none of its {len(bad)} pictures can be read: {bad[0][0]}: {bad[0][1]}")
    kept = _kept(layout, reads, images)
    class_names: dict[str, tuple[str, ...]] = {"label": kept.names} if kept.names else {}
    test, problems = _test_split(kept, data.test_fraction)
    splits = _splits(kept, test, data)
    problems = [*_problems(directory, kept, bad, found), *layout.problems, *problems]
    problems += _class_problems(directory, kept, splits[0])
    default = "" if data.image_size else " (the default: set data.image_size for another)"
    report = [
        *layout.report,
        f"pictures of {_sizes(kept.reads)}, brought to {size[0]}x{size[1]}{default}",
        _moments(splits[0]),
        "too large for data.memory_limit_mb: streamed" if stream else "held in memory",
    ]
    if found.others:
        report.append(f"{found.others} other files ignored")
    given = [] if kept.items[0].test is None else [np.packbits(test).tobytes()]
    said: tuple[str | bytes, ...] = (
        str((shape, class_names, data.test_fraction)), *(r.content for r in kept.reads), *given
    )  # fmt: skip
    return Source(
        name=f"folder:{directory}",
        train=splits[0],
        test=splits[1],
        image_shape=shape,
        class_names=class_names,
        fingerprint=fingerprint(*said, kept.label) if kept.names else fingerprint(*said),
        former=(fingerprint(*said),) if kept.names else (),
        report=(*count_lines(class_names, splits[0], splits[1]), *report),
        warnings=tuple(problems),
        unreadable=tuple(f"{path}: {error}" for path, error in [*bad, *_unread(found), *found.odd]),
    )


def decode_all(
    files: Sequence[File], size: tuple[int, int], channels: int, stream: bool, workers: int
) -> tuple[list[_Read], Array | None]:
    """The first pass over all files: what each holds, and their pixels, uint8 (files, height, width, channels).

    Streamed sets have no array, and only their headers are looked at. Rows of files that cannot be read hold nothing.
    What took long to decode is kept in the user's cache; see `cache`.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        if not stream and cache.may_hold(len(files), (*size, channels)):
            digests = list(_watched(pool.map(_digest, files), len(files), "looked at"))
            if (found := cache.load(digests, (*size, channels))) is not None:
                return [_Read.of(digest, r) for digest, r in zip(digests, found.records, strict=True)], found.images
        images = None if stream else np.empty((len(files), *size, channels), np.uint8)
        read = partial(_read, images=images, size=size, channels=channels)
        started = time.monotonic()
        reads = list(_watched(pool.map(read, range(len(files)), files), len(files), "read"))
    if images is not None and time.monotonic() - started > _WORTH_KEEPING:
        cache.save([r.content for r in reads], cache.Decoded(images, [r.record() for r in reads]))
    return reads, images


def _watched(results: Iterable[_T], total: int, done: str) -> Iterator[_T]:
    """The results as they come, with a line in the log now and then of how many there are."""
    started = said = time.monotonic()
    for count, result in enumerate(results, 1):
        now = time.monotonic()
        if now - said > _SAY_EVERY:
            said, left = now, (now - started) / count * (total - count)
            text = "%s of %s pictures %s, left %d:%02d"
            logging.getLogger(__name__).info(text, f"{count:,}", f"{total:,}", done, *divmod(int(left), 60))
        yield result


def _digest(file: File) -> bytes:
    """SHA-256 of a file's bytes; b"" where it cannot be read."""
    try:
        return hashlib.sha256(file.read()).digest()
    except (OSError, picture.BadPictureError):
        return b""


def _read(index: int, file: File, *, images: Array | None, size: tuple[int, int], channels: int) -> _Read:
    """Hashes a file and decodes it into `images[index]`, or, where that is None, reads just its header."""
    notes: list[str] = []
    digest = b""
    try:
        content = file.read()
        digest = hashlib.sha256(content).digest()
        with picture.opened(content) as opened:
            seen = (opened.height, opened.width)
        if images is None:
            return _Read(digest, digest, seen)
        images[index] = picture.decode(content, size, channels, notes)
        return _Read(digest, hashlib.sha256(images[index].data).digest(), seen, notes=tuple(notes))
    except (OSError, picture.BadPictureError) as error:
        return _Read(digest, error=str(error))


def _kept(layout: Layout, reads: list[_Read], images: Array | None) -> _Set:
    """Without the files that cannot be read; a class that has none left is no class."""
    good = np.array([i for i, r in enumerate(reads) if not r.error], np.int64)
    items = [layout.items[i] for i in good]
    present = {item.label for item in items if item.label}
    names = tuple(sorted(present, key=int if layout.numbered else None))
    number = {name: i for i, name in enumerate(names)}
    label = np.array([number.get(item.label, -1) for item in items], np.int32)
    return _Set(items, [reads[i] for i in good], images, good, names, label)


def _test_split(kept: _Set, fraction: float) -> tuple[Array, list[str]]:
    """Which rows to test on, and what is to be said about it; if none, the training split serves as both."""
    drawn = held_out([r.content for r in kept.reads], fraction)
    if kept.items[0].test is None:
        few = ["there is only one different picture: the test split is the training split"]
        return drawn, [] if drawn.any() else few
    test = np.array([bool(item.test) for item in kept.items])
    if test.all() or not test.any():
        side = "training" if test.all() else "test"
        return drawn, [f"the {side} split's folder has no pictures that can be used: the splits are chosen anew"]
    train = {r.pixels for r, tested in zip(kept.reads, test, strict=True) if not tested}
    copies = sum(r.pixels in train for r, tested in zip(kept.reads, test, strict=True) if tested)
    return test, [f"{copies} of the {test.sum()} test pictures are training pictures too"] if copies else []


def _splits(kept: _Set, test: Array, data: Data) -> list[Split]:
    size, out = picture.picture_size(data.image_size), []
    for rows in (np.flatnonzero(~test), np.flatnonzero(test) if test.any() else np.arange(len(test))):
        labels = {"label": kept.label[rows]} if kept.names else {}
        if kept.images is not None:
            out.append(Split(len(rows), labels, kept.images[kept.rows[rows]]))
        else:
            reader = _Reader([kept.items[i].file for i in rows], labels, size, data.channels, data.strict, _Told())
            out.append(Split(len(rows), labels, read=reader))
    return out


class _Told:
    """Which lines have been logged: one a file, and of each kind not more than fit a screen."""

    def __init__(self, most: int = 20) -> None:
        self._most, self._lock = most, threading.Lock()
        self._files: set[tuple[File, str]] = set()
        self._kinds: Counter[str] = Counter()

    def warn(self, file: File, text: str, kind: str) -> None:
        with self._lock:
            if (file, kind) in self._files:
                return
            self._files.add((file, kind))
            self._kinds[kind] += 1
            count = self._kinds[kind]
        if count <= self._most:
            more = "; further files of this kind are not named" if count == self._most else ""
            logging.getLogger(__name__).warning("%s: %s%s", file, text, more)


@dataclasses.dataclass(frozen=True)
class _Reader:
    """`Split.read` of a streamed split: index -> example; any number of threads may call it."""

    files: list[File]
    labels: dict[str, Array]
    size: tuple[int, int]
    channels: int
    strict: bool
    told: _Told

    def __call__(self, index: int) -> dict[str, Any]:
        for step in range(len(self.files)):
            i = (index + step) % len(self.files)
            notes: list[str] = []
            try:
                image = picture.decode(self.files[i].read(), self.size, self.channels, notes)
            except (OSError, picture.BadPictureError) as error:
                if self.strict:
                    raise UserError(f"{self.files[i]}: {error}; remove it, or read without data.strict") from error
                self.told.warn(self.files[i], f"{error}; the next picture is taken", "error")
                continue
            for note in notes:
                self.told.warn(self.files[i], note, note)
            return {"image": image, "condition": {name: int(values[i]) for name, values in self.labels.items()}}
        raise UserError(f"{self.files[index]}: neither this nor any other picture of its split can be read any more")


def _sizes(results: list[_Read]) -> str:
    sizes = sorted({r.size for r in results}, key=lambda s: (s[0] * s[1], s))
    low, high = (f"{h}x{w}" for h, w in (sizes[0], sizes[-1]))
    return low if len(sizes) == 1 else f"{len(sizes)} sizes, {low} to {high}"


def _moments(split: Split, most: int = 256) -> str:
    """Mean and standard deviation of the pixels, from at most so many pictures spread over the split."""
    chosen = np.unique(np.linspace(0, split.size - 1, min(split.size, most)).astype(int))
    sample = np.stack([example(split, int(i))["image"] for i in chosen])
    means, stds = (f(sample / 255, axis=(0, 1, 2)) for f in (np.mean, np.std))
    per_channel = [" ".join(f"{v:.3f}" for v in values) for values in (means, stds)]
    return f"pixels in [0, 1]: mean {per_channel[0]}, std {per_channel[1]} (of {len(chosen)} training pictures)"


def _nothing(directory: Path, found: Found, layout: Layout) -> str:
    """Why a set has no pictures."""
    if found.unread:
        return f"folder:{directory}: there are no pictures in it that are read: {_unread_line(found)}"
    if layout.problems:
        return f"folder:{directory}: there are no pictures left: {'; '.join(layout.problems)}"
    return f"folder:{directory}: there are no pictures in it ({', '.join(picture.SUFFIXES)})"


def _unread(found: Found) -> list[tuple[File, str]]:
    return [(file, picture.UNREAD_SUFFIXES[file.path.suffix.lower()]) for file in found.unread]


def _unread_line(found: Found) -> str:
    kinds = {reason: file for file, reason in reversed(_unread(found))}
    shown = ", ".join(f"{file.name} ({reason})" for reason, file in reversed(kinds.items()))
    return f"{len(found.unread)} pictures of formats that are not read: {shown}"


def _some(names: Sequence[object]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more


def _problems(directory: Path, kept: _Set, bad: list[tuple[File, str]], found: Found) -> list[str]:
    """Lines about files: what cannot be read, what is odd, what is a copy."""
    lines, total = [], len(kept.items) + len(bad)
    if bad:
        shown = _some([f"{file.name} ({error})" for file, error in bad])
        lines.append(f"{len(bad)} of {total} pictures cannot be read and are left out: {shown}")
    if found.unread:
        lines.append(f"left out: {_unread_line(found)}")
    if found.odd:
        lines.append(f"left out: {_some([f'{path} ({error})' for path, error in found.odd])}")
    noted: dict[str, list[str]] = {}
    for item, read in zip(kept.items, kept.reads, strict=True):
        for note in read.notes:
            noted.setdefault(note, []).append(item.file.name)
    lines += [f"{len(names)} pictures: {note}: {_some(names)}" for note, names in noted.items()]
    if len(kept.items) < 100:
        lines.append(f"only {len(kept.items)} pictures: a model will learn them by heart")
    copies = len(kept.reads) - len({r.pixels for r in kept.reads})
    if copies:
        lines.append(f"{copies} of {len(kept.reads)} pictures are copies of others")
    return lines


def _class_problems(directory: Path, kept: _Set, train: Split) -> list[str]:
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
        sizes = f"{kept.names[large]} has {counts[large]} pictures, {kept.names[small]} {counts[small]}"
        lines.append(f"the classes are unbalanced: {sizes}")
    absent = np.flatnonzero(np.bincount(train.condition["label"], minlength=len(kept.names)) == 0)
    if len(absent):
        lines.append(f"no training pictures of {_some([kept.names[i] for i in absent])}: the test split has them all")
    return lines
