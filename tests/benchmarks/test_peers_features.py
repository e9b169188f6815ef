"""PyTorch peers over frozen features: as many parameters, and the same numbers from the same weights."""

import jax
import numpy as np
import pytest

from genart_jax.losses import drifting
from genart_jax.nn import efficientnet

torch = pytest.importorskip("torch")

from tests.benchmarks.peer_weights import (  # noqa: E402  # after torch
    channels_first,
    convs,
    copy,
    fastgan_generator,
    finite,
    load,
    normalized,
    random,
    shapes,
    started,
    tables,
    told,
)


def ordinary(tree, seed=0):
    """Kernels of random numbers; scales are 1, other vectors and numbers 0."""
    rng = np.random.default_rng(seed)

    def one(path, x):
        if len(x.shape) > 1:
            return np.float32(0.3 * rng.standard_normal(x.shape))
        return np.full(x.shape, path[-1].key in ("scale", "var"), np.float32)

    return jax.tree_util.tree_map_with_path(one, dict(tree))


def lite(module, frozen):
    """A feature network's variables, made random, and a peer's that has the same."""
    variables = random(frozen)
    params, stats = variables["params"], jax.tree.map(np.abs, variables["batch_stats"])
    norms = iter(m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d))
    layers = iter(convs(module))
    blocks = sorted(name for name in params if name.startswith("block_"))
    for own, kept in ((params, stats), *((params[name], stats[name]) for name in blocks)):
        for name in [name for name in ("stem", "expand", "depthwise", "project") if name in own]:
            norm, ours = next(norms), {**own[f"{name}_norm"], **kept[f"{name}_norm"]}
            load(None, [(own[name], next(layers))])
            places = {"scale": norm.weight, "bias": norm.bias, "mean": norm.running_mean, "var": norm.running_var}
            for key, place in places.items():
                copy(place, ours[key])
    assert not [*norms, *layers]
    return {"params": params, "batch_stats": stats}


def generated(algorithm, params, state, z, shown):
    """What a generator makes in training, of ordinary parameters; its noise counts for nothing."""
    stats = {"batch_stats": ordinary(state.mutable["generator"]["batch_stats"])}
    apply = algorithm.networks["generator"].module.apply
    return apply({"params": params, **stats}, z, shown, train=True, mutable=["batch_stats"])[0][0]


@pytest.mark.parametrize("size", [16, 18])  # even sides, and an odd one inside
def test_lite(size):
    from types import SimpleNamespace

    from benchmarks.peers.lite import Maps

    taken = {
        "enlarge": 1, "layers": ("stem", "block_1", "block_2"), "widths": (4, 6, 6), "depths": (1, 1, 1),
        "kernels": (3, 5, 3), "strides": (1, 2, 1), "expand": 2, "stem": 4,
    }  # fmt: skip
    ours, theirs = efficientnet.Maps(SimpleNamespace(**taken), pixels=True), Maps(SimpleNamespace(**taken), True)
    images = np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    variables = lite(theirs, jax.eval_shape(lambda: ours.init(jax.random.key(0), images)))
    expected, _ = jax.jit(ours.apply)(variables, images)
    found = theirs(channels_first(images))
    assert len(found) == len(expected) == 4
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.permute(0, 2, 3, 1), other, rtol=1e-4, atol=1e-4)


def test_drift():
    algorithm, state, step, batch = started("drift", (16, 16, 3), init=shapes)
    params = ordinary(state.params)["generator"]
    fastgan_generator(params, step.generator)
    tables(step.generator, params)
    variables = lite(step.features, state.frozen["features"])
    images, shown = batch["image"], batch["condition"]
    z = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)

    @jax.jit
    def ours(params, variables):
        made = generated(algorithm, params, state, z, shown)
        maps = lambda x: algorithm.networks["features"].module.apply(variables, x)[0]
        vectors = lambda x: [part for y in maps(x) for count in (1, 2) for part in drifting.cells(y, count)]
        more = 0.25 * sum(1.0 * (v[:, None] != v[None]) for v in shown.values())
        values, sizes = [], []
        for real, fake in zip(vectors(images), vectors(made), strict=True):
            found = drifting.moves(real, fake, (0.2,), (more, more))
            values.append(drifting.regression(fake, found.drift, found.scale).mean())
            sizes.append(found.size.mean())
        return made, sum(values) / len(values), sum(sizes) / len(sizes)

    made, loss, size = ours(params, variables)
    with torch.no_grad():
        drawn = step.generator(torch.from_numpy(z), told(batch))
        found, drift = step._objective(channels_first(images), torch.from_numpy(z), told(batch))
    np.testing.assert_allclose(drawn.permute(0, 2, 3, 1), made, atol=1e-4 * np.abs(made).max())
    np.testing.assert_allclose(found, loss, rtol=1e-4)
    np.testing.assert_allclose(drift, size, rtol=1e-3)
    finite(step)


