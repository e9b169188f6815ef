"""The step of networks that paint in styles, against NumPy over the activations of its own networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.steps import networks
from tests import zoo

KEY = jax.random.key(2)


@functools.cache
def started(name):
    """The algorithm, a batch of four, its first state, and after a step with its metrics."""
    algorithm = zoo.tiny(name, optimizer=zoo.SGD)
    batch = zoo.full_batch(algorithm, 4)
    state = zoo.start(algorithm, KEY, batch)
    return algorithm, batch, state, jax.jit(algorithm.step)(state, batch, KEY)


def seen(algorithm, state, images):
    activations = networks.run(algorithm.networks, state.variables, "features", images, capture=None)[1]
    return {name: np.asarray(x, np.float64) for name, x in activations.items()}


def moments(x):
    return x.mean((1, 2)), np.sqrt(x.var((1, 2)) + 1e-5)


def relative(distance, a, b):
    return distance(a, b) / distance([np.zeros_like(x) for x in a], b)


def squares(a, b):
    return sum(np.mean((x - y) ** 2, axis=tuple(range(1, x.ndim))) for x, y in zip(a, b, strict=True))


def test_losses_of_adain_are_the_papers():
    algorithm, batch, state, (_, metrics) = started("adain")
    content, style = (seen(algorithm, state, batch[name]) for name in ("other", "image"))
    (mean, std), (own_mean, own_std) = moments(style["relu2_1"]), moments(content["relu2_1"])
    each = lambda x: x[:, None, None]
    code = each(std) * (content["relu2_1"] - each(own_mean)) / each(own_std) + each(mean)
    picture = networks.run(algorithm.networks, state.variables, "decoder", jnp.asarray(code, jnp.float32))[0]
    found = seen(algorithm, state, picture)
    losses = {
        "content_loss": relative(squares, [found["relu2_1"]], [code]),
        "style_loss": np.mean(
            [relative(squares, moments(found[name]), moments(style[name])) for name in ("relu1_1", "relu2_1")], axis=0
        ),
    }
    for name, wanted in losses.items():
        np.testing.assert_allclose(metrics[name], wanted.mean(), rtol=1e-3, err_msg=name)
    total = losses["content_loss"] + 10 * losses["style_loss"]
    np.testing.assert_allclose(metrics["loss"], total.mean(), rtol=1e-3)


def test_losses_of_multistyle_are_the_papers():
    algorithm, batch, state, (_, metrics) = started("multistyle")
    content, style = (seen(algorithm, state, batch[name]) for name in ("other", "image"))
    picture = networks.run(algorithm.networks, state.variables, "painter", batch["other"], batch["condition"])[0]
    found = seen(algorithm, state, picture)
    gram = lambda x: np.einsum("bhwi,bhwj->bij", x, x) / np.prod(x.shape[1:3])
    wanted = [relative(squares, [gram(found[name])], [gram(style[name])]) for name in ("relu1_1", "relu2_1")]
    np.testing.assert_allclose(metrics["style_loss"], np.mean(wanted), rtol=1e-3)
    wanted = relative(squares, [found["relu2_2"]], [content["relu2_2"]])
    np.testing.assert_allclose(metrics["content_loss"], wanted.mean(), rtol=1e-3)


def test_strength_goes_from_the_reconstruction_to_the_style():
    algorithm, batch, state, _ = started("adain")
    code = networks.run(algorithm.networks, state.variables, "features", batch["other"])[0]
    rebuilt = networks.run(algorithm.networks, state.variables, "decoder", code)[0]
    made = jax.jit(algorithm.uses["stylize"].function)
    np.testing.assert_allclose(made(state, batch["other"], batch["image"], 0.0), jnp.clip(rebuilt, -1, 1), atol=1e-5)
    painted = jax.jit(algorithm.show)(state, batch, KEY)["painted"]
    np.testing.assert_allclose(made(state, batch["other"], batch["image"], 1.0), painted, atol=1e-5)
    with pytest.raises(ga.UserError, match="got 4 contents and 3 styles"):
        algorithm.uses["stylize"].function(state, batch["other"], batch["image"][:3])


def test_learnt_styles_are_asked_for_by_number():
    algorithm, batch, state, _ = started("multistyle")
    made = jax.jit(algorithm.uses["stylize"].function)
    one = lambda number, strength=1.0: made(state, batch["other"], {"style": number}, strength)
    np.testing.assert_array_equal(one(2, 0.0), batch["other"])
    half = one(2, 0.5)
    np.testing.assert_allclose(half, (batch["other"] + one(2)) / 2, atol=1e-6)
    with pytest.raises(ga.UserError, match="condition 'style' is missing"):
        algorithm.uses["stylize"].function(state, batch["other"])
    with pytest.raises(ga.UserError, match="is no class"):
        algorithm.uses["stylize"].function(state, batch["other"], {"style": 5})


def test_what_is_of_no_known_style_teaches_nothing():
    algorithm, batch, state, (_, metrics) = started("multistyle")
    step = jax.jit(algorithm.step)
    hidden = batch | {"condition": {"style": jnp.full(4, -1)}}
    after, _ = step(state, hidden, KEY)
    for old, new in zip(jax.tree.leaves(state.params), jax.tree.leaves(after.params), strict=True):
        np.testing.assert_array_equal(old, new)
    _, wrong = step(state, batch | {"condition": {"style": jnp.full(4, 5)}}, KEY)
    assert np.isnan(wrong["loss"])
    assert np.isfinite(metrics["loss"])


def test_a_reconstruction_alone_on_reduced_pictures():
    only = {"pixel_weight": 1.0, "content_weight": 0.0, "style_weight": 0.0, "reduce": 2}
    algorithm = zoo.tiny("adain", optimizer=zoo.SGD, step=only, image_shape=(32, 32, 3))
    batch = zoo.full_batch(algorithm, 4)
    state = zoo.start(algorithm, KEY, batch)
    after, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    small = np.asarray(batch["other"]).reshape(4, 16, 2, 16, 2, 3).mean((2, 4))
    code = networks.run(algorithm.networks, state.variables, "features", jnp.asarray(small))[0]
    rebuilt = networks.run(algorithm.networks, state.variables, "decoder", code)[0]
    np.testing.assert_allclose(metrics["pixel_loss"], np.mean((rebuilt - small) ** 2), rtol=1e-4)
    assert zoo.norm(zoo.moved(state.params, after.params)) > 0


def test_a_painter_learns_to_carry_contents_before_styles():
    """Without the network that compares: what is painted is nearer to the contents after a few steps, in all styles."""
    only = {"pixel_weight": 1.0, "content_weight": 0.0, "style_weight": 0.0}
    algorithm = zoo.tiny("multistyle", step=only, optimizer={"learning_rate": 0.02, "schedule": "constant"})
    batch = zoo.full_batch(algorithm, 4)
    state, step = zoo.start(algorithm, KEY, batch), jax.jit(algorithm.step)
    paint = jax.jit(algorithm.uses["stylize"].function)
    error = lambda state: [np.mean((paint(state, batch["other"], {"style": i}) - batch["other"]) ** 2) for i in (0, 4)]
    first = error(state)
    for _ in range(20):
        state, metrics = step(state, batch, KEY)
    assert "style_loss" not in metrics
    assert np.max(error(state)) < 0.7 * np.min(first)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("adain", {"layers": ("relu1_1", "relu2_2")}, "the last one is decoded"),
        ("adain", {"layers": ("relu9_1",)}, "wanted some of"),
        ("adain", {"image_shape": (15, 16, 3)}, "sides must be multiples of 2"),
        ("adain", {"decoder": (4, 4)}, "1 widths of the decoder"),
        ("multistyle", {"image_shape": (18, 16, 3)}, "sides must be multiples of 4"),
        ("multistyle", {"conditions": (("style", 5), ("shape", 9))}, "wanted one"),
        ("multistyle", {"expand": (4,)}, "2 to expand"),
    ],
)
def test_what_does_not_fit_is_one_line(name, options, words):
    with pytest.raises(ga.UserError, match=words):
        zoo.tiny(name, **options)
