"""Convolution layers that train at full speed on CPU, in place of ``flax.linen.Conv`` and ``ConvTranspose``.

XLA's CPU backend is fast for some convolutions and up to a hundred times slower for others that compute the same
sums, and automatic differentiation leads from the first to the second. So convolution is defined here as a family
that is closed under differentiation: the convolution, its transpose in the image and its transpose in the kernel
(the gradient of the weights). The derivatives of each are the other two, hence those of every order are made of the
same three, in reverse mode and forward mode, and each of the three is computed by the fastest exact form for its
backend and shape. `choose` is the one place that decides; `forms` overrules it. See `_conv_forms` for the forms.

The layers take the parameters of Flax's (same names, shapes and initial values) and give the same numbers to
rounding. Images are channels-last, kernels are (*K, in, out). GPU and TPU always run ``lax`` convolutions. Meshes
with Explicit axes run ``lax`` with its own derivatives; Auto and Manual axes (``jit``, ``shard_map``, ``pmap``) take
the forms.
"""

import contextlib
import contextvars
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype, Initializer
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from genart_jax.nn._conv_forms import FORMS, SHIFTS, Geometry, Pair, canonical, split, swap

Ints = int | Sequence[int] | None
Padding = str | int | Sequence[int | Pair]

_overrides: contextvars.ContextVar[tuple[tuple[str, str], ...]] = contextvars.ContextVar("forms", default=())
_parts: contextvars.ContextVar[int] = contextvars.ContextVar("parts", default=1)
_eigen: contextvars.ContextVar[bool] = contextvars.ContextVar("eigen", default=False)


@contextlib.contextmanager
def forms(**names: str) -> Iterator[None]:
    """Overrules `choose` for what is traced inside, on every backend.

    For example ``with forms(conv="lax", transpose="phases", weight="taps"):``. A function that ``jit`` has traced
    before keeps the forms it was traced with.
    """
    for operation, name in names.items():
        if name not in FORMS.get(operation, {}):
            known = "; ".join(f"{key}: {', '.join(value)}" for key, value in FORMS.items())
            raise ValueError(f"no form {operation}={name!r}; there are {known}")
    token = _overrides.set(tuple(sorted({**dict(_overrides.get()), **names}.items())))
    try:
        yield
    finally:
        _overrides.reset(token)


@contextlib.contextmanager
def divided(parts: int) -> Iterator[None]:
    """The batches of what is traced inside lie in so many equal parts, one after another, on as many devices.

    It changes no result. Without it, a form that takes a few images at a time takes them from one device.
    """
    token = _parts.set(parts)
    try:
        yield
    finally:
        _parts.reset(token)


@contextlib.contextmanager
def eigen() -> Iterator[None]:
    """What is traced inside is compiled so that XLA on CPU computes convolutions by Eigen; see `compiler`.

    It changes no result, but which forms are fastest.
    """
    token = _eigen.set(True)
    try:
        yield
    finally:
        _eigen.reset(token)


def choose(operation: str, g: Geometry, inputs: int, outputs: int, images: int | None = None) -> str:
    """The name of the fastest form on CPU, from benchmarks/results/conv_forms.md.

    ``inputs`` and ``outputs`` are the channels of the convolution's x and y, whichever operation it is, ``images`` its
    batch, where that is known.
    """
    if g.groups > 1:
        if g.groups == inputs == outputs and math.prod(g.kernel) <= 64:  # depthwise; each tap is compiled
            return "shifts"
        return "split" if g.groups <= 64 else "lax"
    taps, positions, stride = math.prod(g.kernel), math.prod(g.out), max(g.strides)
    whole = all(r % s == 0 for r, s in zip(g.reach, g.strides, strict=True))
    if outputs >= 8 and stride == 1 and (taps == 1 or positions == 1):
        return "matmul"
    if images is not None and images * positions >= 1024 and _many_channels(operation, g, inputs, outputs):
        return "winograd"
    if operation == "conv":
        if g.eigen and inputs == 1:
            return "matmul"
        if g.eigen and inputs <= 4 and stride > 1 and whole:
            return "blocks"
        return "four" if inputs in (3, 5, 7) and outputs <= 32 else "lax"
    if operation == "weight" and g.eigen:
        return "taps" if taps == 1 else "matmul" if taps * inputs < 16 else "chunks"
    if operation == "weight":
        if 8 <= inputs <= 16 and outputs <= 32 and taps > 1:
            return "lax"  # with so few channels, the images of a chunk are too few to sum over: 16 GF/s against 51
        return "taps" if taps == 1 else "matmul" if taps * inputs < 16 else "chunks"
    if inputs < 8 <= outputs:
        return "matmul"
    if stride == 1 or taps == 1 or outputs < 8:
        return "lax"
    if g.eigen:
        return ("phases" if positions >= 64 else "chunks") if whole else "lax" if outputs >= 64 else "phases"
    return "chunks" if whole else "phases"


