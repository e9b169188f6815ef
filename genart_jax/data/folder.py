"""A folder of pictures; its sub-folders, if it has any, are the classes of the condition `label`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genart_jax.config import Data, UserError
from genart_jax.data import picture
from genart_jax.data.source import Array, Source, Split, count_lines, example, fingerprint, held_out

_DEEPEST = 50  # folders below one another: links can make endless trees of them
_SPLIT_NAMES = {"train", "training", "test", "testing", "val", "valid", "validation"}


@dataclasses.dataclass(frozen=True)
class _Read:
    """What the first pass finds out about a file; `pixels` is a hash of them (streamed: of the file)."""

    content: bytes = b""
    pixels: bytes = b""
    size: tuple[int, int] = (0, 0)
    error: str = ""


def load(directory: str | Path, data: Data) -> Source:
    """Reads every picture under `directory`, in the order of their names.

    A picture's label is the first folder on its way; pictures beside such folders have none and are left out. Hidden
    files are ignored; links that lead back up or nowhere and folders that cannot be listed are named in a warning.
    Pictures are brought to `data.image_size` (64x64 where empty) by
    `picture.to_uint8_picture`. The test split is chosen by the SHA-256 of each file, so copies of a file are on one
    side. Above `data.memory_limit_mb` pictures are decoded when asked for; one that then turns out to be damaged is
    replaced by the next, with a line in the log (an error with `data.strict`).

    Raises:
      UserError: no such folder, no picture in it that can be read, or with `data.strict` one that cannot.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(f"folder:{directory}: there is no such folder")
    size, channels = picture.picture_size(data.image_size), data.channels
    picture.check_channels(channels)
    try:
        sorted(directory.iterdir())
    except OSError as error:
        raise UserError(f"folder:{directory}: cannot be listed: {error}") from error
    odd: list[tuple[Path, str]] = []
    paths, ignored = _scan(directory, (), odd)
    names = sorted({path.relative_to(directory).parts[0] for path in paths if path.parent != directory})
    loose = [path for path in paths if names and path.parent == directory]
    paths = [path for path in paths if not names or path.parent != directory]
    if not paths:
        raise UserError(f"folder:{directory}: there are no pictures in it ({', '.join(picture.SUFFIXES)})")

    shape = (*size, channels)
    stream = len(paths) * int(np.prod(shape)) > data.memory_limit_mb * 2**20
    images = None if stream else np.empty((len(paths), *shape), np.uint8)
    read = partial(_read, images=images, size=size, channels=channels)
    with warnings.catch_warnings(), ThreadPoolExecutor(max(1, data.workers)) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # picture.opened has a limit of its own
        results = list(pool.map(read, range(len(paths)), paths))
    bad = [(path, r.error) for path, r in zip(paths, results, strict=True) if r.error]
    if bad and data.strict:
        raise UserError(f"{bad[0][0]}: {bad[0][1]}; remove it, or read without data.strict")
    good = np.array([i for i, r in enumerate(results) if not r.error], np.int64)
    if not len(good):
        raise UserError(f"folder:{directory}: none of its {len(bad)} pictures can be read: {bad[0][0]}: {bad[0][1]}")
    results, paths = [results[i] for i in good], [paths[i] for i in good]

    class_names: dict[str, tuple[str, ...]] = {"label": tuple(names)} if names else {}
    number = {name: i for i, name in enumerate(names)}
    label = [number[path.relative_to(directory).parts[0]] for path in paths] if names else []
    condition = {"label": np.array(label, np.int32)} if names else {}
    test = held_out([r.content for r in results], data.test_fraction)
    rows = (np.flatnonzero(~test), np.flatnonzero(test) if test.any() else np.arange(len(test)))
    splits = []
    for chosen in rows:
        labels = {name: values[chosen] for name, values in condition.items()}
        if images is not None:
            splits.append(Split(len(chosen), labels, images[good[chosen]]))
        else:
            reader = _Reader([paths[i] for i in chosen], labels, size, channels, data.strict)
            splits.append(Split(len(chosen), labels, read=reader))
    problems = _problems(directory, class_names, condition, results, bad, loose)
    if odd:
        shown = ", ".join(f"{path} ({error})" for path, error in odd[:5])
        problems.append(f"left out: {shown}" + (f" and {len(odd) - 5} more" if len(odd) > 5 else ""))
    if not test.any():
        problems.append("there is only one different picture: the test split is the training split")
    default = "" if data.image_size else " (the default: set data.image_size for another)"
    report = [
        f"pictures of {_sizes(results)}, brought to {size[0]}x{size[1]}{default}",
        _moments(splits[0]),
        "too large for data.memory_limit_mb: streamed" if stream else "held in memory",
    ]
    if ignored:
        report.append(f"{ignored} other files ignored")
    return Source(
        name=f"folder:{directory}",
        train=splits[0],
        test=splits[1],
        image_shape=shape,
        class_names=class_names,
        fingerprint=fingerprint(str((shape, class_names, data.test_fraction)), *(r.content for r in results)),
        report=(*count_lines(class_names, splits[0], splits[1]), *report),
        warnings=tuple(problems),
        unreadable=tuple(f"{path}: {error}" for path, error in [*bad, *odd]),
    )


