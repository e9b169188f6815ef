"""A folder of videos; its sub-folders, if it has any, are the classes of the condition `label`.

A video is an animated GIF or WebP, an MP4 or its like (with the extra `video`), or a folder that holds nothing but two
pictures or more, the frames in the order of their names.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import Data, Field, UserError
from genart_jax.data import media, picture
from genart_jax.data.picture import BadPictureError
from genart_jax.data.source import Source, Split, count_lines, fingerprint, held_out
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.runtime.watch import watched

ANIMATED = (".gif", ".webp")
FILMS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
_MOST = 100_000  # frames of one video
_NAMED = 5


class Video(NamedTuple):
    """One video: its class ("" without any), its name, and its file, or those of its frames."""

    label: str
    name: str
    files: tuple[Path, ...]


class _Read(NamedTuple):
    digest: bytes = b""
    error: str = ""


def load(directory: str | Path, data: Data) -> Source:
    """Reads every video under `directory` as `data.frames` frames, spread evenly over its length.

    Frames are brought to `data.image_size` (64x64 where empty) as pictures of a folder are. A video's label is the
    first folder on its way. Folders `train` and `test` are the splits, with the label below them; else the test split
    is chosen by the SHA-256 of each video, so that copies are on one side. Hidden files are ignored; what cannot be
    read is named in a warning.

    Raises:
      UserError: no such folder, no video in it that can be read, or with `data.strict` one that cannot; or more than
        fit in `data.memory_limit_mb`.
    """
    directory = expanded(directory)
    if not directory.is_dir():
        raise UserError(f"videos:{directory}: there is no such folder")
    size = picture.picture_size(data.image_size)
    picture.check_channels(data.channels)
    if data.frames < 2:
        raise UserError(f"data.frames {data.frames}: a video has at least 2")
    sides = {side: directory / side for side in ("train", "test") if (directory / side).is_dir()}
    split_up = len(sides) == 2
    roots = sides if split_up else {"": directory}
    found = [(side == "test", video) for side, root in roots.items() for video in find(root)]
    shape = (data.frames, *size, data.channels)
    if media.is_volume(shape):
        raise UserError(f"data.frames {data.frames}: grey videos as long as they are wide would be volumes; one less")
    if not found:
        kinds = ", ".join(name[1:] for name in ANIMATED + FILMS)
        raise UserError(f"videos:{directory}: no videos here; wanted files ({kinds}) or folders of frames")
    if len(found) * int(np.prod(shape)) > data.memory_limit_mb * 2**20:
        raise UserError(
            f"videos:{directory}: {len(found)} videos of {shape} do not fit in data.memory-limit-mb"
            f" {data.memory_limit_mb}; raise it, or set a smaller data.image-size or data.frames"
        )
    images = np.empty((len(found), *shape), np.uint8)
    with ThreadPoolExecutor(max(1, data.workers)) as pool:
        work = pool.map(partial(_read, images=images), range(len(found)), [video for _, video in found])
        reads = list(watched(work, len(found), "videos read"))
    return _source(directory, found, reads, images, split_up, data)


def find(root: Path) -> list[Video]:
    """The videos under a folder, in the order of their names; what lies in a sub-folder has that label."""
    out = []
    for folder in sorted(p for p in (root, *root.rglob("*")) if p.is_dir()):
        parts = folder.relative_to(root).parts
        if any(part.startswith(".") for part in parts):
            continue
        inside = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=_numbered)
        whole = [p for p in inside if p.is_file() and p.suffix.lower() in ANIMATED + FILMS]
        frames = [p for p in inside if p.is_file() and p.suffix.lower() in picture.SUFFIXES]
        flat = not any(p.is_dir() for p in inside)
        if parts and len(frames) > 1 and not flat:
            words = "%s: %d pictures beside folders are no frames of a video, and are left out"
            logging.getLogger(__name__).warning(words, "/".join(parts), len(frames))
        if parts and len(frames) > 1 and flat and not _moving(whole):
            out.append(Video(parts[0] if len(parts) > 1 else "", "/".join(parts), tuple(frames)))
        else:
            out += [Video(parts[0] if parts else "", "/".join((*parts, p.name)), (p,)) for p in whole]
    return out


def _numbered(path: Path) -> list[tuple[int, str]]:
    """So that frame 10 comes after frame 9."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _moving(files: Sequence[Path]) -> bool:
    """Whether one of these files is an animation."""
    for path in files[:4]:
        try:
            with Image.open(path) as opened:
                if _frames(opened) > 1:
                    return True
        except OSError:
            continue
    return any(path.suffix.lower() in FILMS for path in files)


def _read(index: int, video: Video, *, images: Array) -> _Read:
    """Decodes a video into `images[index]`."""
    frames, height, width, channels = images.shape[1:]
    try:
        images[index] = decode(video.files, frames, (height, width), channels)
    except (OSError, BadPictureError) as error:
        return _Read(error=str(error))
    return _Read(hashlib.sha256(images[index].data).digest())


