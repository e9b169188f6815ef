"""Numbers that are not finite, signals, and runs that are begun with something else: what a run does about them."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.data.source import Split
from genart_jax.train import checkpoint, guard, records, trainer
from genart_jax.train.log import read_rows
from genart_jax.types import to_float
from tests.train.test_trainer import assert_same, fit, small_data, state_of  # noqa: F401  # a fixture

RATE = {"optimizer": {"learning_rate": 0.001, "schedule": "constant"}}


class Poisoned:
    """A loader of floats, in which the pictures of some steps are NaN."""

    def __init__(self, loader, steps):
        self._loader, self._steps, self.constants = loader, steps, loader.constants

    def next(self, step):
        rows = self._loader.next(step)
        return {"rows": rows, "bad": np.full(len(rows["rows"]), step in self._steps)}

    def materialize(self, constants, payload):
        batch = self._loader.materialize(constants, payload["rows"])
        bad = payload["bad"][:, None, None, None]
        return batch | {"image": jnp.where(bad, jnp.nan, to_float(batch["image"]))}

    def get_state(self):
        return None

    def set_state(self, state):
        pass


def poison_data(monkeypatch, steps):
    whole = trainer.make_loader
    monkeypatch.setattr(trainer, "make_loader", lambda *a, **k: Poisoned(whole(*a, **k), steps))


def poison_step(monkeypatch, at, change, above=0.0):
    """From step `at` on, `change(state, metrics)` spoils what a step gives, at learning rates above `above`."""
    whole = trainer.build

    def build(run):
        algorithm = whole(run)
        if run.optimizer.learning_rate <= above:
            return algorithm

        def step(state, *args):
            new, metrics = algorithm.step(state, *args)
            return jax.tree.map(lambda a, b: jnp.where(state.step == at, a, b), change(new, metrics), (new, metrics))

        return algorithm._replace(step=step)

    monkeypatch.setattr(trainer, "build", build)


def nan(tree):
    return jax.tree.map(lambda x: x * jnp.nan, tree)


def all_finite(directory):
    path = directory / "checkpoints"
    for step in path.iterdir():
        state = ga.load(directory, int(step.name)).state
        assert not guard.not_finite(state), step
    return sorted(int(step.name) for step in path.iterdir())


def noted(directory, **options):
    notes = []
    tell = lambda event, values: notes.append(values["text"]) if event == "note" else None
    fit("mlp_vae", directory, tell, **(RATE | options))
    return notes


def test_metrics_in_the_order_of_their_computation():
    names = ["a_param_norm", "bits", "loss", "a_grad_norm", "commitment", "second", "a_update_norm", "first"]
    expected = ["first", "second", "bits", "commitment", "loss", "a_grad_norm", "a_update_norm", "a_param_norm"]
    assert guard.in_order(sorted(names), ("first", "second")) == expected


def test_paths_of_what_is_not_finite():
    tree = {"a": {"b": jnp.array([1.0, jnp.inf])}, "n": jnp.arange(3), "h": jnp.bfloat16(jnp.nan), "ok": jnp.ones(3)}
    assert guard.not_finite(tree) == ["a/b", "h"]


@pytest.mark.parametrize("per_dispatch", [1, 3])
def test_nan_in_the_data_leaves_that_step_out(tmp_path, monkeypatch, per_dispatch):
    """And a run that is interrupted afterwards goes on to the same bits."""
    poison_data(monkeypatch, {4})
    train = {"steps_per_dispatch": per_dispatch, "save_every": 2}
    (note,) = noted(tmp_path / "whole", train=train)
    assert f"back to step {4 if per_dispatch == 1 else 3}, and on without the batch of step 5, whose image is" in note
    saved = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert saved["data"]["left_out"] == [4]
    assert saved["data"]["rollbacks"] == []
    assert all_finite(tmp_path / "whole") == [6, 7]
    rows = read_rows(tmp_path / "whole" / "metrics.jsonl")
    assert all(np.isfinite(v) for row in rows for v in row.values())

    def interrupt(event, values):
        if event == "progress" and values["step"] >= 6:
            os.kill(os.getpid(), signal.SIGTERM)

    fit("mlp_vae", tmp_path / "parts", interrupt, train=train, **RATE)
    assert json.loads((tmp_path / "parts" / "summary.json").read_text())["interrupted"]
    fit("mlp_vae", tmp_path / "parts", train=train, **RATE)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_data_that_is_nan_all_along_ends_the_run(tmp_path, monkeypatch):
    poison_data(monkeypatch, set(range(3, 50)))
    with pytest.raises(trainer.NotFiniteError, match=r"step 1[0-9]: "):
        noted(tmp_path, train={"steps": 50, "log_every": 1})
    assert all_finite(tmp_path)


@pytest.mark.parametrize("what", ["gradients", "parameter"])
def test_nan_in_gradients_or_in_a_parameter_goes_back_once(tmp_path, monkeypatch, what):
    def gradients(state, metrics):
        return state.replace(params=nan(state.params), opt=state.opt), nan(metrics)

    def parameter(state, metrics):  # which no loss shows
        return state.replace(ema=nan(state.ema)), metrics

    poison_step(monkeypatch, 4, {"gradients": gradients, "parameter": parameter}[what], above=0.0005)
    *others, note = noted(tmp_path)
    assert others == ([] if what == "gradients" else ["step 6: the pictures are not finite; none are drawn"])
    assert "back to step 4, and on with 0.3 of the learning rate" in note
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["data"]["rollbacks"] == [{"step": 5 if what == "gradients" else 6, "learning_rate": 0.001}]
    assert all_finite(tmp_path) == [6, 7]
    rows = [row["step"] for row in read_rows(tmp_path / "metrics.jsonl") if "loss" in row]
    assert rows == [1, 2, 3, 4, 5, 6, 7]
    # The rate stays low when the run goes on, and is the user's again once he changes it.
    rates = []
    whole = trainer.build
    monkeypatch.setattr(trainer, "build", lambda run: rates.append(run.optimizer.learning_rate) or whole(run))
    noted(tmp_path, train={"steps": 8})
    assert rates == [0.001, 0.0003]
    noted(tmp_path, train={"steps": 9}, optimizer=RATE["optimizer"] | {"learning_rate": 0.0004})
    assert rates[2:] == [0.0004]


def test_nan_again_stops_with_advice_and_is_never_saved(tmp_path, monkeypatch):
    """The message names what was computed first of all that is NaN."""
    poison_step(monkeypatch, 4, lambda state, m: (state, nan(m) | {"reconstruction": m["reconstruction"]}))
    with pytest.raises(
        trainer.NotFiniteError, match=r"step 5: kl is nan; .*checkpoint is step 4 .*has not helped.*Lower"
    ):
        noted(tmp_path)
    assert all_finite(tmp_path) == [2, 4]
    with pytest.raises(trainer.NotFiniteError, match="step 5"):
        noted(tmp_path)


def test_nan_before_the_first_checkpoint_begins_anew(tmp_path, monkeypatch):
    poison_step(monkeypatch, 0, lambda state, metrics: (state, nan(metrics)), above=0.0005)
    (note,) = noted(tmp_path)
    assert "back to step 0" in note
    assert all_finite(tmp_path) == [6, 7]


def test_sigterm_does_not_wait_for_an_evaluation(tmp_path, monkeypatch):
    def make_evaluator(*args):
        def evaluate(*args):
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(300):
                time.sleep(0.1)

        return evaluate

    monkeypatch.setattr(trainer, "make_evaluator", make_evaluator)
    started = time.monotonic()
    fit("mlp_vae", tmp_path, train={"eval_every": 3})
    assert time.monotonic() - started < 20
    assert json.loads((tmp_path / "summary.json").read_text())["interrupted"]
    assert int(ga.load(tmp_path).state.step) == 3
    fit("mlp_vae", tmp_path / "end")  # in the evaluation at the very end
    summary = json.loads((tmp_path / "end" / "summary.json").read_text())
    assert summary["interrupted"]
    assert summary["step"] == 7
    monkeypatch.undo()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_end_the_command_with_a_checkpoint(tmp_path, number, code):
    options = ["--preset", "tiny", "--parallel.data", "1", "--steps", "1000000", "--train.save-every", "0"]
    command = [sys.executable, "-m", "genart_jax", "train", "mlp_vae", "--run", str(tmp_path / "run"), *options]
    command += ["--train.log-every", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    while not read_rows(tmp_path / "run" / "metrics.jsonl") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    told = time.monotonic()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == code, out
    assert time.monotonic() - told < 10
    assert "with a checkpoint" in out
    assert [p.name.isdecimal() for p in (tmp_path / "run" / "checkpoints").iterdir()] == [True]


def test_sigterm_does_not_wait_for_a_step_without_end():
    script = (
        "import hashlib, os, signal, threading, time\n"
        "from genart_jax.app.preempt import ends_in_time\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "with ends_in_time(0.5):\n"
        "    signal.signal(signal.SIGTERM, lambda *a: None)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, time.monotonic() - started < 10) == (0, True)
    assert "in the middle of a step" in done.stderr


def go_on(directory, force, name="mlp_vae", **options):
    run = ga.configure(name, preset="tiny", parallel={"data": 1}, **(RATE | options))
    return ga.fit(run, directory, force=force)


def test_force_goes_on_where_the_state_fits(tmp_path, monkeypatch):
    fit("mlp_vae", tmp_path, train={"steps": 2}, **RATE)
    with pytest.raises(ga.UserError, match=r"train.batch: 8 -> 4.*--resume.force"):
        go_on(tmp_path, False, train={"batch": 4, "steps": 3})
    go_on(tmp_path, True, train={"batch": 4, "steps": 3})
    assert int(ga.load(tmp_path).state.step) == 3
    for force in (False, True):
        with pytest.raises(ga.UserError, match=r"begun with other options \(model.hidden: 16 -> 9\)") as caught:
            go_on(tmp_path, force, hidden=9, train={"batch": 4, "steps": 4})
        assert "--resume.force" not in str(caught.value)
        assert "params" not in str(caught.value)  # nor the paths of leaves, which follow from the option
    small = trainer.open_source(ga.get_config("simple_cnn").data)
    fewer = Split(9, {name: values[:9] for name, values in small.test.arrays.items()})
    other = dataclasses.replace(small, fingerprint="f" * 64, test=fewer)
    monkeypatch.setattr(trainer, "open_source", lambda data: other)
    with pytest.raises(ga.UserError, match=r"train and test: 40 \+ 10 -> 40 \+ 9; SHA-256.*-> ffffffffffff") as caught:
        go_on(tmp_path, False, train={"batch": 4, "steps": 4})
    assert "choose another --run" in str(caught.value)
    assert "--resume.force" not in str(caught.value)
    go_on(tmp_path, True, train={"batch": 4, "steps": 4})
    assert int(ga.load(tmp_path).state.step) == 4


def test_other_data_is_named_before_what_follows_from_it(tmp_path, monkeypatch):
    """As with `genart train NAME --data OTHER`, where runs/NAME is there already and its options are taken."""
    fit("simple_cnn", tmp_path, train={"steps": 1}, **RATE)
    saved = checkpoint.read_config(tmp_path)
    small = trainer.open_source(ga.get_config("simple_cnn").data)
    other = dataclasses.replace(small, name="folder:x", fingerprint="other")
    unlabelled = dataclasses.replace(other, class_names={})
    there = rf"{tmp_path} holds a run on {saved.data['source']}; for folder:.*/x choose another --run \(the data has no"
    for source, words in ((unlabelled, there), (other, r"holds a run on other data \(source: .* -> folder:x; ")):
        monkeypatch.setattr(trainer, "open_source", lambda data, source=source: source)
        run = dataclasses.replace(saved.run, data=dataclasses.replace(saved.run.data, source="folder:x"))
        with pytest.raises(ga.UserError, match=words):
            ga.fit(run, tmp_path)


def test_other_classes_are_refused_even_so(tmp_path, monkeypatch):
    fit("simple_cnn", tmp_path, train={"steps": 1}, **RATE)
    small = trainer.open_source(ga.get_config("simple_cnn").data)
    names = {name: tuple(reversed(words)) for name, words in small.class_names.items()}
    other = dataclasses.replace(small, class_names=names, fingerprint="other")
    monkeypatch.setattr(trainer, "open_source", lambda data: other)
    with pytest.raises(ga.UserError, match=r"classes of style: noto, .* -> fluent"):
        go_on(tmp_path, True, "simple_cnn", train={"steps": 2})


def test_checkpoints_without_a_configuration_are_refused(tmp_path):
    fit("mlp_vae", tmp_path, train={"steps": 1})
    (tmp_path / "config.json").unlink()
    with pytest.raises(ga.UserError, match=r"no config.json; .* genart checkpoint repair"):
        fit("mlp_vae", tmp_path)


def test_the_best_checkpoint_is_kept_and_loaded(tmp_path):
    train = {"steps": 6, "save_every": 1, "keep": 1, "best": "accuracy:max"}
    fit("simple_cnn", tmp_path, train=train)
    rows = read_rows(tmp_path / "metrics.jsonl")
    figures = {row["step"]: row["test/accuracy"] for row in rows if "test/accuracy" in row}
    assert sorted(figures) == [1, 2, 3, 4, 5, 6], "each that was saved was evaluated, once"
    best = max(figures, key=lambda step: (figures[step], step))
    assert int(ga.load(tmp_path, "best").state.step) == best
    assert {int(p.name) for p in (tmp_path / "checkpoints").iterdir()} == {best, 6}
    for wrong in ("accuracy", "beauty:max"):
        with pytest.raises(ga.UserError, match="wanted one of accuracy:min or accuracy:max"):
            fit("simple_cnn", tmp_path / "other", train={"best": wrong})
    fit("mlp_vae", tmp_path / "none")
    with pytest.raises(ga.UserError, match="with --train"):
        ga.load(tmp_path / "none", "best")


def test_a_full_disk_does_not_end_a_run(tmp_path, monkeypatch):
    """Not the log's, nor the checkpoints', nor the pictures'; what fits again afterwards is there."""
    full = set()

    def fails(whole):
        def function(*args, **kwargs):
            if full:
                raise OSError(28, "No space left on device")
            return whole(*args, **kwargs)

        return function

    monkeypatch.setattr(trainer.Checkpoints, "_make_room", fails(trainer.Checkpoints._make_room))
    monkeypatch.setattr(records, "save_grid", fails(records.save_grid))
    notes = []

    def callback(event, values):
        if event == "progress":
            (full.add if values["step"] in (2, 3, 4) else full.discard)(1)
        if event == "note":
            notes.append(values["text"])

    fit("mlp_vae", tmp_path, callback, train={"save_every": 1, "sample_every": 1})
    assert sum("checkpoint" in note for note in notes) == 3
    assert sum(".png cannot be written" in note for note in notes) == 3
    assert all_finite(tmp_path) == [6, 7]
