"""Every form, layer and derivative of `genart_jax.nn.conv` against `lax` and `flax.linen`."""

import dataclasses
import functools
import re

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from genart_jax.nn.conv import Conv, ConvTranspose, choose, chunks, conv, conv_transpose, forms, primitives, winograd
from genart_jax.nn.conv.choice import FORMS, SHIFTS
from genart_jax.nn.conv.geometry import Geometry, canonical
from genart_jax.train.bench import count_flops

# The tests compile many small functions once: LLVM's optimisations cost more than they save.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
pytestmark = pytest.mark.newest
few = settings(max_examples=40, deadline=None, derandomize=True)


def normal(seed, shape, dtype="float32"):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def assert_close(got, want, tolerance=3e-5):
    """Float32 rounding: relative to the largest value of each array."""
    jax.tree.map(lambda g, w: _assert_close(g, w, tolerance), got, want)


def _assert_close(got, want, tolerance):
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    want = np.asarray(want, "float64")
    np.testing.assert_allclose(np.asarray(got, "float64"), want, rtol=0, atol=tolerance * max(1, abs(want).max()))


# --- the forms


def axis():
    """Size, kernel, stride, (low, high) padding, dilation of one spatial axis, with an output."""
    pad = st.integers(-1, 3)
    axes = st.tuples(st.integers(4, 7), st.integers(1, 5), st.integers(1, 3), st.tuples(pad, pad), st.integers(1, 2))
    return axes.filter(lambda a: a[0] + sum(a[3]) >= (a[1] - 1) * a[4] + 1)


@st.composite
def geometries(draw, dims=(1, 2, 2, 3)):
    axes = [draw(axis()) for _ in range(draw(st.sampled_from(dims)))]
    return Geometry(*(tuple(column) for column in zip(*axes, strict=True)))


def reference(g, x, w):
    """`lax` on an image that is padded before: the CPU backend misreads negative padding (jax 0.10.2)."""
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*p, 0) for p in g.padding), (0, 0, 0)])
    return lax.conv_general_dilated(
        x, w, g.strides, "VALID", None, g.dilation, canonical(g.ndim), feature_group_count=g.groups
    )


def by_hand(operation, a, b, g):
    """The definition of the three operations, tap by tap in float64."""
    padded = tuple(n + max(lo, 0) + max(hi, 0) for n, (lo, hi) in zip(g.size, g.padding, strict=True))
    x = np.zeros((2, *padded, 2))
    inside = (slice(None), *(slice(max(lo, 0), max(lo, 0) + n) for n, (lo, _) in zip(g.size, g.padding, strict=True)))
    x[inside] = a if operation != "transpose" else 0
    w = np.asarray(b if operation != "weight" else np.zeros((*g.kernel, 2, 3)), "float64")
    y = np.asarray({"conv": np.zeros((2, *g.out, 3)), "transpose": a, "weight": b}[operation], "float64")
    for tap in g.taps():
        starts = [k * d + max(-lo, 0) for k, d, (lo, _) in zip(tap, g.dilation, g.padding, strict=True)]
        axes = zip(starts, g.out, g.strides, strict=True)
        at = (slice(None), *(slice(start, start + (o - 1) * s + 1, s) for start, o, s in axes))
        if operation == "conv":
            y += x[at] @ w[tap]
        elif operation == "transpose":
            x[at] += y @ w[tap].T
        else:
            w[tap] += x[at].reshape(-1, 2).T @ y.reshape(-1, 3)
    return {"conv": y, "transpose": x[inside], "weight": w}[operation]


@pytest.mark.parametrize(("operation", "name"), [(op, name) for op, table in FORMS.items() for name in table])
@settings(few, max_examples=6)
@given(geometries())
@example(Geometry((4,), (4,), (1,), ((-1, 1),), (1,)))
@example(Geometry((7, 5), (2, 3), (1, 2), ((2, -1), (-1, 0)), (2, 1)))
def test_forms_equal_the_definition(operation, name, g):
    shapes = {"x": (2, *g.size, 2), "w": (*g.kernel, 2, 3), "y": (2, *g.out, 3)}
    first, second = {"conv": "xw", "transpose": "yw", "weight": "xy"}[operation]
    a, b = normal(0, shapes[first]), normal(1, shapes[second])
    got = jit(lambda a, b: FORMS[operation][name](a, b, g))(a, b)
    assert_close(got, by_hand(operation, a, b, g).astype("float32"))


