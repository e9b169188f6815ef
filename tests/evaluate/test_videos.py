"""Scores of videos: of clips whose values are known, and of a run of two steps."""

import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.evaluate import videos
from genart_jax.evaluate.extractors import Extractor
from genart_jax.evaluate.pictures import open_run
from genart_jax.evaluate.scores import read_scores
from genart_jax.metrics.image import psnr, ssim


def clips(num, frames=4, side=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, frames, side, side, 3), np.uint8)


def test_what_changes_evenly_does_not_flicker():
    ramp = np.broadcast_to((40 * np.arange(4, dtype=np.uint8))[:, None, None, None], (3, 4, 8, 8, 3))
    blink = np.broadcast_to(np.array([0, 255, 0, 255], np.uint8)[:, None, None, None], (3, 4, 8, 8, 3))
    (score,) = videos._flicker(ramp, blink).values()
    assert (score.value, score.details["real"]) == (pytest.approx(2.0), pytest.approx(0.0, abs=1e-6))
    assert videos._flicker(ramp[:, :2], blink[:, :2]) == {}


def test_rows_are_as_far_apart_as_their_pixels():
    a, b = np.zeros((1, 4, 8, 8, 3), np.uint8), np.full((1, 4, 8, 8, 3), 51, np.uint8)
    assert np.linalg.norm(videos.rows(a) - videos.rows(b)) == pytest.approx(0.2, rel=1e-5)
    assert videos._small(clips(2)).shape == (2, 4, 8, 8, 3)


def test_content_that_is_kept():
    bright = lambda _, x: (x.mean(axis=(1, 2)), np.float32([[-1, 1, 0]]) * x.mean(axis=(1, 2, 3))[:, None])
    network = Extractor("bright", "", (8, 8), "as they are", bright, batch=8)
    light, dark = np.full((8, 8, 3), 255, np.uint8), np.zeros((8, 8, 3), np.uint8)
    kept = np.stack([[light] * 4, [dark] * 4])
    lost = np.stack([[light, light, light, dark], [dark, dark, light, light]])
    (score,) = videos.kept(network, kept, lost).values()
    assert (score.value, score.details) == (0.625, {"real": 1.0, "all_frames": 0.0})


def test_frames_are_found_by_the_middle_one():
    """Features are the mean colours: the red video loses its content in its last frame, which is green."""
    colours = lambda _, x: (x.mean(axis=(1, 2)) + 1, None)
    network = Extractor("colours", "", (8, 8), "as they are", colours, batch=8)
    red, green = (np.broadcast_to(np.array(c, np.uint8), (8, 8, 3)) for c in ([200, 10, 10], [10, 200, 10]))
    kept, lost = np.stack([[red] * 3, [green] * 3]), np.stack([[red, red, green], [green] * 3])
    (score,) = videos.found_again(network, kept, lost).values()
    assert (score.value, score.details) == (0.75, {"real": 1.0, "videos": 2})


def test_guesses_without_a_model():
    given = np.float32([0.0, 0.25])[None, :, None, None, None] * np.ones((1, 2, 4, 4, 3), np.float32)
    found = videos.guesses(given, 6)
    assert found["last"][0, :, 0, 0, 0].tolist() == [0, 0.25, 0.25, 0.25, 0.25, 0.25]
    assert found["line"][0, :, 0, 0, 0].tolist() == [0, 0.25, 0.5, 0.75, 1, 1]


