"""PyTorch peers are the same models: as many parameters, and the same numbers from the same weights."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

from benchmarks.gpu import cells
from genart_jax.api import build
from genart_jax.losses import elbo
from genart_jax.train import bench

torch = pytest.importorskip("torch")

from tests.benchmarks.peer_weights import (  # noqa: E402  # after torch
    blocks_of,
    channels_first,
    convs,
    copy,
    fastgan_generator,
    gated,
    load,
    shapes,
    started,
    tables,
)


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


def r3gan_weights(params, modules):
    """Ours into theirs: what is 0 at first is random here."""
    blocks = lambda p, level: [p[f"block_{level}_0"][name] for name in ("expand", "grouped", "project")]
    widen = lambda p, level: [p[f"widen_{level}"]] if f"widen_{level}" in p else []
    g, d = params["generator"], params["critic"]
    up = [layer for level in range(3) for layer in (*widen(g, level), *blocks(g, level))]
    load(None, zip([*up, g["out"]], convs(modules["generator"]), strict=True))
    down = [layer for level in (2, 1, 0) for layer in (*blocks(d, level), *widen(d, level))]
    load(None, zip([d["in"], *down], convs(modules["critic"]), strict=True))
    copy(modules["generator"].first.weight, g["in"]["kernel"].T)
    copy(modules["critic"].out.weight, d["out"]["kernel"].T)
    for theirs, start in ((modules["generator"].start, g["start"]), (modules["critic"].end, d["end"])):
        copy(theirs, start.transpose(2, 0, 1))


def fastgan_weights(params, modules):
    d = params["critic"]
    fastgan_generator(params["generator"], modules["generator"])
    first = [d["in"], *(d["down_1"][name] for name in ("conv_0", "conv_1", "direct")), d["mix"], d["out"]]
    last = [gated(d["whole"]["up_0"]), d["whole"]["out"], d["part"]["out"]]
    load(None, zip([*first, *last], convs(modules["critic"]), strict=True))


@pytest.mark.parametrize(("name", "weights"), [("r3gan", r3gan_weights), ("fastgan", fastgan_weights)])
def test_gans(name, weights):
    from benchmarks.peers.common import Context, Subject

    run = bench.resolved(name, "tiny", (16, 16, 3))
    algorithm = build(run)
    batch = bench.random_batch(algorithm.batch_spec, 8)
    state = jax.jit(algorithm.init)(jax.random.key(0), batch)
    step = importlib.import_module(f"benchmarks.peers.{name}").Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    counts = {role: sum(x.size for x in jax.tree.leaves(tree)) for role, tree in state.params.items()}
    assert counts == {role: sum(p.numel() for p in m.parameters()) for role, m in step.modules.items()}

    rng = np.random.default_rng(0)
    random = lambda x: np.asarray(0.3 * rng.standard_normal(x.shape), np.float32) if x.ndim > 1 else np.array(x)
    params = jax.tree.map(random, dict(state.params))
    weights(params, step.modules)
    for role in ("generator", "critic"):
        tables(step.modules[role], params[role])
    z = rng.standard_normal((8, run.model.latent_dim)).astype(np.float32)
    told = {key: np.array(value) for key, value in batch["condition"].items()}

    @jax.jit
    def ours(params):
        apply = lambda role, x: algorithm.networks[role].module.apply(
            {"params": params[role], **state.mutable[role]}, x, told, train=True, mutable=["batch_stats"]
        )[0][0]
        images = apply("generator", z)
        return images, apply("critic", images)

    images, scores = ours(params)
    condition = {key: torch.from_numpy(value).long() for key, value in told.items()}
    with torch.no_grad():
        made = step.generator(torch.from_numpy(z), condition)
        judged = step.critic(made, condition)
    judged = judged[0] if isinstance(judged, tuple) else judged
    np.testing.assert_allclose(made.permute(0, 2, 3, 1), images, atol=1e-4 * np.abs(images).max())
    np.testing.assert_allclose(judged, scores, atol=1e-4 * np.abs(scores).max())
    assert np.ptp(scores) > 0.01

    step(0)
    assert all(torch.isfinite(p).all() for m in step.modules.values() for p in m.parameters())
    assert Subject(name, dataclasses.asdict(run), "cpu", "eager").facts["parameters"] == counts


def order_of(ours, widths, blocks, up):
    """Our layers of an encoder (or decoder, `up`) in the order of the peer's modules."""
    attention = ours["middle"]["attention"]
    middle = [
        *blocks_of(ours["middle"], ["block_0"]),
        *(attention[name] for name in ("norm", "query", "key", "value", "out")),
        *blocks_of(ours["middle"], ["block_1"]),
    ]
    out = [ours["codes"], ours["in"], *middle] if up else [ours["in"]]
    for i in range(len(widths)):
        if up and i:
            out.append(ours[f"stage_{i - 1}_up"])
        out += blocks_of(ours, [f"stage_{i}_block_{j}" for j in range(blocks + up)])
        if not up and i + 1 < len(widths):
            out.append(ours[f"stage_{i}_down"])
    return [*out, ours["norm"], ours["out"]] if up else [*out, *middle, ours["norm"], ours["out"], ours["moments"]]


