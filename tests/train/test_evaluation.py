"""An evaluation is the same on any number of devices: each example counts once, and has the draws that it has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.config import BatchSpec, Data, Parallel
from genart_jax.data.source import Split
from genart_jax.nn import random
from genart_jax.steps import common
from genart_jax.train import parallel
from genart_jax.train.evaluation import make_evaluator, ratios
from genart_jax.types import Algorithm, State

SPEC = BatchSpec((1, 1, 1), (("row", 1000),))


def evaluate(state, batch, key):
    """Each row's draw at its own place; and what is beside each example in groups of four."""
    weight = common.weights_of(batch, SPEC)
    drawn = random.uniform(random.example_keys(random.stream(key, "evaluate"), len(weight)))
    place = jax.nn.one_hot(batch["condition"]["row"], 1000) * weight[:, None]
    beside = jnp.repeat(jnp.max((weight * batch["condition"]["row"]).reshape(-1, 4), axis=1), 4)
    return {
        "drawn": (drawn @ place, jnp.sum(place, axis=0)),
        "count": common.weighted(jnp.ones_like(weight), weight),
        "beside": common.weighted(beside, weight),
    }


def test_figures_by_class_are_averaged_or_the_smallest_is_taken():
    values, labels = jnp.array([1.0, 3.0, 5.0, 9.0, 7.0]), jnp.array([0, 0, 2, -1, 2])
    weight = jnp.array([1.0, 1.0, 1.0, 1.0, 0.0])  # the last is padding, and of class 1 there is none
    sums = common.by_class(values, labels, 3, weight)
    np.testing.assert_array_equal(sums[0], [4.0, 0.0, 5.0])
    np.testing.assert_array_equal(sums[1], [2.0, 0.0, 1.0])
    assert ratios({"mean": sums, "least_of_all": sums}) == {"mean": 3.5, "least_of_all": 2.0}
    assert np.isnan(ratios({"least_of_none": (jnp.zeros(2), jnp.zeros(2))})["least_of_none"])


@pytest.mark.parametrize("size", [3, 10, 64, 300])
def test_draws_are_the_same_on_any_number_of_devices(size, monkeypatch):
    sums = []
    monkeypatch.setattr("genart_jax.train.evaluation.ratios", lambda totals: sums.append(totals) or {})
    rows = np.arange(size)
    split = Split(size, {"row": rows, "image": np.zeros((size, 1, 1, 1), np.uint8)})
    algorithm = Algorithm(SPEC, 1, None, None, evaluate)
    state = State(jnp.zeros((), jnp.int32), *({} for _ in range(5)))
    for devices in (1, 2, 4, 8):
        make_evaluator(algorithm, Data(), parallel.make_mesh(Parallel(data=devices), devices))(
            state, split, jax.random.key(1)
        )
    for found in sums:
        assert found["count"][0] == size
        np.testing.assert_array_equal(found["drawn"][1], np.arange(1000) < size)  # each example once
        for name in found:
            np.testing.assert_allclose(found[name][0], sums[0][name][0], rtol=1e-6, err_msg=name)
    drawn = sums[0]["drawn"][0][:size]
    assert len(set(drawn.tolist())) == size


def test_padding_for_a_number_that_divides_nothing():
    """Three devices: no example is lost or counted twice, and draws are those of one device."""
    found = []
    for devices in (1, 3):
        rows = np.arange(300)
        split = Split(300, {"row": rows, "image": np.zeros((300, 1, 1, 1), np.uint8)})
        algorithm = Algorithm(SPEC, 1, None, None, evaluate_alone)
        state = State(jnp.zeros((), jnp.int32), *({} for _ in range(5)))
        run = make_evaluator(algorithm, Data(), parallel.make_mesh(Parallel(data=devices), devices))
        found.append(run(state, split, jax.random.key(1)))
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def evaluate_alone(state, batch, key):
    weight = common.weights_of(batch, SPEC)
    drawn = random.uniform(random.example_keys(random.stream(key, "evaluate"), len(weight)))
    return {"drawn": common.weighted(drawn * batch["condition"]["row"], weight)}
