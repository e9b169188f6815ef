"""The trainer: resume, cadences, signals, refusals. On a handful of the embedded icons, shrunk."""

import dataclasses
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import Field
from genart_jax.data import media
from genart_jax.data import source as source_module
from genart_jax.data.source import Split
from genart_jax.train import checkpoint, trainer
from genart_jax.train.log import read_rows
from tests import zoo

LAYERS = {"moving": (3, 1), "shapes3d": (8, 2)}
"""Sets of more than single pictures: frames or layers, and of how many pixels one is taken."""


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    """Forty icons of 16x16 for training and ten for testing: seven steps of eight run over the end of an epoch.

    Any second set is the same icons once more; the target of any pair is the picture upside down; icons move down a
    line each frame, and volumes are grey icons of 8x8, shifted so from layer to layer.
    """
    whole = source_module.open_source(ga.get_config("dcgan").data)

    def cut(split, n):
        arrays = {name: values[:n] for name, values in split.arrays.items()}
        return Split(n, arrays | {"image": arrays["image"][:, ::2, ::2]})

    pictures = {"image": Field((16, 16, 3))}
    small = dataclasses.replace(whole, train=cut(whole.train, 40), test=cut(whole.test, 10), pictures=pictures)

    def opened(data):
        train, test = small.train, small.test
        if data.other:
            return dataclasses.replace(
                small, train=train._replace(other=train), test=test._replace(other=test),
                pictures={**pictures, "other": pictures["image"]},
            )  # fmt: skip
        if data.source.startswith("pairs:"):
            paired = lambda one: one._replace(arrays={**one.arrays, "target": one.arrays["image"][:, ::-1]})
            both = {**pictures, "target": pictures["image"]}
            return dataclasses.replace(small, train=paired(train), test=paired(test), pictures=both)
        if data.source in LAYERS:
            count, step = LAYERS[data.source]
            moved = lambda x: np.stack([np.roll(x[:, ::step, ::step], i, axis=1) for i in range(count)], axis=1)
            inside = lambda one: one._replace(arrays={**one.arrays, "image": moved(one.arrays["image"])})
            parts = [inside(one) for one in (train, test)]
            if data.source == "shapes3d":
                grey = lambda one: one._replace(arrays={**one.arrays, "image": one.arrays["image"][..., :1]})
                parts = [grey(one) for one in parts]
            field = Field(parts[0].arrays["image"].shape[1:])
            return dataclasses.replace(small, train=parts[0], test=parts[1], pictures={"image": field})
        return small

    monkeypatch.setattr(trainer, "open_source", opened)


def fit(name, directory, callback=None, init_from=None, **options):
    train = {"steps": 7} | options.pop("train", {})
    run = ga.configure(name, preset="tiny", train=train, parallel={"data": 1}, **options)
    return ga.fit(run, directory, callback, init_from)


def state_of(directory):
    return {jax.tree_util.keystr(k): np.asarray(v) for k, v in jax.tree.leaves_with_path(ga.load(directory).state)}


def assert_same(a, b):
    a, b = state_of(a), state_of(b)
    assert a.keys() == b.keys()
    for path in a:
        np.testing.assert_array_equal(a[path], b[path], err_msg=path)


KINDS_OF_STATE = (("dcgan", 3), ("vqvae", 1), ("code_prior", 1))
"""Statistics, moving averages and lazy terms, by groups of steps; a codebook; parameters that never train."""


