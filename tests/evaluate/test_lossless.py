"""Bits a dimension of lossless files."""

import io

import numpy as np
from PIL import Image

from genart_jax.evaluate import evaluate_run, lossless


def test_sizes_are_those_of_files():
    rng = np.random.default_rng(0)
    noise, flat = rng.integers(0, 256, (2, 32, 32, 3), np.uint8), np.full((2, 32, 32, 1), 200, np.uint8)
    found = lossless.bits_per_dim(noise)
    assert all(8 < bits < 8.8 for bits in found.values())  # nothing to gain, and headers
    assert all(bits < 1 for bits in lossless.bits_per_dim(flat).values())
    file = io.BytesIO()
    Image.fromarray(noise[0]).save(file, "PNG", optimize=True)
    np.testing.assert_allclose(lossless.bits_per_dim(noise[:1])["png_bits_per_dim"], file.tell() * 8 / (32 * 32 * 3))


def test_they_stand_beside_the_bits_of_levels(runs):
    figures = evaluate_run(runs / "vae")
    assert 1 < figures["webp_bits_per_dim"] < figures["png_bits_per_dim"] < figures["bits_per_dim"]
    assert figures["aggregate_kl"] > 0  # see test_aggregate.py
