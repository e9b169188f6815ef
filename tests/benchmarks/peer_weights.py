"""Our parameters into PyTorch's modules, for the tests of peers; torch is looked for by who imports this."""

import dataclasses
import importlib

import jax
import numpy as np
import torch

from genart_jax.api import build
from genart_jax.train import bench


def load(module, params):
    """Our parameters into a PyTorch module whose layers are named as in `names`."""
    for ours, theirs in params:
        kernel = np.array(ours["kernel"])
        if isinstance(theirs, torch.nn.ConvTranspose2d):
            weight = kernel[::-1, ::-1].transpose(2, 3, 0, 1)  # PyTorch's is the transpose of a convolution
        else:
            weight = kernel.transpose(3, 2, 0, 1)
        with torch.no_grad():
            theirs.weight.copy_(torch.from_numpy(weight.copy()))
            if "bias" in ours:
                theirs.bias.copy_(torch.from_numpy(np.array(ours["bias"])))


def tables(module, ours):
    """Our tables of conditions into a module's."""
    for name, table in zip(module.embed.names, module.embed.tables, strict=True):
        copy(table.weight, ours["embed"][name])


def copy(theirs, value):
    with torch.no_grad():
        theirs.copy_(torch.from_numpy(np.array(value)).reshape(theirs.shape))


def convs(module):
    return [m for m in module.modules() if isinstance(m, torch.nn.Conv2d)]


def blocks_of(stage, names):
    """Our residual blocks' layers in the order of the peer's modules."""
    for name in names:
        block = stage[name]
        yield from (block[part] for part in ("norm_0", "conv_0", "norm_1", "conv_1", "shortcut") if part in block)


def fastgan_generator(g, generator):
    features, height, width = generator.shape
    copy(generator.first.weight, g["in"]["kernel"].reshape(-1, height, width, features).transpose(3, 1, 2, 0))
    load(None, zip([gated(g["up_1"]), gated(g["conv_1"]), gated(g["up_2"]), g["out"]], convs(generator), strict=True))
    for i, theirs in enumerate(generator.excites, 1):
        squeeze = g[f"excite_{i}"]["squeeze"]["kernel"]
        copy(theirs.squeeze.weight, squeeze.reshape(height, width, -1, squeeze.shape[1]).transpose(3, 2, 0, 1))
        copy(theirs.excite.weight, g[f"excite_{i}"]["excite"]["kernel"].T)


def gated(ours):
    return {"kernel": ours["kernel"]}


def started(name, shape, init=jax.jit, **options):
    """Our algorithm and state, the peer's step from the same configuration, and a batch."""
    from benchmarks.peers.common import Context

    run = bench.resolved(name, "tiny", shape, batch=4, options=options)
    algorithm = build(run)
    batch = bench.random_batch(algorithm.batch_spec, 4)
    state = init(algorithm.init)(jax.random.key(0), batch)
    step = importlib.import_module(f"benchmarks.peers.{name}").Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    counts = {role: sum(x.size for x in jax.tree.leaves(tree)) for role, tree in state.params.items()}
    assert counts == {role: sum(p.numel() for p in m.parameters()) for role, m in step.modules.items()}
    return algorithm, state, step, batch


def shapes(function):
    """In place of `jax.jit`, where the numbers do not matter."""
    return lambda *args: jax.eval_shape(function, *args)


def channels_first(images):
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


def random(tree, seed=0):
    """As many numbers, none of them 0 at first."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: np.float32(0.3 * rng.standard_normal(x.shape)), dict(tree))


def told(batch):
    return {name: torch.from_numpy(np.array(value)).long() for name, value in batch["condition"].items()}


def dense(pairs):
    """Our dense layers into theirs."""
    for ours, theirs in pairs:
        copy(theirs.weight, ours["kernel"].T)
        if "bias" in ours:
            copy(theirs.bias, ours["bias"])


def finite(step):
    step(0)
    assert all(torch.isfinite(p).all() for m in step.modules.values() for p in m.parameters())


def normalized(theirs, ours, u):
    """A layer's kernel and its first singular vectors."""
    kernel = ours["kernel"]
    matrix = kernel.reshape(-1, kernel.shape[-1])
    v = matrix @ np.array(u)
    v = (v / np.linalg.norm(v)).reshape(kernel.shape[:-1])
    spectral = theirs.parametrizations.weight
    copy(spectral.original, kernel.transpose(3, 2, 0, 1))
    copy(spectral[0]._u, u)
    copy(spectral[0]._v, v.transpose(2, 0, 1))
    if "bias" in ours:
        copy(theirs.bias, ours["bias"])
