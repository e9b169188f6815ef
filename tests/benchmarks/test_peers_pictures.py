"""PyTorch peers of models from picture to picture: as many parameters, and the same numbers from the same weights."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

from genart_jax.train import bench

torch = pytest.importorskip("torch")

from tests.benchmarks.peer_weights import channels_first, convs, copy, load, shapes, started  # noqa: E402


def random_like(tree, scale=0.3):
    """Random numbers in place of a tree's, which may begin at zero; scales of normalisation stay positive."""
    rng = np.random.default_rng(0)
    some = lambda x: rng.uniform(0.5, 1.5, x.shape) if len(x.shape) == 1 else scale * rng.standard_normal(x.shape)
    return jax.tree.map(lambda x: np.float32(some(x)), dict(tree))


def finite(step):
    """A step runs, and leaves finite numbers."""
    step(0)
    assert all(torch.isfinite(p).all() for module in step.modules.values() for p in module.parameters())


def same(theirs, ours):
    """Pictures or scores with the channels first are ours with the channels last."""
    theirs = theirs.detach().permute(0, 2, 3, 1) if theirs.ndim == 4 else theirs.detach()
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * np.abs(ours).max())
    assert np.ptp(ours) > 1e-3


@pytest.mark.parametrize("project_bias", [False, True])
def test_efficientnet_lite0(project_bias):
    algorithm, state, step, batch = started("efficientnet_lite0", (16, 16, 3), shapes, project_bias=project_bias)
    mutable = random_like(state.mutable["classifier"])
    params, module = random_like(state.params["classifier"]), step.modules["classifier"]
    layers = [("stem",), *((f"block_{i}", name) for i in range(3) for name in ("expand", "depthwise", "project"))]
    layers = [path for path in (*layers, ("head",)) if path != ("block_0", "expand")]
    at = lambda tree, path: at(tree[path[0]], path[1:]) if path else tree
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for (*outer, name), conv, norm in zip(layers, convs(module), norms, strict=True):
        load(None, [(at(params, [*outer, name]), conv)])
        own, kept = (at(tree, [*outer, f"{name}_norm"]) for tree in (params, mutable["batch_stats"]))
        copy(norm.weight, own["scale"])
        if "bias" in own:
            copy(norm.bias, own["bias"])
        copy(norm.running_mean, kept["mean"])
        copy(norm.running_var, kept["var"])
    copy(module.out.weight, params["out"]["kernel"].T)
    copy(module.out.bias, params["out"]["bias"])
    network = algorithm.networks["classifier"].module
    same(
        module.eval()(channels_first(batch["image"])),
        jax.jit(lambda x: network.apply({"params": params, **mutable}, x)[0])(batch["image"]),
    )
    module.train()
    finite(step)


def unet_order(ours, levels):
    """Our layers of a U-Net of so many resolutions, in the order of the peer's modules."""
    block = lambda name: [ours[name][part] for part in ("conv_0", "conv_1", "told") if part in ours[name]]
    down = [ours[f"down_{i}"] for i in range(1, levels)]
    encode = [layer for i in range(levels) for layer in block(f"encode_{i}_0")]
    up = [ours[f"up_{i}"] for i in range(levels - 1)]
    decode = [layer for i in range(levels - 1) for layer in block(f"decode_{i}_0")]
    return [ours["first"], *down, *encode, *up, *decode, ours["out"]]


def fill(module, order):
    """Our layers into a module's convolutions and dense layers, in their order."""
    theirs = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    for one, other in zip(order, theirs, strict=True):
        if isinstance(other, torch.nn.Conv2d):
            load(None, [(one, other)])
        else:
            copy(other.weight, one["kernel"].T)
            copy(other.bias, one["bias"])


