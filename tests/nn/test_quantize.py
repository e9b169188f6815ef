"""Quantisers: nearest codes, straight-through gradients, the codebook's averages, revival, levels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from genart_jax.nn.quantize import FiniteScalarQuantizer, VectorQuantizer

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
CENTRES = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0], [-4.0, 0.0, 0.0]])


def start(module, z, **codebook):
    variables = module.init(KEY, z)
    values = {name: jnp.asarray(value, jnp.float32) for name, value in codebook.items()}
    return {"codebook": {**variables["codebook"], **values}}


def clusters(seed, shape=(6, 4)):
    """Vectors near one of the first three centres, and which."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 3, shape)
    return (CENTRES[which] + rng.normal(0, 0.1, (*shape, 3))).astype(np.float32), which


def test_the_nearest_vector_is_taken():
    z, book = RNG.normal(size=(5, 3, 2, 4)), RNG.normal(size=(16, 4))
    module = VectorQuantizer(16, 4)
    variables = start(module, jnp.asarray(z, jnp.float32), embedding=book)
    (quantized, codes), _ = module.apply(variables, jnp.asarray(z, jnp.float32))
    nearest = np.linalg.norm(z[..., None, :] - book, axis=-1).argmin(axis=-1)
    np.testing.assert_array_equal(codes, nearest)
    np.testing.assert_allclose(quantized, book[nearest], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(module.apply(variables, codes, method="lookup"), book[nearest], rtol=1e-6)


def test_the_gradient_is_passed_straight_through():
    z, weight = (jnp.asarray(RNG.normal(size=(5, 3, 4)), jnp.float32) for _ in range(2))
    module = VectorQuantizer(16, 4)
    variables = module.init(KEY, z)
    gradient = jax.grad(lambda z: jnp.sum(weight * module.apply(variables, z)[0][0]))(z)
    np.testing.assert_array_equal(gradient, weight)


def test_the_codebook_is_the_closed_form_of_its_moving_averages():
    """N = (1-d) sum d^(t-s) n_s, m likewise, e = m / N with smoothed N (appendix A.1), in float64."""
    decay, steps = 0.9, 7
    module = VectorQuantizer(4, 3, decay)
    variables = start(module, jnp.zeros((6, 4, 3)), embedding=CENTRES)
    count, total = np.zeros(4), np.zeros((4, 3))
    for s in range(steps):
        z, which = clusters(s)
        _, variables = module.apply(variables, jnp.asarray(z), KEY, train=True, mutable=["codebook"])
        share = (1 - decay) * decay ** (steps - 1 - s)
        count += share * np.bincount(which.ravel(), minlength=4)
        np.add.at(total, which.ravel(), share * z.reshape(-1, 3).astype(np.float64))
    got = variables["codebook"]
    np.testing.assert_allclose(got["count"], count, rtol=1e-5)
    np.testing.assert_allclose(got["total"], total, rtol=1e-4, atol=1e-6)
    smooth = (count + 1e-5) / (count.sum() + 4e-5) * count.sum()
    np.testing.assert_allclose(got["embedding"][:3], (total / smooth[:, None])[:3], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(got["embedding"][3], CENTRES[3])  # never taken: it stays


def test_evaluation_changes_nothing():
    z, _ = clusters(0)
    module = VectorQuantizer(4, 3, revive_below=0.5)
    variables = start(module, jnp.asarray(z), embedding=CENTRES)
    _, after = module.apply(variables, jnp.asarray(z), KEY, train=False, mutable=["codebook"])
    for name, value in variables["codebook"].items():
        np.testing.assert_array_equal(after["codebook"][name], value)


def used(module, variables, z):
    return len(np.unique(module.apply(variables, jnp.asarray(z))[0][1]))


def test_dead_codes_become_encodings_and_are_used():
    z, _ = clusters(0)
    far = np.concatenate([CENTRES[:1], np.full((7, 3), 100.0)])
    for share in (0.0, 0.1):
        module = VectorQuantizer(8, 3, revive_below=share)
        variables = start(module, jnp.asarray(z), embedding=far)
        assert used(module, variables, z) == 1
        _, variables = module.apply(variables, jnp.asarray(z), KEY, train=True, mutable=["codebook"])
        book = np.asarray(variables["codebook"]["embedding"])
        if share:
            distance = np.abs(book[1:, None] - z.reshape(-1, 3)).max(axis=-1).min(axis=-1)
            np.testing.assert_array_equal(distance, 0)
        assert (used(module, variables, z) >= 7) == bool(share)


def test_codes_in_use_are_left_alone():
    z, _ = clusters(0, (8, 8))
    module = VectorQuantizer(4, 3, revive_below=0.1)
    variables = start(module, jnp.asarray(z), embedding=CENTRES)
    _, variables = module.apply(variables, jnp.asarray(z), KEY, train=True, mutable=["codebook"])
    moved = np.abs(np.asarray(variables["codebook"]["embedding"]) - CENTRES).max(axis=1)
    assert (moved[:3] < 0.2).all()
    assert moved[3] > 1


def test_devices_share_one_codebook():
    """Averages and revival are of the whole batch, however it is split."""
    z, _ = clusters(1, (16, 4))
    z = jnp.asarray(z)
    plain, split = (VectorQuantizer(32, 3, revive_below=0.2, axis_name=axis) for axis in (None, "data"))
    variables = plain.init(KEY, z)
    train = lambda module, v, z: module.apply(v, z, KEY, train=True, mutable=["codebook"])[1]
    mesh = jax.make_mesh((8,), ("data",), (AxisType.Auto,))
    mapped = jax.jit(
        jax.shard_map(functools.partial(train, split), mesh=mesh, in_specs=(P(), P("data")), out_specs=P())
    )
    expected, got = variables, variables
    for _ in range(3):
        expected, got = train(plain, expected, z), mapped(got, z)
    for name, value in expected["codebook"].items():
        np.testing.assert_allclose(got["codebook"][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("levels", [(3, 4, 5), (8, 5), (7,)])
def test_levels_are_a_bijection(levels):
    module, num = FiniteScalarQuantizer(levels), int(np.prod(levels))
    z = jnp.asarray(RNG.normal(0, 3, (20_000, len(levels))), jnp.float32)
    (quantized, codes), _ = module.apply({}, z)
    assert set(np.unique(codes)) == set(range(num))
    np.testing.assert_allclose(module.apply({}, codes, method="lookup"), quantized, atol=1e-6)
    vectors = np.asarray(module.apply({}, jnp.arange(num), method="lookup"))
    assert len(np.unique(vectors, axis=0)) == num
    assert np.abs(vectors).max() <= 1
    for i, count in enumerate(levels):
        assert len(np.unique(vectors[:, i])) == count
    (zero, _), _ = module.apply({}, jnp.zeros((1, len(levels))))
    np.testing.assert_array_equal(zero, 0)


def test_levels_pass_the_gradient_of_their_bound():
    """d/dz of tanh(z + shift) half / (L // 2), in float64: rounding counts as the identity."""
    levels = np.array([4, 5])
    z = RNG.normal(size=(10, 2))
    gradient = jax.grad(lambda z: jnp.sum(FiniteScalarQuantizer((4, 5)).apply({}, z)[0][0]))(jnp.float32(z))
    half = (levels - 1) * 0.999 / 2
    shift = np.arctanh(np.where(levels % 2, 0, 0.5) / half)
    np.testing.assert_allclose(gradient, half / (levels // 2) / np.cosh(z + shift) ** 2, rtol=1e-4)