@pytest.mark.parametrize("per_dispatch", [1, 3])
def test_resume_equals_an_uninterrupted_run(family_model, tmp_path, per_dispatch, full):
    """Ctrl-C in the middle of an epoch leaves a checkpoint, and the same command goes on, to the same bits."""
    if (family_model, per_dispatch) not in KINDS_OF_STATE and not full:
        pytest.skip("one model for each kind of state, and every model with --full")

    def interrupt(event, values):
        if event == "progress" and values["step"] >= 3:
            os.kill(os.getpid(), signal.SIGINT)

    options = {"train": {"steps_per_dispatch": per_dispatch, "batch": 16}}
    needed = ga.get_config(family_model, "tiny").model
    if hasattr(needed, "other_shape"):
        options["data"] = {"other": "emoji"}
    if hasattr(needed, "target_shape"):
        options["data"] = {"source": "pairs:upside_down"}
    if len(shape := zoo.shape_of(family_model)) > 3:
        options["data"] = {"source": "shapes3d" if media.is_volume(shape) else "moving"}
    fit(family_model, tmp_path / "whole", **options)
    fit(family_model, tmp_path / "parts", interrupt, **options)
    summary = json.loads((tmp_path / "parts" / "summary.json").read_text())
    assert summary["interrupted"]
    assert summary["step"] == 3
    fit(family_model, tmp_path / "parts", **options)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert not json.loads((tmp_path / "parts" / "summary.json").read_text())["interrupted"]
    rows = [r["step"] for r in read_rows(tmp_path / "parts" / "metrics.jsonl") if "seconds" in r]
    assert rows == sorted(set(rows))
    assert rows[-1] == 7


def test_groups_cut_elsewhere_give_the_same_bits(tmp_path):
    """A run that ended inside a group of steps runs the same program when it goes on."""
    options = {"optimizer": {"schedule": "constant"}}
    fit("simple_cnn", tmp_path / "parts", train={"steps_per_dispatch": 3, "steps": 4}, **options)
    for directory in ("parts", "whole"):
        fit("simple_cnn", tmp_path / directory, train={"steps_per_dispatch": 3}, **options)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_run_directory(tmp_path):
    events = []
    fit("dcgan", tmp_path, lambda event, values: events.append((event, values.get("step"))), train={"eval_every": 3})
    assert {p.name for p in tmp_path.iterdir()} == {
        "config.json",
        "metrics.jsonl",
        "samples",
        "checkpoints",
        "summary.json",
    }
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == [f"{i:06d}.png" for i in (2, 4, 6, 7)]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["6", "7"]
    assert [step for event, step in events if event == "log"] == [1, 2, 3, 4, 5, 6, 7]
    assert [step for event, step in events if event == "evaluate"] == [3, 6, 7]
    assert [step for event, step in events if event == "save"] == [2, 4, 6, 7]
    saved = checkpoint.read_config(tmp_path)
    assert saved.run.model.image_shape == (16, 16, 3)
    assert [name for name, _ in saved.run.model.conditions] == ["style", "shape", "color"]
    assert sum(row[-1] for row in saved.data["condition_table"]) == 40
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["step"] == 7
    assert set(summary["test"]) == {
        "critic_loss",
        "real_score",
        "fake_score",
        "critic_accuracy",
        "critic_lipschitz",
        "variety",
        "least_variety",
    }


def test_a_finished_run_is_left_alone_and_a_larger_one_goes_on(tmp_path):
    # The schedule's length is part of a cosine, so compare with a constant rate.
    for directory, steps in (("b", 3), ("b", 3), ("b", 7), ("c", 7)):
        summary = tmp_path / directory / "summary.json"
        before = summary.read_text() if summary.exists() else ""
        fit("simple_cnn", tmp_path / directory, train={"steps": steps}, optimizer={"schedule": "constant"})
        assert (summary.read_text() == before) == (json.loads(before or "{}").get("step") == steps)
    assert_same(tmp_path / "b", tmp_path / "c")


