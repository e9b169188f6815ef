"""The FID's network, against what torch-fidelity's gives with the same random weights."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.nn import inception
from tests.metrics import seeded

HERE = Path(__file__).parents[1] / "metrics"


def test_parity_with_torch_fidelity():
    shapes = {name: tuple(s) for name, s in json.loads((HERE / "inception_shapes.json").read_text()).items()}
    weights = inception.variables(seeded.weights(shapes))
    images = ga.to_float(seeded.images())
    features, logits, aux = jax.jit(inception.Inception().apply)(weights, images)
    expected = np.load(HERE / "inception.npz")
    for name, got in (("192", aux["192"]), ("768", aux["768"]), ("2048", features), ("logits_unbiased", logits)):
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(got, expected[name], atol=1e-4 * scale, rtol=1e-4, err_msg=name)


def test_resize_is_tensorflows():
    """By its definition, pixel by pixel: the value at i * old / new, between its lower and upper neighbour."""
    images = np.random.default_rng(0).uniform(size=(1, 3, 5, 1)).astype(np.float32)
    got = np.asarray(inception.resize(images, 7))
    for row in range(7):
        for column in range(7):
            y, x = row * 3 / 7, column * 5 / 7
            i, j = int(y), int(x)
            corners = [[images[0, min(i + a, 2), min(j + b, 4), 0] for b in (0, 1)] for a in (0, 1)]
            (a, b), (c, d) = corners
            top, bottom = a + (b - a) * (x - j), c + (d - c) * (x - j)
            np.testing.assert_allclose(got[0, row, column, 0], top + (bottom - top) * (y - i), rtol=1e-5)


def test_other_weights_are_refused():
    with pytest.raises(ga.UserError, match="is missing"):
        inception.variables({"conv.weight": np.zeros((3, 3, 3, 3))})