@pytest.mark.parametrize("name", ["inpaint", "enhance", "dehaze"])
def test_restoration(name):
    from benchmarks.peers import restoring

    options = {"step.crop": 12, "step.turns": True}
    algorithm, state, step, batch = started(name, (18, 14, 3), shapes, **options)
    params, rng = random_like(state.params), np.random.default_rng(1)
    fill(step.modules["generator"], unet_order(params["generator"]["unet"], 2))
    apply = lambda role, *x: algorithm.networks[role].module.apply({"params": params[role]}, *x)
    images = batch["image"]
    if name == "inpaint":
        beside = np.float32(rng.uniform(size=(4, 18, 14, 1)) < 0.4)
        told = channels_first(beside)
    else:
        own = params["overview"]
        fill(step.modules["overview"], [*(own[f"conv_{i}"] for i in range(3)), own["out"]])
        small = jax.image.resize(images, (4, 8, 8, 3), "linear", antialias=True)
        beside = jax.jit(lambda x: apply("overview", x)[0])(small)
        told = step.modules["overview"](restoring.reduced(channels_first(images), 8))
        same(told, beside)
    ours = jax.jit(lambda x, y: apply("generator", x, y)[0])(images, beside)
    same(step.modules["generator"](channels_first(images), told), ours)
    finite(step)
    assert step.loss > 0
    assert torch.isfinite(step.loss)


def test_cut_and_turned_alike():
    _, _, step, batch = started("inpaint", (16, 16, 3), shapes, **{"step.crop": 8, "step.turns": True})
    given, target, mask, _ = step._pairs(channels_first(batch["image"]))
    assert given.shape == target.shape == (4, 3, 8, 8)
    np.testing.assert_array_equal(torch.where(mask > 0, 0.0, target), given)


def test_degradations():
    from benchmarks.peers import degrade as theirs
    from genart_jax.data import degrade as ours
    from genart_jax.data.degrade.base import draw
    from genart_jax.data.degrade.named import flat
    from genart_jax.nn.random import example_keys

    keys, rng = example_keys(jax.random.key(0), 3), np.random.default_rng(0)
    images = np.float32(rng.uniform(-1, 1, (3, 24, 19, 3)))
    images[0] = np.linspace(-1, 1, 19)[:, None]
    x = 0.5 * (channels_first(images) + 1)
    told = lambda drawn: torch.from_numpy(np.array(drawn))
    for one, other, names in (
        (ours.low_light, theirs.low_light, ("gain", "exponent", "exposure")),
        (ours.gamma, lambda x, power: theirs.low_light(x, torch.ones(3), power), ("exponent",)),
        (ours.color_cast, theirs.cast, ("gains",)),
        (flat, theirs.flat, ("contrast",)),
    ):
        image, drawn = one(images, keys)
        same(2 * other(x, *(told(drawn[name]) for name in names)) - 1, image)
    image, drawn = jax.jit(ours.jpeg)(images, keys)
    found = (2 * theirs.Jpeg()(x, told(drawn["quality"])) - 1).permute(0, 2, 3, 1)
    assert np.mean(np.abs(found.numpy() - image) < 1e-4) > 0.99  # halves may be rounded either way
    image, drawn = ours.haze(images, keys)
    coarse = channels_first(draw(keys, "depth", (0.0, 1.0), (4, 4, 1)))
    same(2 * theirs.hazy(x, coarse, told(drawn["beta"]), told(drawn["airlight"])) - 1, image)
    sigma = torch.full((3,), 0.05)
    assert abs((theirs.noisy(torch.full((3, 3, 64, 64), 0.5), sigma) - 0.5).std() - 0.05) < 0.002


def test_strokes():
    from benchmarks.peers import degrade as theirs
    from genart_jax.data.degrade import free_form
    from genart_jax.data.degrade.base import draw
    from genart_jax.nn.random import example_keys

    keys, images = example_keys(jax.random.key(0), 3), np.zeros((3, 24, 19, 3), np.float32)
    mask = free_form(images, keys)[1]["mask"]
    told = lambda name, low, high, *shape: torch.from_numpy(np.array(draw(keys, name, (low, high), shape)))
    angle = told("angle", 0, 2 * np.pi, 4, 1) + told("turns", -1.2, 1.2, 4, 5).cumsum(2)
    start = told("start", 0, 1, 4, 1, 2) * torch.tensor([24, 19])
    reach, radius = 19 * told("length", 0.1, 0.3, 4, 5), 9.5 * told("thickness", 0.04, 0.12, 4)
    found = theirs.strokes(start, angle, reach, radius, 24, 19)
    np.testing.assert_array_equal(found[:, 0].numpy(), mask[..., 0])
    assert 0.02 < np.mean(mask) < 0.9


