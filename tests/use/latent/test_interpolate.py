"""Ways between latents, against closed forms."""

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.use.latent import lerp, path, slerp
from tests.use.latent import toy


def angle(a, b):
    return np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))


@pytest.mark.parametrize("length", [2, 3, 64])
def test_slerp_goes_the_share_of_the_angle_at_the_share_of_the_norm(length):
    rng = np.random.default_rng(length)
    a, b = rng.standard_normal((2, length))
    whole = angle(a, b)
    for t in (0.0, 0.25, 0.5, 0.8, 1.0):
        found = slerp(a, b, t)
        assert np.linalg.norm(found) == pytest.approx((1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b), rel=1e-5)
        assert angle(a, found) == pytest.approx(t * whole, abs=2e-3)
        assert angle(found, b) == pytest.approx((1 - t) * whole, abs=2e-3)
    u, v = np.eye(length)[:2] * 3  # as Shoemake has it: sin((1-t) w) a / sin w + sin(t w) b / sin w
    w = np.pi / 2
    np.testing.assert_allclose(slerp(u, v, 0.3), np.sin(0.7 * w) * u + np.sin(0.3 * w) * v, atol=1e-6)
    np.testing.assert_allclose(lerp(u, v, 0.3), 0.7 * u + 0.3 * v, atol=1e-6)


def test_slerp_of_equal_opposite_and_no_vectors():
    a = np.array([0.0, 2.0, 0.0])
    np.testing.assert_allclose(slerp(a, a, 0.4), a, atol=1e-6)
    half = slerp(a, -a, 0.5)
    assert np.linalg.norm(half) == pytest.approx(2.0)
    assert half @ a == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(slerp(a, -a, 1.0), -a, atol=1e-6)
    np.testing.assert_allclose(slerp(np.zeros(3), a, 0.25), 0.25 * a, atol=1e-6)
    many = slerp(np.stack([a, a]), np.stack([a, -a]), 1.0)
    np.testing.assert_allclose(many, [a, -a], atol=1e-6)


def test_a_path_has_both_ends_and_the_nearer_ends_conditions():
    space = toy.linear()
    codes = space.draw([(0, 0), (0, 1), (5, 70)])._replace(condition={"tint": np.array([0, 1, 0], np.int32)})
    first, second = path(codes, 4, "lerp")
    np.testing.assert_allclose(first.values[[0, -1]], codes.values[:2], atol=1e-6)
    np.testing.assert_allclose(second.values[[0, -1]], codes.values[1:], atol=1e-6)
    np.testing.assert_allclose(first.values[1], codes.values[0] * 2 / 3 + codes.values[1] / 3, atol=1e-6)
    assert first.condition["tint"].tolist() == [0, 0, 1, 1]
    assert space.show(first).shape == (4, *toy.SHAPE)
    for wrong, steps in ((codes.take([0]), 4), (codes, 1)):
        with pytest.raises(ga.UserError, match="two latents or more, and two steps or more"):
            path(wrong, steps, "slerp")
    with pytest.raises(ga.UserError, match="there is no latent 3; there are 0 to 2"):
        codes.take([3])
