"""The adversarial step against a plain one written out here, and its options."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import registry
from genart_jax.nn import random, spectral
from genart_jax.steps import gan, networks
from genart_jax.steps.critics import Critic
from genart_jax.train import guard
from genart_jax.types import Variables
from tests import zoo

KEY = jax.random.key(5)


def build(**step):
    return zoo.tiny("dcgan", optimizer=zoo.SGD, step={"r1_gamma": 0.0, "ema_decay": 0.0} | step)


def reference_step(config, state, batch, key, r1):
    """One critic and one generator update with the non-saturating loss, two generator forwards and no vjp tricks."""
    networks = registry.model_module("dcgan").networks(config.model)
    generator, critic = networks["generator"].module, networks["critic"].module
    rate = config.optimizer.learning_rate
    keys = random.stream(random.stream(key, "step", 0), "round", 0)
    z = random.normal(
        random.example_keys(random.stream(keys, "latent"), len(batch["image"])), (config.model.latent_dim,)
    )
    labels = batch["condition"]

    def generate(params):
        variables = {"params": params, **state.mutable["generator"]}
        (images, _), _ = generator.apply(variables, z, labels, train=True, mutable=["batch_stats"])
        return images

    def scores(params, images):
        return critic.apply({"params": params}, images, labels, train=True)[0]

    def critic_loss(params):
        real, fake = scores(params, batch["image"]), scores(params, generate(state.params["generator"]))
        loss = -jnp.mean(jnp.log(jax.nn.sigmoid(real))) - jnp.mean(jnp.log(1 - jax.nn.sigmoid(fake)))
        slopes = jax.vmap(jax.grad(lambda x, y: critic.apply({"params": params}, x[None], y, train=True)[0][0]))(
            batch["image"], jax.tree.map(lambda v: v[:, None], labels)
        )
        return loss + r1 / 2 * jnp.mean(jnp.sum(slopes**2, axis=(1, 2, 3)))

    step = lambda params, grads: jax.tree.map(lambda p, g: p - rate * g, params, grads)
    new_critic = step(state.params["critic"], jax.grad(critic_loss)(state.params["critic"]))
    generator_loss = lambda params: -jnp.mean(jnp.log(jax.nn.sigmoid(scores(new_critic, generate(params)))))
    new_generator = step(state.params["generator"], jax.grad(generator_loss)(state.params["generator"]))
    return {"generator": new_generator, "critic": new_critic}


@pytest.mark.parametrize("gamma", [0.0, 3.0])
def test_equals_a_plain_step(gamma):
    options = {"r1_gamma": gamma, "r1_every": 4, "ema_decay": 0.0}
    config = ga.configure(
        "dcgan", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS, optimizer=zoo.SGD, step=options
    )
    algorithm = ga.build(config)
    batch = zoo.batch(algorithm.batch_spec, 8)
    state = zoo.start(algorithm, KEY, batch)
    got, _ = jax.jit(algorithm.step)(state, batch, KEY)
    expected = jax.jit(lambda s, b: reference_step(config, s, b, KEY, gamma * 4))(state, batch)
    for role in expected:
        change = zoo.moved(state.params[role], got.params[role])
        wanted = zoo.moved(state.params[role], expected[role])
        for a, b in zip(jax.tree.leaves(change), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3 * np.max(np.abs(b)) + 1e-8)


def test_due_decides_like_the_step_counter():
    algorithm = build(r1_gamma=3.0, r1_every=2)
    batch = zoo.batch(algorithm.batch_spec, 8)
    state = zoo.start(algorithm, KEY, batch)
    step = jax.jit(algorithm.step, static_argnames="due")
    for i in range(3):
        dynamic, _ = step(state, batch, KEY)
        static, _ = step(state, batch, KEY, due=algorithm.due(i))
        wrong, _ = step(state, batch, KEY, due=() if algorithm.due(i) else ("r1",))
        close = lambda a, b: zoo.norm(zoo.moved(a.params["critic"], b.params["critic"]))
        assert close(dynamic, static) < 1e-6 < close(dynamic, wrong)
        state = static


def test_critic_steps_take_their_own_batches():
    """Two critic steps: the second batch of each example matters, and the generator sees the critic after both."""
    algorithm = build(d_steps=2)
    assert algorithm.batches_per_step == 2
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    step = jax.jit(algorithm.step)
    base, _ = step(state, batch, KEY)
    for index in (0, 1):
        changed = batch | {"image": batch["image"].at[index::2].mul(-1)}
        other, _ = step(state, changed, KEY)
        assert zoo.norm(zoo.moved(base.params["critic"], other.params["critic"])) > 1e-6
    single = build(d_steps=1)
    once, _ = jax.jit(single.step)(state, jax.tree.map(lambda x: x[0::2], batch), KEY)
    moved = lambda s: zoo.norm(zoo.moved(s.params["critic"], state.params["critic"]))
    assert moved(base) > 1.2 * moved(once)


def test_generator_steps():
    one, two = build(), build(g_steps=2)
    batch = zoo.batch(one.batch_spec, 8)
    state = zoo.start(one, KEY, batch)
    a, _ = jax.jit(one.step)(state, batch, KEY)
    b, _ = jax.jit(two.step)(state, batch, KEY)
    for x, y in zip(jax.tree.leaves(a.params["critic"]), jax.tree.leaves(b.params["critic"]), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    moved = lambda s: zoo.norm(zoo.moved(s.params["generator"], state.params["generator"]))
    assert moved(b) > 1.2 * moved(a)


@pytest.mark.parametrize("loss", ["minimax", "hinge", "least_squares", "wasserstein", "relativistic"])
def test_every_loss_trains_both_players(loss):
    algorithm = build(loss=loss)
    batch = zoo.batch(algorithm.batch_spec, 8)
    state = zoo.start(algorithm, KEY, batch)
    new, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    assert all(np.isfinite(v) for v in metrics.values())
    for role in ("critic", "generator"):
        assert zoo.norm(zoo.moved(new.params[role], state.params[role])) > 1e-6


@pytest.mark.parametrize("loss", ["non_saturating", "relativistic"])
def test_separate_batches_are_for_batch_norm(loss):
    """Without BatchNorm, one joint batch and two separate ones are the same; with it, joint is refused."""
    states = []
    for how in ("joint", "separate"):
        algorithm = build(critic_batch=how, loss=loss)
        batch = zoo.batch(algorithm.batch_spec, 8)
        states.append(jax.jit(algorithm.step)(zoo.start(algorithm, KEY, batch), batch, KEY)[0].params)
    assert zoo.norm(zoo.moved(*states)) < 1e-5

    def first(how):
        normed = zoo.tiny("dcgan", critic_norm=True, step={"critic_batch": how, "r1_gamma": 0.0, "loss": loss})
        return jax.eval_shape(normed.init, KEY, batch)

    assert "batch_stats" in first("separate").mutable["critic"]
    with pytest.raises(ga.UserError, match=r"step\.critic-batch joint: the critic has BatchNorm"):
        first("joint")


def test_a_batch_that_critic_steps_do_not_divide_is_refused():
    algorithm = build(d_steps=2)
    state = jax.eval_shape(algorithm.init, KEY, zoo.batch(algorithm.batch_spec, 8))
    with pytest.raises(ga.UserError, match="7 examples do not divide into the 2 batches"):
        jax.eval_shape(algorithm.step, state, zoo.batch(algorithm.batch_spec, 7), KEY)


def test_the_schedule_counts_every_due_step():
    """R1 every second of 3 steps is due twice: 5 updates of the critic, the last still at a fifth of the rate."""
    algorithm = zoo.tiny(
        "dcgan", optimizer=zoo.SGD | {"schedule": "linear"}, train={"steps": 3},
        step={"r1_gamma": 3.0, "r1_every": 2, "lazy_updates": "separate", "ema_decay": 0.0},
    )  # fmt: skip
    batch = zoo.batch(algorithm.batch_spec, 8)
    state, step = zoo.start(algorithm, KEY, batch), jax.jit(algorithm.step, static_argnames="due")
    for i in range(2):
        state, _ = step(state, batch, KEY, due=algorithm.due(i))
    assert algorithm.due(2) == ("r1",)
    last, without = (step(state, batch, KEY, due=due)[0].params["critic"] for due in (("r1",), ()))
    assert zoo.norm(zoo.moved(last, without)) > 1e-6


def test_conditions_matter_and_can_be_hidden():
    algorithm = build(condition_dropout=0.5)
    batch = zoo.batch(algorithm.batch_spec, 32)
    state = zoo.start(algorithm, KEY, batch)
    for i in range(3):
        state, _ = jax.jit(algorithm.step)(state, batch, jax.random.fold_in(KEY, i))
    z = jax.random.normal(KEY, (2, 8))
    pictures = [
        algorithm.decode(state, z, {"style": s, "shape": h}) for s, h in ((0, 0), (1, 0), (0, 1), (-1, 0), (-1, -1))
    ]
    for i, a in enumerate(pictures):
        for b in pictures[i + 1 :]:
            assert float(jnp.max(jnp.abs(a - b))) > 1e-6
    np.testing.assert_array_equal(algorithm.decode(state, z), pictures[-1])


@pytest.mark.parametrize(
    ("shape", "good"),
    [((28, 28, 1), True), ((32, 64, 3), True), ((96, 96, 3), True), ((128, 128, 3), True), ((30, 30, 3), False),
     ((8, 8, 3), False), ((256, 256, 3), False), ((32, 100, 3), False)],
)  # fmt: skip
def test_sizes(shape, good):
    if not good:
        with pytest.raises(ga.UserError, match="image_shape"):
            zoo.tiny("dcgan", image_shape=shape)
        return
    algorithm = zoo.tiny("dcgan", image_shape=shape)
    batch = zoo.batch(algorithm.batch_spec, 2)
    state = jax.eval_shape(algorithm.init, KEY, batch)
    images = jax.eval_shape(lambda s: algorithm.sample(s, KEY, 2), state)
    assert images.shape == (2, *shape)


class SpectralCritic(nn.Module):
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images, condition=None, train=False):
        x = nn.relu(spectral.Conv(4, (3, 3), (2, 2), axis_name=self.axis_name, name="a")(images))
        return spectral.Dense(1, axis_name=self.axis_name, name="b")(x.reshape(len(x), -1))[:, 0], {}


class DenseGenerator(nn.Module):
    @nn.compact
    def __call__(self, z, condition=None, train=False):
        return jnp.tanh(nn.Dense(16 * 16 * 3)(z)).reshape(-1, *zoo.SHAPE), {}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"d_steps": 3, "g_steps": 2},
        {"critic_batch": "separate"},
        {"loss": "relativistic", "r1_gamma": 1.0, "r1_every": 1},
        {"d_steps": 2, "microbatch": 2},
    ],
    ids=str,
)
def test_spectral_normalisation_advances_once_a_critic_update(options):
    """With parameters that stand still, u after a step is that of as many power iterations as critic updates."""
    options = dict(options)
    train = {"batch": 8, "microbatch": options.pop("microbatch", 0)}
    run = ga.configure(
        "dcgan", preset="tiny", image_shape=zoo.SHAPE, conditions=(), optimizer=zoo.SGD | {"learning_rate": 0.0},
        step={"r1_gamma": 0.0} | options, train=train,
    )  # fmt: skip
    algorithm = gan.build(zoo.networks(run, generator=DenseGenerator(), critic=SpectralCritic()), run)
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    kernel = state.params["critic"]["a"]["kernel"].reshape(-1, 4)
    wanted = jnp.array([1.0, 0, 0, 0])
    state.mutable["critic"]["spectral"]["a"]["kernel_u"] = wanted
    got, _ = jax.jit(algorithm.step)(state, batch, KEY)
    for _ in range(run.step.d_steps):
        wanted = spectral.iterate(kernel, wanted)
    np.testing.assert_allclose(got.mutable["critic"]["spectral"]["a"]["kernel_u"], wanted, rtol=1e-5, atol=1e-6)


def test_lipschitz_estimate_of_a_linear_critic():
    """For s(x) = w.x it is at most |w|, and it is the largest of the pairs that count."""

    class Linear(nn.Module):
        @nn.compact
        def __call__(self, images, condition=None, train=False):
            return nn.Dense(1, name="out")(images.reshape(len(images), -1))[:, 0], {}

    run = ga.configure("dcgan", preset="tiny", image_shape=zoo.SHAPE, conditions=(), step={"ema_decay": 0.0})
    algorithm = gan.build(zoo.networks(run, generator=DenseGenerator(), critic=Linear()), run)
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    kernel = state.params["critic"]["out"]["kernel"]
    total, weight = algorithm.evaluate(state, batch, KEY)["critic_lipschitz"]
    singles = [
        float(algorithm.evaluate(state, batch | {"weight": jnp.eye(8)[i]}, KEY)["critic_lipschitz"][0])
        for i in range(8)
    ]
    np.testing.assert_allclose(total / weight, max(singles), rtol=1e-5)
    assert min(singles) < max(singles) <= float(jnp.linalg.norm(kernel))


@pytest.mark.parametrize("name", ga.list_models("gan"))
def test_scores_have_all_their_digits_in_bfloat16(name):
    """Differences of scores make a critic's gradient; a bfloat16 has three digits."""
    shape = zoo.shape_of(name, zoo.SHAPE)
    run = ga.configure(name, preset="tiny", image_shape=shape, conditions=())
    roles = registry.model_module(name).networks(run.model, dtype=jnp.bfloat16)

    @jax.jit
    def judged(images):
        made, frozen = networks.init(roles, KEY)
        params, mutable = ({role: pair[i] for role, pair in made.items()} for i in (0, 1))
        return Critic("critic", roles, joint=True).judged(Variables(params, mutable, frozen), images, None)

    for scores in jax.tree.leaves(judged(zoo.batch(ga.BatchSpec(shape), 8)["image"])):
        assert scores.dtype == jnp.float32
        assert not np.array_equal(scores, scores.astype(jnp.bfloat16))


@pytest.mark.parametrize(("gamma", "first"), [(1.0, "r1"), (0.0, "generator_grad_norm")])
def test_the_first_that_is_not_finite_is_named(gamma, first):
    """A critic with finite scores and parameters' gradients, whose derivative in the pictures is NaN."""

    class Rooted(nn.Module):
        @nn.compact
        def __call__(self, images, condition=None, train=False):
            return nn.Dense(1)(jnp.sqrt(0.0 * jnp.abs(images.reshape(len(images), -1))))[:, 0], {}

    run = ga.configure("dcgan", preset="tiny", image_shape=zoo.SHAPE, conditions=(), step={"r1_gamma": gamma})
    algorithm = gan.build(zoo.networks(run, generator=DenseGenerator(), critic=Rooted()), run)
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    _, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    bad = [name for name, value in metrics.items() if not np.isfinite(value)]
    assert len(bad) > 1
    assert guard.in_order(bad, algorithm.order)[0] == first
