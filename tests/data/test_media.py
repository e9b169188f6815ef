"""Examples of any rank as pictures, sheets and animations."""

import numpy as np
import pytest
from PIL import Image, features

import genart_jax as ga
from genart_jax.data import grid, isosurface, media
from genart_jax.use.latent import draw


def video(n=2, frames=3, height=4, width=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, frames, height, width, 3)).astype(np.uint8)


def ball(size=16, radius=5.0):
    """A ball in the middle of a cube: uint8 (1, size, size, size, 1)."""
    axis = np.arange(size) - (size - 1) / 2
    far = np.sqrt(sum(np.square(x) for x in np.meshgrid(axis, axis, axis, indexing="ij")))
    return np.where(far <= radius, 255, 0).astype(np.uint8)[None, ..., None]


def test_a_volume_is_a_shaded_surface():
    """A ball covers a disc from everywhere, brightest where the light comes from: above at the left."""
    tile = media.tiles(ball())
    assert tile.shape == (1, 96, 96, 3)
    seen = (tile[0] != 245).any(axis=-1)
    pixels = np.pi * (5.0 / (2 * 0.76 * 16) * 96) ** 2
    assert abs(seen.sum() - pixels) < 0.12 * pixels
    rows, columns = np.nonzero(seen)
    assert abs(rows.mean() - 47.5) < 1 > abs(columns.mean() - 47.5)
    bright = tile[0].sum(axis=-1, dtype=int)
    assert bright[36, 38] > bright[47, 47] > bright[58, 58]
    np.testing.assert_array_equal(media.tiles(np.asarray(ga.to_float(ball()))), tile)  # floats in [-1, 1]
    assert (media.tiles(np.zeros((1, 8, 8, 8, 1), np.uint8)) == 245).all()  # nothing is solid


def test_where_things_are_seen():
    """From the front the depth goes into the picture, the height's first row is at the top, and the width to the right;
    a quarter turn shows the side.
    """
    volume = np.zeros((1, 16, 16, 16, 3), np.uint8)
    volume[0, 2:5, 2:5, 11:14] = [250, 20, 20]  # in front, at the top, at the right
    volume[0, 8:14, 2:5, 11:14] = [20, 250, 20]  # behind it
    volume[0, 12:14, 11:14, 2:5] = [20, 20, 250]  # at the bottom, at the left
    front, side = isosurface.shaded(volume, 0, 0)[0].astype(int), isosurface.shaded(volume, 90, 0)[0].astype(int)
    place = lambda picture, c: np.argwhere(picture[..., c] > picture.sum(axis=-1) - picture[..., c] + 30).mean(axis=0)
    assert place(front, 0)[0] < 35 < 60 < place(front, 0)[1]
    assert place(front, 2)[0] > 60 > 35 > place(front, 2)[1]
    assert not (front[..., 1] > front[..., 0] + 30).any()
    assert place(side, 1)[1] < place(side, 0)[1]  # looking along the width, the depth goes to the left


def test_volumes_turn_where_they_are_asked_to(tmp_path):
    still = media.save(tmp_path / "a.png", {"": ball()}, media.sheet)
    assert [path.name for path in still] == ["a.png"]
    files = media.save(tmp_path / "b.png", {"": ball()}, media.sheet, turn=True)
    assert [path.name for path in files] == ["b.png", "b.gif"]
    assert Image.open(files[1]).format == "GIF"
    views = media.turntable({"": np.concatenate([ball(), np.roll(ball(), 3, axis=1)])})
    assert len(views) == 24
    assert np.abs(views[0][""][0].astype(int) - views[6][""][0]).mean() < 3  # a ball looks alike from everywhere
    assert np.abs(views[0][""][1].astype(int) - views[12][""][1]).mean() > 10


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


@pytest.mark.parametrize("suffix", media.MOVING)
def test_an_animation_alone(suffix, tmp_path):
    clips, draw = {"": video()}, lambda one: ga.make_grid(one[""], columns=1)
    opened = Image.open(media.animate(tmp_path / "new" / f"clips{suffix}", clips, draw))
    assert (opened.n_frames, opened.size) == (3, (5 + 4, 2 * 6 + 2))
    solid = media.animate(tmp_path / f"solid{suffix}", {"": ball()}, lambda one: ga.make_grid(one[""]))
    assert Image.open(solid).n_frames == 24
    with pytest.raises(ga.UserError, match="is of videos and volumes"):
        media.animate(tmp_path / f"still{suffix}", {"": video()[:, 0]}, draw)
    assert not (tmp_path / f"still{suffix}").exists()


def test_without_webp_there_is_a_gif(tmp_path, monkeypatch):
    monkeypatch.setattr(media.features, "check", lambda name: False)
    _, moving = ga.save_grid(tmp_path / "clips.png", video())
    assert moving.suffix == ".gif"
    assert Image.open(moving).n_frames == 3
    with pytest.raises(ga.UserError, match="without WebP"):
        media.animate(tmp_path / "a.webp", {"": video()}, lambda one: ga.make_grid(one[""]))


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


def test_volumes_are_not_enlarged_again():
    assert grid.scale_of(ball(32)) == grid.scale_of(ball(16)) == 1


def test_the_corner_of_a_table_of_volumes_is_white():
    volumes = np.concatenate([ball(), ball()])
    drawn = np.asarray(draw.table(volumes, volumes[:1], volumes, ""))
    assert (drawn[: 96 + media.GAP, : 96 + media.GAP] == 255).all()
    assert (drawn[96 + 2 * media.GAP :, 96 + 2 * media.GAP :] != 255).any()
