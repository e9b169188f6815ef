"""Fields through the real trainer: pairs with a target, and a second unpaired set; resumed, and on two devices."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.train import bench
from genart_jax.train.checkpoint import read_config

SIZE = 12


def pictures(number, seed):
    return np.random.default_rng(seed).integers(0, 256, (number, SIZE, SIZE, 3)).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folders(tmp_path):
    """Pairs of a picture and its negative; and a folder of more pictures than that, in two classes."""
    for i, pixels in enumerate(pictures(20, 0)):
        save(tmp_path / "pairs" / "a" / f"{i:02d}.png", pixels)
        save(tmp_path / "pairs" / "b" / f"{i:02d}.png", 255 - pixels)
    for i, pixels in enumerate(pictures(33, 1)):
        save(tmp_path / "others" / "ab"[i % 2] / f"{i:02d}.png", pixels)
    return tmp_path


DATA = {"image_size": (SIZE,), "flip": True, "crop": 2}


def fit(model, directory, folders, steps, data=(), **options):
    data = DATA | {"source": f"pairs:{folders / 'pairs'}"} | dict(data)
    optimizer = {"name": "sgd", "learning_rate": 0.5, "b1": 0.0, "schedule": "constant"}
    train = {"steps": steps, "sample_every": 3, "samples": 8}
    run = ga.configure(model, data=data, optimizer=optimizer, train=train, **{"parallel": {"data": 1}} | options)
    return ga.fit(run, directory)


def state_of(directory):
    return jax.tree.map(np.asarray, ga.load(directory).state)


def check_resumed_and_shared(model, folders, data=()):
    """Five steps in one go, with a stop after two, and on two devices: the same state."""
    whole, parts, two = (folders / name for name in ("whole", "parts", "two"))
    fit(model, whole, folders, 5, data)
    fit(model, parts, folders, 2, data)
    fit(model, parts, folders, 5, data)
    jax.tree.map(np.testing.assert_array_equal, state_of(parts), state_of(whole))
    fit(model, two, folders, 5, data, parallel={"data": 2})
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state_of(two), state_of(whole))
    return whole


def test_a_target_is_learnt_through_the_trainer(folders):
    whole = check_resumed_and_shared("tests.train.painter:Config", folders)
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    losses = [row["l1"] for row in rows if "l1" in row]
    assert losses[-1] < losses[0]
    assert read_config(whole).run.model.target_shape == (SIZE, SIZE, 3)
    # The pictures: input, output and target side by side, each of eight examples, headed.
    drawn = Image.open(whole / "samples" / "000005.png")
    assert drawn.size[0] > 3 * 5 * SIZE


def test_a_cycle_between_two_unpaired_sets(folders):
    """Two players over four roles; the sets are of different sizes."""
    other = {"other": f"folder:{folders / 'others'}"}
    whole = check_resumed_and_shared("tests.train.cycle:Config", folders, other)
    saved = read_config(whole)
    assert saved.run.model.other_shape == (SIZE, SIZE, 3)
    assert saved.run.data.other.startswith("folder:/")
    summary = json.loads((whole / "summary.json").read_text())
    assert 0 < summary["test"]["cycle"] < 4
    save(folders / "others" / "a" / "00.png", pictures(1, 7)[0])
    with pytest.raises(ga.UserError, match="holds a run on other data"):
        fit("tests.train.cycle:Config", whole, folders, 6, other)


def test_benchmarks_give_a_model_all_that_it_asks_for():
    run = bench.resolved("tests.train.cycle:Config", image_shape=(8, 6, 3))
    assert run.model.other_shape == (8, 6, 3)
    assert (
        bench.resolved("tests.train.painter:Config", options={"target_shape": (16, 12, 3)}).model.target_shape[0] == 16
    )


def test_data_without_what_a_model_needs_is_refused_before_anything_is_written(folders):
    with pytest.raises(ga.UserError, match=r"needs 'other', which this data has not: .*--data.other SOURCE"):
        fit("tests.train.cycle:Config", folders / "run", folders, 1)
    with pytest.raises(ga.UserError, match=r"needs 'target', which this data has not: .*pairs:DIR"):
        fit("tests.train.painter:Config", folders / "run", folders, 1, {"source": f"folder:{folders / 'others'}"})
    other = {"other": f"folder:{folders / 'others'}"}
    with pytest.raises(ga.UserError, match=r"--data\.other folder:.*: tests\.train\.painter:Config takes one set"):
        fit("tests.train.painter:Config", folders / "run", folders, 1, other)
    assert not (folders / "run").exists()
