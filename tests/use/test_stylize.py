"""`genart stylize`, with a small network of random weights."""

import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.config import Data
from genart_jax.data import picture, provenance
from genart_jax.data.pipeline import make_loader
from genart_jax.data.source import absolute, open_source
from genart_jax.train import checkpoint
from genart_jax.train.checkpoint import Checkpoints, load, read_config
from genart_jax.use import stylize


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


def plan(longest=128, steps=3, every=2, strength=2.0, scales=3, content="content.png"):
    return stylize.plan(
        stylize.Path(content), stylize.Path("style.jpg"), longest, steps, strength, False, "lbfgs", scales, every, 0
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
    np.testing.assert_array_equal(pair[22:102, 138:266], made)
    saved = read_config(run / "80x128")
    assert saved.run.model.image_shape == (80, 128, 3)
    assert saved.data["init_from"].endswith("40x64")
    content = np.asarray(Image.open("content.png").resize((128, 80), Image.Resampling.LANCZOS), np.float32)
    assert np.abs(made - content).mean() > 1
    # Once more: nothing is left to do, and the picture is the same.
    assert main(["stylize", "content.png", "style.jpg", *words[:-1], "again.png", "--no-provenance"]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open("again.png")), made)
    assert main(["evaluate", str(run / "80x128"), "--json"]) == 0
    assert "style_loss" in capsys.readouterr().out
    about = provenance.read("made.png")
    assert (about.model, about.step, about.data) == ("gatys", 4, "two pictures")
    assert about.sha256 == checkpoint.seals(run / "80x128")[4]
    assert provenance.read("again.png") is None


def test_from_python(files):
    told = []
    made = ga.stylize("content.png", "style.jpg", size=64, steps=2, scales=1, callback=lambda e, v: told.append(e))
    assert made.size == (64, 40)
    assert "end" in told
    assert not (files / "runs").exists()


def test_outside_of_the_mask_the_content_stays(files):
    """And what is painted inside is what would be painted without one; in Python and by the command alike."""
    Image.fromarray(np.repeat(np.uint8([[0, 255]]), [16, 16], axis=1).repeat(20, axis=0)).save("mask.png")
    options = {"size": 64, "steps": 2, "scales": 1}
    everywhere = np.asarray(ga.stylize("content.png", "style.jpg", **options))
    made = np.asarray(ga.stylize("content.png", "style.jpg", masks=["mask.png"], **options))
    content = picture.read_file("content.png", (40, 64), 3)
    np.testing.assert_array_equal(made[:, :30], content[:, :30])
    np.testing.assert_array_equal(made[:, 34:], everywhere[:, 34:])
    assert (made[:, 34:] != content[:, 34:]).any()
    words = ["--size", "64", "--steps", "2", "--scales", "1", "--mask", "mask.png", "--out", "made.png"]
    assert main(["stylize", "content.png", "style.jpg", *words]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open("made.png")), made)
    with pytest.raises(ga.UserError, match="2 masks for 1 styles"):
        ga.stylize("content.png", "style.jpg", masks=["mask.png", "mask.png"], **options)


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