def test_init_from_takes_parameters_and_nothing_else(tmp_path):
    fit("simple_cnn", tmp_path / "a")
    fit("simple_cnn", tmp_path / "b", None, tmp_path / "a", train={"steps": 1}, optimizer={"learning_rate": 0.0})
    a, b = state_of(tmp_path / "a"), state_of(tmp_path / "b")
    for path in a:
        if path.startswith(".params"):
            np.testing.assert_array_equal(a[path], b[path], err_msg=path)
    assert a[".step"] == 7
    assert b[".step"] == 1
    fit("simple_cnn", tmp_path / "b", None, tmp_path / "a", train={"steps": 1}, optimizer={"learning_rate": 0.0})
    fit("simple_cnn", tmp_path / "other", train={"steps": 1})
    with pytest.raises(ga.UserError, match="begins a new run"):
        fit("simple_cnn", tmp_path / "other", None, tmp_path / "a")
    with pytest.raises(ga.UserError, match="shape"):
        fit("simple_cnn", tmp_path / "c", None, tmp_path / "a", hidden=9)
    with pytest.raises(ga.UserError, match="is not a run"):
        fit("simple_cnn", tmp_path / "d", None, tmp_path / "nothing")


def test_a_fine_tuned_model_may_have_other_conditions(tmp_path):
    """Embeddings and last layers start fresh, everything else is taken; and it is said."""
    notes = []
    tell = lambda event, values: notes.append(values["text"]) if event == "note" else None
    fit("simple_cnn", tmp_path / "style", label="style", train={"steps": 1})
    frozen = {"steps": 1}, {"learning_rate": 0.0}
    new = fit(
        "simple_cnn", tmp_path / "shape", tell, tmp_path / "style", label="shape", train=frozen[0], optimizer=frozen[1]
    )
    a, b = state_of(tmp_path / "style"), state_of(new)
    same = [
        path
        for path in b
        if path.startswith(".params") and a[path].shape == b[path].shape and (a[path] == b[path]).all()
    ]
    assert len(same) == 6  # two convolutions and the hidden layer, kernel and bias each
    assert any("start fresh: classifier/out/bias, classifier/out/kernel" in note for note in notes)


def test_an_interrupted_start_takes_the_parameters_again(tmp_path):
    """A run that died before its first checkpoint must not begin from random parameters when it is called again."""
    fit("simple_cnn", tmp_path / "a")
    options = {"train": {"steps": 1}, "optimizer": {"learning_rate": 0.0}}
    fit("simple_cnn", tmp_path / "b", None, tmp_path / "a", **options)
    shutil.rmtree(tmp_path / "b" / "checkpoints")
    fit("simple_cnn", tmp_path / "b", **options)
    a, b = state_of(tmp_path / "a"), state_of(tmp_path / "b")
    for path in a:
        if path.startswith(".params"):
            np.testing.assert_array_equal(a[path], b[path], err_msg=path)


def test_summary_is_of_the_last_step_even_after_a_crash(tmp_path):
    options = {"optimizer": {"schedule": "constant"}}
    fit("simple_cnn", tmp_path, train={"steps": 3}, **options)

    def crash(event, values):
        if event == "save" and values["step"] == 5:
            raise RuntimeError("killed before the summary")

    with pytest.raises(RuntimeError):
        fit("simple_cnn", tmp_path, crash, train={"steps": 5}, **options)
    fit("simple_cnn", tmp_path, train={"steps": 5}, **options)
    assert json.loads((tmp_path / "summary.json").read_text())["step"] == 5


def test_a_smaller_learning_rate_mends_a_run(tmp_path):
    notes = []
    fit("dcgan", tmp_path, train={"steps": 2})
    mended = {"learning_rate": 1e-5, "clip_norm": 1.0}
    tell = lambda event, values: notes.append(values["text"]) if event == "note" else None
    fit("dcgan", tmp_path, tell, train={"steps": 3}, optimizer=mended)
    assert any("learning_rate: 0.0002 -> 1e-05" in note for note in notes)
    assert int(ga.load(tmp_path).state.step) == 3


def test_a_place_that_cannot_hold_a_run_is_refused_before_anything_is_loaded(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ga.UserError, match="is a file"):
            fit("simple_cnn", place)


def test_not_finite_stops_and_names_step_metric_and_checkpoint(tmp_path):
    with pytest.raises(trainer.NotFiniteError, match=r"step \d: .* is (nan|inf).*checkpoint is step 2"):
        _diverge(tmp_path)
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {"2"}
    for leaf in state_of(tmp_path).values():
        assert np.isfinite(leaf).all()


