"""Bound networks: applied by role from parameters, averages, and weights that never train."""

import dataclasses
import functools
import hashlib
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genart_jax as ga
from genart_jax import Network, assets, registry
from genart_jax.config import Classifier, Run, Train
from genart_jax.losses import perceptual
from genart_jax.nn import random
from genart_jax.nn.vgg import VGG
from genart_jax.steps import common, play
from genart_jax.steps import networks as bound
from genart_jax.steps.family import Family
from genart_jax.types import Outcome, Scene, Variables
from tests import zoo

KEY = jax.random.key(6)


def test_run_is_the_module_itself(family_model):
    """To the bit, for every role: with its parameters, its averages, or what never trains."""
    algorithm = zoo.tiny(family_model)
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 4))
    state = state.replace(ema=jax.tree.map(lambda x: np.asarray(x) + np.float32(0.01), state.ema))
    for role, network in algorithm.networks.items():
        given = network.inputs() if callable(network.inputs) else network.inputs
        if role == "tokenizer":
            given = (jnp.zeros((2, *algorithm.batch_spec.image_shape)),)
        for average in (True, False) if role in state.ema else (True,):
            live = {"params": state.params.get(role, {}), **state.mutable.get(role, {})}
            variables = state.ema[role] if average and role in state.ema else state.frozen.get(role, live)
            with jax.default_matmul_precision("float32"):
                wanted, named = jax.jit(lambda v, n=network, g=given: n.module.apply(v, *g))(variables)
            run = functools.partial(ga.run, algorithm, role=role, average=average, capture=tuple(named))
            got, captured = jax.jit(lambda s, r=role, a=average, g=given, names=tuple(named): ga.run(
                algorithm, s, r, *g, average=a, capture=names))(state)  # fmt: skip
            for a, b in zip(*map(jax.tree.leaves, ((got, captured), (wanted, named))), strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"{role} {run.keywords}")
    with pytest.raises(ga.UserError, match=f"no network 'judge'; there are {', '.join(algorithm.networks)}"):
        ga.run(algorithm, state, "judge")


def test_names_that_are_not_there_are_named():
    algorithm = zoo.tiny("simple_cnn")
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 2))
    image = jnp.zeros((2, *zoo.SHAPE))
    with pytest.raises(ga.UserError, match="classifier names no intermediate 'stage_9'; there are stage_0"):
        jax.eval_shape(lambda: ga.run(algorithm, state, "classifier", image, capture=("stage_9",)))
    with pytest.raises(ga.UserError, match=r"networks\(\) returned list; wanted {role: genart_jax.Network"):
        bound.checked([nn.Dense(3)], "mine")
    with pytest.raises(ga.UserError, match="model 'mine'"):
        bound.checked({"generator": nn.Dense(3)}, "mine")


class Maker(nn.Module):
    @nn.compact
    def __call__(self, z, train=False):
        return jnp.tanh(nn.Dense(16 * 16 * 3)(z)).reshape(-1, *zoo.SHAPE), {}


class Head(nn.Module):
    @nn.compact
    def __call__(self, features, train=False):
        return nn.Dense(1)(features)[:, 0], {}


class Toy(Family):
    """A GAN whose critic sees frozen features; its generator wants those of VGG to be the real pictures', too."""

    def __init__(self, roles, config, axis_name=None):
        super().__init__(roles, config, axis_name)
        players = (
            play.Player("critic", ("critic",), self.critic_loss),
            play.Player("generator", ("generator",), self.loss),
        )
        optimizers = {player.name: optax.sgd(0.1) for player in players}
        self.game = play.Game(players, optimizers, self.draw, make=self.make)

    def draw(self, state, batch, key):
        return Scene(batch, {"z": random.normal(random.example_keys(key, len(batch["image"])), (4,))}, key=key)

    def make(self, at, scene):
        return bound.run(self.roles, at, "generator", scene.drawn["z"])[0], {}

    def score(self, at, images):
        _, found = bound.run(self.roles, at, "features", images, capture=("pooled",))
        return bound.run(self.roles, at, "critic", found["pooled"])[0]

    def critic_loss(self, at, scene):
        real, fake = self.score(at, scene.batch["image"]), self.score(at, scene.made)
        return Outcome(jax.nn.softplus(-real) + jax.nn.softplus(fake), {})

    def loss(self, at, scene):
        seen = lambda x: bound.run(self.roles, at, "vgg", x, capture=("relu1_1",))[1]["relu1_1"]
        distance = perceptual.content(seen(scene.made), seen(scene.batch["image"]))
        return Outcome(jax.nn.softplus(-self.score(at, scene.made)) + distance, {"distance": jnp.mean(distance)})

    def evaluate(self, state, batch, key):
        weight = common.weights_of(batch, self.spec)
        return {"score": common.weighted(self.score(state, batch["image"]), weight)}


STEP = __name__


@dataclasses.dataclass(frozen=True)
class Config:
    image_shape: tuple[int, ...] | None = None


