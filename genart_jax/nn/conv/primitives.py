"""The three primitives: each is bilinear, and its transposes are the other two."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, mlir

from genart_jax.nn.conv import choice
from genart_jax.nn.conv.context import is_plain
from genart_jax.nn.conv.geometry import Geometry


def _image_shape(y: ShapedArray, w: ShapedArray, g: Geometry) -> tuple[int, ...]:
    return (y.shape[0], *g.size, w.shape[-2] * g.groups)


def _output_shape(x: ShapedArray, w: ShapedArray, g: Geometry) -> tuple[int, ...]:
    return (x.shape[0], *g.out, w.shape[-1])


def _kernel_shape(x: ShapedArray, y: ShapedArray, g: Geometry) -> tuple[int, ...]:
    return (*g.kernel, x.shape[-1] // g.groups, y.shape[-1])


def apply(primitive: Primitive, a: jax.Array, b: jax.Array, *, geometry: Geometry) -> jax.Array:
    """Binds a primitive, as all that follows from it does: its derivatives, and `vmap`. Under `plain`, what it does."""
    if is_plain():
        return choice.compute(primitive.name.removeprefix("genart_"), "other", a, b, geometry)
    out: jax.Array = primitive.bind(a, b, geometry=geometry)
    return out


def _primitive(operation: str, shape: Callable[..., tuple[int, ...]]) -> Primitive:
    primitive = Primitive(f"genart_{operation}")

    def abstract(a: ShapedArray, b: ShapedArray, *, geometry: Geometry) -> ShapedArray:
        # The update keeps the manual axes that the operands vary over (`_align` made them equal).
        return a.update(shape=shape(a, b, geometry), weak_type=False)

    def lower(platform: str) -> Callable[..., Any]:
        def compute(a: jax.Array, b: jax.Array, *, geometry: Geometry) -> jax.Array:
            return choice.compute(operation, platform, a, b, geometry)

        return mlir.lower_fun(compute, multiple_results=False)

    @functools.partial(jax.jit, static_argnames="geometry")
    def eager(a: jax.Array, b: jax.Array, *, geometry: Geometry) -> jax.Array:
        return apply(primitive, a, b, geometry=geometry)

    primitive.def_abstract_eval(abstract)
    primitive.def_impl(eager)
    mlir.register_lowering(primitive, lower("other"))
    mlir.register_lowering(primitive, lower("cpu"), platform="cpu")
    return primitive


conv = _primitive("conv", _output_shape)  # x, w -> y
transpose = _primitive("transpose", _image_shape)  # y, w -> x
weight = _primitive("weight", _kernel_shape)  # x, y -> w


def _closed(primitive: Primitive, first: Callable[..., jax.Array], second: Callable[..., jax.Array]) -> None:
    """``first`` and ``second``: the cotangents of the operands, from (cotangent of the result, operands)."""
    ad.defbilinear(primitive, first, second)


_closed(conv, lambda y, x, w, **kw: apply(transpose, y, w, **kw), lambda y, x, w, **kw: apply(weight, x, y, **kw))
_closed(transpose, lambda x, y, w, **kw: apply(conv, x, w, **kw), lambda x, y, w, **kw: apply(weight, x, y, **kw))
_closed(weight, lambda w, x, y, **kw: apply(transpose, y, w, **kw), lambda w, x, y, **kw: apply(conv, x, w, **kw))
