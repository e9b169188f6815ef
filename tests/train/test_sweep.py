"""Sweeps: members equal runs of their own, stop by themselves, and share program, checkpoint and nothing else."""

import dataclasses
import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import Field
from genart_jax.data import source as source_module
from genart_jax.data.pipeline import make_loader
from genart_jax.data.source import Split
from genart_jax.steps import sweep
from genart_jax.train import checkpoint, summary, trainer
from genart_jax.train.log import read_rows
from tests import zoo

RATES = (1e-3, 3e-3)


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    """Forty icons of 16x16 for training and ten for testing."""
    whole = source_module.open_source(ga.get_config("dcgan").data)

    def cut(split, n):
        arrays = {name: values[:n] for name, values in split.arrays.items()}
        return Split(n, arrays | {"image": arrays["image"][:, ::2, ::2]})

    pictures = {"image": Field((16, 16, 3))}
    small = dataclasses.replace(whole, train=cut(whole.train, 40), test=cut(whole.test, 10), pictures=pictures)
    monkeypatch.setattr(trainer, "open_source", lambda data: small)
    return small


def fit(name, directory, callback=None, init_from=None, **options):
    train = {"steps": 5, "seed": 3, "save_every": 2, "sample_every": 0} | options.pop("train", {})
    parallel = options.pop("parallel", {"data": 1})
    return ga.fit(
        ga.configure(name, preset="tiny", train=train, parallel=parallel, **options), directory, callback, init_from
    )


def assert_close(a, b, rtol):
    """Relative to each leaf's largest entry: a bias that the data hardly moves is all rounding."""
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=rtol * np.abs(y).max() + 1e-8), a, b)


def test_each_member_is_the_run_that_it_would_be_alone(tmp_path):
    """Seeds, data order, flips, a swept rate under a schedule, moving averages, figures and samples."""
    options = {
        "optimizer": {"schedule": "cosine", "warmup_steps": 2, "weight_decay": 0.01},
        "data": {"flip": True, "crop": 1},
    }
    fit("mlp_vae", tmp_path / "sweep", sweep={"seeds": 2, "optimizer": {"learning_rate": RATES}}, **options)
    for index, (rate, seed) in enumerate([(RATES[0], 3), (RATES[0], 4), (RATES[1], 3), (RATES[1], 4)]):
        if index == 3:
            own = options | {"optimizer": options["optimizer"] | {"learning_rate": rate}}
            alone = fit("mlp_vae", tmp_path / str(index), train={"seed": seed}, **own)
            there, here = ga.load(alone).state, ga.load(tmp_path / "sweep", member=index).state
            assert jax.tree.structure(there) == jax.tree.structure(here)
            assert_close(here.params, there.params, 1e-5)
            assert_close(here.ema, there.ema, 1e-5)
            rows, own_rows = (read_rows(p / "metrics.jsonl") for p in (alone, tmp_path / f"sweep/members/{index}"))
            assert [r["step"] for r in rows] == [r["step"] for r in own_rows] == [1, 2, 3, 4, 5, 5]
            for a, b in zip(rows, own_rows, strict=True):
                assert all(b[name] == pytest.approx(a[name], rel=1e-4) for name in b)
        member = checkpoint.read_config(tmp_path / f"sweep/members/{index}").run
        assert (member.train.seed, member.optimizer.learning_rate) == (seed, rate)
        assert member.sweep == ga.Run(None, None).sweep
    states = [ga.load(tmp_path / f"sweep/members/{i}").state.params for i in range(4)]
    kernels = [np.asarray(s["decoder"]["hidden"]["kernel"]) for s in states]
    assert all(np.abs(kernels[i] - kernels[j]).max() > 1e-3 for i in range(4) for j in range(i))


def test_members_draw_the_conditions_that_each_alone_draws(tmp_path, monkeypatch):
    """In the sample grid too: one seed, one grid."""
    drawn = lambda place, **options: trainer.Trainer(
        ga.configure("mlp_vae", preset="tiny", conditions=("color",), parallel={"data": 1}, **options), place,
        lambda *args: None,
    ).gallery.condition["color"]  # fmt: skip
    train = {"seed": 3, "samples": 16}
    both = drawn(tmp_path, train=train, sweep={"seeds": 2})
    alone = [drawn(tmp_path, train=train | {"seed": seed}) for seed in (3, 4)]
    np.testing.assert_array_equal(both, alone)
    assert not np.array_equal(*alone)

    one = ga.build("mlp_vae", preset="tiny", image_shape=zoo.SHAPE, conditions=(("color", 10),))
    many = ga.build("mlp_vae", preset="tiny", image_shape=zoo.SHAPE, conditions=(("color", 10),), sweep={"seeds": 2})
    key = jax.random.key(0)
    state = jax.jit(many.init)(key, zoo.batch(many.batch_spec, 2))
    images = jax.jit(many.sample, static_argnums=2)(state, jnp.stack([key, key]), 16, {"color": both})
    sample = jax.jit(one.sample, static_argnums=2)
    for i in range(2):
        expected = sample(sweep.member(state, i), key, 16, {"color": alone[i]})
        np.testing.assert_allclose(images[i], expected, atol=1e-5)


