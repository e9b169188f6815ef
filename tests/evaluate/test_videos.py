"""Scores of videos: of clips whose values are known, and of a run of two steps."""

import numpy as np
import pytest

from genart_jax.evaluate import videos
from genart_jax.evaluate.extractors import Extractor


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
