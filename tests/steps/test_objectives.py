"""The objectives of the variational step, with their gradients, against float64 formulas written out here.

The model is linear, with Gaussian noise of a fixed scale, and its encoder gives mean and log variance.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import genart_jax as ga
from genart_jax.steps import vae
from genart_jax.types import Scene
from tests import zoo
from tests.steps.test_layouts import shard_mapped

KEY, SHAPE, LATENT, SCALE, BATCH = jax.random.key(6), (2, 2, 1), 3, 0.4, 5
PIXELS = 4
PARTS = ("mean", "spread", "out")


class Encoder(nn.Module):
    @nn.compact
    def __call__(self, images, condition=None, train=False):
        x = images.reshape(len(images), -1)
        return (nn.Dense(LATENT, name="mean")(x), nn.Dense(LATENT, name="spread")(x)), {}


class Decoder(nn.Module):
    @nn.compact
    def __call__(self, z, condition=None, train=False):
        return nn.Dense(PIXELS, name="out")(z).reshape(-1, *SHAPE), {}


@functools.cache
def gradient(objective):
    """The step's loss in nats and its gradient, part -> (kernel, bias); what it drew; the first parameters."""
    step = {"likelihood": "gaussian", "scale": "fixed", "fixed_scale": SCALE} | dict(objective)
    run = ga.configure("mlp_vae", preset="tiny", image_shape=SHAPE, latent_dim=LATENT, step=step)
    roles = {
        "encoder": ga.Network(Encoder(), (jnp.zeros((2, *SHAPE)),)),
        "decoder": ga.Network(Decoder(), (jnp.zeros((2, LATENT)),)),
    }
    made = vae.Variational(roles, run, None)
    rng = np.random.default_rng(0)
    params = {"mean": (4, LATENT), "spread": (4, LATENT), "out": (LATENT, PIXELS)}
    params = {k: (0.6 * rng.normal(size=s), 0.2 * rng.normal(size=s[1])) for k, s in params.items()}
    images = jnp.asarray(rng.uniform(-1, 1, (BATCH, *SHAPE)), jnp.float32)
    keys = jax.random.split(KEY, BATCH)
    scene = Scene({"image": images, "condition": {}}, {"keys": keys}, carried={"capacity": jnp.float32(0.7)})
    draw = lambda name, shape: np.asarray(vae.random.normal(vae._streams(keys, name), shape), np.float64)
    drawn = {name: draw(name, (made.options.draws, LATENT)) for name in ("latent", "prior")}
    drawn["x"] = np.asarray(made._pixels(images, vae._streams(keys, "pixels")), np.float64).reshape(BATCH, -1)
    drawn["image"] = np.asarray(images, np.float64).reshape(BATCH, -1)
    tree = {
        "encoder": {name: dict(zip(("kernel", "bias"), params[name], strict=True)) for name in PARTS[:2]},
        "decoder": {"out": dict(zip(("kernel", "bias"), params["out"], strict=True))},
    }
    state = made.init(KEY, scene.batch)

    def loss(params):
        outcome = made.loss(state.variables._replace(params=params), scene)
        return PIXELS * jnp.mean(outcome.value), outcome.metrics

    grads, metrics = jax.jit(jax.grad(loss, has_aux=True))(jax.tree.map(jnp.float32, tree))
    found = {**grads["encoder"], **grads["decoder"]}
    return {k: (v["kernel"], v["bias"]) for k, v in found.items()}, metrics, drawn, params


def passed(params, drawn):
    """mean and log variance (batch, latent), z (batch, draws, latent), and nats of the picture (batch, draws)."""
    mean, spread = (drawn["image"] @ params[name][0] + params[name][1] for name in PARTS[:2])
    z = mean[:, None] + np.exp(spread / 2)[:, None] * drawn["latent"]
    return mean, spread, z, nll(params, drawn, z)


def nll(params, drawn, z):
    apart = (drawn["x"][:, None] - z @ params["out"][0] - params["out"][1]) / SCALE
    return np.sum(0.5 * apart**2 + np.log(SCALE) + 0.5 * np.log(2 * np.pi) + np.log(127.5), axis=-1)


def log_normal(z, mean, spread):
    return -0.5 * ((z - mean) ** 2 * np.exp(-spread) + spread + np.log(2 * np.pi))


