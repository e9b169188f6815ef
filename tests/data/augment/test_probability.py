"""The probability of augmentation, from the critic's signs and on a schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.data.augment import probability


def run(signs, images=100, ramp=10_000, most=1.0, target=0.6):
    def body(state, sign):
        state = probability.adapt(state, sign, images, target, ramp, most)
        return state, state["p"]

    return np.asarray(jax.lax.scan(body, probability.start(), jnp.asarray(signs, jnp.float32))[1])


def test_rises_from_0_to_1_in_just_the_ramp():
    p = run(np.ones(120))
    np.testing.assert_allclose(p[3::4][:25], np.arange(1, 26) * 0.04, rtol=1e-5)
    assert (np.diff(p)[np.arange(119) % 4 != 2] == 0).all()  # between adjustments it stays
    np.testing.assert_allclose(p[99], 1.0, rtol=1e-5)  # 100 batches of 100 pictures
    assert p.max() <= 1.0
    assert run(np.ones(120), most=0.5).max() == 0.5


def test_the_papers_speed():
    steps = 500_000 // 64
    p = run(np.ones(steps), images=64, ramp=500_000)
    np.testing.assert_allclose(p[-1], 1.0, atol=1e-3)
    np.testing.assert_allclose(p[steps // 2], 0.5, atol=1e-3)


def test_falls_below_the_target_and_not_under_0():
    p = run(np.concatenate([np.ones(40), np.full(60, 0.59)]))
    np.testing.assert_allclose(p[[39, 59, 99]], [0.4, 0.2, 0.0], atol=1e-5)


def test_the_mean_of_four_decides():
    assert (run([1, 1, 1, -0.5])[-1]) > 0  # mean 0.625
    assert (run([1, 1, 1, -0.7, 1, 1, 1, 1])[[3, 7]] == run([0, 0, 0, 0, 1, 1, 1, 1])[[3, 7]]).all()  # 0.575, then 1


def test_members_of_a_vmap_go_their_own_ways():
    signs = jnp.array([[1.0] * 8, [0.0] * 8])
    state = jax.vmap(lambda _: probability.start())(jnp.arange(2))
    for i in range(8):
        state = jax.vmap(lambda s, x: probability.adapt(s, x, 100, 0.6, 10_000))(state, signs[:, i])
    np.testing.assert_allclose(state["p"], [0.08, 0.0], rtol=1e-5)


@pytest.mark.parametrize(
    ("seen", "wanted"), [(0, 0.0), (250, 0.15 * (1 - np.sqrt(0.5))), (500, 0.15), (1000, 0.3), (5000, 0.3)]
)
def test_cosine(seen, wanted):
    np.testing.assert_allclose(probability.cosine(jnp.int32(seen), 1000, 0.3), wanted, atol=1e-6)