def test_ctrl_c_ends_the_command_with_130_and_a_checkpoint(files, monkeypatch, capsys):
    """No picture is written, nothing half-written is left, and the same command makes what an unstopped one does."""
    words = ["--size", "64", "--scales", "1", "--steps", "4", "--every", "1", "--optimizer", "adam", "--out", "a.png"]
    whole = stylize.stylize

    def interrupted(plan, directory, tell):
        def hear(event, values):
            tell(event, values)
            if event == "progress" and values["step"] == 2:
                os.kill(os.getpid(), signal.SIGINT)

        return whole(plan, directory, hear)

    before = {p.name for p in files.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(stylize, "stylize", interrupted)
        assert main(["stylize", "content.png", "style.jpg", *words]) == 130
    said = capsys.readouterr()
    assert "stopped with a checkpoint in runs/content-style; the same command goes on from there" in said.out
    assert "Traceback" not in said.err
    assert {p.name for p in files.iterdir()} == before | {"runs"}
    place = files / "runs" / "content-style" / "40x64"
    assert int(load(place).state.step) == 2
    assert json.loads((place / "summary.json").read_text())["interrupted"]
    assert not [p.name for p in place.rglob("*") if "tmp" in p.name or "partial" in p.name]
    plain = ["--no-provenance", "--out"]  # it holds sums of the saved state, which has the time in it
    assert main(["stylize", "content.png", "style.jpg", *words[:-2], *plain, "a.png"]) == 0
    assert main(["stylize", "content.png", "style.jpg", "--run", "straight", *words[:-2], *plain, "b.png"]) == 0
    assert (files / "a.png").read_bytes() == (files / "b.png").read_bytes()


def test_pictures_come_in_their_order(files):
    data = Data(source=f"pictures:content.png{os.pathsep}style.jpg", image_size=(20, 32))
    source = open_source(data)
    assert source.image_shape == (20, 32, 3)
    assert (source.train.size, source.test.size) == (2, 1)
    loader = make_loader(source.train, 3, 2)
    for step in (0, 5):
        batch = loader.materialize(loader.constants, loader.next(step))
        np.testing.assert_array_equal(batch["image"], source.train.arrays["image"])
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
        (["content.png", "style.jpg", "--mask", "nothing.png"], "No such file"),
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


def begun(plans, directory):
    """A directory in which this picture was begun and finished, as `stylize` leaves it."""
    place = directory / "x".join(map(str, plans[-1].data.image_size))
    place.mkdir(parents=True)
    (place / "plan.json").write_text(json.dumps(stylize.made_of(plans)))
    return place


def test_another_picture_has_a_directory_of_its_own(files):
    """Other options, an edited file, or another file with the same stem; the same picture goes on where it was."""
    base, words = files / "runs" / "content-style", []
    assert stylize.place_for(plan(), base) == base
    begun(plan(), base)
    assert stylize.place_for(plan(every=0), base) == base
    (files / "other").mkdir()
    Image.open("style.jpg").resize((80, 50)).save(files / "other" / "content.png")
    edited = np.asarray(Image.open("content.png")).copy()
    edited[0, 0] ^= 1

    def edit():
        Image.fromarray(edited).save("content.png")
        return plan()

    for number, make in enumerate(
        (
            lambda: plan(steps=4),
            lambda: plan(longest=64),
            lambda: plan(strength=5.0),
            lambda: plan(scales=1),
            lambda: plan(content="other/content.png"),
            edit,
        ),
        2,
    ):
        other = make()
        words.append(stylize.other_picture(other, base))
        assert stylize.place_for(other, base) == base.with_name(f"content-style-{number}")
        begun(other, base.with_name(f"content-style-{number}"))
        assert stylize.place_for(other, base) == base.with_name(f"content-style-{number}")
    assert words == ["options", "the size, 80x128", "options", "options", "content", "content"]
    with pytest.raises(ga.UserError, match=rf"{base} holds another picture \(other in content\); choose another --run"):
        stylize.stylize(plan(), base, lambda event, values: None)


def test_a_picture_that_an_earlier_version_began_goes_on(files):
    """Without a record of what it is made of."""
    base = files / "run"
    stylize.stylize(plan()[:1], base, lambda event, values: None)
    (base / "40x64" / "plan.json").unlink()
    assert stylize.other_picture(plan()[:1], base) == ""
    assert stylize.other_picture(plan(strength=5.0)[:1], base) == "options"
    Image.new("RGB", (80, 50), "red").save("content.png")
    assert stylize.other_picture(plan()[:1], base) == "a picture"


def test_a_name_with_a_colon(files, capsys):
    name = f"12{os.pathsep}30.png"
    shutil.copy("content.png", name)
    words = ["--size", "32", "--steps", "1", "--scales", "1", "--optimizer", "adam"]
    assert main(["stylize", name, "style.jpg", *words]) == 0
    out = files / "runs" / f"12{os.pathsep}30-style" / "stylized.png"
    assert capsys.readouterr().out.splitlines()[-1] == str(out.relative_to(files))
    assert np.asarray(Image.open(out)).shape == (20, 32, 3)


def test_summary_is_whole(files):
    stylize.stylize(plan()[:1], files / "run", lambda event, values: None)
    summary = json.loads((files / "run" / "40x64" / "summary.json").read_text())
    assert set(summary["test"]) == {"content_loss", "style_loss"}
