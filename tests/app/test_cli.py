"""The command line, as a user types it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax import registry
from genart_jax.app.cli import main
from genart_jax.use.sample import Samples, write_samples

FAST = ["--preset", "tiny", "--steps", "2", "--parallel.data", "1"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory, brief_run):
    """A run of two steps for each family."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("dcgan", "conv_vae", "simple_cnn"):
        brief_run(name, root / name)
    return root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))  # without weights: no scores over them


def test_list(capsys):
    assert main(["list"]) == 0
    assert "dcgan" in capsys.readouterr().out
    main(["list"])
    lines = capsys.readouterr().out.splitlines()
    entries = [registry.find(name) for name in registry.list_models()]
    column = max(len(e.name) for e in entries) + 2
    assert [line[column:].partition(" ")[0] for line in lines] == [e.family for e in entries]
    assert len({line.index(e.paper) for line, e in zip(lines, entries, strict=True)}) == 1
    assert main(["list", "--family", "vae", "--json"]) == 0
    assert all(e["family"] == "vae" for e in json.loads(capsys.readouterr().out))


def test_help_comes_from_the_dataclasses(capsys):
    assert main(["train", "dcgan", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("--model.width", "--step.r1-gamma", "--optimizer.learning-rate", "Length of z.", "--parallel.data"):
        assert words in text
    assert main(["train", "--help"]) == 0
    assert "--optimizer.learning-rate" in capsys.readouterr().out
    for command in ("list", "sample", "evaluate"):
        assert main([command, "--help"]) == 0


def test_dir_shows_the_public_names():
    assert sorted(name for name in dir(ga) if not name.startswith("_")) == sorted(ga.__all__)


def test_nobody_reads_on():
    """As `| head` leaves it: neither a message, nor a traceback as Python ends."""
    command = [sys.executable, "-m", "genart_jax", "train", "dcgan", "--help"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141


def test_a_device_that_is_not_there(tmp_path):
    command = [sys.executable, "-m", "genart_jax", "train", "mlp_vae", "--preset", "tiny", "--run", str(tmp_path / "r")]
    done = subprocess.run(command, env=os.environ | {"JAX_PLATFORMS": "nonesuch"}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("genart: JAX_PLATFORMS=nonesuch cannot be had")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_first_answers_are_quick():
    """In processor time, as tests may share the machine; relative to Python itself, as machines differ.

    Processor time, too, grows while others fill the caches: a command may be tried again.
    """

    def seconds(*command):
        times = []
        for _ in range(3):
            before = os.times()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            after = os.times()
            times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        return min(times)

    def quick(args, limit):
        slow = max(1.0, seconds("-c", "pass") / 0.03)  # now, as a machine's speed changes
        return seconds("-m", "genart_jax", *args) < limit * slow

    for args, limit in (
        (["list"], 1.0),
        (["--help"], 1.0),
        (["train", "--help"], 1.0),
        (["train", "dcgan", "--help"], 2.5),
    ):
        assert any(quick(args, limit) for _ in range(3)), args


def test_train_says_what_it_does(tmp_path, capsys):
    assert main(["train", "simple_cnn", "--run", "r", *FAST]) == 0
    out = capsys.readouterr().out
    assert out.startswith("on cpu, ")
    assert "6991 train, 754 test" in out
    assert "test split at step 2: " in out
    assert "genart evaluate r" in out
    assert main(["train", "simple_cnn", "--run", "r"]) == 0  # options come from the run itself
    assert "has all its 2 steps" in capsys.readouterr().out
    assert main(["train", "simple_cnn", "--run", "r", "--steps", "3"]) == 0
    assert "goes on from step 2" in capsys.readouterr().out


@pytest.mark.newest
def test_sample_grid_arrays_and_folder(runs, tmp_path, capsys):
    run = str(runs / "dcgan")
    assert main(["sample", run, "--num", "5", "--condition", "style=noto", "shape=food"]) == 0
    assert (runs / "dcgan" / "samples" / "sample_seed0_style=noto_shape=food.png").exists()
    words = ["--num", "5", "--seed", "3", "--condition", "style=fluent"]
    for name in ("a.npz", "b.npz"):
        assert main(["sample", run, *words, "--out", name]) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["images"].shape == (5, 32, 32, 3)
    assert arrays["images"].dtype == np.uint8
    assert (arrays["style"] == 2).all()
    assert arrays["style_names"][2] == "fluent"
    assert main(["sample", run, *words, "--out", "folder"]) == 0
    files = sorted((tmp_path / "folder").iterdir())
    assert len(files) == 5
    np.testing.assert_array_equal(np.asarray(Image.open(files[0])), arrays["images"][0])
    # The first pictures are the same however many are asked for.
    assert main(["sample", run, *words[2:], "--num", "70", "--out", "c.npz"]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "c.npz")["images"][:5], arrays["images"])


def test_class_names_that_are_no_file_names(tmp_path):
    samples = Samples(np.zeros((2, 4, 4, 1), np.uint8), {"label": np.array([0, -1])})
    write_samples(tmp_path / "folder", samples, {"label": ("T-shirt/top",)}, 0)
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["00000_T-shirt-top.png", "00001_none.png"]


def test_a_run_means_the_same_from_everywhere(tmp_path, monkeypatch, capsys):
    """A relative folder of pictures is found again from another working directory."""
    (tmp_path / "pictures").mkdir()
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    options = ["--data", "folder:pictures", "--data.image-size", "16", "--train.batch", "2"]
    assert main(["train", "conv_vae", "--run", "r", *FAST, *options]) == 0
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert main(["evaluate", "../r"]) == 0
    assert main(["train", "conv_vae", "--run", "../r", "--data", "folder:../pictures", "--steps", "3"]) == 0
    assert main(["evaluate", "../r", "--data", "folder:../pictures"]) == 0


def test_evaluate(runs, capsys):
    assert main(["evaluate", str(runs / "conv_vae"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["examples"] == 754
    assert figures["bits_per_dim"] > 0
    assert figures["id"] == json.loads((runs / "conv_vae" / "summary.json").read_text())["id"]
    judge = ["--classifier", str(runs / "simple_cnn"), "--num", "64"]
    assert main(["evaluate", str(runs / "dcgan"), *judge]) == 0
    assert "accuracy_simple_cnn_style" in capsys.readouterr().out


def wrong(capsys, *args):
    """The one line that a wrong command prints."""
    assert main([str(a) for a in args]) == 2
    captured = capsys.readouterr()
    message = captured.err.strip()
    assert "\n" not in message, message
    assert "Traceback" not in message
    assert message.startswith("genart: ")
    return message


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["trian"], "did you mean train"),
        (["xyzzy"], "there are list, train"),
        (["train", "dcgam"], "did you mean dcgan"),
        (["train", "no.such.module:Config"], "no module"),
        (["train", "--steps", "3"], "needs a name first"),
        (["train", "dcgan", "--train.stepss", "3"], "--train.stepss is unknown; did you mean --train.steps?"),
        (["train", "dcgan", "--lr", "3"], "did you mean --optimizer.learning-rate"),
        (["train", "dcgan", "--batch_size", "3"], "did you mean --train.batch?"),
        (["train", "dcgan", "--data.sorce=emoji"], "did you mean --data.source?"),
        (["train", "dcgan", "--xyzzy", "3"], "--xyzzy is unknown; see genart train dcgan --help"),
        (["sample", "nowhere", "--conditions", "style=noto"], "did you mean --condition?"),
        (["train", "dcgan", "--steps", "many"], "--train.steps"),
        (["train", "dcgan", "--preset", "huge"], "there are default"),
        (["train", "dcgan", "--data", "folder:nowhere"], "no such folder"),
        (["train", "dcgan", "--data", "emojis"], "emoji"),
        (["train", "dcgan", "--optimizer.name", "adamm"], "adam"),
        (["train", "dcgan", "--train.batch", "0"], "at least 1"),
        (["train", "dcgan", "--step.loss", "hing"], "did you mean hinge"),
        (["train", "dcgan", "--parallel.data", "99"], "found"),
        (["train", "dcgan", "--init-from", "nowhere"], "is not a run"),
        (["list", "--family", "gans"], "there are cnn, "),
        (["sample", "nowhere"], "is not a run"),
        (["evaluate"], "needs a run first"),
        (["evaluate", "icons", "--split", "valid"], "--split valid: there are train and test"),
        (["checkpoint", "repair", "icons"], "icons is a trained model, not a run"),
        (["predict", "icons_style", "a.png", "--top", "0"], "--top 0: wanted at least 1"),
        (["compare", "nowhere", "nowhere2"], "nowhere is not a run"),
        (["judge", "icons", "icons_vae", "--report", "--folder", "votes"], "nobody has judged in"),
        (["bench", "dcgan", "--image-size", "31", "31", "3"], "set --image-size"),
        (["bench", "dcgan", "--devices", "99"], "lower --devices"),
        (["sample", "icons", "--first", "a.png"], "--first is for models of videos"),
        (["transform", "dehaze", "a.png", "--back"], "--back is for models that map both ways"),
        (["sample", "dehaze"], "overview (by genart transform)"),
        (["export", "icons", "out", "--hub", "--keep", "style"], "--keep is for classifiers"),
    ],
)
def test_mistakes(args, words, capsys, tmp_path):
    assert words in wrong(capsys, *args)
    assert not list(tmp_path.glob("runs/*/checkpoints/*"))
    assert not (tmp_path / "votes").exists()


def test_mistakes_with_data(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in wrong(capsys, "train", "dcgan", "--data", "folder:empty")
    (tmp_path / "wide").mkdir()
    for i in range(3):
        Image.fromarray(np.full((30, 30, 3), 50 * i, np.uint8)).save(tmp_path / "wide" / f"{i}.png")
    message = wrong(capsys, "train", "dcgan", "--data", "folder:wide", "--data.image-size", "30")
    assert "30" in message
    assert "32" in message


def test_mistakes_with_runs(runs, capsys, tmp_path):
    run = runs / "dcgan"
    (tmp_path / "file").write_text("")
    assert "is a file" in wrong(capsys, "train", "dcgan", "--run", "file")
    assert "begun with other options" in wrong(capsys, "train", "dcgan", "--run", run, "--preset", "paper")
    assert "say emoji:64" in wrong(capsys, "train", "dcgan", "--data.image-size", "64")
    assert "given twice" in wrong(capsys, "sample", run, "--condition", "style=noto", "--condition", "shape=food")
    assert "given twice" in wrong(capsys, "sample", run, "--condition", "style=noto", "style=fluent")
    assert "at most" in wrong(capsys, "sample", run, "--num", "1025", "--out", "big.png")
    assert "not of conv_vae" in wrong(capsys, "train", "conv_vae", "--run", run)
    assert "model.width: 4 -> 8" in wrong(capsys, "train", "dcgan", "--run", run, "--model.width", "8")
    assert "write name=value" in wrong(capsys, "sample", run, "--condition", "style")
    assert "unknown" in wrong(capsys, "sample", run, "--condition", "flavour=sweet")
    assert "choose from noto" in wrong(capsys, "sample", run, "--condition", "style=cubism")
    assert "choose from noto" in wrong(capsys, "sample", run, "--condition", "style=99")
    assert "has not learnt to do without" in wrong(capsys, "sample", run, "--condition", "style=none")
    assert "has not learnt to do without" in wrong(capsys, "evaluate", run, "--condition", "style=none")
    assert "wanted at least 1" in wrong(capsys, "sample", run, "--num", "0")
    assert "FILE.png" in wrong(capsys, "sample", run, "--out", "x.gif")
    assert "truncation: got 2, wanted a number from 0 to 1.5" in wrong(capsys, "sample", run, "--truncation", "2")
    assert "truncation: got 2, wanted a number from 0 to 1.5" in wrong(capsys, "evaluate", run, "--truncation", "2")
    assert "dcgan takes no guidance" in wrong(capsys, "evaluate", run, "--guidance", "2")
    assert "takes no truncation" in wrong(capsys, "sample", runs / "conv_vae", "--truncation", "0.5")
    assert "has no use 'sample'; it has predict" in wrong(capsys, "sample", runs / "simple_cnn")
    assert "has no use 'predict'" in wrong(capsys, "evaluate", run, "--classifier", runs / "conv_vae")


def test_a_model_of_ones_own(tmp_path, capsys, monkeypatch):
    """A module outside the package: through the command line, and registered."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])  # as of the command itself
    (tmp_path / "my_models.py").write_text(
        "import dataclasses\n"
        "from genart_jax.models import conv_vae\n"
        "STEP = 'genart_jax.steps.vae'\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Config(conv_vae.Config):\n"
        "    latent_dim: int = 3\n"
        "def networks(config, dtype=None, axis_name=None):\n"
        "    return conv_vae.networks(config)\n"
        "tiny = conv_vae.PRESETS['tiny']\n"
        "run = dataclasses.replace(tiny, model=Config(width=4, hidden=8))\n"
        "PRESETS = {'default': run, 'tiny': run}\n"
    )
    options = ["--steps", "1", "--run", "mine", "--parallel.data", "1"]
    assert main(["train", "--model", "my_models:Config", *options]) == 0
    assert int(ga.load("mine").state.step) == 1
    assert main(["sample", "mine", "--num", "2", "--out", "mine.png"]) == 0
    assert "is not made with tiny" in wrong(capsys, "train", "my_models:tiny")
    assert "no 'STEP'" in wrong(capsys, "train", "genart_jax.models.conv_vae:Config")
    ga.register("mine", module="my_models", step="genart_jax.steps.vae", family="vae")
    try:
        assert "mine" in ga.list_models("vae")
        assert ga.build("mine", image_shape=(16, 16, 3)).batch_spec.image_shape == (16, 16, 3)
        with pytest.raises(ga.UserError, match="already registered"):
            ga.register("mine", module="my_models", step="genart_jax.steps.vae")
    finally:
        del registry._MODELS["mine"]
