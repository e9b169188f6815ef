"""`--init-from`: what a run takes from another, and what it begins anew."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import registry
from genart_jax.steps import common
from genart_jax.train import checkpoint, published
from tests import zoo
from tests.train.test_trainer import fit, small_data, state_of  # noqa: F401  # a fixture

STILL = {"learning_rate": 0.0, "schedule": "constant"}


def filled(name, value, conditions=(("style", 5),), **options):
    """A state of a model's tiny preset in which every number is `value`: nothing is compiled for it."""
    run = ga.configure(name, preset="tiny", conditions=conditions, **options)
    shape = run.model.image_shape or zoo.shape_of(name, (32, 32, 3))
    shapes = {name: shape for name in ("image_shape", "other_shape", "target_shape") if hasattr(run.model, name)}
    algorithm = ga.build(dataclasses.replace(run, model=dataclasses.replace(run.model, **shapes)))
    # By NumPy: `jnp.full` is a program for each shape.
    return jax.tree.map(lambda x: jnp.asarray(np.full(x.shape, value, x.dtype)), checkpoint.abstract_state(algorithm))


def take(monkeypatch, mine, theirs, there, name=""):
    """`take_parameters` of a run of the model `there` whose state is `theirs`."""
    monkeypatch.setattr(checkpoint, "load", lambda directory: checkpoint.Model(None, theirs))
    saved = types.SimpleNamespace(run=types.SimpleNamespace(name=there))
    monkeypatch.setattr(checkpoint, "read_config", lambda directory: saved)
    return checkpoint.take_parameters(mine, "the run", name)


def conditional():
    for name in registry.list_models():
        fields = {f.name for f in dataclasses.fields(registry.get_config(name, "tiny").model)}
        if "conditions" in fields and registry.get_config(name, "tiny").model.image_shape is None:
            yield name


@pytest.mark.parametrize("name", conditional())
def test_only_what_belongs_to_classes_begins_anew(name, monkeypatch):
    """As it was; a classifier's last layer at zero, so that nothing of it is chance."""
    mine, theirs = filled(name, 2, (("style", 7),)), filled(name, 1)
    taken, left = take(monkeypatch, mine, theirs, name, name)
    differ = {path for part in ("params", "mutable", "ema") for path in differing(mine, theirs, part)}
    assert [f"params{path}" for path in left] == sorted(path for path in differ if path.startswith("params"))
    for part in ("params", "mutable", "ema"):
        for path, leaf in jax.tree.leaves_with_path(getattr(taken, part)):
            where = jax.tree_util.keystr(path)
            anew = 0 if where.startswith("['classifier']") and "['out']" in where else 2
            expected = anew if part + where in differ else 1
            np.testing.assert_array_equal(leaf, expected, err_msg=part + jax.tree_util.keystr(path))
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(taken)]
    assert len(pointers) == len({*pointers}), "a step donates them"


def differing(mine, theirs, part):
    shapes = [
        {part + jax.tree_util.keystr(path): x.shape for path, x in jax.tree.leaves_with_path(getattr(state, part))}
        for state in (mine, theirs)
    ]
    return [path for path, shape in shapes[0].items() if shapes[1].get(path) != shape]


def test_without_averages_there_they_begin_as_the_parameters(monkeypatch):
    theirs = filled("dcgan", 1, step={"ema_decay": 0.0})
    assert theirs.ema == {}
    taken, _ = take(monkeypatch, filled("dcgan", 0), theirs, "dcgan")
    assert taken.ema
    for leaf in jax.tree.leaves(taken.ema):
        np.testing.assert_array_equal(leaf, 1)


@pytest.mark.parametrize(("mine", "theirs"), [("dcgan", "simple_cnn"), ("dcgan", "sngan"), ("conv_vae", "mlp_vae")])
def test_another_models_run_is_named(mine, theirs, monkeypatch):
    states = filled(mine, 0), filled(theirs, 1)
    with pytest.raises(ga.UserError, match=f"^--init-from the run: that is a run of {theirs}, not of {mine}$"):
        take(monkeypatch, *states, theirs, mine)
    with pytest.raises(ga.UserError, match=f"that is a run of {theirs}; .* has shape .* give the same --model options"):
        take(monkeypatch, *states, theirs)


def test_the_moving_average_is_not_forgotten(tmp_path):
    """Its warm-up goes on, also when the run is called again without saying where it began."""
    options = {"train": {"steps": 6, "save_every": 6}, "optimizer": {"learning_rate": 0.01, "schedule": "constant"}}
    fit("mlp_vae", tmp_path / "a", **options)
    given = {"train": {"steps": 1}, "optimizer": STILL}
    fit("mlp_vae", tmp_path / "b", None, tmp_path / "a", **given)
    a, b = state_of(tmp_path / "a"), state_of(tmp_path / "b")
    param, path = ".params['decoder']['out']['kernel']", ".ema['decoder']['params']['out']['kernel']"
    decay = float(common.ema_decay(0.999, jnp.int32(6)))
    assert decay == pytest.approx(7 / 16)
    assert np.abs(a[param] - a[path]).max() > 1e-3
    np.testing.assert_allclose(b[path], decay * a[path] + (1 - decay) * a[param], atol=1e-6)
    fit("mlp_vae", tmp_path / "b", train={"steps": 2}, optimizer=STILL)
    c, decay = state_of(tmp_path / "b"), 8 / 17
    np.testing.assert_allclose(c[path], decay * b[path] + (1 - decay) * a[param], atol=1e-6)
    fit("mlp_vae", tmp_path / "c", None, tmp_path / "b", **given)
    assert checkpoint.read_config(tmp_path / "c").run.train.ema_steps == 8


def test_published_weights_in_the_cache_are_taken_by_name(tmp_path, monkeypatch):
    """With `probe`, only the new last layer then learns, and statistics stay."""
    run = ga.configure("simple_cnn", preset="tiny", norm=True, hidden=0, step={"probe": True}, label="style",
                       train={"steps": 2, "batch": 8, "sample_every": 0},
                       optimizer={"weight_decay": 0.1, "learning_rate": 0.1})  # fmt: skip
    like = ga.build(run, image_shape=(32, 32, 3), conditions=(("imagenet", 7),), label="imagenet")
    theirs = jax.jit(like.init)(jax.random.key(5), zoo.batch(like.batch_spec, 8))
    variables = {"params": theirs.params["classifier"], **theirs.mutable["classifier"]}
    monkeypatch.setattr(published.assets, "load", lambda name: jax.device_get(variables))
    monkeypatch.setattr(published.assets, "class_names", lambda name: tuple("abcdefg"))
    monkeypatch.setattr(published, "_configured", lambda name, options: ga.configure(
        run, **options, label="imagenet"))  # fmt: skip
    ga.fit(run, tmp_path / "r", init_from="asset:efficientnet_lite0")
    state = ga.load(tmp_path / "r").state
    for name, tree in state.params["classifier"].items():
        moved = zoo.norm(zoo.moved(theirs.params["classifier"][name], tree)) if name != "out" else 1.0
        assert (moved > 0) == (name == "out"), name
    assert zoo.norm(zoo.moved(theirs.mutable["classifier"], state.mutable["classifier"])) == 0
    assert ga.read_config(tmp_path / "r").data["init_from"] == "asset:efficientnet_lite0"
