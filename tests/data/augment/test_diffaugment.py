"""DiffAugment: each part against its definition, and what holds for all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.data.augment import diffaugment

N = 2000
augmented = jax.jit(diffaugment, static_argnames="ops")  # operation by operation, each would be compiled by itself


def keys(n=N, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def one_picture(n=N, shape=(8, 12, 3), seed=0):
    """The same picture n times."""
    image = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
    return image, np.broadcast_to(image, (n, *shape))


def test_color_is_affine_with_the_papers_ranges():
    """Out = m + c (b + g + s (x - g) - m): recovered by least squares from each example."""
    image, images = one_picture()
    out = np.asarray(augmented(images, keys(), ops=("color",)), np.float64)
    grey = image.mean(-1, keepdims=True) * np.ones(3)
    columns = np.stack([(image - grey).ravel(), (grey - image.mean()).ravel(), np.ones(image.size)], 1)
    solution, residual, *_ = np.linalg.lstsq(columns, out.reshape(N, -1).T, rcond=None)
    assert residual.max() < 1e-8
    contrast, brightness = solution[1], solution[2] - image.mean()
    saturation = solution[0] / contrast
    for value, low, high in ((contrast, 0.5, 1.5), (saturation, 0, 2), (brightness, -0.5, 0.5)):
        assert low - 1e-3 <= value.min() <= value.max() <= high + 1e-3
        middle, spread = (low + high) / 2, (high - low) / np.sqrt(12)
        assert abs(value.mean() - middle) < 4 * spread / np.sqrt(N)
        assert abs(value.std() / spread - 1) < 0.1
    assert np.abs(np.corrcoef([contrast, saturation, brightness])[np.triu_indices(3, 1)]).max() < 0.1


def test_translation_is_by_whole_pixels_up_to_an_eighth_over_zeros():
    image, images = one_picture(shape=(16, 32, 2))
    out = np.asarray(augmented(images, keys(), ops=("translation",)))
    shifts = {(dy, dx): 0 for dy in range(-2, 3) for dx in range(-4, 5)}
    padded = np.pad(image, ((2, 2), (4, 4), (0, 0)))
    for dy, dx in shifts:
        wanted = padded[2 + dy : 18 + dy, 4 + dx : 36 + dx]
        shifts[dy, dx] = int((out == wanted).all((1, 2, 3)).sum())
    assert sum(shifts.values()) == N
    assert N / 45 * 0.4 < min(shifts.values()) < max(shifts.values()) < N / 45 * 1.8


def test_cutout_is_a_hole_of_half_the_sides():
    images = np.ones((N, 8, 12, 1), np.float32)
    hole = np.asarray(augmented(images, keys(), ops=("cutout",)))[..., 0] == 0
    rows, columns = hole.any(2), hole.any(1)
    np.testing.assert_array_equal(hole, rows[:, :, None] & columns[:, None, :])
    assert rows.sum(1).max() == 4 and columns.sum(1).max() == 6  # noqa: PT018
    for line, side in ((rows, 8), (columns, 12)):
        size = side // 2
        # A centre drawn among side + 1 places: a pixel is covered by as many as reach it.
        share = [np.mean([s <= i < s + size for s in range(-(size // 2), side + 1 - size // 2)]) for i in range(side)]
        np.testing.assert_allclose(line.mean(0), share, atol=4 * 0.5 / np.sqrt(N))


@pytest.mark.parametrize("ops", [("color",), ("translation",), ("cutout",), ("color", "translation", "cutout")])
def test_probability(ops):
    image, images = one_picture()
    np.testing.assert_array_equal(
        np.asarray(augmented(images, keys(), 0.0, ops)).view(np.uint32), images.view(np.uint32)
    )
    assert (
        len(ops) == 3 or 0.3 < np.mean((np.asarray(augmented(images, keys(), 0.4, ops)) != image).any((1, 2, 3))) < 0.45
    )


def test_the_key_alone_decides():
    rng = np.random.default_rng(1)
    images, p = rng.uniform(-1, 1, (8, 8, 8, 3)).astype(np.float32), np.linspace(0, 1, 8, dtype=np.float32)
    whole = augmented(images, keys(8), p)
    parts = [augmented(images[i : i + 2], keys(8)[i : i + 2], p[i : i + 2]) for i in range(0, 8, 2)]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-6)
    twice = jax.jit(jax.vmap(lambda k: diffaugment(images, k, p)))(jnp.stack([keys(8), keys(8, 1)]))
    np.testing.assert_allclose(twice[0], whole, atol=1e-6)
    assert float(jnp.max(jnp.abs(twice[1] - whole))) > 0.1


def test_gradients_are_those_of_finite_differences():
    images = np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    weights, direction = np.random.default_rng(2).normal(size=(2, *images.shape)).astype(np.float32)
    value = jax.jit(lambda x: jnp.sum(weights * diffaugment(x, keys(4))))
    gradient = jax.jit(jax.grad(value))(images)
    finite = (value(images + 0.1 * direction) - value(images - 0.1 * direction)) / 0.2  # linear in the pictures
    np.testing.assert_allclose(jnp.sum(gradient * direction), finite, rtol=1e-3)
    assert float(jnp.mean(gradient != 0)) > 0.5


def test_wrong_operations_are_named():
    with pytest.raises(ga.UserError, match="needs 3 channels, not 1"):
        diffaugment(jnp.zeros((2, 8, 8, 1)), keys(2))
    with pytest.raises(ga.UserError, match="'blur' is unknown; there are color"):
        diffaugment(jnp.zeros((2, 8, 8, 3)), keys(2), ops=("blur",))
