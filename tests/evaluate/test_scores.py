"""Scores and their contracts."""

import dataclasses
import json

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import Data, Field
from genart_jax.data.source import Source, Split, open_source
from genart_jax.evaluate import evaluate_run, meaning, pictures
from genart_jax.evaluate import modes as modes_module
from genart_jax.evaluate import scores as scores_module
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.evaluate.measures import measure
from genart_jax.evaluate.modes import mode_labels, stacked_modes
from genart_jax.evaluate.scores import Score, accuracy_score, read_scores, score_run, write_scores
from genart_jax.evaluate.statistics import read_statistics, save_statistics
from genart_jax.metrics import frechet, inception_score, kernel, mifid, monge, precision_recall
from genart_jax.train.checkpoint import read_config
from genart_jax.use.sample import draw_samples

NUM = 120
CONTRACT = {
    "extractor", "weights", "image_size", "resize", "data", "fingerprint", "split", "num_real", "num_fake",
    "conditions", "ema",
}  # fmt: skip


@pytest.fixture(scope="module")
def scores(runs, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENART_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {s.name: s for s in score_run(runs / "gan", "pixels:8", NUM)}


def test_scores_are_those_of_the_metrics(runs, scores):
    """Made anew from the run's samples and the data, by hand."""
    extractor = make_extractor("pixels:8")
    split = open_source(Data()).train
    rows = pictures.choose_rows(split, 2 * NUM)
    assert len(set(rows)) == 2 * NUM
    real, other = (extractor(split.arrays["image"][part])[0] for part in (rows[:NUM], rows[NUM:]))
    fake = extractor(draw_samples(ga.load(runs / "gan"), read_config(runs / "gan"), NUM, 0).images)[0]
    moments = frechet.fit(real)
    np.testing.assert_allclose(scores["fd_pixels_8"].value, frechet.distance(moments, frechet.fit(fake)), rtol=1e-5)
    floor = frechet.distance(moments, frechet.fit(other))
    np.testing.assert_allclose(scores["fd_pixels_8"].details["floor"], floor, rtol=1e-5)
    assert floor < scores["fd_pixels_8"].value
    np.testing.assert_allclose(scores["kd_pixels_8"].value, kernel.polynomial(real, fake).value, rtol=1e-4)
    np.testing.assert_allclose(scores["md_pixels_8"].value, monge.monge(real, fake, replicates=0).value, rtol=1e-4)
    floor = monge.monge(real, other, replicates=0).value
    np.testing.assert_allclose(scores["md_pixels_8"].details["floor"], floor, rtol=1e-4)
    support = precision_recall.compute(real, fake, 5)
    for name in support._fields:
        assert scores[f"{name}_pixels_8"].value == pytest.approx(getattr(support, name)[0], abs=2 / NUM)
    style = draw_samples(ga.load(runs / "gan"), read_config(runs / "gan"), NUM, 0).condition["style"]
    wanted = [s for s in range(5) if (style == s).sum() >= 20 and (split.arrays["style"][rows[:NUM]] == s).sum() >= 20]
    assert scores["kd_pixels_8_within_style"].details["classes"] == len(wanted)


def test_every_score_says_what_it_is_made_of(runs, scores):
    named = {"fd_pixels_8", "fd_pixels_8_infinity", "kd_pixels_8", "md_pixels_8", "recall_pixels_8", "swd_pixels_8"}
    assert named <= set(scores)
    for score in scores.values():
        assert set(score.contract) == CONTRACT | ({"projections"} if score.name.startswith("md_") else set())
        assert score.better == ("real" if score.name.startswith("diversity") else meaning.better(score.name)) != ""
        assert meaning.WORDS[score.better] in score.line()
        assert score.contract["num_fake"] == score.contract["num_real"] == NUM
        assert score.contract["ema"] is True
        assert "antialiased" in score.contract["resize"]
        assert set(score.seeds) == {"training", "samples", "real"}
        assert score.model["step"] == 2
        line = score.line()
        assert "\n" not in line
        for words in (score.name, "120 generated (seed 0, EMA, conditions as in the training data)", "emoji, train"):
            assert words in line
        if score.standard_error is not None:
            assert score.standard_error >= 0
            assert score.error_by in line
    assert "floor" in scores["fd_pixels_8"].line()
    assert scores["fd_pixels_8_infinity"].standard_error is None
    written = {s.name: s for s in read_scores(runs / "gan")}
    assert {n: written[n] for n in scores} == scores
    # 120 pictures, 192 dimensions.
    for name in ("fd_pixels_8", "fd_pixels_8_infinity"):
        caveat = scores[name].caveat
        assert "in 192 dimensions" in caveat
        assert f"[caution: {caveat}]" in scores[name].line()
    assert not any(score.caveat for name, score in scores.items() if not name.startswith("fd_"))


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("fid", "lower"), ("fid_infinity", "lower"), ("kid_within_style", "lower"), ("fd_lite0_112", "lower"),
        ("kd_pixels_8", "lower"), ("mind", "lower"), ("md_lite0", "lower"), ("fd_lite0_within_style", "lower"),
        ("mifid", "lower"), ("mifd_lite0", "lower"), ("diversity_lpips_like_vgg19", "real"),
        ("swd_lite0", "lower"), ("precision_x", "higher"), ("recall_x", "higher"),
        ("density_x", "higher"), ("coverage_x", "higher"), ("diversity_x", "real"), ("inception_score", "higher"),
        ("class_score_lite0", "higher"), ("accuracy_simple_cnn_style", "higher"), ("modes_cnn", "higher"),
        ("modes_kl_cnn", "lower"), ("fiddle", ""),
    ],
)  # fmt: skip
def test_directions(name, direction):
    assert meaning.better(name) == direction


