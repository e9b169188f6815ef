"""RandAugment's operations against Pillow's, and what is drawn for whom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

import genart_jax as ga
from genart_jax.config import Data, Field
from genart_jax.data.augment import randaugment as augmented
from genart_jax.data.augment.randaugment import COLOURS, OPERATIONS, colour
from genart_jax.data.pipeline import check_augmentation, prepare

SHARE = 0.9


def picture():
    rng = np.random.default_rng(0)
    low = rng.uniform(20, 230, (4, 5, 3))
    return np.clip(low.repeat(4, 0).repeat(4, 1) + rng.normal(0, 8, (16, 20, 3)), 10, 240).astype(np.uint8)


def by_pillow(name, image, factor):
    """What Pillow makes of a picture."""
    return {
        "auto_contrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "solarize": lambda: ImageOps.solarize(image, round(256 * (1 - SHARE))),
        "posterize": lambda: ImageOps.posterize(image, 8 - round(4 * SHARE)),
        "color": lambda: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
    }[name]()


@pytest.mark.parametrize("name", COLOURS)
def test_colours_change_as_pillow_changes_them(name):
    pixels = picture()
    if name == "equalize":  # where Pillow divides by whole numbers, which a few pixels make too small
        pixels = pixels.repeat(16, 0).repeat(16, 1)
    for sign in (1.0, -1.0):
        made = np.asarray(jax.jit(lambda x, s: colour(name, x, SHARE, s))(jnp.asarray(pixels / 255.0), sign)) * 255
        wanted = np.asarray(by_pillow(name, Image.fromarray(pixels), 1 + sign * 0.9 * SHARE), float)
        near = np.abs(made - wanted)
        assert near.max() <= (6 if name == "equalize" else 2), near.max()


def test_every_operation_is_drawn_and_of_strength_0_nothing_moves():
    images = jnp.asarray(picture()[None] / 127.5 - 1, jnp.float32)
    keys = jax.random.split(jax.random.key(0), 300)
    many = jnp.repeat(images, 300, axis=0)
    out = np.asarray(jax.jit(lambda x, k: augmented(x, k, 1, 9.0))(many, keys))
    kinds = {tuple(np.round(one.ravel()[::50], 3)) for one in out}
    # What has no sign is one picture each, the others are two.
    assert len(kinds) == 1 + 2 * 5 + 4 + 2 * 4
    assert len(OPERATIONS) == 14
    assert (np.abs(out) <= 1.0001).all()
    places = np.asarray(jax.jit(lambda x, k: augmented(x, k, 2, 0.0, colours=False))(many[:8], keys[:8]))
    np.testing.assert_allclose(places, many[:8], atol=1e-5)


def test_a_picture_and_its_mask_move_alike():
    data = Data(randaugment=(2, 10))
    fields = {"image": Field((16, 16, 3)), "mask": Field((16, 16, 1), "mask")}
    raw = {"image": np.zeros((40, 16, 16, 3), np.uint8), "mask": np.zeros((40, 16, 16, 1), np.float32)}
    raw["image"][:, 4:9, 3:12], raw["mask"][:, 4:9, 3:12] = 255, 1
    keys = jax.random.split(jax.random.key(0), 40)
    out = jax.jit(lambda raw, keys: prepare(raw, keys, data, fields))(raw, keys)
    moved = np.asarray(out["mask"])[..., 0]
    assert (np.abs(moved - raw["mask"][..., 0]).max((1, 2)) > 0.5).any()
    inside = moved > 0.9
    for i in range(40):  # whatever its colours are, inside it is another than outside
        if inside[i].any() and np.ptp(np.asarray(out["image"])[i]) > 0.5:
            gap = np.asarray(out["image"])[i][inside[i]].mean() - np.asarray(out["image"])[i][moved[i] < 0.1].mean()
            assert abs(gap) > 0.2


@pytest.mark.parametrize(
    ("given", "shape", "says"),
    [
        ((2,), (8, 8, 3), "wanted how many operations"),
        ((0, 9), (8, 8, 3), "wanted how many operations"),
        ((2, 31), (8, 8, 3), "from 0 to 30"),
        ((2, 9), (8, 8, 8, 1), "is for pictures"),
    ],
)
def test_what_is_wrong_is_said(given, shape, says):
    with pytest.raises(ga.UserError, match=says):
        check_augmentation(Data(randaugment=given), {"image": Field(shape)})
