"""Opens encoded pictures: only some formats, no more memory than there should be, every refusal in words."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import struct
import threading
import warnings
from collections.abc import Iterator

from PIL import Image

from . import ending, naming

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
"""Pillow's names of what is opened (HEIF where pillow-heif is installed); its rarer plugins are not let near files from
outside."""
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpx"),
)
UNREAD_SUFFIXES = naming.UNREAD_SUFFIXES
MAX_PIXELS = 100_000_000
"""Larger pictures are refused: a small file can claim any size. A JPEG may be larger where it can be decoded at a
fraction of its size that is not."""
MAX_BYTES = 512 * 2**20
"""Larger files are refused unread."""
_LARGE = 10_000_000  # pixels
_one_at_a_time = threading.Lock()
_pillows_log = logging.getLogger("PIL")


class BadPictureError(ValueError):
    """A picture that cannot be read; the message says why, in a few words."""


class CutShortError(BadPictureError):
    """A picture that ends too early."""


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """Opens an encoded picture; whatever goes wrong inside the `with` becomes a BadPictureError.

    Texts in a PNG are left out but for those that may say which side is up: Pillow refuses pictures with long ones.
    """
    try:
        with _quiet, _open(ending.without_texts(data)) as picture:
            _check_size(picture, len(data))
            # However many threads decode, one large picture is in memory.
            with _one_at_a_time if picture.width * picture.height > _LARGE else contextlib.nullcontext():
                yield picture
    except BadPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise BadPictureError(f"claims more than {MAX_PIXELS // 10**6} megapixels") from error
    except Exception as error:  # on damaged files Pillow's decoders raise almost anything
        message = " ".join(str(error).split()) or type(error).__name__
        raise (CutShortError if "truncated" in message else BadPictureError)(message) from error


def upright_size(data: bytes) -> tuple[int, int]:
    """(height, width) of a picture as it is to be seen, from its header.

    Raises:
      BadPictureError: it cannot be opened.
    """
    with opened(data) as picture:
        turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def _open(data: bytes) -> Image.Image:
    """As `Image.open` does it, but that it can tell a damaged file from a foreign one, and has limits of its own."""
    _find_plugins()
    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None or accept is None or accept(data[:16]) is not True:
            continue
        if name == "AVIF" and naming.is_heic(data):
            continue
        try:
            return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            words = naming.unread_tiff(data) if name == "TIFF" and "unknown" in str(error).lower() else ""
            raise BadPictureError(words or f"damaged {name}: {' '.join(str(error).split())}") from error
    raise BadPictureError(naming.foreign(data))


@functools.cache
def _find_plugins() -> None:
    Image.init()
    with contextlib.suppress(Exception):  # a plugin that somebody installed, of whatever age
        import pillow_heif

        pillow_heif.register_heif_opener()


def _check_size(picture: Image.Image, length: int) -> None:
    """Raises BadPictureError where a picture would take too much memory."""
    pixels = picture.width * picture.height
    if pixels <= MAX_PIXELS:
        return
    words = f"{picture.width}x{picture.height} is more than {MAX_PIXELS // 10**6} megapixels"
    if picture.format not in ("JPEG", "MPO") or pixels > 64 * MAX_PIXELS:
        raise BadPictureError(words)
    if "progressive" in picture.info:  # all its coefficients are in memory at once, however small it is decoded
        raise BadPictureError(f"{words}, and a progressive JPEG; save it as a baseline one")
    if length < pixels // 256:  # a block of 64 pixels takes two bits at least
        raise BadPictureError(f"{words}, which {length} bytes cannot hold")


class _Quiet:
    """Keeps Pillow's warnings and log to itself while any thread is within: each problem is a line of our own.

    `warnings.catch_warnings` alone is not for threads: the first one in sets the filter, the last one out takes it off.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._caught, self._passed_on, self._nowhere = warnings.catch_warnings(), True, logging.NullHandler()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\b")
                # Not by its level: to set that empties the caches of every logger there is, for every picture.
                self._passed_on, _pillows_log.propagate = _pillows_log.propagate, False
                _pillows_log.addHandler(self._nowhere)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _pillows_log.removeHandler(self._nowhere)
                _pillows_log.propagate = self._passed_on
                self._caught.__exit__(None, None, None)


_quiet = _Quiet()