def log_weights(params, drawn, mean, spread, z):
    prior = log_normal(z, 0, 0.0).sum(-1)
    return prior - nll(params, drawn, z) - log_normal(z, mean[:, None], spread[:, None]).sum(-1)


def reference(objective, params, drawn):
    """The loss in nats."""
    o = {"beta": 1.0, "free_bits": 0.0, "capacity": 0.0, "total_correlation": 0.0, "mmd": 0.0, "draws": 1}
    o |= {"objective": "elbo", **dict(objective)}
    mean, spread, z, picture = passed(params, drawn)
    if o["objective"] != "elbo":
        log_w = log_weights(params, drawn, mean, spread, z)
        return np.mean(np.log(o["draws"]) - special.logsumexp(log_w, axis=1))
    kl = np.mean(0.5 * (mean**2 + np.exp(spread) - 1 - spread), axis=0)
    cost = np.maximum(kl, o["free_bits"]).sum()
    cost = o["beta"] * (abs(cost - 0.7) if o["capacity"] else cost)
    flat, (mean, spread) = z.reshape(-1, LATENT), (np.repeat(x, o["draws"], axis=0) for x in (mean, spread))
    each = log_normal(flat[:, None], mean, spread)  # (one, other, latent)
    q, q_each = (special.logsumexp(x, axis=1) - np.log(len(flat)) for x in (each.sum(-1), each))
    cost += o["total_correlation"] * np.mean(q - q_each.sum(-1))
    kernel = lambda a, b: np.exp(-((a[:, None] - b) ** 2).sum(-1) / (2 * LATENT)).mean()
    prior = drawn["prior"].reshape(-1, LATENT)
    cost += o["mmd"] * (kernel(flat, flat) + kernel(prior, prior) - 2 * kernel(flat, prior))
    return picture.mean() + cost


def differences(function, params):
    """Part -> the derivatives of a function of the parameters, by central differences."""
    out = {}
    for name, arrays in params.items():
        found = [np.zeros_like(x) for x in arrays]
        for i, array in enumerate(arrays):
            for place in np.ndindex(array.shape):
                step = np.zeros_like(array)
                step[place] = 1e-5
                moved = lambda sign, n=name, i=i, s=step: {
                    **params, n: tuple(x + sign * s if j == i else x for j, x in enumerate(params[n]))
                }  # fmt: skip
                found[i][place] = (function(moved(1)) - function(moved(-1))) / 2e-5
        out[name] = tuple(found)
    return out


def near(found, wanted):
    for name, arrays in wanted.items():
        for a, b in zip(found[name], arrays, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * np.abs(b).max(), err_msg=name)


