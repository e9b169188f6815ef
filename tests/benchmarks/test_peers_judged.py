"""PyTorch peers of autoencoders with judges: as many parameters, the same numbers from the same weights."""

import jax
import numpy as np
import pytest

from genart_jax.losses import elbo

torch = pytest.importorskip("torch")

from tests.benchmarks.peer_weights import (  # noqa: E402  # after torch
    blocks_of,
    channels_first,
    copy,
    finite,
    load,
    normalized,
    random,
    shapes,
    started,
    tables,
    told,
)


def layers_of(ours, blocks, up):
    """Our layers of an encoder (or decoder, `up`) of two stages in the order of the peer's modules."""
    attention = ours["middle"]["attention"]
    middle = [
        *blocks_of(ours["middle"], ["block_0"]),
        *(attention[name] for name in ("norm", "query", "key", "value", "out")),
        *blocks_of(ours["middle"], ["block_1"]),
    ]
    stages = [[*blocks_of(ours, [f"stage_{i}_block_{j}" for j in range(blocks + up)])] for i in range(2)]
    if up:
        return [ours["in"], *middle, *stages[0], ours["stage_0_up"], *stages[1], ours["norm"], ours["out"]]
    return [ours["in"], *stages[0], ours["stage_0_down"], *stages[1], *middle, ours["norm"]]


def autoencoder(theirs, ours, up):
    """Ours into an encoder's or decoder's `layers`, and what has a name besides in our order."""
    kinds = torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.Linear
    modules = [m for m in theirs.modules() if isinstance(m, kinds)]
    for one, other in zip(ours, modules, strict=True):
        if "scale" in one:
            copy(other.weight, one["scale"])
        elif np.ndim(one["kernel"]) == 2:
            copy(other.weight, one["kernel"].T)
        else:
            load(None, [({"kernel": one["kernel"]}, other)])
        if "bias" in one:
            copy(other.bias, one["bias"])


def judges(step, params, state):
    """A critic of patches, and frozen features."""
    vectors, frozen = state.mutable["critic"]["spectral"], state.frozen["perceptual"]["params"]
    names = [*(f"conv_{i}" for i in range(len(step.critic.convs) - 1)), "out"]
    for name, conv in zip(names, step.critic.convs, strict=True):
        normalized(conv, params["critic"][name], vectors[name]["kernel_u"])
    load(None, zip([frozen[name] for name in ("conv1_1", "conv2_1")], step.features.convs, strict=True))


def same_judgement(step, metrics, rtol):
    for name in ("critic_loss", "perceptual_loss"):
        np.testing.assert_allclose(step.values[name], metrics[name], rtol=rtol)
    for name in ("adversarial_loss", "adaptive_weight"):  # after an update of the critic
        np.testing.assert_allclose(step.values[name], metrics[name], rtol=max(rtol, 1e-2))


def test_vqgan():
    algorithm, state, step, batch = started("vqgan", (16, 16, 3))
    params = random(state.params)
    state = state.replace(params=params)
    autoencoder(step.encoder, [*layers_of(params["encoder"], 1, False), params["encoder"]["out"]], False)
    autoencoder(step.decoder, layers_of(params["decoder"], 1, True), True)
    judges(step, params, state)
    step.embedding = torch.from_numpy(np.array(state.mutable["quantizer"]["codebook"]["embedding"]))
    step.context.images = images = channels_first(batch["image"])

    @jax.jit
    def ours(params):
        module = lambda role: algorithm.networks[role].module
        z, _ = module("encoder").apply({"params": params["encoder"]}, batch["image"])
        return z, module("decoder").apply({"params": params["decoder"]}, z)[0]

    z, output = ours(params)
    with torch.no_grad():
        found = step.encoder(images)
        made = step.decoder(found)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), z, atol=1e-4 * np.abs(z).max())
    np.testing.assert_allclose(made.permute(0, 2, 3, 1), output, atol=1e-4 * np.abs(output).max())
    _, metrics = jax.jit(algorithm.step)(state, batch, jax.random.key(0))
    finite(step)
    same_judgement(step, metrics, 1e-4)
    whole = metrics["loss"] + 0.1 * metrics["perceptual_loss"]
    np.testing.assert_allclose(step.values["loss"], whole, rtol=1e-4)
    np.testing.assert_allclose(step.perplexity, metrics["perplexity"], rtol=1e-4)


def test_vae_gan():
    algorithm, state, step, batch = started("vae_gan", (16, 16, 3), init=shapes, conditions=None)
    params = random(state.params)
    moments = params["encoder"]["moments"]
    moments["kernel"][:, 4:], moments["bias"][4:] = 0, -30  # nearly no noise in what is drawn
    (channels, height, width), embed = step.decoder.shape, 3 * 4
    autoencoder(step.encoder.layers, layers_of(params["encoder"], 1, False), False)
    autoencoder(step.decoder.layers, layers_of(params["decoder"], 1, True)[:-1], True)
    load(None, [(params["decoder"]["out"], step.decoder.out)])
    kernel = moments["kernel"][:-embed].reshape(height, width, channels, -1).transpose(3, 2, 0, 1)
    copy(step.encoder.moments.weight, np.concatenate([kernel.reshape(8, -1), moments["kernel"][-embed:].T], axis=1))
    copy(step.encoder.moments.bias, moments["bias"])
    place = params["decoder"]["place"]
    kernel = place["kernel"].reshape(-1, height, width, channels)
    copy(step.decoder.place.weight, kernel.transpose(3, 1, 2, 0))
    copy(step.decoder.place.bias, place["bias"].reshape(height, width, channels).transpose(2, 0, 1))
    for role in ("encoder", "decoder"):
        tables(step.modules[role], params[role])
    images = channels_first(batch["image"])

    @jax.jit
    def ours(params):
        apply = lambda role, x: algorithm.networks[role].module.apply({"params": params[role]}, x, batch["condition"])[
            0
        ]
        mean, log_variance = apply("encoder", batch["image"])
        output = apply("decoder", mean)
        density = elbo.gaussian_nll(batch["image"], output, 0.3) + 768 * np.log(127.5)
        return mean, output, density, elbo.kl_normal(mean, log_variance)

    mean, output, density, kl = ours(params)
    with torch.no_grad():
        found, _ = step.encoder(images, told(batch))
        made = step.decoder(found, told(batch))
        drawn, _, cost = step._make(images, told(batch))
        fit = step._fit(images, made)
    np.testing.assert_allclose(found, mean, atol=1e-4 * np.abs(mean).max())
    np.testing.assert_allclose(made.permute(0, 2, 3, 1), output, atol=1e-4 * np.abs(output).max())
    np.testing.assert_allclose(drawn, made, atol=1e-4 * np.abs(output).max())
    np.testing.assert_allclose(cost, np.mean(np.sum(kl, 1)) / 768, rtol=1e-4)
    np.testing.assert_allclose(fit, np.mean(density) / 768, rtol=1e-3)  # of pixels with noise of one level
    finite(step)
    assert all(torch.isfinite(value) for value in step.values.values())