def features(num, dimensions, classes, seed):
    rng = np.random.default_rng(seed)
    return pictures.Features(rng.normal(size=(num, dimensions)), rng.normal(size=(num, classes)) * 2, {})


def test_few_pictures_are_said_beside_the_number():
    """The line of a distance at infinity begins above the dimensions, unless that is more than half the pictures."""
    found = measure("x", features(130, 60, 8, 0), features(70, 60, 8, 1), None)
    assert {name for name, m in found.items() if m.caveat} == {"fd_x_infinity", "class_score_x"}
    assert "smallest sets have 35 pictures in 60 dimensions" in found["fd_x_infinity"].caveat
    assert "splits of 7 pictures cannot show 8 classes" in found["class_score_x"].caveat
    for num_real, num_fake, few in ((61, 61, False), (60, 61, True), (61, 60, True)):
        assert bool(meaning.few_pictures(num_real, num_fake, 60)) == few
    assert "there are 60 real pictures in 60 dimensions" in meaning.few_to_extrapolate(60, 61, 60)
    assert not meaning.few_to_extrapolate(61, 61, 60)
    assert not meaning.few_in_a_split(80, 10, 8)


def with_classes(counts, seed, shift=0.0):
    """Features of classes (so many pictures of each), apart from one another."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(labels), 6)) + 3 * labels[:, None] + shift
    return pictures.Features(values, None, {"style": np.where(labels == 3, -1, labels)})  # the last have no label


def test_distances_within_classes():
    """The mean over classes with enough pictures; the others are named, with what they have."""
    real, fake = with_classes((60, 70, 30, 90), 0), with_classes((55, 80, 90, 60), 1, 0.5)
    found = measure("x", real, fake, None, {"style": ("noto", "flat", "mono")})
    score = found["fd_x_within_style"]
    rows = [(real.condition["style"] == c, fake.condition["style"] == c) for c in range(2)]
    each = [frechet.distance(frechet.fit(real.values[r]), frechet.fit(fake.values[f])) for r, f in rows]
    assert score.value == pytest.approx(np.mean(each))
    assert score.details["each"] == pytest.approx({"noto": each[0], "flat": each[1]})
    assert score.details["left_out"] == "mono (90 generated, 30 real): fewer than 50"
    assert score.details["classes"] == 2
    assert score.details["fewest"] == 55
    assert score.details["largest"].startswith(max(score.details["each"], key=score.details["each"].get))
    assert score.error > 0
    assert score.caveat == ""
    kd = found["kd_x_within_style"]
    assert kd.details["classes"] == 3
    assert "left_out" not in kd.details
    wide = [
        pictures.Features(np.random.default_rng(seed).normal(size=(100, 60)), None, {"style": np.arange(100) % 2})
        for seed in range(2)
    ]
    assert "50 pictures in 60 dimensions" in measure("x", *wide, None)["fd_x_within_style"].caveat
    few = measure("inception", with_classes((30, 20), 0), with_classes((40, 10), 1), None)
    assert not any(name.endswith("_within_style") for name in few if name.startswith("fid"))
    assert few["kid_within_style"].details["left_out"] == "1 (10 generated, 20 real): fewer than 20"
    assert {"fid", "kid", "mind"} <= set(few)


def test_the_distance_to_statistics_and_memorisation(runs, tmp_path):
    extractor = make_extractor("pixels:4")
    split = open_source(Data()).train
    real = extractor(split.arrays["image"][:300])[0]
    path = save_statistics(tmp_path / "real.npz", frechet.fit(real), {"pictures": 300})
    reference = read_statistics(path)
    found = score_run(runs / "gan", extractor, 60, reference=reference, also=["memorisation"])
    (ours,) = (s for s in found if s.name == "fd_pixels_4" and s.contract["split"] == "statistics")
    fake = extractor(draw_samples(ga.load(runs / "gan"), read_config(runs / "gan"), 60, 0).images)[0]
    np.testing.assert_allclose(ours.value, frechet.distance(frechet.fit(real), frechet.fit(fake)), rtol=1e-6)
    assert ours.contract["fingerprint"] == reference.digest
    assert ours.contract["num_real"] == 300
    assert "does not say by which network" in ours.caveat
    assert f"vs 300 real (real.npz {reference.digest[:8]}, statistics)" in ours.line()
    (plain,) = (s for s in found if s.name == "fd_pixels_4" and s.contract["split"] == "train")
    (memory,) = (s for s in found if s.name == "mifd_pixels_4")
    near = mifid.memorisation_distance(extractor(split.arrays["image"])[0], fake)[0]
    assert memory.details["memorisation_distance"] == pytest.approx(near, rel=1e-4)
    assert memory.details["penalty"] == pytest.approx(mifid.penalty(near), rel=1e-4)
    assert memory.value == pytest.approx(plain.value * memory.details["penalty"])
    assert memory.contract["threshold"] == 0.1
    assert memory.contract["num_memory"] == split.size
    assert "held-out real pictures are as near" in memory.caveat  # pixels of icons on white are all alike
    assert {s.name for s in read_scores(runs / "gan")} >= {"mifd_pixels_4"}
    with pytest.raises(ga.UserError, match="48 numbers a picture, pixels_3 makes 27"):
        score_run(runs / "gan", "pixels:3", 40, reference=reference)


def test_the_class_score_is_the_mean_of_ten_splits_with_its_spread():
    real, fake = features(200, 4, 8, 2), features(200, 4, 8, 3)
    found = measure("x", real, fake, None)["class_score_x"]
    each = [inception_score.over_splits(fake.logits[20 * i : 20 * (i + 1)], 1)[0] for i in range(10)]
    assert found.value == pytest.approx(np.mean(each))
    assert found.details["spread"] == pytest.approx(np.std(each))
    assert found.error == pytest.approx(np.std(each, ddof=1) / 10**0.5)
    assert found.details["real"] == pytest.approx(inception_score.over_splits(real.logits, 10)[0])
    assert (found.contract, found.caveat) == ({"splits": 10}, "")


def test_older_scores_are_given_their_direction(tmp_path):
    score = dataclasses.asdict(Score("fd_x", 1.0, 0.1, "bootstrap", {"extractor": "x"}, {"samples": 0}, {"step": 2}))
    old = {name: value for name, value in score.items() if name not in ("better", "caveat")}
    (tmp_path / "scores.json").write_text(json.dumps([old]))
    assert [(s.better, s.caveat) for s in read_scores(tmp_path)] == [("lower", "")]


def test_scores_are_kept_by_contract(tmp_path):
    score = Score("fd_x", 1.0, 0.1, "bootstrap", {"extractor": "x"}, {"samples": 0}, {"step": 2})
    write_scores(tmp_path, [score])
    write_scores(tmp_path, [dataclasses.replace(score, value=2.0)])
    assert [s.value for s in read_scores(tmp_path)] == [2.0]
    write_scores(tmp_path, [dataclasses.replace(score, contract={"extractor": "y"}, value=3.0)])
    assert [s.value for s in read_scores(tmp_path)] == [2.0, 3.0]
    (tmp_path / "scores.json").write_text("[{}]")
    with pytest.raises(ga.UserError, match="damaged"):
        read_scores(tmp_path)
    with pytest.raises(ga.UserError, match="nowhere is not a run"):
        read_scores(tmp_path / "nowhere")


def test_scores_of_states_that_are_gone_are_not_the_runs(tmp_path, monkeypatch):
    """It went back and came to other states, or to the same step again. The file keeps them all."""
    there: dict[int, str] = {}
    monkeypatch.setattr(scores_module, "seals", lambda directory: there)
    score = Score("fd_x", 1.0, 0.1, "bootstrap", {"extractor": "x"}, {"samples": 0}, {})
    models = [{"step": 2}, {"step": 4, "state": "a"}, {"step": 6, "state": "b"}, {"step": 8, "state": "c"}]
    write_scores(tmp_path, [dataclasses.replace(score, model=model, value=float(model["step"])) for model in models])
    values = lambda: [s.value for s in read_scores(tmp_path)]
    assert values() == [2, 4, 6, 8], "no run, so nothing to hold them against"
    there.update({4: "a", 8: "c"})
    assert values() == [2, 4, 6, 8]
    there.pop(8)
    there[6] = "another"
    assert values() == [2, 4]
    write_scores(tmp_path, [dataclasses.replace(score, model={"step": 6, "state": "another"}, value=7.0)])
    assert values() == [2, 4, 7]
    there[8] = "c"
    assert values() == [2, 4, 7, 8]


def test_large_sets_are_drawn_and_seen_in_parts(runs, monkeypatch):
    trained, extractor = pictures.open_run(runs / "gan"), make_extractor("pixels:4")
    whole = pictures.draw_features(trained, extractor, 150, 3)
    np.testing.assert_array_equal(whole.values, extractor(pictures.draw(trained, 150, 3).images)[0])
    monkeypatch.setattr(pictures, "_AT_ONCE", 1)
    monkeypatch.setattr(pictures, "_BATCHES", 40)
    monkeypatch.setattr(pictures, "draw", lambda *args: pytest.fail("all at once"))
    seen, extract = [], pictures.extract
    monkeypatch.setattr(pictures, "extract", lambda by, some: seen.append(len(some.images)) or extract(by, some))
    parts = pictures.draw_features(trained, extractor, 150, 3)
    assert sum(seen) == 150
    assert seen[:-1] == [40] * (len(seen) - 1)
    assert len(seen) > 1
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-6)
    np.testing.assert_array_equal(parts.condition["style"], whole.condition["style"])


def test_real_features_are_kept(runs, cache, monkeypatch):
    extractor, trained = make_extractor("pixels:4"), pictures.open_run(runs / "gan")
    rows = pictures.choose_rows(trained.source.test, 30)
    first = pictures.real_features(extractor, trained.source, "test", rows)
    (file,) = (cache / "features").iterdir()
    monkeypatch.setattr(pictures, "extract", lambda *args: pytest.fail("made anew"))
    again = pictures.real_features(extractor, trained.source, "test", rows)
    np.testing.assert_array_equal(again.values, first.values)
    np.testing.assert_array_equal(again.condition["style"], trained.source.test.arrays["style"][rows])
    monkeypatch.undo()
    monkeypatch.setenv("GENART_CACHE", str(cache))
    file.write_bytes(b"damaged")
    np.testing.assert_array_equal(pictures.real_features(extractor, trained.source, "test", rows).values, first.values)
    other = pictures.real_features(make_extractor("pixels:5"), trained.source, "test", rows)
    assert other.values.shape != first.values.shape


def test_conditions_of_streamed_pictures_are_kept_with_their_features():
    """They are known only from reading, so the cache has them."""
    images = np.random.default_rng(0).integers(0, 255, (40, 4, 4, 3), np.uint8)
    split = Split(40, {}, read=lambda i: {"image": images[i], "label": i % 2})
    source = Source("set", split, split, {"image": Field((4, 4, 3))}, {"label": ("a", "b")}, "sum")
    extractor = make_extractor("pixels:4")
    rows = pictures.choose_rows(split, 30)
    for _ in range(2):
        found = pictures.real_features(extractor, source, "train", rows)
        np.testing.assert_array_equal(found.condition["label"], rows % 2)


def test_conditions_and_averages_are_part_of_the_contract(runs):
    given = {s.name: s for s in score_run(runs / "gan", "pixels:4", 40, given={"style": 0}, ema=False, split="test")}
    contract = given["fd_pixels_4"].contract
    assert contract["conditions"] == "style=noto"
    assert contract["ema"] is False
    assert contract["split"] == "test"
    assert "drawn" not in contract
    with pytest.raises(ga.UserError, match="split"):
        score_run(runs / "gan", "pixels:4", 40, split="validation")
    with pytest.raises(ga.UserError, match="at least 10"):
        score_run(runs / "gan", "pixels:4", 4)
    with pytest.raises(ga.UserError, match="has no use 'sample'"):
        score_run(runs / "classifier", "pixels:4", 40)


def test_how_pictures_are_drawn_is_part_of_the_contract(runs):
    """Scores of fewer kinds of pictures are others, and say so; they are not held beside those of all."""
    one = {s.name: s for s in score_run(runs / "gan", "pixels:4", 40, numbers={"truncation": 0.0})}["fd_pixels_4"]
    all_of_them = {s.name: s for s in score_run(runs / "gan", "pixels:4", 40, numbers={"truncation": 1.0})}[
        "fd_pixels_4"
    ]
    assert one.contract == all_of_them.contract | {"drawn": "truncation 0"}
    assert one.value > all_of_them.value
    assert "EMA, truncation 0, " in one.line()
    judged = [accuracy_score(runs / "gan", runs / "classifier", 100, numbers=n) for n in (None, {"truncation": 0.0})]
    assert [s.contract.get("drawn") for s in judged] == [None, "truncation 0"]
    with pytest.raises(ga.UserError, match="takes no guidance"):
        score_run(runs / "gan", "pixels:4", 40, numbers={"guidance": 2.0})


def test_accuracy_of_samples(runs):
    score = accuracy_score(runs / "gan", runs / "classifier", 100, seed=3)
    samples = draw_samples(ga.load(runs / "gan"), read_config(runs / "gan"), 100, 3)
    judge = ga.load(runs / "classifier")
    guesses = np.argmax(judge.algorithm.predict(judge.state, ga.to_float(samples.images)), axis=-1)
    right = guesses == samples.condition["style"]
    assert score.value == right.mean()
    assert score.standard_error == pytest.approx(right.std() / 10)
    balanced = np.mean([right[samples.condition["style"] == s].mean() for s in set(samples.condition["style"])])
    assert score.details["balanced"] == pytest.approx(balanced)
    # What it was judged by, and how good that judge is on real pictures.
    assert score.details["real"] == pytest.approx(evaluate_run(runs / "classifier")["accuracy"])
    assert score.contract["weights"] == make_extractor(f"classifier:{runs / 'classifier'}").weights
    assert score in read_scores(runs / "gan")
    with pytest.raises(ga.UserError, match="same classes"):
        accuracy_score(runs / "gan", runs / "digits_classifier", 10)


def test_modes_of_stacked_pictures(runs, monkeypatch):
    """A generator of every mode, one of one mode, and the run's own."""
    run, judge = runs / "stacked", runs / "digits_classifier"
    found = {s.name: s for s in stacked_modes(run, judge, 60)}
    count = found["modes_simple_cnn_label"]
    assert count.details["of"] == 27
    assert 1 <= count.value <= 27
    assert count.contract["split"] == "train"
    classifier = make_extractor(f"classifier:{judge}")
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)
    channels = [np.argmax(classifier(images[..., c : c + 1])[1], 1) for c in range(3)]
    np.testing.assert_array_equal(mode_labels(classifier, images), channels[0] * 9 + channels[1] * 3 + channels[2])
    for labels, expected, kl in ((np.arange(54) % 27, 27, 0.0), (np.zeros(54, int), 1, np.log(27))):
        monkeypatch.setattr(modes_module, "mode_labels", lambda *args, labels=labels: labels)
        number, divergence = stacked_modes(run, judge, 54)
        assert number.value == expected
        assert divergence.value == pytest.approx(kl, abs=1e-9)
    with pytest.raises(ga.UserError, match="grey classifier"):
        stacked_modes(runs / "gan", judge)


def test_scores_are_plain_json(runs, scores):
    text = (runs / "gan" / "scores.json").read_text()
    assert "NaN" not in text
    assert all(isinstance(entry["value"], float) for entry in json.loads(text))
