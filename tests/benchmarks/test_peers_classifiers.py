"""PyTorch peers of classifiers: as many parameters, and the same numbers from the same weights."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

from genart_jax.api import build
from genart_jax.train import bench

torch = pytest.importorskip("torch")

from tests.benchmarks.peer_weights import convs, copy, load  # noqa: E402  # after torch


def resnet_order(params, stats):
    """(convolution, its BatchNorm, its statistics) in the order of the peer's modules."""
    layers = [("stem_0", None)]
    for block in sorted(name for name in params if name.startswith("stage")):
        layers += [(block, name) for name in sorted(params[block])]
    for outer, inner in layers:
        own, kept = (tree[outer] if inner is None else tree[outer][inner] for tree in (params, stats))
        yield own["conv"], own["norm"], kept["norm"]


def vgg_order(params, stats):
    for name in sorted(name for name in params if name.startswith("conv")):
        norm = name.replace("conv", "norm")
        yield params[name], params[norm], stats[norm]


def cnn_order(params, stats):
    for name in sorted((name for name in params if name.startswith("conv")), key=lambda n: (n.count("_"), n)):
        norm = name.replace("conv", "norm")
        yield params[name], params[norm], stats[norm]


CLASSIFIERS = [
    ("simple_cnn", {"norm": True, "again": 1, "hidden": 0}, cnn_order),
    ("resnet", {"stem": "plain"}, resnet_order),
    ("vgg", {"norm": True}, vgg_order),
]


@pytest.mark.parametrize(("name", "options", "order"), CLASSIFIERS)
def test_classifiers(name, options, order):
    from benchmarks.peers.common import Context

    run = bench.resolved(name, "tiny", (16, 16, 3), options=options)
    algorithm = build(run)
    batch = bench.random_batch(algorithm.batch_spec, 8)
    state = jax.jit(algorithm.init)(jax.random.key(0), batch)
    step = importlib.import_module(f"benchmarks.peers.{name}").Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    (module,) = step.modules.values()
    params, stats = state.params["classifier"], state.mutable["classifier"]["batch_stats"]
    assert sum(x.size for x in jax.tree.leaves(params)) == sum(p.numel() for p in module.parameters())

    rng = np.random.default_rng(0)
    random = lambda x: np.asarray(rng.uniform(0.5, 1.5, x.shape) if x.ndim == 1 else 0.3 * rng.normal(size=x.shape))
    params, stats = (jax.tree.map(lambda x: np.float32(random(x)), dict(tree)) for tree in (params, stats))
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for (conv, norm, kept), theirs, after in zip(order(params, stats), convs(module), norms, strict=True):
        load(None, [(conv, theirs)])
        for ours, place in (
            (norm["scale"], "weight"),
            (norm["bias"], "bias"),
            (kept["mean"], "running_mean"),
            (kept["var"], "running_var"),
        ):
            copy(getattr(after, place), ours)
    dense = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    names = sorted((k for k in params if k.startswith(("fc", "hidden", "out"))), key=lambda k: (k == "out", k))
    for ours, theirs in zip(names, dense, strict=True):
        copy(theirs.bias, params[ours]["bias"])
        kernel = params[ours]["kernel"].T
        if theirs is dense[0] and name != "resnet":  # of (height, width, channels) here, of channels first there
            channels = convs(module)[-1].out_channels
            side = int((kernel.shape[1] // channels) ** 0.5)
            kernel = kernel.reshape(-1, side, side, channels).transpose(0, 3, 1, 2)
        copy(theirs.weight, kernel)
    variables = {
        "params": params,
        "batch_stats": stats,
        **{k: v for k, v in state.mutable["classifier"].items() if k != "batch_stats"},
    }
    ours = jax.jit(lambda x: algorithm.networks["classifier"].module.apply(variables, x)[0])(batch["image"])
    module.eval()
    with torch.no_grad():
        theirs = module(torch.from_numpy(np.array(batch["image"])).permute(0, 3, 1, 2))
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * np.abs(ours).max())
    module.train()
    before = module.out.weight.clone() if hasattr(module, "out") else module.dense[-1].weight.clone()
    step(0)
    step(1)
    after = module.out.weight if hasattr(module, "out") else module.dense[-1].weight
    assert (after != before).any()


@pytest.mark.parametrize("classes", [(5, 5, 5), (5, 3)])
def test_the_heads_of_a_line(classes):
    from benchmarks.peers.common import Context

    conditions = tuple((f"sign_{i}", n) for i, n in enumerate(classes))
    options = {"attend": 6, "hidden": 0, "conditions": conditions}
    run = bench.resolved("simple_cnn", "tiny", (8, 16, 3), options=options)
    algorithm = build(run)
    state = jax.jit(algorithm.init)(jax.random.key(0), bench.random_batch(algorithm.batch_spec, 8))
    step = importlib.import_module("benchmarks.peers.simple_cnn").Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    (module,), ours = step.modules.values(), state.params["classifier"]
    assert sum(x.size for x in jax.tree.leaves(ours)) == sum(p.numel() for p in module.parameters())
    load(None, zip([ours["conv_0"], ours["conv_1"]], module.conv, strict=True))
    rng, heads = np.random.default_rng(0), ours["heads"]
    heads = jax.tree.map(lambda x: np.asarray(rng.normal(size=x.shape), np.float32), heads)
    theirs = module.heads
    load(None, [(heads["look"], theirs.look), (heads["score"], theirs.score)])
    named = {"out": theirs.common}
    for name, layer in {**named, **{f"out_{i}": layer for i, layer in enumerate(theirs.own)}}.items():
        if layer is not None:
            copy(layer.weight, heads[name]["kernel"].T)
        if layer is not None and layer.bias is not None:
            copy(layer.bias, heads[name]["bias"])
    for own, name in ((theirs.rows, "place_0"), (theirs.columns, "place_1")):
        copy(own, heads[name].transpose(2, 0, 1))
    copy(theirs.line, heads["line"])
    images = rng.uniform(-1, 1, (4, 8, 16, 3)).astype(np.float32)
    apply = algorithm.networks["classifier"].module.apply
    scores = jax.jit(lambda x: apply({"params": {**ours, "heads": heads}}, x)[0])(images)
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(images).permute(0, 3, 1, 2))
    np.testing.assert_allclose(scores, wanted, atol=1e-4)
