"""Parameters that never train: kept once, verified, and the same in every use."""

import hashlib
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import genart_jax as ga
from genart_jax import assets
from genart_jax.steps import networks
from genart_jax.train import checkpoint, frozen
from tests import zoo
from tests.train.test_trainer import small_data  # noqa: F401  # a fixture

TOY = "tests.train.toy:Config"


def fit(directory, steps=4, **options):
    return ga.fit(ga.configure(TOY, train={"steps": steps}, parallel={"data": 1}, **options), directory)


def teacher(directory):
    return np.asarray(ga.load(directory).state.frozen["teacher"]["mean"]["params"]["w"])


def config(directory):
    return json.loads((directory / "config.json").read_text())


def test_a_run_lends_its_parameters_and_the_borrower_keeps_them(tmp_path):
    lender = fit(tmp_path / "lender")
    lent = np.asarray(ga.load(lender).state.params["mean"]["w"])
    borrower = fit(tmp_path / "borrower", steps=2, source=f"run:{lender}")
    np.testing.assert_array_equal(teacher(borrower), lent)
    # It does not need the lender any more: not to be loaded, and not to go on.
    lender.rename(tmp_path / "gone")
    np.testing.assert_array_equal(teacher(borrower), lent)
    fit(borrower, source=f"run:{lender}")
    whole = fit(tmp_path / "whole", source=f"run:{tmp_path / 'gone'}")
    for a, b in zip(*(jax.tree.leaves(ga.load(d).state) for d in (borrower, whole)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_kept_once_with_its_hash_and_in_no_checkpoint(tmp_path):
    fit(tmp_path)
    files = list((tmp_path / "frozen").iterdir())
    assert [f.name for f in files] == ["teacher.safetensors"]
    assert config(tmp_path)["data"]["frozen"] == {"teacher": hashlib.sha256(files[0].read_bytes()).hexdigest()}
    np.testing.assert_array_equal(load_file(files[0])["mean/params/w"], teacher(tmp_path))
    names = [p.read_text() for p in (tmp_path / "checkpoints").rglob("_METADATA")]
    assert names
    assert not any("teacher" in text for text in names)


def test_a_changed_or_lost_file_is_named(tmp_path):
    fit(tmp_path, steps=2)
    path = frozen.path_of(tmp_path, "teacher")
    save_file({"mean/params/w": np.zeros(5, np.float32)}, path)
    for use in (lambda: ga.load(tmp_path), lambda: fit(tmp_path)):
        with pytest.raises(ga.UserError, match="SHA-256"):
            use()
    path.unlink()
    with pytest.raises(ga.UserError, match="is missing"):
        ga.load(tmp_path)


@pytest.mark.parametrize(
    ("source", "words"),
    [("run:nowhere", "nowhere is not a run"), ("folder:x", "run:DIR or asset:NAME")],
)
def test_wrong_sources(tmp_path, source, words):
    with pytest.raises(ga.UserError, match=words):
        fit(tmp_path / "a", source=source)
    assert not (tmp_path / "a" / "config.json").exists()


def test_another_shape_is_named(tmp_path):
    lender = fit(tmp_path / "lender")
    with pytest.raises(ga.UserError, match=r"mean/params/w is \(5,\), the model wants \(3,\)"):
        fit(tmp_path / "a", source=f"run:{lender}", size=3)


def test_assets_and_roles_that_init_leaves_out(tmp_path, monkeypatch):
    tree = {"mean": {"params": {"w": np.arange(5, dtype=np.float32)}}}
    monkeypatch.setattr(assets, "load", lambda name: {"five": tree}[name], raising=False)
    fit(tmp_path, source="asset:five", size=0)
    monkeypatch.setattr(assets, "load", None)
    np.testing.assert_array_equal(teacher(tmp_path), tree["mean"]["params"]["w"])
    fit(tmp_path, steps=6, source="asset:five", size=0)


class Five(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x * self.param("w", nn.initializers.ones, (5,)), {}


def test_one_network_of_another_run(tmp_path):
    """A role that is a single module takes a run's only role, or the one that is called as it is."""
    lender = fit(tmp_path / "lender")
    lent = np.asarray(ga.load(lender).state.params["mean"]["w"])
    borrowing = ga.build(TOY, image_shape=zoo.SHAPE)
    roles = {"features": ga.Network(Five(), lambda: (jnp.zeros(5),), frozen=f"run:{lender}")}
    init = lambda key, batch: ga.State(jnp.int32(0), {}, {}, {}, {}, {}, networks.init(roles, key)[1])
    borrowing = borrowing._replace(networks=roles, init=init)
    np.testing.assert_array_equal(ga.load_frozen(borrowing)["features"]["params"]["w"], lent)
    there = {"encoder": {}, "decoder": {}}
    assert checkpoint._role_of(there, "decoder", "run:x") == "decoder"
    with pytest.raises(ga.UserError, match="features of run:x: that run has encoder, decoder"):
        checkpoint._role_of(there, "features", "run:x")


def test_without_the_trainer(tmp_path):
    """A donated state takes its own frozen parameters along; numpy arrays of `load_frozen` serve any number of them."""
    lender = fit(tmp_path / "lender")
    algorithm = ga.build(TOY, image_shape=zoo.SHAPE, source=f"run:{lender}")
    batch = zoo.full_batch(algorithm, 8)
    borrowed = ga.load_frozen(algorithm)
    step = jax.jit(algorithm.step, donate_argnums=0)
    for seed in range(2):
        state = zoo.start(algorithm, jax.random.key(seed), batch).replace(frozen=borrowed)
        for _ in range(30):
            state, _ = step(state, batch, jax.random.key(0))
        target = ga.load(lender).state.params["mean"]["w"]
        np.testing.assert_allclose(state.params["mean"]["w"], target, rtol=1e-5)
        assert jnp.array_equal(state.frozen["teacher"]["mean"]["params"]["w"], target)
