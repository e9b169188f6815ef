"""What all steps share."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genart_jax as ga
from genart_jax.nn import spectral
from genart_jax.steps import common, networks


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_norms_are_those_of_all_leaves_together(dtype):
    keys = jax.random.split(jax.random.key(0), 3)
    tree = {"kernel": jax.random.normal(keys[0], (3, 3, 40, 50)), "bias": jax.random.normal(keys[1], (7,))}
    tree = jax.tree.map(lambda x: x.astype(dtype), tree | {"noise": jax.random.normal(keys[2], ())})
    want = np.sqrt(sum(np.sum(np.asarray(x, np.float64) ** 2) for x in jax.tree.leaves(tree)))
    got = jax.jit(common.global_norm)(tree)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert float(common.global_norm({})) == 0.0


def test_an_update_and_its_norms():
    params, grads = {"w": jnp.array([3.0, 4.0])}, {"w": jnp.array([1.0, 0.0])}
    optimizer = optax.with_extra_args_support(optax.sgd(0.5, momentum=0.9))
    new, opt, norms = common.update("critic", optimizer, grads, optimizer.init(params), params)
    np.testing.assert_allclose(new["w"], [2.5, 4.0])
    assert {k: float(v) for k, v in norms.items()} == {
        "critic_grad_norm": 1.0, "critic_update_norm": 0.5, "critic_param_norm": 5.0,
    }  # fmt: skip
    new, _, norms = common.update("critic", optimizer, grads, opt, new)
    np.testing.assert_allclose(new["w"], [2.5 - 0.5 * 1.9, 4.0])
    assert float(norms["critic_update_norm"]) == pytest.approx(0.95)


def test_moving_averages_leave_unit_vectors_alone():
    """Spectral normalisation under a moving average: the kernel is averaged, u stays a unit vector, the newest."""
    layer, x = spectral.Dense(32), jax.random.normal(jax.random.key(0), (4, 32))
    params, mutable = networks.init_module(layer, jax.random.key(1), x)
    ema, old = {"g": {"params": params, **mutable}}, params["kernel"]
    for i in range(20):  # weights that wander, as they do near the end of a training
        turn = lambda w, i=i: w + 0.3 * jax.random.normal(jax.random.key(i), w.shape)
        params = jax.tree.map(turn, params)
        _, changed = layer.apply({"params": params, **mutable}, x, mutable=[spectral.COLLECTION])
        mutable = {**mutable, **changed}
        ema = common.ema_update(ema, {"g": params}, {"g": mutable}, jnp.float32(0.9))
    u = ema["g"][spectral.COLLECTION]["kernel_u"]
    np.testing.assert_allclose(jnp.linalg.norm(u), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(u, mutable[spectral.COLLECTION]["kernel_u"])
    assert not np.array_equal(ema["g"]["params"]["kernel"], old)
    assert not np.array_equal(ema["g"]["params"]["kernel"], params["kernel"])


def test_batches_that_do_not_divide_are_refused():
    batch = {"image": jnp.arange(6), "condition": {"style": jnp.arange(6)}}
    np.testing.assert_array_equal(common.select(batch, 1, 2)["condition"]["style"], [1, 3, 5])
    with pytest.raises(ga.UserError, match="batch: 6 examples do not divide into the 4 batches"):
        common.select(batch, 1, 4)
