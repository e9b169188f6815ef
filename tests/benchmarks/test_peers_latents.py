"""PyTorch peers over latents, codes and frozen features: as many parameters, the same numbers from the same weights."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

from genart_jax.config import UserError
from genart_jax.losses import drifting, elbo
from genart_jax.nn import efficientnet
from genart_jax.train import bench

torch = pytest.importorskip("torch")

from tests.benchmarks.test_peers import (  # noqa: E402  # after torch
    blocks_of,
    channels_first,
    convs,
    copy,
    fastgan_generator,
    load,
    shapes,
    started,
    tables,
)  # fmt: skip


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


NAMES = ("code_prior", "drift", "frame_rnn", "latent_gan", "projected_gan", "vae_gan", "vqgan")


@pytest.mark.parametrize("name", NAMES)
def test_in_bfloat16(name):
    """As a GPU runs them."""
    from benchmarks.peers.common import Context

    run = bench.resolved(name, "tiny", (3, 16, 16, 3) if name == "frame_rnn" else (16, 16, 3), 4, "bfloat16")
    step = importlib.import_module(f"benchmarks.peers.{name}").Step(
        Context(dataclasses.asdict(run), "cpu", "channels_last")
    )
    finite(step)
    step(1)


@pytest.mark.parametrize("name", ["code_prior", "latent_gan"])
def test_first_stages(name):
    """Only those that the peer has too."""
    from benchmarks.peers.common import Context

    run = bench.resolved(name, "tiny", (16, 16, 3))
    step = importlib.import_module(f"benchmarks.peers.{name}").Step
    other = dataclasses.replace(run, model=dataclasses.replace(run.model, tokenizer="untrained:kl_autoencoder"))
    with pytest.raises(UserError, match=r"only with --model.tokenizer untrained"):
        step(Context(dataclasses.asdict(other), "cpu", "eager"))
