"""Steps give the same on one device, on meshes of eight, under pmap and under shard_map.

Plain descent, as Adam's first steps are as large for a gradient of nothing but rounding. Each model's first step under
shard_map is compared in tests/test_models.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from genart_jax.config import Parallel
from genart_jax.train import parallel
from tests import zoo

DEVICES, BATCH = 8, 16
KEY = jax.random.key(3)


def mesh():
    return jax.make_mesh((DEVICES,), ("data",), (AxisType.Auto,))


def plain(name, **options):
    """The algorithm, its first state, and its compiled step on one device."""
    algorithm = zoo.tiny(name, **options)
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, BATCH))
    return algorithm, state, jax.jit(algorithm.step, static_argnames="due")


@functools.cache
def three_steps(name):
    """The algorithm, its first state, and (state, metrics) after each of three steps on one device."""
    algorithm, state, step = plain(name, optimizer=zoo.SGD)
    first, rows = state, []
    for i in range(3):
        state, metrics = step(state, zoo.full_batch(algorithm, BATCH, seed=i), KEY, due=algorithm.due(0))
        rows.append((state, metrics))
    return algorithm, first, rows


def meshed(data, model):
    """As the trainer does it: the batch split over all devices, parameters in `model` parts."""

    def layout(name, **options):
        algorithm, place = zoo.tiny(name, **options), parallel.make_mesh(Parallel(data, model), BATCH)

        @functools.partial(jax.jit, static_argnames="due")
        def compiled(state, batch, key, due):
            lay = parallel.state_sharding(place, state)
            return parallel.partitioned(lambda s: algorithm.step(s, batch, key, due), place, lay)(state)

        def run(state, batch, key, due=None):
            state = jax.device_put(state, parallel.state_sharding(place, state))
            return compiled(state, jax.device_put(batch, parallel.batch_sharding(place)), key, due)

        return run

    return layout


def shard_mapped(name, **options):
    algorithm = zoo.tiny(name, axis_name="data", **options)

    @functools.partial(jax.jit, static_argnames="due")
    def run(state, batch, key, due=None):
        step = functools.partial(algorithm.step, due=due)
        return jax.shard_map(step, mesh=mesh(), in_specs=(P(), P("data"), P()), out_specs=P())(state, batch, key)

    return run


def pmapped(name, **options):
    algorithm = zoo.tiny(name, axis_name="data", **options)
    step = jax.pmap(algorithm.step, axis_name="data", static_broadcasted_argnums=3)

    def run(state, batch, key, due=None):
        stack = lambda tree: jax.tree.map(lambda x: np.stack([x] * DEVICES), jax.device_get(tree))
        split = jax.tree.map(lambda x: x.reshape(DEVICES, -1, *x.shape[1:]), batch)
        out = jax.device_get(step(stack(state), split, jnp.stack([key] * DEVICES), due))
        return jax.tree.map(lambda x: x[0], out)

    return run


LAYOUTS = {"8x1": meshed(8, 1), "4x2": meshed(4, 2), "2x4": meshed(2, 4), "shard_map": shard_mapped, "pmap": pmapped}


@pytest.fixture
def _enough(family_model, layout, full):
    if layout != "4x2" and family_model != "dcgan" and not full:
        pytest.skip("every family over both axes of a mesh, and in test_models under shard_map; the others with --full")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("_enough")
def test_parameters_losses_and_gradient_norms_are_equal(family_model, layout):
    algorithm, state, rows = three_steps(family_model)
    step = LAYOUTS[layout](family_model, optimizer=zoo.SGD)
    for i, (expected, expected_metrics) in enumerate(rows):
        first = state
        state, metrics = step(state, zoo.full_batch(algorithm, BATCH, seed=i), KEY, algorithm.due(0))
        if i == 0:
            # `least`: the strength of a layer's noise starts at 0, and its gradient nearly cancels.
            assert zoo.relative(expected.params, state.params, least=1e-4) < 2e-5
            # The change itself, too: a gradient that is eight times too large hides behind large parameters.
            moved = (zoo.moved(first.params, after.params) for after in (expected, state))
            assert zoo.relative(*moved) < 1e-2
            # Means that are 0 but for rounding, after layers that sum to 0, are compared with a small number.
            if jax.tree.leaves(expected.mutable):
                assert zoo.relative(expected.mutable, state.mutable, least=1e-3) < 1e-5
        for name, value in expected_metrics.items():
            # Later steps loosely: where a unit of a leaky ReLU is within rounding of its kink, gradients jump, and then
            # the other player's loss (fastgan's third step, by 3e-3; so it does where parameters change by 1e-5).
            near = {"rtol": 1e-2, "atol": 1e-3} if i else {"rtol": 1e-4, "atol": 1e-5}
            if "loss" in name or "grad_norm" in name:
                np.testing.assert_allclose(value, metrics[name], err_msg=f"{i} {name}", **near)


def test_vmap_over_seeds_equals_single_runs(family_model):
    algorithm, _, single_step = plain(family_model, optimizer=zoo.SGD)
    batch = zoo.full_batch(algorithm, BATCH)
    keys = jax.random.split(KEY, 3)
    singles = [zoo.start(algorithm, key, batch) for key in keys]
    states = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *singles)
    # The step counter stays unbatched, or each `cond` on it would become a `select`.
    axes, due = jax.tree.map(lambda _: 0, states).replace(step=None), algorithm.due(0)
    states = states.replace(step=singles[0].step)
    step = functools.partial(algorithm.step, due=due)
    members, _ = jax.jit(jax.vmap(step, in_axes=(axes, None, 0), out_axes=(axes, 0)))(states, batch, keys)
    for i, single in enumerate(singles):
        single, _ = single_step(single, batch, keys[i], due=due)
        assert zoo.relative(single.params, jax.tree.map(lambda x, i=i: x[i], jax.device_get(members.params))) < 1e-4


def test_scan_over_steps_equals_single_steps(family_model):
    algorithm, state, rows = three_steps(family_model)
    batches = [zoo.full_batch(algorithm, BATCH, seed=i) for i in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.asarray(np.stack(x)), *batches)
    step = functools.partial(algorithm.step, due=algorithm.due(0))
    scanned, metrics = jax.jit(lambda s, b: jax.lax.scan(lambda s, x: step(s, x, KEY), s, b))(state, stacked)
    assert int(scanned.step) == 3
    for name, value in rows[-1][1].items():
        np.testing.assert_allclose(value, metrics[name][-1], rtol=1e-3, atol=1e-4, err_msg=name)
