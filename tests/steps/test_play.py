"""The engine: terms under every way of computing them, several critics, and several networks under one player."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import genart_jax as ga
from genart_jax.losses import terms
from genart_jax.losses.penalties import squared_gradient
from genart_jax.nn import random
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.steps import gan, networks, play
from genart_jax.types import Outcome, Scene
from tests import zoo

KEY = jax.random.key(9)
RATE = 0.05


class Generator(nn.Module):
    @nn.compact
    def __call__(self, z, condition=None, train=False):
        return jnp.tanh(nn.Dense(16 * 16 * 3)(nn.softplus(nn.Dense(8)(z)))).reshape(-1, *zoo.SHAPE), {}


class Critic(nn.Module):
    @nn.compact
    def __call__(self, images, condition=None, train=False):
        return nn.Dense(1)(nn.softplus(nn.Dense(8)(images.reshape(len(images), -1))))[:, 0], {}


CRITIC_TERMS = (
    *("r1=0.5@2", "r2=0.5@4", "gp=10", "zero_gp=1", "lecam=0.3"),
    *("consistency=2", "latent_consistency=3", "orthogonal=0.01@2"),
)
OPTIONS = {"r1_gamma": 0.0, "critic_terms": CRITIC_TERMS, "generator_terms": ("latent_spread=0.5", "orthogonal=0.01@4")}


def algorithm(microbatch=0, axis_name=None, **step):
    run = ga.configure(
        "dcgan", preset="tiny", image_shape=zoo.SHAPE, conditions=(), optimizer=zoo.SGD, step=OPTIONS | step,
        train={"batch": 8, "microbatch": microbatch},
    )  # fmt: skip
    return gan.build(zoo.networks(run, generator=Generator(), critic=Critic()), run, axis_name)


@functools.cache
def reference():
    """The first state, its batch, and the state and metrics after a step with every term due."""
    one = algorithm()
    batch = zoo.batch(one.batch_spec, 8)
    state = zoo.start(one, KEY, batch)
    return state, batch, *jax.jit(lambda s, b: one.step(s, b, KEY, due=tuple(n for n, _ in one.lazy)))(state, batch)


def same(got, metrics, wanted=None):
    """As the reference, in updates and in what the terms carry."""
    first, _, after, rows = reference()
    after = wanted or after
    for a, b, c in zip(*map(jax.tree.leaves, (got.params, after.params, first.params)), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-4 * np.max(np.abs(b - c)) + 1e-9
    for name in got.extra:
        np.testing.assert_allclose(got.extra[name], after.extra[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for name in rows.keys() - zoo.OF_PARTS:
        np.testing.assert_allclose(metrics[name], rows[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_every_term_is_in_the_log():
    _, _, _, metrics = reference()
    for text in (*CRITIC_TERMS, *OPTIONS["generator_terms"]):
        assert float(metrics[text.partition("=")[0]]) != 0.0


def test_microbatches():
    first, batch, _, _ = reference()
    parts = algorithm(microbatch=4)
    same(*jax.jit(lambda s, b: parts.step(s, b, KEY, due=tuple(n for n, _ in parts.lazy)))(first, batch))


def test_two_devices():
    first, batch, _, _ = reference()
    two = algorithm(axis_name="data")
    mesh = jax.make_mesh((2,), ("data",), (AxisType.Auto,))
    step = functools.partial(two.step, due=tuple(name for name, _ in two.lazy))
    mapped = jax.shard_map(step, mesh=mesh, in_specs=(P(), P("data"), P()), out_specs=P())
    same(*jax.jit(mapped)(first, batch, KEY))


def test_lazily():
    """`cond` decides as the static names do; where nothing is due, lazy terms change nothing and keep their value."""
    first, batch, _, _ = reference()
    one = algorithm()
    step = jax.jit(one.step)
    same(*step(first, batch, KEY))
    odd = first.replace(step=jnp.int32(1))
    got, _ = step(odd, batch, KEY)
    assert float(got.extra["r1"]) == float(first.extra["r1"]) == 0.0
    without = algorithm(
        critic_terms=tuple(t for t in CRITIC_TERMS if "@" not in t), generator_terms=("latent_spread=0.5",)
    )
    extra = {name: first.extra[name] for name in play_extra(without)}
    plain, _ = jax.jit(without.step)(odd.replace(extra=extra), batch, KEY)
    for a, b in zip(*map(jax.tree.leaves, (got.params, plain.params)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def play_extra(one):
    return jax.eval_shape(one.init, KEY, zoo.batch(one.batch_spec, 8)).extra


def test_terms_are_options_of_the_command_line_and_refused_clearly():
    with pytest.raises(ga.UserError, match="did you mean lecam"):
        algorithm(critic_terms=("lecan=1",))
    with pytest.raises(ga.UserError, match="twice"):
        algorithm(r1_gamma=1.0, critic_terms=("r1=1",))
    with pytest.raises(ga.UserError, match="divide"):
        algorithm(critic_terms=("r1=1@4", "r2=1@6"))


def draw(state, batch, key):
    keys = random.example_keys(random.stream(key, "latent"), len(batch["image"]))
    return Scene(batch, {"z": random.normal(keys, (8,))}, None, None, state.extra, key)


def test_three_penalties_and_a_second_critic_with_a_view_of_its_own():
    """R1, R2 and a gradient penalty on one critic, and another that sees the middle: equal to a step written out."""
    generator, critic = Generator(), Critic()
    seen = {"critic": lambda x: x, "second": lambda x: x[:, 4:12, 4:12].repeat(2, 1).repeat(2, 2)}
    score = lambda params, role, x: critic.apply({"params": params}, seen[role](x))[0]
    make = lambda params, z: generator.apply({"params": params}, z)[0]
    softplus = jax.nn.softplus

    def player(role, regular=()):
        def loss(at, scene):
            real, fake = (score(at.params[role], role, x) for x in (scene.batch["image"], scene.made["fake"]))
            return Outcome(softplus(-real) + softplus(fake), {})

        subject = lambda at, scene: terms.CriticAt(
            at.params[role], lambda x, kind="real": score(at.params[role], role, x), None
        )
        return play.Player(role, (role,), loss, terms=regular, subject=subject)

    def maker(at, scene):
        scores = [score(at.params[role], role, scene.made["fake"]) for role in seen]
        return Outcome(sum(softplus(-s) for s in scores), {})

    players = (
        player("critic", (terms.r1(0.5), terms.r2(0.5), terms.gp(10.0))),
        player("second"),
        play.Player("generator", ("generator",), maker),
    )
    game = play.Game(
        players, {p.name: optax.sgd(RATE) for p in players}, draw,
        make=lambda at, scene: ({"fake": make(at.params["generator"], scene.drawn["z"])}, {}),
    )  # fmt: skip
    images = zoo.batch(algorithm().batch_spec, 8)["image"]
    made = {role: networks.init_module(critic, jax.random.key(i), images) for i, role in enumerate(seen)}
    made["generator"] = networks.init_module(generator, KEY, jnp.zeros((2, 8)))
    state = jax.jit(lambda: play.start(game, made))()
    got, _ = jax.jit(lambda s: play.step(game, s, {"image": images}, KEY, None))(state)

    def written_out(params):
        root = random.stream(random.stream(KEY, "step", 0), "round", 0)
        z = draw(state, {"image": images}, root).drawn["z"]
        keys = random.example_keys(random.stream(random.stream(root, "gp"), "share"), 8)
        share, fake = random.uniform(keys, (1, 1, 1)), make(params["generator"], z)
        out = dict(params)

        def loss(p, role):
            of = lambda x: score(p, role, x)
            value = jnp.mean(softplus(-of(images)) + softplus(of(fake)))
            if role == "critic":
                norms = jnp.sqrt(squared_gradient(of, share * images + (1 - share) * fake) + 1e-12)
                value += 0.5 * jnp.mean(squared_gradient(of, images)) + 0.5 * jnp.mean(squared_gradient(of, fake))
                value += 10 * jnp.mean((norms - 1) ** 2)
            return value

        move = lambda p, g: jax.tree.map(lambda a, b: a - RATE * b, p, g)
        for role in seen:
            out[role] = move(params[role], jax.grad(loss)(params[role], role))
        total = lambda p: sum(jnp.mean(softplus(-score(out[r], r, make(p, z)))) for r in seen)
        out["generator"] = move(params["generator"], jax.grad(total)(params["generator"]))
        return out

    wanted = jax.jit(written_out)(state.params)
    for a, b, c in zip(*map(jax.tree.leaves, (got.params, wanted, state.params)), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-4 * np.max(np.abs(b - c)) + 1e-8


def test_two_maps_under_one_player():
    """A cycle: one player moves both maps along the pullback of what both have made."""
    there, back = nn.Dense(3), nn.Dense(3)
    x = zoo.batch(algorithm().batch_spec, 8)["image"]

    def cycle(params, images):
        y = there.apply({"params": params["there"]}, images)
        return y, back.apply({"params": params["back"]}, y)

    def loss(at, scene):
        distance = jnp.square(scene.made["round"] - scene.batch["image"]) + 0.1 * jnp.square(scene.made["there"])
        return Outcome(jnp.mean(distance, axis=(1, 2, 3)), {})

    game = play.Game(
        (play.Player("maps", ("there", "back"), loss),), {"maps": optax.sgd(RATE)},
        lambda state, batch, key: Scene(batch, {}, key=key),
        make=lambda at, scene: (dict(zip(("there", "round"), cycle(at.params, scene.batch["image"]), strict=True)), {}),
        averaged=("there", "back"), decay=lambda age, images: jnp.float32(0.5),
    )  # fmt: skip
    made = {"there": networks.init_module(there, KEY, x), "back": networks.init_module(back, jax.random.key(1), x)}
    state = jax.jit(lambda: play.start(game, made))()
    got, metrics = jax.jit(lambda s: play.step(game, s, {"image": x}, KEY, None))(state)

    def direct(params):
        y, z = cycle(params, x)
        return jnp.mean(jnp.square(z - x) + 0.1 * jnp.square(y))

    grads = jax.jit(jax.grad(direct))(state.params)
    wanted = jax.tree.map(lambda p, g: p - RATE * g, state.params, grads)
    for a, b in zip(*map(jax.tree.leaves, (got.params, wanted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    average = jax.tree.map(lambda a, b: 0.5 * (a + b), state.params["there"], got.params["there"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got.ema["there"]["params"], average)
    assert {"maps_grad_norm", "maps_update_norm", "maps_param_norm"} <= metrics.keys()


def test_players_of_fewer_updates_play_in_the_last_rounds():
    """Three rounds: one critic updates in each, the other in the last alone, on its own batch."""
    net = nn.Dense(1)
    value = lambda at, role, x: net.apply({"params": at.params[role]}, x.mean(axis=(1, 2)))[:, 0]
    player = lambda role, n: play.Player(role, (role,), lambda at, s: Outcome(value(at, role, s.batch["image"]), {}), n)
    players = (
        player("often", 3),
        player("once", 1),
        play.Player("maker", ("maker",), lambda at, s: Outcome(s.made, {})),
    )
    game = play.Game(
        players, {p.name: optax.sgd(1.0) for p in players}, lambda state, batch, key: Scene(batch, {}, key=key),
        make=lambda at, scene: (value(at, "maker", scene.batch["image"]), {}),
    )  # fmt: skip
    batch = zoo.batch(algorithm().batch_spec, 3 * 4)["image"]
    made = {p.name: networks.init_module(net, KEY, jnp.zeros((2, 3))) for p in players}
    state = jax.jit(lambda: play.start(game, made))()
    got, _ = jax.jit(lambda s: play.step(game, s, {"image": batch}, KEY, None))(state)
    mean = lambda x: np.mean(x, axis=(0, 1, 2))
    rounds = [mean(np.asarray(batch)[i::3]) for i in range(3)]
    moved = lambda role: (state.params[role]["kernel"] - got.params[role]["kernel"])[:, 0]
    np.testing.assert_allclose(moved("often"), sum(rounds), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved("once"), rounds[2], rtol=1e-4, atol=1e-6)
    assert game.rounds == 3


class ToldCritic(nn.Module):
    @nn.compact
    def __call__(self, images, condition=None, train=False):
        pooled = nn.Dense(4)(images.reshape(len(images), -1))
        (vector,) = ConditionEmbed((("style", 3),), 4, name="embed")(condition, len(images))
        return jnp.sum(vector * pooled, axis=-1), {}


def matched(**options):
    run = ga.configure(
        "dcgan", preset="tiny", image_shape=zoo.SHAPE, optimizer=zoo.SGD, train={"batch": 8},
        step={"r1_gamma": 0.0, "critic_terms": ("matching=1",)}, **options,
    )  # fmt: skip
    return gan.build(zoo.networks(run, generator=Generator(), critic=ToldCritic()), run)


def test_matching_is_of_the_critic_under_other_classes():
    """Of each style as often, whatever the batch has; one that is hidden stays so, and costs log 2."""
    one = matched(conditions=(("style", 3),))
    batch = zoo.batch(one.batch_spec, 8)
    state = zoo.start(one, KEY, batch)
    _, metrics = jax.jit(one.step)(state, batch, KEY)
    params = state.params["critic"]
    pooled = batch["image"].reshape(8, -1) @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    scores = np.asarray(pooled @ params["embed"]["style"][:3].T, np.float64)
    right = scores[np.arange(8), batch["condition"]["style"]]
    possible = np.log1p(np.exp(scores - right[:, None]))
    assert np.mean(possible.min(1)) < float(metrics["matching"]) < np.mean(possible.max(1))
    assert abs(float(metrics["matching"]) - np.log(2)) > 1e-3
    hidden = batch | {"condition": {"style": jnp.full(8, -1)}}
    _, metrics = jax.jit(one.step)(state, hidden, KEY)
    np.testing.assert_allclose(metrics["matching"], np.log(2), rtol=1e-6)


def test_matching_wants_conditions():
    with pytest.raises(ga.UserError, match="no conditions here; leave matching out"):
        matched(conditions=())