@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_every_option_that_may_be_swept_is_exact(rule):
    """Against optimizers with the numbers compiled in."""
    values = {"learning_rate": (0.1, 0.01), "b1": (0.5, 0.9), "b2": (0.9,), "eps": (1e-4,), "weight_decay": (0.1, 0.2)}
    options = {"image_shape": zoo.SHAPE, "optimizer": {"name": rule}, "sweep": {"optimizer": values}}
    algorithm = ga.build("mlp_vae", preset="tiny", **options)
    runs = sweep.runs(ga.configure("mlp_vae", preset="tiny", **options))
    assert algorithm.members == len(runs) == 8
    assert [(r.optimizer.learning_rate, r.optimizer.weight_decay) for r in runs[:3]] == [
        (0.1, 0.1),
        (0.1, 0.2),
        (0.1, 0.1),
    ]
    batch, key = zoo.batch(algorithm.batch_spec, 4), jax.random.key(0)
    keys = jnp.stack([key] * 8)
    state, step = jax.jit(algorithm.init)(keys, batch), jax.jit(algorithm.step)
    for _ in range(2):
        state, _ = step(state, batch, keys)
    alone = ga.build(runs[5], image_shape=zoo.SHAPE)
    own, own_step = sweep.member(jax.jit(algorithm.init)(keys, batch), 5), jax.jit(alone.step)
    for _ in range(2):
        own, _ = own_step(own, batch, key)
    mine = sweep.member(state, 5).params
    assert_close(mine, own.params, 1e-4)
    with pytest.raises(AssertionError):
        assert_close(sweep.member(state, 4).params, own.params, 1e-3)


def test_lazy_terms_stay_lazy_and_one_key_serves_all():
    """The step counter has no axis of members, so `cond` is not computed both ways; and nor is a static choice."""
    algorithm = ga.build(
        "dcgan", preset="tiny", image_shape=zoo.SHAPE, step={"r1_gamma": 1.0, "r1_every": 2}, sweep={"seeds": 2}
    )
    batch, key = zoo.full_batch(algorithm, 4), jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key, batch)
    assert state.step.shape == ()
    assert {leaf.shape[0] for leaf in jax.tree.leaves((state.params, state.opt, state.ema))} == {2}
    text = lambda due: str(jax.make_jaxpr(lambda s, b, k: algorithm.step(s, b, k, due))(state, batch, key))
    assert "cond[" in text(None)
    due, not_due = text(("r1",)), text(())
    assert "cond[" not in due + not_due
    assert due.count("genart_conv") > not_due.count("genart_conv")


def test_a_member_that_diverges_does_so_alone(tmp_path, small_data):
    told = []
    rates = {"learning_rate": (1e-3, 1e30)}
    fit("mlp_vae", tmp_path, lambda event, values: told.append((event, values)), sweep={"optimizer": rates},
        train={"samples": 9})  # fmt: skip
    alone = fit("mlp_vae", tmp_path / "alone", optimizer={"learning_rate": 1e-3})
    assert_close(ga.load(tmp_path, member=0).state.params, ga.load(alone).state.params, 1e-5)
    with pytest.raises(ga.UserError, match="diverged in step"):
        ga.load(tmp_path, member=1)
    whole = json.loads((tmp_path / "summary.json").read_text())["sweep"]
    first, second = whole["members"]
    assert (first["diverged"], first["collapsed"], second["collapsed"]) == (None, "", "not finite")
    assert second["diverged"] in (1, 2, 3)
    rows = read_rows(tmp_path / "members/1/metrics.jsonl")
    assert [row["loss"] == "nan" for row in rows[:5]] == [row["step"] >= second["diverged"] for row in rows[:5]]
    assert whole["collapsed"] == 0.5
    assert [setting["collapsed"] for setting in whole["settings"]] == [0.0, 1.0]
    assert whole["settings"][1]["figures"] == {}
    assert whole["settings"][0]["figures"]["loss"] == {"mean": first["metrics"]["loss"], "spread": None, "members": 1}
    (note,) = [values["text"] for event, values in told if event == "note"]
    assert note.startswith("member 1 has diverged")


def test_a_sweep_in_which_all_diverge_fails(tmp_path):
    with pytest.raises(trainer.NotFiniteError, match="last member"):
        fit("mlp_vae", tmp_path, sweep={"seeds": 2}, optimizer={"learning_rate": 1e30})


