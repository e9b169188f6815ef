"""Which form computes a convolution: the fastest on CPU, `lax` elsewhere."""

import functools
import math

import jax

from genart_jax.nn.conv.blocks import conv_blocks, transpose_blocks, weight_blocks
from genart_jax.nn.conv.chunks import transpose_chunks, weight_chunks
from genart_jax.nn.conv.direct import conv_lax, transpose_lax, weight_lax
from genart_jax.nn.conv.four import conv_four
from genart_jax.nn.conv.geometry import Form, Geometry
from genart_jax.nn.conv.grouped import conv_shifts, split, transpose_shifts, weight_shifts
from genart_jax.nn.conv.matmul import conv_matmul, conv_sums, transpose_matmul, weight_matmul, weight_sums
from genart_jax.nn.conv.phases import transpose_phases
from genart_jax.nn.conv.taps import weight_taps
from genart_jax.nn.conv.winograd import conv_winograd, transpose_winograd, weight_winograd

CONV: dict[str, Form] = {
    "lax": conv_lax,
    "blocks": conv_blocks,
    "matmul": conv_matmul,
    "sums": conv_sums,
    "four": conv_four,
    "winograd": conv_winograd,
}
TRANSPOSE: dict[str, Form] = {
    "lax": transpose_lax,
    "phases": transpose_phases,
    "blocks": transpose_blocks,
    "matmul": transpose_matmul,
    "chunks": transpose_chunks,
    "winograd": transpose_winograd,
}
WEIGHT: dict[str, Form] = {
    "lax": weight_lax,
    "taps": weight_taps,
    "blocks": weight_blocks,
    "matmul": weight_matmul,
    "sums": weight_sums,
    "chunks": weight_chunks,
    "winograd": weight_winograd,
}
FORMS: dict[str, dict[str, Form]] = {"conv": CONV, "transpose": TRANSPOSE, "weight": WEIGHT}
SHIFTS: dict[str, Form] = {"conv": conv_shifts, "transpose": transpose_shifts, "weight": weight_shifts}


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
    if g.ndim == 3 and taps > 1:
        return _of_volumes(operation, whole and stride > 1, stride, inputs)
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


def _of_volumes(operation: str, divides: bool, stride: int, inputs: int) -> str:
    """The form of a convolution in three dimensions: XLA's own transposes and kernel gradients are slow.

    On one core 8 volumes of 16x16x16x16, kernel 4, stride 2: transpose 955 ms by `lax`, 28 by `phases`, 3.6 by
    `chunks`; weight 77 by `lax`, 79 by `chunks`, 12 by `blocks`. Of few channels `sums` is
    the fastest for conv and mostly for weight, and of one channel `matmul` (benchmarks/results/conv_forms.md).

    Args:
      operation: as in `choose`.
      divides: whether the kernel is made of whole strides above 1.
      stride: the largest.
      inputs: channels of the convolution's x.
    """
    if divides and operation == "weight":
        return "sums"
    if inputs == 1 and divides:
        return "matmul"
    if operation == "transpose":
        return "chunks"
    if operation == "conv":
        return "sums" if divides and inputs <= 32 else "matmul" if inputs == 1 and stride > 1 else "lax"
    if stride == 1:
        return "lax" if inputs < 32 else "taps"
    return "taps"


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


def compute(operation: str, platform: str, a: jax.Array, b: jax.Array, g: Geometry) -> jax.Array:
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
    return split(functools.partial(compute, operation, platform), a, b, g)
