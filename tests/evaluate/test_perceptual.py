"""Distances between two pictures over VGG trunks, against convolutions written out in NumPy.

With torchvision's VGG16 of random weights and the published heads, the lpips package's own figures are equal to 4e-7.
"""

import numpy as np
import pytest
import safetensors.numpy

import genart_jax as ga
from genart_jax import assets
from genart_jax.assets import weights
from genart_jax.evaluate.perceptual import Perceptual, make_perceptual, pair_diversity

WIDTHS, DEPTHS = (4, 5, 6, 7, 8), (1, 2, 1, 1, 1)
PUBLISHED = (64, 128, 256, 512, 512)


def kernels(widths, depths, draw):
    """Names, kernels HWIO and biases of a VGG."""
    inputs = 3
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True), 1):
        for i in range(1, depth + 1):
            yield f"conv{stage}_{i}", draw((3, 3, inputs, width)), draw((width,))
            inputs = width


@pytest.fixture(scope="module")
def variables():
    rng = np.random.default_rng(0)
    draw = lambda shape: (rng.standard_normal(shape) / np.sqrt(9)).astype(np.float32)
    params = {name: {"kernel": kernel, "bias": bias} for name, kernel, bias in kernels(WIDTHS, DEPTHS, draw)}
    return {"params": params, "constants": {"mean": np.array([0.1, -0.2, 0.3], np.float32)}}


def layers_by_hand(variables, images):
    """The last activations of each stage, float64, of uint8 pictures."""
    x, out = images / 127.5 - 1 - variables["constants"]["mean"], []
    for stage, depth in enumerate(DEPTHS, 1):
        for i in range(1, depth + 1):
            conv = variables["params"][f"conv{stage}_{i}"]
            padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
            shifted = lambda r, c, p=padded, x=x: p[:, r : r + x.shape[1], c : c + x.shape[2]]
            x = sum(shifted(r, c) @ conv["kernel"][r, c].astype(np.float64) for r in range(3) for c in range(3))
            x = np.maximum(x + conv["bias"], 0)
        out.append(x)
        if stage < len(DEPTHS):
            n, h, w, channels = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, channels).max(axis=(2, 4))
    return out


def by_hand(variables, a, b, heads):
    out = np.zeros(len(a))
    for x, y, head in zip(*(layers_by_hand(variables, z) for z in (a, b)), heads, strict=True):
        u, v = (z / (np.linalg.norm(z, axis=-1, keepdims=True) + 1e-10) for z in (x, y))
        out += np.mean(np.sum(head * (u - v) ** 2, axis=-1), axis=(1, 2))
    return out


def pictures(seed, n=2, size=(16, 32)):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3)).astype(np.uint8)


def test_distances(variables):
    a, b = pictures(0), pictures(1)
    for heads in (None, tuple(np.random.default_rng(i).random(w).astype(np.float32) for i, w in enumerate(WIDTHS))):
        distance = Perceptual("x", "", DEPTHS, variables, heads)
        np.testing.assert_allclose(distance(a, b), by_hand(variables, a, b, heads or [1] * 5), rtol=1e-4)
    np.testing.assert_array_equal(distance(a, a), 0)


def test_pairs(variables):
    """Each picture is in one pair; grey ones are seen as colour."""
    distance = Perceptual("lpips_like_vgg19", "", DEPTHS, variables)
    real, fake = pictures(2, 7), pictures(3, 7)[..., :1]
    ((name, score),) = pair_diversity(distance, real, fake).items()
    colour = np.repeat(fake, 3, -1)
    each = by_hand(variables, colour[[0, 2, 4]], colour[[1, 3, 5]], [1] * 5)
    assert name == "diversity_lpips_like_vgg19"
    np.testing.assert_allclose(score.value, each.mean(), rtol=1e-4)
    np.testing.assert_allclose(score.error, each.std(ddof=1) / np.sqrt(3), rtol=1e-3)
    wanted = by_hand(variables, real[:6:2], real[1:6:2], [1] * 5).mean()
    np.testing.assert_allclose(score.details["real"], wanted, rtol=1e-4)
    assert score.contract == {"pairs": 3}


def state_dict(depths):
    """Zeros by torchvision's names, OIHW."""
    out, index = {}, 0
    for name, kernel, bias in kernels(PUBLISHED, depths, lambda shape: np.zeros(shape, np.float32)):
        index += name.endswith("_1") and name != "conv1_1"
        out |= {f"features.{index}.weight": kernel.transpose(3, 2, 0, 1).copy(), f"features.{index}.bias": bias}
        index += 2
    return out


@pytest.fixture
def _here(monkeypatch):
    heads = {f"lin{i}": np.full(w, 1.0 + i, np.float32) for i, w in enumerate(PUBLISHED)}
    given = {"lpips": {"vgg": heads}, "vgg19": weights.vgg19({"own": state_dict(weights.VGG19_DEPTHS)})}
    monkeypatch.setattr(assets, "load", given.__getitem__)
    monkeypatch.setattr(assets, "sha256", lambda asset: "5" * 64)


@pytest.mark.usefixtures("_here")
def test_it_is_lpips_only_over_a_published_trunk(tmp_path):
    ours = make_perceptual("vgg19")
    assert (ours.name, ours.heads, ours.depths) == ("lpips_like_vgg19", None, (2, 2, 4, 4, 4))
    safetensors.numpy.save_file(state_dict(weights.VGG16_DEPTHS), tmp_path / "vgg16.safetensors")
    published = make_perceptual(f"vgg16:{tmp_path / 'vgg16.safetensors'}")
    assert (published.name, published.depths, len(published.weights)) == ("lpips_vgg16", (2, 2, 3, 3, 3), 128)
    assert [float(head[0]) for head in published.heads] == [1, 2, 3, 4, 5]
    assert published.of(pictures(0)).size == (16, 32)
    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "other.safetensors")
    for word, words in (
        ("vgg16", "there are vgg19 and vgg16:FILE"),
        ("alex", "unknown"),
        (f"vgg16:{tmp_path / 'other.safetensors'}", r"lacks 'features\.0\.weight'"),
    ):
        with pytest.raises(ga.UserError, match=words):
            make_perceptual(word)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (pictures(0), pictures(1, 3), "of one size"),
        (pictures(0) / 255, pictures(1), "uint8"),
        (pictures(0, size=(8, 40)), pictures(1, size=(8, 40)), "at least 16 pixels"),
    ],
)
def test_wrong_pictures(variables, a, b, words):
    with pytest.raises(ga.UserError, match=words):
        Perceptual("x", "", DEPTHS, variables)(a, b)
