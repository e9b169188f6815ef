"""Distances between two pictures over VGG trunks, against convolutions written out in NumPy."""

import numpy as np
import pytest
import safetensors.numpy

import genart_jax as ga
from genart_jax import assets
from genart_jax.assets import weights
from genart_jax.evaluate.perceptual import make_perceptual, pair_diversity

WIDTHS = (64, 128, 256, 512, 512)


def state_dict(depths):
    """Random weights of a VGG by torchvision's names, OIHW."""
    rng, out, index, inputs = np.random.default_rng(0), {}, 0, 3
    for width, depth in zip(WIDTHS, depths, strict=True):
        for _ in range(depth):
            scale = np.sqrt(2 / (9 * inputs))
            out[f"features.{index}.weight"] = (scale * rng.standard_normal((width, inputs, 3, 3))).astype(np.float32)
            out[f"features.{index}.bias"] = (0.1 * rng.standard_normal(width)).astype(np.float32)
            index, inputs = index + 2, width
        index += 1
    return out


def layers_by_hand(tensors, depths, images):
    """The last activations of each stage, float64, of uint8 pictures."""
    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    x, index, out = (images / 255 - mean) / std, 0, []
    for depth in depths:
        for _ in range(depth):
            kernel = tensors[f"features.{index}.weight"].astype(np.float64)
            padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
            h, w = x.shape[1:3]
            shifted = lambda i, j, p=padded, h=h, w=w: p[:, i : i + h, j : j + w]
            x = sum(shifted(i, j) @ kernel[:, :, i, j].T for i in range(3) for j in range(3))
            x = np.maximum(x + tensors[f"features.{index}.bias"], 0)
            index += 2
        out.append(x)
        if len(out) < len(depths):
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))
            index += 1
    return out


def by_hand(tensors, depths, a, b, heads):
    out = np.zeros(len(a))
    for x, y, head in zip(*(layers_by_hand(tensors, depths, z) for z in (a, b)), heads, strict=True):
        u, v = (z / (np.linalg.norm(z, axis=-1, keepdims=True) + 1e-10) for z in (x, y))
        out += np.mean(np.sum(head * (u - v) ** 2, axis=-1), axis=(1, 2))
    return out


def pictures(seed, n=2, size=(16, 32)):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3)).astype(np.uint8)


@pytest.fixture
def heads(monkeypatch):
    found = {f"lin{i}": np.random.default_rng(i).random(w).astype(np.float32) for i, w in enumerate(WIDTHS)}
    tensors = state_dict(weights.VGG19_DEPTHS)
    given = {"lpips": {"vgg": found}, "vgg19": weights.vgg19({"own": tensors})}
    monkeypatch.setattr(assets, "load", given.__getitem__)
    monkeypatch.setattr(assets, "sha256", lambda asset: "5" * 64)
    return list(found.values())


def test_over_vgg19_it_is_named_for_its_trunk(heads):
    distance = make_perceptual("vgg19")
    assert distance.name == "lpips_like_vgg19"
    assert distance.resize == "as they are"
    a, b = pictures(0), pictures(1)
    wanted = by_hand(state_dict(weights.VGG19_DEPTHS), weights.VGG19_DEPTHS, a, b, [1] * 5)
    np.testing.assert_allclose(distance(a, b), wanted, rtol=1e-4)
    np.testing.assert_array_equal(distance(a, a), 0)
    grey = a[..., :1], b[..., :1]
    np.testing.assert_allclose(distance(*grey), distance(*(np.repeat(x, 3, -1) for x in grey)), rtol=1e-6)
    many = pictures(2, 7), pictures(3, 7)
    (score,) = pair_diversity(distance, many[0], many[1]).items()
    each = distance(many[1][[0, 2, 4]], many[1][[1, 3, 5]])
    assert score[0] == "diversity_lpips_like_vgg19"
    np.testing.assert_allclose(score[1].value, each.mean(), rtol=1e-5)
    np.testing.assert_allclose(score[1].error, each.std(ddof=1) / np.sqrt(3), rtol=1e-4)
    np.testing.assert_allclose(score[1].details["real"], distance(many[0][:6:2], many[0][1:6:2]).mean(), rtol=1e-5)
    assert score[1].contract == {"pairs": 3}


def test_over_vgg16_with_its_heads_it_is_lpips(heads, tmp_path):
    """Of a torchvision state dict as .safetensors. The lpips package's own figures are equal to 4e-7."""
    tensors = state_dict(weights.VGG16_DEPTHS)
    safetensors.numpy.save_file(tensors, tmp_path / "vgg16.safetensors")
    distance = make_perceptual(f"vgg16:{tmp_path / 'vgg16.safetensors'}")
    assert distance.name == "lpips_vgg16"
    assert len(distance.weights) == 128
    a, b = pictures(0, size=(16, 16)), pictures(1, size=(16, 16))
    wanted = by_hand(tensors, weights.VGG16_DEPTHS, a, b, heads)
    np.testing.assert_allclose(distance(a, b), wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (pictures(0), pictures(1, 3), "of one size"),
        (pictures(0) / 255, pictures(1), "uint8"),
        (pictures(0, size=(8, 40)), pictures(1, size=(8, 40)), "at least 16 pixels"),
    ],
)
def test_wrong_pictures(heads, a, b, words):
    with pytest.raises(ga.UserError, match=words):
        make_perceptual("vgg19")(a, b)


def test_wrong_names(heads, tmp_path):
    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "other.safetensors")
    for word, words in (
        ("vgg16", "there are vgg19 and vgg16:FILE"),
        ("alex", "unknown"),
        (f"vgg16:{tmp_path / 'other.safetensors'}", r"lacks 'features\.0\.weight'"),
    ):
        with pytest.raises(ga.UserError, match=words):
            make_perceptual(word)
