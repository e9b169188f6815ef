"""A folder or zip archive of pictures; its sub-folders, if it has any, are the classes of the condition `label`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from genart_jax.config import Data, Field, UserError
from genart_jax.data import cache, picture
from genart_jax.data import folder_words as words
from genart_jax.data.files import File, find
from genart_jax.data.folder_words import Read, Readable
from genart_jax.data.layout import Layout, arrange
from genart_jax.data.source import Example, Source, Split, count_lines, example, fingerprint, held_out
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.runtime.watch import watched

_WORTH_KEEPING = 2.0  # seconds of decoding from which on the decoded set is kept in the user's cache


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
    size, channels, fast = picture.picture_size(data.image_size), data.channels, data.resize == "fast"
    picture.check_channels(channels)
    found = find(directory)
    layout = arrange(found)
    if not layout.items:
        raise UserError(words.nothing(directory, found, layout))
    shape = (*size, channels)
    stream = len(layout.items) * int(np.prod(shape)) > data.memory_limit_mb * 2**20
    reads, images = decode_all([item.file for item in layout.items], size, channels, stream, data.workers, fast)
    bad = [(item.file, r.error) for item, r in zip(layout.items, reads, strict=True) if r.error]
    if bad and data.strict:
        raise UserError(f"{bad[0][0]}: {bad[0][1]}; remove it, or read without data.strict")
    if len(bad) == len(reads):
        raise UserError(f"folder:{directory}: none of its {len(bad)} pictures can be read: {bad[0][0]}: {bad[0][1]}")
    kept = _kept(layout, reads, images)
    class_names: dict[str, tuple[str, ...]] = {"label": kept.names} if kept.names else {}
    test, problems = _test_split(kept, data.test_fraction)
    splits = _splits(kept, test, data)
    problems = [*words.file_problems(directory, kept, bad, found), *layout.problems, *problems]
    problems += words.class_problems(directory, kept, splits[0])
    default = "" if data.image_size else " (the default: set data.image_size for another)"
    report = [
        *layout.report,
        f"pictures of {words.sizes(kept.reads)}, brought to {size[0]}x{size[1]}{default}",
        _moments(splits[0]),
        "too large for data.memory_limit_mb: streamed" if stream else "held in memory",
    ]
    if found.others:
        report.append(f"{found.others} other files ignored")
    now, former = _fingerprints(kept, str((shape, class_names, data.test_fraction, *(["fast"] * fast))), test)
    return Source(
        name=f"folder:{directory}",
        train=splits[0],
        test=splits[1],
        pictures={"image": Field(shape)},
        class_names=class_names,
        fingerprint=now,
        former=former,
        report=(*count_lines(class_names, splits[0], splits[1]), *report),
        warnings=tuple(problems),
        unreadable=tuple(f"{path}: {error}" for path, error in [*bad, *words.unread(found), *found.odd]),
    )


def decode_all(
    files: Sequence[File], size: tuple[int, int], channels: int, stream: bool, workers: int, fast: bool = False
) -> tuple[list[Read], Array | None]:
    """The first pass over all files: what each holds, and their pixels, uint8 (files, height, width, channels).

    Streamed sets have no array, and only their headers are looked at. Rows of files that cannot be read hold nothing.
    What took long to decode is kept in the user's cache, but for what is resized `fast`; see `cache`.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        if not stream and not fast and cache.may_hold(len(files), (*size, channels)):
            digests = list(watched(pool.map(_digest, files), len(files), "pictures looked at"))
            if (found := cache.load(digests, (*size, channels))) is not None:
                return [Read.of(digest, r) for digest, r in zip(digests, found.records, strict=True)], found.images
        images = None if stream else np.empty((len(files), *size, channels), np.uint8)
        read = partial(_read, images=images, size=size, channels=channels, fast=fast)
        started = time.monotonic()
        reads = list(watched(pool.map(read, range(len(files)), files), len(files), "pictures read"))
    if images is not None and not fast and time.monotonic() - started > _WORTH_KEEPING:
        cache.save([r.content for r in reads], cache.Decoded(images, [r.record() for r in reads]))
    return reads, images