def _scan(folder: Path, above: tuple[Path, ...], odd: list[tuple[Path, str]]) -> tuple[list[Path], int]:
    """Picture files below `folder`, sorted, and how many other files there are; what is neither is added to `odd`."""
    found: list[Path] = []
    others = 0
    try:
        here, entries = folder.resolve(), sorted(folder.iterdir(), key=lambda path: path.name)
    except (OSError, RuntimeError) as error:
        odd.append((folder, str(getattr(error, "strerror", None) or error)))
        return [], 0
    if here in above or len(above) > _DEEPEST:
        odd.append((folder, "a link that leads back up" if here in above else "too deep"))
        return [], 0
    for entry in entries:
        if entry.name.startswith("."):
            continue
        is_picture = entry.suffix.lower() in picture.SUFFIXES
        if entry.is_dir():
            inside, ignored = _scan(entry, (*above, here), odd)
            found, others = found + inside, others + ignored
        elif entry.is_file():
            found, others = found + [entry] * is_picture, others + (not is_picture)
        elif is_picture or entry.is_symlink():
            odd.append((entry, "a link that leads nowhere" if entry.is_symlink() else "no file"))
    return found, others


def _read(index: int, path: Path, *, images: Array | None, size: tuple[int, int], channels: int) -> _Read:
    """Hashes a file and decodes it into `images[index]`, or, where that is None, reads just its header."""
    try:
        content = picture.read(path)
        digest = hashlib.sha256(content).digest()
        with picture.opened(content) as opened:
            seen = (opened.height, opened.width)
            if images is None:
                return _Read(digest, digest, seen)
            images[index] = picture.to_uint8_picture(opened, size, channels)
        return _Read(digest, hashlib.sha256(images[index].data).digest(), seen)
    except (OSError, picture.BadPictureError) as error:
        return _Read(error=str(error))


@dataclasses.dataclass(frozen=True)
class _Reader:
    """`Split.read` of a streamed split: index -> example; without state, so any number of threads may call it."""

    paths: list[Path]
    labels: dict[str, Array]
    size: tuple[int, int]
    channels: int
    strict: bool

    def __call__(self, index: int) -> dict[str, Any]:
        for step in range(len(self.paths)):
            i = (index + step) % len(self.paths)
            try:
                image = picture.decode(picture.read(self.paths[i]), self.size, self.channels)
            except (OSError, picture.BadPictureError) as error:
                if self.strict:
                    raise UserError(f"{self.paths[i]}: {error}; remove it, or read without data.strict") from error
                logging.getLogger(__name__).warning("%s: %s; the next picture is taken", self.paths[i], error)
                continue
            return {"image": image, "condition": {name: int(values[i]) for name, values in self.labels.items()}}
        raise UserError(f"{self.paths[index]}: neither this nor any other picture of its split can be read any more")


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


def _problems(
    directory: Path,
    class_names: dict[str, tuple[str, ...]],
    condition: dict[str, Array],
    results: list[_Read],
    bad: list[tuple[Path, str]],
    loose: list[Path],
) -> list[str]:
    lines = []
    if bad:
        shown = ", ".join(f"{path.relative_to(directory)} ({error})" for path, error in bad[:5])
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        lines.append(f"{len(bad)} of {len(bad) + len(results)} pictures cannot be read and are left out: {shown}{more}")
    if loose:
        lines.append(f"{len(loose)} pictures lie beside the label folders and are left out, {loose[0].name} first")
    if len(results) < 100:
        lines.append(f"only {len(results)} pictures: a model will learn them by heart")
    copies = len(results) - len(Counter(r.pixels for r in results))
    if copies:
        lines.append(f"{copies} of {len(results)} pictures are copies of others")
    for name, names in class_names.items():
        counts = np.bincount(condition[name], minlength=len(names))
        if counts.max() > 10 * counts.min():
            large, small = int(counts.argmax()), int(counts.argmin())
            sizes = f"{names[large]} has {counts[large]} pictures, {names[small]} {counts[small]}"
            lines.append(f"the classes are unbalanced: {sizes}")
        if {n.lower() for n in names} <= _SPLIT_NAMES:
            lines.append(f"the sub-folders {', '.join(names)} look like splits, but are taken for classes")
    return lines
