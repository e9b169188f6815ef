"""Residual networks: their sizes, what is left out in training, and published weights by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import genart_jax as ga
from genart_jax.assets import resnet as published
from genart_jax.models import resnet
from genart_jax.train.published import read, words
from genart_jax.use.predict import load_classifier

KEY = jax.random.key(0)
THOUSAND = (("imagenet", 1000),)


@pytest.mark.parametrize(("preset", "count"), [("18", 11_689_512), ("34", 21_797_672), ("50", 25_557_032)])
def test_the_published_sizes(preset, count):
    run = ga.configure("resnet", preset=preset, image_shape=(224, 224, 3), conditions=THOUSAND)
    module = resnet.networks(run.model)["classifier"].module
    variables = jax.eval_shape(lambda: module.init(KEY, jnp.zeros((1, 224, 224, 3))))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count


@pytest.mark.parametrize("preset", ["18d", "50d"])
def test_resnet_d_halves_where_the_plain_one_does(preset):
    run = ga.configure("resnet", preset=preset, image_shape=(64, 64, 3), conditions=THOUSAND)
    module = resnet.networks(run.model)["classifier"].module
    (_, aux), _ = jax.eval_shape(lambda: module.init_with_output(KEY, jnp.zeros((1, 64, 64, 3))))
    assert [aux[f"stage_{i}"].shape[1] for i in range(4)] == [16, 8, 4, 2]


def test_a_branch_is_left_out_of_some_examples():
    """With all weights of the branch at work, an example has either the shortcut alone or twice the branch."""
    config = resnet.Config(widths=(4,), depths=(1,))
    block = resnet.Block(4, 1, config, drop=0.5)
    x = jax.random.uniform(KEY, (16, 4, 4, 4))
    variables = block.init(KEY, x, False, None)
    whole = block.apply(variables, x, False, None)
    keys = jax.random.split(jax.random.key(1), 16)
    got = np.asarray(block.apply(variables, x, False, keys))
    branch_twice = []
    for i in range(16):
        alone = np.abs(got[i] - np.maximum(x[i], 0)).max() < 1e-5
        branch_twice.append(not alone)
        if not alone:
            assert np.abs(got[i] - whole[i]).max() > 1e-3
    assert 0 < sum(branch_twice) < 16
    one = np.asarray(block.apply(variables, x[:1], False, keys[:1]))
    np.testing.assert_allclose(one, got[:1], atol=1e-5)


def tensors(depths, widths, bottleneck, deep, seed=0):
    """A random state dict in the layout of torchvision, or of timm's ResNet-D."""
    rng, found = np.random.default_rng(seed), {}

    def conv(name, out, into, side):
        found[f"{name}.weight"] = rng.normal(size=(out, into, side, side)) / np.sqrt(into * side * side)

    def norm(name, size):
        found[f"{name}.weight"], found[f"{name}.bias"] = rng.uniform(0.5, 1.5, size), 0.1 * rng.normal(size=size)
        found[f"{name}.running_mean"] = 0.1 * rng.normal(size=size)
        found[f"{name}.running_var"] = rng.uniform(0.5, 1.5, size)
        found[f"{name}.num_batches_tracked"] = np.array(7)

    into, half = widths[0], widths[0] // 2
    if deep:
        for name, bn, out, before in (("conv1.0", "conv1.1", half, 3), ("conv1.3", "conv1.4", half, half)):
            conv(name, out, before, 3)
            norm(bn, out)
        conv("conv1.6", into, half, 3)
    else:
        conv("conv1", into, 3, 7)
    norm("bn1", into)
    for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for j in range(depth):
            name, out = f"layer{i + 1}.{j}", 4 * width if bottleneck else width
            sides = (
                [(width, into, 1), (width, width, 3), (out, width, 1)]
                if bottleneck
                else [(width, into, 3), (width, width, 3)]
            )
            for k, (a, b, side) in enumerate(sides):
                conv(f"{name}.conv{k + 1}", a, b, side)
                norm(f"{name}.bn{k + 1}", a)
            if j == 0 and (i or into != out):
                at = int(deep and i > 0)
                conv(f"{name}.downsample.{at}", out, into, 1)
                norm(f"{name}.downsample.{at + 1}", out)
            into = out
    found["fc.weight"], found["fc.bias"] = rng.normal(size=(5, into)) / np.sqrt(into), rng.normal(size=5)
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def windows(x, side, stride, pad, fill=0.0):
    """(N, C, H, W) -> (N, C, h, w, side, side), float64."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    return sliding_window_view(padded, (side, side), (2, 3))[:, :, ::stride, ::stride]


def by_hand(state, images, bottleneck, deep):
    """The same network by the published layout's formulas, in NumPy and float64, on pictures in [-1, 1]."""
    t = {name: np.asarray(value, np.float64) for name, value in state.items()}
    relu = lambda x: np.maximum(x, 0)

    def step(x, conv, norm, stride):
        kernel = t[f"{conv}.weight"]
        x = np.einsum("nchwij,ocij->nohw", windows(x, kernel.shape[-1], stride, kernel.shape[-1] // 2), kernel)
        weight, bias, mean, variance = (
            t[f"{norm}.{name}"][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    colours = np.stack([published.MEAN, published.DEVIATION])[:, :, None, None]
    x = ((np.asarray(images, np.float64).transpose(0, 3, 1, 2) + 1) / 2 - colours[0]) / colours[1]
    if deep:
        x = relu(step(relu(step(x, "conv1.0", "conv1.1", 2)), "conv1.3", "conv1.4", 1))
        x = relu(step(x, "conv1.6", "bn1", 1))
    else:
        x = relu(step(x, "conv1", "bn1", 2))
    x = windows(x, 3, 2, 1, -np.inf).max((-2, -1))
    last = 3 if bottleneck else 2
    for name in sorted({".".join(key.split(".")[:2]) for key in state if key.startswith("layer")}):
        stride = 2 if name[5] != "1" and name.endswith(".0") else 1
        y = x
        for k in range(1, last + 1):
            y = step(y, f"{name}.conv{k}", f"{name}.bn{k}", stride if k == (2 if bottleneck else 1) else 1)
            y = relu(y) if k < last else y
        at = next((i for i in (0, 1) if t.get(f"{name}.downsample.{i}.weight", np.zeros(1)).ndim == 4), None)
        if at is not None:
            pooled = deep and stride == 2
            x = windows(x, 2, 2, 0).mean((-2, -1)) if pooled else x
            x = step(x, f"{name}.downsample.{at}", f"{name}.downsample.{at + 1}", 1 if pooled else stride)
        x = relu(x + y)
    return x.mean((2, 3)) @ t["fc.weight"].T + t["fc.bias"]


@pytest.mark.parametrize(("bottleneck", "deep"), [(False, False), (True, False), (True, True)])
def test_published_weights_give_what_they_give_there(bottleneck, deep):
    state = tensors((1, 2), (8, 12), bottleneck, deep)
    found = published.read(state, "FILE")
    config = dataclasses.replace(resnet.Config(image_shape=(32, 32, 3)), **found.options)
    module = resnet.networks(config)["classifier"].module
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    got = jax.jit(lambda x: module.apply(found.variables, x)[0])(images)
    np.testing.assert_allclose(got, by_hand(state, images, bottleneck, deep), rtol=1e-4, atol=1e-4)


def test_a_file_is_read_and_its_options_are_said(tmp_path):
    from safetensors.numpy import save_file

    save_file(tensors((1, 1), (8, 16), True, False), tmp_path / "w.safetensors")
    run, state = read(tmp_path / "w.safetensors")
    assert (run.name, run.model.depths, run.model.conditions) == ("resnet", (1, 1), (("imagenet", 5),))
    assert set(state.mutable["classifier"]) == {"batch_stats", "constants"}
    assert load_classifier(tmp_path / "w.safetensors").class_names == ("0", "1", "2", "3", "4")
    said = words(tmp_path / "w.safetensors")
    assert said == "--model.widths 8 16 --model.depths 1 1 --model.bottleneck --model.stem plain"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("layer2.0.bn2.running_var"), "layer2.0.bn2.running_var is missing"),
        (lambda t: t.update({"layer1.0.conv2.weight": np.zeros((8, 9, 3, 3))}), r"conv2.weight is \(8, 9, 3, 3\)"),
        (lambda t: t.update({"layer1.0.se.weight": np.zeros(3)}), "layer1.0.se.weight is in no residual network"),
        (lambda t: t.pop("fc.weight"), "fc.weight is missing, so these are not"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_said(change, says):
    state = tensors((1, 1), (8, 16), False, False)
    change(state)
    with pytest.raises(ga.UserError, match=says):
        published.read(state, "FILE")


def test_a_picture_too_small_is_refused():
    with pytest.raises(ga.UserError, match="sides must be at least 32"):
        ga.build("resnet", preset="18", image_shape=(16, 16, 3), conditions=THOUSAND)
