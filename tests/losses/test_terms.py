"""Terms against closed forms on a linear critic, against float64 differences, and their texts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.losses import terms
from genart_jax.nn import random
from genart_jax.types import Scene

KEY = jax.random.key(2)
SHAPE = (4, 4, 3)
NAMES = ("r1", "r2", "gp", "zero_gp", "lecam", "consistency", "latent_consistency", "orthogonal")


def scene(dtype=np.float32):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.uniform(-1, 1, shape).astype(dtype))
    return Scene(
        {"image": draw(6, *SHAPE), "condition": {}},
        {"z": draw(6, 5)},
        {"fake": draw(6, *SHAPE)},
        carried={"lecam_real": dtype(0.3), "lecam_fake": dtype(-0.2)},
        key=KEY,
    )


def value(term, score, params, given):
    """A term's values and what it carries, for a critic (params, images) -> scores."""
    keys = lambda name: random.example_keys(random.stream(random.stream(KEY, term.name), name), 6)
    make = lambda drawn, batch: jnp.tanh(jnp.tile(drawn["z"][:, :1, None, None], (1, *SHAPE)))
    at = terms.CriticAt(params, lambda images, role="real": score(params, images), make)
    return term.value(at, term.prepare(keys, given))


def linear(w, images):
    return jnp.sum(images * w, axis=(1, 2, 3)) + 0.1


def closed(name, w, given):
    """The value for a linear critic, in NumPy."""
    real, fake, size = given.batch["image"], given.made["fake"], float(np.sum(np.square(w)))
    score = lambda x: np.sum(np.asarray(x) * w, axis=(1, 2, 3)) + 0.1
    return {
        "r1": size,
        "r2": size,
        "zero_gp": size,
        "gp": (np.sqrt(size) - 1) ** 2,
        "lecam": (score(real) + 0.2) ** 2 + (score(fake) - 0.3) ** 2,
    }[name]


def test_where_slopes_are_taken():
    """Of sum(w x^2) / 2, whose slope is w x: at real pictures, at generated ones, and between the two."""
    w, given = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32), scene()
    real, fake = (np.asarray(x) for x in (given.batch["image"], given.made["fake"]))
    share = np.asarray(random.uniform(random.example_keys(random.stream(random.stream(KEY, "zero_gp"), "share"), 6)))
    share = share.reshape(6, 1, 1, 1)
    for name, at in (("r1", real), ("r2", fake), ("zero_gp", share * real + (1 - share) * fake)):
        got, _ = jax.jit(lambda w, n=name: value(terms.CRITIC_TERMS[n](1.0), _quadratic, w, given))(w)
        np.testing.assert_allclose(got, np.sum(np.square(w * at), axis=(1, 2, 3)), rtol=1e-5, err_msg=name)


def _quadratic(w, images):
    return jnp.sum(w * jnp.square(images), axis=(1, 2, 3)) / 2


@pytest.mark.parametrize("name", ["r1", "r2", "gp", "zero_gp", "lecam"])
def test_closed_form_on_a_linear_critic(name):
    w, given = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32), scene()
    got, _ = jax.jit(lambda w: value(terms.CRITIC_TERMS[name](1.0), linear, w, given))(w)
    np.testing.assert_allclose(got, np.broadcast_to(closed(name, w, given), 6), rtol=1e-5)


def test_lecam_carries_averages_of_the_scores():
    w, given = np.ones(SHAPE, np.float32), scene()
    _, carried = value(terms.lecam(1.0), linear, w, given)
    mean = float(np.mean(np.sum(np.asarray(given.made["fake"]), axis=(1, 2, 3)) + 0.1))
    np.testing.assert_allclose(carried["lecam_fake"], 0.99 * -0.2 + 0.01 * mean, rtol=1e-5)


def test_orthogonal_leaves_the_lengths_of_columns_alone():
    kernels = {"a": jnp.eye(4) * 3.0, "b": jnp.ones((3, 2)), "bias": jnp.ones(5)}
    got, _ = value(terms.orthogonal(1.0), None, kernels, scene())
    np.testing.assert_allclose(got, 2 * 3.0**2)  # two columns of ones, each way