@pytest.mark.parametrize("eigen", [False, True])
@pytest.mark.parametrize(("batch", "parts"), [(6, 1), (7, 2), (12, 3)])
def test_chunks_add_up(monkeypatch, batch, parts, eigen):
    monkeypatch.setattr(chunks, "POSITIONS", 30)  # of 12 in an image: chunks of 2, or single images of 7
    monkeypatch.setattr(chunks, "SHARED_POSITIONS", 8)
    g = Geometry((7, 5), (3, 3), (2, 1), ((1, 1), (0, 1)), (1, 1), parts=parts, eigen=eigen)
    x, y, w = normal(0, (batch, 7, 5, 3)), normal(1, (batch, *g.out, 3)), normal(2, (3, 3, 3, 3))
    for table, groups in [(FORMS, 1), (SHIFTS, 3)]:
        one, kernel = dataclasses.replace(g, groups=groups), w[:, :, : 3 // groups]
        weight, transpose = (table[op]["chunks"] if groups == 1 else table[op] for op in ("weight", "transpose"))
        got = jit(lambda x, y, w, f=weight, h=transpose, g=one: (f(x, y, g), h(y, w, g)))
        # Of several devices, weight gradients are added up once, so that only the transpose has a loop.
        assert ("while" in got.lower(x, y, kernel).as_text()) == (parts == 1 or groups == 1)
        want = FORMS["weight"]["lax"](x, y, one), FORMS["transpose"]["lax"](y, kernel, one)
        assert_close(got(x, y, kernel), want)


@pytest.mark.parametrize(("kernel", "stride", "products"), [(4, 2, 9 / 16), (3, 1, 16 / 36), (6, 2, 16 / 36)])
def test_winograd_has_fewer_products_and_is_as_exact(monkeypatch, kernel, stride, products):
    monkeypatch.setattr(winograd, "POSITIONS", 40)  # of 16: chunks of two images
    g = Geometry((4 * stride,) * 2, (kernel,) * 2, (stride,) * 2, ((1, kernel - stride - 1),) * 2, (1, 1))
    shapes = {"x": (4, *g.size, 128), "w": (*g.kernel, 128, 64), "y": (4, *g.out, 64)}
    for operation, table in FORMS.items():
        pair = {"conv": "xw", "transpose": "yw", "weight": "xy"}[operation]
        args = [normal(seed, shapes[name]) for seed, name in enumerate(pair)]
        compute = lambda form, table=table: functools.partial(table[form], g=g)
        direct = jax.make_jaxpr(functools.partial(getattr(primitives, operation).bind, geometry=g))(*args)
        assert count_flops(jax.make_jaxpr(compute("winograd"))(*args).jaxpr) == products * count_flops(direct.jaxpr)
        with jax.enable_x64(True):
            want = np.asarray(jit(compute("lax"))(*(a.astype("float64") for a in args)))
        error = {form: abs(np.asarray(jit(compute(form))(*args)) - want).max() for form in ("lax", "winograd")}
        assert error["winograd"] < 8 * error["lax"] < 1e-4 * np.abs(want).max()


def test_winograd_is_for_many_channels_and_images():
    name = lambda kernel, stride, inputs, outputs, images: choose(
        "transpose", Geometry((16, 16), (kernel,) * 2, (stride,) * 2, ((1, 1),) * 2, (1, 1)), inputs, outputs, images
    )
    assert name(3, 1, 128, 128, 64) == name(4, 2, 64, 128, 64) == "winograd"
    assert "winograd" not in (name(3, 1, 64, 64, 64), name(3, 1, 128, 128, 2), name(3, 1, 128, 128, None))
    assert "winograd" not in (name(4, 2, 32, 128, 64), name(3, 2, 128, 128, 64), name(5, 1, 128, 128, 64))


@pytest.mark.parametrize("eigen", [False, True])
def test_volumes_are_spared_the_slow_forms(eigen):
    """As measured: the transpose by `lax` and kernel gradients by `lax` and `chunks` are 7 to 260 times slower."""
    g = Geometry((16,) * 3, (4,) * 3, (2,) * 3, ((1, 1),) * 3, (1,) * 3, eigen=eigen)
    assert choose("transpose", g, 16, 32) == "chunks"
    assert choose("weight", g, 16, 32) == choose("weight", g, 1, 16) == "sums"
    assert choose("conv", g, 16, 32) == "sums"
    assert choose("conv", g, 64, 128) == "lax"
    assert choose("conv", g, 1, 16) == choose("transpose", g, 1, 16) == "matmul"


@few
@given(geometries(dims=(2,)), st.sampled_from([64, 3, 1]), st.sampled_from([1, 2, 64, 128]), st.booleans())
def test_choose_names_a_form(g, inputs, groups, eigen):
    g = dataclasses.replace(g, groups=groups, eigen=eigen)
    for operation, table in FORMS.items():
        assert choose(operation, g, inputs, 2 * inputs) in {*table, "split"}
        if groups > 1:
            assert choose(operation, g, groups, groups) == "shifts"


def test_forms_refuses_an_unknown_name():
    with pytest.raises(ValueError, match=r"no form conv='fft'; there are conv: lax"), forms(conv="fft"):
        pass


# --- derivatives of the functions


def curvature(f):
    """A function that returns the value of f, its gradient, and the gradient of a penalty on that gradient."""

    def penalty(x, w):
        value, pullback = jax.vjp(f, x, w)
        first = pullback(jnp.cos(value))
        return sum((1 + i) * (g**2).sum() for i, g in enumerate(first)), (value, first)

    return jax.grad(penalty, (0, 1), has_aux=True)


@settings(few, max_examples=6)
@given(geometries(dims=(2,)), st.sampled_from([(1, 2), (2, 4), (2, 2), (3, 3)]))
@example(Geometry((7, 6), (3, 3), (2, 2), ((0, 1), (0, 1)), (1, 1)), (3, 3))
@example(Geometry((6, 7), (5, 5), (1, 2), ((4, 4), (2, 2)), (2, 1)), (3, 3))
def test_conv_and_its_derivatives(g, groups_and_channels):
    groups, channels = groups_and_channels
    g = dataclasses.replace(g, groups=groups)
    x, w = normal(0, (2, *g.size, channels)), normal(1, (*g.kernel, channels // groups, channels))
    options = {"strides": g.strides, "padding": g.padding, "kernel_dilation": g.dilation, "groups": groups}
    got = jit(curvature(functools.partial(conv, **options)))(x, w)
    assert_close(got, jit(curvature(functools.partial(reference, g)))(x, w))


@settings(few, max_examples=7)
@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from(["SAME", "VALID", ((2, 1), (0, 3))]), st.integers(1, 2),
       st.booleans())  # fmt: skip
def test_conv_transpose_and_its_derivatives(kernel, stride, padding, dilation, transposed):
    x, w = normal(0, (2, 3, 4, 2)), normal(1, (kernel, max(1, kernel - 1), 2, 2))
    args = {"padding": padding, "transpose_kernel": transposed}
    mine = functools.partial(conv_transpose, strides=stride, kernel_dilation=dilation, **args)
    theirs = functools.partial(lax.conv_transpose, strides=(stride,) * 2, rhs_dilation=(dilation,) * 2, **args)
    assert_close(jit(curvature(mine))(x, w), jit(curvature(theirs))(x, w))


@pytest.mark.parametrize("groups", [1, 2])
def test_input_dilation(groups):
    x, w = normal(0, (2, 4, 5, 4)), normal(1, (3, 2, 4 // groups, 6))
    options = {"padding": ((2, 1), (1, 3)), "precision": lax.Precision.HIGHEST}
    mine = functools.partial(conv, strides=(1, 2), input_dilation=(2, 3), kernel_dilation=2, groups=groups, **options)
    theirs = functools.partial(
        lax.conv_general_dilated, window_strides=(1, 2), lhs_dilation=(2, 3), rhs_dilation=(2, 2),
        dimension_numbers=canonical(2), feature_group_count=groups, **options,
    )  # fmt: skip
    assert_close(jit(curvature(mine))(x, w), jit(curvature(theirs))(x, w))
    with pytest.raises(ValueError, match="padding must be numbers"):
        conv(x, w, input_dilation=2, groups=groups)


def test_second_derivative_equals_finite_differences():
    with jax.enable_x64(True):
        x, w, v = normal(0, (1, 5, 5, 2), "float64"), normal(1, (4, 4, 2, 2), "float64"), normal(2, (4, 4, 2, 2))
        v = v.astype("float64")

        def penalty(w):
            return (jax.grad(lambda x: jnp.tanh(conv(x, w, strides=2, padding=1)).sum())(x) ** 2).sum()

        slope, step = jax.grad(penalty), 1e-5
        want = (jit(slope)(w + step * v) - jit(slope)(w - step * v)) / (2 * step)
        for second in (lambda w: jax.jvp(slope, (w,), (v,))[1], jax.grad(lambda w: (slope(w) * v).sum())):
            np.testing.assert_allclose(jit(second)(w), want, rtol=1e-6, atol=1e-8)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"\(N, \*S, 3\).*got image \(2, 4, 4, 2\) float32 and kernel \(1, 1, 3, 5\)"):
        conv(jnp.zeros((2, 4, 4, 2)), jnp.zeros((1, 1, 3, 5)))
    with pytest.raises(ValueError, match="padding must be a name"):
        conv(jnp.zeros((2, 4, 4, 3)), jnp.zeros((1, 1, 3, 5)), padding=((1, 1),))


# --- the layers

LAYERS = [
    ("Conv", {"kernel_size": (3, 3)}),
    ("Conv", {"kernel_size": (4, 4), "strides": 2, "padding": 1, "use_bias": False}),
    ("Conv", {"kernel_size": (3, 2), "strides": (2, 1), "padding": "VALID", "kernel_dilation": 2}),
    ("Conv", {"kernel_size": (3, 3), "padding": (1, (2, 0)), "feature_group_count": 2}),
    ("Conv", {"kernel_size": (3, 3), "padding": "CIRCULAR", "bias_init": flax.linen.initializers.ones}),
    ("Conv", {"kernel_size": (3, 4), "padding": "REFLECT"}),
    ("Conv", {"kernel_size": (3, 3), "input_dilation": 2, "padding": 2}),
    ("Conv", {"kernel_size": (3, 3), "dtype": jnp.bfloat16}),
    ("ConvTranspose", {"kernel_size": (4, 4), "strides": (2, 2)}),
    ("ConvTranspose", {"kernel_size": (3, 3), "strides": (2, 2), "padding": "VALID", "use_bias": False}),
    ("ConvTranspose", {"kernel_size": (4, 4), "strides": (2, 2), "padding": ((2, 2), (1, 3))}),
    ("ConvTranspose", {"kernel_size": (3, 2), "padding": 1, "kernel_dilation": (1, 2)}),
    ("ConvTranspose", {"kernel_size": (4, 3), "strides": (2, 2), "transpose_kernel": True}),
    ("ConvTranspose", {"kernel_size": (5, 5), "strides": (2, 2), "param_dtype": jnp.bfloat16}),
]


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=lambda v: v if isinstance(v, str) else "")
def test_layers_are_drop_ins_for_flax(name, options):
    mine, theirs = (
        {"Conv": Conv, "ConvTranspose": ConvTranspose}[name](6, **options),
        getattr(flax.linen, name)(6, **options),
    )
    x = normal(0, (2, 7, 6, 4))
    params = mine.init(jax.random.key(1), x)
    want = theirs.init(jax.random.key(1), x)
    jax.tree.map(np.testing.assert_array_equal, params, want)  # the same names, shapes and initial values

    def loss(layer, params, x):
        y = layer.apply(params, x)
        return jnp.tanh(y).astype("float32").sum(), y

    both = [jit(jax.grad(functools.partial(loss, layer), (0, 1), has_aux=True))(params, x) for layer in (mine, theirs)]
    assert_close(*both, tolerance=2e-2 if "dtype" in str(options) else 3e-5)


def test_layers_take_other_ranks_and_batches():
    for shape, kernel in [((9, 4), 3), ((2, 3, 9, 4), 3), ((2, 4, 5, 6, 4), (3, 3, 2))]:
        for mine, theirs in [(Conv, flax.linen.Conv), (ConvTranspose, flax.linen.ConvTranspose)]:
            x, layer = normal(0, shape), functools.partial(mine, 2, kernel, strides=(2,) * np.size(kernel))
            params = layer().init(jax.random.key(0), x)
            want = theirs(2, kernel, strides=(2,) * np.size(kernel)).apply(params, x)
            assert_close(layer().apply(params, x), want)
    causal = {"features": 2, "kernel_size": 3, "padding": "CAUSAL", "kernel_dilation": 2}
    params = Conv(**causal).init(jax.random.key(0), normal(0, (2, 9, 4)))
    x = normal(0, (2, 9, 4))
    assert_close(Conv(**causal).apply(params, x), flax.linen.Conv(**causal).apply(params, x))


def test_depthwise_layers_have_no_convolution():
    """One kernel for each channel: as Flax's, in a scan without any convolution, and summed in float32."""
    layers = [
        {"features": 4, "kernel_size": (k, k), "strides": s, "feature_group_count": 4, "dtype": dtype, "padding": pad}
        for k, s, dtype, pad in [(3, 1, None, "SAME"), (5, 2, None, "SAME"), (3, 2, "bfloat16", 1)]
    ]
    x = normal(0, (6, 8, 7, 4))
    params = [Conv(**layer).init(jax.random.key(1), x) for layer in layers]

    def slopes(kind, params, x):
        def loss(p, x, layer):
            return jnp.tanh(kind(**layer).apply(p, x)).astype("float32").sum()

        def penalty(p, layer):
            return (jax.grad(loss, 1)(p, x, layer) ** 2).sum() + loss(p, x, layer)

        return [jax.grad(penalty)(p, layer) for layer, p in zip(layers, params, strict=True)]

    step = jit(lambda p, x: lax.scan(lambda _, x: (slopes(Conv, p, x), None), p, x.reshape(2, 3, *x.shape[1:]))[0])
    compiled = step.lower(params, x).compile()
    assert "convolution(" not in compiled.as_text()
    want = jit(functools.partial(slopes, flax.linen.Conv))(params, x[3:])
    got = compiled(params, x)
    assert_close(got[:2], want[:2])
    assert_close(got[2], want[2], tolerance=3e-2)


# --- the transformations, on a critic with a generator's layer in it


class Net(flax.linen.Module):
    """A strided convolution, a transposed one, one of stride 1, and a score."""

    conv: type = Conv
    transpose: type = ConvTranspose

    @flax.linen.compact
    def __call__(self, x):
        x = flax.linen.leaky_relu(self.conv(4, (4, 4), strides=(2, 2), padding=1)(x), 0.2)
        x = jnp.tanh(self.transpose(3, (4, 4), strides=(2, 2))(x))
        return jnp.tanh(self.conv(2, (3, 3))(x)).sum((1, 2, 3))


def penalty(net, params, x):
    """The critic's loss with WGAN-GP's gradient penalty, mean over examples."""
    slope = jax.grad(lambda x: net.apply(params, x).sum())(x)
    norm = jnp.sqrt((slope**2).sum((1, 2, 3)) + 1e-12)
    return net.apply(params, x).mean() + ((norm - 1) ** 2).mean()


GRADIENT = {"mine": jax.grad(functools.partial(penalty, Net()))}
GRADIENT["flax"] = jax.grad(functools.partial(penalty, Net(flax.linen.Conv, flax.linen.ConvTranspose)))


@functools.cache
def arguments():
    x = normal(0, (8, 8, 8, 2))
    return Net().init(jax.random.key(0), x), x


@functools.cache
def expected():
    return jit(GRADIENT["flax"])(*arguments())


@pytest.mark.parametrize(
    "names",
    [{}, *({op: name} for op, table in FORMS.items() for name in table)],
    ids=lambda names: "-".join(*names.items()) if names else "chosen",
)
def test_every_form_gives_the_penalty_step(names):
    with forms(**names):
        step = jit(lambda params, x: GRADIENT["mine"](params, x))
        assert_close(step(*arguments()), expected())


def test_forward_mode_equals_reverse_mode():
    params, x = arguments()
    loss = functools.partial(penalty, Net(), x=x)
    along = jax.tree.map(lambda p: normal(3, p.shape), params)
    slope = jit(lambda p: jax.jvp(loss, (p,), (along,))[1])(params)
    want = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(along), jax.tree.leaves(expected()), strict=True))
    assert_close(slope, want)

    def score(image, net):
        return net.apply(params, image[None])[0]

    small = x[0, :4, :4]
    hessian = jit(jax.hessian(score), static_argnums=1)
    assert_close(hessian(small, Net()), hessian(small, Net(flax.linen.Conv, flax.linen.ConvTranspose)))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=["seeds", "inputs", "both"])