def scale(theirs, ours, vectors, name):
    """A critic's scale of one convolution."""
    normalized(theirs.layers[0], ours[f"{name}_0"], vectors[f"{name}_0"]["kernel_u"])
    normalized(theirs.out, ours[f"{name}_out"], vectors[f"{name}_out"]["kernel_u"])
    for told_of, table in zip(theirs.embed.names, theirs.embed.tables, strict=True):
        value, v = ours[f"{name}_embed"][told_of], vectors[f"{name}_embed"][f"{told_of}_u"]
        u, spectral = value @ np.array(v), table.parametrizations.weight
        copy(spectral.original, value)
        copy(spectral[0]._u, u / np.linalg.norm(u))
        copy(spectral[0]._v, v)


def test_projected_gan():
    algorithm, state, step, batch = started("projected_gan", (16, 16, 3), init=shapes)
    params = ordinary(state.params)
    fastgan_generator(params["generator"], step.generator)
    tables(step.generator, params["generator"])
    features, mixing = lite(step.projection.features, state.frozen["features"]), random(state.frozen["mixing"])
    kernels = [mixing["params"][name] for name in ("channels_0", "channels_1", "scales_1")]
    load(None, zip(kernels, convs(step.projection.mixing), strict=True))
    vectors = jax.tree.map(lambda u: u / np.linalg.norm(u), random(state.mutable["critic"]["spectral"], 1))
    for i, theirs in enumerate(step.critic.scales):
        scale(theirs, params["critic"], vectors, f"scale_{i}")
    z, shown = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32), batch["condition"]

    @jax.jit
    def ours(params, features, mixing):
        module = lambda role: algorithm.networks[role].module
        made = generated(algorithm, params["generator"], state, z, shown)
        maps = module("mixing").apply(mixing, module("features").apply(features, made)[0])[0]
        critic = {"params": params["critic"], "spectral": vectors}
        return made, maps, module("critic").apply(critic, maps, shown, train=True)[0]

    made, maps, scores = ours(params, features, mixing)
    with torch.no_grad():
        drawn = step.generator(torch.from_numpy(z), told(batch))
        seen = step.projection(drawn)
        judged = step.critic.eval()(seen, told(batch))
        loss = step._generator_loss(seen, told(batch))
    np.testing.assert_allclose(drawn.permute(0, 2, 3, 1), made, atol=1e-4 * np.abs(made).max())
    for one, other in zip(seen, maps, strict=True):
        np.testing.assert_allclose(one.permute(0, 2, 3, 1), other, atol=1e-4 * np.abs(other).max())
    for one, other in zip(judged, scores.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())
    np.testing.assert_allclose(loss, -np.mean([x.mean() for x in scores.values()]), rtol=1e-3)
    step.critic.train()
    finite(step)
    assert torch.isfinite(step.loss)


def test_cutout():
    from benchmarks.peers.projected_gan import cutout

    holes = 1 - cutout(torch.ones(500, 1, 8, 8))
    sides = holes.amax((1, 3)).sum(1), holes.amax((1, 2)).sum(1)
    for side in sides:
        assert set(side.tolist()) == {2.0, 3.0, 4.0}  # of 4, cut off at the edges
    assert (holes.sum((1, 2, 3)) == sides[0] * sides[1]).all()
    assert holes.mean() == pytest.approx(np.mean([2, 3, 4, 4, 4, 4, 4, 3, 2]) ** 2 / 64, rel=0.05)
