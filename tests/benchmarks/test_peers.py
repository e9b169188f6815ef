"""PyTorch peers are the same models: as many parameters, and the same numbers from the same weights."""

import dataclasses

import jax
import numpy as np
import pytest

from genart_jax.api import build
from genart_jax.train import bench

torch = pytest.importorskip("torch")


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
            theirs.bias.copy_(torch.from_numpy(np.array(ours["bias"])))


def test_vqvae():
    from benchmarks.peers import vqvae
    from benchmarks.peers.common import Context

    run = bench.resolved("vqvae", "tiny", (16, 16, 3))
    algorithm = build(run)
    batch = bench.random_batch(algorithm.batch_spec, 8)
    state = jax.jit(algorithm.init)(jax.random.key(0), batch)
    step = vqvae.Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    counts = {role: sum(x.size for x in jax.tree.leaves(tree)) for role, tree in state.params.items()}
    assert counts == {role: sum(p.numel() for p in m.parameters()) for role, m in step.modules.items()}
    encoder, decoder = (state.params[role] for role in ("encoder", "decoder"))
    for ours, theirs, first, last in (
        (encoder, step.modules["encoder"], {"down_0": 0, "down_1": 1}, {}),
        (decoder, step.modules["decoder"], {}, {"up_1": 0, "out": 1}),
    ):
        load(theirs, [(ours[name], theirs.down[i]) for name, i in first.items()])
        load(theirs, [(ours[name], theirs.up[i]) for name, i in last.items()])
        residual = theirs.residual
        load(
            theirs, [(ours["residual"]["wide_0"], residual.wide[0]), (ours["residual"]["narrow_0"], residual.narrow[0])]
        )
    load(None, [(encoder["out"], step.modules["encoder"].out), (decoder["in"], step.modules["decoder"].start)])
    book = state.mutable["quantizer"]["codebook"]["embedding"]
    step.embedding = torch.from_numpy(np.array(book))
    images = torch.from_numpy(batch["image"]).permute(0, 3, 1, 2)
    step.context.images = images
    loss, perplexity, taken, flat = step._objective(images)
    state, metrics = jax.jit(algorithm.step)(state, batch, jax.random.key(0))
    np.testing.assert_allclose(loss.item(), metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(perplexity.item(), metrics["perplexity"], rtol=1e-4)
    step._update(taken, flat)
    after = state.mutable["quantizer"]["codebook"]
    used = taken.sum(0).numpy() > 0
    np.testing.assert_allclose(step.embedding[used], np.array(after["embedding"])[used], rtol=1e-3, atol=1e-6)
    step(0)
