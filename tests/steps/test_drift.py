"""The drifting step's own; what holds for every model is in tests/test_models.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import drift as models
from genart_jax.steps import drift
from tests import zoo

KEY = jax.random.key(2)


def made(**options):
    run = ga.configure("drift", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS, **options)
    return drift.Drifting(models.networks(run.model), run, None)


def test_a_condition_that_differs_is_further_away():
    """Two real pictures, each of its own class: with a large weight, an example goes to that of its class alone."""
    real = [jnp.asarray([[[-1.0], [1.0]]])]
    fake = jnp.asarray([[[-0.1], [0.1]]])
    told = {"style": jnp.array([0, 1]), "shape": jnp.zeros(2, jnp.int32)}

    def pulls(weight, x):
        family = made(step={"condition_weight": weight, "temperatures": (0.1,)})
        return -np.asarray(jax.grad(lambda x: jnp.sum(family._followed(real, [x], told)[0]))(x))[0, :, 0]

    for weight in (0.0, 100.0):
        same = pulls(weight, fake)
        assert same[0] < 0 < same[1]
        turned = pulls(weight, fake[:, ::-1])
        assert (turned[0] > 0) == (weight == 0.0), "0.1 has the class of -1"


def test_equal_pictures_drift_less_than_others():
    family = made(step={"temperatures": (0.5,)})
    batch = zoo.batch(family.spec, 16)
    vectors = [batch["image"][i : i + 8].reshape(8, -1)[None] for i in (0, 8)]
    told = {name: jnp.zeros(8, jnp.int32) for name in batch["condition"]}
    _, like = family._followed([vectors[0]], [vectors[1]], told)
    _, unlike = family._followed([vectors[0]], [0.2 * vectors[1] + 1.5], told)
    assert 1.3 * float(like.mean()) < float(unlike.mean())


def test_each_vector_has_a_loss_that_counts_as_much_as_any_other():
    """One kind of four cells and one of a single vector: the mean over the five, not over the two kinds."""
    family, told = made(step={"temperatures": (0.5,)}), {}
    batch = zoo.batch(family.spec, 16)["image"].reshape(16, -1)[:, :40]
    cells = lambda x: x.reshape(8, 4, 10).transpose(1, 0, 2)
    of = lambda real, fake: np.asarray(family._followed(real, fake, told)[0])
    four, one = [cells(x) for x in (batch[:8], batch[8:])], [x[None, :, :7] for x in (batch[:8], batch[8:])]
    each = [of([four[0][i : i + 1]], [four[1][i : i + 1]]) for i in range(4)] + [of(one[:1], one[1:])]
    together = of([four[0], one[0]], [four[1], one[1]])
    np.testing.assert_allclose(together, np.mean(each, axis=0), rtol=1e-5)


def test_what_cannot_be_is_refused():
    with pytest.raises(ga.UserError, match=r"^train.batch: drift compares the pictures of a batch"):
        zoo.tiny("drift", train={"batch": 1})
    with pytest.raises(ga.UserError, match=r"^train.microbatch: drift compares all pictures of a batch"):
        zoo.tiny("drift", train={"batch": 8, "microbatch": 4})
    with pytest.raises(ga.UserError, match="at least one entry"):
        zoo.tiny("drift", step={"cells": ()})
    with pytest.raises(ga.UserError, match="temperatures"):
        zoo.tiny("drift", step={"temperatures": (0.0,)})
    with pytest.raises(ga.UserError, match=r"wanted some of stem to block_1"):
        zoo.tiny("drift", layers=("block_7",))
