"""Flip, crop, jitter and cutout: what they do, and that it depends on an example's key alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance

import genart_jax as ga
from genart_jax.config import Data, Field
from genart_jax.data import augment
from genart_jax.data.pipeline import prepare
from genart_jax.types import to_float


def keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_flip_mirrors_the_width_of_about_half():
    images = pictures(400, 3, 5, 2)
    out = np.asarray(augment.flip(images, keys(400)))
    assert out.dtype == np.uint8
    mirrored = (out == images[:, :, ::-1]).all((1, 2, 3))
    assert (mirrored | (out == images).all((1, 2, 3))).all()
    assert 150 < mirrored.sum() < 250


def test_flip_of_videos_mirrors_every_frame():
    images = pictures(16, 4, 3, 5, 1)
    out = np.asarray(augment.flip(images, keys(16)))
    for before, after in zip(images, out, strict=True):
        assert (after == before).all() or (after == before[:, :, ::-1]).all()


@pytest.mark.parametrize("shape", [(6, 9, 2), (4, 6, 9, 1)])
def test_crop_is_a_shift_with_repeated_edges(shape):
    pad, images = 2, pictures(300, *shape)
    out = np.asarray(augment.crop(images, keys(300), pad))
    assert out.shape == images.shape
    height, width = shape[-3:-1]
    seen = set()
    for before, after in zip(images, out, strict=True):
        shifts = [
            (dy, dx)
            for dy in range(-pad, pad + 1)
            for dx in range(-pad, pad + 1)
            if (
                after
                == before[
                    ...,
                    np.clip(np.arange(height) + dy, 0, height - 1)[:, None],
                    np.clip(np.arange(width) + dx, 0, width - 1),
                    :,
                ]
            ).all()
        ]
        assert len(shifts) == 1
        seen.update(shifts)
    assert len(seen) == (2 * pad + 1) ** 2


@pytest.mark.parametrize(
    "function",
    [
        augment.flip,
        lambda images, keys: augment.crop(images, keys, 3),
        lambda images, keys: augment.cutout(to_float(images), keys, 3),
    ],
)
def test_the_key_alone_decides(function):
    images, ks = pictures(8, 5, 7, 3), keys(8)
    whole = np.asarray(function(images, ks))
    parts = [np.asarray(function(images[i : i + 2], ks[i : i + 2])) for i in range(0, 8, 2)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(whole, jax.jit(function)(jnp.asarray(images), ks))
    assert (whole != np.asarray(function(images, keys(8, 1)))).any()


def to_bytes(image):
    return np.rint((np.asarray(image) + 1) * 127.5).astype(np.uint8)


@pytest.mark.parametrize(("place", "enhancer"), [(0, "Brightness"), (1, "Contrast"), (2, "Color")])
def test_jitter_is_pillows_enhancement(place, enhancer):
    """With one amount alone, there is a factor with which Pillow makes the same picture."""
    images = pictures(30, 6, 8, 3)
    amounts = [0.0] * 4
    amounts[place] = 0.5
    out = augment.jitter(to_float(images), keys(30), tuple(amounts))
    factors = np.linspace(0.5, 1.5, 1001)
    seen = []
    for before, after in zip(images, out, strict=True):
        picture = getattr(ImageEnhance, enhancer)(Image.fromarray(before))
        error = [np.abs(np.asarray(picture.enhance(f)).astype(int) - to_bytes(after)).mean() for f in factors[::20]]
        best = int(np.argmin(error)) * 20
        near = factors[max(0, best - 20) : best + 21]
        error = [np.abs(np.asarray(picture.enhance(f)).astype(int) - to_bytes(after)).max() for f in near]
        assert min(error) <= 2
        seen.append(near[int(np.argmin(error))])
    assert 0.5 <= min(seen) < 0.7 < 1.3 < max(seen) <= 1.5
    assert abs(np.mean(seen) - 1) < 4 * 0.29 / np.sqrt(30)


def test_jitter_turns_hues():
    """A saturated colour goes around the colour circle by up to the amount, and grey stays."""
    colors = np.zeros((500, 1, 2, 3), np.float32)
    colors[:, 0, 0] = [0.2, -0.2, 0.0]
    out = np.asarray(augment.jitter(colors, keys(500), (0.0, 0.0, 0.0, 0.1)), np.float64)
    np.testing.assert_allclose(out[:, 0, 1], 0, atol=1e-6)
    np.testing.assert_allclose(out[:, 0, 0].sum(-1), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(out[:, 0, 0], axis=-1), np.sqrt(0.08), rtol=1e-4)
    angle = np.arccos(np.clip(out[:, 0, 0] @ [0.2, -0.2, 0.0] / 0.08, -1, 1)) / (2 * np.pi)
    assert 0.095 < angle.max() <= 0.1001
    assert abs(angle.mean() - 0.05) < 4 * 0.029 / np.sqrt(500)


def test_jitter_of_nothing_and_wrong_ones():
    images = to_float(pictures(4, 5, 5, 3))
    np.testing.assert_allclose(augment.jitter(images, keys(4), (0.0,) * 4), images, atol=1e-6)
    with pytest.raises(ga.UserError, match="needs 3 channels, not 1"):
        augment.jitter(images[..., :1], keys(4), (0.1,) * 4)
    with pytest.raises(ga.UserError, match="wanted four amounts"):
        augment.jitter(images, keys(4), (0.1,))


def test_cutout_is_a_square_with_its_centre_in_the_picture():
    hole = np.asarray(augment.cutout(jnp.ones((2000, 6, 10, 2)), keys(2000), 4))[..., 0] == 0
    rows, columns = hole.any(2), hole.any(1)
    np.testing.assert_array_equal(hole, rows[:, :, None] & columns[:, None])
    for line, side in ((rows, 6), (columns, 10)):
        share = [np.mean([c - 2 <= i < c + 2 for c in range(side)]) for i in range(side)]
        np.testing.assert_allclose(line.mean(0), share, atol=4 * 0.5 / np.sqrt(2000))


def test_options_of_the_data_reach_training_pictures_alone():
    images = pictures(8, 6, 6, 3)
    raw = {"image": images, "target": images, "mask": images[..., :1]}
    data = Data(flip=True, crop=1, jitter=(0.4, 0.4, 0.4, 0.1), cutout=3)
    fields = {"image": Field((6, 6, 3)), "target": Field((6, 6, 3)), "mask": Field((6, 6, 1), "mask")}
    out = prepare(raw, keys(8), data, fields)
    np.testing.assert_array_equal(out["image"], out["target"])  # one treatment for both
    assert set(np.unique(out["mask"])) <= set(np.unique(images))
    assert float(jnp.mean(jnp.abs(out["image"] - to_float(images)))) > 0.1
    np.testing.assert_array_equal(prepare(raw, None, data, fields)["image"], to_float(images))
