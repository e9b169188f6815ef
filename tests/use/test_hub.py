"""Trained models as folders of the hub's layout: written, read back, fetched, and those that come with the package."""

import json
import shutil
import sys
import types

import jax
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.data import provenance
from genart_jax.runtime import packaged
from genart_jax.steps import common
from genart_jax.train import checkpoint

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run on pictures of one's own, with names of classes."""
    directory = tmp_path_factory.mktemp("runs") / "mine"
    rng = np.random.default_rng(0)
    arrays = {"image": rng.integers(0, 256, (40, 8, 8, 3), np.uint8), "label": rng.integers(0, 2, 40)}
    data = ga.open_data(arrays, class_names={"label": ("cat", "dog")})
    options = {"steps": 2, "batch": 4, "sample_every": 0}
    ga.fit(ga.configure("mlp_vae", preset="tiny", conditions=("label",), train=options, parallel={"data": 1}),
           directory, data=data)  # fmt: skip
    return directory


@pytest.fixture(scope="module")
def folders(run, tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    for dtype in ("float32", "float16"):
        assert main(["export", str(run), str(root / dtype), "--hub", "--dtype", dtype]) == 0
    return root


@pytest.mark.parametrize(("dtype", "most"), [("float32", 0.0), ("float16", 1e-2)])
def test_it_makes_the_same_pictures(run, folders, dtype, most):
    model, there = ga.load(run), ga.load(folders / dtype)
    got, want = (alg.sample(state, KEY, 8, {"label": "dog"}) for alg, state in (there, model))
    assert np.abs(np.asarray(got) - np.asarray(want)).max() <= most
    assert there.class_names == {"label": ("cat", "dog")}
    assert there.sha256 == model.sha256 == checkpoint.seals(run)[2]
    assert there.provenance == model.provenance
    assert int(there.state.step) == 2


def test_the_same_run_gives_the_same_folder(folders, run, tmp_path):
    assert main(["export", str(run), str(tmp_path / "again" / "float16"), "--hub"]) == 0
    for path in (folders / "float16").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / "float16" / path.name).read_bytes()


def test_a_folder_has_what_the_hub_wants(folders):
    folder = folders / "float16"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: genart_jax\n")
    for words in ("mlp_vae", "- `label`: cat, dog", "## Training data", "arrays", "elbo", '{"label": "cat"}'):
        assert words in card
    assert "tmp" not in card + (folder / "config.json").read_text()


def test_commands_take_a_folder(folders, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folders / "float16", "mine")
    assert main(["sample", "mine", "--num", "4", "--condition", "label=dog"]) == 0
    file = capsys.readouterr().out.strip()
    assert file == "mine/samples/sample_seed0_label=dog.png"
    assert provenance.read(file) == ga.load("mine").provenance
    assert main(["sample", "mine", "--num", "4", "--no-provenance", "--out", "plain.png"]) == 0
    assert provenance.read("plain.png") is None
    assert main(["sample", "mine", "--step", "1"]) == 2
    assert "holds one state" in capsys.readouterr().err


def test_parameters_are_taken_from_a_folder(folders, run, tmp_path):
    state = ga.load(run).state
    taken, left = checkpoint.take_parameters(state, str(folders / "float32"), "mlp_vae")
    want = common.lend(state)
    for role, params in taken.params.items():
        jax.tree.map(np.testing.assert_array_equal, params, want[role]["params"])
    assert left == []
    new = ga.configure("mlp_vae", preset="tiny")
    assert checkpoint.with_age(new, tmp_path, str(folders / "float32")).train.ema_steps == 2
    assert checkpoint.with_age(new, tmp_path, "icons").train.ema_steps == 18_000


def test_a_run_begins_from_a_model_of_the_package(tmp_path, monkeypatch):
    """The trainer looks for it as all others do; here it stops when it has the place."""
    seen = []

    def stop(run, directory, init_from):
        seen.append(init_from)
        raise ga.UserError("enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "with_age", stop)
    with pytest.raises(ga.UserError, match="enough"):
        ga.fit(ga.configure("modgan", preset="tiny", parallel={"data": 1}), tmp_path / "run", init_from="icons")
    assert seen == [str((packaged.root() / "icons").resolve())]


def test_damage_is_named(folders, tmp_path):
    copy = lambda name: shutil.copytree(folders / "float32", tmp_path / name)
    changed = copy("changed") / "model.safetensors"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    with pytest.raises(ga.UserError, match=r"model\.safetensors has changed"):
        ga.load(tmp_path / "changed")
    config = json.loads((copy("other") / "config.json").read_text())
    config["run"]["model"]["hidden"] += 1
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ga.UserError, match=r"model\.safetensors: .* is \(.*\), wanted \("):
        ga.load(tmp_path / "other")
    config.pop("hub")
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ga.UserError, match=r"says nothing of model\.safetensors"):
        ga.load(tmp_path / "other")