def test_kl_autoencoder():
    from benchmarks.peers import kl_autoencoder
    from benchmarks.peers.common import Context

    run = bench.resolved("kl_autoencoder", "tiny", (16, 16, 3))
    algorithm = build(run)
    batch = bench.random_batch(algorithm.batch_spec, 8)
    state = jax.jit(algorithm.init)(jax.random.key(0), batch)
    step = kl_autoencoder.Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    counts = {role: sum(x.size for x in jax.tree.leaves(tree)) for role, tree in state.params.items()}
    assert counts == {role: sum(p.numel() for p in m.parameters()) for role, m in step.modules.items()}
    for role, up in (("encoder", 0), ("decoder", 1)):
        kinds = torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.Linear
        theirs = [m for m in step.modules[role].modules() if isinstance(m, kinds)]
        ours = order_of(state.params[role], run.model.widths, run.model.blocks, up)
        for one, other in zip(ours, theirs, strict=True):
            if "scale" in one:
                copy(other.weight, one["scale"])
            elif np.ndim(one["kernel"]) == 2:
                copy(other.weight, np.array(one["kernel"]).T)
            else:
                load(None, [(one, other)])
            if "bias" in one:
                copy(other.bias, one["bias"])
    images = np.asarray(batch["image"])
    apply = lambda role, x: algorithm.networks[role].module.apply({"params": state.params[role]}, x)[0]
    mean, log_variance = jax.jit(lambda x: apply("encoder", x))(images)
    made = jax.jit(lambda z: apply("decoder", z))(mean)
    with torch.no_grad():
        found = step.modules["encoder"](torch.from_numpy(images).permute(0, 3, 1, 2), {})
        again = step.modules["decoder"](found[0], {})
    for theirs, ours in ((found[0], mean), (found[1], log_variance), (again, made)):
        np.testing.assert_allclose(theirs.permute(0, 2, 3, 1), ours, atol=1e-4 * np.abs(ours).max())
    step(0)
    assert all(torch.isfinite(p).all() for m in step.modules.values() for p in m.parameters())


def blocks(tree, theirs):
    load(None, [(tree[f"conv_{i}"], conv) for i, conv in enumerate(theirs.convs)])


def hvae_weights(params, modules):
    encoder, decoder = params["encoder"], params["decoder"]
    load(None, [(encoder["in"], modules["encoder"].start), (decoder["out"], modules["decoder"].out)])
    copy(modules["decoder"].first, np.transpose(decoder["first"], (2, 0, 1)))
    stages = list(modules["encoder"].stages)[::-1]
    for i, stage in enumerate(stages):
        blocks(encoder[f"stage_{i}_block_0"], stage[0])
    for i, layer in enumerate(modules["decoder"].layers):
        ours = decoder[f"layer_{i}"]
        for name in ("prior", "posterior", "block"):
            blocks(ours[name], getattr(layer, name))
        load(None, [(ours["drawn"], layer.drawn)])
    tables(modules["encoder"], encoder)
    tables(modules["decoder"], decoder)
    for i, told in enumerate(modules["decoder"].told):
        copy(told.weight, decoder[f"told_{i}"]["kernel"].T)


def test_hvae():
    from benchmarks.peers import hvae
    from benchmarks.peers.common import Context

    run = bench.resolved("hvae", "tiny", (16, 16, 3), options={"conditions": None, "layers": (2, 1)})
    algorithm = build(run)
    batch = bench.random_batch(algorithm.batch_spec, 8)
    state = jax.jit(algorithm.init)(jax.random.key(0), batch)
    step = hvae.Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    counts = {role: sum(x.size for x in jax.tree.leaves(tree)) for role, tree in state.params.items()}
    assert counts == {role: sum(p.numel() for p in m.parameters()) for role, m in step.modules.items()}

    rng = np.random.default_rng(0)  # what is 0 at first is random here
    random = lambda x: np.asarray(0.2 * rng.standard_normal(x.shape), np.float32)
    params = jax.tree.map(random, dict(state.params))
    hvae_weights(params, step.modules)
    levels = np.asarray(np.rint(127.5 * (batch["image"] + 1)) / 127.5 - 1, np.float32)
    told = {name: np.array(value) for name, value in batch["condition"].items()}
    shapes = [(8, *place, run.model.latent_channels) for place, layers in hvae.grid(run.model) for _ in range(layers)]
    noise = [np.float32(rng.standard_normal(shape)) for shape in shapes]

    @jax.jit
    def ours(params):
        apply = lambda role, *x: algorithm.networks[role].module.apply({"params": params[role]}, *x)
        maps, _ = apply("encoder", levels, told)
        output, aux = apply("decoder", np.concatenate([x.reshape(8, -1) for x in noise], 1), told, maps)
        return output, aux["kl"], elbo.logistic_mixture_nll(levels, output, run.step.mixtures)

    output, kl, nll = ours(params)
    condition = {name: torch.from_numpy(value).long() for name, value in told.items()}
    first = lambda x: torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)
    with torch.no_grad():
        maps = step.modules["encoder"](first(levels), condition)
        theirs = step.modules["decoder"](maps, condition, [first(x) for x in noise])
        loss = step._objective(first(levels), condition, [first(x) for x in noise])
    np.testing.assert_allclose(theirs[0].permute(0, 2, 3, 1), output, atol=1e-4 * np.abs(output).max())
    np.testing.assert_allclose(theirs[1], kl, rtol=1e-3)
    np.testing.assert_allclose(loss, np.mean(nll + kl.sum(1)) / levels[0].size, rtol=1e-4)
    step(0)
    assert all(torch.isfinite(p).all() for m in step.modules.values() for p in m.parameters())


