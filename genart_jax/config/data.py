"""Options of the data. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Literal

from genart_jax.config.ranges import Count, Natural, Share, Weight


@dataclasses.dataclass(frozen=True)
class Data:
    """Where pictures come from and what is done to them."""

    source: str = ""
    """emoji[:STYLE][:SIZE], idx:DIR, stacked:DIR, folder:DIR, pairs:DIR, pictures:FILE:FILE..., videos:DIR,
    tfds:NAME[:SPLIT], or a set that `genart data build` made, by its name or as built:DIR. Empty: emoji, or, for a
    model of another's codes, what that one was trained on."""
    other: str = ""
    """A second source, whose pictures are not paired with those of the first, for models that take two such sets."""
    image_size: tuple[Count, ...] = ()
    """One number, or height and width, to resize pictures of folders and tfds to; empty: 64 for a folder, else their
    own."""
    resize: Literal["lanczos", "fast"] = "lanczos"
    """How pictures of folders and tfds are brought to their size. `fast`: a JPEG is decoded at the least of its halves
    that is large enough, and resized linearly; for sets that are streamed, and other pixels."""
    channels: Count = 3
    """3 for colour, 1 for grey (folders and tfds)."""
    frames: Count = 8
    """Frames of each video of a folder of videos, spread evenly over its length."""
    test_fraction: Share = 0.1
    """Share held out for evaluation where the source has no test split."""
    strict: bool = False
    """A picture that cannot be read is an error, instead of being skipped and counted."""
    flip: bool = False
    """Mirror each training picture left to right with probability one half."""
    crop: Natural = 0
    """Pad training pictures by so many edge pixels and crop back at a random place."""
    jitter: tuple[Weight, ...] = ()
    """Change brightness, contrast, saturation and hue of training pictures, each by up to these four fractions, such as
    0.4 0.4 0.4 0.1 (empty: off)."""
    randaugment: tuple[Weight, ...] = ()
    """Change training pictures by so many of fourteen operations, so strongly, such as 2 9 (Cubuk et al. 2020; empty:
    off)."""
    cutout: Natural = 0
    """Fill a square of so many pixels of each training picture with grey."""
    limit: Natural = 0
    """Train on so many examples of `source` only, a fixed choice from the whole training split (0: all)."""
    memory_limit_mb: Natural = 2048
    """Sets larger than this (decoded) are streamed by grain instead of held in device memory."""
    workers: Natural = 4
    """Threads that decode streamed pictures."""