def test_mistakes(folders, run, tmp_path, capsys):
    for args, words in [
        ([str(run), str(folders), "--hub"], "already there"),
        ([str(tmp_path / "none"), str(tmp_path / "x"), "--hub"], "is not a run"),
    ]:
        assert main(["export", *args]) == 2
        assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def hub(monkeypatch, folders):
    """huggingface_hub with a local folder in the place of its downloads."""
    asked = []

    def snapshot_download(repository, revision=None, allow_patterns=None):
        asked.append((repository, revision, allow_patterns))
        if repository != "someone/mine":
            raise OSError("Repository Not Found\nfor url")
        return str(folders / "float16")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    return asked


def test_from_the_hub(hub, folders):
    model = ga.load("hf://someone/mine@v1")
    assert hub == [("someone/mine", "v1", ["model.safetensors", "config.json", "README.md"])]
    assert model.run == folders / "float16"
    with pytest.raises(ga.UserError, match=r"hf://someone/other cannot be fetched: Repository Not Found$"):
        ga.load("hf://someone/other")
    with pytest.raises(ga.UserError, match="write hf://OWNER/NAME"):
        ga.load("hf://../../etc")


def test_no_code_of_others_is_run(hub, folders, tmp_path, monkeypatch):
    """A fetched config.json that names a module of the working directory: it must not even be imported."""
    shutil.copytree(folders / "float16", tmp_path / "theirs")
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    config["run"]["name"] = "evil:Config"
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    fetched = lambda *args, **options: str(tmp_path / "theirs")
    monkeypatch.setattr(sys.modules["huggingface_hub"], "snapshot_download", fetched)
    with pytest.raises(ga.UserError, match="a model of somebody's own"):
        ga.load("hf://someone/theirs")


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ga.UserError, match=r"pip install 'genart_jax\[hub\]'"):
        ga.load("hf://someone/mine")


NAMES = ["icons", "icons_shape", "icons_style", "icons_vae"]
PHOTOS = ["beautify", "dehaze", "enhance", "inpaint", "super_resolution", "super_resolution_x4"]
"""Trained on photographs that anybody may use."""
PAINTERS = ["adain", "multistyle"]
ALL = sorted([*NAMES, *PHOTOS, *PAINTERS])


def test_the_models_of_the_package(capsys):
    assert packaged.names() == ALL
    assert sum(path.stat().st_size for path in packaged.root().rglob("*")) < 20_000_000
    assert main(["list", "--trained"]) == 0
    models = {"icons": "modgan", "icons_shape": "simple_cnn", "icons_style": "simple_cnn", "icons_vae": "vae_gan"}
    models["beautify"] = "enhance"
    listed = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert listed == [[name, models.get(name, name.partition("_x")[0])] for name in ALL]
    assert main(["list", "--trained", "--json"]) == 0
    data = {row["name"]: row["data"] for row in json.loads(capsys.readouterr().out)}
    assert {data[name] for name in NAMES} == {"emoji"}
    assert {data[name].removesuffix(":128") for name in PHOTOS} == {"photos:free"}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_the_package_loads(name):
    model = ga.load(name)
    assert {"noto", "fluent"} <= set(model.class_names.get("style", ("noto", "fluent")))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(model.state.params))
    card = (packaged.root() / name / "README.md").read_text()
    assert f'ga.load("{name}")' in card
    assert "Apache-2.0" in card


@pytest.mark.parametrize("name", PHOTOS)
def test_a_model_of_photographs_comes_whole(name):
    """With what it needs, finite, and with a card that says its data, how it was trained, and how good it is."""
    model = ga.load(name)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(model.state.params))
    assert not model.algorithm.frozen
    card = (packaged.root() / name / "README.md").read_text()
    for words in (
        "license: apache-2.0",
        ": public domain and CC0, per file",
        "genart train",
        "worst scene",
        "SHA-256",
    ):
        assert words in card
    assert f'ga.transform("{name}", "photo.jpg"' in card


@pytest.mark.parametrize("name", PAINTERS)
def test_painters_of_the_package_say_what_they_learnt_from(name):
    card = (packaged.root() / name / "README.md").read_text()
    for words in ("the works: public domain", "photos:free:128: public domain and CC0", "genart train", "SHA-256"):
        assert words in card


