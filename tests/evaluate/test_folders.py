"""Distances between folders of pictures."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.evaluate.folders import compare_folders, see
from genart_jax.metrics import frechet, kernel, monge, precision_recall


def folder(place, seed, count=30, size=(12, 16), mean=128):
    """Noise about a mean, and the pixels that were written."""
    place.mkdir()
    images = np.random.default_rng(seed).normal(mean, 40, (count, *size, 3)).clip(0, 255).astype(np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(place / f"{i:03}.png")
    return images


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_scores_are_those_of_the_pixels(tmp_path):
    fake, real = folder(tmp_path / "fake", 0), folder(tmp_path / "real", 1, 35, mean=120)
    found = compare_folders("fake", "real", "pixels:4", ("fd", "kd", "md", "support"))
    x, y = (make_extractor("pixels:4")(images)[0] for images in (real, fake))
    figures = {name: m.value for name, m in found.scores.items()}
    np.testing.assert_allclose(figures["fd_pixels_4"], frechet.distance(frechet.fit(x), frechet.fit(y)), rtol=1e-5)
    np.testing.assert_allclose(figures["kd_pixels_4"], kernel.polynomial(x, y).value, rtol=1e-4)
    np.testing.assert_allclose(figures["md_pixels_4"], monge.monge(x, y, replicates=0).value, rtol=1e-5)
    support = precision_recall.compute(x, y, 5)
    assert figures["recall_pixels_4"] == support.recall[0]
    assert figures["precision_pixels_4"] == support.precision[0]
    assert found.contract["num_fake"] == 30
    assert found.contract["num_real"] == 35
    assert found.contract["generated_size"] == found.contract["data_size"] == [12, 16]
    assert {r["better"] for r in found.records()} == {"lower", "higher"}
    assert found.left_out == ()


def test_statistics_stand_for_a_folder(tmp_path):
    folder(tmp_path / "fake", 0)
    folder(tmp_path / "real", 1)
    with zipfile.ZipFile("real.zip", "w") as archive:
        for path in sorted((tmp_path / "real").iterdir()):
            archive.write(path, path.name)
    compare_folders("real.zip", None, "pixels:3", save="real.npz")
    to_file = compare_folders("fake", "real.npz", "pixels:3")
    to_folder = compare_folders("fake", "real", "pixels:3")
    name = "fd_pixels_3"
    np.testing.assert_allclose(to_file.scores[name].value, to_folder.scores[name].value, rtol=1e-6)
    assert to_file.scores[name].contract["num_real"] == 30
    assert "network" not in to_file.scores[name].caveat
    with pytest.raises(ga.UserError, match="statistics of 27 numbers a picture, pixels_4 makes 48"):
        compare_folders("fake", "real.npz", "pixels:4")
    with pytest.raises(ga.UserError, match="a Frechet distance alone"):
        compare_folders("fake", "real.npz", "pixels:3", ("fd", "kd"))
    with pytest.raises(ga.UserError, match="is there already"):
        compare_folders("real", None, "pixels:3", save="real.npz")


def test_unreadable_pictures_are_named_and_left_out(tmp_path):
    images = folder(tmp_path / "fake", 0, 12)
    (tmp_path / "fake" / "003.png").write_bytes(b"no picture")
    (tmp_path / "fake" / "notes.txt").write_text("no picture either")
    seen = see("fake", make_extractor("pixels:2"))
    assert [name for name, _ in seen.left_out] == ["003.png"]
    kept = make_extractor("pixels:2")(np.delete(images, 3, 0))[0]
    np.testing.assert_allclose(seen.features.values, kept, atol=1e-6)
    for name in ("004.png", "005.png"):
        (tmp_path / "fake" / name).write_bytes(b"no picture")
    with pytest.raises(ga.UserError, match=r"fake has 9 pictures, 3 cannot be read: 003\.png .*at least 10"):
        see("fake", make_extractor("pixels:2"))


def test_sizes(tmp_path):
    folder(tmp_path / "fake", 0, 20)
    folder(tmp_path / "large", 0, 20, (24, 32))
    found = compare_folders("fake", "large", "pixels:2")
    assert "pictures of 12x16 and 24x32: resizing alone makes a distance" in found.scores["fd_pixels_2"].caveat
    assert compare_folders("fake", "large", "pixels:2", size=(8, 8)).contract["data_size"] == [8, 8]
    (tmp_path / "large" / "000.png").rename(tmp_path / "fake" / "900.png")
    with pytest.raises(ga.UserError, match=r"several sizes, 000\.png of 12x16 and 900\.png of 24x32; .*--size"):
        see("fake", make_extractor("pixels:2"))
    assert see("fake", make_extractor("pixels:2"), (8,)).size == (8, 8)


def test_the_command(tmp_path, capsys):
    folder(tmp_path / "fake", 0, 12)
    folder(tmp_path / "real", 1, 13)
    (tmp_path / "fake" / "broken.png").write_bytes(b"no picture")
    common = ["--features", "pixels:2"]
    assert main(["fid", "fake", "real", *common, "--scores", "fd", "support"]) == 0
    shown = capsys.readouterr()
    assert "12 pictures of fake (12x16) vs 13 of real (12x16); 1 left out; pixels_2 at 2x2, bicubic" in shown.out
    assert "fd_pixels_2" in shown.out
    assert "precision_pixels_2" in shown.out
    assert "left out: broken.png: " in shown.err
    assert main(["fid", "real", *common, "--save", "real.npz"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("real.npz")
    assert main(["fid", "fake", "real.npz", *common, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores"][0]["name"] == "fd_pixels_2"
    assert found["scores"][0]["contract"]["data"] == "real.npz"
    assert found["left_out"][0]["file"] == "broken.png"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["fake"], "fid takes two places"),
        (["fake", "nowhere"], "nowhere: there is no such folder"),
        (["fake", "nowhere.npz"], "there is no such file"),
        (["nowhere", "fake"], "nowhere: there is no such folder"),
        (["fake", "fake", "--features", "resnet"], "extractor 'resnet' is unknown"),
        (["fake", "few"], "few has 3 pictures; wanted at least 10"),
        (["fake", "--save", "new.txt"], "ends in .npz"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, args, words):
    folder(tmp_path / "fake", 0, 12)
    folder(tmp_path / "few", 0, 3)
    chosen = [] if "--features" in args else ["--features", "pixels:2"]
    assert main(["fid", *args, *chosen]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.endswith(" ...")]
    assert words in line
