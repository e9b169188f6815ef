"""Files of named tensors, read as numpy arrays: safetensors, ONNX, and PyTorch's. No code in a pickle is run."""

from __future__ import annotations

import io
import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from genart_jax.assets import onnx
from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array

_STORAGES = {
    "DoubleStorage": np.float64, "FloatStorage": np.float32, "HalfStorage": np.float16, "LongStorage": np.int64,
    "IntStorage": np.int32, "ShortStorage": np.int16, "CharStorage": np.int8, "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}  # fmt: skip
_SAFE = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "I16": np.int16,
    "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip
_MAGIC = 0x1950A86A20F9469CFC6C  # of PyTorch's format before 1.6

_Storage = tuple[str, str, int]  # kind, key, elements


class _Tensor(NamedTuple):
    """A view of a storage, as a pickled state dict describes it; everything in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *rest: object) -> _Tensor:
    del rest  # requires_grad and backward hooks
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Reader(pickle.Unpickler):
    """Knows ordered dicts and descriptions of tensors. Any other class or function is refused, so nothing can run."""

    def find_class(self, module: str, name: str) -> type | Callable[..., _Tensor] | str:
        """The few names that a state dict needs."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return _rebuild
        if module == "torch" and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f"it wants {module}.{name}, and only tensors are read")

    def persistent_load(self, pid: tuple[Any, ...]) -> _Storage:
        """A storage: ("storage", kind, key, device, elements, ...)."""
        tag, kind, key, _, elements, *view = pid
        if tag != "storage" or kind not in _STORAGES or any(v is not None for v in view):
            raise pickle.UnpicklingError(f"unknown storage {kind!r}")
        return kind, str(key), int(elements)


def read_tensors(path: str | Path) -> dict[str, Array]:
    """The tensors of a `.safetensors` or `.onnx` file, or of a state dict that `torch.save` wrote (any other name).

    Raises:
      UserError: the file cannot be read, is damaged, or holds anything but tensors; nothing in it is executed.
    """
    path = expanded(path)
    try:
        with path.open("rb") as file:
            if path.suffix == ".safetensors":
                return _safetensors(file)
            if path.suffix == ".onnx":
                return onnx.tensors(file.read())
            zipped = zipfile.is_zipfile(file)
            file.seek(0)
            return _zipped(file) if zipped else _legacy(file)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # on damaged files the readers raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is not a file of tensors that can be read: {reason}") from None


def _safetensors(file: IO[bytes]) -> dict[str, Array]:
    """An 8-byte length, a JSON header of dtypes, shapes and byte ranges, then the bytes."""
    content = file.read()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if kind not in (*_SAFE, "BF16"):
            raise ValueError(f"{name} has the unknown dtype {kind}")
        if not 0 <= start <= end <= len(content) - 8 - length:
            raise ValueError(f"{name} lies outside of the file")
        data = content[8 + length + start : 8 + length + end]
        if kind == "BF16":  # the upper half of a float32
            flat = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            flat = np.frombuffer(data, np.dtype(_SAFE[kind]).newbyteorder("<"))
        out[name] = flat.reshape(shape).copy()
    return out


def _zipped(file: IO[bytes]) -> dict[str, Array]:
    """The format since PyTorch 1.6: a zip file of data.pkl and of data/KEY, one a storage."""
    with zipfile.ZipFile(file) as archive:
        # PyTorch does not compress; a small file that unpacks to a large one is not from there.
        if sum(member.file_size for member in archive.infolist()) > 4 * file.seek(0, 2) + 2**20:
            raise ValueError("it unpacks to much more than it is")
        (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        root = pickled[: -len("data.pkl")]
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        state = _Reader(io.BytesIO(archive.read(pickled))).load()
        return _dense(state, lambda kind, key, elements: archive.read(f"{root}data/{key}"))


def _legacy(file: IO[bytes]) -> dict[str, Array]:
    """The format before PyTorch 1.6: pickles of a magic number, version, system, tensors, keys; then the storages."""
    magic, _, system = (_Reader(file).load() for _ in range(3))
    if magic != _MAGIC or not system["little_endian"]:
        raise ValueError("it is not a little-endian PyTorch file")
    state = _Reader(file).load()
    kinds = {t.storage[1]: t.storage[0] for t in _tensors(state).values()}
    buffers = {}
    for key in map(str, _Reader(file).load()):
        (elements,) = struct.unpack("<q", file.read(8))
        buffers[key] = file.read(elements * np.dtype(_STORAGES[kinds[key]]).itemsize)
    return _dense(state, lambda kind, key, elements: buffers[key])


def _tensors(state: object) -> dict[str, _Tensor]:
    if not isinstance(state, dict) or not all(isinstance(v, _Tensor) for v in state.values()):
        raise ValueError("it is not a state dict; save model.state_dict() alone")
    return state


def _dense(state: object, read: Callable[[str, str, int], bytes]) -> dict[str, Array]:
    """Each tensor's own numbers, out of its storage."""
    out = {}
    for name, tensor in _tensors(state).items():
        flat: Array = np.frombuffer(read(*tensor.storage), _STORAGES[tensor.storage[0]])
        offset, shape, strides = tensor.offset, tensor.shape, tensor.strides
        # Views are not checked by numpy: a wrong one would read memory that is not the file's.
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        empty = 0 in shape
        if min((offset, *shape, *strides)) < 0 or (last >= len(flat) and not empty) or math.prod(shape) > len(flat):
            raise ValueError(f"{name} lies outside of its storage")
        view = flat[:0] if empty else flat[offset:]
        out[name] = np.lib.stride_tricks.as_strided(view, shape, [s * flat.itemsize for s in strides]).copy()
    return out
