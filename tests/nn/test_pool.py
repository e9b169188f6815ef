"""`genart_jax.nn.pool` against `flax.linen`: values, gradients at ties, second derivatives, transformations."""

import functools

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from genart_jax.nn.pool import LONGEST, avg_pool, max_pool

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

OUTSIDE = functools.partial(avg_pool, count_include_pad=False)
PAIRS = {
    "max": (max_pool, flax.linen.max_pool),
    "avg": (avg_pool, flax.linen.avg_pool),
    "avg inside": (OUTSIDE, functools.partial(flax.linen.avg_pool, count_include_pad=False)),
}


def tied(seed, shape, dtype="float32"):
    """Few different values, so that most windows have several largest."""
    return jnp.asarray(np.random.default_rng(seed).integers(-2, 2, shape), dtype)


def derivatives(pool):
    """The value, its gradient, and the gradient of a penalty on that gradient."""

    def penalty(x):
        value, pullback = jax.vjp(pool, x)
        weight = jnp.cos(jnp.arange(value.size, dtype=value.dtype)).reshape(value.shape)
        (slope,) = pullback(weight + value**2)
        return (slope**2).sum(), (value, slope)

    return jax.grad(penalty, has_aux=True)


@st.composite
def cases(draw):
    """(size, window, strides, padding): every window reaches into the image, so that no average is 0 / 0."""
    size, window, stride, pads = [], [], [], []
    for _ in range(2):
        k = draw(st.integers(1, 4))
        size.append(draw(st.integers(k, 8)))
        window.append(k)
        stride.append(draw(st.sampled_from([k, k, 1, 2, 3])))
        pads.append((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))))
    return tuple(size), tuple(window), tuple(stride), draw(st.sampled_from(["VALID", "SAME", tuple(pads)]))


