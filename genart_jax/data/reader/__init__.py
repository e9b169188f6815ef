"""Encoded pictures as uint8 pixels, with Pillow and NumPy alone. `genart export` copies this folder."""

from .convert import decode, to_uint8_picture
from .opening import FORMATS, MAX_BYTES, MAX_PIXELS, SUFFIXES, UNREAD_SUFFIXES, BadPictureError, opened, upright_size

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "UNREAD_SUFFIXES",
    "BadPictureError",
    "decode",
    "opened",
    "to_uint8_picture",
    "upright_size",
]
