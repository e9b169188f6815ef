"""`vmap`: a batch of images joins the batch axis, a batch of kernels or of both becomes groups of channels."""

import dataclasses
import functools
from typing import cast

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import batching

from genart_jax.nn.conv.geometry import Geometry
from genart_jax.nn.conv.primitives import apply, conv, transpose, weight


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
    conv: (None, (-1, -1)),
    transpose: (None, (-2, -1)),
    weight: ((-1, -2), (-1, -1)),
}


def _batched(
    primitive: Primitive, args: tuple[jax.Array, jax.Array], dims: tuple[int | None, int | None], *, geometry: Geometry
) -> tuple[jax.Array, int]:
    (a, b), (da, db), g = args, dims, geometry
    size = a.shape[da] if da is not None else b.shape[cast(int, db)]
    if da is not None and db is None and primitive is not weight:  # the first argument and the result have examples
        out = apply(primitive, _rows(jnp.moveaxis(a, da, 0)), b, geometry=g)
        return out.reshape(size, -1, *out.shape[1:]), 0
    if g.groups == 1 and (da is None or db is None):
        free = _FREE[primitive][0 if db is None else 1]
        assert free is not None
        into, at = free
        a, b = (a, _merge(b, cast(int, db), into)) if da is None else (_merge(a, da, into), b)
        out = _split(apply(primitive, a, b, geometry=g), at, size)
        return out, out.ndim + at - 1
    a, b = (
        jnp.broadcast_to(v, (size, *v.shape)) if d is None else jnp.moveaxis(v, d, 0) for v, d in ((a, da), (b, db))
    )
    out = apply(primitive, _merge(a, 0, -1), _merge(b, 0, -1), geometry=dataclasses.replace(g, groups=g.groups * size))
    out = _split(out, -1, size)
    return out, out.ndim - 2


for _each in _FREE:
    batching.primitive_batchers[_each] = functools.partial(_batched, _each)
