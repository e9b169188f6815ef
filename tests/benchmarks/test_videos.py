"""The script of videos, in miniature."""

import json
import signal
import time
import types

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from benchmarks import videos
from genart_jax.data.build import run as build


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A few clips of 32 pixels."""
    out = tmp_path_factory.mktemp("sets") / "moving"
    build.build("moving", 32, out, limit=240)
    return f"built:{out}"


def test_the_second_judge_sees_all_clips_of_an_icon_but_one(monkeypatch):
    clips = np.arange(6, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 2, 4, 4, 3), np.uint8)
    arrays = {"image": clips, "icon": np.array([4, 7, 4, 4, 9, 7])}
    opened = types.SimpleNamespace(train=types.SimpleNamespace(arrays=arrays))
    monkeypatch.setattr(videos.ga, "open_data", lambda _: opened)
    found = videos.known_frames("any", 2)
    assert found["train"]["image"][:, 0, 0, 0].tolist() == [0, 0, 2, 2, 1, 1]
    assert found["train"]["icon"].tolist() == [0, 0, 0, 0, 1, 1]
    assert (found["test"]["image"][:, 0, 0, 0].tolist(), found["test"]["icon"].tolist()) == ([3, 3, 5, 5], [0, 0, 1, 1])
    with pytest.raises(ga.UserError, match="no icon has 4 clips"):
        videos.known_frames("any", 4)


def test_real_clips_stand_beside_a_figure(full, source, tmp_path, capsys):
    if not full:
        pytest.skip("trains three models and scores one in every way: by --full")
    short = {"train": {"steps": 2, "batch": 8, "log_every": 1, "save_every": 2}}
    motions, right = videos.judge_of_motion(tmp_path, 0, source, features=(4, 4), **short)
    contents, same = videos.judge_of_content(tmp_path, 0, source, clips=2, **short)
    assert 0 <= min(right, same) <= max(right, same) <= 1
    short["train"]["sample_every"] = 0
    gan = videos.train(
        "video_gan", tmp_path / "video_gan_tiny_0", 0, source, "tiny", conditions=videos.CONDITIONS, **short
    )
    found = videos.of_gan(gan, motions, contents, 48, 0)
    assert {"motion accuracy of 48 clips", "content kept: frames found again", "flicker: real clips"} <= found.keys()
    assert np.isfinite(list(found.values())).all()
    predictor = videos.train("frame_rnn", tmp_path / "frame_rnn_0", 0, source, "tiny", **short)
    figures = videos.of_predictor(predictor, 48, 0)
    assert {"PSNR of frames after two", "SSIM of these, by the line", "PSNR of frame 7, by the last"} <= figures.keys()
    assert {label: x.shape for label, x in videos.predictions(predictor, 3, 0).items()} == {
        "clip": (3, 8, 32, 32, 3), "predicted": (3, 8, 32, 32, 3),
    }  # fmt: skip
    strips, moving = videos.pictures(tmp_path / "videos.md", tmp_path, ["tiny"], 0, 2)
    assert Image.open(strips).size == (2 * 258 + 2, 9 * 34 + 2)
    assert Image.open(moving).n_frames == 8
    assert not capsys.readouterr().err


def test_a_time_limit_ends_a_training(monkeypatch):
    seen = []
    videos.limit(0.01)  # nobody listens: the process goes on
    time.sleep(0.1)
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        videos.limit(0.01)
        time.sleep(0.2)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1]


def test_what_was_interrupted_is_not_scored(monkeypatch, tmp_path):
    def train(name, directory, *_, **options):
        directory.mkdir()
        (directory / "summary.json").write_text(json.dumps({"interrupted": True}))
        return directory

    monkeypatch.setattr(videos, "judges", lambda *_: (tmp_path, tmp_path, {}))
    monkeypatch.setattr(videos, "train", train)
    with pytest.raises(ga.UserError, match="interrupted; call again to go on"):
        videos.measure(tmp_path, 0, "any", ["default"], 8)
