"""Pieces of pictures, with a filter in the place of a network."""

import numpy as np
import pytest

from genart_jax.use import tiles

RNG = np.random.default_rng(0)


def blurred(pixels, place=None):
    """Means of 5 x 5 pixels: what is two pixels away counts."""
    padded = np.pad(pixels.astype(float), ((2, 2), (2, 2), (0, 0)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (0, 1))
    return np.rint(windows.mean((-1, -2))).astype(np.uint8)


@pytest.mark.parametrize("length", [8, 16, 24, 40, 64, 100, 104])
def test_windows_keep_everything_once_and_away_from_cuts(length):
    found = list(tiles.windows(length, 24, 5, 4))
    kept = [i for window in found for i in range(*window.kept.indices(length))]
    assert kept == list(range(length))
    assert len({w.end - w.begin for w in found}) == 1
    for window in found:
        assert window.begin % 4 == 0
        assert window.begin == 0 or window.kept.start - window.begin >= 5
        assert window.end == length or window.end - window.kept.stop >= 5


@pytest.mark.parametrize("size", [(23, 31), (40, 90), (97, 33)])
def test_tiled_is_the_whole_without_a_seam(size):
    pixels = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    got = tiles.tiled(blurred, pixels, 24, 4, 4)
    assert got.shape == pixels.shape
    # At the lower and the right border the picture is mirrored up to a multiple of 4.
    wanted = blurred(tiles.padded(pixels, 4))[: size[0], : size[1]]
    np.testing.assert_array_equal(got, wanted)


def test_padding_mirrors():
    np.testing.assert_array_equal(tiles.padded(np.arange(3)[:, None].repeat(4, 1), 4)[:, 0], [0, 1, 2, 2])
    assert tiles.padded(np.zeros((4, 8, 3)), 4).shape == (4, 8, 3)


def test_the_heap_is_given_back_where_a_picture_is_large(monkeypatch):
    calls = []
    monkeypatch.setattr(tiles.heap, "release", lambda: calls.append(1))
    pixels = np.zeros((40, 24, 3), np.uint8)
    same = lambda piece, place: piece
    tiles.tiled(same, pixels, 24, 4, 4)
    assert not calls
    monkeypatch.setattr(tiles, "_LARGE", pixels.nbytes - 1)
    tiles.tiled(same, pixels, 24, 4, 4)
    assert len(calls) == 2
