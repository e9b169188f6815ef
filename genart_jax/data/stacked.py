"""Pictures of three grey ones as colour channels: with ten classes a set of 1,000 modes (Metz et al. 2017, sec. 3.3.1).

Which of the modes a generator makes can be counted with a classifier of the grey pictures, one channel at a time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genart_jax.config import Field, UserError
from genart_jax.data import built, idx
from genart_jax.data.build import catalogue
from genart_jax.data.source import Source, Split, fingerprint

_SEED = 0


def load(place: str | Path) -> Source:
    """Stacks of grey pictures, as many as there are in each split, the same at every call.

    Images are uint8 (N, height, width, 3), without conditions: nothing tells a model which mode to make.

    Args:
      place: a folder for `idx.load`, or the name of a built set with labels, such as mnist.

    Raises:
      UserError: what `idx.load` or `built.load` finds wrong, or a set that is not of grey pictures with a `label`.
    """
    source = built.load(str(place)) if catalogue.knows(str(place)) else idx.load(place)
    if source.image_shape[-1] != 1 or "label" not in source.class_names:
        raise UserError(f"stacked:{place}: wanted grey pictures with labels, not {source.image_shape}")
    splits = [_stack(split, number) for number, split in enumerate((source.train, source.test))]
    return Source(
        name=f"stacked:{place}",
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
