"""3D-GAN: its stages, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import gan3d
from tests import zoo

KEY = jax.random.key(0)


@pytest.mark.parametrize(("side", "wanted"), [(8, (1, 4)), (24, (2, 6)), (32, (3, 4)), (64, (4, 4)), (128, (5, 4))])
def test_halvings(side, wanted):
    assert gan3d.halvings((side, side, side, 1)) == wanted


@pytest.mark.parametrize("shape", [(32, 32, 1), (32, 32, 16, 1), (4, 4, 4, 1), (18, 18, 18, 1), (256, 256, 256, 1)])
def test_what_is_no_cube_is_refused(shape):
    with pytest.raises(ga.UserError, match="wanted volumes"):
        ga.build("gan3d", image_shape=shape, conditions=())


def test_the_preset_for_gpus_has_the_channels_of_the_paper():
    """512, 256, 128, 64, 1 up to 64 voxels, and 64 to 512 down again; figure 1."""
    run = ga.configure("gan3d", preset="large", image_shape=(64, 64, 64, 1), conditions=())
    roles = gan3d.networks(run.model)
    shapes = {}
    for role, given in (("generator", (2, 200)), ("critic", (2, 64, 64, 64, 1))):
        one = roles[role].module
        made = jax.eval_shape(lambda one=one, given=given: one.init_with_output(KEY, jnp.zeros(given)))
        shapes[role] = {name: leaf["kernel"].shape for name, leaf in made[1]["params"].items() if "kernel" in leaf}
        assert made[0][0].shape == ((2, 64, 64, 64, 1) if role == "generator" else (2,))
    ups = [shapes["generator"][name] for name in ("up_1", "up_2", "up_3", "out")]
    assert [(*one[:3], one[3], one[4]) for one in ups] == [
        (4, 4, 4, 512, 256), (4, 4, 4, 256, 128), (4, 4, 4, 128, 64), (4, 4, 4, 64, 1)
    ]  # fmt: skip
    assert [shapes["critic"][f"down_{i}"][-1] for i in range(4)] == [64, 128, 256, 512]


def test_wgan_gp_takes_a_step():
    options = {"loss": "wasserstein", "d_steps": 2, "critic_terms": ("gp=10",)}
    algorithm = zoo.tiny("gan3d", step=options)
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    state, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    assert np.isfinite(list(metrics.values())).all()
    assert float(metrics["gp"]) > 0


@pytest.mark.parametrize("augment", ["diffaugment", "ada"])
def test_augmentations_of_pictures_are_refused(augment):
    with pytest.raises(ga.UserError, match=f"step.augment {augment} is for pictures"):
        zoo.tiny("gan3d", step={"loss": "non_saturating", "augment": augment})
