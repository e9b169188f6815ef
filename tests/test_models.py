"""Every model of the registry, at its tiny preset. A new model is tested by being there.

What is the engine's (layouts, checkpoints) goes over one model of each family, and with --full over all.
"""

import functools
import re
from typing import NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend.core import jaxprs_in_params

import genart_jax as ga
from genart_jax import registry
from genart_jax.app import words
from genart_jax.steps.optim import make_optimizer
from genart_jax.train.checkpoint import Model, Saved, abstract_state
from genart_jax.train.store import Checkpoints
from genart_jax.use import export
from tests import zoo
from tests.conftest import FAMILIES
from tests.steps.test_layouts import BATCH, shard_mapped
from tests.steps.test_uses import example
from tests.use.test_export import CLASS_NAMES, inputs_of

KEY = jax.random.key(1)
MOMENTUM = {"optimizer": zoo.SGD | {"b1": 0.9}}
"""Plain descent at the first step, with moments that are the gradient, and that checkpoints have to keep."""


class Trained(NamedTuple):
    """Two steps with all lazy terms due, by a program that takes the state's memory over, as the trainer's does.

    One program serves all tests of a model: compiling it is what they cost.
    """

    algorithm: ga.Algorithm
    first: ga.State
    batch: ga.Batch
    state: ga.State
    first_metrics: ga.Metrics
    metrics: ga.Metrics
    traces: int
    alive: list[str]
    """What of the first state was left behind."""
    once: ga.State


@functools.cache
def train(model):
    algorithm = zoo.tiny(model, **MOMENTUM)
    batch = zoo.full_batch(algorithm, BATCH)
    first = zoo.start(algorithm, KEY, batch)
    due, traces = tuple(name for name, _ in algorithm.lazy), []

    def counted(state, batch, key):
        traces.append(1)
        return algorithm.step(state, batch, key, due)

    copied = lambda state: jax.tree.map(lambda x: jnp.array(np.array(x)), state)
    step, given = jax.jit(counted, donate_argnums=0), copied(first)
    state, first_metrics = step(given, batch, KEY)
    alive = [jax.tree_util.keystr(path) for path, leaf in jax.tree.leaves_with_path(given) if not leaf.is_deleted()]
    once = jax.device_get(state)
    state, metrics = step(state, batch, KEY)
    return Trained(algorithm, first, batch, state, first_metrics, metrics, len(traces), alive, once)


@pytest.fixture
def trained(model):
    return train(model)


def paths(tree):
    return {jax.tree_util.keystr(k): np.asarray(v) for k, v in jax.tree.leaves_with_path(tree)}


def test_initialisation(trained):
    algorithm, first, batch, *_ = trained
    assert int(first.step) == 0
    for path, leaf in paths(first.params).items():
        assert leaf.dtype == np.float32, path
        assert np.isfinite(leaf).all(), path
    again = zoo.start(algorithm, KEY, batch)
    other = zoo.start(algorithm, jax.random.key(2), batch)
    again, other = paths(again), paths(other.params)
    for path, leaf in paths(first).items():
        np.testing.assert_array_equal(leaf, again[path], err_msg=path)
    assert any((leaf != other[path]).any() for path, leaf in paths(first.params).items())
    # No two leaves may share a buffer, or donation fails.
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(first) if leaf.size > 1]
    assert len(set(pointers)) == len(pointers)


def test_every_parameter_has_a_gradient(trained):
    is_trace = lambda x: isinstance(x, optax.TraceState)
    found = [paths(x.trace) for x in jax.tree.leaves(trained.state.opt, is_leaf=is_trace) if is_trace(x)]
    assert sum(map(len, found)) == len(jax.tree.leaves(trained.state.params))
    for path, gradient in (pair for tree in found for pair in tree.items()):
        assert np.isfinite(gradient).all(), path
        assert np.abs(gradient).max() > 1e-6, f"{path}: {np.abs(gradient).max()}"


