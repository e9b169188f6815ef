"""A run between two unpaired sets from the command line: its scores, and pictures both ways."""

import json

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.evaluate.pictures import choose_rows, open_run
from genart_jax.evaluate.restoration import shown_of
from genart_jax.metrics import frechet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """From style to style on the art set."""
    place = tmp_path_factory.mktemp("styles") / "r"
    data = {"source": "emoji:noto", "other": "emoji:fluent-flat"}
    train = {"steps": 1, "eval_every": 0, "sample_every": 0}
    ga.fit(ga.configure("cyclegan", preset="tiny", data=data, train=train, parallel={"data": 1}), place)
    return place


def test_translations_are_held_against_the_set_that_they_should_be_like(run, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(run), "--extractor", "pixels:4", "--num", "96", "--json"]) == 0
    scores = {score["name"]: score for score in json.loads(capsys.readouterr().out)["scores"]}
    assert set(scores) == {"fd_pixels_4", "kd_pixels_4", "fd_pixels_4_back", "kd_pixels_4_back"}
    trained, network = open_run(run), make_extractor("pixels:4")
    shown = shown_of(trained, 96, 0)
    assert list(shown) == ["input", "output", "second input", "second output"]
    split = trained.source.train
    moments = lambda images: frechet.fit(network(images)[0])
    for end, part, labels, name in (
        ("", split.other, ("output", "input"), "emoji:fluent-flat"),
        ("_back", split, ("second output", "second input"), "emoji:noto"),
    ):
        known = moments(part.arrays["image"][choose_rows(part, 96)])
        score = scores[f"fd_pixels_4{end}"]
        expected = [frechet.distance(known, moments(shown[label])) for label in labels]
        np.testing.assert_allclose([score["value"], score["details"]["input"]], expected, rtol=1e-6)
        assert (score["contract"]["made_of"], score["contract"]["data"]) == ("test", name)
        assert score["better"] == "lower"


def test_what_has_no_target_has_no_distance_to_it(run, capsys):
    assert main(["evaluate", str(run), "--extractor", "pixels:4", "--also", "perceptual"]) == 2
    assert "there is nothing that each picture should become" in capsys.readouterr().err


def test_pictures_are_mapped_both_ways(run, tmp_path, capsys):
    picture = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)).save(picture)
    made = []
    for i, words in enumerate(([], ["--back"])):
        assert main(["transform", str(run), str(picture), "--out", str(tmp_path / f"{i}.png"), *words]) == 0
        made.append(np.asarray(Image.open(tmp_path / f"{i}.png")))
        assert made[-1].shape == (40, 30, 3)
    assert (made[0] != made[1]).any()
    np.testing.assert_array_equal(ga.transform(run, picture, back=True), made[1])
