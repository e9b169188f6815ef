"""A generator that copies its training set is caught by each test, an honest one by none."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.config import BatchSpec, Field
from genart_jax.data.source import Source, Split
from genart_jax.evaluate import originality as module
from genart_jax.evaluate import pictures
from genart_jax.evaluate.originality import example_scores, originality
from genart_jax.train.checkpoint import Model, read_config
from genart_jax.types import Algorithm, State, to_float
from genart_jax.use.sample import Samples
from tests import zoo


def discs(seed, n):
    """uint8 (n, 16, 16, 3): a disc of any place, size and colour on a background of any colour."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    centre, radius = rng.uniform(4, 12, (2, n, 1, 1)), rng.uniform(2, 6, (n, 1, 1))
    inside = 1 / (1 + np.exp(np.hypot(y - centre[0], x - centre[1]) - radius))[..., None]
    disc, ground = rng.uniform(0, 255, (2, n, 1, 1, 3))
    return (inside * disc + (1 - inside) * ground).astype(np.uint8)


TRAIN, TEST, HONEST = discs(0, 400), discs(1, 300), discs(2, 200)


def copies():
    """Training pictures with a little noise, a quarter of them mirrored."""
    images = TRAIN[np.random.default_rng(3).integers(0, 400, 200)].astype(int)
    images = images + np.random.default_rng(4).integers(-3, 4, images.shape)
    images[:50] = images[:50, :, ::-1]
    return np.clip(images, 0, 255).astype(np.uint8)


def critic(memorises):
    """An algorithm whose critic knows the training pictures, or looks at a pixel."""
    known = to_float(TRAIN).reshape(400, -1)

    def evaluate(state, batch, key):
        image = batch["image"]
        nearest = jnp.min(jnp.mean((image.reshape(len(image), 1, -1) - known) ** 2, -1), -1)
        score = -nearest if memorises else image[:, 3, 3, 0] + 0.1 * jax.random.normal(key, (len(image),))
        return {"real_score": (jnp.sum(score), jnp.float32(len(image)))}

    empty = State(jnp.zeros((), jnp.int32), *({} for _ in range(5)))
    return Model(Algorithm(BatchSpec((16, 16, 3)), 1, None, None, evaluate), empty)


@pytest.fixture
def examine(runs, tmp_path, monkeypatch):
    """examine(generated pictures, whether the critic memorises) -> report."""
    saved = read_config(runs / "gan")
    saved = saved._replace(data=saved.data | {"class_names": {}})
    splits = [Split(len(x), {"image": x}) for x in (TRAIN, TEST)]
    source = Source("discs", *splits, {"image": Field((16, 16, 3))}, {}, "fingerprint")

    def one(images, memorises):
        trained = pictures.Trained(tmp_path, saved, critic(memorises), source)
        monkeypatch.setattr(module, "open_run", lambda directory: trained)
        monkeypatch.setattr(pictures, "draw", lambda *args: Samples(images, {}))
        return originality(tmp_path, "pixels:8", len(images), shown=4)

    return one


def test_a_copying_generator_is_caught_by_each_test(examine, tmp_path):
    report = examine(copies(), True)
    for space in ("pixels", "pixels_8"):
        figures = report["spaces"][space]
        assert figures["three_sample_z"] < -5
        assert figures["three_sample_cells"] < -3
        assert figures["authenticity"] < figures["authenticity_of_held_out"] - 0.3
        assert figures["nearer_than_5_percent_of_held_out"] > 0.5
    assert report["duplicates"]["share"] > 0.9
    assert report["duplicates"]["variants"]["mirror"] >= 40
    assert report["membership"]["auc"] > 0.99
    assert report["membership"]["true_positives_at_1_percent_false"] > 0.9
    text = "\n".join(report["findings"])
    for words in ("pixels: generated", "pixels_8: generated", "pixels: authenticity", "duplicates", "real_score"):
        assert words in text
    # The nearest training picture of an unmirrored copy is the one that was copied.
    chosen = np.random.default_rng(3).integers(0, 400, 200)
    rows = [p["pixels"]["rows"][0] for p in report["pictures"]]
    np.testing.assert_array_equal(rows[50:], chosen[50:])
    assert json.loads((tmp_path / "originality.json").read_text()) == json.loads(json.dumps(report))
    card = Image.open(tmp_path / "originality.png")
    assert card.size[0] >= 6 * 64


def test_an_honest_generator_is_not_caught(examine):
    report = examine(HONEST, False)
    assert report["findings"] == []
    for figures in report["spaces"].values():
        assert abs(figures["three_sample_z"]) < 3
    assert abs(report["membership"]["auc"] - 0.5) < 0.1
    percentiles = [p["pixels"]["percentiles"][0] for p in report["pictures"]]
    assert 40 < np.mean(percentiles) < 60
    assert len(report["pictures"][0]["pixels"]["rows"]) == 5


