"""Degradations by name, as the step from picture to picture takes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.data import degrade
from genart_jax.data.degrade.named import flat, sometimes
from genart_jax.nn.random import example_keys
from tests import zoo

KEYS = example_keys(jax.random.key(3), 4)
IMAGES = zoo.batch(ga.BatchSpec((32, 32, 3)), 4)["image"]


@pytest.mark.parametrize("name", ["holes", "faults", "dull"])
def test_what_happens_to_an_example_is_its_keys_own(name):
    apply = jax.jit(degrade.named(name))
    image, parameters = apply(IMAGES, KEYS)
    assert (image.shape, image.dtype) == (IMAGES.shape, jnp.float32)
    assert -1 <= float(image.min()) <= float(image.max()) <= 1
    assert (np.abs(image - IMAGES).max((1, 2, 3)) > 0.02).sum() >= 2
    turned = apply(IMAGES[::-1], KEYS[::-1])
    np.testing.assert_allclose(turned.image[::-1], image, atol=1e-6)
    assert all(len(value) == 4 for value in parameters.values())


def test_holes_are_grey_and_few_enough():
    image, parameters = jax.jit(degrade.named("holes"))(IMAGES, KEYS)
    mask = np.asarray(parameters["mask"])
    assert {0.0, 1.0} == set(np.unique(mask))
    np.testing.assert_allclose(image, np.where(mask > 0, 0.0, IMAGES), atol=1e-6)
    assert 0.02 < mask.mean() < 0.5


def test_sometimes_is_for_each_example():
    keys = example_keys(jax.random.key(0), 400)
    black = jnp.full((400, 1, 1, 3), -1.0)
    white = lambda images, keys: degrade.Degraded(-images, {})
    image, parameters = sometimes(white, 0.3)(black, keys)
    share = float(parameters["applied"].mean())
    assert 0.2 < share < 0.4
    np.testing.assert_array_equal(image[:, 0, 0, 0] > 0, parameters["applied"] > 0)


def test_less_contrast_keeps_the_mean():
    image, parameters = flat(IMAGES, KEYS)
    np.testing.assert_allclose(image.mean((1, 2, 3)), IMAGES.mean((1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(image.std((1, 2, 3)), parameters["contrast"] * IMAGES.std((1, 2, 3)), rtol=1e-4)


def test_grey_pictures_have_no_cast():
    grey = IMAGES[..., :1]
    assert degrade.named("dull")(grey, KEYS).image.shape == grey.shape
