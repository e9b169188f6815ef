"""The hook that holds functions to the shapes in their annotations."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.losses import elbo, quantize
from genart_jax.metrics import neighbours

pytest.importorskip("jaxtyping")


@pytest.mark.parametrize(
    "call",
    [
        lambda: elbo.kl_normal(jnp.zeros((4, 3)), jnp.zeros((4, 2))),
        lambda: quantize.perplexity(jnp.zeros((4, 3))),
        lambda: quantize.usage(jnp.zeros((4, 3)), 3),  # codes are integers
        lambda: neighbours.squared_distances(jnp.zeros((4, 8)), jnp.zeros((3, 7))),
    ],
)
def test_other_shapes_are_refused(call):
    with pytest.raises(TypeError, match="annotated"):
        call()


def test_right_shapes_pass():
    assert elbo.kl_normal(jnp.zeros((4, 3)), jnp.zeros((4, 3))).shape == (4, 3)
    assert neighbours.squared_distances(jnp.zeros((4, 8)), jnp.zeros((3, 8))).shape == (4, 3)
    assert ga.to_float(np.zeros((2, 2), np.uint8)).dtype == jnp.float32


def test_users_need_no_jaxtyping():
    code = "import sys, genart_jax.losses.elbo, genart_jax.metrics.image; assert 'jaxtyping' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