def test_vmap(axes):
    params, x = arguments()
    if axes[0] == 0:
        params = jax.vmap(lambda key: Net().init(key, x))(jax.random.split(jax.random.key(1), 3))
    if axes[1] == 0:
        x = jnp.stack([x, 2 * x, x - 1])
    mine, theirs = (jit(jax.vmap(GRADIENT[name], axes)) for name in ("mine", "flax"))
    assert_close(mine(params, x), theirs(params, x))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_vmap_of_every_operand_and_order(groups):
    g = Geometry((5, 5), (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1), groups)
    x, w = normal(0, (2, 3, 5, 5, 4)), normal(1, (3, 2, 4 // groups, 2, 4))
    mine = functools.partial(conv, strides=g.strides, padding=g.padding, groups=groups)
    for axes in [(0, None), (None, 3), (0, 3)] if groups == 1 else [(None, 3), (0, 3)]:
        args = [
            a if axis is not None else jnp.take(a, 0, (0, 3)[i])
            for i, (a, axis) in enumerate(zip((x, w), axes, strict=True))
        ]
        # The derivative of the mapped function and the mapped derivative run other rules.
        for transform in (
            lambda f, axes=axes: curvature(jax.vmap(f, axes)),
            lambda f, axes=axes: jax.vmap(curvature(f), axes),
        ):
            assert_close(jit(transform(mine))(*args), jit(transform(functools.partial(reference, g)))(*args))


def test_loops_and_branches():
    params, x = arguments()

    def step(p):
        return jax.tree.map(lambda a, b: a - 0.1 * b, p, GRADIENT["mine"](p, x))

    want = jit(step)(jit(step)(params))
    assert_close(jit(lambda p: lax.scan(lambda p, _: (step(p), None), p, length=2)[0])(params), want)
    assert_close(
        jit(lambda p, n: lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, step(c[1])), (0, p))[1])(params, 2),
        want,
    )
    assert_close(jit(lambda p, t: lax.cond(t, lambda p: step(step(p)), lambda p: p, p))(params, True), want)
    assert_close(jit(jax.grad(jax.checkpoint(functools.partial(penalty, Net()))))(params, x), expected())


