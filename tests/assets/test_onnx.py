"""Tensors of ONNX files: of one written here field by field, and a published network against ONNX Runtime."""

import struct

import jax
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import assets
from genart_jax.assets import onnx
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.train.checkpoint import pretrained


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, content):
    """A field that has a length, or an integer."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name, array, kind, packed=True, floats=False):
    dims = field(1, b"".join(map(varint, array.shape))) if packed else b"".join(field(1, n) for n in array.shape)
    data = field(4, array.tobytes()) if floats else field(9, array.tobytes())
    return field(5, dims + field(2, kind) + field(8, name.encode()) + data)


def model(*tensors):
    node = field(1, b"a node, which is passed over")
    return field(1, 8) + field(2, b"producer") + field(7, node + b"".join(tensors)) + varint(9 << 3 | 5) + b"1234"


def test_tensors_are_read_by_name(tmp_path):
    kernel = np.random.default_rng(0).normal(size=(3, 200)).astype(np.float32)
    steps, half = np.array([-1, 2**40], np.int64), np.array([[1.5]], np.float16)
    path = tmp_path / "net.onnx"
    path.write_bytes(
        model(
            tensor("kernel", kernel, 1),
            tensor("again", kernel, 1, packed=False, floats=True),
            tensor("steps", steps, 7),
            tensor("half", half, 10),
        )
    )
    found = read_tensors(path)
    assert list(found) == ["kernel", "again", "steps", "half"]
    for name, wanted in (("kernel", kernel), ("again", kernel), ("steps", steps), ("half", half)):
        np.testing.assert_array_equal(found[name], wanted)
        assert found[name].dtype == wanted.dtype


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 20,
        model(),
        model(tensor("a", np.zeros(3, np.float32), 16)),
        model(tensor("a", np.zeros(3, np.float32), 1))[:-30],
        field(7, field(5, field(1, 9) + field(2, 1) + field(9, struct.pack("<f", 1.0)))),
    ],
)
def test_what_is_damaged_is_one_line(content, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ga.UserError, match=r"net.onnx is not a file of tensors that can be read: [^\n]+$"):
        read_tensors(path)


def test_negative_numbers_are_ten_bytes():
    assert list(onnx._varints(b"\xff" * 9 + b"\x01")) == [2**64 - 1]


@pytest.mark.skipif(not assets.available("multistyle26"), reason="genart assets fetch multistyle26")
def test_the_published_styles_equal_onnx_runtime():
    runtime = pytest.importorskip("onnxruntime")
    file = next((assets.cached.folder_of("multistyle26")).glob("*.onnx"))
    shape = (48, 64, 3)
    algorithm = ga.build("multistyle", preset="published26", image_shape=shape, other_shape=shape)
    state = pretrained("multistyle26", algorithm)
    images = np.random.default_rng(0).uniform(-1, 1, (1, *shape)).astype(np.float32)
    module = algorithm.networks["painter"].module
    painted = jax.jit(lambda p, x, share: module.apply({"params": p}, x, share=share)[0])
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    one, several = np.eye(26, dtype=np.float32)[7], np.zeros(26, np.float32)
    several[[3, 12, 20]] = 0.5, 0.3, 0.2
    for share in (one, several):
        given = {"image": (images.transpose(0, 3, 1, 2) + 1) / 2, "style_weights": share}
        wanted = session.run(None, given)[0].transpose(0, 2, 3, 1)
        got = (painted(state.params["painter"], images, share[None]) + 1) / 2
        np.testing.assert_allclose(got, wanted, atol=1e-4)
