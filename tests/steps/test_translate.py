"""From picture to picture: what goes in, what it is compared with, and what comes out of an untrained network."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

import genart_jax as ga
from genart_jax.config import Data, Optimizer, Run, Train, Translate
from genart_jax.data import degrade
from genart_jax.losses import perceptual
from genart_jax.nn import random
from genart_jax.nn.guided import smoothed
from genart_jax.nn.judges import PatchCritic
from genart_jax.steps import networks, pairs, translate
from genart_jax.types import Network, Scene, Translation
from tests import zoo

KEY = jax.random.key(5)


@functools.cache
def untrained(name, **options):
    algorithm = zoo.tiny(name, **options)
    batch = zoo.batch(algorithm.batch_spec, 4)
    return algorithm, zoo.start(algorithm, KEY, batch), batch


class Map(nn.Module):
    """A convolution that begins as the identity."""

    @nn.compact
    def __call__(self, images, train=False):
        eye = lambda key, shape, dtype=jnp.float32: jnp.eye(shape[-1], dtype=dtype)[None, None]
        return nn.Conv(images.shape[-1], (1, 1), kernel_init=eye)(images), {}


@dataclasses.dataclass(frozen=True)
class Config:
    image_shape: tuple[int, ...] | None = (8, 8, 3)
    target_shape: tuple[int, ...] | None = (8, 8, 3)


@dataclasses.dataclass(frozen=True)
class Alone:
    image_shape: tuple[int, ...] | None = (8, 8, 3)


def family(config=None, about=None, **step):
    run = Run(config or Config(), Translate(**step), Optimizer(**zoo.SGD), Data(), Train(batch=4), name="toy")
    roles = {"generator": Network(Map(), lambda: (jnp.zeros((2, 8, 8, 3)),), translation=about)}
    return translate.Translator(roles, run, None)


def test_an_untrained_network_changes_nothing():
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(-1, 1, (1, 20, 14, 3)), jnp.float32)  # not what it is trained on, and uneven
    for name in ("dehaze", "enhance"):
        algorithm, state, _ = untrained(name)
        np.testing.assert_allclose(jax.jit(algorithm.transform)(state, images, KEY), images, atol=1e-6, err_msg=name)


def test_untrained_super_resolution_is_bicubic():
    """As Pillow's, which rounds to whole levels after each axis, and clips there too."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 196, (12, 9, 3), np.uint8)
    algorithm, state, _ = untrained("super_resolution")
    larger = ga.to_uint8(jax.jit(algorithm.transform)(state, ga.to_float(pixels[None]), KEY))[0]
    expected = np.asarray(Image.fromarray(pixels).resize((18, 24), Image.Resampling.BICUBIC))
    assert np.abs(larger.astype(int) - expected).max() <= 1


def test_untrained_filling_is_smooth_and_leaves_the_rest():
    algorithm, state, batch = untrained("inpaint")
    image, mask = batch["image"], np.zeros((4, 16, 16, 1), np.float32)
    mask[:, 7:9, 7:9] = 1
    ruined = jnp.where(mask > 0, 1.0, image)  # what lies in the hole must not matter
    made = jax.jit(algorithm.transform)(state, ruined, KEY, mask)
    assert (np.asarray(made) == np.asarray(image))[np.broadcast_to(mask == 0, image.shape)].all()
    error = np.abs(made - image)[:, 7:9, 7:9].mean()
    assert error < 0.3 * np.abs(image)[:, 7:9, 7:9].mean()
    np.testing.assert_allclose(made, jax.jit(algorithm.transform)(state, image, KEY, mask), atol=1e-6)


def test_old_photographs_take_no_mask():
    algorithm = zoo.tiny("inpaint", masked=False, step={"degradation": "old"})
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = zoo.start(algorithm, KEY, batch)
    assert [one.name for one in algorithm.uses["transform"].inputs] == ["images", "key", "strength"]
    np.testing.assert_array_equal(jax.jit(algorithm.transform)(state, batch["image"], KEY), batch["image"])
    figures = jax.eval_shape(algorithm.evaluate, state, batch, KEY)
    assert "psnr" in figures
    assert "hole_psnr" not in figures


