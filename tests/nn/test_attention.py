"""Self-attention against its equations, place by place, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.nn.attention import SelfAttention
from genart_jax.nn.residual import Blocks


def by_the_equations(x, params, pool):
    """Zhang et al. 2019, eq. 1 to 3, for one picture (H, W, C): loops over places, no matrix of them."""
    weights = {
        name: np.asarray(params[name]["kernel"][0, 0], np.float64) for name in ("queries", "keys", "values", "out")
    }
    places = [tuple(at) for at in np.ndindex(x.shape[:2])]
    maps = {name: x @ weights[name] for name in ("queries", "keys", "values")}
    if pool:
        halve = lambda m: m.reshape(m.shape[0] // 2, 2, m.shape[1] // 2, 2, -1).max((1, 3))
        maps |= {name: halve(maps[name]) for name in ("keys", "values")}
    others = [tuple(at) for at in np.ndindex(maps["keys"].shape[:2])]
    y, beta = np.empty_like(x), np.empty((len(places), len(others)))
    for j, at in enumerate(places):
        s = np.array([maps["keys"][other] @ maps["queries"][at] for other in others])
        beta[j] = np.exp(s) / np.exp(s).sum()
        o = sum(b * maps["values"][other] for b, other in zip(beta[j], others, strict=True)) @ weights["out"]
        y[at] = float(params["gamma"]) * o + x[at]
    return y, beta


@pytest.mark.parametrize(("shrink_values", "pool"), [(8, False), (2, True)])
def test_attention_is_that_of_its_equations(shrink_values, pool):
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 16)).astype(np.float32)
    layer = SelfAttention(Blocks().conv, shrink_values=shrink_values, pool=pool)
    variables = jax.jit(layer.init)(jax.random.key(0), x)
    sizes = {"queries": 2, "keys": 2, "values": 16 // shrink_values, "out": 16}
    assert {name: variables["params"][name]["kernel"].shape[-1] for name in sizes} == sizes
    apply = jax.jit(layer.apply)
    np.testing.assert_array_equal(apply(variables, x)[0], x)  # gamma starts at 0
    params = variables["params"] | {"gamma": jnp.float32(0.7)}
    got, weights = apply({"params": params}, x)
    for i in range(2):
        want, beta = by_the_equations(x[i].astype(np.float64), params, pool)
        np.testing.assert_allclose(weights[i], beta, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(got[i], want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)


def test_products_of_bfloat16_are_not_rounded_before_the_softmax():
    """Attention follows from the maps as they are: a product of 40 rounded to eight bits would move it by a tenth."""
    maps = {name: 4 * jax.random.normal(jax.random.key(i), (1, 4, 4, 2), jnp.bfloat16) for i, name in enumerate("qk")}
    conv = lambda x, features, size, name, bias: {"queries": maps["q"], "keys": maps["k"]}.get(name, x)
    layer = SelfAttention(conv, shrink=8, shrink_values=1)
    x = jnp.zeros((1, 4, 4, 16), jnp.bfloat16)
    variables = layer.init(jax.random.key(0), x)
    beta = np.asarray(layer.apply(variables, x)[1][0], np.float64)
    q, k = (np.asarray(m, np.float64).reshape(16, 2) for m in (maps["q"], maps["k"]))
    wanted = np.exp(q @ k.T)
    np.testing.assert_allclose(beta, wanted / wanted.sum(1, keepdims=True), atol=1e-4)
