"""What all steps share."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genart_jax.steps import common


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