def test_the_packages_multistyle_needs_nothing_else():
    """No VGG19, no network: the painter alone."""
    content = leaves(64)
    waves, square = (
        np.asarray(ga.stylize(content, style, method="multistyle")) for style in ("Great Wave", "Composition VIII")
    )
    assert waves.shape == content.shape
    assert np.abs(waves.astype(int) - square).mean() > 10  # the styles differ
    likeness = [np.corrcoef(x.mean(-1).ravel(), content.mean(-1).ravel())[0, 1] for x in (waves, square)]
    assert min(likeness) > 0.4  # and both keep the picture


def leaves(side):
    """Discs of many sizes one upon another, whose edges are as sharp as those of photographs: (side, side, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    out = np.zeros((side, side, 3), np.uint8)
    for radius in np.sort(rng.pareto(2, 150) * 4 + 2)[::-1]:
        at = rng.uniform(0, side, 2)
        out[(y - at[0]) ** 2 + (x - at[1]) ** 2 < radius**2] = rng.integers(0, 256, 3)
    return out


def test_super_resolution_of_the_package_is_better_than_interpolation():
    whole = leaves(64)
    small = Image.fromarray(whole).resize((32, 32), Image.Resampling.BICUBIC)
    error = lambda made: np.mean((np.asarray(made, np.float64) - whole)[2:-2, 2:-2] ** 2)
    made = ga.transform("super_resolution", np.asarray(small))
    assert error(made) < 0.9 * error(small.resize((64, 64), Image.Resampling.BICUBIC))


def test_classifiers_of_the_package_know_the_art_set():
    """As good as their cards say, on 200 test icons."""
    data = ga.open_data("emoji")
    for label, least in (("style", 0.85), ("shape", 0.68)):
        alg, state = ga.load(f"icons_{label}")
        images = ga.to_float(data.test.arrays["image"][:200])
        seen = np.argmax(ga.jit(alg.predict)(state, images), -1)
        assert np.mean(seen == data.test.arrays[label][:200]) > least


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """A run of a classifier of two conditions."""
    directory = tmp_path_factory.mktemp("of_two") / "run"
    rng = np.random.default_rng(0)
    arrays = {"image": rng.integers(0, 256, (40, 8, 8, 3), np.uint8)}
    arrays |= {"label": rng.integers(0, 2, 40), "size": rng.integers(0, 3, 40)}
    data = ga.open_data(arrays, class_names={"label": ("cat", "dog"), "size": ("small", "middle", "large")})
    options = {"steps": 2, "batch": 4, "sample_every": 0}
    run = ga.configure("simple_cnn", preset="tiny", conditions=("label", "size"), train=options, parallel={"data": 1})
    ga.fit(run, directory, data=data)
    return directory


@pytest.mark.parametrize(("keep", "columns", "classes"), [
    ("label", slice(0, 2), ["cat", "dog"]), ("size", slice(2, 5), ["small", "middle", "large"]),
])  # fmt: skip
def test_one_condition_of_a_classifier_is_kept(of_two, tmp_path, keep, columns, classes):
    out = tmp_path / keep
    assert main(["export", str(of_two), str(out), "--hub", "--dtype", "float32", "--keep", keep]) == 0
    whole, one = ga.load(of_two), ga.load(out)
    assert one.algorithm.batch_spec.conditions == ((keep, len(classes)),)
    assert {name: list(words) for name, words in one.class_names.items()} == {keep: classes}
    images = ga.to_float(np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), np.uint8))
    told = np.asarray(whole.algorithm.predict(whole.state, images))[:, columns]
    np.testing.assert_allclose(one.algorithm.predict(one.state, images), told, rtol=1e-5, atol=1e-6)
    figures = json.loads((of_two / "summary.json").read_text())["test"]
    card = (out / "README.md").read_text()
    assert f"| accuracy | {figures[f'accuracy_{keep}']:.4g} |" in card
    assert "joint_accuracy" not in card
    table = np.asarray(ga.read_config(out).data["condition_table"])
    counts = np.asarray(ga.read_config(of_two).data["condition_table"])
    assert table[:, 1].sum() == counts[:, 2].sum()


@pytest.mark.parametrize(("words", "says"), [
    (["--hub", "--keep", "colour"], "classifies label, size here, not 'colour'"), (["--keep", "label"], "add --hub"),
])  # fmt: skip
def test_what_cannot_be_kept(of_two, tmp_path, capsys, words, says):
    assert main(["export", str(of_two), str(tmp_path / "out"), *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_into_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert packaged.results("icons") == packaged.results(packaged.root() / "icons").relative_to(".")
    assert packaged.results("runs/icons").as_posix() == "runs/icons"
    assert [path.name for path in tmp_path.iterdir()] == ["icons-results"]
