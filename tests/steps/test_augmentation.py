"""Augmentation in the adversarial step, with networks that compile quickly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.nn import random
from genart_jax.steps import gan
from genart_jax.steps.augmentation import PIPELINES
from genart_jax.train.store import Checkpoints
from tests import zoo
from tests.steps.test_layouts import BATCH, LAYOUTS, plain
from tests.steps.test_memory import Critic, Generator

KEY = jax.random.key(5)
CHEAP = {"ada": ("blit",), "diffaugment": ("translation",)}
"""Of all that a pipeline may do (tests/data/augment), what compiles soonest: here it is about the step around it."""
ADAPTIVE = {"augment_schedule": "adaptive", "augment_images": 640, "augment_target": -1.0}


def build(axis_name=None, image_shape=zoo.SHAPE, train=(), **step):
    options = {"r1_gamma": 3.0, "r1_every": 1, "ema_decay": 0.0, "augment_ops": CHEAP.get(step.get("augment"), ())}
    run = ga.configure(
        "dcgan", preset="tiny", image_shape=image_shape, conditions=(), optimizer=zoo.SGD, step=options | step,
        train=dict(train),
    )  # fmt: skip
    return gan.build(zoo.networks(run, generator=Generator(), critic=Critic()), run, axis_name)


def started(algorithm, size=8):
    batch = zoo.full_batch(algorithm, size)
    return zoo.start(algorithm, KEY, batch), batch


def distance(a, b):
    return zoo.norm(zoo.moved(a.params, b.params))


@pytest.mark.parametrize(
    ("name", "options"), [("diffaugment", {"loss": "relativistic"}), ("ada", {"d_steps": 2, "g_steps": 2})]
)
def test_probability_0_is_the_step_without(name, options):
    none = build(**options)
    state, batch = started(none)
    wanted, metrics = jax.jit(none.step)(state, batch, KEY)
    fixed = {"augment": name, "augment_schedule": "constant"} | options
    got, off_metrics = jax.jit(build(augment_p=0.0, **fixed).step)(state, batch, KEY)
    assert distance(got, wanted) < 1e-6
    for value in metrics:
        np.testing.assert_allclose(metrics[value], off_metrics[value], rtol=1e-4, atol=1e-6, err_msg=value)


@pytest.mark.parametrize("name", PIPELINES)
def test_both_players_train_through_it(name):
    algorithm = build(augment=name, augment_schedule="constant", augment_p=0.7, augment_ops=())
    state, batch = started(algorithm)
    got, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    wanted, r1 = jax.jit(functools.partial(written_out, name))(state, batch)
    np.testing.assert_allclose(metrics["r1"], r1, rtol=1e-4)
    for role in wanted:
        moved = (zoo.moved(state.params[role], params[role]) for params in (wanted, got.params))
        assert zoo.relative(*moved) < 2e-3


def written_out(name, state, batch):
    """The parameters after a plain step, and the penalty: augmented pictures for both, R1 at the pictures before it."""
    pipeline, _, ops, _ = PIPELINES[name]
    key = random.stream(random.stream(KEY, "step", 0), "round", 0)
    z = random.normal(random.example_keys(random.stream(key, "latent"), 8), (8,))
    keys = random.example_keys(random.stream(key, "augment"), 8)
    seen = lambda x, role: pipeline(x, jax.vmap(lambda k: random.stream(k, role))(keys), 0.7, ops)
    generate = lambda params: seen(Generator().apply({"params": params}, z)[0], "fake")
    scores = lambda params, images: Critic().apply({"params": params}, images)[0]
    real_scores = lambda params, images: scores(params, seen(images, "real"))

    def slopes(params):
        gradient = jax.grad(lambda x: jnp.sum(real_scores(params, x)))(batch["image"])
        return jnp.mean(jnp.sum(gradient**2, axis=(1, 2, 3)))

    def critic_loss(params):
        fake = scores(params, generate(state.params["generator"]))
        loss = jnp.mean(jax.nn.softplus(-real_scores(params, batch["image"])) + jax.nn.softplus(fake))
        return loss + 1.5 * slopes(params)

    step = lambda params, grads: jax.tree.map(lambda p, g: p - zoo.SGD["learning_rate"] * g, params, grads)
    critic = step(state.params["critic"], jax.grad(critic_loss)(state.params["critic"]))
    loss = lambda params: jnp.mean(jax.nn.softplus(-scores(critic, generate(params))))
    generator = step(state.params["generator"], jax.grad(loss)(state.params["generator"]))
    return {"critic": critic, "generator": generator}, slopes(state.params["critic"])


@pytest.mark.parametrize(("name", "layout"), [("ada", "4x2"), ("diffaugment", "shard_map")])
def test_every_layout_takes_the_same_steps(name, layout, full, monkeypatch):
    if layout == "4x2" and not full:
        pytest.skip("one layout is enough, but with --full")
    monkeypatch.setattr(zoo, "tiny", lambda model, axis_name=None, **options: build(axis_name, **options))
    options = {"augment": name, "ema_decay": 0.9, **ADAPTIVE}
    algorithm, state, single = plain("", **options)
    other_step, other = LAYOUTS[layout]("", **options), state
    for i in range(5):
        batch, due = zoo.full_batch(algorithm, BATCH, seed=i), algorithm.due(i)
        state, metrics = single(state, batch, KEY, due=due)
        other, other_metrics = other_step(other, batch, KEY, due)
        for value in metrics.keys() - zoo.OF_PARTS:
            np.testing.assert_allclose(metrics[value], other_metrics[value], rtol=2e-4, atol=1e-5, err_msg=value)
    assert zoo.relative(state.params, other.params) < 2e-5
    np.testing.assert_allclose([s.extra["augment"]["p"] for s in (state, other)], 64 / 640, rtol=1e-5)


def test_adaptive_probability_follows_the_critics_signs():
    """Rises by the pictures seen while the critic knows the training set, falls while it does not."""
    for target, wanted in ((-1.0, [0, 0, 0, 0.05, 0.05, 0.05, 0.05, 0.1]), (1.0, [0] * 8)):
        algorithm = build(augment="diffaugment", **ADAPTIVE | {"augment_target": target})
        state, batch = started(algorithm)
        step, seen = jax.jit(algorithm.step), []
        for _ in range(8):
            state, metrics = step(state, batch, KEY)
            seen.append(float(state.extra["augment"]["p"]))
            assert -1 <= float(metrics["real_sign"]) <= 1
        np.testing.assert_allclose(seen, wanted, atol=1e-6)
    assert float(metrics["augment_p"]) == 0.0


def test_each_batch_of_the_critic_counts():
    algorithm = build(augment="diffaugment", d_steps=2, **ADAPTIVE | {"augment_target": 1.0})
    state, batch = started(algorithm)
    state = state.replace(extra=state.extra | {"augment": state.extra["augment"] | {"p": jnp.float32(0.5)}})
    for _ in range(2):
        state, _ = jax.jit(algorithm.step)(state, batch, KEY)
    np.testing.assert_allclose(state.extra["augment"]["p"], 0.45, rtol=1e-5)


def test_cosine_schedule_counts_real_pictures():
    algorithm = build(augment="diffaugment", augment_schedule="cosine", augment_images=64, augment_p=0.3, d_steps=2)
    state, batch = started(algorithm)
    step, seen = jax.jit(algorithm.step), []
    for _ in range(5):
        state, metrics = step(state, batch, KEY)
        seen.append(float(metrics["augment_p"]))
    np.testing.assert_allclose(seen, 0.15 * (1 - np.cos(np.pi * np.arange(5) / 4)), atol=1e-6)
    assert "augment" not in state.extra


def test_microbatches_are_augmented_alike():
    options = {"augment": "diffaugment", "loss": "hinge", **ADAPTIVE}
    whole, parts = (build(train=train, **options) for train in ({}, {"batch": 8, "microbatch": 4}))
    state, batch = started(whole)
    expected, metrics = jax.jit(whole.step)(state, batch, KEY)
    got, other_metrics = jax.jit(parts.step)(state, batch, KEY)
    assert distance(expected, got) < 1e-6 < distance(expected, state)
    for value in metrics.keys() - zoo.OF_PARTS:
        np.testing.assert_allclose(metrics[value], other_metrics[value], rtol=1e-3, atol=1e-5, err_msg=value)


def test_a_resumed_run_keeps_the_probability(tmp_path):
    """Also in the middle of the minibatches that one adjustment counts."""
    algorithm = build(augment="ada", **ADAPTIVE)
    state, batch = started(algorithm)
    step = jax.jit(algorithm.step)
    for _ in range(6):
        state, _ = step(state, batch, KEY)
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, None)
        loaded, _ = checkpoints.load(abstract)
    assert float(loaded.extra["augment"]["p"]) == float(state.extra["augment"]["p"]) > 0
    for _ in range(2):
        state, _ = step(state, batch, KEY)
        loaded, _ = step(loaded, batch, KEY)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(loaded.extra["augment"]["p"], 0.1, rtol=1e-5)


def test_vmap_and_scan():
    algorithm = build(augment="diffaugment", **ADAPTIVE)
    _, batch = started(algorithm)
    keys = jax.random.split(KEY, 2)
    states = jax.jit(jax.vmap(algorithm.init, in_axes=(0, None)))(keys, batch)
    axes = jax.tree.map(lambda _: 0, states).replace(step=None)
    states = states.replace(step=states.step[0])

    def several(state, batch, key):
        return jax.lax.scan(lambda s, _: algorithm.step(s, batch, key, ("r1",)), state, length=4)

    members, _ = jax.jit(jax.vmap(several, in_axes=(axes, None, 0), out_axes=(axes, 0)))(states, batch, keys)
    step = jax.jit(functools.partial(algorithm.step, due=("r1",)))
    for i in range(2):
        state = jax.jit(algorithm.init)(keys[i], batch)
        for _ in range(4):
            state, _ = step(state, batch, keys[i])
        assert zoo.relative(state.params, jax.tree.map(lambda x, i=i: x[i], members.params)) < 1e-3
        np.testing.assert_allclose(members.extra["augment"]["p"][i], 0.05, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"augment_ops": ("blur",)}, "'blur' is unknown"),
        ({"augment_schedule": "adaptive", "loss": "relativistic"}, "choose constant or cosine"),
        ({"image_shape": (16, 16, 1), "augment_ops": ("color",)}, "needs 3 channels, not 1"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ga.UserError, match=words):
        build(augment="diffaugment", **options)
