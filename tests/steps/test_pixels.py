"""The step on pixels, and its losses, against PyTorch, NumPy and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genart_jax as ga
from genart_jax import assets
from genart_jax.losses import perceptual
from genart_jax.losses.pixel import total_variation
from genart_jax.steps.pixels import luminance, matched
from tests import zoo

KEY = jax.random.key(4)
SHAPE = (16, 24, 3)
SGD = zoo.SGD | {"learning_rate": 1.0}


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def test_losses_against_their_definitions():
    a, b = pictures(2, 5, 7, 3), pictures(2, 5, 7, 3, seed=1)
    flat = a.reshape(2, 35, 3).astype(np.float64)
    gram = np.stack([f.T @ f / 35 for f in flat])
    np.testing.assert_allclose(perceptual.gram(a), gram, rtol=1e-5)
    np.testing.assert_allclose(perceptual.content(a, b), np.mean((a - b) ** 2, (1, 2, 3)) / 2, rtol=1e-5)
    # Equation 4 with Gram matrices that are sums: 1 / (4 N^2 M^2) times the squared distance.
    sums = [np.stack([f.T @ f for f in x.reshape(2, 35, 3).astype(np.float64)]) for x in (a, b)]
    wanted = ((sums[0] - sums[1]) ** 2).sum((1, 2)) / (4 * 3**2 * 35**2)
    np.testing.assert_allclose(perceptual.style(perceptual.gram(a), perceptual.gram(b)), wanted, rtol=1e-4)
    wanted = [np.mean((x[1:] - x[:-1]) ** 2) + np.mean((x[:, 1:] - x[:, :-1]) ** 2) for x in a]
    np.testing.assert_allclose(total_variation(a), wanted, rtol=1e-5)


def started(algorithm, batch):
    state = zoo.start(algorithm, KEY, batch)
    return state, jax.jit(algorithm.step, static_argnames="due")


def full_options():
    """VGG19 up to relu5_1 with its weights where they are here, else random."""
    return {"features": "asset:vgg19" if assets.available("vgg19") else ""}


def test_gradient_equals_that_of_torch():
    torch = pytest.importorskip("torch")
    run = {"content_weight": 2.0, "style_weight": 3.0, "tv_weight": 0.5, "noise": 0.1}
    alg = ga.build("gatys", image_shape=(32, 48, 3), step=run, optimizer=SGD, train={"batch": 1}, **full_options())
    batch = {"image": jnp.asarray(pictures(2, 32, 48, 3))}
    state = jax.jit(alg.init)(KEY, batch)
    if alg.frozen:
        state = state.replace(frozen=ga.load_frozen(alg))
    state = jax.jit(alg.begin)(state, batch)
    after, metrics = jax.jit(alg.step)(state, batch, KEY)
    got = np.asarray(state.params["pixels"]["offset"] - after.params["pixels"]["offset"])

    weights, last = state.frozen["features"], torch.nn.functional
    kernel = lambda name: torch.tensor(np.asarray(weights["params"][name]["kernel"]).transpose(3, 2, 0, 1))

    def features(x):
        x, out = x - torch.tensor(np.asarray(weights["constants"]["mean"]))[:, None, None], {}
        for i, depth in enumerate((2, 2, 4, 4, 1), 1):
            for j in range(1, depth + 1):
                bias = torch.tensor(np.asarray(weights["params"][f"conv{i}_{j}"]["bias"]))
                out[f"{i}_{j}"] = x = last.relu(last.conv2d(x, kernel(f"conv{i}_{j}"), bias, padding=1))
            x = last.avg_pool2d(x, 2)
        return out

    def gram(x):
        flat = x.flatten(2)[0]
        return flat @ flat.T / flat.shape[1]

    content, style = (torch.tensor(np.asarray(batch["image"][i : i + 1])).permute(0, 3, 1, 2) for i in (0, 1))
    offset = torch.tensor(np.asarray(state.params["pixels"]["offset"]).transpose(2, 0, 1)[None], requires_grad=True)
    wanted, styled, picture = features(content), features(style), content + offset
    found = features(picture)
    loss = 2.0 * ((found["4_2"] - wanted["4_2"]) ** 2).mean() / (wanted["4_2"] ** 2).mean()
    for i in range(1, 6):
        target = gram(styled[f"{i}_1"])
        loss = loss + 3.0 * ((gram(found[f"{i}_1"]) - target) ** 2).mean() / (target**2).mean() / 5
    for axis in (2, 3):
        loss = loss + 0.5 * (picture.diff(dim=axis) ** 2).mean()
    loss.backward()
    np.testing.assert_allclose(metrics["loss"], loss.item(), rtol=1e-3)
    gradient = offset.grad[0].permute(1, 2, 0).numpy()
    assert np.abs(got - gradient).max() < 1e-3 * np.abs(gradient).max()


@pytest.mark.parametrize("optimizer", [{"name": "lbfgs"}, {"name": "adam", "learning_rate": 0.02}])
def test_descends(optimizer):
    alg = zoo.tiny("gatys", image_shape=SHAPE, optimizer=optimizer, step={"style_weight": 10.0})
    batch = zoo.full_batch(alg, 1)
    state, step = started(alg, batch)
    losses = []
    for _ in range(15):
        state, metrics = step(state, batch, KEY)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.5 * losses[0]
    if optimizer["name"] == "lbfgs":
        assert losses == sorted(losses, reverse=True)


def test_lbfgs_is_that_of_optax():
    """The value and the gradient that the line search leaves behind are those of the objective at the new picture."""
    alg = zoo.tiny("gatys", image_shape=SHAPE)
    batch = zoo.full_batch(alg, 1)
    state, step = started(alg, batch)
    state, _ = step(state, batch, KEY)
    kept = {name: optax.tree.get(state.opt, name) for name in ("value", "grad")}
    plain = zoo.tiny("gatys", image_shape=SHAPE, optimizer=SGD)
    fresh = zoo.start(plain, KEY, batch).replace(params=state.params)
    after, metrics = jax.jit(plain.step)(fresh, batch, KEY)
    np.testing.assert_allclose(kept["value"], metrics["loss"], rtol=1e-5)
    gradient = state.params["pixels"]["offset"] - after.params["pixels"]["offset"]
    np.testing.assert_allclose(kept["grad"]["offset"], gradient, rtol=1e-3, atol=1e-5)


def test_content_alone_brings_the_content_back():
    alg = zoo.tiny("gatys", image_shape=SHAPE, step={"style_weight": 0.0, "tv_weight": 0.0, "noise": 0.3})
    batch = zoo.full_batch(alg, 1)
    state, step = started(alg, batch)
    first = None
    for _ in range(40):
        state, metrics = step(state, batch, KEY)
        first = first or float(metrics["loss"])
    assert float(metrics["loss"]) < 1e-2 * first


YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def test_keep_color_changes_luminance_alone():
    alg = zoo.tiny("gatys", image_shape=SHAPE, step={"keep_color": True, "style_weight": 10.0})
    batch = jax.tree.map(lambda x: 0.5 * x, zoo.full_batch(alg, 1))
    state, step = started(alg, batch)
    for _ in range(5):
        state, _ = step(state, batch, KEY)
    content = batch["image"][:1]
    made = np.asarray(alg.transform(state, content, KEY), np.float64)
    inside = (np.abs(made) < 1).all(-1)  # what leaves the range is clipped, channel by channel
    assert inside.mean() > 0.5
    change = (made - np.asarray(content)) @ YIQ.T
    assert np.abs(change[inside][:, 1:]).max() < 1e-3
    assert np.abs(change[inside][:, 0]).max() > 0.05


def test_luminance_and_matched_styles():
    x, y = pictures(2, 8, 8, 3), pictures(2, 8, 8, 3, seed=2) * 0.2
    np.testing.assert_allclose(luminance(x)[..., 1], x @ YIQ[0], rtol=1e-4, atol=1e-5)
    got = np.asarray(matched(luminance(x), luminance(y)))
    np.testing.assert_allclose(got.mean((1, 2, 3)), np.asarray(luminance(y)).mean((1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(got.std((1, 2, 3)), np.asarray(luminance(y)).std((1, 2, 3)), rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": {"noise": -1.0}}, "not be negative"),
        ({"optimizer": {"learning_rate": 0.1}}, "step lengths"),
        ({"content_layers": ("relu9_9",)}, "relu9_9"),
        ({"style_layers": ()}, "style layer"),
        ({"depths": (1, 2, 1), "widths": (4, 8, 8), "style_layers": ("pool3",), "image_shape": (4, 9, 3)}, "least 8"),
        ({"train": {"batch": 2, "microbatch": 1}}, "no parts"),
    ],
)  # fmt: skip
def test_wrong_options(options, words):
    with pytest.raises(ga.UserError, match=words):
        zoo.tiny("gatys", **options)


def test_lbfgs_needs_a_step_with_a_line_search():
    with pytest.raises(ga.UserError, match="more than gradients"):
        zoo.tiny("simple_cnn", optimizer={"name": "lbfgs"})
