"""Colours as the file's ICC profile means them, in sRGB."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from PIL import Image

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
_CLOSE = 2  # levels: what rounding does to one and the same profile
BROKEN = "its colour profile cannot be used and is left out"


def to_srgb(picture: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """RGB, L or CMYK in the colours of `profile` -> RGB in sRGB; as it is where the profile is another mode's.

    A profile that is sRGB in other words changes no pixel. Where one cannot be used, `notes` gets a line.
    """
    if not profile or picture.mode not in _SPACES:
        return picture
    try:
        transform = _transform(profile, picture.mode)
    except Exception:  # whatever littlecms finds wrong, or that this Pillow has none
        notes.append(BROKEN)
        return picture
    return picture if transform is None else transform.apply(picture)


@functools.lru_cache(32)  # most sets have one or two
def _transform(profile: bytes, mode: str) -> Any:
    """What turns pictures of that mode into sRGB; None where nothing would change."""
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if source.profile.xcolor_space != _SPACES[mode]:
        return None
    transform = ImageCms.ImageCmsTransform(
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        # A cache in the transform would not be for threads.
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
    )
    if mode == "CMYK":
        return transform
    levels = np.linspace(0, 255, 6).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    before = Image.fromarray(cube if mode == "RGB" else cube[..., 0])
    change = np.asarray(transform.apply(before)).astype(int) - np.asarray(before.convert("RGB"))
    return transform if np.abs(change).max() > _CLOSE else None
