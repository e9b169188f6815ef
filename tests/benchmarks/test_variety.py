"""How far apart pictures are, and a try's configuration."""

import numpy as np
import pytest

from benchmarks import variety


def test_pictures_that_are_alike_are_not_apart():
    images = np.full((4, 2, 2, 3), 51, np.uint8)
    assert variety.apart(images) == 0.0
    images[0] = 255  # 3 of 6 pairs, by 0.8
    assert variety.apart(images) == pytest.approx(0.4)


def test_what_a_group_sees_of_a_collapse():
    rng = np.random.default_rng(0)
    codes = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    instead = variety.collapsed(codes, rng)
    assert len({*instead[:3]}) == len({*instead[3:6]}) == 1
    assert list(instead[6:]) == [6, 7]
    images = rng.normal(size=(8, 2, 2, 3))
    alone, mixed = np.array([[0, 1, 2], [3, 4, 5]]), np.array([[0, 3, 6], [1, 4, 7]])
    assert variety.seen(images, instead, alone)[1] == pytest.approx(0.0, abs=1e-12)
    real, other, _ = variety.seen(images, instead, mixed)
    assert real == pytest.approx(np.mean([images[g].std(axis=0).mean() for g in mixed]))
    assert other > 0.3


def test_a_try_is_the_preset_with_its_options():
    run = variety.recipe({"step": {"loss": "relativistic"}, "mapping_rate": 1.0}, steps=7, seed=3)
    assert (run.name, run.step.loss, run.model.mapping_rate) == ("stylegan2", "relativistic", 1.0)
    assert (run.train.steps, run.train.seed, run.train.sample_every) == (7, 3, 0)