def test_faults():
    _, _, step, batch = started("enhance", (24, 16, 3), shapes, **{"step.degradation": "faults"})
    given, mask = step.spoil(channels_first(batch["image"]))
    assert mask is None
    assert -1 <= given.min() < given.max() <= 1
    finite(step)


def judge(module, ours, u):
    """Our critic of patches into the peer's, with the vectors of the spectral normalisation."""
    names = [*(f"conv_{i}" for i in range(len(module.convs))), "out"]
    for name, conv in zip(names, [*module.convs, module.out], strict=True):
        kernel, norm = ours[name]["kernel"], conv.parametrizations.weight
        copy(norm.original, np.transpose(kernel, (3, 2, 0, 1)))
        copy(conv.bias, ours[name]["bias"])
        first = torch.from_numpy(np.array(u[name]["kernel_u"]))
        copy(norm[0]._u, first)
        copy(norm[0]._v, torch.nn.functional.normalize(norm.original.detach().flatten(1).T @ first, dim=0))


def normed(module, params, names):
    """Our convolutions and their normalisations into a module's, in the order of the names."""
    kinds = torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.InstanceNorm2d
    order = [params[name] for base in names for name in (base, f"{base}_norm") if name in params]
    for one, other in zip(order, (m for m in module.modules() if isinstance(m, kinds)), strict=True):
        if "scale" in one:
            copy(other.weight, one["scale"])
            copy(other.bias, one["bias"])
        else:
            load(None, [(one, other)])


def test_pix2pix():
    options = {"halvings": 4, "step.critic_learning_rate": 2e-3}
    algorithm, state, step, batch = started("pix2pix", (16, 16, 3), dropout=0.0, **options)
    params = {role: random_like(tree, 0.1) for role, tree in state.params.items()}
    order = [*(f"down_{i}" for i in range(4)), *(f"up_{i}" for i in range(3, -1, -1))]
    normed(step.generator, params["generator"], order)
    judge(step.critic, params["critic"], state.mutable["critic"]["spectral"])
    network = algorithm.networks["generator"].module
    images, target = channels_first(batch["image"]), channels_first(batch["target"])
    made = jax.jit(lambda x: network.apply({"params": params["generator"]}, x)[0])(batch["image"])
    same(step.generator(images), made)
    step.context.images, step.target = images, target
    state, metrics = jax.jit(algorithm.step)(state.replace(params=params), batch, jax.random.key(0))
    finite(step)
    np.testing.assert_allclose(step.lost.item(), metrics["critic_loss"], rtol=1e-4)
    np.testing.assert_allclose(step.loss.item(), metrics["generator_loss"], rtol=1e-4)
    after = np.transpose(state.params["critic"]["conv_0"]["kernel"], (3, 2, 0, 1))
    np.testing.assert_allclose(step.critic.convs[0].parametrizations.weight.original.detach(), after, atol=1e-4)


def test_pix2pix_drops():
    _, _, step, _ = started("pix2pix", (16, 16, 3), shapes, halvings=4)
    assert [any(isinstance(m, torch.nn.Dropout) for m in up) for up in step.generator.up] == [True, True, True, False]
    assert (step.generate(step.context.images) != step.generate(step.context.images)).any()


MAP = ["first", "down_0", "down_1", "block_0_0", "block_0_1", "up_1", "up_0", "out"]


def test_cyclegan():
    options = {"step.identity_weight": 0.5, "step.critic_learning_rate": 2e-3}
    algorithm, state, step, batch = started("cyclegan", (16, 16, 3), **options)
    params = {role: random_like(tree, 0.1) for role, tree in state.params.items()}
    for role, module in step.modules.items():
        if role in ("there", "back"):
            normed(module, params[role], MAP)
        else:
            judge(module, params[role], state.mutable[role]["spectral"])
    step.context.images, step.other = channels_first(batch["image"]), channels_first(batch["other"])
    state, metrics = jax.jit(algorithm.step)(state.replace(params=params), batch, jax.random.key(0))
    finite(step)
    np.testing.assert_allclose(step.lost.item(), metrics["critics_loss"], rtol=1e-4)
    np.testing.assert_allclose(step.loss.item(), metrics["maps_loss"], rtol=1e-4)
    same(step.pools[0].pictures, state.extra["pool_other"])


