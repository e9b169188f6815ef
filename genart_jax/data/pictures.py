"""Single picture files in their order: for algorithms that fit pictures, not a distribution of them."""

from __future__ import annotations

import os

import numpy as np

from genart_jax.config import Data, Field, UserError
from genart_jax.data import picture
from genart_jax.data.source import Source, Split, fingerprint
from genart_jax.runtime.paths import split_list


def load(files: str, data: Data) -> Source:
    """Reads `FILE:FILE:...` (see `paths.split_list`), each cut and resized to `data.image_size`.

    The training split holds them in their order, and gives them in it; the test split is the first of them.

    Raises:
      UserError: a file that is no picture.
    """
    paths = split_list(files)
    size = picture.picture_size(data.image_size)
    picture.check_channels(data.channels)
    if not all(paths):
        raise UserError(f"pictures:{files}: an empty name; write pictures:FILE{os.pathsep}FILE")
    images = np.stack([picture.read_file(path, size, data.channels) for path in paths])
    return Source(
        name=f"pictures:{files}",
        train=Split(len(images), {"image": images}, order="as given"),
        test=Split(1, {"image": images[:1]}),
        pictures={"image": Field(images.shape[1:])},
        class_names={},
        fingerprint=fingerprint(images),
    )