def test_a_prediction_is_compared_frame_by_frame():
    """A model that repeats the last frame has the figures of the guess "last"."""
    real = clips(5, frames=4)

    def extend(state, images, key):
        return jnp.concatenate([images, jnp.repeat(images[:, 1:], 2, axis=1)], axis=1)

    algorithm = types.SimpleNamespace(use=lambda *_: types.SimpleNamespace(function=extend))
    saved = types.SimpleNamespace(run=types.SimpleNamespace(name="mine"))
    found = videos.predicted(types.SimpleNamespace(model=(algorithm, None), saved=saved), real, 0)
    assert found.keys() == {"psnr_predicted", "ssim_predicted"}
    for name, one in found.items():
        assert one.value == pytest.approx(one.details["last"], rel=1e-5)
        assert one.details["frame_3"] == pytest.approx(one.details["last_frame_3"], rel=1e-5)
        wanted = {"psnr_predicted": psnr, "ssim_predicted": ssim}[name]
        x = np.asarray(ga.to_float(real))
        assert one.details["frame_2"] == pytest.approx(float(np.mean(wanted(x[:, 1], x[:, 2]))), rel=1e-4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Of two steps on a folder of videos: a GAN, a classifier of them, and one of frames."""
    root = tmp_path_factory.mktemp("videos")
    for i, video in enumerate(clips(96, frames=3)):
        place = root / "set" / ("train" if i < 48 else "test") / f"label{i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        first, *rest = map(Image.fromarray, video)
        first.save(place / f"{i:02}.webp", save_all=True, append_images=rest, lossless=True)
    data = {"source": f"videos:{root / 'set'}", "image_size": (16,), "frames": 3}
    options = {"parallel": {"data": 1}, "train": {"steps": 1, "sample_every": 0}}
    ga.fit(ga.configure("video_gan", preset="tiny", data=data, step={"critic_terms": ()}, **options), root / "gan")
    ga.fit(ga.configure("simple_cnn", preset="tiny", data=data, **options), root / "clips")
    frames = {"image": clips(24, frames=3)[:, 0], "label": np.arange(24) % 2}
    ga.fit(ga.configure("simple_cnn", preset="tiny", **options), root / "frames", data=frames)
    return root


def test_a_run_has_its_scores(runs):
    found = {s.name: s for s in videos.score_videos(runs / "gan", 40, judge=runs / "frames")}
    assert found.keys() == {
        "flicker", "motion_diversity", "content_diversity", "nearest_clip", "content_kept_simple_cnn_label",
        "content_found_simple_cnn_label",
    }  # fmt: skip
    assert all(np.isfinite(s.value) and s.better in ("real", "higher") for s in found.values())
    assert found["flicker"].contract["image_size"] == [3, 16, 16]
    assert (found["nearest_clip"].contract["image_size"], found["nearest_clip"].contract["num_real"]) == ([3, 8, 8], 40)
    assert found["content_kept_simple_cnn_label"].contract["weights"]
    assert found["motion_diversity"].details["independent"] > 0
    assert {s.name for s in read_scores(runs / "gan")} == found.keys()
    with pytest.raises(ga.UserError, match="sees whole videos"):
        videos.score_videos(runs / "gan", 40, judge=runs / "clips")
    with pytest.raises(ga.UserError, match="makes no videos"):
        videos.score_videos(runs / "clips", 40)


def test_held_codes_are_held(runs, monkeypatch):
    trained, seen = open_run(runs / "gan"), []
    content = trained.model.algorithm.networks["generator"].module.content_dim
    uses = dict(trained.model.algorithm.uses)
    function = lambda state, latents, told: (seen.append(latents), uses["decode"].function(state, latents, told))[1]
    algorithm = trained.model.algorithm._replace(uses=uses | {"decode": uses["decode"]._replace(function=function)})
    monkeypatch.setattr(videos.compiler, "jit", lambda one: one)
    for hold in (True, False):
        groups = videos.recombined(trained._replace(model=trained.model._replace(algorithm=algorithm)), 0, hold)
        assert groups.shape == (videos.GROUPS, videos.OF_EACH, 3, 16, 16, 3)
        one = seen.pop().reshape(videos.GROUPS, videos.OF_EACH, -1)
        held, free = (one[..., :content], one[..., content:])[:: 1 if hold else -1]
        assert (held == held[:, :1]).all()
        assert (held[0, 0] != held[1, 0]).any()
        assert (free == free[:1]).all()
        assert (free[0, 0] != free[0, 1]).any()


def test_features_and_classes_of_clips(runs):
    scores = {s.name: s for s in ga.score_run(runs / "gan", f"classifier:{runs / 'clips'}", num=40)}
    assert scores["fd_simple_cnn_label"].contract["image_size"] == [3, 16, 16]
    assert 0 <= ga.accuracy_score(runs / "gan", runs / "clips", num=8).value <= 1
