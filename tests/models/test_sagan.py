"""SAGAN's networks: where they attend, what is normalised, and the two learning rates."""

import jax
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import sagan
from tests import zoo

KEY = jax.random.key(6)


def made(config):
    """(variables, named intermediates) of both networks, as shapes."""
    for network in sagan.networks(config).values():
        (_, aux), variables = jax.eval_shape(network.module.init_with_output, KEY, *network.inputs())
        yield variables, aux


def test_the_paper_preset_attends_in_the_middle_of_128_pixels():
    run = ga.configure("sagan", preset="paper", image_shape=(128, 128, 3), conditions=())
    (generator, up), (critic, down) = made(run.model)
    assert [up[f"stage_{i}"].shape[1:] for i in range(6)] == [
        (4, 4, 1024), (8, 8, 1024), (16, 16, 512), (32, 32, 256), (64, 64, 128), (128, 128, 64)
    ]  # fmt: skip
    assert [down[f"stage_{i}"].shape[1:] for i in range(6)] == [
        (64, 64, 64), (32, 32, 128), (16, 16, 256), (8, 8, 512), (4, 4, 1024), (4, 4, 1024)
    ]  # fmt: skip
    for variables, aux, channels in ((generator, up, 256), (critic, down, 128)):
        assert aux["attention"].shape == (2, 32 * 32, 32 * 32)
        assert variables["params"]["attention"]["queries"]["kernel"].shape == (1, 1, channels, channels // 8)
        assert variables["params"]["attention"]["gamma"].shape == ()
    assert (run.optimizer.learning_rate, run.step.critic_learning_rate, run.step.d_steps) == (1e-4, 4e-4, 1)


def test_every_kernel_of_both_networks_is_normalised():
    """But the generator's conditional offsets, which stand in place of a normalisation's parameters."""
    config = ga.configure("sagan", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS).model
    for variables, _ in made(config):
        paths = lambda tree: {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}
        kernels = {path for path, leaf in paths(variables["params"]).items() if leaf.ndim > 1 and "offsets" not in path}
        followed = {path.replace("_u']", "']") for path in paths(variables["spectral"])}
        assert kernels == followed
        assert len(kernels) > 10


def test_gamma_leaves_0_and_the_generator_s_u_follows_its_updates_alone():
    """Attention adds nothing at first; u makes one iteration a step, however many critic updates see pictures."""
    algorithm = zoo.tiny("sagan", gamma=0.0, step={"d_steps": 2})
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    after, _ = jax.jit(algorithm.step)(state, batch, KEY)
    for role in ("generator", "critic"):
        assert float(state.params[role]["attention"]["gamma"]) == 0.0
        assert float(after.params[role]["attention"]["gamma"]) != 0.0
    old, new = (s.mutable["generator"]["spectral"]["out"]["kernel_u"] for s in (state, after))
    matrix = np.asarray(state.params["generator"]["out"]["kernel"], np.float64).reshape(-1, len(old))
    v = matrix @ np.asarray(old, np.float64)
    want = matrix.T @ v
    np.testing.assert_allclose(new, want / np.linalg.norm(want), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{"width": 0}, {"attention": 2}, {"image_shape": (30, 30, 3)}])
def test_wrong_sizes(options):
    with pytest.raises(ga.UserError, match="sagan: "):
        zoo.tiny("sagan", **options)
