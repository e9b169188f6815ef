"""Nothing from a checkpoint, a weights file or a data set is unpickled or executed; caches are private."""

import ast
import io
import json
import os
import pickle
import stat
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

import genart_jax as ga
from genart_jax import assets
from genart_jax.assets import tensorfiles
from genart_jax.config import Data
from genart_jax.data import emoji
from genart_jax.data.source import open_source
from genart_jax.train.checkpoint import read_config

PACKAGE = Path(ga.__file__).parent
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "torch",
    "yaml",
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
READS_PICKLES = {"tensorfiles.py"}
"""The one file that steps through PyTorch's pickles, with an unpickler that knows no class but a dict: see below."""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_module_unpickles_or_executes(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                wrong = name.partition(".")[0] in FORBIDDEN_MODULES
                assert not wrong or path.name in READS_PICKLES, f"imports {name}"
        if isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else ""
            assert name not in FORBIDDEN_CALLS, f"line {node.lineno} calls {name}"
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                assert keyword.arg != "allow_pickle" or value is False, f"line {node.lineno}"
                assert keyword.arg != "shell" or value is False, f"line {node.lineno}"
            if getattr(function, "attr", "") == "load" and getattr(getattr(function, "value", None), "id", "") == "np":
                assert any(k.arg == "allow_pickle" for k in node.keywords), f"line {node.lineno}: say so of np.load"


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    mark = tmp_path / "executed"
    yield mark
    assert not mark.exists(), "code from a file has run"


def test_the_mark_works(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "x")))
    assert (tmp_path / "x").exists()


def test_archives_and_pictures_that_hold_pickles(tmp_path, mark):
    np.savez(tmp_path / "x.npz", **dict.fromkeys(emoji.Art._fields, np.array([Evil(mark)], dtype=object)))
    with pytest.raises(ga.UserError, match="not an art set"):
        emoji.read(32, tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(ga.UserError, match="not an art set"):
        emoji.read(32, tmp_path / "x.npz")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(ga.UserError, match="not a picture"):
        open_source(Data(source=f"folder:{tmp_path / 'set'}"))


@pytest.mark.parametrize("zipped", [False, True])
def test_weights_that_hold_code(tmp_path, mark, zipped):
    evil = pickle.dumps({"w": Evil(mark)}, protocol=2)
    path = tmp_path / "x.pth"
    if zipped:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("x/data.pkl", evil)
        path.write_bytes(content.getvalue())
    else:
        head = [pickle.dumps(x, protocol=2) for x in (tensorfiles._MAGIC, 1001, {"little_endian": True})]
        path.write_bytes(b"".join([*head, evil]))
    with pytest.raises(ga.UserError, match="only tensors are read"):
        tensorfiles.read_tensors(path)
    (tmp_path / "x.safetensors").write_bytes(evil)
    with pytest.raises(ga.UserError, match="can be read"):
        tensorfiles.read_tensors(tmp_path / "x.safetensors")


def test_runs_that_hold_code(tmp_path, mark, monkeypatch):
    """Neither what is pickled in a checkpoint, nor a module that comes with the run, is executed."""
    from tests.train import toy

    run = ga.configure("tests.train.toy:Config", train={"steps": 2}, parallel={"data": 1})
    ga.fit(run, tmp_path / "run")
    assert toy
    for file in [f for f in (tmp_path / "run" / "checkpoints").rglob("*") if f.is_file()]:
        whole = file.read_bytes()
        file.write_bytes(pickle.dumps(Evil(mark)))
        with pytest.raises(ga.UserError):
            ga.load(tmp_path / "run")
        file.write_bytes(whole)
    ga.load(tmp_path / "run")
    (tmp_path / "run" / "my_evil_model.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path / "run"))
    config = tmp_path / "run" / "config.json"
    content = json.loads(config.read_text())
    for name, words in (
        ("my_evil_model:Config", "not executed"),
        ("os;system:x", "no model"),
        ("../../x:y", "no model"),
        (["a"], "damaged"),
    ):
        content["run"]["name"] = name
        config.write_text(json.dumps(content))
        with pytest.raises(ga.UserError, match=words):
            read_config(tmp_path / "run")


@pytest.mark.parametrize("deep", [10, 100_000])
def test_configurations_that_are_hostile(tmp_path, deep):
    (tmp_path / "config.json").write_text('{"version": 1, "run": ' + "[" * deep + "]" * deep + "}")
    with pytest.raises(ga.UserError, match="damaged"):
        read_config(tmp_path)


def test_caches_are_private(tmp_path):
    made = assets.private(tmp_path / "a" / "programs")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    made.chmod(0o770)
    with pytest.raises(PermissionError, match="other users"):
        assets.private(made)


def test_a_user_without_a_home_has_a_place(monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME", "GENART_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert assets.cache_directory().name == f"genart_jax-{os.getuid()}"


def test_no_copyleft_or_attribution_material_is_in_the_repository():
    """Pictures, sheets, meshes and the like that are here are our own, or under the licences that NOTICE names."""
    root = PACKAGE.parent
    media = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".npz", ".npy", ".svg", ".obj", ".ttf", ".otf", ".deb", ".tgz",
             ".whl", ".rcc", ".sh3f", ".zip", ".mp4")  # fmt: skip
    own = ("benchmarks/results/", "docs/", "genart_jax/assets/features/", "tests/golden/", "tests/metrics/")
    """What this package drew and measured itself."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    files = listed.stdout.splitlines() or [str(p.relative_to(root)) for p in PACKAGE.rglob("*") if p.is_file()]
    strange = [f for f in files if f.lower().endswith(media) and not f.startswith(own)]
    assert strange == ["genart_jax/data/embedded/emoji_32.npz"]
    notice = (root / "NOTICE").read_text()
    assert not [word for word in ("GPL", "CC-BY", "CC BY", "ShareAlike") if word in notice]


def test_no_registry_is_named_in_the_package():
    hosts = [".".join(words) for words in (("pypi", "org"), ("npmjs", "org"), ("npmjs", "com"), ("debian", "org"))]
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [host for host in hosts if host in text], path
