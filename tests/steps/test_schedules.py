"""Numbers that change over a run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genart_jax as ga
from genart_jax.config import Optimizer
from genart_jax.steps import common
from genart_jax.steps.optim import make_optimizer
from genart_jax.steps.schedules import Schedule, parse, value_at
from tests import zoo


def test_shapes():
    cosine = Schedule(2.0, 0.2, 100)
    np.testing.assert_allclose([cosine(0), cosine(50), cosine(100), cosine(1000)], [2.0, 1.1, 0.2, 0.2], rtol=1e-6)
    np.testing.assert_allclose(cosine(25), 1.1 + 0.9 * np.cos(np.pi / 4), rtol=1e-6)
    np.testing.assert_allclose(Schedule(0.0, 10.0, 10, "linear")(3), 3.0, rtol=1e-6)
    assert value_at(0.5, 3) == 0.5


def test_texts():
    found = parse(("b2=0.9..0.99:linear@5000", "learning_rate=2e-4..5e-5", "r1=-1..+.5"), 700)
    assert found["b2"] == Schedule(0.9, 0.99, 5000, "linear")
    assert found["learning_rate"] == Schedule(2e-4, 5e-5, 700)
    assert (found["r1"].start, found["r1"].end) == (-1.0, 0.5)


@pytest.mark.parametrize(
    "text", ["b2", "b2=1", "b2=0.9...x", "b2=0.9..0.99:sine", "b2=0.9..0.99@0", "b2=nan..1", "=1..2"]
)
def test_wrong_texts(text):
    with pytest.raises(ga.UserError, match="wanted NAME=FROM"):
        parse((text,), 10)


def test_names():
    with pytest.raises(ga.UserError, match="did you mean learning_rate"):
        common.optimizer_of(ga.configure("mlp_vae", preset="tiny", train={"schedules": ("learning_rat=1..2",)}))
    with pytest.raises(ga.UserError, match="twice"):
        parse(("b1=0..1", "b1=0..2"), 10)
    with pytest.raises(ga.UserError, match="has no b2"):
        make_optimizer(Optimizer(name="sgd"), 10, schedules={"b2": Schedule(0, 1, 10)})


def test_a_scheduled_adam_equals_one_written_out():
    """Update by update, with b2 and the learning rate of that update."""
    moving = {"learning_rate": Schedule(0.1, 0.01, 4, "linear"), "b2": Schedule(0.9, 0.99, 4)}
    rng = np.random.default_rng(0)
    grads = [rng.normal(size=3) for _ in range(6)]
    transformation = make_optimizer(Optimizer(b1=0.5), 6, schedules=moving)
    params = jnp.zeros(3)
    state, update = transformation.init(params), jax.jit(transformation.update)
    m, v = np.zeros(3), np.zeros(3)
    for i, g in enumerate(grads):
        got, state = update(jnp.asarray(g, jnp.float32), state, params)
        rate, b2 = float(moving["learning_rate"](i)), float(moving["b2"](i))
        m, v = 0.5 * m + 0.5 * g, b2 * v + (1 - b2) * g**2
        wanted = -rate * (m / (1 - 0.5 ** (i + 1))) / (np.sqrt(v / (1 - b2 ** (i + 1))) + 1e-8)
        np.testing.assert_allclose(got, wanted, rtol=1e-4)


def test_a_gan_with_everything_scheduled():
    """The weight of R1, at a step in the middle, is that of the schedule; and the half-life of the average as well."""
    texts = ("r1=2..0:linear@10", "ema_images=0..64:linear@10", "augment_p=0..1:linear@10", "b2=0.9..0.99@10")
    step = {"r1_gamma": 1.0, "r1_every": 1, "augment": "diffaugment", "ema_ramp": 0.0}
    scheduled = zoo.tiny("dcgan", step=step, train={"schedules": texts}, conditions=())
    batch = zoo.batch(scheduled.batch_spec, 8)
    key = jax.random.key(1)
    state = zoo.start(scheduled, key, batch).replace(step=jnp.int32(5))
    new, metrics = jax.jit(scheduled.step)(state, batch, key)
    np.testing.assert_allclose(metrics["augment_p"], 0.5)
    decay = 0.5 ** (8 / 32)
    old, live = state.ema["generator"]["params"], new.params["generator"]
    wanted = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, old, live)
    assert optax.global_norm(jax.tree.map(jnp.subtract, wanted, new.ema["generator"]["params"])) < 1e-5


def test_a_terms_weight():
    """At the middle of 2..0 it is that of weight 1, which r1_gamma 2 asks for."""
    batch = zoo.batch(zoo.tiny("dcgan", conditions=()).batch_spec, 8)
    key, grads = jax.random.key(1), []
    for options in ({"train": {"schedules": ("r1=2..0:linear@10",)}, "r1": 8.0}, {"train": {}, "r1": 2.0}):
        step = {"r1_gamma": options["r1"], "r1_every": 1, "ema_decay": 0.0}
        one = zoo.tiny("dcgan", step=step, train=options["train"], conditions=(), optimizer=zoo.SGD)
        state = zoo.start(one, key, batch).replace(step=jnp.int32(5))
        grads.append(jax.jit(one.step)(state, batch, key)[1]["critic_grad_norm"])
    np.testing.assert_allclose(*grads, rtol=1e-5)