def networks(config, dtype=jnp.float32, axis_name=None):
    """lite0 with its tiny layers, as an asset would be."""
    lite = ga.configure("efficientnet_lite0", preset="tiny", image_shape=zoo.SHAPE, conditions=(("class", 5),))
    features = registry.model_module("efficientnet_lite0").networks(lite.model)["classifier"]
    pictures = lambda: (jnp.zeros((2, *zoo.SHAPE)),)
    return {
        "generator": Network(Maker(), lambda: (jnp.zeros((2, 4)),)),
        "critic": Network(Head(), lambda: (jnp.zeros((2, lite.model.head)),)),
        "features": features._replace(frozen="asset:efficientnet_lite0"),
        "vgg": Network(VGG((4,), (1,), until="relu1_1"), pictures, "asset:vgg19"),
    }


def build(roles, config, axis_name=None):
    return Toy(roles, config, axis_name).algorithm({})


PRESETS = {
    "default": Run(Config(), Classifier(), train=Train(steps=2, batch=4, log_every=1, save_every=2, sample_every=0))
}
TOY = f"{__name__}:Config"


def published(algorithm):
    """Weights of the networks that never train, other than `init` would give."""
    wanted = jax.eval_shape(lambda: bound.init(algorithm.networks, KEY)[1])
    rng = np.random.default_rng(4)
    filled = jax.tree.map(lambda x: (0.1 * rng.uniform(0.5, 1.5, x.shape)).astype(x.dtype), wanted)
    return {"efficientnet_lite0": filled["features"], "vgg19": filled["vgg"]}


@pytest.fixture
def algorithm():
    return ga.build(TOY, image_shape=zoo.SHAPE)


def test_what_never_trains_is_kept_once_with_a_run(tmp_path, monkeypatch, algorithm):
    weights = published(algorithm)
    monkeypatch.setattr(assets, "load", weights.__getitem__)
    images = np.random.default_rng(0).integers(0, 255, (12, *zoo.SHAPE), np.uint8)
    ga.fit(ga.configure(TOY, parallel={"data": 1}), tmp_path, data={"image": images})
    monkeypatch.setattr(assets, "load", None)
    kept = json.loads((tmp_path / "config.json").read_text())["data"]["frozen"]
    for role, source in (("features", "efficientnet_lite0"), ("vgg", "vgg19")):
        content = (tmp_path / "frozen" / f"{role}.safetensors").read_bytes()
        assert kept[role] == hashlib.sha256(content).hexdigest()
        jax.tree.map(np.testing.assert_array_equal, ga.load(tmp_path).state.frozen[role], weights[source])
    names = [p.read_text() for p in (tmp_path / "checkpoints").rglob("_METADATA")]
    assert names
    assert not any("vgg" in text for text in names)


def test_a_critic_and_a_loss_see_features_that_never_train(monkeypatch, algorithm):
    weights = published(algorithm)
    monkeypatch.setattr(assets, "load", weights.__getitem__)
    assert algorithm.frozen == (("features", "asset:efficientnet_lite0"), ("vgg", "asset:vgg19"))
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = jax.jit(algorithm.init)(KEY, batch)
    state = state.replace(frozen=ga.load_frozen(algorithm))
    new, _ = jax.jit(algorithm.step)(state, batch, KEY)
    assert {*new.params} == {*new.opt} == {"critic", "generator"}  # nobody has a gradient of the others
    jax.tree.map(
        np.testing.assert_array_equal, new.frozen, {"features": weights["efficientnet_lite0"], "vgg": weights["vgg19"]}
    )
    for role in ("critic", "generator"):
        assert zoo.norm(zoo.moved(state.params[role], new.params[role])) > 1e-6

    # The critic's gradient, written out with the modules themselves.
    roles = algorithm.networks

    def loss(params):
        root = random.stream(random.stream(KEY, "step", 0), "round", 0)
        z = random.normal(random.example_keys(root, 4), (4,))
        fake, _ = roles["generator"].module.apply({"params": state.params["generator"]}, z)
        see = lambda x: roles["features"].module.apply(weights["efficientnet_lite0"], x)[1]["pooled"]
        score = lambda x: roles["critic"].module.apply({"params": params}, see(x))[0]
        return jnp.mean(jax.nn.softplus(-score(batch["image"])) + jax.nn.softplus(score(fake)))

    wanted = jax.jit(jax.grad(loss))(state.params["critic"])
    got = zoo.moved(state.params["critic"], new.params["critic"])
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, -0.1 * b, rtol=1e-3, atol=1e-8)
    # `ga.run` sees the same features as the step.
    pooled = jax.jit(lambda s: ga.run(algorithm, s, "features", batch["image"], capture=("pooled",))[1]["pooled"])(new)
    at = Variables({}, {}, new.frozen)
    same = jax.jit(lambda: bound.run(roles, at, "features", batch["image"], capture=("pooled",))[1]["pooled"])()
    np.testing.assert_allclose(pooled, same, rtol=1e-6)
