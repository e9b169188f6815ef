"""Examples of any rank as pictures, sheets and animations."""

import numpy as np
import pytest
from PIL import Image, features

import genart_jax as ga
from genart_jax.data import grid, media


def video(n=2, frames=3, height=4, width=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, frames, height, width, 3)).astype(np.uint8)


def test_a_volume_is_seen_from_three_sides():
    """The means over each axis, bright to their maximum, under a gamma of 0.7; grey becomes colour."""
    volume = np.zeros((1, 4, 4, 4, 1), np.uint8)
    volume[0, 0, 1, 2] = 200
    volume[0, 0, 1, 3] = volume[0, 1, 1, 3] = 100
    tile = media.tiles(volume)
    assert tile.shape == (1, 4, 12, 3)
    front, top, side = (tile[0, :, 4 * i : 4 * i + 4, 0] for i in range(3))
    bright = lambda total: int(255 * (total / 300) ** 0.7)
    assert (front[1, 2], front[1, 3]) == (bright(200), bright(100 + 100))
    assert (top[0, 2], top[0, 3], top[1, 3]) == (bright(200), bright(100), bright(100))
    assert (side[0, 1], side[1, 1]) == (255, bright(100))
    assert np.count_nonzero(tile[..., 0]) == 2 + 3 + 2
    # What is nearly empty stays dark: no noise is made bright.
    assert media.tiles(np.full((1, 8, 8, 8, 1), 2, np.uint8)).max() == int(255 * (2 / (255 / 8)) ** 0.7)
    # Floats in [-1, 1] are the same picture.
    np.testing.assert_array_equal(media.tiles(np.asarray(ga.to_float(volume))), tile)


def test_a_video_is_a_strip_and_an_animation(tmp_path):
    clips = video()
    np.testing.assert_array_equal(media.tiles(clips)[1], np.concatenate(list(clips[1]), axis=1))
    files = ga.save_grid(tmp_path / "new" / "clips.png", clips, columns=1)
    assert [file.name for file in files] == ["clips.png", "clips.webp" if features.check("webp") else "clips.gif"]
    assert Image.open(files[0]).size == (3 * 5 + 4, 2 * 6 + 2)
    moving = Image.open(files[1])
    assert moving.n_frames == 3
    for t in range(3):
        moving.seek(t)
        wanted = ga.make_grid(clips[:, t], columns=1)
        if moving.format == "WEBP":
            np.testing.assert_array_equal(np.asarray(moving.convert("RGB")), np.asarray(wanted))
    assert ga.save_grid(tmp_path / "stills.png", clips[:, 0]) == (tmp_path / "stills.png",)


def test_without_webp_there_is_a_gif(tmp_path, monkeypatch):
    monkeypatch.setattr(media.features, "check", lambda name: False)
    _, moving = ga.save_grid(tmp_path / "clips.png", video())
    assert moving.suffix == ".gif"
    assert Image.open(moving).n_frames == 3


def test_grids_of_wide_tiles_stay_near_square():
    size = ga.make_grid(np.zeros((9, 8, 8, 8, 3), np.uint8)[:, :4]).size
    assert 0.5 < size[0] / size[1] < 3
    assert grid.scale_of(video(height=32)) == 3
    with pytest.raises(ga.UserError, match="or with frames or depth behind n"):
        ga.make_grid(np.zeros((2, 3, 4, 4, 4, 3)))


def test_a_sheet_has_its_columns_side_by_side():
    a, b = (np.full((3, 64, 64, 3), value, np.uint8) for value in (40, 200))
    both = np.asarray(media.sheet({"input": a, "output": b}, [["cat"], ["dog"], ["?"]], per_row=2))
    row = both[60]
    spans = [np.flatnonzero((row == value).all(axis=1)) for value in (40, 200)]
    assert [len(span) for span in spans] == [128, 128]
    assert spans[1][0] - spans[0][63] == 1 + media.GAP
    heading, alone = both[:14], np.asarray(media.sheet({"input": a}, None, per_row=2))[:14]
    assert (heading < 128).any()  # the labels; one column alone has no heading
    assert (alone == 40).any()
    below = both[14 + 8 + 64 : 14 + 8 + 64 + 12]
    assert (below < 128).any()
    # A video beside a still picture moves, and the picture stays.
    moments = media.moments({"input": a[:, :4, :5], "output": video(3)})
    assert len(moments) == 3
    np.testing.assert_array_equal(moments[2]["input"], a[:, :4, :5])
    np.testing.assert_array_equal(moments[2]["output"], video(3)[:, 2])
