"""PyTorch peers over latents and codes: as many parameters, and the same numbers from the same weights."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

from genart_jax.config import UserError
from genart_jax.train import bench

torch = pytest.importorskip("torch")

from tests.benchmarks.peer_weights import channels_first, copy, dense, finite, load, random, started, tables, told  # noqa: E402  # after torch


def perceptron(module, ours):
    layers = [ours["in"], *(ours[f"block_0_{i}"] for i in range(2)), ours["out"]]
    dense(zip(layers, [module.first, *module.blocks[0], module.out], strict=True))
    tables(module, ours)


def conv_encoder(theirs, ours):
    """A conv_vae's encoder."""
    load(None, [(ours[f"down_{i}"], layer) for i, layer in enumerate(theirs.down)])
    kernel, channels = np.array(ours["hidden"]["kernel"]), theirs.down[-1].out_channels
    side = int((len(kernel) // channels) ** 0.5)  # of (height, width, channels) here, of channels first there
    copy(theirs.hidden.weight, kernel.reshape(side, side, channels, -1).transpose(3, 2, 0, 1))
    copy(theirs.hidden.bias, ours["hidden"]["bias"])
    dense([(ours["out"], theirs.out)])


def test_latent_gan():
    algorithm, state, step, batch = started("latent_gan", (16, 16, 3), **{"step.critic_terms": ("r1=0.25",)})
    state = jax.jit(algorithm.begin)(state, batch)
    params = random(state.params)
    state = state.replace(params=params)
    conv_encoder(step.encoder, state.frozen["tokenizer"]["encoder"]["params"])
    for role in ("generator", "critic"):
        perceptron(step.modules[role], params[role]["layers"])
    images, condition = channels_first(batch["image"]), told(batch)
    step.begin(images)
    np.testing.assert_allclose(step.mean, state.extra["latent_mean"], rtol=1e-4)
    np.testing.assert_allclose(step.scale, state.extra["latent_scale"], rtol=1e-4)
    z = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)

    @jax.jit
    def ours(params):
        apply = lambda role, x: algorithm.networks[role].module.apply({"params": params[role]}, x, batch["condition"])[
            0
        ]
        made = apply("generator", z)
        return made, apply("critic", made)

    made, scores = ours(params)
    with torch.no_grad():
        drawn = step.generator(torch.from_numpy(z), condition)
        judged = step.critic(drawn, condition)[:, 0]
    np.testing.assert_allclose(drawn, made, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(judged, scores, rtol=1e-4, atol=1e-5)
    _, metrics = jax.jit(algorithm.step)(state, batch, jax.random.key(0))
    real = step._judged(images)
    np.testing.assert_allclose(step.critic(real, condition).mean().item(), metrics["real_score"], rtol=1e-4)
    np.testing.assert_allclose(step._penalty(real, condition).item(), metrics["r1"], rtol=1e-4)
    finite(step)


def vq_encoder(theirs, ours):
    """A vqvae's encoder of one residual block."""
    residual = theirs.residual
    load(None, [(ours[f"down_{i}"], layer) for i, layer in enumerate(theirs.down)])
    load(None, [(ours["residual"]["wide_0"], residual.wide[0]), (ours["residual"]["narrow_0"], residual.narrow[0])])
    load(None, [(ours["out"], theirs.out)])


def layer_norm(theirs, ours):
    copy(theirs.weight, ours["scale"])
    copy(theirs.bias, ours["bias"])


def test_code_prior():
    shown = {"dropout": 0.0, "step.condition_dropout": 0.0, "optimizer.name": "adamw", "optimizer.weight_decay": 0.05}
    algorithm, state, step, batch = started("code_prior", (16, 16, 3), **shown)
    frozen = state.frozen["tokenizer"]
    vq_encoder(step.encoder, frozen["encoder"]["params"])
    step.embedding = torch.from_numpy(np.array(frozen["quantizer"]["codebook"]["embedding"]))
    params, prior = random(state.params), step.modules["prior"]
    ours = params["prior"]
    copy(prior.tokens.weight, ours["tokens"])
    copy(prior.positions, ours["positions"])
    tables(prior, ours)
    layer_norm(prior.norm, ours["norm"])
    for i, block in enumerate(prior.blocks):
        own = ours[f"blocks_{i}"]
        dense([(own[name], getattr(block, name)) for name in ("qkv", "project", "wide", "narrow")])
        layer_norm(block.norm_1, own["norm_1"])
        layer_norm(block.norm_2, own["norm_2"])
    dense([(ours["out"], prior.out)])
    codes = step._tokenize(channels_first(batch["image"]))
    apply = lambda p, codes: algorithm.networks["prior"].module.apply({"params": p}, codes, batch["condition"])[0]
    with torch.no_grad():
        logits = prior(codes, told(batch))
        loss, accuracy = step._objective(codes, told(batch))
    expected = jax.jit(apply)(ours, codes.numpy())
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    _, metrics = jax.jit(algorithm.step)(state.replace(params=params), batch, jax.random.key(0))
    np.testing.assert_allclose(loss, metrics["loss"], rtol=1e-4)
    np.testing.assert_allclose(accuracy, metrics["accuracy"], rtol=1e-6)
    decayed, rest = step.optimizer.param_groups
    assert len(decayed["params"]) == 9
    assert rest["weight_decay"] == 0
    finite(step)


def on_maps(theirs, ours, height, width):
    """A dense layer of maps: of (height, width, channels) here, of channels first there."""
    kernel = ours["kernel"].reshape(height, width, -1, ours["kernel"].shape[-1])
    copy(theirs.weight, kernel.transpose(3, 2, 0, 1))
    copy(theirs.bias, ours["bias"])


def frame_weights(params, modules):
    encoder, decoder = params["encoder"], params["decoder"]
    theirs, both = modules["decoder"], (modules["encoder"].frame, modules["decoder"].frame)
    for module, ours in zip(both, (encoder["frame"], decoder["frame"]), strict=True):
        load(None, [(ours[f"down_{i}"], layer) for i, layer in enumerate(module.down)])
    memories = [("prior_memory", theirs.prior_memory), ("predictor_memory", theirs.predictor_memory)]
    load(None, [(encoder["memory"]["gates"], modules["encoder"].memory.gates)])
    load(None, [(decoder[name]["gates"], memory.gates) for name, memory in memories])
    for name in ("prior", "posterior"):
        on_maps(getattr(theirs, name), decoder[name]["out"], 8, 8)
    dense([(decoder["enter"], theirs.enter)])
    picture = decoder["picture"]
    load(None, [(picture["up_0"], theirs.picture.up[0]), (picture["join_0"], theirs.picture.join[0])])
    load(None, [(picture["out"], theirs.picture.out)])
    tables(modules["encoder"], encoder)
    tables(theirs, decoder)


def test_frame_rnn():
    options = {"conditions": None, "optimizer.clip_norm": 1.0}
    algorithm, state, step, batch = started("frame_rnn", (3, 16, 16, 3), **options)
    params = random(state.params)
    frame_weights(params, step.modules)
    videos, shown = batch["image"], batch["condition"]
    noise = np.random.default_rng(0).standard_normal((4, 3, 2)).astype(np.float32)

    @jax.jit
    def ours(params):
        apply = lambda role, *x: algorithm.networks[role].module.apply({"params": params[role]}, *x)
        maps, _ = apply("encoder", videos, shown)
        frames, aux = apply("decoder", noise.reshape(4, -1), shown, maps)
        return maps[1], frames, aux["kl"]

    maps, frames, kl = ours(params)
    first = torch.from_numpy(videos).permute(0, 4, 1, 2, 3)
    with torch.no_grad():
        seen = step.modules["encoder"](first, told(batch))
        made, cost = step.modules["decoder"](first, seen, told(batch), torch.from_numpy(noise))
        loss, error = step._objective(first, told(batch), torch.from_numpy(noise))
    np.testing.assert_allclose(seen.permute(0, 1, 3, 4, 2), maps, atol=1e-4 * np.abs(maps).max())
    np.testing.assert_allclose(made.permute(0, 2, 3, 4, 1), frames, atol=1e-4 * np.abs(frames).max())
    np.testing.assert_allclose(cost, kl, rtol=1e-4)
    # The pixels are made continuous by noise of one level, which moves the error a little.
    np.testing.assert_allclose(error, np.mean(np.square(videos - frames)), rtol=1e-2)
    fit = 0.5 * np.log(2 * np.pi * error.item()) + 0.5 + np.log(127.5)
    np.testing.assert_allclose(loss, fit + np.mean(np.sum(kl, 1)) / videos[0].size, rtol=1e-3)
    finite(step)


NAMES = ("code_prior", "drift", "frame_rnn", "latent_gan", "projected_gan", "vae_gan", "vqgan")


@pytest.mark.parametrize("name", NAMES)
def test_in_bfloat16(name):
    """As a GPU runs them."""
    from benchmarks.peers.common import Context

    run = bench.resolved(name, "tiny", (3, 16, 16, 3) if name == "frame_rnn" else (16, 16, 3), 4, "bfloat16")
    step = importlib.import_module(f"benchmarks.peers.{name}").Step(
        Context(dataclasses.asdict(run), "cpu", "channels_last")
    )
    step(1)
    finite(step)


@pytest.mark.parametrize("name", ["code_prior", "latent_gan"])
def test_first_stages(name):
    """Only those that the peer has too."""
    from benchmarks.peers.common import Context

    run = bench.resolved(name, "tiny", (16, 16, 3))
    step = importlib.import_module(f"benchmarks.peers.{name}").Step
    other = dataclasses.replace(run, model=dataclasses.replace(run.model, tokenizer="untrained:kl_autoencoder"))
    with pytest.raises(UserError, match=r"only with --model.tokenizer untrained"):
        step(Context(dataclasses.asdict(other), "cpu", "eager"))
