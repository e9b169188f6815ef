"""Published weights as the variables of the models here: other names, and NumPy layouts (HWIO kernels).

Each function takes tensors by name (`parts`: file -> name -> array) and raises KeyError for one that is missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genart_jax.runtime.values import Array

Tree = dict[str, Any]

VGG16_DEPTHS, VGG19_DEPTHS = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
_VGG19_CONVS = tuple(f"conv{i + 1}_{j + 1}" for i, depth in enumerate(VGG19_DEPTHS) for j in range(depth))
_LITE0_BLOCKS = 16


def _f32(x: Array) -> Array:
    return np.ascontiguousarray(x, np.float32)


def vgg19(parts: dict[str, dict[str, Array]]) -> Tree:
    """VGG19 (Simonyan & Zisserman 2015) for pictures in [-1, 1]: {"params": ..., "constants": {"mean": (3,)}}.

    The published preprocessing is in them: its scale and channel order in the first kernel, its mean as a constant,
    because what is subtracted before a padding of zeros is not the same as a bias after it.
    """
    if "own" in parts:
        return _torchvision_vgg(parts["own"], VGG19_DEPTHS)
    tensors, params = parts["weights"], {}
    for name in _VGG19_CONVS:
        old = f"block{name[4]}_conv{name[6]}"
        # Each kernel is an index (a byte) into a table of 256 numbers.
        kernel = tensors[f"{old}_W_table"][tensors[f"{old}_W_q"]].transpose(2, 3, 1, 0)
        params[name] = {"kernel": _f32(kernel), "bias": _f32(tensors[f"{old}_b"])}
    # For BGR in 0..255 minus the mean colour; x in [-1, 1] is 127.5 (x + 1) there.
    params["conv1_1"]["kernel"] = _f32(params["conv1_1"]["kernel"][:, :, ::-1] * 127.5)
    mean = np.array((123.68, 116.779, 103.939)) / 127.5 - 1
    return {"params": params, "constants": {"mean": _f32(mean)}}


def vgg16(tensors: dict[str, Array]) -> Tree:
    """VGG16 (Simonyan & Zisserman 2015, configuration D) from torchvision's state dict: as `vgg19`."""
    return _torchvision_vgg(tensors, VGG16_DEPTHS)


def _torchvision_vgg(tensors: dict[str, Array], depths: tuple[int, ...]) -> Tree:
    params, index = {}, 0
    for i, depth in enumerate(depths):
        for j in range(depth):
            kernel = tensors[f"features.{index}.weight"].transpose(2, 3, 1, 0)
            params[f"conv{i + 1}_{j + 1}"] = {"kernel": _f32(kernel), "bias": _f32(tensors[f"features.{index}.bias"])}
            index += 2
        index += 1
    first = params["conv1_1"]["kernel"]
    last = params[f"conv5_{depths[-1]}"]["kernel"].shape
    if first.shape != (3, 3, 3, 64) or last != (3, 3, 512, 512):
        raise ValueError(f"kernels of VGG{3 + sum(depths)}'s shapes (the first is {first.shape})")
    # For RGB in 0..1, normalised; x in [-1, 1] is (x + 1) / 2 there.
    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    params["conv1_1"]["kernel"] = _f32(first / (2 * std)[:, None])
    if "classifier.0.weight" in tensors:
        for old, name in ((0, "fc6"), (3, "fc7"), (6, "out")):
            kernel = tensors[f"classifier.{old}.weight"]
            if name == "fc6":  # of (channels, height, width), flattened
                kernel = kernel.reshape(-1, 512, 7, 7).transpose(0, 2, 3, 1).reshape(len(kernel), -1)
            params[name] = {"kernel": _f32(kernel.T), "bias": _f32(tensors[f"classifier.{old}.bias"])}
    return {"params": params, "constants": {"mean": _f32(2 * mean - 1)}}


def efficientnet_lite0(parts: dict[str, dict[str, Array]]) -> Tree:
    """EfficientNet-lite0 with BatchNorm's statistics: {"params": ..., "batch_stats": ...}."""
    (tensors,) = parts.values()
    params, stats = {}, {}

    def norm(old: str) -> tuple[Tree, Tree]:
        weight, bias, mean, var = (
            _f32(tensors[f"{old}.{k}"]) for k in ("weight", "bias", "running_mean", "running_var")
        )
        return {"scale": weight, "bias": bias}, {"mean": mean, "var": var}

    def kernel(old: str) -> Tree:
        return {"kernel": _f32(tensors[f"{old}.weight"].transpose(2, 3, 1, 0))}

    for name, conv, bn in (("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")):
        params[name] = kernel(conv)
        params[f"{name}_norm"], stats[f"{name}_norm"] = norm(bn)
    for i in range(_LITE0_BLOCKS):
        block: Tree = {}
        block_stats: Tree = {}
        for name, bn in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
            if i == 0 and name == "expand":
                continue
            block[name] = kernel(f"_blocks.{i}._{name}_conv")
            block[f"{name}_norm"], block_stats[f"{name}_norm"] = norm(f"_blocks.{i}.{bn}")
        params[f"block_{i}"], stats[f"block_{i}"] = block, block_stats
    params["out"] = {"kernel": _f32(tensors["_fc.weight"].T), "bias": _f32(tensors["_fc.bias"])}
    return {"params": params, "batch_stats": stats}


def lpips(parts: dict[str, dict[str, Array]]) -> Tree:
    """The linear heads of LPIPS 0.1: {trunk: {"lin0": (channels,), ...}}, one non-negative weight a channel."""
    return {
        trunk: {f"lin{i}": _f32(tensors[f"lin{i}.model.1.weight"].ravel()) for i in range(len(tensors))}
        for trunk, tensors in parts.items()
    }


def multistyle26(parts: dict[str, dict[str, Array]]) -> Tree:
    """The 26 styles of `multistyle`, preset published26: {"params": ...}."""
    (tensors,) = parts.values()
    params: Tree = {}
    layers = [(f"{part}.{i}", f"{part}_{i}") for part in ("contract", "expand") for i in range(3)]
    layers += [(f"res.{i}.{j}", f"block_{i}_{j}") for i in range(6) for j in range(2)]
    for old, name in layers:
        params[name] = {"kernel": _f32(tensors[f"{old}.w"].transpose(2, 3, 1, 0))}
        params[f"{name}_norm"] = {"scale": _f32(tensors[f"{old}.norm.gamma"])}
        if not (name.startswith("block") and name.endswith("_1")):  # where it changes nothing
            params[f"{name}_norm"]["shift"] = _f32(tensors[f"{old}.norm.beta"])
    return {"params": params}
