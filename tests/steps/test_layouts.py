"""One step gives the same on one device, on meshes of eight, under pmap and under shard_map."""

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
    algorithm = zoo.tiny(name, **options)
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, BATCH))
    return algorithm, state, jax.jit(algorithm.step, static_argnames="due")


@functools.cache
def one_sgd_step(name):
    """The algorithm, its first state, and the state after one step on one device."""
    algorithm, state, step = plain(name, optimizer=zoo.SGD)
    batch = zoo.full_batch(algorithm, BATCH)
    return algorithm, state, batch, step(state, batch, KEY, due=algorithm.due(0))[0]


@functools.cache
def ten_steps(name):
    """The algorithm, its first state, and the metrics of ten steps on one device."""
    algorithm, state, step = plain(name)
    first, rows = state, []
    for i in range(10):
        state, metrics = step(state, zoo.full_batch(algorithm, BATCH, seed=i), KEY, due=algorithm.due(i))
        rows.append(metrics)
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


def relative(a, b, least=1e-12):
    """The largest difference of any leaf, relative to the largest entry of that leaf (or to `least`)."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.max(np.abs(x - y)) / (np.max(np.abs(x)) + least)) for x, y in pairs)


@pytest.fixture
def _also_2x4(layout, full):
    if layout == "2x4" and not full:
        pytest.skip("4x2 the other way round: with --full")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("_also_2x4")
def test_parameters_after_one_sgd_step_are_equal(family_model, layout):
    algorithm, state, batch, expected = one_sgd_step(family_model)
    got, _ = LAYOUTS[layout](family_model, optimizer=zoo.SGD)(state, batch, KEY, algorithm.due(0))
    moved = jax.tree.map(jnp.subtract, expected.params, state.params)
    got_moved = jax.tree.map(jnp.subtract, got.params, state.params)
    assert relative(expected.params, got.params) < 1e-5
    # The change itself, too: a gradient that is eight times too large hides behind large parameters.
    assert relative(moved, got_moved) < 1e-2
    if jax.tree.leaves(expected.mutable):
        # Means that are 0 but for rounding, after layers that sum to 0, are compared with a small number.
        assert relative(expected.mutable, got.mutable, least=1e-3) < 1e-5


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "pmap"])  # a shard_map since jax 0.10
@pytest.mark.usefixtures("_also_2x4")
def test_losses_and_gradient_norms_over_ten_steps_are_equal(family_model, layout):
    algorithm, state, rows = ten_steps(family_model)
    step = LAYOUTS[layout](family_model)
    for i, expected in enumerate(rows):
        state, metrics = step(state, zoo.full_batch(algorithm, BATCH, seed=i), KEY, algorithm.due(i))
        for name in expected:
            if "loss" in name or "grad_norm" in name:
                np.testing.assert_allclose(expected[name], metrics[name], rtol=1e-4, atol=1e-5, err_msg=f"{i} {name}")


def test_vmap_over_seeds_equals_single_runs(family_model):
    algorithm, _, single_step = plain(family_model)
    batch = zoo.full_batch(algorithm, BATCH)
    keys = jax.random.split(KEY, 3)
    states = jax.jit(jax.vmap(lambda key, b: zoo.start(algorithm, key, b), in_axes=(0, None)))(keys, batch)
    # The step counter stays unbatched, or each `cond` on it would become a `select`.
    axes = jax.tree.map(lambda _: 0, states).replace(step=None)
    states = states.replace(step=states.step[0])
    due = algorithm.due(0)
    step = functools.partial(algorithm.step, due=due)
    members, _ = jax.jit(jax.vmap(step, in_axes=(axes, None, 0), out_axes=(axes, 0)))(states, batch, keys)
    for i in range(3):
        single, _ = single_step(zoo.start(algorithm, keys[i], batch), batch, keys[i], due=due)
        member = jax.tree.map(lambda x, i=i: x[i], members.params)
        assert relative(single.params, member) < 1e-4


def test_scan_over_steps_equals_single_steps(family_model):
    algorithm, state, step = plain(family_model)
    batches = [zoo.full_batch(algorithm, BATCH, seed=i) for i in range(4)]
    single = state
    for i, batch in enumerate(batches):
        single, metrics = step(single, batch, KEY, due=algorithm.due(i))
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *batches)
    scanned, all_metrics = jax.jit(lambda s, b: jax.lax.scan(lambda s, x: algorithm.step(s, x, KEY), s, b))(
        state, stacked
    )
    assert int(scanned.step) == 4
    for name in metrics:
        np.testing.assert_allclose(metrics[name], all_metrics[name][-1], rtol=1e-3, atol=1e-4, err_msg=name)