def test_bfloat16_keeps_its_type_and_sums_in_float32():
    x, w = normal(0, (4, 8, 8, 16), "bfloat16"), normal(1, (4, 4, 16, 8), "bfloat16")
    f = functools.partial(conv, strides=2)
    for name in [{}, {"transpose": "phases", "weight": "blocks", "conv": "matmul"}]:
        with forms(**name):
            got = [*jit(curvature(f))(x, w)[1][1], f(x, w)]
        want = [
            *jit(curvature(f))(x.astype("float32"), w.astype("float32"))[1][1],
            f(x.astype("float32"), w.astype("float32")),
        ]
        assert {leaf.dtype.name for leaf in got} == {"bfloat16"}
        assert_close([leaf.astype("float32") for leaf in got], want, tolerance=0.03)


@pytest.mark.parametrize("names", [{}, {"conv": "lax", "transpose": "lax", "weight": "lax"}], ids=["chosen", "lax"])
def test_the_penalty_step_in_a_scan_has_only_canonical_convolutions(names):
    params, x = arguments()

    def layouts(gradient):
        step = jit(lambda p, x: lax.scan(lambda p, _: (gradient(p, x), None), p, length=2)[0])
        return set(re.findall(r"convolution\(.*dim_labels=([^ ,]+)", step.lower(params, x).compile().as_text()))

    with forms(**names):
        assert layouts(GRADIENT["mine"]) == {"b01f_01io->b01f"}
    assert len(layouts(GRADIENT["flax"])) > 1  # the pattern finds the others where there are some


