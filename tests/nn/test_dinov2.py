"""DINOv2, against its equations in NumPy, float64.

Of random weights of the small network in both namings, transformers 5.24.0 (with its own way of resizing places, which
is `nudge=0`) and PyTorch 2.13's bicubic filter with the published scale give the same to 8e-7.
"""

import functools

import jax
import numpy as np
import pytest
import safetensors.numpy
import scipy.special

import genart_jax as ga
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.nn import dinov2

WIDTH, HEADS, GRID = 384, 6, 5


@functools.cache
def published(depth=2):
    """Random tensors by the names of the published repository."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: (rng.standard_normal(shape) * 0.05).astype(np.float32)
    norm = lambda name: {f"{name}.weight": 1 + draw(WIDTH), f"{name}.bias": draw(WIDTH)}
    dense = lambda name, i, o: {f"{name}.weight": draw(o, i), f"{name}.bias": draw(o)}
    out = {"cls_token": draw(1, 1, WIDTH), "pos_embed": draw(1, 1 + GRID**2, WIDTH), "mask_token": draw(1, WIDTH)}
    out |= {"patch_embed.proj.weight": draw(WIDTH, 3, 14, 14), "patch_embed.proj.bias": draw(WIDTH)} | norm("norm")
    for i in range(depth):
        b = f"blocks.{i}"
        out |= norm(f"{b}.norm1") | norm(f"{b}.norm2") | dense(f"{b}.attn.qkv", WIDTH, 3 * WIDTH)
        out |= dense(f"{b}.attn.proj", WIDTH, WIDTH) | dense(f"{b}.mlp.fc1", WIDTH, 4 * WIDTH)
        out |= dense(f"{b}.mlp.fc2", 4 * WIDTH, WIDTH)
        out |= {f"{b}.ls1.gamma": 1 + draw(WIDTH), f"{b}.ls2.gamma": 1 + draw(WIDTH)}
    return out


def library(tensors, prefix=""):
    """The same by the names of Hugging Face's library."""
    names = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings",
             "mask_token": "embeddings.mask_token", "norm": "layernorm",
             "patch_embed.proj": "embeddings.patch_embeddings.projection"}  # fmt: skip
    out = {}
    for name, value in tensors.items():
        stem, _, last = name.rpartition(".")
        if ".attn.qkv" in name:
            block = stem.removesuffix(".attn.qkv").replace("blocks", "encoder.layer")
            for word, part in zip(("query", "key", "value"), np.split(value, 3), strict=True):
                out[f"{block}.attention.attention.{word}.{last}"] = part
            continue
        new = f"{names[stem]}.{last}" if stem in names else names.get(name, name)
        new = new.replace("blocks", "encoder.layer").replace("attn.proj", "attention.output.dense")
        out[new.replace("ls1.gamma", "layer_scale1.lambda1").replace("ls2.gamma", "layer_scale2.lambda1")] = value
    return {prefix + name: value for name, value in out.items()}


def by_hand(tensors, images, depth=2):
    """The class token of pictures whose patches are as many as the places."""
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    dense = lambda x, name: x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-6) * t[f"{name}.weight"] + t[f"{name}.bias"]

    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    x = ((images.astype(np.float64) + 1) / 2 - mean) / std
    n = len(x)
    patches = x.reshape(n, GRID, 14, GRID, 14, 3).transpose(0, 1, 3, 5, 2, 4).reshape(n, GRID**2, -1)
    x = patches @ t["patch_embed.proj.weight"].reshape(WIDTH, -1).T + t["patch_embed.proj.bias"]
    x = np.concatenate([np.broadcast_to(t["cls_token"], (n, 1, WIDTH)), x], axis=1) + t["pos_embed"]
    for i in range(depth):
        b = f"blocks.{i}"
        q, k, v = np.split(dense(norm(x, f"{b}.norm1"), f"{b}.attn.qkv"), 3, axis=-1)
        q, k, v = (y.reshape(n, -1, HEADS, 64).transpose(0, 2, 1, 3) for y in (q, k, v))
        y = scipy.special.softmax(q @ k.transpose(0, 1, 3, 2) / 8, axis=-1) @ v
        x = x + t[f"{b}.ls1.gamma"] * dense(y.transpose(0, 2, 1, 3).reshape(n, -1, WIDTH), f"{b}.attn.proj")
        y = dense(norm(x, f"{b}.norm2"), f"{b}.mlp.fc1")
        y = y * 0.5 * (1 + scipy.special.erf(y / np.sqrt(2)))
        x = x + t[f"{b}.ls2.gamma"] * dense(y, f"{b}.mlp.fc2")
    return norm(x, "norm")[:, 0]