@pytest.mark.parametrize("paper", [False, True])
def test_cyclegan_maps(paper):
    options = {"normalized": paper, "added": not paper, "step.pixel": "l2"}
    algorithm, state, step, batch = started("cyclegan", (16, 16, 3), shapes, **options)
    params = random_like(state.params["there"], 0.1)
    normed(step.modules["there"], params, MAP)
    network = algorithm.networks["there"].module
    made = jax.jit(lambda x: network.apply({"params": params}, x)[0])(batch["image"])
    same(step.modules["there"](channels_first(batch["image"])), made)
    finite(step)


def test_cyclegan_sees_earlier_pictures():
    from benchmarks.peers.cyclegan import Pool

    pool, seen = Pool(5, torch.zeros(2, 1, 2, 2)), []
    for i in range(40):
        seen.append(pool(torch.full((2, 1, 2, 2), float(i)))[:, 0, 0, 0])
    new = torch.stack(seen) == torch.arange(40.0)[:, None]
    assert new[:2].all()  # while it fills
    assert 0.3 < new[2:].float().mean() < 0.7
    assert Pool(1, torch.zeros(2, 1, 2, 2))(torch.ones(2, 1, 2, 2)).shape == (2, 1, 2, 2)


@pytest.mark.parametrize("style", ["gram", "moments"])
def test_multistyle(style):
    options = {"step.style": style, "step.tv_weight": 0.5, "step.reduce": 2 if style == "gram" else 1}
    algorithm, state, step, batch = started("multistyle", (32, 32, 3), **options)
    params = random_like(state.params["painter"])
    load(None, zip(state.frozen["features"]["params"].values(), convs(step.encoder), strict=True))
    painter = step.painter
    theirs = [*painter.contract, *(layer for block in painter.blocks for layer in block), *painter.expand, painter.out]
    counts = {"contract": range(3), "block_0": range(2), "expand": range(3)}
    for name, layer in zip([f"{k}_{i}" for k, n in counts.items() for i in n], theirs, strict=True):
        load(None, [(params[name], layer.conv)])
        norm = params[f"{name}_norm"]
        copy(layer.scale, norm["scale"])
        if "shift" in norm:
            copy(layer.shift, norm["shift"])
    step.style = torch.from_numpy(np.array(*batch["condition"].values())).long()
    network, told = algorithm.networks["painter"].module, batch["condition"]
    ours = jax.jit(lambda x: network.apply({"params": params}, x, told)[0])(batch["other"])
    contents, styles = channels_first(batch["other"]), channels_first(batch["image"])
    same(painter(contents, step.style), ours)
    _, metrics = jax.jit(algorithm.step)(state.replace(params={"painter": params}), batch, jax.random.key(0))
    np.testing.assert_allclose(step._objective(contents, styles).item(), metrics["loss"], rtol=1e-4)
    finite(step)


def test_gatys():
    from genart_jax.steps import common

    algorithm, state, step, batch = started("gatys", (16, 16, 3))
    state = jax.jit(algorithm.begin)(state, batch)
    load(None, zip(state.frozen["features"]["params"].values(), convs(step.encoder), strict=True))
    step.begin(*(channels_first(common.select(batch, i, 2)["image"]) for i in range(2)))
    copy(step.picture.offset, np.transpose(state.params["pixels"]["offset"], (2, 0, 1)))
    ours, losses = jax.jit(algorithm.step), []
    loss = step._objective().item()
    for _ in range(step.period + 1):
        state, metrics = ours(state, batch, jax.random.key(0))
        losses.append(metrics["loss"].item())
    np.testing.assert_allclose(loss, losses[0], rtol=1e-4)
    finite(step)
    assert step._objective() < 0.5 * losses[0]
    np.testing.assert_allclose(step._objective().item(), losses[-1], rtol=0.2)


@pytest.mark.parametrize("name", ["cyclegan", "dehaze", "efficientnet_lite0", "enhance", "gatys", "inpaint",
                                  "multistyle", "pix2pix"])  # fmt: skip
def test_channels_last_in_bfloat16(name):
    """As a GPU runs them."""
    from benchmarks.peers.common import Context

    run = bench.resolved(name, "tiny", (16, 16, 3), batch=4, precision="bfloat16")
    context = Context(dataclasses.asdict(run), "cpu", "channels_last")
    finite(importlib.import_module(f"benchmarks.peers.{name}").Step(context))
