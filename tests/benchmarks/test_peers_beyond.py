"""PyTorch peers of volumes and videos: as many parameters, and the same scores from the same weights."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

from genart_jax.api import build
from genart_jax.train import bench

torch = pytest.importorskip("torch")

from tests.benchmarks.peer_weights import copy, tables  # noqa: E402  # after torch is known to be there


def both(run, size):
    """A GAN with a batch and a first state, and its peer's step, which has as many parameters."""
    from benchmarks.peers.common import Context

    algorithm = build(run)
    batch = bench.random_batch(algorithm.batch_spec, size)
    state = jax.jit(algorithm.init)(jax.random.key(0), batch)
    peer = importlib.import_module(f"benchmarks.peers.{run.name}")
    step = peer.Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    counts = {role: sum(x.size for x in jax.tree.leaves(tree)) for role, tree in state.params.items()}
    assert counts == {role: sum(p.numel() for p in m.parameters()) for role, m in step.modules.items()}
    return algorithm, batch, state, step


def test_gan3d():
    from benchmarks.peers.common import Subject

    run = bench.resolved("gan3d", "tiny", (8, 8, 8, 1))
    algorithm, batch, state, step = both(run, 8)
    ours, theirs = state.params["critic"], step.modules["critic"]
    copy(theirs.down[0].weight, np.asarray(ours["down_0"]["kernel"]).transpose(4, 3, 0, 1, 2))
    copy(theirs.down[0].bias, ours["down_0"]["bias"])
    flat = np.asarray(ours["out"]["kernel"]).reshape(4, 4, 4, -1).transpose(3, 0, 1, 2)
    copy(theirs.out.weight, flat)
    tables(theirs, ours)
    told = {key: np.array(value) for key, value in batch["condition"].items()}
    images = np.array(batch["image"])
    apply = jax.jit(lambda p, x: algorithm.networks["critic"].module.apply({"params": p}, x, told)[0])
    got = theirs(torch.from_numpy(images).permute(0, 4, 1, 2, 3), {k: torch.from_numpy(v) for k, v in told.items()})
    np.testing.assert_allclose(got.detach().numpy(), apply(ours, images), rtol=1e-4, atol=1e-4)
    assert Subject("gan3d", dataclasses.asdict(run), "cpu", "channels_last").round() > 0


def test_video_gan():
    from benchmarks.peers.common import Subject

    run = bench.resolved("video_gan", "tiny", (4, 16, 16, 3))
    options = {"frames": "moved", "minibatch_group": 2, "patches": True, "clip_width": 2, "clip_places": True}
    gan = dataclasses.replace(run.step, loss="relativistic")
    run = dataclasses.replace(run, model=dataclasses.replace(run.model, **options), step=gan)
    algorithm, batch, state, step = both(run, 4)
    ours, theirs = state.params["critic"], step.modules["critic"].clip
    for i, frames in enumerate((4, 2)):
        kernel = np.asarray(ours[f"clip_down_{i}"]["kernel"])
        kernel = kernel.reshape(4, 4, frames, -1, kernel.shape[-1]).transpose(4, 3, 2, 0, 1)
        copy(theirs.down[i].weight, kernel)
        copy(theirs.down[i].bias, ours[f"clip_down_{i}"]["bias"])
    copy(theirs.out.weight, np.asarray(ours["clip_out"]["kernel"]).reshape(4, 4, -1).transpose(2, 0, 1))
    copy(theirs.out.bias, ours["clip_out"]["bias"])
    for name, table in zip(theirs.embed.names, theirs.embed.tables, strict=True):
        value = np.asarray(ours["clip_embed"][name])  # our places come before the channels
        copy(table.weight, value.reshape(len(value), 4 * 4, -1).transpose(0, 2, 1))
    told = {key: np.array(value) for key, value in batch["condition"].items()}
    images = np.array(batch["image"])
    apply = jax.jit(lambda p, x: algorithm.networks["critic"].module.apply({"params": p}, x, told)[0]["clip"])
    videos = torch.from_numpy(images).permute(0, 4, 1, 2, 3)
    got, _ = theirs(videos, {k: torch.from_numpy(v) for k, v in told.items()})
    np.testing.assert_allclose(got.detach().numpy(), apply(ours, images), rtol=1e-4, atol=1e-4)
    assert Subject("video_gan", dataclasses.asdict(run), "cpu", "channels_last").round() > 0
