"""Every model of the registry, at its tiny preset. A new model is tested by being there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import registry
from genart_jax.train.checkpoint import abstract_state
from genart_jax.train.store import Checkpoints
from tests import zoo

KEY = jax.random.key(1)


@pytest.fixture
def trained(model):
    """(algorithm, first state, batch, state after two steps with all lazy terms due, metrics)."""
    algorithm = zoo.tiny(model)
    batch = zoo.full_batch(algorithm, 8)
    first = zoo.start(algorithm, KEY, batch)
    step = jax.jit(algorithm.step, static_argnames="due")
    due = tuple(name for name, _ in algorithm.lazy)
    state, _ = step(first, batch, KEY, due=due)
    state, metrics = step(state, batch, KEY, due=due)
    return algorithm, first, batch, state, metrics


def paths(tree):
    return {jax.tree_util.keystr(k): np.asarray(v) for k, v in jax.tree.leaves_with_path(tree)}


def test_initialisation(trained):
    algorithm, first, batch, _, _ = trained
    assert int(first.step) == 0
    for path, leaf in paths(first.params).items():
        assert leaf.dtype == np.float32, path
        assert np.isfinite(leaf).all(), path
    again = zoo.start(algorithm, KEY, batch)
    other = zoo.start(algorithm, jax.random.key(2), batch)
    same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), first, again)
    assert all(jax.tree.leaves(same))
    assert not all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), first.params, other.params)))
    # No two leaves may share a buffer, or donation fails.
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(first) if leaf.size > 1]
    assert len(set(pointers)) == len(pointers)


def test_every_parameter_has_a_gradient(model):
    """By one step of plain descent, as Adam would make a full step of rounding noise."""
    algorithm = zoo.tiny(model, optimizer=zoo.SGD)
    batch = zoo.full_batch(algorithm, 32)
    first = zoo.start(algorithm, KEY, batch)
    due = tuple(name for name, _ in algorithm.lazy)
    state, _ = jax.jit(algorithm.step, static_argnames="due")(first, batch, KEY, due=due)
    before, after = paths(first.params), paths(state.params)
    for path in before:
        gradient = np.abs(after[path] - before[path]).max() / zoo.SGD["learning_rate"]
        assert np.isfinite(after[path]).all(), path
        assert gradient > 1e-6, f"{path}: {gradient}"


def test_two_steps_change_every_role_and_its_average(trained):
    _, first, _, state, metrics = trained
    assert int(state.step) == 2
    for name, value in metrics.items():
        assert value.shape == (), name
        assert np.isfinite(value), name
    for part in ("params", "ema"):
        for role in getattr(first, part):
            old, new = (paths(getattr(s, part)[role]) for s in (first, state))
            assert any((old[path] != new[path]).any() for path in old), f"{part} {role}"


def test_one_trace_for_each_shape_and_set_of_due_terms(model):
    algorithm = zoo.tiny(model)
    traces = []

    def counted(state, batch, key, due=None):
        traces.append(due)
        return algorithm.step(state, batch, key, due)

    step = jax.jit(counted, static_argnames="due")
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    for i in range(6):
        state, _ = step(state, batch, KEY, due=algorithm.due(i))
    assert len(traces) == len({algorithm.due(i) for i in range(6)})


def test_donation_frees_every_input(model):
    algorithm = zoo.tiny(model)
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    step = jax.jit(algorithm.step, donate_argnums=0, static_argnames="due")
    step(state, batch, KEY, due=algorithm.due(0))
    alive = [
        path for path, leaf in zip(paths_only(state), jax.tree.leaves(state), strict=True) if not leaf.is_deleted()
    ]
    assert not alive


def paths_only(tree):
    return [jax.tree_util.keystr(k) for k, _ in jax.tree.leaves_with_path(tree)]


def test_checkpoint_round_trip_is_exact(trained, tmp_path):
    algorithm, _, _, state, _ = trained
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), abstract_state(algorithm)
    )
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, None)
        loaded, position = checkpoints.load(abstract)
    assert position is None
    state, loaded = (s.replace(frozen={}) for s in (state, loaded))  # which no checkpoint holds
    assert jax.tree.structure(loaded) == jax.tree.structure(state)
    for path, leaf in paths(state).items():
        np.testing.assert_array_equal(paths(loaded)[path], leaf, err_msg=path)


def test_uses_have_the_right_shape_and_range(trained):
    algorithm, _, batch, state, _ = trained
    spec = algorithm.batch_spec
    some = [u for u in (algorithm.sample, algorithm.predict, algorithm.transform) if u is not None]
    assert some, "a model that can be used for nothing"
    if algorithm.sample is not None:
        images = algorithm.sample(state, KEY, 5)
        assert images.shape == (5, *spec.image_shape)
        assert images.dtype == jnp.float32
        assert -1 <= float(images.min()) <= float(images.max()) <= 1
        # The same key gives the same pictures, however many are asked for.
        np.testing.assert_allclose(algorithm.sample(state, KEY, 3), images[:3], atol=1e-5)
        assert not np.allclose(algorithm.sample(state, jax.random.key(9), 5), images)
        for name, classes in spec.conditions:
            one = algorithm.sample(state, KEY, 2, {name: classes - 1})
            assert one.shape == (2, *spec.image_shape)
            with pytest.raises(ga.UserError, match=f"condition {name}"):
                algorithm.sample(state, KEY, 2, {name: classes})
        with pytest.raises(ga.UserError, match="unknown"):
            algorithm.sample(state, KEY, 2, {"flavour": 1})
    image = batch["image"][:4]
    if algorithm.encode is not None:
        z = algorithm.encode(state, image, KEY)
        assert algorithm.decode(state, z).shape == image.shape
    if algorithm.transform is not None:
        assert algorithm.transform(state, image, KEY).shape == image.shape
    if algorithm.predict is not None:
        np.testing.assert_allclose(jnp.sum(jnp.exp(algorithm.predict(state, image)), axis=-1), 1, rtol=1e-5)


def test_evaluation_ignores_padding_and_adds_up(trained):
    algorithm, _, _, state, _ = trained
    batch = zoo.batch(algorithm.batch_spec, 8)
    whole = algorithm.evaluate(state, batch, KEY)
    assert whole
    ruined = jax.tree.map(lambda x: x.at[6:].set(x[0]), batch)
    weight = jnp.array([1.0] * 6 + [0.0] * 2)
    padded = algorithm.evaluate(state, batch | {"weight": weight}, KEY)
    also = algorithm.evaluate(state, ruined | {"weight": weight}, KEY)
    for name, (total, count) in padded.items():
        if jnp.ndim(count) == 0:
            assert float(count) == 6, name
            np.testing.assert_allclose(total, also[name][0], rtol=1e-5, err_msg=name)
            assert float(whole[name][1]) == 8, name


def test_wrong_batches_are_named(model):
    algorithm = zoo.tiny(model)
    batch = zoo.full_batch(algorithm, 4)
    state = zoo.start(algorithm, KEY, batch)
    with pytest.raises(ga.UserError, match=r"got shape \(4, 8, 8, 3\)"):
        algorithm.step(state, batch | {"image": jnp.zeros((4, 8, 8, 3))}, KEY)
    with pytest.raises(ga.UserError, match="to_float"):
        algorithm.step(state, batch | {"image": jnp.zeros(batch["image"].shape, jnp.uint8)}, KEY)
    with pytest.raises(ga.UserError, match=r"\[0, 255\]"):
        algorithm.evaluate(state, batch | {"image": jnp.zeros(batch["image"].shape).at[0, 0].set(255.0)}, KEY)
    with pytest.raises(ga.UserError, match="no 'image'"):
        algorithm.step(state, {"picture": 1}, KEY)
    if algorithm.batch_spec.conditions:
        with pytest.raises(ga.UserError, match="missing"):
            algorithm.step(state, {"image": batch["image"]}, KEY)
        (name, classes), *_ = algorithm.batch_spec.conditions
        for value, words in (
            (jnp.zeros(len(batch["image"])), "wanted integers"),
            (batch["condition"][name][:1], "wanted integers"),
            (jnp.full(len(batch["image"]), classes), "outside 0 to"),
        ):
            with pytest.raises(ga.UserError, match=words):
                algorithm.step(state, batch | {"condition": batch["condition"] | {name: value}}, KEY)


def test_rectangles(model):
    algorithm = zoo.tiny(model, image_shape=(16, 32, 1))
    batch = zoo.full_batch(algorithm, 4)
    state, _ = jax.jit(algorithm.step, static_argnames="due")(zoo.start(algorithm, KEY, batch), batch, KEY, due=())
    if algorithm.sample is not None:
        assert algorithm.sample(state, KEY, 2).shape == (2, 16, 32, 1)


def test_presets_are_whole(model):
    presets = registry.model_module(model).PRESETS
    assert {"default", "tiny"} <= set(presets)
    for preset in presets:
        assert ga.get_config(model, preset).name == model


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_precision_policies(model, precision):
    """Parameters and losses stay float32 and near those of full precision; the policy reaches the products."""
    exact, other = zoo.tiny(model), zoo.tiny(model, train={"precision": precision})
    batch = zoo.full_batch(exact, 16)
    state = zoo.start(exact, KEY, batch)
    lowered = (
        jax.jit(other.step, static_argnames="due").trace(state, batch, KEY, due=()).lower(lowering_platforms=("cuda",))
    )
    text = lowered.as_text()
    products = [
        line for line in text.splitlines() if "stablehlo.convolution" in line or "stablehlo.dot_general" in line
    ]
    assert products
    if precision == "tf32":
        assert all("HIGH" in line and "DEFAULT" not in line for line in products)
        return
    assert sum("bf16" in line for line in products) > 0.5 * len(products)
    _, exact_metrics = jax.jit(exact.step, static_argnames="due")(state, batch, KEY, due=())
    got, metrics = jax.jit(other.step, static_argnames="due")(state, batch, KEY, due=())
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(got.params))
    for name, value in metrics.items():
        if "loss" in name:
            np.testing.assert_allclose(value, exact_metrics[name], rtol=0.05, err_msg=name)
