"""The stored tensors of an ONNX file, read as what it is on disk: fields of Protocol Buffers. Nothing is executed.

Of `onnx.proto`: ModelProto.graph is field 7, GraphProto.initializer 5; of a TensorProto, dims are 1, data_type 2,
float_data 4, name 8, raw_data 9.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genart_jax.runtime.values import Array

_KINDS = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64}
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _KIND, _FLOATS, _NAME, _RAW = 1, 2, 4, 8, 9

Value = int | bytes


def tensors(content: bytes) -> dict[str, Array]:
    """The initializers of a model by name.

    Raises:
      ValueError: it is damaged, or one of them is of a kind that is not read.
    """
    out = {}
    for number, graph in _fields(content):
        if number != _GRAPH or not isinstance(graph, bytes):
            continue
        for inner, stored in _fields(graph):
            if inner == _INITIALIZER and isinstance(stored, bytes):
                name, array = _tensor(stored)
                out[name] = array
    if not out:
        raise ValueError("it holds no graph with tensors")
    return out


def _tensor(stored: bytes) -> tuple[str, Array]:
    name, kind, shape, raw = "", 0, [], b""
    for number, value in _fields(stored):
        if number == _DIMS:
            shape += [value] if isinstance(value, int) else list(_varints(value))
        elif number == _KIND and isinstance(value, int):
            kind = value
        elif number == _NAME and isinstance(value, bytes):
            name = value.decode()
        elif number in (_RAW, _FLOATS) and isinstance(value, bytes):
            raw += value  # floats of their own are four bytes each, too
    if kind not in _KINDS:
        raise ValueError(f"{name or 'a tensor'} is of kind {kind}, which is not read")
    flat = np.frombuffer(raw, np.dtype(_KINDS[kind]).newbyteorder("<"))
    return name, flat.reshape(shape).copy()


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """(number, value) of each field: an integer, or the bytes of what has a length or four or eight of them."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} is none of ONNX")
        if at + size > len(message):
            raise ValueError("it is cut short")
        yield number, message[at : at + size]
        at += size


def _varints(packed: bytes) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """An integer of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("it is cut short")
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