# --- eight devices: `jit` over a sharded batch, `shard_map` with its checks, `pmap`


@pytest.fixture
def mesh():
    assert jax.device_count() == 8, "tests/conftest.py sets eight devices"
    return jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


P = jax.sharding.PartitionSpec


def test_devices_sharded_jit(mesh):
    params, x = arguments()
    x = jax.device_put(x, jax.sharding.NamedSharding(mesh, P("data")))
    params = jax.device_put(params, jax.sharding.NamedSharding(mesh, P()))
    assert_close(jit(GRADIENT["mine"])(params, x), expected())


@pytest.mark.parametrize("cast", [True, False])
def test_devices_shard_map(mesh, cast):
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=(P(), P("data")), out_specs=P())
    def step(params, x):
        if cast:
            params = jax.tree.map(lambda a: lax.pcast(a, "data", to="varying"), params)
            return lax.pmean(GRADIENT["mine"](params, x), "data")
        return jax.tree.map(lambda a: a / 8, GRADIENT["mine"](params, x))  # the gradient of unvarying ones is summed

    assert_close(jit(step)(*arguments()), expected())
    if cast:
        forward = jax.shard_map(Net().apply, mesh=mesh, in_specs=(P(), P("data")), out_specs=P("data"))
        assert_close(forward(*arguments()), Net().apply(*arguments()))


def test_devices_pmap(mesh):
    params, x = arguments()
    step = jax.pmap(lambda p, x: lax.pmean(GRADIENT["mine"](p, x), "i"), "i", in_axes=(None, 0), out_axes=None)
    assert_close(step(params, x[:, None]), expected())
