"""Spectral normalisation against the singular value decomposition and PyTorch's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.nn import conv, embed, spectral

KEY = jax.random.key(0)
IMAGES = jax.random.normal(jax.random.key(1), (4, 9, 7, 5))


def started(layer, *args):
    variables = layer.init(KEY, *args)
    return variables["params"], variables[spectral.COLLECTION]


def iterated(layer, params, collection, *args, times=1):
    for _ in range(times):
        variables = {"params": params, spectral.COLLECTION: collection}
        output, changed = layer.apply(variables, *args, mutable=[spectral.COLLECTION])
        collection = changed[spectral.COLLECTION]
    return output, collection


def test_u_converges_to_the_singular_vector():
    matrix = np.random.default_rng(0).normal(size=(60, 20))
    _, values, right = np.linalg.svd(matrix)
    u = np.ones(20) / np.sqrt(20)
    estimates = []
    for _ in range(300):
        estimates.append(float(spectral.sigma(matrix, u)))
        u = spectral.iterate(jnp.asarray(matrix, jnp.float32), u)
    np.testing.assert_allclose(np.sort(estimates), estimates, rtol=1e-6)  # from below
    np.testing.assert_allclose(estimates[-1], values[0], rtol=1e-6)
    np.testing.assert_allclose(abs(u @ right[0]), 1, rtol=1e-5)


def test_a_fresh_layer_is_near_its_sigma():
    params, collection = started(spectral.Conv(32, (3, 3)), IMAGES)
    matrix = params["kernel"].reshape(-1, 32)
    got = spectral.sigma(matrix, collection["kernel_u"])
    np.testing.assert_allclose(got, np.linalg.svd(matrix)[1][0], rtol=0.05)
    np.testing.assert_allclose(jnp.linalg.norm(collection["kernel_u"]), 1, rtol=1e-6)


def test_u_moves_only_where_its_collection_is_mutable():
    layer = spectral.Conv(6, (3, 3))
    params, collection = started(layer, IMAGES)
    variables = {"params": params, spectral.COLLECTION: collection}
    still, moved = layer.apply(variables, IMAGES), iterated(layer, params, collection, IMAGES)
    assert float(jnp.max(jnp.abs(moved[1]["kernel_u"] - collection["kernel_u"]))) > 1e-5
    expected = spectral.iterate(params["kernel"].reshape(-1, 6), collection["kernel_u"])
    np.testing.assert_allclose(moved[1]["kernel_u"], expected, rtol=1e-6)
    # The pass that moves u already divides by what the new u sees.
    variables[spectral.COLLECTION] = moved[1]
    np.testing.assert_array_equal(layer.apply(variables, IMAGES), moved[0])
    assert not np.allclose(still, moved[0], rtol=1e-5)


@pytest.mark.parametrize(("layer", "plain", "inputs"), [
    (spectral.Conv(6, (3, 3), (2, 2)), conv.Conv(6, (3, 3), (2, 2)), IMAGES),
    (spectral.Dense(6), nn.Dense(6), IMAGES),
])  # fmt: skip
def test_a_converged_layer_has_a_kernel_of_norm_one(layer, plain, inputs):
    params, collection = started(layer, inputs)
    output, _ = iterated(layer, params, collection, inputs, times=200)
    kernel = params["kernel"].reshape(-1, 6)
    divided = params | {"kernel": params["kernel"] / np.linalg.svd(kernel)[1][0]}
    np.testing.assert_allclose(output, plain.apply({"params": divided}, inputs), rtol=1e-4, atol=1e-5)


def test_embedding_tables_are_divided_one_by_one():
    layer = spectral.ConditionEmbed((("a", 3), ("b", 5)), 4, 10.0)
    condition = {"a": jnp.array([0, 2]), "b": jnp.array([-1, 4])}
    params, collection = started(layer, condition, 2)
    (a, b), _ = iterated(layer, params, collection, condition, 2, times=200)
    for name, got, rows in (("a", a, [0, 2]), ("b", b, [5, 4])):
        table = np.asarray(params[name])
        np.testing.assert_allclose(got, (table / np.linalg.svd(table)[1][0])[rows], rtol=1e-4, atol=1e-6)
    assert jax.tree.structure(params) == jax.tree.structure(
        embed.ConditionEmbed((("a", 3), ("b", 5)), 4).init(KEY, condition, 2)["params"]
    )


def torch_layer(torch, kind, params, u):
    """PyTorch's layer with the same parameters and u, and the v that goes with it."""
    if kind == "conv":
        layer = torch.nn.Conv2d(5, 6, 3, padding=1)
        weight = np.array(params["kernel"]).transpose(3, 2, 0, 1)
    else:
        layer = torch.nn.Linear(5, 6)
        weight = np.array(params["kernel"]).T
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(np.array(params["bias"])))
    layer = torch.nn.utils.parametrizations.spectral_norm(layer)
    norm = layer.parametrizations.weight[0]
    with torch.no_grad():
        norm._u.copy_(torch.tensor(np.array(u)))
        norm._v.copy_(torch.nn.functional.normalize(torch.tensor(weight.reshape(6, -1)).T @ norm._u, dim=0))
    return layer, norm