def _many_channels(operation: str, g: Geometry, inputs: int, outputs: int) -> bool:
    """Whether `winograd` has fewer products, and channels enough for its sums to cost less than it saves."""
    least, most = sorted((inputs, outputs))
    if g.ndim != 2 or max(g.dilation) > 1 or least < 32 or most < 128:
        return False
    if g.strides == (1, 1):
        return g.kernel == (3, 3)
    if any(k != 2 * s for k, s in zip(g.kernel, g.strides, strict=True)):
        return False
    return least >= 128 or (least >= 64 and operation != "conv" and math.prod(g.out) >= 64)


def _compute(operation: str, platform: str, a: jax.Array, b: jax.Array, g: Geometry) -> jax.Array:
    """Runs the form that `forms` or else `choose` names."""
    inputs = b.shape[-2] * g.groups if operation == "transpose" else a.shape[-1]
    outputs = a.shape[-1] if operation == "transpose" else b.shape[-1]
    # Not known: `jax.export` may leave it open, and in half precision `winograd` would round sums before products.
    images = a.shape[0] if isinstance(a.shape[0], int) and a.dtype.itemsize >= 4 else None
    chosen = choose(operation, g, inputs, outputs, images) if platform == "cpu" else "lax"
    name = dict(g.forms).get(operation) or chosen
    if name == "shifts":
        return SHIFTS[operation](a, b, g)
    if g.groups == 1 or name == "lax":
        return FORMS[operation][name](a, b, g)
    return split(functools.partial(_compute, operation, platform), a, b, g)


# --- the three primitives. Each is bilinear; its transposes are the other two.


def _image_shape(y: Any, w: Any, g: Geometry) -> tuple[int, ...]:
    return (y.shape[0], *g.size, w.shape[-2] * g.groups)


def _output_shape(x: Any, w: Any, g: Geometry) -> tuple[int, ...]:
    return (x.shape[0], *g.out, w.shape[-1])


