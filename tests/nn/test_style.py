"""The layers of style-based generators, against the papers' equations in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import genart_jax as ga
from genart_jax.nn import random, style

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def by_the_paper(x, kernel, styles, demodulate):
    """Eq. 1 and 3 of Karras et al. 2020, one example after the other."""
    out = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for n in range(len(x)):
        own = kernel.astype(np.float64) * styles[n][:, None]
        if demodulate:
            own = own / np.sqrt((own**2).sum(axis=(0, 1, 2)) + 1e-8)
        for c, o in np.ndindex(own.shape[2:]):
            out[n, :, :, o] += scipy.signal.correlate2d(x[n, :, :, c], own[:, :, c, o], "same")
    return out


@pytest.mark.parametrize("form", ["scale", "grouped"])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulated_convolution_is_the_papers(form, demodulate):
    x, kernel = RNG.normal(size=(3, 5, 4, 6)), RNG.normal(size=(3, 3, 6, 7))
    styles = RNG.normal(size=(3, 6)) * 3
    f32 = lambda a: jnp.asarray(a, jnp.float32)
    got = style.modulated_conv(f32(x), f32(kernel), f32(styles), demodulate=demodulate, form=form)
    np.testing.assert_allclose(got, by_the_paper(x, kernel, styles, demodulate), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("demodulate", [True, False])
def test_both_forms_agree_with_their_gradients(up, demodulate):
    args = (RNG.normal(size=(4, 4, 6, 3)), RNG.normal(size=(3, 3, 3, 5)), RNG.normal(size=(4, 3)))
    args = tuple(jnp.asarray(a, jnp.float32) for a in args)

    def values(form):
        function = lambda *a: style.modulated_conv(*a, demodulate=demodulate, up=up, form=form)
        return function(*args), jax.grad(lambda *a: jnp.sum(jnp.sin(function(*a))), argnums=(0, 1, 2))(*args)

    for a, b in zip(*map(jax.tree.leaves, (values("scale"), values("grouped"))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_demodulation_gives_unit_variance():
    """Whatever the styles' size, where inputs are independent of unit variance."""
    x = jnp.asarray(RNG.normal(size=(4, 64, 64, 16)), jnp.float32)
    kernel = jnp.asarray(RNG.normal(size=(3, 3, 16, 8)) * 5, jnp.float32)
    styles = jnp.asarray(np.exp(RNG.normal(size=(4, 16)) * 2), jnp.float32)
    inside = style.modulated_conv(x, kernel, styles)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(jnp.var(inside, axis=(1, 2)), 1.0, atol=0.2)
    np.testing.assert_allclose(jnp.mean(jnp.var(inside, axis=(1, 2))), 1.0, atol=0.03)
    without = style.modulated_conv(x, kernel, styles, demodulate=False)
    assert float(jnp.max(jnp.var(without, axis=(1, 2)))) > 1e4


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_equalised_learning_rates(rate):
    """The same function at first, however wide; a step of size s on a parameter moves the weight by s * rate * He's."""
    layer, x = style.EqualDense(300, rate), jnp.asarray(RNG.normal(size=(500, 64)), jnp.float32)
    params = layer.init(KEY, x)["params"]
    np.testing.assert_allclose(jnp.std(params["kernel"]), 1 / rate, rtol=0.03)
    np.testing.assert_allclose(jnp.var(layer.apply({"params": params}, x)), 1.0, rtol=0.1)
    moved = params | {"kernel": params["kernel"].at[3, 7].add(1.0), "bias": params["bias"].at[9].add(1.0)}
    change = layer.apply({"params": moved}, x) - layer.apply({"params": params}, x)
    np.testing.assert_allclose(change[:, 7], x[:, 3] * rate / 8, rtol=1e-2, atol=1e-5)
    np.testing.assert_allclose(change[:, 9], rate, rtol=1e-2)
    conv = style.EqualConv(5, 3)
    image = jnp.asarray(RNG.normal(size=(4, 32, 32, 7)), jnp.float32)
    variables = conv.init(KEY, image)
    np.testing.assert_allclose(jnp.std(variables["params"]["kernel"]), 1.0, rtol=0.2)
    np.testing.assert_allclose(jnp.var(conv.apply(variables, image)[:, 1:-1, 1:-1]), 1.0, rtol=0.3)


