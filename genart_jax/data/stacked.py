"""Pictures of three grey ones as colour channels: with ten classes a set of 1,000 modes (Metz et al. 2017, sec. 3.3.1).

Which of the modes a generator makes can be counted with a classifier of the grey pictures, one channel at a time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genart_jax.config import Field, UserError
from genart_jax.data import idx
from genart_jax.data.source import Source, Split, fingerprint

_SEED = 0


def load(directory: str | Path) -> Source:
    """Stacks of the pictures of `idx.load(directory)`, as many as there are in each split, the same at every call.

    Images are uint8 (N, height, width, 3), without conditions: nothing tells a model which mode to make.

    Raises:
      UserError: what `idx.load` finds wrong, or pictures that are not grey.
    """
    source = idx.load(directory)
    if source.image_shape[-1] != 1:
        raise UserError(f"stacked:{directory}: wanted grey pictures, not {source.image_shape}")
    splits = [_stack(split, number) for number, split in enumerate((source.train, source.test))]
    return Source(
        name=f"stacked:{directory}",
        train=splits[0],
        test=splits[1],
        pictures={"image": Field((*source.image_shape[:2], 3))},
        class_names={},
        fingerprint=fingerprint("stacked", source.fingerprint),
        report=(f"{len(source.class_names['label']) ** 3} modes: one class a channel",),
    )


def _stack(split: Split, number: int) -> Split:
    """Each channel in an order of its own."""
    # Raw Philox words, whose stream numpy promises for ever.
    orders = [
        np.argsort(np.random.Philox(key=np.array([_SEED, 3 * number + c], np.uint64)).random_raw(split.size))
        for c in range(3)
    ]
    return Split(split.size, {"image": np.concatenate([split.arrays["image"][order] for order in orders], axis=-1)})