def _digest(file: File) -> bytes:
    """SHA-256 of a file's bytes; b"" where it cannot be read."""
    try:
        return hashlib.sha256(file.read()).digest()
    except (OSError, picture.BadPictureError):
        return b""


def _read(index: int, file: File, *, images: Array | None, size: tuple[int, int], channels: int, fast: bool) -> Read:
    """Hashes a file and decodes it into `images[index]`, or, where that is None, reads just its header."""
    notes: list[str] = []
    digest = b""
    try:
        content = file.read()
        digest = hashlib.sha256(content).digest()
        with picture.opened(content) as opened:
            seen = (opened.height, opened.width)
        if images is None:
            return Read(digest, digest, seen)
        images[index] = picture.decode(content, size, channels, notes, fast)
        return Read(digest, hashlib.sha256(images[index].data).digest(), seen, notes=tuple(notes))
    except (OSError, picture.BadPictureError) as error:
        return Read(digest, error=str(error))


def _kept(layout: Layout, reads: list[Read], images: Array | None) -> Readable:
    """Without the files that cannot be read; a class that has none left is no class."""
    good = np.array([i for i, r in enumerate(reads) if not r.error], np.int64)
    items = [layout.items[i] for i in good]
    present = {item.label for item in items if item.label}
    names = tuple(sorted(present, key=int if layout.numbered else None))
    number = {name: i for i, name in enumerate(names)}
    label = np.array([number.get(item.label, -1) for item in items], np.int32)
    return Readable(items, [reads[i] for i in good], images, good, names, label)


def _test_split(kept: Readable, fraction: float) -> tuple[Array, list[str]]:
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


def _fingerprints(kept: Readable, about: str, test: Array) -> tuple[str, tuple[str, ...]]:
    """That of the data, and those that earlier versions, which did not look at the labels, took it for."""
    given = [] if kept.items[0].test is None else [np.packbits(test).tobytes()]
    said: list[str | bytes] = [about, *(r.content for r in kept.reads), *given]
    return (fingerprint(*said, kept.label), (fingerprint(*said),)) if kept.names else (fingerprint(*said), ())


def _splits(kept: Readable, test: Array, data: Data) -> list[Split]:
    size, out = picture.picture_size(data.image_size), []
    for rows in (np.flatnonzero(~test), np.flatnonzero(test) if test.any() else np.arange(len(test))):
        labels = {"label": kept.label[rows]} if kept.names else {}
        if kept.images is not None:
            out.append(Split(len(rows), {"image": kept.images[kept.rows[rows]], **labels}))
        else:
            reader = _Reader([kept.items[i].file for i in rows], labels, size, data, _Told())
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
    data: Data
    told: _Told

    def __call__(self, index: int) -> Example:
        for step in range(len(self.files)):
            i = (index + step) % len(self.files)
            notes: list[str] = []
            try:
                image = picture.decode(
                    self.files[i].read(), self.size, self.data.channels, notes, self.data.resize == "fast"
                )
            except (OSError, picture.BadPictureError) as error:
                if self.data.strict:
                    raise UserError(f"{self.files[i]}: {error}; remove it, or read without data.strict") from error
                self.told.warn(self.files[i], f"{error}; the next picture is taken", "error")
                continue
            for note in notes:
                self.told.warn(self.files[i], note, note)
            return {"image": image, **{name: values[i] for name, values in self.labels.items()}}
        raise UserError(f"{self.files[index]}: neither this nor any other picture of its split can be read any more")


def _moments(split: Split, most: int = 256) -> str:
    """Mean and standard deviation of the pixels, from at most so many pictures spread over the split."""
    chosen = np.unique(np.linspace(0, split.size - 1, min(split.size, most)).astype(int))
    sample = np.stack([example(split, int(i))["image"] for i in chosen])
    means, stds = (f(sample / 255, axis=(0, 1, 2)) for f in (np.mean, np.std))
    per_channel = [" ".join(f"{v:.3f}" for v in values) for values in (means, stds)]
    return f"pixels in [0, 1]: mean {per_channel[0]}, std {per_channel[1]} (of {len(chosen)} training pictures)"