def _diverge(directory):
    fit("conv_vae", directory, train={"steps": 2, "save_every": 2})
    saved = checkpoint.read_config(directory)
    bad = dataclasses.replace(saved.run.optimizer, learning_rate=1e30, clip_norm=0.0)
    checkpoint.write_config(directory, saved._replace(run=dataclasses.replace(saved.run, optimizer=bad)))
    fit("conv_vae", directory, train={"save_every": 0}, optimizer=dataclasses.asdict(bad))


def test_resume_with_other_options_is_refused(tmp_path):
    fit("dcgan", tmp_path, train={"steps": 1})
    for options, words in (
        ({"width": 8}, r"model.width: 4 -> 8"),
        ({"train": {"seed": 5}}, r"train.seed: 0 -> 5"),
        ({"optimizer": {"b1": 0.1}}, r"optimizer.b1"),
        ({"train": {"batch": 4}}, r"train.batch: 8 -> 4"),
    ):
        with pytest.raises(ga.UserError, match=words):
            fit("dcgan", tmp_path, **options)


def test_resume_of_another_model_or_other_data_is_refused(tmp_path, monkeypatch):
    fit("simple_cnn", tmp_path, train={"steps": 1})
    with pytest.raises(ga.UserError, match="is a run of simple_cnn, not of dcgan"):
        fit("dcgan", tmp_path)
    other = dataclasses.replace(trainer.open_source(ga.get_config("simple_cnn").data), fingerprint="other")
    monkeypatch.setattr(trainer, "open_source", lambda data: other)
    with pytest.raises(ga.UserError, match="other data"):
        fit("simple_cnn", tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": {"batch": 0}}, "train.batch must be at least 1"),
        ({"train": {"save_every": -1}}, "save-every must not be negative"),
        ({"image_shape": (32, 32, 3)}, "the data has"),
        ({"conditions": ("flavour",)}, "no condition 'flavour'"),
        ({"conditions": (("style", 7),)}, "the model has 7 classes"),
    ],
)
def test_wrong_options_leave_nothing_behind(tmp_path, options, words):
    with pytest.raises(ga.UserError, match=words):
        fit("dcgan", tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_damaged_newest_checkpoint_falls_back(tmp_path):
    fit("simple_cnn", tmp_path)
    for file in (tmp_path / "checkpoints" / "7").rglob("manifest.ocdbt"):
        file.write_bytes(b"")
    assert int(ga.load(tmp_path).state.step) == 6


def test_parallel_mesh_refusals():
    from genart_jax.config import Parallel
    from genart_jax.train.parallel import make_mesh

    assert make_mesh(Parallel(), 8).shape == {"data": 8, "model": 1}
    assert make_mesh(Parallel(data=4, model=2), 8).shape == {"data": 4, "model": 2}
    with pytest.raises(ga.UserError, match="found"):
        make_mesh(Parallel(data=9), 9)
    with pytest.raises(ga.UserError, match="does not divide"):
        make_mesh(Parallel(data=8), 12)


def test_eight_devices_train_like_one(tmp_path):
    for n in (1, 8):
        options = {"optimizer": {"name": "sgd", "b1": 0.0}, "parallel": {"data": n}}
        run = ga.configure("conv_vae", preset="tiny", train={"steps": 3}, **options)
        ga.fit(run, tmp_path / str(n))
    rows = [[r["loss"] for r in read_rows(tmp_path / str(n) / "metrics.jsonl") if "loss" in r] for n in (1, 8)]
    np.testing.assert_allclose(*rows, rtol=1e-4)
    one, eight = state_of(tmp_path / "1"), state_of(tmp_path / "8")
    assert one.keys() == eight.keys()
    for path in one:
        if path.startswith(".params"):
            np.testing.assert_allclose(one[path], eight[path], rtol=1e-3, atol=1e-5, err_msg=path)