def test_noise_is_each_examples_own():
    keys, sizes = random.example_keys(KEY, 3), [(4, 8), (64, 64)]
    drawn = style.layer_noise(keys, sizes)
    assert [part.shape for part in drawn] == [(3, 4, 8), (3, 64, 64)]
    for a, b in zip(drawn, style.layer_noise(keys[1:], sizes), strict=True):
        np.testing.assert_array_equal(a[1:], b)
    np.testing.assert_allclose(np.cov(drawn[1].reshape(3, -1)), np.eye(3), atol=0.1)
    assert [part.shape for part in style.layer_noise(None, sizes)] == [(1, 4, 8), (1, 64, 64)]

    layer = style.StyleConv(4)
    x, w = jnp.ones((3, 4, 8, 2)), jnp.ones((3, 5))
    params = layer.init(KEY, x, w, drawn[0])["params"]
    without = layer.apply({"params": params}, x, w, drawn[0])
    np.testing.assert_array_equal(without, layer.apply({"params": params}, x, w, 0 * drawn[0]))
    loud = {"params": params | {"noise": jnp.asarray(10.0), "bias": jnp.full(4, 1e4)}}  # above the bend
    change = layer.apply(loud, x, w, drawn[0]) - layer.apply(loud, x, w, 0 * drawn[0])
    np.testing.assert_allclose(change / 2**0.5, jnp.repeat(10 * drawn[0][..., None], 4, -1), rtol=1e-2, atol=1e-2)


def deviations(x, group):
    """Karras et al. 2018, section 3: the deviation of each feature and place over a group, averaged."""
    groups = x.astype(np.float64).reshape(-1, group, x[0].size)
    return np.repeat(np.sqrt(((groups - groups.mean(1, keepdims=True)) ** 2).mean(1)).mean(1), group)


def test_minibatch_deviation_is_of_groups_of_neighbours():
    x = RNG.normal(size=(12, 4, 4, 3)).astype(np.float32)
    got = style.minibatch_deviation(jnp.asarray(x), 4)
    np.testing.assert_array_equal(got[..., :3], x)
    np.testing.assert_allclose(got[..., 3], np.broadcast_to(deviations(x, 4)[:, None, None], (12, 4, 4)), rtol=1e-4)
    np.testing.assert_allclose(
        style.minibatch_deviation(jnp.asarray(x[:6]), 4)[:, 0, 0, 3], deviations(x[:6], 2), rtol=1e-4
    )


@pytest.mark.parametrize("group", [2, 4, 16])
def test_minibatch_deviation_on_eight_devices_is_that_on_one(group):
    x = jnp.asarray(RNG.normal(size=(32, 4, 4, 3)), jnp.float32)
    expected = style.minibatch_deviation(x, group)
    mesh = jax.make_mesh((8,), ("data",), (AxisType.Auto,))
    sharded = jax.device_put(x, NamedSharding(mesh, P("data")))
    np.testing.assert_allclose(jax.jit(lambda x: style.minibatch_deviation(x, group))(sharded), expected, rtol=1e-6)
    function = lambda x: style.minibatch_deviation(x, group, "data")
    mapped = jax.shard_map(function, mesh=mesh, in_specs=P("data"), out_specs=P("data"))
    if group == 16:
        with pytest.raises(ga.UserError, match="no groups of 16"):
            jax.jit(mapped)(x)
    else:
        np.testing.assert_allclose(jax.jit(mapped)(x), expected, rtol=1e-6)