def test_adain():
    algorithm, state, step, batch = started("adain", (16, 16, 3), **{"step.tv_weight": 0.5})
    features, decoder = state.frozen["features"]["params"], state.params["decoder"]
    load(None, zip([features[f"conv{name[4:]}"] for name in step.encoder.names if "conv" in name],
                   convs(step.encoder), strict=True))  # fmt: skip
    names = [name for name in step.modules["decoder"].names if name.startswith("conv")]
    load(None, zip([decoder[name] for name in names], convs(step.modules["decoder"]), strict=True))
    _, metrics = jax.jit(algorithm.step)(state, batch, jax.random.key(0))
    with torch.no_grad():
        loss = step._objective(channels_first(batch["other"]), channels_first(batch["image"]))
    np.testing.assert_allclose(loss, metrics["loss"], rtol=1e-4)
    step(0)


def test_super_resolution():
    from benchmarks.peers import super_resolution
    from genart_jax.data import degrade
    from genart_jax.nn.resample import bicubic

    plain = {"step.perceptual_weight": 0.0, "step.adversarial_weight": 0.0}
    algorithm, state, step, batch = started("super_resolution", (16, 16, 3), init=shapes, **plain)
    images, module = channels_first(batch["image"]), step.modules["generator"]
    large = super_resolution.resized(images, 2.0).permute(0, 2, 3, 1)
    np.testing.assert_allclose(large, bicubic(batch["image"], 2), atol=1e-5)
    small, _ = degrade.downsample(batch["image"], 2)
    shrunk = super_resolution.resized(images, 0.5).clamp(-1, 1).permute(0, 2, 3, 1)
    np.testing.assert_allclose(shrunk, small, atol=1e-5)

    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: np.float32(0.3 * rng.standard_normal(x.shape)), dict(state.params))["generator"]
    names = ["first", "block_0_conv_0", "block_0_conv_1", "last"]
    *most, out = convs(module)
    # The peer's last layer has a colour's four places side by side, ours a place's three colours.
    load(None, zip([params[name] for name in names], most, strict=True))
    kernel = params["out"]["kernel"].reshape(3, 3, -1, 4, 3).swapaxes(3, 4).reshape(3, 3, -1, 12)
    load(None, [({"kernel": kernel, "bias": params["out"]["bias"].reshape(4, 3).T.ravel()}, out)])
    ours = jax.jit(lambda x: algorithm.networks["generator"].module.apply({"params": params}, x)[0])(small)
    with torch.no_grad():
        theirs = module(channels_first(small)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * np.abs(ours).max())
    step(0)
    assert step.loss > 0
    marked = torch.arange(48.0).reshape(1, 3, 4, 4)
    part = super_resolution.crop(marked, torch.tensor([1]), torch.tensor([2]), 2)
    np.testing.assert_array_equal(part, marked[:, :, 1:3, 2:4])
    turns = {super_resolution.turned(marked, torch.tensor([way])).numpy().tobytes() for way in range(8)}
    assert len(turns) == 8


@pytest.mark.parametrize("small", cells.SMALL, ids=lambda small: small.name)
def test_in_bfloat16(small):
    """As a GPU runs them."""
    from benchmarks.peers.common import Context

    run = bench.resolved(**small.case, batch=4, precision="bfloat16")
    name = f"{run.name}_features" if small.kind == "features" else run.name
    context = Context(dataclasses.asdict(run), "cpu", "channels_last")
    step = importlib.import_module(f"benchmarks.peers.{name}").Step(context)
    step(0)  # with all lazy terms
    assert all(torch.isfinite(p).all() for module in step.modules.values() for p in module.parameters())