def test_a_step_over_eight_devices_is_the_same(family_model):
    """Under shard_map, where means, draws and statistics are the step's own business."""
    trained = train(family_model)
    due = tuple(name for name, _ in trained.algorithm.lazy)
    got, metrics = shard_mapped(family_model, **MOMENTUM)(trained.first, trained.batch, KEY, due)
    assert zoo.relative(trained.once.params, got.params) < 1e-5
    # The change itself, too: a gradient that is eight times too large hides behind large parameters.
    assert zoo.relative(*(zoo.moved(trained.first.params, s.params) for s in (trained.once, got))) < 1e-2
    # Means that are 0 but for rounding, after layers that sum to 0, are compared with a small number.
    assert not jax.tree.leaves(got.mutable) or zoo.relative(trained.once.mutable, got.mutable, least=1e-3) < 1e-5
    for name, value in trained.first_metrics.items():
        if "loss" in name or "grad_norm" in name:
            np.testing.assert_allclose(value, metrics[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_two_steps_change_every_role_and_its_average(trained):
    _, first, _, state, _, metrics, *_ = trained
    assert int(state.step) == 2
    for name, value in metrics.items():
        assert value.shape == (), name
        assert np.isfinite(value), name
    for part in ("params", "ema"):
        for role in getattr(first, part):
            old, new = (paths(getattr(s, part)[role]) for s in (first, state))
            assert any((old[path] != new[path]).any() for path in old), f"{part} {role}"


def test_one_trace_for_each_shape(trained):
    assert trained.traces == 1


def test_a_state_keeps_its_types_for_every_set_of_due_terms(family_model):
    algorithm, first, batch, *_ = train(family_model)
    for due in {algorithm.due(i) for i in range(6)}:
        after, _ = jax.eval_shape(functools.partial(algorithm.step, due=due), first, batch, KEY)
        for (path, a), b in zip(jax.tree.leaves_with_path(first), jax.tree.leaves(after), strict=True):
            assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type), jax.tree_util.keystr(path)


def test_donation_frees_every_input(trained):
    assert not trained.alive


def test_checkpoint_round_trip_is_exact(family_model, tmp_path):
    trained = train(family_model)
    algorithm, state = trained.algorithm, trained.state
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
    loaded = paths(loaded)
    for path, leaf in paths(state).items():
        np.testing.assert_array_equal(loaded[path], leaf, err_msg=path)


def test_uses_have_the_right_shape_and_range(trained, model, full):
    algorithm, batch, state = trained.algorithm, trained.batch, trained.state
    spec = algorithm.batch_spec
    assert {"sample", "predict", "transform", "stylize"} & algorithm.uses.keys(), "a model that can be used for nothing"
    if algorithm.sample is not None:
        sample = jax.jit(algorithm.sample, static_argnums=2)
        images = sample(state, KEY, 5)
        assert images.shape == (5, *spec.image_shape)
        assert images.dtype == jnp.float32
        assert -1 <= float(images.min()) <= float(images.max()) <= 1
        if full or model in FAMILIES.values():
            # The same key gives the same pictures, however many are asked for.
            np.testing.assert_allclose(sample(state, KEY, 3), images[:3], atol=1e-5)
        assert not np.allclose(sample(state, jax.random.key(9), 5), images)
        if spec.conditions and (full or model in FAMILIES.values()):
            last = {name: classes - 1 for name, classes in spec.conditions}
            given = jax.eval_shape(lambda: algorithm.sample(state, KEY, 2, last))
            assert given.shape == (2, *spec.image_shape)
        for name, classes in spec.conditions:
            with pytest.raises(ga.UserError, match=f"condition {name}"):
                algorithm.sample(state, KEY, 2, {name: classes})
        with pytest.raises(ga.UserError, match="unknown"):
            algorithm.sample(state, KEY, 2, {"flavour": 1})
    image = batch["image"][:4]
    # Latents are decoded, and pictures encoded, for conditions; what has none takes none.
    told = [{name: value[:4] for name, value in batch["condition"].items()}] if spec.conditions else []
    if algorithm.encode is not None:
        z = jax.jit(algorithm.encode)(state, image, KEY, *told)
        assert jax.jit(algorithm.decode)(state, z, *told).shape == image.shape
    if algorithm.transform is not None:
        scale = translation.scale if (translation := algorithm.uses["transform"].translation) else 1
        larger = (*image.shape[:-3], *(n * scale for n in image.shape[-3:-1]), image.shape[-1])
        assert jax.jit(algorithm.transform)(state, image, KEY, *told).shape == larger
    if algorithm.predict is not None:
        np.testing.assert_allclose(np.exp(jax.jit(algorithm.predict)(state, image)).sum(-1), 1, rtol=1e-5)


def test_every_use_runs_from_its_declared_inputs(trained, model, full):
    algorithm, state = trained.algorithm, trained.state
    assert algorithm.uses, "a model that can be used for nothing"
    shape = (2, *algorithm.batch_spec.image_shape)
    for name, use in algorithm.uses.items():
        given = {one.name: example(one) for one in use.inputs}
        made = jax.eval_shape(lambda s, use=use, given=given: use.function(s, **given), state)
        if full or model in FAMILIES.values():
            by_place = jax.eval_shape(lambda s, use=use, given=given: use.function(s, *given.values()), state)
            assert made.shape == by_place.shape
        if name in ("sample", "decode", "transform", "synthesize"):
            scale = use.translation.scale if use.translation else 1
            wanted = shape if scale == 1 else (2, *(n * scale for n in shape[1:3]), shape[3])
            assert (made.shape, made.dtype) == (wanted, jnp.float32), name
        if name == "encode":
            (latents,) = (one for one in algorithm.uses["decode"].inputs if one.kind in ("latents", "codes"))
            assert made.shape[1:] == latents.shape
            assert jnp.issubdtype(made.dtype, jnp.integer) == (latents.kind == "codes")
        if name in ("draw", "map"):
            (other,) = algorithm.uses["decode" if name == "draw" else "synthesize"].inputs[:1]
            assert made.shape[1:] == other.shape
        if name in ("sample", "decode", "encode", "predict", "transform"):
            assert getattr(algorithm, name) is use.function
        with pytest.raises(ga.UserError, match=f"{name} takes .*; got flavour"):
            use.function(None, flavour=1)


def test_every_model_is_exported_for_every_platform_and_batch(trained, model, full):
    """As far as lowering goes: what it draws, of a model of each family."""
    saved = Saved(ga.configure(model, preset="tiny"), {"class_names": CLASS_NAMES})
    algorithm, given = trained.algorithm, Model(trained.algorithm, trained.state)
    if algorithm.sample is None and algorithm.predict is None:
        with pytest.raises(ga.UserError, match="cannot be exported"):
            export.program_of(given, saved)
        return
    program = export.program_of(given, saved)
    exported = jax.export.deserialize(bytearray(export.serialize(program, export.PLATFORMS)))
    assert exported.platforms == export.PLATFORMS
    for batch in (1, 3) if full or model in FAMILIES.values() else ():
        inputs = inputs_of(program, batch)
        # Two programs of the same sums: their rounding differs.
        np.testing.assert_allclose(
            exported.call(**inputs), program.function(*map(jnp.asarray, inputs.values())), rtol=1e-3, atol=1e-4
        )


def test_evaluation_ignores_padding_and_adds_up(trained):
    algorithm, state = trained.algorithm, trained.state
    batch, evaluate = zoo.batch(algorithm.batch_spec, 8), jax.jit(algorithm.evaluate)
    whole = evaluate(state, batch | {"weight": np.ones(8, np.float32)}, KEY)
    assert whole
    assert whole.keys() <= words.FIGURES.keys(), "a figure that is not explained in words"
    ruined = jax.tree.map(lambda x: np.concatenate([x[:6], x[:1], x[:1]]), jax.device_get(batch))
    weight = np.array([1.0] * 6 + [0.0] * 2, np.float32)
    padded = evaluate(state, batch | {"weight": weight}, KEY)
    also = evaluate(state, ruined | {"weight": weight}, KEY)
    for name, (total, count) in padded.items():
        if np.ndim(count) == 0:
            assert float(count) == 6, name
            np.testing.assert_allclose(total, also[name][0], rtol=1e-5, err_msg=name)
            assert float(whole[name][1]) == 8, name


def test_wrong_batches_are_named(trained):
    algorithm, state, batch = trained.algorithm, trained.state, trained.batch
    with pytest.raises(ga.UserError, match=r"got shape \(16, 9, 9, 3\)"):
        algorithm.step(state, batch | {"image": jnp.zeros((16, 9, 9, 3))}, KEY)
    with pytest.raises(ga.UserError, match="to_float"):
        algorithm.step(state, batch | {"image": jnp.zeros(batch["image"].shape, jnp.uint8)}, KEY)
    with pytest.raises(ga.UserError, match=r"\[0, 255\]"):
        algorithm.evaluate(state, batch | {"image": jnp.zeros(batch["image"].shape).at[0, 0].set(255.0)}, KEY)
    with pytest.raises(ga.UserError, match="no 'image'"):
        algorithm.step(state, {"picture": 1}, KEY)
    if algorithm.batch_spec.conditions:
        with pytest.raises(ga.UserError, match="missing"):
            algorithm.step(state, {name: x for name, x in batch.items() if name != "condition"}, KEY)
        (name, classes), *_ = algorithm.batch_spec.conditions
        for value, said in (
            (jnp.zeros(len(batch["image"])), "wanted integers"),
            (batch["condition"][name][:1], "wanted integers"),
            (jnp.full(len(batch["image"]), classes), "outside 0 to"),
        ):
            with pytest.raises(ga.UserError, match=said):
                algorithm.step(state, batch | {"condition": batch["condition"] | {name: value}}, KEY)


def test_rectangles(model, full):
    """As far as shapes go: of the networks, and of a family's step."""
    if model == "gan3d":
        pytest.skip("it makes cubes")
    algorithm = zoo.tiny(model, image_shape=(16, 32, 1))
    shape = algorithm.batch_spec.image_shape
    assert shape[-3:] == (16, 32, 1)
    batch = zoo.full_batch(algorithm, 4)
    first = jax.eval_shape(functools.partial(zoo.start, algorithm), KEY, batch)
    state = first
    if full or model in FAMILIES.values():
        state, _ = jax.eval_shape(algorithm.step, first, batch, KEY)
    if algorithm.sample is not None:
        assert jax.eval_shape(lambda s, key: algorithm.sample(s, key, 2), state, KEY).shape == (2, *shape)


def test_presets_are_whole(model):
    presets = registry.model_module(model).PRESETS
    assert {"default", "tiny"} <= set(presets)
    for preset in presets:
        run = ga.get_config(model, preset)
        assert run.name == model
        make_optimizer(run.optimizer, run.train.steps, line_search=True)


def equations(program):
    """Of a traced program and, once each, of all programs inside it."""
    seen, waiting = set(), [program]
    while waiting:
        if (jaxpr := waiting.pop()) not in seen:
            seen.add(jaxpr)
            yield from jaxpr.eqns
            waiting.extend(inner for equation in jaxpr.eqns for inner in jaxprs_in_params(equation.params))


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_precision_policies(model, precision, full):
    """Parameters and losses stay float32 and near those of full precision; the policy reaches the products."""
    if precision == "tf32" and model not in FAMILIES.values() and not full:
        pytest.skip("it is set around a family's step: one model of each, and every model with --full")
    other = zoo.tiny(model, train={"precision": precision}, **MOMENTUM)
    _, first, batch, *_ = train(model)
    traced = jax.jit(other.step, static_argnames="due").trace(first, batch, KEY, due=())
    if precision == "tf32":
        lines = traced.lower(lowering_platforms=("cuda",)).as_text().splitlines()
        products = [line for line in lines if "stablehlo.convolution" in line or "stablehlo.dot_general" in line]
        assert products
        assert all("HIGH" in line and "DEFAULT" not in line for line in products)
        return
    names = re.compile("genart_|conv_general_dilated|dot_general")  # those of `genart_jax.nn.conv`, and of JAX
    products = [equation for equation in equations(traced.jaxpr.jaxpr) if names.match(equation.primitive.name)]
    halved = [any(x.aval.dtype == jnp.bfloat16 for x in equation.invars) for equation in products]
    assert sum(halved) > 0.5 * len(products) > 0


def test_bfloat16_trains_alike(family_model):
    trained, rows, first = train(family_model), [], None
    for precision in ("float32", "bfloat16"):
        # Its own optimizer: large steps of plain descent would show how fast a critic runs away, not how it rounds.
        algorithm = zoo.tiny(family_model, train={"precision": precision})
        first = first or zoo.start(algorithm, KEY, trained.batch)
        begun = jax.eval_shape(functools.partial(zoo.start, algorithm), KEY, trained.batch)
        assert all(a.dtype == b.dtype for a, b in zip(jax.tree.leaves(begun), jax.tree.leaves(first), strict=True))
        due = tuple(name for name, _ in algorithm.lazy)
        got, metrics = jax.jit(algorithm.step, static_argnames="due")(first, trained.batch, KEY, due=due)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(got.params))
        rows.append(metrics)
    for name, value in rows[0].items():
        if "loss" in name:
            # A difference of scores (wgan_gp's) may be near 0, and is as exact as the scores are.
            np.testing.assert_allclose(rows[1][name], value, rtol=0.05, atol=2e-3, err_msg=name)