def test_the_class_token():
    images = np.random.default_rng(1).uniform(-1, 1, (2, 14 * GRID, 14 * GRID, 3)).astype(np.float32)
    network, variables = dinov2.variables(published())
    assert (network.width, network.depth, network.grid) == (WIDTH, 2, GRID)
    token, aux = jax.jit(network.apply)(variables, images)
    np.testing.assert_allclose(token, by_hand(published(), images), atol=2e-5)
    assert aux["block_1"].shape == aux["tokens"].shape == (2, 1 + GRID**2, WIDTH)


@pytest.mark.parametrize("prefix", ["", "dinov2."])
def test_both_namings_give_the_same_variables(prefix):
    (_, ours), (_, theirs) = (dinov2.variables(t) for t in (published(), library(published(), prefix)))
    jax.tree.map(np.testing.assert_array_equal, theirs, ours)


def test_places_for_other_sizes():
    """Keys' cubic polynomial with a = -0.75 at the places that the published scale gives, term by term."""
    places = np.random.default_rng(2).standard_normal((6, 6, 3)).astype(np.float32)

    def weight(t, a=-0.75):
        t = abs(t)
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0

    def at(values, place):
        return sum(weight(place - i) * values[min(max(i, 0), 5)] for i in range(-4, 11))

    for nudge in (0.1, 0.0):
        got = dinov2.resized(places, (3, 4), nudge)
        for row, column in np.ndindex(3, 4):
            down, right = ((i + 0.5) * 6 / (n + nudge) - 0.5 for i, n in ((row, 3), (column, 4)))
            wanted = at([at(list(line), right) for line in places.astype(np.float64)], down)
            np.testing.assert_allclose(got[row, column], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(dinov2.resized(places, (6, 6)), places)


def test_as_an_extractor(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(library(published(1)), path)
    network = make_extractor(f"dinov2:{path}")
    assert (network.name, network.size, len(network.weights)) == ("dinov2_small", (224, 224), 64)
    assert "bicubic" in network.resize
    _, variables = dinov2.variables(published(1))
    images = np.random.default_rng(3).uniform(-1, 1, (1, 28, 42, 3)).astype(np.float32)
    features, logits = jax.jit(network.apply)(variables, images)
    wanted = jax.jit(dinov2.DinoV2(WIDTH, 1, GRID).apply)(variables, images)[0]
    np.testing.assert_allclose(features, wanted, atol=1e-5)
    assert logits is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: {"a": t["cls_token"]}, "cls_token is missing"),
        (lambda t: t | {"register_tokens": t["cls_token"]}, "without"),
        (lambda t: t | {"cls_token": np.zeros((1, 1, 1536), np.float32)}, "of width 1536; there are 384"),
        (lambda t: {n: v for n, v in t.items() if n != "blocks.1.ls2.gamma"}, r"blocks\.1\.ls2\.gamma is missing"),
        (lambda t: t | {"blocks.0.mlp.fc1.bias": np.zeros(7, np.float32)}, r"block_0\.up\.bias is \(7,\), wanted"),
    ],
)
def test_other_weights_are_refused(change, words):
    with pytest.raises(ga.UserError, match=words):
        dinov2.variables(change(dict(published())))


def test_a_file_is_needed():
    with pytest.raises(ga.UserError, match="dinov2 needs a file"):
        make_extractor("dinov2")