def decode(files: Sequence[Path], frames: int, size: tuple[int, int], channels: int) -> Array:
    """`frames` frames of a video, evenly spread over its length, uint8 (frames, height, width, channels).

    Raises:
      OSError: a file cannot be read.
      BadPictureError: it is damaged, stands still, or is shorter than that.
    """
    if len(files) > 1:
        return np.stack([_frame(files[i], size, channels) for i in _spread(len(files), frames)])
    if files[0].suffix.lower() in FILMS:
        return _film(files[0], frames, size, channels)
    content = picture.read(files[0])
    with picture.opened(content) as opened:
        out = []
        for i in _spread(_frames(opened), frames):
            opened.seek(i)
            out.append(picture.to_uint8_picture(opened.copy(), size, channels))
    return np.stack(out)


def first_frames(path: Path, size: tuple[int, int], channels: int) -> Array:
    """All frames of a video, or a picture as one: uint8 (frames, height, width, channels).

    Raises:
      UserError: it cannot be read.
    """
    path = expanded(path)
    try:
        if path.is_dir():
            files = sorted((p for p in path.iterdir() if p.suffix.lower() in picture.SUFFIXES), key=_numbered)
            if not files:
                raise UserError(f"{path}: no pictures in this folder")
            return np.stack([picture.decode(picture.read(file), size, channels, []) for file in files])
        if path.suffix.lower() in FILMS:
            raise UserError(f"{path}: of films name frames: a folder of pictures, or an animated GIF or WebP")
        with picture.opened(picture.read(path)) as opened:
            out = []
            for i in range(min(_MOST, _frames(opened))):
                opened.seek(i)
                out.append(picture.to_uint8_picture(opened.copy(), size, channels))
            return np.stack(out)
    except (OSError, BadPictureError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _frames(opened: Image.Image) -> int:
    """Of an animation; 1 of a picture, whose class in Pillow may not know the word."""
    return int(getattr(opened, "n_frames", 1))


def _frame(file: Path, size: tuple[int, int], channels: int) -> Array:
    """A frame that is a file of its own; what is wrong with it says which one it is."""
    try:
        return picture.decode(picture.read(file), size, channels, [])
    except BadPictureError as error:
        raise BadPictureError(f"{file.name}: {error}") from error


def _spread(number: int, frames: int) -> list[int]:
    """Which of so many frames to take.

    Raises:
      BadPictureError: there are fewer.
    """
    if number < frames:
        raise BadPictureError(f"{number} frame{'s' if number != 1 else ''}, data.frames wants {frames}")
    return [i * number // frames for i in range(frames)]


def _film(path: Path, frames: int, size: tuple[int, int], channels: int) -> Array:
    """Of a film by PyAV; two passes, as its length is known at its end."""
    try:
        import av
    except ImportError:
        raise BadPictureError("films are read by PyAV: pip install 'genart_jax[video]'") from None
    try:
        with av.open(io.BytesIO(picture.read(path)), "r") as container:
            number = sum(1 for _ in itertools.islice(container.decode(video=0), _MOST))
        wanted, out = _spread(number, frames), []
        with av.open(io.BytesIO(picture.read(path)), "r") as container:
            for i, frame in enumerate(container.decode(video=0)):
                if i in wanted:
                    out.append(picture.to_uint8_picture(frame.to_image(), size, channels))
                if len(out) == frames:
                    break
    except (av.error.FFmpegError, IndexError) as error:
        raise BadPictureError(f"no film that can be read: {error}") from None
    return np.stack(out)


def _source(
    directory: Path, found: list[tuple[bool, Video]], reads: list[_Read], images: Array, split_up: bool, data: Data
) -> Source:
    bad = [(video.name, read.error) for (_, video), read in zip(found, reads, strict=True) if read.error]
    if bad and (data.strict or len(bad) == len(found)):
        hint = "remove it, or read without data.strict" if len(bad) < len(found) else f"so it is with all {len(bad)}"
        raise UserError(f"videos:{directory}: {bad[0][0]}: {bad[0][1]}; {hint}")
    good = np.array([i for i, read in enumerate(reads) if not read.error])
    videos, digests = [found[i][1] for i in good], [reads[i].digest for i in good]
    names = tuple(sorted({video.label for video in videos if video.label}))
    label = np.array([names.index(video.label) if video.label else -1 for video in videos], np.int32)
    test = np.array([found[i][0] for i in good]) if split_up else held_out(digests, data.test_fraction)
    warnings = []
    if bad:
        first = "; ".join(f"{name}: {error}" for name, error in bad[:_NAMED])
        warnings.append(f"{len(bad)} videos cannot be read and are passed over: {first}")
    if names and (label < 0).any():
        warnings.append(f"{int((label < 0).sum())} videos lie beside the label folders and have no label")
    if test.all() or not test.any():
        test, there = np.zeros(len(test), bool), np.ones(len(test), bool)
        warnings.append("there are no two sides to the videos: the test split is the training split")
    else:
        there = test
    part = lambda rows: Split(
        int(rows.sum()), {"image": images[good[rows]], **({"label": label[rows]} if names else {})}
    )
    splits, class_names = (part(~test), part(there)), {"label": names} if names else {}
    return Source(
        name=f"videos:{directory}",
        train=splits[0],
        test=splits[1],
        pictures={"image": Field(images.shape[1:])},
        class_names=class_names,
        fingerprint=fingerprint(str((images.shape[1:], class_names)), *digests, label, np.packbits(test).tobytes()),
        report=(*count_lines(class_names, *splits), f"{data.frames} frames of each, evenly spread over its length"),
        warnings=tuple(warnings),
        unreadable=tuple(f"{name}: {error}" for name, error in bad),
    )
