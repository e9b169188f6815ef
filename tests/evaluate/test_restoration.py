"""`genart evaluate` of a model from pictures to pictures: against scikit-image, with what made each score."""

import contextlib
import io
import json

import numpy as np
import pytest
from skimage import metrics as skimage
from skimage.color import rgb2ycbcr

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.evaluate import restoration
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.evaluate.pictures import open_run
from genart_jax.evaluate.scores import read_scores
from genart_jax.metrics import frechet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("restored") / "r"
    options = {"train": {"steps": 1}, "parallel": {"data": 1}, "data": {"source": "emoji"}}
    ga.fit(ga.configure("super_resolution", preset="tiny", **options), place)
    return place


@pytest.fixture(scope="module")
def found(run):
    """What the command says, and the pictures that it has compared."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.chdir(run.parent)
        patch.setenv("GENART_CACHE", str(run.parent / "cache"))
        assert main(["evaluate", str(run), "--num", "30", "--extractor", "pixels:4", "--json"]) == 0
    return json.loads(out.getvalue()), restoration.shown_of(open_run(run), 30, 0)


def test_scores_are_those_of_scikit_image(run, found):
    said, shown = found
    assert said["psnr"] > 5
    whole = {score["name"]: score for score in said["scores"]}
    scores = {name: score for name, score in whole.items() if "pixels" not in name}
    pairs = [*zip(shown["target"], shown["output"], strict=True)]
    expected = [skimage.peak_signal_noise_ratio(a, b) for a, b in pairs]
    np.testing.assert_allclose(scores["psnr_rgb"]["value"], np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(scores["psnr_rgb"]["details"]["worst"], np.min(expected), rtol=1e-5)
    luma = [[rgb2ycbcr(x)[2:-2, 2:-2, 0] for x in pair] for pair in pairs]
    expected = [skimage.peak_signal_noise_ratio(a, b, data_range=255) for a, b in luma]
    np.testing.assert_allclose(scores["psnr_y"]["value"], np.mean(expected), rtol=1e-5)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = [skimage.structural_similarity(a, b, full=True, **options)[1][5:-5, 5:-5].mean() for a, b in luma]
    np.testing.assert_allclose(scores["ssim_y"]["value"], np.mean(expected), rtol=1e-4)
    assert scores["psnr_y"]["contract"]["border"] == 2
    assert scores["psnr_rgb"]["contract"]["border"] == 0
    assert {s["better"] for s in scores.values()} == {"higher"}
    assert "ssim_rgb" in scores
    assert {score.name for score in read_scores(run)} == whole.keys()


def test_what_is_of_drawn_pictures_alone_is_refused(run, capsys):
    assert main(["evaluate", str(run), "--also", "memorisation"]) == 2
    assert "it has perceptual alone" in capsys.readouterr().err


def test_what_is_made_is_held_against_what_is_wanted_as_a_set(found):
    said, shown = found
    scores = {score["name"]: score for score in said["scores"]}
    assert {"psnr_rgb", "fd_pixels_4", "kd_pixels_4"} <= scores.keys()
    network = make_extractor("pixels:4")
    fits = {label: frechet.fit(network(shown[label])[0]) for label in ("target", "input", "output")}
    expected = [frechet.distance(fits["target"], fits[label]) for label in ("output", "input")]
    score = scores["fd_pixels_4"]
    np.testing.assert_allclose([score["value"], score["details"]["input"]], expected, rtol=1e-5)
    assert {score["contract"]["task"] for score in scores.values()} == {"downsample x2"}