@pytest.mark.parametrize("advance", [True, False])
@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_parity_with_pytorch(kind, advance):
    """Output, u, and gradients with respect to the kernel and the input, given equal u."""
    torch = pytest.importorskip("torch")
    layer = spectral.Conv(6, (3, 3)) if kind == "conv" else spectral.Dense(6)
    params, _ = started(layer, IMAGES)
    params = jax.tree.map(lambda x: x + 0.1, params)
    u = jax.random.normal(jax.random.key(2), (6,))  # far from converged, so that its use shows
    collection = {"kernel_u": u / jnp.linalg.norm(u)}
    cotangent = jax.random.normal(jax.random.key(3), (4, 9, 7, 6))

    def objective(params, x):
        variables = {"params": params, spectral.COLLECTION: collection}
        output, changed = layer.apply(variables, x, mutable=[spectral.COLLECTION] if advance else [])
        return jnp.sum(output * cotangent), (output, changed.get(spectral.COLLECTION, collection)["kernel_u"])

    (grads, x_grad), (output, u_after) = jax.grad(objective, argnums=(0, 1), has_aux=True)(params, IMAGES)

    theirs, norm = torch_layer(torch, kind, params, collection["kernel_u"])
    theirs.train(advance)
    nchw = (lambda a: np.moveaxis(a, -1, 1)) if kind == "conv" else (lambda a: a)
    nhwc = (lambda a: np.moveaxis(a, 1, -1)) if kind == "conv" else (lambda a: a)
    x = torch.tensor(nchw(np.array(IMAGES)), requires_grad=True)
    result = theirs(x)
    result.backward(torch.tensor(nchw(np.array(cotangent))))
    np.testing.assert_allclose(output, nhwc(result.detach().numpy()), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(u_after, norm._u.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(x_grad, nhwc(x.grad.numpy()), rtol=1e-4, atol=1e-5)
    weight = theirs.parametrizations.weight.original.grad.numpy()
    weight = weight.transpose(2, 3, 1, 0) if kind == "conv" else weight.T
    np.testing.assert_allclose(grads["kernel"], weight, rtol=1e-3, atol=1e-4)


def test_half_precision_divides_in_float32():
    """sigma is that of the float32 kernel; only the convolution is in bfloat16."""
    full, half = spectral.Conv(6, (3, 3)), spectral.Conv(6, (3, 3), dtype=jnp.bfloat16)
    params, collection = started(full, IMAGES)
    _, a = iterated(full, params, collection, IMAGES)
    output, b = iterated(half, params, collection, IMAGES)
    assert output.dtype == jnp.bfloat16
    np.testing.assert_array_equal(a["kernel_u"], b["kernel_u"])
