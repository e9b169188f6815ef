"""What is said of files that are not read: their format by name, and what would help."""

from __future__ import annotations

import contextlib
import io

from PIL import TiffImagePlugin

_RAW = "a camera's raw file: develop it and save it as JPEG or TIFF"
_DRAWING = "a drawing: export it as PNG"
_PAINTING = "a painting program's file: export it as PNG"
_RARE = "a format that is not read: convert it to PNG"
UNREAD_SUFFIXES = {
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".rw2", ".orf", ".pef", ".srw"), _RAW),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ai", ".pdf"), _DRAWING),
    **dict.fromkeys((".psd", ".xcf", ".kra"), _PAINTING),
    **dict.fromkeys((".jxl", ".tga", ".ico", ".icns", ".pcx", ".dds", ".qoi", ".sgi", ".exr", ".hdr", ".fits"), _RARE),
}
"""Suffix of pictures that are not read -> what it is, and what to do with it."""

_MAGIC = (
    (b"8BPS", "a Photoshop file: export it as PNG"),
    (b"%PDF", "a PDF: export its pages as PNG"),
    (b"%!PS", "a PostScript drawing: export it as PNG"),
    (b"\xff\x0a", "a JPEG XL picture, which is not read: convert it to PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture, which is not read: convert it to PNG"),
    (b"\0\0\1\0", "an icon file, which is not read: convert it to PNG"),
    (b"DDS ", "a DDS texture, which is not read: convert it to PNG"),
    (b"qoif", "a QOI picture, which is not read: convert it to PNG"),
    (b"v/1\x01", "an OpenEXR picture, which is not read: convert it to PNG"),
    (b"#?RADIANCE", "a Radiance picture, which is not read: convert it to PNG"),
    (b"PK\3\4", "a zip archive, not a picture"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the picture: git lfs pull fetches it"),
)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_COMPRESSIONS = {1: "", 5: "LZW", 7: "JPEG", 8: "Deflate", 34712: "JPEG 2000", 34887: "LERC", 50001: "WebP"}
_PHOTOMETRIC = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "LAB", 32803: "camera raw"}
_SAMPLES = {1: "whole numbers", 2: "signed numbers", 3: "floating-point numbers"}


def is_heic(data: bytes) -> bool:
    """Whether a file's first brands are HEIC's, also behind the general `mif1`, which Pillow takes for AVIF."""
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return data[4:8] == b"ftyp" and any(brands[i : i + 4] in _HEIC for i in range(0, len(brands), 4))


def foreign(data: bytes) -> str:
    """What a file is that none of the plugins takes."""
    if not data:
        return "empty file"
    if data[4:8] == b"ftyp":
        if is_heic(data):
            return "a HEIC picture, which Pillow cannot read alone: pip install pillow-heif, or convert it to JPEG"
        if data[8:12] in (b"avif", b"avis"):
            return "an AVIF picture, which this Pillow cannot read: pip install --upgrade pillow"
        return "a film, not a picture"
    for magic, words in _MAGIC:
        if data.startswith(magic):
            return words
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "a WebP picture, which this Pillow cannot read: pip install --upgrade pillow"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<html", b"<!doctype html")):
        return "not a picture but a web page"
    if start.startswith(b"<") and b"<svg" in start:
        return "an SVG drawing: export it as PNG"
    return "not a picture"


def unread_tiff(data: bytes) -> str:
    """What kind of TIFF it is that Pillow has no mode for; empty where its header is damaged."""
    with contextlib.suppress(Exception):
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        if 258 not in tags or 256 not in tags:
            return ""
        bits = tags[258]
        each = "/".join(sorted({str(b) for b in bits}))
        kind = _SAMPLES.get(tags.get(339, (1,))[0], "unknown numbers")
        color = _PHOTOMETRIC.get(tags.get(262, -1), f"photometric {tags.get(262)}")
        packed = _COMPRESSIONS.get(tags.get(259, 1), f"compression {tags.get(259)}")
        words = f"a TIFF ({color}) of {len(bits)} channels of {each}-bit {kind}{', ' * bool(packed)}{packed}"
        return f"{words}, which Pillow cannot read: save it with 8 bits a channel"
    return ""