def test_resume_equals_an_uninterrupted_sweep(tmp_path):
    def interrupt(event, values):
        if event == "progress" and values["step"] >= 3:
            os.kill(os.getpid(), signal.SIGINT)

    options = {"sweep": {"seeds": 2}, "train": {"steps_per_dispatch": 2}}
    fit("simple_cnn", tmp_path / "whole", **options)
    fit("simple_cnn", tmp_path / "parts", interrupt, **options)
    fit("simple_cnn", tmp_path / "parts", **options)
    for index in range(2):
        a, b = (ga.load(tmp_path / name / "members" / str(index)).state for name in ("whole", "parts"))
        jax.tree.map(np.testing.assert_array_equal, a, b)
        rows = [row["step"] for row in read_rows(tmp_path / f"parts/members/{index}/metrics.jsonl")]
        assert rows == sorted(rows)
        assert rows[-1] == 5
    with pytest.raises(ga.UserError, match=r"sweep.seeds: 2 -> 3"):
        fit("simple_cnn", tmp_path / "parts", sweep={"seeds": 3}, train=options["train"])


def test_a_sweep_on_a_mesh_equals_one_on_a_device(tmp_path):
    options = {"sweep": {"seeds": 2}, "optimizer": zoo.SGD, "train": {"steps": 2}}
    fit("mlp_vae", tmp_path / "one", **options)
    fit("mlp_vae", tmp_path / "mesh", parallel={"data": 2, "model": 2}, **options)
    a, b = (ga.load(tmp_path / name, member=1).state.params for name in ("one", "mesh"))
    assert_close(b, a, 1e-5)


def test_what_a_sweep_and_its_members_refuse(tmp_path):
    fit("mlp_vae", tmp_path / "a", sweep={"seeds": 2}, train={"steps": 1})
    with pytest.raises(ga.UserError, match="is a sweep; name one"):
        ga.load(tmp_path / "a")
    for wrong in (-1, 2):
        with pytest.raises(ga.UserError, match="members 0 to 1"):
            ga.load(tmp_path / "a", member=wrong)
    with pytest.raises(ga.UserError, match="goes on as a whole"):
        fit("mlp_vae", tmp_path / "a/members/0")
    with pytest.raises(ga.UserError, match="init-from"):
        fit("mlp_vae", tmp_path / "b", None, tmp_path / "a/members/0", sweep={"seeds": 2})
    with pytest.raises(ga.UserError, match=r"train.best"):
        fit("mlp_vae", tmp_path / "b", sweep={"seeds": 2}, train={"best": "elbo:max"})
    with pytest.raises(ga.UserError, match=r"sweep.seeds must not be negative"):
        fit("mlp_vae", tmp_path / "b", sweep={"seeds": -1})
    with pytest.raises(ga.UserError, match="must not be negative"):
        fit("mlp_vae", tmp_path / "b", sweep={"optimizer": {"learning_rate": (1e-3, -1.0)}})
    assert not (tmp_path / "b").exists()
    fit(
        "mlp_vae", tmp_path / "c", None, tmp_path / "a/members/1", train={"steps": 1}
    )  # a member is a run to begin from
    with pytest.raises(ga.UserError, match="it is no sweep"):
        ga.load(tmp_path / "c", member=0)


def test_streamed_data_is_refused(small_data):
    streamed = Split(40, read=lambda index: {})
    with pytest.raises(ga.UserError, match="streamed"):
        make_loader(streamed, (0, 1), 8)


def test_the_rows_of_members(small_data):
    loader = make_loader(small_data.train, (5, 7, 5), 8)
    payload = loader.next(6)
    alone = [make_loader(small_data.train, seed, 8).next(6)["rows"] for seed in (5, 7, 5)]
    np.testing.assert_array_equal(payload["rows"], np.stack(alone, axis=1))
    assert loader.materialize(loader.constants, payload)["image"].shape == (8, 3, 16, 16, 3)


def test_diversity_is_relative_to_real_pictures(small_data):
    """Against sums over pairs; a member that draws one picture has none."""
    rng = np.random.default_rng(0)
    images = np.stack(
        [rng.uniform(-1, 1, (9, 16, 16, 3)), np.broadcast_to(rng.uniform(-1, 1, (16, 16, 3)), (9, 16, 16, 3))]
    )
    varied, same = summary.diversities(images.astype(np.float32), small_data)
    real = small_data.test.arrays["image"].astype(np.float64) / 127.5 - 1
    chosen = summary.permutation(0, 0, 10)[:9]

    def mean_distance(x):
        return np.mean([np.linalg.norm(x[i] - x[j]) for i in range(9) for j in range(i)])

    assert varied == pytest.approx(mean_distance(images[0]) / mean_distance(real[chosen]), rel=1e-5)
    assert same < 1e-5 < summary.LEAST < varied
    assert summary.diversities(images[:, :2], small_data) is None