@settings(max_examples=2, deadline=None, derandomize=True)
@given(cases())
@example(((7, 5), (2, 2), (2, 2), "VALID"))
@example(((7, 5), (2, 3), (2, 3), "SAME"))
@example(((6, 7), (3, 3), (2, 2), ((1, 1), (1, 1))))
@example(((5, 6), (3, 2), None, "SAME"))
def test_equals_flax_with_ties_and_second_derivatives(case):
    size, *args = case
    x = tied(0, (2, *size, 2))

    def both(x):
        for mine, theirs in PAIRS.values():
            value, pullback = jax.vjp(lambda x, f=theirs: f(x, *args), x)
            # The second derivative of `lax` picks other elements at ties than its first: the Jacobian is the reference.
            (jacobian,) = jax.vmap(pullback)(jnp.eye(value.size).reshape(-1, *value.shape))
            want = derivatives(
                lambda x, a=jacobian, shape=value.shape: (a.reshape(len(a), -1) @ x.ravel()).reshape(shape)
            )
            yield derivatives(lambda x, f=mine: f(x, *args))(x), (want(x), value)

    for (second, (value, slope)), ((want_second, (_, want_slope)), want_value) in jit(lambda x: list(both(x)))(x):
        np.testing.assert_allclose(value, want_value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(slope, want_slope, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(second, want_second, rtol=1e-4, atol=1e-3)


def test_the_first_of_equals_takes_the_gradient():
    x = jnp.zeros((1, 5, 4, 1))
    slope = jit(jax.grad(lambda x: max_pool(x, (2, 2), (2, 2)).sum()))(x)
    np.testing.assert_array_equal(slope[0, ..., 0], [[1, 0, 1, 0], [0] * 4, [1, 0, 1, 0], [0] * 4, [0] * 4])
    # Of two in different rows and columns, the upper right comes before the lower left.
    x = jnp.asarray([[0.0, 1.0], [1.0, 0.0]])[None, ..., None]
    slope = jax.grad(lambda x: max_pool(x, (2, 2)).sum())(x)
    np.testing.assert_array_equal(slope[0, ..., 0], [[0, 1], [0, 0]])


def test_values_that_are_not_finite():
    x = tied(0, (2, 4, 4, 2)).at[0, 0, 0, 0].set(jnp.nan).at[0, 2, 3, 1].set(jnp.nan).at[1, :2, :2].set(-jnp.inf)
    for args in [((2, 2), (2, 2)), ((3, 3), (1, 1), "SAME")]:
        got, want = jit(lambda x, args=args: (max_pool(x, *args), flax.linen.max_pool(x, *args)))(x)
        np.testing.assert_array_equal(got, want)


def test_other_ranks_types_and_sizes():
    cases = [
        ((8, 3), (2,), (2,)),
        ((2, 3, 8, 3), (2,), (3,)),
        ((4, 6, 5, 1), (2, 3, 2), (2, 3, 2)),
        ((2, LONGEST + 4, 1, 1), (LONGEST + 1, 1), (1, 1)),
        ((2, 16, 16, 1), (16, 16), (16, 16)),
        ((2, 3, 3, 1), (4, 4), None),
    ]
    xs = [tied(1, shape) for shape, _, _ in cases]
    got, want = (
        jit(lambda xs, i=i: [p[i](x, *c[1:]) for p in PAIRS.values() for x, c in zip(xs, cases, strict=True)])(xs)
        for i in (0, 1)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)
    half = max_pool(tied(1, (2, 4, 4, 3), "bfloat16"), (2, 2), (2, 2))
    assert half.dtype == "bfloat16"
    # The mean of 256 and 24 ones: in half precision 256 + 1 is 256.
    x = jnp.ones((1, 5, 5, 1), "bfloat16").at[0, 0, 0].set(256.0)
    for strides in [(5, 5), (1, 1)]:
        mean = jit(avg_pool, static_argnums=(1, 2))(x, (5, 5), strides).astype("float32")
        np.testing.assert_allclose(mean, 280 / 25, rtol=5e-3)


@pytest.mark.parametrize("name", ["max", "avg"])
def test_transformations(name):
    mine, theirs = PAIRS[name]
    x = tied(2, (3, 8, 6, 6, 2))

    def step(pool, x):
        return x - 0.1 * jax.grad(lambda x: (pool(x, (2, 2), (2, 2)) ** 2).sum() + pool(x, (3, 2), None, "SAME").sum())(
            x
        )

    want = jit(jax.vmap(functools.partial(step, theirs)))(jit(jax.vmap(functools.partial(step, theirs)))(x))
    step = functools.partial(step, mine)
    twice = [
        lambda x: jax.vmap(step)(jax.vmap(step)(x)),
        lambda x: lax.scan(lambda x, _: (step(x.reshape(-1, 6, 6, 2)).reshape(x.shape), None), x, length=2)[0],
        lambda x: lax.cond(x[0, 0, 0, 0, 0] < 9, lambda x: step(step(x)), lambda x: x, x),
        jax.checkpoint(lambda x: step(step(x))),
    ]
    for f in twice:
        np.testing.assert_allclose(jit(f)(x), want, rtol=1e-5, atol=1e-5)
    along = tied(3, x.shape)
    tangents = [
        jit(lambda x, t, f=f: jax.jvp(lambda x: f(x, (2, 2), (2, 2)), (x,), (t,)))(x[0], along[0]) for f in PAIRS[name]
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *tangents)


def test_no_slow_window_operations_are_compiled():
    def text(pool):
        f = derivatives(lambda x: pool(x, (2, 2), (2, 2)))
        return jax.jit(lambda x: lax.scan(lambda x, _: (f(x)[0], None), x, length=2)[0]).lower(jnp.ones((2, 4, 4, 2)))

    slow = ("reduce_window", "select_and_scatter")
    assert not any(word in text(max_pool).as_text() for word in slow)
    assert not any(word in text(avg_pool).as_text() for word in slow)
    assert any(word in text(flax.linen.max_pool).as_text() for word in slow)  # the words are those of the operations


def test_devices():
    assert jax.device_count() == 8, "tests/conftest.py sets eight devices"
    x, spec = tied(4, (8, 4, 4, 2)), jax.sharding.PartitionSpec("data")

    def slope(x):
        return jax.grad(lambda x: (max_pool(x, (2, 2), (2, 2)) * avg_pool(x, (3, 3), (2, 2), "SAME")).sum())(x)

    want = jit(slope)(x)
    for kind in (jax.sharding.AxisType.Explicit, jax.sharding.AxisType.Auto):
        mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
        with jax.set_mesh(mesh):
            got = jit(slope)(jax.device_put(x, jax.sharding.NamedSharding(mesh, spec)))
        assert got.sharding.spec[0] == "data"
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    mapped = jax.shard_map(slope, mesh=mesh, in_specs=spec, out_specs=spec)
    np.testing.assert_allclose(jit(mapped)(x), want, rtol=1e-5, atol=1e-6)


def test_wrong_input_is_named():
    for args in [((2, 2), (2,)), ((2, 2), (2, 2), ((0, 0),)), ((2, 2), (2, 2), ((0,), (0,))), ((2,) * 4,)]:
        with pytest.raises(ValueError, match=r"as many strides.*got shape \(2, 4, 4, 1\), window \(2"):
            max_pool(jnp.zeros((2, 4, 4, 1)), *args)
