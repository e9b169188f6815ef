"""VGG networks, with BatchNorm or without, from the state dicts of torchvision and timm."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping

import numpy as np
from flax.traverse_util import unflatten_dict

from genart_jax.assets.resnet import DEVIATION, MEAN, Published, get
from genart_jax.config import UserError
from genart_jax.runtime.values import Array

MARK = "features.0.weight"
"""A name that only such a state dict has."""

Tensors = Mapping[str, Array]

_DENSE = (("classifier.0", "pre_logits.fc1"), ("classifier.3", "pre_logits.fc2"), ("classifier.6", "head.fc"))
"""Names of the dense layers, of torchvision and of timm."""


def read(tensors: Tensors, origin: str) -> Published:
    """The network in a state dict.

    Raises:
      UserError: it holds something else; names the first tensor that is missing, of another shape, or unknown.
    """
    stages, norm = _stages(tensors, origin)
    flat: dict[str, Array] = {}
    known, inside = set[str](), 3
    for i, stage in enumerate(stages, 1):
        width = int(tensors[f"features.{stage[0]}.weight"].shape[0])
        for j, place in enumerate(stage, 1):
            name = f"features.{place}"
            kernel = get(tensors, f"{name}.weight", (width, inside, 3, 3), origin)
            flat[f"params/conv{i}_{j}/kernel"] = kernel.transpose(2, 3, 1, 0)
            bias, inside = get(tensors, f"{name}.bias", (width,), origin), width
            known |= {f"{name}.weight", f"{name}.bias"}
            if not norm:
                flat[f"params/conv{i}_{j}/bias"] = bias
                continue
            after = f"features.{place + 1}"
            parts = {k: get(tensors, f"{after}.{k}", (width,), origin) for k in _NORM}
            parts["running_mean"] = parts["running_mean"] - bias  # which the networks here have not
            flat |= {path.format(f"norm{i}_{j}"): parts[k] for k, path in _NORM.items()}
            known |= {f"{after}.{k}" for k in (*_NORM, "num_batches_tracked")}
    hidden, side = _dense(tensors, origin, flat, known, inside, len(stages))
    if unknown := sorted(set(tensors) - known):
        raise UserError(f"{origin}: {unknown[0]} is in no VGG network that is known here")
    # (c - mean) / deviation of c = (x + 1) / 2 is (x - (2 mean - 1)) / (2 deviation).
    flat["params/conv1_1/kernel"] = flat["params/conv1_1/kernel"] / (2 * DEVIATION)[:, None]
    flat["constants/mean"] = 2 * MEAN - 1
    tree = {name: np.ascontiguousarray(value, np.float32) for name, value in flat.items()}
    size = side * 2 ** len(stages)
    options: dict[str, object] = {
        "image_shape": (size, size, 3),
        "conditions": (("imagenet", tree["params/out/bias"].shape[0]),),
        "widths": tuple(int(tensors[f"features.{stage[0]}.weight"].shape[0]) for stage in stages),
        "depths": tuple(len(stage) for stage in stages),
        "hidden": hidden,
        "norm": norm,
    }
    return Published(options, unflatten_dict(tree, sep="/"))


_NORM = {
    "weight": "params/{}/scale",
    "bias": "params/{}/bias",
    "running_mean": "batch_stats/{}/mean",
    "running_var": "batch_stats/{}/var",
}
"""BatchNorm's tensors, and their paths here."""


def _stages(tensors: Tensors, origin: str) -> tuple[list[list[int]], bool]:
    """Places of the convolutions in the list of layers, by stage, and whether BatchNorm follows each.

    In that list a convolution is followed by its BatchNorm, if any, and by a ReLU; a stage ends with a pooling.
    """
    if MARK not in tensors:
        raise UserError(f"{origin}: {MARK} is missing, so these are not the weights of a VGG network")
    norm = "features.1.running_mean" in tensors
    layers = 3 if norm else 2
    found = (re.fullmatch(r"features\.(\d+)\.weight", name) for name in tensors)
    places = sorted(int(match[1]) for match in found if match and tensors[match[0]].ndim == 4)
    stages = [[0]]
    for before, place in itertools.pairwise(places):
        if place - before not in (layers, layers + 1):
            raise UserError(f"{origin}: a convolution is missing between features.{before} and features.{place}")
        if place - before > layers:
            stages.append([])
        stages[-1].append(place)
    return stages, norm


def _dense(
    tensors: Tensors, origin: str, flat: dict[str, Array], known: set[str], width: int, stages: int
) -> tuple[tuple[int, ...], int]:
    """Takes the dense layers; returns units before the last, and the side of what the first sees."""
    column = 0 if f"{_DENSE[0][0]}.weight" in tensors else 1
    names = [pair[column] for pair in _DENSE]
    for name in names:
        if f"{name}.weight" not in tensors:
            raise UserError(f"{origin}: {name}.weight is missing")
    inputs = math.prod(tensors[f"{names[0]}.weight"].shape[1:])
    side = math.isqrt(inputs // width)
    units = [int(tensors[f"{name}.weight"].shape[0]) for name in names]
    sizes = [side * side * width, *units[:-1]]
    for i, (name, inside, out) in enumerate(zip(names, sizes, units, strict=True)):
        as_conv = column == 1 and i < 2  # timm has the first two as convolutions
        shape = (
            (out, inside) if not as_conv else (out, inside // side**2, side, side) if i == 0 else (out, inside, 1, 1)
        )
        kernel = get(tensors, f"{name}.weight", shape, origin).reshape(out, inside)
        if i == 0:  # of (channels, height, width), flattened
            kernel = kernel.reshape(out, width, side, side).transpose(0, 2, 3, 1).reshape(out, inside)
        path = "out" if i == 2 else f"fc{stages + 1 + i}"
        flat[f"params/{path}/kernel"] = kernel.T
        flat[f"params/{path}/bias"] = get(tensors, f"{name}.bias", (out,), origin)
        known |= {f"{name}.weight", f"{name}.bias"}
    return tuple(units[:-1]), side
