"""VGG networks: their sizes, the name that older runs have, and published weights by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import genart_jax as ga
from genart_jax.assets import vgg as published
from genart_jax.assets.resnet import DEVIATION, MEAN
from genart_jax.models import vgg
from genart_jax.train.published import read, words

THOUSAND = (("imagenet", 1000),)


@pytest.mark.parametrize(
    ("preset", "count"), [("11", 132_863_336), ("13", 133_047_848), ("16", 138_357_544), ("19", 143_667_240)]
)
def test_the_published_sizes(preset, count):
    """With BatchNorm, two numbers a channel come to it, and the convolutions' bias goes."""
    for norm in ("", "bn"):
        run = ga.configure("vgg", preset=preset + norm, image_shape=(224, 224, 3), conditions=THOUSAND)
        module = vgg.networks(run.model)["classifier"].module
        variables = jax.eval_shape(lambda m=module: m.init(jax.random.key(0), jnp.zeros((1, 224, 224, 3))))
        channels = sum(width * depth for width, depth in zip(run.model.widths, run.model.depths, strict=True))
        wanted = count + channels if norm else count
        assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == wanted


def test_vgg19_is_the_preset_19():
    old, new = ga.get_config("vgg19"), ga.get_config("vgg", "19")
    assert (old.name, old.model) == ("vgg19", new.model)
    assert ga.get_config("vgg19", "tiny").model == ga.get_config("vgg", "tiny").model


def tensors(depths, widths, norm, timm, seed=0):
    """A random state dict in the layout of torchvision, or of timm, for pictures of 16 px and 5 classes."""
    rng, found, place, inside = np.random.default_rng(seed), {}, 0, 3
    for depth, width in zip(depths, widths, strict=True):
        for _ in range(depth):
            found[f"features.{place}.weight"] = rng.normal(size=(width, inside, 3, 3)) / np.sqrt(9 * inside)
            found[f"features.{place}.bias"], inside = 0.1 * rng.normal(size=width), width
            if norm:
                place += 1
                found[f"features.{place}.weight"] = rng.uniform(0.5, 1.5, width)
                found[f"features.{place}.bias"] = 0.1 * rng.normal(size=width)
                found[f"features.{place}.running_mean"] = 0.1 * rng.normal(size=width)
                found[f"features.{place}.running_var"] = rng.uniform(0.5, 1.5, width)
                found[f"features.{place}.num_batches_tracked"] = np.array(7)
            place += 2
        place += 1
    side, sizes = 16 // 2 ** len(depths), (12, 10, 5)
    names = (
        ("pre_logits.fc1", "pre_logits.fc2", "head.fc") if timm else ("classifier.0", "classifier.3", "classifier.6")
    )
    inputs = (inside * side * side, 12, 10)
    for i, (name, out, into) in enumerate(zip(names, sizes, inputs, strict=True)):
        kernel = rng.normal(size=(out, into)) / np.sqrt(into)
        shape = ((out, inside, side, side), (out, into, 1, 1), (out, into))[i] if timm else (out, into)
        found[f"{name}.weight"], found[f"{name}.bias"] = kernel.reshape(shape), 0.1 * rng.normal(size=out)
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def by_hand(state, images, depths, norm, timm):
    """The same network by the published layout's formulas, in NumPy and float64, on pictures in [-1, 1]."""
    t = {name: np.asarray(value, np.float64) for name, value in state.items()}
    colours = np.stack([MEAN, DEVIATION])[:, :, None, None]
    x = ((np.asarray(images, np.float64).transpose(0, 3, 1, 2) + 1) / 2 - colours[0]) / colours[1]
    column, place = lambda v: v[:, None, None], 0
    for depth in depths:
        for _ in range(depth):
            windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
            name = f"features.{place}"
            x = np.einsum("nchwij,ocij->nohw", windows, t[f"{name}.weight"]) + column(t[f"{name}.bias"])
            if norm:
                place += 1
                weight, bias, mean, variance = (
                    column(t[f"features.{place}.{k}"]) for k in ("weight", "bias", "running_mean", "running_var")
                )
                x = (x - mean) / np.sqrt(variance + 1e-5) * weight + bias
            x, place = np.maximum(x, 0), place + 2
        n, c, h, w = x.shape
        x, place = x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5)), place + 1
    x = x.reshape(len(x), -1)
    names = (
        ("pre_logits.fc1", "pre_logits.fc2", "head.fc") if timm else ("classifier.0", "classifier.3", "classifier.6")
    )
    for i, name in enumerate(names):
        x = x @ t[f"{name}.weight"].reshape(len(t[f"{name}.bias"]), -1).T + t[f"{name}.bias"]
        x = np.maximum(x, 0) if i < 2 else x
    return x


@pytest.mark.parametrize(("norm", "timm"), [(False, False), (True, True)])
def test_published_weights_give_what_they_give_there(norm, timm):
    depths = (1, 2)
    state = tensors(depths, (4, 6), norm, timm)
    found = published.read(state, "FILE")
    assert (found.options["depths"], found.options["hidden"], found.options["norm"]) == (depths, (12, 10), norm)
    config = dataclasses.replace(vgg.Config(), **found.options)
    module = vgg.networks(config)["classifier"].module
    images = np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    got = jax.jit(lambda x: module.apply(found.variables, x)[0])(images)
    np.testing.assert_allclose(got, by_hand(state, images, depths, norm, timm), rtol=1e-4, atol=1e-4)


def test_a_file_is_read_and_its_options_are_said(tmp_path):
    from safetensors.numpy import save_file

    save_file(tensors((1, 2), (4, 6), True, False), tmp_path / "w.safetensors")
    run, state = read(tmp_path / "w.safetensors")
    assert (run.name, run.model.image_shape, run.model.conditions) == ("vgg", (16, 16, 3), (("imagenet", 5),))
    assert set(state.mutable["classifier"]) == {"batch_stats", "constants"}
    assert words(tmp_path / "w.safetensors") == "--model.widths 4 6 --model.depths 1 2 --model.hidden 12 10"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("features.4.weight"), "missing between features.0 and features.7"),
        (lambda t: t.pop("features.8.running_var"), "features.8.running_var is missing"),
        (lambda t: t.update({"features.4.bias": np.zeros(9)}), r"features.4.bias is \(9,\), wanted \(6,\)"),
        (lambda t: t.pop("classifier.3.weight"), "classifier.3.weight is missing"),
        (lambda t: t.update({"classifier.9.weight": np.zeros(9)}), "classifier.9.weight is in no VGG"),
        (lambda t: t.pop("features.0.weight"), "features.0.weight is missing, so these are not"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_said(change, says):
    state = tensors((1, 2), (4, 6), True, False)
    change(state)
    with pytest.raises(ga.UserError, match=says):
        published.read(state, "FILE")
