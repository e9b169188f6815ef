"""Skip-layer excitation and gated convolutions against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.nn import excitation

KEY = jax.random.key(3)
RNG = np.random.default_rng(0)


def pictures(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_skip_excitation_is_its_equation():
    """Pooling to the smallest size, a kernel as large as that, leaky ReLU, a linear map, a sigmoid; times the high."""
    low, high = pictures(2, 8, 12, 3), pictures(2, 32, 48, 5)
    layer = excitation.SkipExcitation((4, 6))
    variables = jax.jit(layer.init)(KEY, low, high)
    variables = jax.tree.map(lambda x: 20 * x, variables)  # away from a sigmoid of 0
    got = jax.jit(layer.apply)(variables, low, high)
    squeeze, excite = (np.asarray(variables["params"][name]["kernel"]) for name in ("squeeze", "excite"))
    pooled = low.reshape(2, 4, 2, 6, 2, 3).mean((2, 4))
    x = np.einsum("nhwc,hwcd->nd", pooled, squeeze.reshape(4, 6, 3, 5))
    x = np.where(x > 0, x, 0.1 * x) @ excite
    np.testing.assert_allclose(got, high * sigmoid(x)[:, None, None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
def test_a_gated_convolution_is_convolution_noise_norm_and_gate(up):
    x, noise = pictures(2, 4, 6, 3), pictures(2, *((8, 12) if up else (4, 6)))
    layer = excitation.Gated(5, up)
    variables = jax.jit(lambda: layer.init(KEY, x, True, noise))()
    params = variables["params"] | {"noise": jnp.float32(0.7)}
    apply = jax.jit(lambda p: layer.apply({**variables, "params": p}, x, True, noise, mutable=["batch_stats"])[0])
    y = np.repeat(np.repeat(x, 2, 1), 2, 2) if up else x
    padded = np.pad(y, [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    y = np.einsum("nhwcij,ijcd->nhwd", windows, np.asarray(params["kernel"])) + 0.7 * noise[..., None]
    y = (y - y.mean((0, 1, 2))) / np.sqrt(y.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(apply(params), y[..., :5] * sigmoid(y[..., 5:]), rtol=1e-3, atol=1e-3)


def test_levels():
    assert excitation.levels_of((32, 48, 3), 256, 40) == (((4, 6), 40), ((8, 12), 32), ((16, 24), 16), ((32, 48), 8))
    for shape in ((8, 8, 3), (36, 18, 3), (32, 32), (2048, 2048, 3), (12, 12, 1)):
        assert not excitation.levels_of(shape, 256, 40), shape
