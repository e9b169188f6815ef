"""R3GAN: the published sizes, and blocks that begin as the identity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import r3gan
from genart_jax.steps import schedules
from tests import zoo

KEY = jax.random.key(4)
PUBLISHED = {  # preset: pictures, conditions, millions of parameters of the generator and of the critic
    "cifar": ((32, 32, 3), (("class", 10),), "20.78 21.28"),
    "ffhq-64": ((64, 64, 3), (), "22.43 22.38"),
    "ffhq-256": ((256, 256, 3), (), "23.06 23.01"),
    "imagenet-32": ((32, 32, 3), (("class", 1000),), "82.9 86.5"),
}


@pytest.mark.parametrize("preset", PUBLISHED)
def test_presets_have_the_published_numbers_of_parameters(preset):
    shape, conditions, wanted = PUBLISHED[preset]
    config = ga.configure("r3gan", preset=preset, image_shape=shape, conditions=conditions).model
    got = []
    for module, inputs, *_ in r3gan.networks(config).values():
        params = jax.eval_shape(lambda module=module, inputs=inputs: module.init(KEY, *inputs()))["params"]
        tables = params.get("embed", {}) | params.get("class_embed", {})
        hidden = sum(table.shape[1] for table in tables.values())  # a class more than published
        got.append((sum(leaf.size for leaf in jax.tree.leaves(params)) - hidden) / 1e6)
    digits = len(wanted.split()[0].partition(".")[2])
    assert " ".join(f"{count:.{digits}f}" for count in got) == wanted


def test_a_block_starts_as_the_identity_with_scaled_kernels_behind_it():
    """He's deviation for a slope of 0.2, times L^(-1/4); the fan-in of a grouped kernel is that of its group."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 64)), jnp.float32)
    block = r3gan.Block(expansion=2, group_width=16, depth=16)
    variables = jax.jit(block.init)(KEY, x)
    np.testing.assert_array_equal(jax.jit(block.apply)(variables, x), x)
    kernels = {name: np.asarray(layer["kernel"]) for name, layer in variables["params"].items()}
    assert kernels["grouped"].shape == (3, 3, 16, 128)
    for name, fan_in in (("expand", 64), ("grouped", 9 * 16)):
        wanted = (2 / (1 + 0.2**2) / fan_in) ** 0.5 / 2
        np.testing.assert_allclose(kernels[name].std(), wanted, rtol=0.05, err_msg=name)
    assert not kernels["project"].any()
    assert "bias" not in variables["params"]["project"]


def test_classes_begin_as_of_linear_layers_of_one_hot_vectors():
    """Deviations of 1 / sqrt(classes), in the critic by the root of the vector's length smaller."""
    config = r3gan.Config((16, 16, 3), (("class", 400),), embed_dim=64, channel_base=1024, blocks=1, group_width=8)
    for role, name, wanted in (("generator", "embed", 400**-0.5), ("critic", "class_embed", (400 * 256) ** -0.5)):
        module, inputs, *_ = r3gan.networks(config)[role]
        table = jax.jit(module.init)(KEY, *inputs())["params"][name]["class"]
        assert float(jnp.std(table)) == pytest.approx(wanted, rel=0.03), role


def test_numbers_fall_and_rise_along_a_cosine():
    """Of the CIFAR preset, over 20 million pictures: as published."""
    run = ga.get_config("r3gan", "cifar")
    found = schedules.parse(run.train.schedules, run.train.steps)
    ends = {name: (s.start, s.end) for name, s in found.items()}
    assert ends == {
        "learning_rate": (2e-4, 5e-5), "b2": (0.9, 0.99), "r1": (0.025, 0.0025), "r2": (0.025, 0.0025),
        "ema_images": (0.0, 5e6), "augment_p": (0.0, 0.55),
    }  # fmt: skip
    assert {(s.shape, s.steps * run.train.batch) for s in found.values()} == {("cosine", 39_062 * 512)}


SIZES = {(32, 32, 3): True, (28, 28, 1): True, (16, 32, 1): True, (48, 96, 3): True, (30, 30, 3): False,
         (2048, 2048, 3): False, (32, 32): False}  # fmt: skip


@pytest.mark.parametrize(("shape", "good"), SIZES.items())
def test_sizes(shape, good):
    config = r3gan.Config(shape, (), latent_dim=8, channel_base=64, channel_max=8, blocks=1, group_width=8)
    if not good:
        with pytest.raises(ga.UserError, match=r"r3gan: image_shape"):
            r3gan.networks(config)
        return
    for role, wanted in (("generator", (2, *shape)), ("critic", (2,))):
        module, inputs, *_ = r3gan.networks(config)[role]
        out = jax.eval_shape(lambda module=module, inputs=inputs: module.init_with_output(KEY, *inputs())[0][0])
        assert out.shape == wanted, role


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"group_width": -1}, "group_width must not be negative"),
        ({"channel_max": 24, "channel_base": 1000, "group_width": 32}, "48 channels do not divide into groups of 32"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ga.UserError, match=words):
        zoo.tiny("r3gan", **options)
