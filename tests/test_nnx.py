"""Networks in NNX programmes: `nnx.bridge.ToNNX` gives the outputs of the linen module, for a model of each family."""

import jax
import numpy as np
import pytest
from flax import nnx

from tests import zoo

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("mlp_gan", "generator"),
        ("mlp_vae", "encoder"),
        ("code_prior", "prior"),
        ("simple_cnn", "classifier"),
        ("gatys", "features"),
    ],
)
def test_a_network_wrapped_for_nnx(name, role):
    module, inputs = zoo.tiny(name).networks[role][:2]
    inputs = inputs() if callable(inputs) else inputs
    rngs = nnx.Rngs(0)
    wrapped = nnx.bridge.lazy_init(nnx.bridge.ToNNX(module, rngs=rngs), *inputs)
    parameters = nnx.to_pure_dict(nnx.state(wrapped, nnx.Param))
    others = {name: tree for name, tree in jax.jit(module.init)(KEY, *inputs).items() if name != "params"}
    wanted = jax.jit(module.apply)({"params": parameters, **others}, *inputs)
    found = nnx.jit(lambda model, *args: model(*args))(wrapped, *inputs)
    for a, b in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
