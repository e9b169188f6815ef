"""What is drawn of a model asks its table of uses."""

import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.steps import uses
from genart_jax.types import Algorithm, Input
from genart_jax.use.sample import draw_samples, extend_samples

SPEC = ga.BatchSpec((2, 2, 1))
SAVED = types.SimpleNamespace(run=types.SimpleNamespace(name="toy"), data={"condition_table": []})


def model(*numbers):
    """Pictures that are as bright as what they are asked for."""
    sample = lambda state, key, num, condition=None, **given: jnp.full((num, 2, 2, 1), given.get("light", 0.5) - 1.0)
    table = uses.table(sample=(sample, (uses.KEY, uses.NUM, uses.condition(SPEC), *numbers)))
    return ga.Model(Algorithm(SPEC, 1, None, None, None, {}, table), jnp.zeros(1))


def test_numbers_are_those_of_the_use():
    light = Input("light", "number", low=0.0, high=1.5, default=0.5)
    for numbers, wanted in (({}, 64), ({"light": 0.5}, 64), ({"light": 1.5}, 191)):
        drawn = draw_samples(model(light), SAVED, 3, 0, numbers=numbers)
        np.testing.assert_array_equal(drawn.images, np.full((3, 2, 2, 1), wanted))
    with pytest.raises(ga.UserError, match=r"light: got 1\.6, wanted a number from 0 to 1\.5"):
        draw_samples(model(light), SAVED, 3, 0, numbers={"light": 1.6})
    with pytest.raises(ga.UserError, match="toy takes no truncation to sample; it takes light"):
        draw_samples(model(light), SAVED, 3, 0, numbers={"truncation": 0.5})
    with pytest.raises(ga.UserError, match="it takes no number"):
        draw_samples(model(), SAVED, 3, 0, numbers={"truncation": 0.5})


def test_a_model_that_draws_nothing_says_what_it_does():
    predict = lambda state, images: images
    table = uses.table(predict=(predict, (uses.pictures(SPEC),)))
    with pytest.raises(ga.UserError, match="toy has no use 'sample'; it has predict"):
        draw_samples(ga.Model(Algorithm(SPEC, 1, None, None, None, {}, table), None), SAVED, 1, 0)


def test_samples_begin_with_the_frames_of_a_file(tmp_path):
    """A model that goes on in the grey of its class."""
    spec = ga.BatchSpec((3, 8, 8, 3), (("motion", 3),))

    def extend(state, images, key, condition, frames=3.0):
        left = int(frames) - images.shape[1]
        grey = condition["motion"][:, None, None, None, None] / 2.0
        return jnp.concatenate([images, grey * jnp.ones((len(images), left, 8, 8, 3))], axis=1)

    frames, condition = uses.beginning(spec)[1], uses.condition(spec)
    table = uses.table(extend=(extend, (uses.beginning(spec)[0], uses.KEY, condition, frames)))
    toy = ga.Model(Algorithm(spec, 1, None, None, None, {}, table), jnp.zeros(1))
    Image.new("RGB", (8, 8), (64, 64, 64)).save(tmp_path / "first.png")
    made = extend_samples(toy, SAVED, tmp_path / "first.png", 2, 0, {"motion": 2}, 4)
    assert made.images.shape == (2, 4, 8, 8, 3)
    assert made.images[:, :, 0, 0, 0].tolist() == [[64, 255, 255, 255]] * 2
    assert made.condition["motion"].tolist() == [2, 2]
    assert extend_samples(toy, SAVED, tmp_path / "first.png", 1, 0, {"motion": 2}).images.shape[1] == 3
    with pytest.raises(ga.UserError, match="toy has no use 'extend'"):
        extend_samples(model(), SAVED, tmp_path / "first.png", 1, 0)