@pytest.mark.parametrize("scale", [3, 4])
def test_other_scales(scale):
    """A picture of 16 pixels is cut to 15 for a scale of 3."""
    algorithm = zoo.tiny("super_resolution", scale=scale, step={"crop": 4})
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = jax.eval_shape(algorithm.init, KEY, batch)
    after, _ = jax.eval_shape(algorithm.step, state, batch, KEY)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    shown = jax.eval_shape(algorithm.show, state, batch, KEY)
    assert {one.shape for one in shown.values()} == {(4, 16 // scale * scale, 16 // scale * scale, 3)}


def test_strength_is_a_share_of_the_change():
    algorithm = family(pixel_weight=1.0)
    state = algorithm.init(KEY, zoo.batch(algorithm.spec, 4))
    state = state.replace(params=jax.tree.map(lambda x: x * 0.5, state.params), ema={})
    images = zoo.batch(algorithm.spec, 4)["image"]
    for strength in (0.0, 0.25, 1.0):
        made = algorithm.transform(state, images, KEY, strength=strength)
        np.testing.assert_allclose(made, images * (1 - 0.5 * strength), atol=1e-6)


def test_a_critic_may_see_the_input():
    """As in pix2pix: it scores pairs, and the terms are of these scores."""
    step = Translate(adversarial_weight=1.0, critic_terms=("r1=1", "gp=1"))
    run = Run(Config(), step, Optimizer(**zoo.SGD), Data(), Train(batch=4), name="toy")
    critic = PatchCritic(2, depth=1, normalized=False)
    roles = {
        "generator": Network(Map(), lambda: (jnp.zeros((2, 8, 8, 3)),)),
        "critic": Network(critic, lambda: (jnp.zeros((2, 8, 8, 6)),), translation=Translation(("input",))),
    }
    algorithm = translate.Translator(roles, run, None)
    batch = zoo.batch(algorithm.spec, 4)
    state = algorithm.init(KEY, batch)
    after, metrics = jax.eval_shape(algorithm.step, state, batch, KEY)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {"r1", "gp", "critic_loss", "adversarial_loss"} <= metrics.keys()
    pair = algorithm.pair(batch, KEY)
    outcome = algorithm.critic_loss(state.variables, Scene(pair, {}, {"fake": batch["image"]}, key=KEY))
    scores = [
        critic.apply({"params": state.params["critic"]}, jnp.concatenate([x, batch["image"]], -1))[0]
        for x in (batch["target"], batch["image"])
    ]
    expected = np.mean(np.maximum(0, 1 - scores[0]) + np.maximum(0, 1 + scores[1]), axis=(1, 2))
    np.testing.assert_allclose(outcome.value, expected, rtol=1e-5)


def test_the_input_is_made_of_the_image_by_each_examples_key():
    algorithm = family(Alone(), degradation="noise")
    batch = zoo.batch(algorithm.spec, 4)
    pair = algorithm.pair(batch, KEY)
    np.testing.assert_array_equal(pair["image"], batch["image"])
    keys = random.example_keys(random.stream(KEY, "degrade"), 4)
    np.testing.assert_array_equal(pair["input"], degrade.named("noise")(batch["image"], keys).image)
    half = algorithm.pair({"image": batch["image"][:2], "condition": {}}, KEY)
    np.testing.assert_array_equal(pair["input"][:2], half["input"])


def test_pairs_come_from_the_data():
    algorithm = family()
    batch = zoo.batch(algorithm.spec, 4)
    pair = algorithm.pair(batch, KEY)
    np.testing.assert_array_equal(pair["input"], batch["image"])
    np.testing.assert_array_equal(pair["image"], batch["target"])
    shown = algorithm.show(algorithm.init(KEY, batch), batch, KEY)
    np.testing.assert_array_equal(shown["input"], batch["image"])
    np.testing.assert_allclose(shown["output"], batch["image"], atol=1e-6)
    np.testing.assert_array_equal(shown["target"], batch["target"])


def test_cuts_and_turns_are_the_same_of_input_and_target():
    rows, columns = jnp.mgrid[:12, :12]
    target = jnp.broadcast_to(jnp.stack([rows, columns], -1).astype(jnp.float32), (6, 12, 12, 2))
    planes = {"input": target[:, ::2, ::2], "image": target}
    keys = random.example_keys(KEY, 6)
    cut = pairs.cut(planes, {"input": 1, "image": 2}, keys, 3)
    assert cut["input"].shape == (6, 3, 3, 2)
    assert cut["image"].shape == (6, 6, 6, 2)
    np.testing.assert_array_equal(cut["image"][:, ::2, ::2], cut["input"])
    assert len({tuple(np.asarray(x[0, 0])) for x in cut["input"]}) > 2
    turned = pairs.turned(cut["image"], keys)
    ways = [np.rot90(m, k) for m in (cut["image"][0], np.swapaxes(cut["image"][0], 0, 1)) for k in range(4)]
    assert any((np.asarray(turned[0]) == way).all() for way in ways)
    assert not (np.asarray(turned) == np.asarray(cut["image"])).all()
    with pytest.raises(ga.UserError, match=r"step\.crop 7: the inputs are of 6x6"):
        pairs.cut(planes, {"input": 1, "image": 2}, keys, 7)
    with pytest.raises(ga.UserError, match=r"12x10 are no squares; set step\.crop"):
        pairs.turned(target[:, :, :10], keys)


def test_the_loss_is_the_weighted_sum_of_its_parts():
    options = {"pixel_weight": 2.0, "perceptual_weight": 0.5, "style_weight": 3.0, "tv_weight": 0.25, "crop": 0}
    step = options | {"pixel": "l2", "adversarial_weight": 0.0, "turns": False}
    algorithm, state, batch = untrained("super_resolution", step=tuple(step.items()))
    _, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    start = algorithm.show(state, batch, KEY)
    output, target = start["input"], batch["image"]
    look = lambda x: networks.run(algorithm.networks, state.variables, "perceptual", x, capture=("relu1_1", "relu2_1"))[
        1
    ].values()
    pairs = [*zip(look(output), look(target), strict=True)]
    down, right = np.diff(output, axis=1), np.diff(output, axis=2)
    expected = {
        "pixel_loss": np.mean((output - target) ** 2),
        "perceptual_loss": np.mean([perceptual.content(a, b) for a, b in pairs]),
        "style_loss": np.mean([perceptual.style(perceptual.gram(a), perceptual.gram(b)) for a, b in pairs]),
        "tv_loss": np.mean(down**2) + np.mean(right**2),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, err_msg=name)
    weights = {"pixel_loss": 2.0, "perceptual_loss": 0.5, "style_loss": 3.0, "tv_loss": 0.25}
    total = sum(weights[name] * value for name, value in expected.items())
    np.testing.assert_allclose(metrics["generator_loss"], total, rtol=1e-4)


def test_targets_of_training_alone_are_smoothed():
    algorithm, plain = family(Alone(), degradation="noise", smooth=0.5), family(Alone(), degradation="noise")
    batch = zoo.batch(algorithm.spec, 4)
    trained, before = algorithm._trained_on(batch, KEY), plain._trained_on(batch, KEY)
    half = 0.5 * (batch["image"] + smoothed(batch["image"]))
    np.testing.assert_allclose(trained["image"], half, atol=1e-6)
    np.testing.assert_array_equal(trained["input"], before["input"])
    np.testing.assert_array_equal(algorithm.pair(batch, KEY)["image"], batch["image"])


def test_figures_are_those_of_scikit_image():
    algorithm = family(Alone(), degradation="noise")
    batch = zoo.batch(algorithm.spec, 4)
    state = algorithm.init(KEY, batch)
    sums = algorithm.evaluate(state, batch, KEY)
    pair = algorithm.pair(batch, random.stream(KEY, "evaluate"))
    expected = sum(
        peak_signal_noise_ratio(np.asarray(a, np.float64), np.asarray(b, np.float64), data_range=2.0)
        for a, b in zip(pair["image"], pair["input"], strict=True)
    )
    for name in ("psnr", "input_psnr"):
        np.testing.assert_allclose(sums[name][0], expected, rtol=1e-5)
        assert float(sums[name][1]) == 4
    paired = family()
    same = batch | {"target": batch["image"]}
    assert float(paired.evaluate(state, same, KEY)["psnr"][0]) == 400  # 100 dB each, not infinite


def test_a_long_batch_is_evaluated_in_parts():
    algorithm = family(Alone(), degradation="noise")
    batch = zoo.batch(algorithm.spec, 48)
    state = algorithm.init(KEY, batch)
    pair = algorithm.pair(batch, random.stream(KEY, "evaluate"))
    whole = algorithm._figures(networks.averaged(state), pair)
    sums = jax.jit(algorithm.evaluate)(state, batch, KEY)
    for name, values in whole.items():
        np.testing.assert_allclose(sums[name][0], values.sum(), rtol=1e-5, err_msg=name)
        assert float(sums[name][1]) == 48


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: family(Alone()), "toy: set step.degradation"),
        (lambda: family(style_weight=1.0), "toy has no network 'perceptual'"),
        (lambda: family(adversarial_weight=1.0), "toy has no network 'critic'"),
        (lambda: family(critic_terms=("r1=1",)), "without step.adversarial-weight there is no critic"),
        (lambda: family(loss="hing"), "did you mean hinge"),
        (lambda: family(degradation="downsample"), "downsample for a model that enlarges"),
        (
            lambda: family(degradation="haze", about=Translation(scale=2)),
            "enlarges pictures by 2; set it to downsample",
        ),
    ],
)
def test_what_does_not_fit_is_named(make, words):
    with pytest.raises(ga.UserError, match=words):
        make()


def test_a_mask_of_another_size_is_named():
    algorithm, state, batch = untrained("inpaint")
    with pytest.raises(ga.UserError, match=r"mask: got shape \(4, 8, 8, 1\), wanted that of the pictures"):
        algorithm.transform(state, batch["image"], KEY, mask=jnp.zeros((4, 8, 8, 1)))
    with pytest.raises(ga.UserError, match="wanted a mask in"):
        algorithm.transform(state, batch["image"], KEY, mask=-jnp.ones((4, 16, 16, 1)))
    with pytest.raises(ga.UserError, match=r"wanted \(batch, any, any, 3\)"):
        algorithm.transform(state, batch["image"][..., :1], KEY)