def test_pictures_from_elsewhere_are_no_copies(examine):
    noise = np.random.default_rng(5).integers(0, 256, HONEST.shape).astype(np.uint8)
    report = examine(noise, False)
    assert report["findings"] == []
    assert report["spaces"]["pixels"]["three_sample_z"] > 5


def test_a_streamed_split_is_not_read_whole(runs, tmp_path, monkeypatch):
    saved = read_config(runs / "gan")
    reads = {"train": set(), "test": set()}

    def streamed(name, images):
        def read(i):
            reads[name].add(i)
            return {"image": images[i]}

        return Split(len(images), {}, read=read)

    splits = streamed("train", TRAIN), streamed("test", TEST)
    source = Source("discs", *splits, {"image": Field((16, 16, 3))}, {}, "streamed")
    trained = pictures.Trained(tmp_path, saved._replace(data=saved.data | {"class_names": {}}), critic(False), source)
    monkeypatch.setattr(module, "open_run", lambda directory: trained)
    monkeypatch.setattr(pictures, "draw", lambda *args: Samples(HONEST[:20], {}))
    monkeypatch.setattr(module, "STREAMED", 60)
    report = originality(tmp_path, "pixels:8", 20, shown=1)
    assert len(reads["train"]) == len(reads["test"]) == 60
    assert report["contract"]["num_real"] == report["held_out"] == 60
    (caveat,) = report["caveats"]
    assert "60 of 400 training pictures" in caveat
    for picture in report["pictures"]:  # rows of the split, not of what was read
        for space in picture.values():
            assert set(space["rows"]) <= reads["train"]
    rows = sorted(reads["train"])
    nearest = [TRAIN[rows].astype(float) / 255 - HONEST[0] / 255.0]
    best = rows[int(np.argmin(np.square(nearest[0]).sum((1, 2, 3))))]
    assert report["pictures"][0]["pixels"]["rows"][0] == best


def test_the_unlabelled_have_no_score(runs):
    """A model that needs a condition says nothing of a picture without one."""
    trained = pictures.open_run(runs / "gan")
    names = [name for name, _ in trained.model.algorithm.batch_spec.conditions]
    labels = np.array([0, -1] * 10)
    samples = Samples(np.zeros((20, 32, 32, 3), np.uint8), dict.fromkeys(names, labels))
    found = module.membership(trained, samples, samples, 0)
    assert (found["members"], found["others"]) == (10, 10)
    assert np.isfinite(found["auc"])


@pytest.mark.parametrize(("name", "figure"), [("gan", "real_score"), ("vae", "elbo")])
def test_scores_of_single_pictures(runs, name, figure):
    """Over a batch, their mean is the algorithm's own figure."""
    algorithm, state = ga.load(runs / name)
    condition = {n: np.arange(6) % c for n, c in algorithm.batch_spec.conditions}
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    scores = example_scores(algorithm, state, Samples(images, condition), 0, draws=2, batch=4)
    assert scores[figure].shape == (6,)
    batch = {"image": to_float(images), "condition": {n: jnp.asarray(v, jnp.int32) for n, v in condition.items()}}
    total, weight = algorithm.evaluate(state, batch, jax.random.key(1))[figure]
    rtol = 1e-4 if name == "gan" else 0.05  # the bound depends on what is drawn
    np.testing.assert_allclose(scores[figure].mean(), total / weight, rtol=rtol, atol=1e-5)


def test_a_real_run(runs):
    report = originality(runs / "stacked", "pixels:4", 15, shown=3)
    assert report["membership"]["by"] == "real_score"
    assert report["membership"]["members"] == 30
    assert report["membership"]["others"] == 12
    assert report["spaces"]["pixels"]["three_sample_cells"] is None  # no region has twenty pictures
    assert (runs / "stacked" / "originality.png").exists()
    with pytest.raises(ga.UserError, match="has no use 'sample'"):
        originality(runs / "classifier", None, 30)


def test_a_critic_that_compares_neighbours_is_a_caveat():
    source = Source("discs", *[Split(4, {})] * 2, {"image": Field((16, 16, 3))}, {}, "few")
    of = lambda name: pictures.Trained(Path(), None, Model(zoo.tiny(name), None), source)
    assert not module._caveats(4, of("dcgan"))
    (caveat,) = module._caveats(4, of("modgan"))
    assert caveat.startswith("the critic compares a picture with its neighbours")
