"""Flip and crop: what they do, and that it depends on an example's key alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.data import augment


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


@pytest.mark.parametrize("function", [augment.flip, lambda images, keys: augment.crop(images, keys, 3)])
def test_the_key_alone_decides(function):
    images, ks = pictures(8, 5, 7, 3), keys(8)
    whole = np.asarray(function(images, ks))
    parts = [np.asarray(function(images[i : i + 2], ks[i : i + 2])) for i in range(0, 8, 2)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(whole, jax.jit(function)(jnp.asarray(images), ks))
    assert (whole != np.asarray(function(images, keys(8, 1)))).any()
