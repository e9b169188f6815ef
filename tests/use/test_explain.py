"""Explanations of networks whose answer is known."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.train.checkpoint import Model
from genart_jax.use import explain as use
from genart_jax.use.explain import attribution, cam, channels, draw, dream, sanity, space
from genart_jax.use.explain.seen import Seen, replaced, see
from tests import zoo
from tests.steps import test_classifier as heads

KEY = jax.random.key(0)
SHAPE = (8, 8, 3)


def linear(weights, power=1):
    """A network whose number is sum(weights * images ** power), over a stage that is the pictures times 2."""

    def outputs(images):
        stage = 2.0 * images
        return jnp.sum(weights * (stage / 2.0) ** power, axis=(1, 2, 3)), {"double": stage, "idle": images + 0.0}

    return Seen(outputs, SHAPE, "a sum")


def pictures(seed=0, num=3):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (num, *SHAPE)), jnp.float32)


WEIGHTS = pictures(7, 1)[0]


def test_saliency_of_a_sum_is_its_weights():
    wanted = np.abs(WEIGHTS).max(-1)
    np.testing.assert_allclose(attribution.saliency(linear(WEIGHTS), pictures()), [wanted] * 3, rtol=1e-6)


def test_smooth_gradients_of_a_square_are_those_of_the_mean():
    """The gradient of w x^2 over copies with noise of mean m is 2 w (x + m)."""
    x = pictures()
    got = attribution.smooth_grad(linear(WEIGHTS, 2), x, KEY, num=100, noise=0.05)
    np.testing.assert_allclose(got, np.abs(2 * WEIGHTS * x).max(-1), atol=0.06)
    plain = attribution.smooth_grad(linear(WEIGHTS, 2), x, KEY, num=2, noise=0.0)
    np.testing.assert_allclose(plain, attribution.saliency(linear(WEIGHTS, 2), x), rtol=1e-5)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_integrated_gradients_are_complete(power):
    """The midpoint rule is exact for the straight derivatives of a square, and near for those of a cube."""
    x = pictures()
    maps, rest = attribution.integrated_gradients(linear(WEIGHTS, power), x, baseline=0.5, steps=64)
    wanted = np.sum(WEIGHTS * (x**power - 0.5**power), axis=-1)
    np.testing.assert_allclose(maps, wanted, atol=1e-5 if power < 3 else 1e-3)
    assert np.abs(rest).max() < (1e-4 if power < 3 else 1e-2)


def test_occlusion_of_a_sum_is_what_was_covered():
    x, fill = pictures(), 0.25
    got = attribution.occlusion(linear(WEIGHTS), x, window=4, stride=4, fill=fill)
    fall = np.sum(WEIGHTS * (x - fill), axis=-1).reshape(3, 2, 4, 2, 4).sum((2, 4))
    np.testing.assert_allclose(got, np.kron(fall, np.ones((4, 4))), atol=1e-4)


def test_squares_reach_the_border():
    falls = attribution.occlusion(linear(jnp.ones(SHAPE)), jnp.zeros((1, *SHAPE)), window=3, stride=3, fill=-1.0)
    np.testing.assert_allclose(falls, 27.0, rtol=1e-5)


def test_an_intermediate_is_replaced():
    x, other = pictures(), pictures(1)
    scores = replaced(linear(WEIGHTS, 2).network, x, "double")
    wanted = np.sum(WEIGHTS * (other / 2) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(jax.jit(scores)(other), wanted, rtol=1e-4)
    slope = jax.grad(lambda v: jnp.sum(scores(v)))(2 * x)
    np.testing.assert_allclose(slope, WEIGHTS * x, atol=1e-5)


def test_an_intermediate_that_leads_nowhere_is_refused():
    with pytest.raises(ga.UserError, match="nothing is made of the intermediate idle"):
        replaced(linear(WEIGHTS).network, pictures(), "idle")
    with pytest.raises(ga.UserError, match="no intermediate 'other'; there are double, idle"):
        replaced(linear(WEIGHTS).network, pictures(), "other")


def test_class_activation_maps_by_hand():
    x = pictures()
    got = cam.grad_cam(linear(WEIGHTS), x, "double")
    weights = np.asarray(WEIGHTS).mean((0, 1)) / 2  # d score / d stage = w / 2
    np.testing.assert_allclose(got, np.maximum(0, np.sum(weights * 2 * x, axis=-1)), atol=1e-5)
    slope, stage = np.broadcast_to(WEIGHTS / 2, x.shape), 2 * np.asarray(x)
    share = slope**2 / (2 * slope**2 + stage.sum((1, 2), keepdims=True) * slope**3)
    own = np.sum(share * np.maximum(0, slope), axis=(1, 2), keepdims=True)
    wanted = np.maximum(0, np.sum(own * stage, axis=-1))
    np.testing.assert_allclose(cam.grad_cam_plus_plus(linear(WEIGHTS), x, "double"), wanted, rtol=1e-3, atol=1e-3)


def test_what_a_sum_asks_for_is_the_sign_of_its_weights():
    got = dream.visualise(linear(WEIGHTS), KEY, num=2, steps=60, rate=0.1, smooth=0.0, jitter=0)
    clear = np.abs(WEIGHTS) > 0.2
    assert (np.sign(got) == np.sign(WEIGHTS))[:, clear].all()
    assert np.abs(got).max() <= 1
    # A channel of a stage: brighter there, and the others are left as they were.
    red = dream.visualise(linear(WEIGHTS), KEY, stage="double", channels=(0,), steps=40, smooth=0.0)
    assert red[..., 0].mean() > 0.9
    assert np.abs(red[..., 1:]).mean() < 0.1


@pytest.mark.parametrize("size", [(8, 8), (13, 21), (5, 6)])
def test_a_dream_of_any_size_raises_the_stage(size):
    image = 0.2 * jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (*size, 3)), jnp.float32)
    got = dream.deep_dream(linear(WEIGHTS), image, KEY, stage="double", steps=4, octaves=2)
    assert got.shape == image.shape
    assert np.square(got).mean() > 1.5 * np.square(image).mean()
    assert np.abs(got).max() <= 1


def test_features_as_a_space():
    rng = np.random.default_rng(0)
    bank = rng.normal(size=(40, 5))
    order, cosine = space.nearest(2.0 * bank[:3], bank, 2)
    np.testing.assert_array_equal(order[:, 0], [0, 1, 2])
    np.testing.assert_allclose(cosine[:, 0], 1.0)
    line = np.outer(np.linspace(-1, 1, 40), [3.0, 0, 4.0, 0, 0]) + 0.01 * bank
    assert abs(np.corrcoef(space.embed(line)[:, 0], np.linspace(-1, 1, 40))[0, 1]) > 0.999
    assert space.embed(bank, "tsne").shape == (40, 2)


def test_a_concept_is_the_direction_between_two_clouds():
    rng, wanted = np.random.default_rng(0), np.array([0.6, 0.0, 0.8])
    clouds = [rng.normal(size=(400, 3)) + sign * 2 * wanted for sign in (1, -1)]
    found = space.concept(*clouds)
    assert found.direction @ wanted > 0.99
    assert found.accuracy > 0.95
    flat = space.concept(rng.normal(size=(400, 3)), rng.normal(size=(400, 3)))
    assert 0.35 < flat.accuracy < 0.65
    # A sum of squares rises along a direction of its stage's means where the picture is on its side.
    x = jnp.concatenate([jnp.full((3, *SHAPE), 0.5), jnp.full((1, *SHAPE), -0.5)])
    assert space.concept_score(linear(jnp.ones(SHAPE), 2), x, "double", np.array([1.0, 0, 0])) == 0.75


class Painter(nn.Module):
    """Two channels, the first of which paints red and the second, weaker, green."""

    @nn.compact
    def __call__(self, z, condition=None, train=False):
        planes = jnp.ones((len(z), 16, 16, 2)) * (1.0 + 0.0 * z[:, None, None, :2])
        kernel = self.param("kernel", lambda _: jnp.array([[0.8, 0, 0], [0, 0.2, 0]]))
        return planes @ kernel, {"planes": planes}


def test_a_generator_without_a_channel():
    algorithm = zoo.tiny("dcgan", conditions=())._replace(
        networks={"generator": ga.Network(Painter(), lambda: (jnp.zeros((2, 8)),))}
    )
    z = jnp.zeros((3, 8))
    params = {"generator": Painter().init(KEY, z)["params"]}
    state = ga.State(jnp.zeros((), int), params, {"generator": {}}, {}, {}, {})
    found = channels.ablate(ga.Model(algorithm, state), z)
    assert found.channels == (0, 1)
    np.testing.assert_allclose(found.effects, [0.8 / 3, 0.2 / 3], rtol=1e-5)
    np.testing.assert_allclose(found.without[0, ..., 0], 0.0)
    np.testing.assert_allclose(found.without[0, ..., 1], found.whole[..., 1])


@functools.cache
def model(name):
    """An untrained one."""
    algorithm = zoo.tiny(name)
    return ga.Model(algorithm, zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 8)))


@pytest.mark.parametrize("name", ["simple_cnn", "conv_vae", "modgan"])
def test_networks_of_the_registry_are_seen(name):
    found, images = model(name), jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)), jnp.float32)
    seen = see(found)
    both = jax.jit(seen.score)(images)
    alone = jax.jit(seen.score)(images[:1])
    np.testing.assert_allclose(both[:1], alone, rtol=1e-4, atol=1e-6)
    maps = use.explain(found, images, "grad_cam")
    assert maps.shape == (2, 16, 16)
    assert np.isfinite(maps).all()
    slope = attribution.gradient(seen)(images)
    assert np.abs(slope).max() > 0


def test_the_likeliest_class_stays_while_the_picture_changes():
    found = model("simple_cnn")
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)), jnp.float32)
    seen = use.settled(functools.partial(see, found), images, None)
    logits = see(found).logits
    chosen = jnp.argmax(logits(images), -1)
    np.testing.assert_allclose(seen.score(-images), jnp.take_along_axis(logits(-images), chosen[:, None], 1)[:, 0])
    one = use.explain(found, images, "saliency", what=2)
    assert (one != use.explain(found, images, "saliency", what=1)).any()


def test_random_weights_change_a_map_that_tells_of_the_network():
    found = model("simple_cnn")
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)), jnp.float32)
    honest = sanity.randomised(found, "classifier", lambda m: attribution.saliency(see(m, 0), images), KEY)
    edges = sanity.randomised(found, "classifier", lambda m: jnp.abs(images).max(-1), KEY)
    assert set(honest) == {"conv_0", "conv_1", "hidden", "out", "all"}
    assert all(value == pytest.approx(1.0) for value in edges.values())
    assert honest["all"] < 0.5


def test_filters_are_the_first_kernels():
    kernels = channels.filters(model("simple_cnn"), "classifier")
    own = np.asarray(model("simple_cnn").state.ema["classifier"]["params"]["conv_0"]["kernel"])
    assert kernels.shape == (own.shape[-1], 3, 3, 3)
    np.testing.assert_allclose(kernels[1] * np.abs(own[..., 1]).max(), own[..., 1], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "guess"}, "method 'guess' is unknown; there are saliency"),
        ({"role": "critic"}, "no network of pictures"),
        ({"method": "grad_cam", "stage": "other"}, "no intermediate 'other'"),
        ({"images": np.zeros((1, 9, 9, 3), np.float32)}, r"got shape \(1, 9, 9, 3\)"),
    ],
)
def test_what_is_wrong_is_said(options, says):
    given = {"images": np.zeros((1, 16, 16, 3), np.float32), **options}
    with pytest.raises(ga.UserError, match=says):
        use.explain(model("simple_cnn"), **given)


def test_heat_is_scaled_by_each_map():
    maps = np.zeros((2, 10, 10))
    maps[0, :5], maps[0, 5:] = -2.0, 1.0
    colours = draw.heat(maps, signed=True)
    assert colours[0, 0, 0].tolist() == [33, 102, 172]  # the strongest, against
    assert colours[0, 9, 9, 0] > colours[0, 9, 9, 2]  # half as strong, for
    assert (colours[1] == 255).all()  # nothing


def test_of_several_heads_the_place_among_all_scores_is_meant():
    algorithm = heads.linear()
    batch = heads.labelled(algorithm, style=heads.STYLES, shape=heads.SHAPES)
    state = zoo.start(algorithm, KEY, batch)
    model, scores = Model(algorithm, state), heads.scores_of(state, batch)
    np.testing.assert_allclose(see(model, what=6).score(batch["image"]), scores[:, 6], rtol=1e-4)
    np.testing.assert_allclose(see(model).score(batch["image"]), scores[:, :5].max(1), rtol=1e-4)
    assert see(model).logits(batch["image"]).shape == (8, 5)