def test_pixel_mse_is_the_mean_square_of_pairs_and_pulls_towards_their_mean():
    """For a generator that makes one picture, the gradient is that of its distance to the mean of the real ones."""
    given = scene()
    real = np.asarray(given.batch["image"], np.float64)
    picture = np.random.default_rng(5).uniform(-1, 1, SHAPE)
    make = lambda p: terms.GeneratorAt(p, lambda drawn, batch: jnp.broadcast_to(p, (6, *SHAPE)))
    values = lambda p: terms.pixel_mse(1.0).value(make(p), given)[0]
    np.testing.assert_allclose(values(jnp.float32(picture)), np.mean((picture - real) ** 2, axis=(1, 2, 3)), rtol=1e-5)
    got = jax.grad(lambda p: jnp.mean(values(p)))(jnp.float32(picture))
    np.testing.assert_allclose(got, 2 * (picture - real.mean(0)) / picture.size, rtol=1e-4, atol=1e-6)


def test_gradient_penalty_of_a_flat_critic_has_a_gradient():
    got = jax.grad(lambda w: jnp.mean(value(terms.gp(1.0), linear, w, scene())[0]))(jnp.zeros(SHAPE))
    assert np.isfinite(got).all()


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_equal_float64_differences(name):
    """Of a small smooth critic, along a random direction of its parameters."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(3)
        params = {"a": rng.normal(size=(48, 7)) / 7, "b": rng.normal(size=(7,))}
        direction = jax.tree.map(lambda x: rng.normal(size=x.shape), params)
        score = lambda p, x: jnp.tanh(x.reshape(len(x), -1) @ p["a"]) @ p["b"]
        mean = jax.jit(lambda p: jnp.mean(value(terms.CRITIC_TERMS[name](1.0), score, p, scene(np.float64))[0]))
        _, got = jax.jvp(mean, (params,), (direction,))
        at = lambda h: float(mean(jax.tree.map(lambda x, d: x + h * d, params, direction)))
        np.testing.assert_allclose(got, (at(1e-5) - at(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-9)


def test_texts():
    found = terms.parse("step.critic-terms", ("r1=0.5@8", "gp=10"), terms.CRITIC_TERMS, 3)
    assert [(t.name, t.weight, t.every) for t in found] == [("r1", 1.5, 8), ("gp", 10.0, 0)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("lecan=1",), "did you mean lecam"),
        (("r1",), "wanted NAME=WEIGHT"),
        (("r1=x",), "wanted NAME=WEIGHT"),
        (("r1=-1",), "wanted NAME=WEIGHT"),
        (("r1=1@0",), "wanted NAME=WEIGHT"),
        (("r1=1@1.5",), "wanted NAME=WEIGHT"),
        (("r1=1", "r1=2"), "twice"),
    ],
)
def test_wrong_texts(texts, said):
    with pytest.raises(ga.UserError, match=said):
        terms.parse("step.critic-terms", texts, terms.CRITIC_TERMS, 1)


def test_reconstruction_is_the_sum_of_the_mean_distances_of_all_decoders():
    """Of the real pictures, with a key for each."""
    given, seen = scene(), []

    def rebuilt(images, keys):
        seen.append((images, keys.shape))
        return {"whole": (images, images + 0.25), "part": (0 * images[:, :2, :2], images[:, :2, :2])}

    term = terms.CRITIC_TERMS["reconstruction"](1.0)
    at = terms.CriticAt(None, None, None, rebuilt)
    keys = lambda name: random.example_keys(random.stream(KEY, name), 6)
    values, carried = term.value(at, term.prepare(keys, given))
    real = np.asarray(given.batch["image"])
    np.testing.assert_allclose(values, 0.25 + np.abs(real[:, :2, :2]).mean((1, 2, 3)), rtol=1e-5)
    assert not carried
    assert [(np.array_equal(images, real), shape) for images, shape in seen] == [(True, (6,))]


def test_matching_compares_the_right_conditions_with_drawn_ones():
    """softplus of the difference, at real pictures; the shares are drawn evenly, one an example and condition."""
    given, seen = scene(), {}
    given = given._replace(batch={**given.batch, "condition": {"style": np.arange(6) % 3, "shape": np.arange(6)}})

    def mistold(images, shares):
        seen.update(shares)
        return 2.0 * jnp.sum(images, axis=(1, 2, 3))

    at = terms.CriticAt(None, lambda images: jnp.sum(images, axis=(1, 2, 3)), None, mistold=mistold)
    term = terms.CRITIC_TERMS["matching"](1.0)
    keys = lambda name: random.example_keys(random.stream(KEY, name), 6)
    values, carried = term.value(at, term.prepare(keys, given))
    real = np.sum(np.asarray(given.batch["image"], np.float64), axis=(1, 2, 3))
    np.testing.assert_allclose(values, np.log1p(np.exp(real)), rtol=1e-5)
    assert not carried
    assert sorted(seen) == ["shape", "style"]
    assert not np.array_equal(seen["style"], seen["shape"])
