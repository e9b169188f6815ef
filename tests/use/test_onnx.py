"""Models as ONNX: what onnxruntime computes of them is what JAX does, for a batch of any length."""

import importlib.metadata
import json
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.nn import conv
from genart_jax.use import onnx
from genart_jax.use.export import program_of


def test_plain_convolutions_are_of_jax_alone():
    """What a translator sees, and the same numbers."""
    x, w = jnp.ones((2, 8, 8, 3)), jnp.ones((4, 4, 3, 8))

    def both(x, w):
        y = conv.conv(x, w, strides=2, padding=1)
        return conv.conv_transpose(y, jnp.ones((4, 4, 8, 3)), strides=2, padding=1)

    assert "genart" in str(jax.make_jaxpr(both)(x, w))

    def plain(x, w):
        with conv.plain():
            return both(x, w)

    assert "genart" not in str(jax.make_jaxpr(plain)(x, w))
    np.testing.assert_allclose(jax.jit(plain)(x, w), jax.jit(both)(x, w), rtol=1e-6)


@pytest.mark.parametrize("name", ["icons", "icons_style", "icons_vae"])
def test_onnxruntime_agrees(name, tmp_path):
    pytest.importorskip("jax2onnx")
    runtime = pytest.importorskip("onnxruntime")
    out = tmp_path / "out"
    assert main(["export", name, str(out), "--onnx"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.json", "inputs.json", "model.onnx"]
    model = ga.load(name)
    program = program_of(model, model.saved)
    session = runtime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = json.loads((out / "inputs.json").read_text())["inputs"]
    assert [one.name for one in session.get_inputs()] == list(wanted)
    for batch in (1, 2, 5):
        inputs = onnx.example(program, batch, seed=batch)
        (got,) = session.run(None, inputs)
        np.testing.assert_allclose(got, program.function(*map(jnp.asarray, inputs.values())), atol=1e-4)


@pytest.fixture
def converter(monkeypatch):
    """jax2onnx and onnxruntime replaced: what is converted, and by how much the result is off."""
    state = {"off": 0.0, "raises": None, "inputs": None}

    def to_onnx(function, shapes, **options):
        state["inputs"] = options["input_names"], [leaf.shape for leaf in shapes]
        if state["raises"] is not None:
            raise state["raises"]
        state["function"] = function
        return types.SimpleNamespace(SerializeToString=lambda: b"a program")

    class Session:
        def __init__(self, content, providers):
            assert content == b"a program"

        def run(self, names, inputs):
            return [np.asarray(state["function"](*map(jnp.asarray, inputs.values()))) + state["off"]]

    monkeypatch.setitem(sys.modules, "jax2onnx", types.SimpleNamespace(to_onnx=to_onnx))
    monkeypatch.setitem(sys.modules, "onnxruntime", types.SimpleNamespace(InferenceSession=Session))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9")
    return state


def test_what_is_written_has_been_checked(converter, tmp_path, capsys):
    out = tmp_path / "out"
    converter["off"] = 0.1
    assert main(["export", "icons_vae", str(out), "--onnx"]) == 2
    assert "gives something else than JAX, 0.1 off; nothing was written" in capsys.readouterr().err
    converter["off"], converter["raises"] = 0.0, NotImplementedError("no plugin for sort\nand more")
    assert main(["export", "icons_vae", str(out), "--onnx"]) == 2
    assert "jax2onnx 9 cannot convert vae_gan (no plugin for sort)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    converter["raises"] = None
    assert main(["export", "icons_vae", str(out), "--onnx"]) == 0
    assert (out / "model.onnx").read_bytes() == b"a program"
    names, shapes = converter["inputs"]
    assert names == ["latents", "style", "shape", "color"]
    assert [str(shape[0]) for shape in shapes] == ["batch"] * 4
    assert "Apache-2.0" in (out / "README.md").read_text()
    assert main(["export", "icons_vae", str(out), "--onnx"]) == 2
    assert main(["export", "icons_vae", str(out), "--onnx", "--hub"]) == 2


def test_without_the_converter(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    assert main(["export", "icons_vae", str(tmp_path / "out"), "--onnx"]) == 2
    assert "pip install 'genart_jax[onnx]'" in capsys.readouterr().err