def _kernel_shape(x: Any, y: Any, g: Geometry) -> tuple[int, ...]:
    return (*g.kernel, x.shape[-1] // g.groups, y.shape[-1])


def _apply(primitive: Primitive, a: jax.Array, b: jax.Array, *, geometry: Geometry) -> jax.Array:
    bind: Any = primitive.bind
    return bind(a, b, geometry=geometry)


def _primitive(operation: str, shape: Callable[..., tuple[int, ...]]) -> Primitive:
    primitive: Any = Primitive(f"genart_{operation}")

    def abstract(a: Any, b: Any, *, geometry: Geometry) -> Any:
        # The update keeps the manual axes that the operands vary over (`_align` made them equal).
        return a.update(shape=shape(a, b, geometry), weak_type=False)

    def lower(platform: str) -> Any:
        def compute(a: jax.Array, b: jax.Array, *, geometry: Geometry) -> jax.Array:
            return _compute(operation, platform, a, b, geometry)

        return mlir.lower_fun(compute, multiple_results=False)

    @functools.partial(jax.jit, static_argnames="geometry")
    def eager(a: jax.Array, b: jax.Array, *, geometry: Geometry) -> jax.Array:
        return _apply(primitive, a, b, geometry=geometry)

    primitive.def_abstract_eval(abstract)
    primitive.def_impl(eager)
    mlir.register_lowering(primitive, lower("other"))
    mlir.register_lowering(primitive, lower("cpu"), platform="cpu")
    return primitive


_conv = _primitive("conv", _output_shape)  # x, w -> y
_transpose = _primitive("transpose", _image_shape)  # y, w -> x
_weight = _primitive("weight", _kernel_shape)  # x, y -> w


def _closed(primitive: Primitive, first: Callable[..., jax.Array], second: Callable[..., jax.Array]) -> None:
    """``first`` and ``second``: the cotangents of the operands, from (cotangent of the result, operands)."""
    define: Any = ad.defbilinear
    define(primitive, first, second)


_closed(_conv, lambda y, x, w, **kw: _apply(_transpose, y, w, **kw), lambda y, x, w, **kw: _apply(_weight, x, y, **kw))
_closed(_transpose, lambda x, y, w, **kw: _apply(_conv, x, w, **kw), lambda x, y, w, **kw: _apply(_weight, x, y, **kw))
_closed(_weight, lambda w, x, y, **kw: _apply(_transpose, y, w, **kw), lambda w, x, y, **kw: _apply(_conv, x, w, **kw))


# --- vmap: a batch of images joins the batch axis, a batch of kernels or of both becomes groups of channels.


def _merge(a: jax.Array, axis: int, to: int) -> jax.Array:
    """Moves the mapped axis in front of the axis that is then ``to`` (negative) and joins the two."""
    a = jnp.moveaxis(a, axis, to - 1)
    at = a.ndim + to
    return a.reshape(*a.shape[: at - 1], -1, *a.shape[at + 1 :])


def _rows(a: jax.Array) -> jax.Array:
    return a.reshape(-1, *a.shape[2:])


def _split(a: jax.Array, axis: int, size: int) -> jax.Array:
    """The inverse of `_merge`: splits ``axis`` (negative) into (size, rest)."""
    at = a.ndim + axis
    return a.reshape(*a.shape[:at], size, -1, *a.shape[at + 1 :])


# For each argument: the channel axis that is not summed over, and where it is in the result.
_FREE = {
    _conv: (None, (-1, -1)),
    _transpose: (None, (-2, -1)),
    _weight: ((-1, -2), (-1, -1)),
}


def _batched(
    primitive: Primitive, args: tuple[jax.Array, jax.Array], dims: tuple[int | None, int | None], *, geometry: Geometry
) -> tuple[jax.Array, int]:
    (a, b), (da, db), g = args, dims, geometry
    size = a.shape[da] if da is not None else b.shape[cast(int, db)]
    if da is not None and db is None and primitive is not _weight:  # the first argument and the result have examples
        out = _apply(primitive, _rows(jnp.moveaxis(a, da, 0)), b, geometry=g)
        return out.reshape(size, -1, *out.shape[1:]), 0
    if g.groups == 1 and (da is None or db is None):
        free = _FREE[primitive][0 if db is None else 1]
        assert free is not None
        into, at = free
        a, b = (a, _merge(b, cast(int, db), into)) if da is None else (_merge(a, da, into), b)
        out = _split(_apply(primitive, a, b, geometry=g), at, size)
        return out, out.ndim + at - 1
    a, b = (
        jnp.broadcast_to(v, (size, *v.shape)) if d is None else jnp.moveaxis(v, d, 0) for v, d in ((a, da), (b, db))
    )
    out = _apply(primitive, _merge(a, 0, -1), _merge(b, 0, -1), geometry=dataclasses.replace(g, groups=g.groups * size))
    out = _split(out, -1, size)
    return out, out.ndim - 2


for _each in _FREE:
    batching.primitive_batchers[_each] = functools.partial(_batched, _each)


# --- functions


def _tuple(value: Ints, n: int) -> tuple[int, ...]:
    if value is None or isinstance(value, int):
        return (1 if value is None else value,) * n
    return tuple(value)


def _pairs(padding: Padding, n: int) -> str | tuple[Pair, ...]:
    """As in Flax: a name, one int for all sides, or for each axis an int or a (low, high) pair."""
    if isinstance(padding, str):
        return padding
    if isinstance(padding, int):
        return ((padding, padding),) * n
    pairs = tuple((p, p) if isinstance(p, int) else tuple(p) for p in padding)
    if len(pairs) != n or any(len(p) != 2 for p in pairs):
        raise ValueError(f"padding must be a name, an int, or {n} ints or (low, high) pairs; got {padding!r}")
    return cast(tuple[Pair, ...], pairs)


def _check(x: jax.Array, w: jax.Array, channels: int, what: str) -> int:
    n = x.ndim - 2
    if n < 1 or w.ndim != x.ndim or x.shape[-1] != channels or x.dtype != w.dtype:
        raise ValueError(
            f"{what} wants an image (N, *S, {channels}) and a kernel (*K, in, out) of one dtype and one number of "
            f"spatial axes; got image {x.shape} {x.dtype} and kernel {w.shape} {w.dtype}"
        )
    return n


def _varying(a: jax.Array) -> frozenset[Any]:
    """The manual axes that an array varies over inside ``shard_map``."""
    aval: Any = jax.typeof(a)
    return getattr(aval, "manual_axis_type", aval).varying if hasattr(aval, "manual_axis_type") else aval.vma


def _bind(primitive: Primitive, a: jax.Array, b: jax.Array, g: Geometry) -> jax.Array:
    """Binds after making both operands vary over the same manual axes, as every ``lax`` function does."""
    va, vb = _varying(a), _varying(b)
    if va != vb:
        a = lax.pcast(a, tuple(vb - va), to="varying")
        b = lax.pcast(b, tuple(va - vb), to="varying")
    return _apply(primitive, a, b, geometry=g)


def _explicit(a: jax.Array) -> bool:
    types = getattr(jax.typeof(a).sharding.mesh, "axis_types", ())
    return any(t == jax.sharding.AxisType.Explicit for t in types)


def _fractional(
    x: jax.Array,
    w: jax.Array,
    expand: tuple[int, ...],
    padding: tuple[Pair, ...],
    dilation: tuple[int, ...],
    groups: int,
    precision: lax.PrecisionLike,
) -> jax.Array:
    """The stride-1 convolution of x, expanded with zeros, as the transpose of a strided convolution.

    ``w`` is the kernel of that strided convolution: `swap` of the one that slides over the expanded x.
    """
    reach = _reach(w, dilation)
    axes = list(zip(x.shape[1:-1], expand, padding, reach, strict=True))
    size = tuple((m - 1) * e + 1 + lo + hi - r + 1 for m, e, (lo, hi), r in axes)
    crop = tuple((r - 1 - lo, r - 1 - hi) for _, _, (lo, hi), r in axes)
    g = _geometry(size, w, expand, crop, dilation, groups, precision)
    return _bind(_transpose, x, w, g)


def _geometry(
    size: tuple[int, ...],
    w: jax.Array,
    strides: tuple[int, ...],
    padding: tuple[Pair, ...],
    dilation: tuple[int, ...],
    groups: int,
    precision: lax.PrecisionLike,
) -> Geometry:
    """With what `forms`, `divided` and `eigen` say here."""
    traced = _overrides.get(), _parts.get(), _eigen.get()
    return Geometry(size, w.shape[:-2], strides, padding, dilation, groups, precision, *traced)


def _reach(w: jax.Array, dilation: tuple[int, ...]) -> tuple[int, ...]:
    return tuple((k - 1) * d + 1 for k, d in zip(w.shape[:-2], dilation, strict=True))


def conv(
    x: jax.Array,
    w: jax.Array,
    *,
    strides: Ints = 1,
    padding: Padding = "SAME",
    input_dilation: Ints = 1,
    kernel_dilation: Ints = 1,
    groups: int = 1,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Convolution (cross-correlation) of x (N, *S, Ci) with w (*K, Ci / groups, Co) to (N, *O, Co).

    As ``lax.conv_general_dilated``: ``padding`` is "SAME", "VALID", an int, or for each spatial axis an int or a
    (low, high) pair, where negative means cropping.
    """
    n = _check(x, w, w.shape[-2] * groups, "conv")
    precision = _in_force(precision)
    stride, dilation, expand = _tuple(strides, n), _tuple(kernel_dilation, n), _tuple(input_dilation, n)
    pairs = _pairs(padding, n)
    if isinstance(pairs, str):
        if max(expand) > 1:
            raise ValueError(f"padding must be numbers with input_dilation {expand}; got {padding!r}")
        pairs = tuple(lax.padtype_to_pads(x.shape[1:-1], _reach(w, dilation), stride, pairs))
    if _explicit(x):
        return lax.conv_general_dilated(
            x, w, stride, pairs, expand, dilation, canonical(n), groups, precision=precision
        )
    if max(expand) > 1:
        y = _fractional(x, swap(w, groups), expand, pairs, dilation, groups, precision)
        return y[(slice(None), *(slice(None, None, s) for s in stride))] if max(stride) > 1 else y
    return _bind(_conv, x, w, _geometry(x.shape[1:-1], w, stride, pairs, dilation, groups, precision))


def conv_transpose(
    x: jax.Array,
    w: jax.Array,
    *,
    strides: Ints = 1,
    padding: Padding = "SAME",
    kernel_dilation: Ints = 1,
    transpose_kernel: bool = False,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Transposed convolution of x (N, *S, Ci) with w (*K, Ci, Co) to (N, *O, Co), as ``lax.conv_transpose``.

    "SAME" gives O = S * strides; pairs pad x after its expansion by the strides. With ``transpose_kernel`` the
    kernel is that of the convolution whose transpose this is, (*K, Co, Ci).
    """
    n = _check(x, w, w.shape[-1 if transpose_kernel else -2], "conv_transpose")
    precision = _in_force(precision)
    stride, dilation = _tuple(strides, n), _tuple(kernel_dilation, n)
    pairs = _pairs(padding, n)
    if isinstance(pairs, str):
        pairs = tuple(_transpose_pads(r, s, pairs) for r, s in zip(_reach(w, dilation), stride, strict=True))
    if _explicit(x):
        return lax.conv_transpose(x, w, stride, pairs, dilation, canonical(n), transpose_kernel, precision=precision)
    return _fractional(x, w if transpose_kernel else swap(w, 1), stride, pairs, dilation, 1, precision)


def _in_force(precision: lax.PrecisionLike) -> lax.PrecisionLike:
    """`jax.default_matmul_precision` as it is now: the forms are lowered later, when its context is over."""
    return jax.config.values["jax_default_matmul_precision"] if precision is None else precision


def _transpose_pads(reach: int, stride: int, name: str) -> Pair:
    """The padding of the expanded image that ``lax.conv_transpose`` gives these names."""
    if name == "VALID":
        return reach - 1, stride - 1 + max(reach - stride, 0)
    if name != "SAME":
        raise ValueError(f"padding of a transposed convolution is 'SAME', 'VALID' or numbers; got {name!r}")
    low = reach - 1 if stride > reach - 1 else -(-(reach + stride - 2) // 2)
    return low, reach + stride - 2 - low


# --- layers


class Conv(nn.Module):
    """Convolution layer, a drop-in for ``flax.linen.Conv`` on (*batch, *S, C) images; see `conv`.

    ``padding`` may also be "CIRCULAR" or "REFLECT", and "CAUSAL" for one spatial axis.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: Ints = 1
    padding: Padding = "SAME"
    input_dilation: Ints = 1
    kernel_dilation: Ints = 1
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    precision: lax.PrecisionLike = None
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """(*batch, *S, Ci) -> (*batch, *O, features)."""
        k = _tuple(self.kernel_size, 1)
        channels, rest = divmod(inputs.shape[-1], self.feature_group_count)
        if rest:
            raise ValueError(f"{inputs.shape[-1]} channels do not make {self.feature_group_count} groups")
        kernel = self.param("kernel", self.kernel_init, (*k, channels, self.features), self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(inputs, kernel, bias, dtype=self.dtype)
        x, padding = _flat(x, len(k)), self.padding
        reach = _reach(kernel, _tuple(self.kernel_dilation, len(k)))
        if padding in ("CIRCULAR", "REFLECT"):
            pads = [(0, 0), *(((r - 1) // 2, r // 2) for r in reach), (0, 0)]
            x, padding = jnp.pad(x, pads, mode="wrap" if padding == "CIRCULAR" else "reflect"), "VALID"
        elif padding == "CAUSAL":
            if len(k) != 1:
                raise ValueError("CAUSAL padding is for one spatial axis")
            padding = ((reach[0] - 1, 0),)
        y = conv(
            x, kernel, strides=self.strides, padding=padding, input_dilation=self.input_dilation,
            kernel_dilation=self.kernel_dilation, groups=self.feature_group_count, precision=self.precision,
        )  # fmt: skip
        y = y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))
        return y.reshape(*inputs.shape[: -len(k) - 1], *y.shape[1:])


class ConvTranspose(nn.Module):
    """Transposed convolution layer, a drop-in for ``flax.linen.ConvTranspose``; see `conv_transpose`."""

    features: int
    kernel_size: int | Sequence[int]
    strides: Ints = None
    padding: Padding = "SAME"
    kernel_dilation: Ints = None
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    precision: lax.PrecisionLike = None
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    transpose_kernel: bool = False

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """(*batch, *S, Ci) -> (*batch, *O, features)."""
        k = _tuple(self.kernel_size, 1)
        channels = (inputs.shape[-1], self.features)
        shape = (*k, *(channels[::-1] if self.transpose_kernel else channels))
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(inputs, kernel, bias, dtype=self.dtype)
        y = conv_transpose(
            _flat(x, len(k)), kernel, strides=self.strides, padding=self.padding, precision=self.precision,
            kernel_dilation=self.kernel_dilation, transpose_kernel=self.transpose_kernel,
        )  # fmt: skip
        y = y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))
        return y.reshape(*inputs.shape[: -len(k) - 1], *y.shape[1:])


def _flat(x: jax.Array, n: int) -> jax.Array:
    """(*batch, *S, C) -> (N, *S, C)."""
    return x.reshape(-1, *x.shape[-n - 1 :])
