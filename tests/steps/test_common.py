"""What all steps share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.steps import common


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_norms_are_those_of_all_leaves_together(dtype):
    keys = jax.random.split(jax.random.key(0), 3)
    tree = {"kernel": jax.random.normal(keys[0], (3, 3, 40, 50)), "bias": jax.random.normal(keys[1], (7,))}
    tree = jax.tree.map(lambda x: x.astype(dtype), tree | {"noise": jax.random.normal(keys[2], ())})
    scaled = {name: jax.tree.map(lambda x, f=f: f * x, tree) for name, f in (("update", 2), ("param", 4))}
    want = np.sqrt(sum(np.sum(np.asarray(x, np.float64) ** 2) for x in jax.tree.leaves(tree)))
    got = jax.jit(lambda: common.norms("critic", tree, scaled["update"], scaled["param"]))()
    assert {name: value.dtype for name, value in got.items()} == dict.fromkeys(got, jnp.float32)
    for name, factor in {"grad": 1, "update": 2, "param": 4}.items():
        np.testing.assert_allclose(got[f"critic_{name}_norm"], factor * want, rtol=1e-6)


def test_the_norm_of_nothing_is_zero():
    assert float(common.norms("vae", {}, {}, {})["vae_grad_norm"]) == 0.0
