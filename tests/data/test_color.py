import numpy as np
import pytest

from genart_jax.config import UserError
from genart_jax.data import color, emoji
from genart_jax.data.color import COLOR_NAMES, dominant_color


def names_of(images):
    return [COLOR_NAMES[c] for c in dominant_color(images)]


def plain(*rgb, height=6, width=6):
    return np.broadcast_to(np.array(rgb, np.uint8), (1, height, width, 3))


def color_by_hsv(hue, saturation, value):
    """The table of the docstring, from another implementation's HSV (hue in degrees)."""
    if saturation < 0.28:
        return "neutral"
    if hue < 10 or hue >= 340:
        if saturation < 0.6 and value >= 0.75:
            return "pink"
        return "brown" if saturation < 0.6 and value < 0.7 else "red"
    if hue < 48 and value < 0.75:
        return "brown"
    if hue < 35 or (hue < 39 and saturation >= 0.9):
        return "orange"
    ends = {65: "yellow", 160: "green", 188: "teal", 250: "blue", 305: "purple", 340: "pink"}
    return next(name for end, name in ends.items() if hue < end)


def test_single_pixels_agree_with_skimage_hsv():
    rgb2hsv = pytest.importorskip("skimage.color").rgb2hsv
    levels = np.arange(0, 256, 15)
    pixels = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 1, 1, 3).astype(np.uint8)
    h, s, v = np.moveaxis(rgb2hsv(pixels / 255.0).reshape(-1, 3), -1, 0)
    h = h * 360
    edges = np.array([10, 35, 39, 48, 65, 160, 188, 250, 305, 340])
    chroma = np.ptp(pixels.reshape(-1, 3).astype(int), axis=1)
    # A tie by rounding at an edge is nobody's error; and tinted greys have a test of their own.
    clear = (np.abs(h[:, None] - edges).min(1) > 1e-6) & (np.abs(s[:, None] - [0.28, 0.6, 0.9]).min(1) > 1e-6)
    clear &= (chroma >= 28) | (chroma == 0)
    # A single pixel's votes are its chroma, and its ink 255 - min: together that asks for a sixth.
    clear &= (6 * chroma >= 255 - pixels.reshape(-1, 3).min(1)) | (chroma == 0)
    assert clear.sum() > 3000
    expected = [color_by_hsv(*hsv) for hsv in zip(h[clear], s[clear], v[clear], strict=True)]
    assert names_of(pixels[clear]) == expected
    assert set(expected) == set(COLOR_NAMES)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((255, 0, 0), "red"),
        ((255, 128, 0), "orange"),
        ((255, 255, 0), "yellow"),
        ((0, 255, 0), "green"),
        ((0, 150, 136), "teal"),
        ((0, 0, 255), "blue"),
        ((128, 0, 128), "purple"),
        ((255, 182, 193), "pink"),
        ((139, 69, 19), "brown"),
        ((255, 255, 255), "neutral"),
        ((0, 0, 0), "neutral"),
        ((127, 127, 127), "neutral"),
        ((130, 140, 150), "neutral"),
    ],
)
def test_plain_colors(rgb, name):
    assert names_of(plain(*rgb)) == [name]


def test_white_paper_does_not_decide_but_a_black_shape_does():
    picture = np.full((2, 32, 32, 3), 255, np.uint8)
    picture[1, 4:28, 4:28] = 0
    picture[:, 10:14, 10:14] = 255, 0, 0
    assert names_of(picture) == ["red", "neutral"]


def test_vivid_pixels_outvote_more_dull_ones():
    picture = np.array(plain(120, 90, 150))  # dull purple, chroma 60
    picture[:, :2] = 0, 0, 255  # a third of the picture, chroma 255
    assert names_of(picture) == ["blue"]


@pytest.mark.parametrize("shape", [(3, 32, 32, 3), (2, 5, 40, 3), (4, 1, 1, 3), (1, 200, 3, 3), (2, 7, 9, 1)])
def test_any_size_and_any_order_of_pixels(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    got = dominant_color(images)
    assert got.dtype == np.int32
    assert got.shape == shape[:1]
    np.testing.assert_array_equal(got, dominant_color(images[:, ::-1, ::-1]))
    np.testing.assert_array_equal(got, dominant_color(images.repeat(2, 1).repeat(3, 2)))
    np.testing.assert_array_equal(got, [dominant_color(image[None])[0] for image in images])


def test_grey_and_empty_pictures_are_neutral():
    grey = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    assert names_of(grey) == ["neutral"] * 3
    assert names_of(grey.repeat(3, -1)) == ["neutral"] * 3
    assert names_of(np.zeros((2, 0, 4, 3), np.uint8)) == ["neutral"] * 2
    assert names_of(np.zeros((0, 4, 4, 3), np.uint8)) == []


def test_chunks_do_not_show(monkeypatch):
    images = np.random.default_rng(1).integers(0, 256, (50, 8, 8, 3), np.uint8) // 2 + 60
    whole = dominant_color(images)
    monkeypatch.setattr(color, "_CHUNK", 64 * 7)
    np.testing.assert_array_equal(dominant_color(images), whole)


@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 4, 4, 4), (1, 3, 4, 4)])
def test_a_wrong_shape_is_named(shape):
    with pytest.raises(UserError, match=r"got \(.*\) uint8, wanted \(N, H, W, 3 or 1\) uint8"):
        dominant_color(np.zeros(shape, np.uint8))


def test_a_wrong_dtype_is_named():
    with pytest.raises(UserError, match="float32"):
        dominant_color(np.zeros((1, 4, 4, 3), np.float32))


ICONS = {
    "green-apple": "green",
    "tomato": "red",
    "carrot": "orange",
    "banana": "yellow",
    "yellow-heart": "yellow",
    "green-heart": "green",
    "blue-heart": "blue",
    "purple-heart": "purple",
    "black-heart": "neutral",
    "four-leaf-clover": "green",
    "frog": "green",
    "spouting-whale": "blue",
    "pile-of-poo": "brown",
    "bear": "brown",
    "flamingo": "pink",
    "grinning-face": "yellow",
}


def test_icons_have_the_color_that_people_call_them_by():
    art = emoji.read()
    for icon, name in ICONS.items():
        rows = (art.name == icon) & (art.style != emoji.STYLES.index("fluent-high-contrast"))
        assert rows.sum() >= 3, icon
        assert names_of(art.x[rows]) == [name] * rows.sum(), icon


def test_icons_named_after_a_color_have_it():
    art = emoji.read()
    colored = [name for name in COLOR_NAMES if name not in ("teal", "neutral")]
    things = ("heart", "circle", "square", "book", "diamond")
    right = total = 0
    for row in np.flatnonzero(art.style != emoji.STYLES.index("fluent-high-contrast")):
        words = str(art.name[row]).split("-")
        if words[-1] in things and (named := [w for w in words if w in colored]):
            total += 1
            right += COLOR_NAMES[art.color[row]] == named[0]
    assert total > 80
    assert right >= total - 2  # a pink "red heart" and an amber "yellow square"


def test_the_black_and_white_style_is_neutral():
    art = emoji.read()
    rows = art.style == emoji.STYLES.index("fluent-high-contrast")
    assert set(names_of(art.x[rows])) == {"neutral"}
