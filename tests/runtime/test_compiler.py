"""`jit` computes what `jax.jit` does, by Eigen's convolutions on CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.nn import conv
from genart_jax.nn.conv import context
from genart_jax.runtime import compiler
from tests import zoo

pytestmark = pytest.mark.newest
cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="no options on GPU and TPU")


def arrays(side, inputs, outputs, kernel):
    keys = jax.random.split(jax.random.key(0))
    return jax.random.normal(keys[0], (8, side, side, inputs)), jax.random.normal(
        keys[1], (kernel, kernel, inputs, outputs)
    )


def gradients(strides):
    """The convolution, its gradients, and the gradient of a penalty on them."""

    def value(x, w):
        y = conv.conv(x, w, strides=strides, padding=1)
        return jnp.sum(jnp.sin(y)), y

    def penalty(x, w):
        first, y = jax.grad(value, (0, 1), has_aux=True)(x, w)
        return sum(jnp.sum(g**2) for g in first), (y, first)

    return jax.grad(penalty, (0, 1), has_aux=True)


# Shapes that reach each form that is another with Eigen: one, few and many input channels, an even and an odd stride.
@pytest.mark.parametrize(
    ("side", "inputs", "outputs", "kernel", "strides"),
    [(16, 1, 8, 3, 1), (8, 3, 8, 3, 1), (8, 24, 32, 3, 1), (16, 16, 24, 4, 2), (9, 16, 64, 3, 2), (9, 16, 24, 3, 2)],
)
def test_it_gives_the_same_numbers(side, inputs, outputs, kernel, strides):
    x, w = arrays(side, inputs, outputs, kernel)
    function = gradients(strides)
    got, want = ga.jit(function)(x, w), jax.jit(function)(x, w)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * float(jnp.max(jnp.abs(b))))


@cpu
def test_convolutions_are_eigens():
    assert compiler.options(), "this XLA does not know the option: look for its new name, or measure again without it"
    x, w = arrays(16, 32, 32, 3)
    apply = lambda x, w: conv.conv(x, w)
    by_library = "convolution(%param"  # a convolution within a fusion that goes to a library
    assert by_library in jax.jit(apply).lower(x, w).compile().as_text()
    assert by_library not in ga.jit(apply).lower(x, w).compile().as_text()


def test_nothing_is_left_behind():
    seen = []
    x, w = arrays(8, 16, 16, 3)
    ga.jit(lambda x, w: seen.append(context._eigen.get()) or conv.conv(x, w))(x, w)
    assert seen == [bool(compiler.options())]
    assert not context._eigen.get()


@cpu
def test_an_xla_without_the_option_is_left_alone(monkeypatch):
    compiler.options.cache_clear()
    monkeypatch.setattr(compiler, "_OPTIONS", {"xla_cpu_no_such_option": "1"})
    try:
        assert compiler.options() == {}
        assert ga.jit(lambda x: x + 1)(1) == 2
    finally:
        compiler.options.cache_clear()


def test_arguments_of_jit_are_passed_on():
    def scale(x, *, factor):
        return x * factor

    jitted = ga.jit(scale, static_argnames="factor", donate_argnums=0)
    assert jitted(jnp.ones(3), factor=2).tolist() == [2, 2, 2]
    assert "scale" in jitted.lower(jnp.ones(3), factor=2).as_text()[:60]


def test_a_program_that_runs_once_gives_the_same_numbers():
    algorithm = zoo.tiny("dcgan")
    key, batch = jax.random.key(0), zoo.full_batch(algorithm, 4)
    got, want = ga.jit(algorithm.init, once=True)(key, batch), jax.jit(algorithm.init)(key, batch)
    for a, b in zip(jax.tree.leaves(got.params), jax.tree.leaves(want.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@cpu
def test_only_what_runs_once_is_compiled_so(monkeypatch):
    monkeypatch.setattr(compiler, "_ONCE", {"xla_cpu_no_such_option": "1"})
    assert ga.jit(lambda x: x + 1)(1) == 2
    with pytest.raises(jax.errors.JaxRuntimeError, match="no_such_option"):
        ga.jit(lambda x: x + 1, once=True)(1)
