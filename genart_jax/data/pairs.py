"""Pairs of pictures: two aligned folders, or pictures that are cut in halves. The field `target` is the second of each.

    DIR/a/NAME.png   and DIR/b/NAME.png        matched by their paths without suffix; or input and target
    DIR/NAME.png                               its left half is the image, its right half the target

Either may lie in folders `train` and `test` (or `val`), above or below `a` and `b`; `trainA` means `train/a`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import Data, Field, UserError
from genart_jax.data import picture
from genart_jax.data.files import File, find
from genart_jax.data.folder_words import some
from genart_jax.data.layout import TEST, TRAIN
from genart_jax.data.source import Example, Source, Split, fingerprint, held_out
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.runtime.watch import watched

FIRST = "a", "input", "source"
SECOND = "b", "target", "output"
"""Names of the folders with the pictures, and with what is to be made of each; in any case."""


class Pair(NamedTuple):
    """Two files, or one that is cut in halves (`second` is None), and whether to test on them (None: open)."""

    first: File
    second: File | None
    test: bool | None

    def read(self) -> tuple[bytes, ...]:
        """The bytes of its files."""
        return tuple(file.read() for file in (self.first, self.second) if file is not None)


class _Place(NamedTuple):
    """What the folders on the way to a picture say: its split and side, and its path without these and the suffix."""

    split: str
    side: int | None
    key: str


def load(directory: str | Path, data: Data) -> Source:
    """Reads the pairs under `directory`, or in that zip archive, in the order of their names.

    Both pictures of a pair are brought to `data.image_size` (64x64 where empty). Without folders for the splits, the
    test split is chosen by the SHA-256 of each pair. What has no partner, or cannot be read, is named in a
    warning (an error with `data.strict`). Above `data.memory_limit_mb` pairs are decoded when asked for.

    Raises:
      UserError: no such folder, no pairs in it, or with `data.strict` one that is not whole.
    """
    directory = expanded(directory)
    size, channels = picture.picture_size(data.image_size), data.channels
    picture.check_channels(channels)
    pairs, report, problems = _arranged(directory, find(directory, "pairs").pictures)
    if data.strict and problems:
        raise UserError(f"pairs:{directory}: {problems[0]}; mend it, or read without data.strict")
    shape = (*size, channels)
    stream = 2 * len(pairs) * int(np.prod(shape)) > data.memory_limit_mb * 2**20
    decode = functools.partial(_decoded, size=size, channels=channels, stream=stream)
    with ThreadPoolExecutor(max(1, data.workers)) as pool:
        found = list(watched(pool.map(decode, pairs), len(pairs), "pairs read"))
    bad = [f"{pair.first}: {one}" for pair, one in zip(pairs, found, strict=True) if isinstance(one, str)]
    if bad and (data.strict or len(bad) == len(pairs)):
        raise UserError(f"{bad[0]}; remove it, or read without data.strict")
    if bad:
        problems.append(f"{len(bad)} of {len(pairs)} pairs cannot be read and are left out: {some(bad)}")
    good = [(pair, one) for pair, one in zip(pairs, found, strict=True) if not isinstance(one, str)]
    test = _test_rows([pair for pair, _ in good], [one.digest for _, one in good], data.test_fraction, problems)
    rows = np.flatnonzero(~test), np.flatnonzero(test) if test.any() else np.arange(len(test))
    make = _streamed if stream else _in_memory
    splits = [make([good[i] for i in part], data) for part in rows]
    halves = "pictures cut in halves: left the image, right the target"
    default = "" if data.image_size else " (the default: set data.image_size for another)"
    report += [] if pairs[0].second else [halves]
    report += [f"brought to {size[0]}x{size[1]}{default}", "streamed" if stream else "held in memory"]
    said = [np.packbits(test).tobytes()] if good[0][0].test is not None else []
    return Source(
        name=f"pairs:{directory}",
        train=splits[0],
        test=splits[1],
        pictures={"image": Field(shape), "target": Field(shape)},
        class_names={},
        fingerprint=fingerprint("pairs", str((shape, data.test_fraction)), *(one.digest for _, one in good), *said),
        report=tuple(report),
        warnings=tuple(problems),
        unreadable=tuple(bad),
    )


def _arranged(directory: Path, files: Sequence[File]) -> tuple[list[Pair], list[str], list[str]]:
    """The pairs by their names, lines for the report, and lines about what has no partner."""
    places = [_place(file) for file in files]
    names = {place.split.lower() for place in places}
    tests = next((words for words in TEST if names & set(words)), ())
    given = bool(names & set(TRAIN)) and bool(tests)
    problems, sides = [], any(place.side is not None for place in places)
    by_key: dict[tuple[bool | None, str], dict[int, File]] = {}
    left = []
    for file, place in zip(files, places, strict=True):
        test = place.split.lower() in tests if given else None
        if (sides and place.side is None) or (given and not test and place.split.lower() not in TRAIN):
            left.append(file.name)
            continue
        pair = by_key.setdefault((test, place.key if given else f"{place.split}/{place.key}"), {})
        if (side := place.side or 0) in pair:
            left.append(file.name)
        pair.setdefault(side, file)
    if left:
        problems.append(f"left out, beside the pairs or of the same name as another: {some(left)}")
    if sides and (single := [next(iter(pair.values())).name for pair in by_key.values() if len(pair) < 2]):
        problems.append(f"{len(single)} pictures have no partner of the same name and are left out: {some(single)}")
    ready = sorted((key[1], bool(key[0]), key[0], pair) for key, pair in by_key.items() if len(pair) == 1 + sides)
    pairs = [Pair(pair[0], pair.get(1), test) for _, _, test, pair in ready]
    if not pairs:
        raise UserError(
            f"pairs:{directory}: there are no pairs in it; wanted folders a and b (or input and target) with pictures"
            f" of the same names, or pictures with both halves side by side ({len(files)} pictures found)"
        )
    if not sides:
        _refuse_other_folders(directory, files)
    return pairs, ["splits as the folder has them"] if given else [], problems


def _place(file: File) -> _Place:
    split, side, rest = "", None, []
    for part in file.parts[:-1]:
        word = part.lower()
        if side is None and word[-1:] in "ab" and word[:-1] in (*TRAIN, *TEST[0], *TEST[1]):
            split, side = word[:-1], "ab".index(word[-1])  # trainA
        elif side is None and word in (*FIRST, *SECOND):
            side = int(word in SECOND)
        elif not split and word in (*TRAIN, *TEST[0], *TEST[1]):
            split = word
        else:
            rest.append(part)
    return _Place(split, side, "/".join([*rest, PurePosixPath(file.parts[-1]).stem]))


def _refuse_other_folders(directory: Path, files: Sequence[File]) -> None:
    """Two folders with pictures of the same names are not to be cut: their names must say which is first."""
    names: dict[str, set[str]] = {}
    for file in files:
        names.setdefault("/".join(file.parts[:-1]), set()).add(PurePosixPath(file.parts[-1]).stem)
    if len(names) == 2 and len(set.intersection(*names.values())) * 2 > min(map(len, names.values())):
        first, second = names
        raise UserError(
            f"pairs:{directory}: {first} and {second} hold pictures of the same names; call the folder of the pictures"
            " a (or input), and that of what is to be made of them b (or target)"
        )


@dataclasses.dataclass(frozen=True)
class _Decoded:
    digest: bytes
    arrays: Example


def _decoded(pair: Pair, size: tuple[int, int], channels: int, stream: bool) -> _Decoded | str:
    """Its digest, and its pictures unless they are streamed; or, where it cannot be read, why."""
    try:
        contents = pair.read()
        digest = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).digest()
        if stream:
            for content in contents:
                picture.upright_size(content)
            return _Decoded(digest, {})
        return _Decoded(digest, _example(contents, size, channels))
    except (OSError, picture.BadPictureError) as error:
        return str(error)


def _example(contents: Sequence[bytes], size: tuple[int, int], channels: int) -> Example:
    """The two pictures of a pair, each cut and resized alike."""
    if len(contents) == 2:
        first, second = (picture.decode(content, size, channels) for content in contents)
        return {"image": first, "target": second}
    whole = picture.decode(contents[0], picture.upright_size(contents[0]), channels)
    half = whole.shape[1] // 2
    if not half:
        raise picture.BadPictureError("one pixel wide, and so without halves")
    sides = (
        Image.fromarray(side.squeeze(-1) if channels == 1 else side) for side in (whole[:, :half], whole[:, -half:])
    )
    first, second = (picture.to_uint8_picture(side, size, channels) for side in sides)
    return {"image": first, "target": second}


def _test_rows(pairs: list[Pair], digests: list[bytes], fraction: float, problems: list[str]) -> Array:
    given = np.array([bool(pair.test) for pair in pairs])
    if pairs[0].test is not None and given.any() and not given.all():
        return given
    drawn = held_out(digests, fraction)
    if not drawn.any():
        problems.append("there is only one different pair: the test split is the training split")
    return drawn


def _in_memory(found: list[tuple[Pair, _Decoded]], data: Data) -> Split:
    arrays = {name: np.stack([one.arrays[name] for _, one in found]) for name in ("image", "target")}
    return Split(len(found), arrays)


def _streamed(found: list[tuple[Pair, _Decoded]], data: Data) -> Split:
    size, channels = picture.picture_size(data.image_size), data.channels

    def read(index: int) -> Example:
        pair = found[index][0]
        try:
            return _example(pair.read(), size, channels)
        except (OSError, picture.BadPictureError) as error:
            raise UserError(f"{pair.first}: {error}; the pair could be read when the run began") from error

    return Split(len(found), read=read)
