"""Sprite sheets: what is transparent, and the JSON as games read it."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.use import places, sheet


def ring(colour=(20, 40, 160)):
    """A ring of 16x16 on white, with a white hole, a blended edge outside, and a background that is not quite white."""
    picture = np.full((16, 16, 3), 250, np.uint8)
    picture[3:13, 3:13] = np.round((np.array(colour) + 255) / 2)  # half covered
    picture[4:12, 4:12] = colour
    picture[7:9, 7:9] = 255
    return picture


def test_white_that_hangs_together_with_the_border_is_transparent():
    cut = sheet.cut_out(ring()[None])[0]
    assert cut.shape == (16, 16, 4)
    assert (cut[:3, :, 3] == 0).all()
    assert (cut[7:9, 7:9] == 255).all(), "the hole is part of the drawing"
    assert (cut[4:7, 4:12, 3] == 255).all()
    assert (cut[4, 4, :3] == (20, 40, 160)).all()
    # Half covered: half of alpha, and the ring's own colour.
    np.testing.assert_allclose(cut[3, 8, 3], 128, atol=2)
    np.testing.assert_allclose(cut[3, 8, :3], (20, 40, 160), atol=3)


def test_on_white_a_cut_out_looks_as_before():
    images = np.stack([ring(), ring((250, 200, 0)), ring((255, 220, 220))])
    cut = sheet.cut_out(images).astype(float)
    on_white = cut[..., :3] * cut[..., 3:] / 255 + 255 - cut[..., 3:]
    assert np.abs(on_white - images).max() <= 24 + 1, "what counts as white"
    assert (cut[2, 4:7, 4:12, 3] == 255).all(), "a pale drawing stays opaque"


def test_a_picture_without_white_stays_opaque():
    images = np.stack([ring(), np.full((16, 16, 3), 90, np.uint8)])
    made = sheet.pack(images)
    assert made.opaque == 1
    left, top = made.frames[1]
    assert (made.pixels[top : top + 16, left : left + 16] == (90, 90, 90, 255)).all()


@pytest.mark.parametrize("layout", ["hash", "array"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_and_its_json(layout, channels):
    images = np.stack([np.roll(ring(), i, axis=1) for i in range(5)])[..., :channels]
    names = [f"{i:05d}_noto.png" for i in range(5)]
    files, made = sheet.files(images, names, "icons.png", layout, {"seed": 3})
    canvas = np.asarray(Image.open(io.BytesIO(files[".png"])))
    found = json.loads(files[".json"])
    assert found["meta"]["image"] == "icons.png"
    assert found["meta"]["seed"] == 3
    assert found["meta"]["size"] == {"w": canvas.shape[1], "h": canvas.shape[0]} == {"w": 34, "h": 52}
    entries = found["frames"]
    if layout == "array":
        entries = {one["filename"]: one for one in entries}
    assert [*entries] == names
    covered = np.zeros(canvas.shape[:2], int)
    for image, entry in zip(images, entries.values(), strict=True):
        box = entry["frame"]
        part = canvas[box["y"] : box["y"] + box["h"], box["x"] : box["x"] + box["w"]]
        np.testing.assert_array_equal(part, sheet.cut_out(image[None])[0])
        assert entry["sourceSize"] == {"w": 16, "h": 16}
        assert entry["spriteSourceSize"] == {"x": 0, "y": 0, "w": 16, "h": 16}
        assert entry["rotated"] is entry["trimmed"] is False
        covered[box["y"] : box["y"] + box["h"], box["x"] : box["x"] + box["w"]] += 1
    assert covered.max() == 1, "no sprite lies on another"
    assert (canvas[covered == 0] == 0).all()
    assert made.opaque == 0


def test_a_sheet_that_no_game_loads_is_refused():
    with pytest.raises(ga.UserError, match="would be 10018x10018, above 8192; ask for fewer, by --num"):
        sheet.pack(np.zeros((100, 1000, 1000, 1), np.uint8))


def test_files_that_belong_together_find_a_place_together(tmp_path):
    one, two = ({".png": content, ".json": b"{}"} for content in (b"1", b"2"))
    assert [p.name for p in places.place(tmp_path / "a.b", lambda _: one)] == ["a.b.png", "a.b.json"]
    assert [p.name for p in places.place(tmp_path / "a.b", lambda _: one)] == ["a.b.png", "a.b.json"]
    assert [p.name for p in places.place(tmp_path / "a.b", lambda _: two)] == ["a.b-2.png", "a.b-2.json"]
    assert (tmp_path / "a.b.png").read_bytes() == b"1"
    with pytest.raises(ga.UserError, match=r"a\.b\.png is there already; name another"):
        places.write({tmp_path / "new.json": b"", tmp_path / "a.b.png": b"3"})
    assert not (tmp_path / "new.json").exists(), "all or none"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ga.UserError, match="cannot be written"):
        places.write({tmp_path / "file" / "x.png": b"3"})
