"""WGAN-GP's networks against the published layout."""

import jax
import pytest

import genart_jax as ga
from genart_jax.models import wgan_gp
from tests import zoo

KEY = jax.random.key(4)


def test_the_paper_preset_has_the_published_layout():
    """The appendix's networks for 32x32, counted from their rows; no BatchNorm and no last bias in the critic."""
    run = ga.configure("wgan_gp", preset="paper", image_shape=(32, 32, 3), conditions=())
    networks = wgan_gp.networks(run.model)
    shapes = lambda role: jax.eval_shape(networks[role].module.init, KEY, *networks[role].inputs())
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree["params"]))
    kernel = lambda a, b, side=3: side * side * a * b
    block, norm = 2 * kernel(128, 128) + kernel(128, 128, 1), 2 * 128
    generator = (128 + 1) * 4 * 4 * 128 + 3 * (block + 2 * norm) + norm + kernel(128, 3) + 3
    assert count(shapes("generator")) == generator
    first = kernel(3, 128) + kernel(128, 128) + kernel(3, 128, 1) + 3 * 128
    critic = first + (block + 3 * 128) + 2 * (2 * kernel(128, 128) + 2 * 128) + 128
    got = shapes("critic")
    assert count(got) == critic
    assert set(got) == {"params"}
    assert (run.step.loss, run.step.critic_terms, run.step.d_steps) == ("wasserstein", ("gp=10",), 5)
    assert (run.optimizer.b1, run.optimizer.b2) == (0.0, 0.9)


def test_larger_pictures_get_the_pyramid():
    """At 64x64: 512, 512, 256, 128, 64 and back."""
    config = wgan_gp.Config((64, 64, 3), (), width=64, critic_width=64)
    assert wgan_gp.channels(config) == ([512, 512, 256, 128, 64], [128, 256, 512, 512], 4)


def test_wrong_widths():
    with pytest.raises(ga.UserError, match="at least 1"):
        zoo.tiny("wgan_gp", critic_width=0)
