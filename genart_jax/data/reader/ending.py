"""The bytes around a picture's pixels: texts that are too long, and end markers that are missing."""

from __future__ import annotations

import io
import threading
import zlib
from collections.abc import Iterator

import numpy as np

_PNG = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_ORIENTATION = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")
_LONG = 2**16  # bytes of a text
_one_at_a_time = threading.Lock()  # two whole pictures are in memory
_TAILS = (bytes(64), b"\x5a\x93" * 32)  # neither holds a marker


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of the chunks of a PNG, length and check sum included, as far as they are whole."""
    start = len(_PNG) if data.startswith(_PNG) else len(data)
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            return
        yield data[start + 4 : start + 8], start, end
        start = end


def chunk(data: bytes, kind: bytes) -> bytes:
    """The content of a PNG's first chunk of that kind before its pixels; empty where there is none."""
    for name, start, end in chunks(data):
        if name == b"IDAT":
            break
        if name == kind:
            return data[start + 8 : end - 4]
    return b""


def without_texts(data: bytes) -> bytes:
    """A PNG without texts, but for short ones that may hold the orientation; anything else as it is."""
    texts = [(start, end) for name, start, end in chunks(data) if name in _TEXTS]
    drop = [(start, end) for start, end in texts if not _needed(data[start + 8 : end - 4])]
    if not drop:
        return data
    ends = [0, *(end for _, end in drop)]
    starts = [*(start for start, _ in drop), len(data)]
    return b"".join(data[a:b] for a, b in zip(ends, starts, strict=True))


def _needed(text: bytes) -> bool:
    if not text.startswith(_ORIENTATION) or len(text) > _LONG:
        return False
    packed = text.find(b"\x78")  # where a zlib stream may begin, compressed texts only
    unpacked = zlib.decompressobj()
    try:
        return packed < 0 or len(unpacked.decompress(text[packed:], 8 * _LONG)) < 8 * _LONG
    except zlib.error:
        return True  # no compressed text


def lacks_end(data: bytes) -> bool:
    """Whether a PNG or GIF that Pillow can read has no end marker."""
    if data.startswith(_PNG):
        return b"IEND" not in (name for name, _, _ in chunks(data))
    return data.startswith(b"GIF8") and not _gif_ends(data)


def _gif_ends(data: bytes) -> bool:
    """Walks a GIF's blocks to its trailer."""
    palette = lambda flags: 3 << ((flags & 7) + 1) if flags & 0x80 else 0
    try:
        place = 13 + palette(data[10])
        while data[place] != 0x3B:
            if data[place] == 0x2C:
                place += 11 + palette(data[place + 9])
            elif data[place] == 0x21:
                place += 2
            else:
                return True  # not what a GIF holds: nothing is said about its end
            while data[place]:
                place += 1 + data[place]
            place += 1
    except IndexError:
        return False
    return True


def with_jpeg_end(data: bytes) -> bytes | None:
    """A JPEG that ended too early with its end marker, if that was all it lacked; None where pixels are missing.

    They are, where its picture depends on which bits come next.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    mended = data.removesuffix(b"\xff") + b"\xff\xd9"
    body = mended[:-2]
    with _one_at_a_time:
        try:
            whole = _pixels(mended)
            if all(np.array_equal(_pixels(body + tail + b"\xff\xd9"), whole) for tail in _TAILS):
                return mended
        except Exception:  # on damaged files Pillow's decoders raise almost anything
            return None
    return None


def _pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    from PIL.JpegImagePlugin import JpegImageFile  # past Pillow's own limit: `opened` has looked at the size

    with JpegImageFile(io.BytesIO(data), "") as picture:
        if picture.width * picture.height > 10**8:
            picture.draft(None, (1, 1))
        return np.asarray(picture)
