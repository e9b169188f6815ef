"""What a data source gives: two splits of uint8 pictures with named integer conditions.

`open_source` dispatches on the source's name; each kind lives in a module of its own (emoji, idx, folder, tfds).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from genart_jax.config import BatchSpec

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Split:
    """One split, in memory (`images`) or read one example at a time (`read`).

    Attributes:
      size: number of examples.
      condition: name -> integer array (size,); also given for a streamed split where it is known without decoding.
      images: uint8 (size, height, width, channels), or None for a streamed split.
      read: index -> {"image": uint8 (height, width, channels), "condition": {name: int}}, or None for one in memory;
        may be called from several threads.
    """

    size: int
    condition: dict[str, Array]
    images: Array | None = None
    read: Callable[[int], dict[str, Any]] | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
      name: as the user gave it.
      train, test: its splits; `test` is never trained on.
      image_shape: (height, width, channels).
      class_names: condition -> names of its classes, in the order of their integers.
      fingerprint: SHA-256 over the data (or over names and sizes of streamed files): tells a resumed run that the
        data is still the same.
      report: lines about the data to show at the start of a run.
      warnings: lines about what is wrong with it.
    """

    name: str
    train: Split
    test: Split
    image_shape: tuple[int, ...]
    class_names: dict[str, tuple[str, ...]]
    fingerprint: str
    report: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def spec(self) -> BatchSpec:
        """The batch that this source offers."""
        return BatchSpec(self.image_shape, tuple((name, len(names)) for name, names in self.class_names.items()))
