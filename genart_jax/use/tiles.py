"""Pictures of any size through a network in pieces: windows that overlap, so that no seam shows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from genart_jax.runtime import heap
from genart_jax.runtime.values import Array
from genart_jax.runtime.watch import watched

_LARGE = 2**25  # bytes of a picture from which on memory counts for more than a tenth of the time

Paint = Callable[[Array, tuple[slice, slice]], Array]
"""(piece, where it lies in what is given) -> the piece painted, of the same height and width."""


class Window(NamedTuple):
    """A piece of a line of pixels: where it begins and ends, and the part of it that is kept."""

    begin: int
    end: int
    kept: slice


def windows(length: int, longest: int, overlap: int, multiple: int = 1) -> Iterator[Window]:
    """Pieces of at most `longest`, whose kept parts follow one another and are `overlap` from ends that are cut.

    All pieces are equally long, and begin at multiples of `multiple`, of which `length` and `longest` are some.
    """
    if length <= longest:
        yield Window(0, length, slice(0, length))
        return
    done = 0
    while done < length:
        begin = max(0, min(done - overlap, length - longest)) // multiple * multiple
        end = begin + longest
        until = length if end == length else end - overlap
        yield Window(begin, end, slice(done, until))
        done = until


def tiled(paint: Paint, pixels: Array, longest: int, overlap: int, multiple: int) -> Array:
    """What `paint` makes of a picture, piece by piece where it is larger than `longest`: uint8 (height, width, 3).

    Args:
      paint: of uint8 pieces, all of one size.
      pixels: (height, width, 3), uint8; sides that are no multiples of `multiple` are mirrored at their ends.
      longest: sides of pieces at most; a multiple of `multiple`.
      overlap: how far from a cut what is painted is right.
    """
    height, width = pixels.shape[:2]
    out = np.empty_like(pixels)
    parts = [[*windows(side + -side % multiple, longest, overlap, multiple)] for side in (height, width)]
    every = [*itertools.product(*parts)]
    for down, right in watched(every, len(every), "pieces done"):
        place = slice(down.begin, down.end), slice(right.begin, right.end)
        piece = paint(padded(pixels[place], multiple), place)
        inside = tuple(slice(w.kept.start - w.begin, w.kept.stop - w.begin) for w in (down, right))
        free = out[down.kept, right.kept]  # shorter at the ends of the picture, whose mirrored pixels go
        free[:] = piece[inside][: free.shape[0], : free.shape[1]]
        if pixels.nbytes > _LARGE:
            heap.release()  # a tile's memory, freed, is soon in pieces that the next tile's does not fit in
    return out


def padded(pixels: Array, multiple: int) -> Array:
    """A picture or a map (height, width, ...) with sides that are multiples: mirrored below and to the right."""
    extra = [-n % multiple for n in pixels.shape[:2]]
    return np.pad(pixels, [(0, n) for n in extra] + [(0, 0)] * (pixels.ndim - 2), "symmetric") if any(extra) else pixels
