"""`genart stylize`, with a small network of random weights."""

import json
import os
import signal

import jax
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax import stylize
from genart_jax.app.cli import main
from genart_jax.config import Data
from genart_jax.data.pipeline import make_loader
from genart_jax.data.source import absolute, open_source
from genart_jax.train.checkpoint import Checkpoints, load, read_config


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A wide content and a high style in the working directory; the tiny preset in place of VGG19."""
    rng = np.random.default_rng(0)
    for name, (height, width) in {"content.png": (50, 80), "style.jpg": (70, 30)}.items():
        blocks = rng.integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST).save(tmp_path / name, quality=95)
    monkeypatch.chdir(tmp_path)
    tiny = ga.get_config("gatys", "tiny")
    monkeypatch.setattr(stylize.plan, "__defaults__", (tiny,))
    return tmp_path


def plan(longest=128, steps=3, every=2):
    return stylize.plan(
        stylize.Path("content.png"), stylize.Path("style.jpg"), longest, steps, 2.0, False, "lbfgs", 3, every, 0
    )


def test_scales_keep_the_proportions():
    assert stylize.stages((300, 400), 256, 3) == [(48, 64), (96, 128), (192, 256)]
    assert stylize.stages((300, 400), 256, 9) == [(48, 64), (96, 128), (192, 256)]
    assert stylize.stages((10, 40), 128, 2) == [(16, 64), (32, 128)]
    for size, longest in (((1, 100), 256), ((5, 5), 8)):
        with pytest.raises(ga.UserError, match="wanted"):
            stylize.stages(size, longest, 3)


def test_from_the_command_line(files, capsys):
    words = ["--size", "128", "--steps", "4", "--every", "2", "--out", "made.png"]
    assert main(["stylize", "content.png", "style.jpg", *words]) == 0
    made = np.asarray(Image.open("made.png"))
    assert made.shape == (80, 128, 3)
    run = files / "runs" / "content-style"
    assert [p.name for p in run.iterdir()] == ["80x128"]  # the coarse scale is gone
    pictures = sorted(p.name for p in (run / "80x128" / "samples").iterdir())
    assert pictures == ["000002.png", "000004.png"]
    pair = np.asarray(Image.open(run / "80x128" / "samples" / "000004.png"))  # the content, and what was made of it
    np.testing.assert_array_equal(pair[2:82, 132:260], made)
    saved = read_config(run / "80x128")
    assert saved.run.model.image_shape == (80, 128, 3)
    assert saved.data["init_from"].endswith("40x64")
    content = np.asarray(Image.open("content.png").resize((128, 80), Image.Resampling.LANCZOS), np.float32)
    assert np.abs(made - content).mean() > 1
    # Once more: nothing is left to do, and the picture is the same.
    assert main(["stylize", "content.png", "style.jpg", *words[:-1], "again.png"]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open("again.png")), made)
    assert main(["evaluate", str(run / "80x128"), "--json"]) == 0
    assert "style_loss" in capsys.readouterr().out


def test_a_finer_scale_starts_from_the_coarser(files):
    plans = plan()
    kept = {}

    def tell(event, values):
        if event == "start" and values["directory"].name == "80x128":
            kept["coarse"] = np.asarray(load(files / "run" / "40x64").state.params["pixels"]["offset"])

    stopped = ga.configure(plans[1], train={"steps": 1}, optimizer={"name": "sgd", "learning_rate": 0.0, "b1": 0.0})
    assert stylize.stylize([plans[0], stopped], files / "run", tell) is not None
    fine = load(files / "run" / "80x128").state.params["pixels"]["offset"]
    np.testing.assert_allclose(fine, jax.image.resize(kept["coarse"], (80, 128, 3), "linear"), atol=1e-6)
    assert np.abs(kept["coarse"]).max() > 0.05


def test_stopped_and_resumed_equals_a_straight_run(files):
    def interrupt(event, values):
        if event == "progress" and values["step"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    straight = stylize.stylize(plan(), files / "straight", lambda event, values: None)
    stops = 0
    while (made := stylize.stylize(plan(), files / "parts", interrupt if stops < 2 else lambda e, v: None)) is None:
        stops += 1
    assert stops == 2
    np.testing.assert_array_equal(made, straight)
    with Checkpoints(files / "parts" / "80x128") as checkpoints:
        assert checkpoints.steps()[-1] == 3


def test_pictures_come_in_their_order(files):
    data = Data(source=f"pictures:content.png{os.pathsep}style.jpg", image_size=(20, 32))
    source = open_source(data)
    assert source.image_shape == (20, 32, 3)
    assert (source.train.size, source.test.size) == (2, 1)
    loader = make_loader(source.train, 3, 2)
    for step in (0, 5):
        batch = loader.materialize(loader.constants, loader.next(step))
        np.testing.assert_array_equal(batch["image"], source.train.images)
    assert absolute(data.source) == f"pictures:{files / 'content.png'}{os.pathsep}{files / 'style.jpg'}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["content.png"], "needs two pictures"),
        (["nothing.png", "style.jpg"], "No such file"),
        (["content.png", "nothing.png"], "No such file"),
        (["content.png", "style.jpg", "--out", "made.xyz"], "FILE.png"),
        (["content.png", "style.jpg", "--out", "nowhere/made.png"], "no folder"),
        (["content.png", "style.jpg", "--size", "10"], "at least 32"),
        (["content.png", "style.jpg", "--strength", "-1"], "0 or more"),
        (["content.png", "style.jpg", "--optimizer", "newton"], "--optimizer"),
    ],
)
def test_mistakes(words, message, capsys):
    assert main(["stylize", *words]) == 2
    assert message in capsys.readouterr().err


def test_missing_weights_name_the_command(files, monkeypatch, capsys):
    monkeypatch.setenv("GENART_CACHE", str(files / "cache"))
    monkeypatch.setattr(stylize.plan, "__defaults__", ("gatys",))
    assert main(["stylize", "content.png", "style.jpg"]) == 2
    assert "genart assets fetch vgg19" in capsys.readouterr().err
    assert not (files / "runs").exists()


def test_summary_is_whole(files):
    stylize.stylize(plan()[:1], files / "run", lambda event, values: None)
    summary = json.loads((files / "run" / "40x64" / "summary.json").read_text())
    assert set(summary["test"]) == {"content_loss", "style_loss"}