OBJECTIVES = {
    "elbo": {},
    "draws": {"draws": 3},
    "beta": {"beta": 4.0},
    "free bits": {"free_bits": 0.4},
    "capacity": {"beta": 10.0, "capacity": 25.0},
    "total correlation": {"total_correlation": 5.0},
    "mmd": {"mmd": 50.0, "beta": 0.5, "draws": 2},
    "iwae": {"objective": "iwae", "draws": 4},
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loss_and_gradient_are_those_of_the_formula(objective):
    options = tuple(OBJECTIVES[objective].items())
    found, metrics, drawn, params = gradient(options)
    np.testing.assert_allclose(metrics["loss"], reference(options, params, drawn), rtol=1e-5)
    near(found, differences(lambda p: reference(options, p, drawn), params))


def test_doubly_reparametrised_gradients():
    """The decoder's is that of the bound; the encoder's has squared weights, and none by way of log q's parameters."""
    options = (("objective", "dreg"), ("draws", 4))
    found, metrics, drawn, params = gradient(options)
    plain = (("objective", "iwae"), ("draws", 4))
    np.testing.assert_allclose(metrics["loss"], reference(plain, params, drawn), rtol=1e-5)
    wanted = differences(lambda p: reference(plain, p, drawn), {"out": params["out"]} | params)["out"]
    mean, spread, z, _ = passed(params, drawn)
    squares = special.softmax(log_weights(params, drawn, mean, spread, z), axis=1) ** 2

    def encoder(moved):
        log_w = log_weights(params, drawn, mean, spread, passed(moved | {"out": params["out"]}, drawn)[2])
        return -np.mean(np.sum(squares * log_w, axis=1))

    near(found, {"out": wanted} | differences(encoder, {name: params[name] for name in PARTS[:2]}))


def test_doubly_reparametrised_gradients_have_the_same_mean():
    """Over many draws of the noise, as that of the bound: they are two estimates of one gradient."""
    plain, doubly = ([], [])
    for name, rows in (("iwae", plain), ("dreg", doubly)):
        algorithm, state, batch = started(step={"objective": name, "draws": 4}, optimizer=zoo.SGD)
        step = jax.jit(algorithm.step)
        for seed in range(40):
            after, _ = step(state, batch, jax.random.key(seed))
            rows.append(zoo.moved(state.params, after.params)["encoder"]["out"]["kernel"].ravel())
    plain, doubly = np.array(plain), np.array(doubly)
    spread = np.sqrt((plain.var(axis=0) + doubly.var(axis=0)) / len(plain)) + 1e-9
    apart = (plain.mean(axis=0) - doubly.mean(axis=0)) / spread
    assert np.sqrt(np.mean(apart**2)) < 1.5  # 1 by chance
    assert np.sqrt(np.mean(plain.mean(axis=0) ** 2)) > 2 * np.sqrt(np.mean(spread**2))  # so that there is something


def started(size=16, **options):
    algorithm = zoo.tiny("mlp_vae", **options)
    batch = zoo.batch(algorithm.batch_spec, size)
    return algorithm, zoo.start(algorithm, KEY, batch), batch


def test_bounds_rise_with_the_draws():
    losses = []
    for draws in (1, 4, 32):
        algorithm, state, batch = started(step={"objective": "iwae", "draws": draws})
        step = jax.jit(algorithm.step)
        losses.append(np.mean([step(state, batch, jax.random.key(i))[1]["loss"] for i in range(4)]))
    assert losses[0] > losses[1] > losses[2]


def test_what_compares_examples_sees_those_of_all_devices():
    options = {"step": {"total_correlation": 3.0, "mmd": 100.0, "draws": 2}, "optimizer": zoo.SGD}
    algorithm, state, batch = started(**options)
    once, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    got, there = shard_mapped("mlp_vae", **options)(state, batch, KEY, ())
    assert zoo.relative(*(zoo.moved(state.params, s.params) for s in (once, got))) < 1e-3
    for name in ("loss", "total_correlation", "mmd"):
        np.testing.assert_allclose(metrics[name], there[name], rtol=1e-4)


def test_a_capacity_rises_over_the_run_and_is_met_in_parts():
    """Microbatches take the side of the capacity from the whole batch."""
    options = {"step": {"capacity": 3.0, "capacity_steps": 4, "beta": 5.0}, "optimizer": zoo.SGD}
    algorithm, state, batch = started(**options)
    parts, _, _ = started(train={"batch": 16, "microbatch": 4}, **options)
    whole, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    cut, _ = jax.jit(parts.step)(state, batch, KEY)
    assert zoo.relative(*(zoo.moved(state.params, s.params) for s in (whole, cut))) < 1e-3
    assert metrics["capacity"] == 0
    after, metrics = jax.jit(algorithm.step)(whole.replace(step=2), batch, KEY)
    assert metrics["capacity"] == 1.5
    assert jax.jit(algorithm.step)(after.replace(step=9), batch, KEY)[1]["capacity"] == 3.0


@pytest.mark.parametrize(
    ("name", "step", "said"),
    [
        ("mlp_vae", {"objective": "iwae", "beta": 2.0}, "step.objective iwae weighs no divergence: leave beta at 1"),
        ("hvae", {"objective": "dreg"}, "objective dreg is of one latent, and hvae has layers"),
        ("hvae", {"total_correlation": 1.0}, "total-correlation is of one latent"),
    ],
)
def test_what_has_no_meaning_is_refused(name, step, said):
    with pytest.raises(ga.UserError, match=said):
        zoo.tiny(name, step=step)


def test_parts_of_a_batch_cannot_be_compared():
    with pytest.raises(ga.UserError, match=r"train.microbatch: step.mmd compares all examples of a batch"):
        zoo.tiny("mlp_vae", step={"mmd": 1.0}, train={"batch": 16, "microbatch": 4})
