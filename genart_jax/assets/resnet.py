"""Residual networks, from the state dicts of torchvision and timm (their ResNet and ResNet-D layouts)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from genart_jax.assets.weights import Tree
from genart_jax.config import UserError
from genart_jax.runtime.values import Array

MEAN, DEVIATION = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
"""Of ImageNet's colours in 0..1, which both packages take off and divide by."""
MARK = "layer1.0.conv1.weight"
"""A name that only such a state dict has."""

Tensors = Mapping[str, Array]


class Published(NamedTuple):
    """What a file holds: fields of `models.resnet.Config`, and the variables for pictures in [-1, 1]."""

    options: dict[str, object]
    variables: Tree


class _Part(NamedTuple):
    """A convolution and its BatchNorm: names there, path here, and the kernel's shape (out, in, height, width)."""

    conv: str
    norm: str
    path: str
    shape: tuple[int, int, int, int]


def read(tensors: Tensors, origin: str) -> Published:
    """The network in a state dict.

    Raises:
      UserError: it holds something else; names the first tensor that is missing, of another shape, or unknown.
    """
    options = _options(tensors, origin)
    flat: dict[str, Array] = {}
    known = {"fc.weight", "fc.bias"}
    parts = list(_parts(tensors, options))
    for part in parts:
        kernel = get(tensors, f"{part.conv}.weight", part.shape, origin).transpose(2, 3, 1, 0)
        flat[f"params/{part.path}/conv/kernel"] = kernel
        for name, path in (
            ("weight", "params/{}/norm/scale"), ("bias", "params/{}/norm/bias"),
            ("running_mean", "batch_stats/{}/norm/mean"), ("running_var", "batch_stats/{}/norm/var"),
        ):  # fmt: skip
            flat[path.format(part.path)] = get(tensors, f"{part.norm}.{name}", part.shape[:1], origin)
            known |= {f"{part.norm}.{name}", f"{part.norm}.num_batches_tracked"}
        known.add(f"{part.conv}.weight")
    classes, features = tensors["fc.weight"].shape[0], parts[-1].shape[0]
    flat["params/out/kernel"] = get(tensors, "fc.weight", (classes, features), origin).T
    flat["params/out/bias"] = get(tensors, "fc.bias", (classes,), origin)
    if unknown := sorted(set(tensors) - known):
        raise UserError(f"{origin}: {unknown[0]} is in no residual network that is known here")
    # (c - mean) / deviation of c = (x + 1) / 2 is (x - (2 mean - 1)) / (2 deviation).
    first = next(iter(flat))
    flat[first] = flat[first] / (2 * DEVIATION)[:, None]
    flat["constants/mean"] = 2 * MEAN - 1
    tree = {name: np.ascontiguousarray(value, np.float32) for name, value in flat.items()}
    return Published(options, unflatten_dict(tree, sep="/"))


def get(tensors: Tensors, name: str, shape: tuple[int, ...], origin: str) -> Array:
    """A tensor by its name.

    Raises:
      UserError: it is missing, or of another shape.
    """
    if name not in tensors:
        raise UserError(f"{origin}: {name} is missing")
    if tuple(tensors[name].shape) != shape:
        raise UserError(f"{origin}: {name} is {tuple(tensors[name].shape)}, wanted {shape}")
    return tensors[name]


def _options(tensors: Tensors, origin: str) -> dict[str, object]:
    """The architecture, by names and the shapes of a few tensors."""
    for name in (MARK, "fc.weight"):
        if name not in tensors:
            raise UserError(f"{origin}: {name} is missing, so these are not the weights of a residual network")
    stages = list(itertools.takewhile(lambda i: f"layer{i}.0.conv1.weight" in tensors, itertools.count(1)))
    blocks = lambda i: itertools.takewhile(lambda j: f"layer{i}.{j}.conv1.weight" in tensors, itertools.count())
    deep = "conv1.0.weight" in tensors
    return {
        "conditions": (("imagenet", tensors["fc.weight"].shape[0]),),
        "widths": tuple(int(tensors[f"layer{i}.0.conv1.weight"].shape[0]) for i in stages),
        "depths": tuple(len(list(blocks(i))) for i in stages),
        "bottleneck": "layer1.0.conv3.weight" in tensors,
        "stem": "deep" if deep else "plain",
        "pooled_shortcut": "layer2.0.downsample.2.weight" in tensors,
    }


def _parts(tensors: Tensors, options: Mapping[str, object]) -> Iterator[_Part]:
    """All convolutions, from the first."""
    widths, depths, many = options["widths"], options["depths"], options["bottleneck"]
    assert isinstance(widths, tuple)
    assert isinstance(depths, tuple)
    narrow = max(1, widths[0] // 2)
    if options["stem"] == "deep":
        yield _Part("conv1.0", "conv1.1", "stem_0", (narrow, 3, 3, 3))
        yield _Part("conv1.3", "conv1.4", "stem_1", (narrow, narrow, 3, 3))
        yield _Part("conv1.6", "bn1", "stem_2", (widths[0], narrow, 3, 3))
    else:
        yield _Part("conv1", "bn1", "stem_0", (widths[0], 3, 7, 7))
    inside = widths[0]
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        outside = 4 * width if many else width
        for j in range(depth):
            there, here = f"layer{i + 1}.{j}", f"stage_{i}_block_{j}"
            shapes = [(width, inside, 3, 3), (width, width, 3, 3)]
            if many:
                shapes = [(width, inside, 1, 1), (width, width, 3, 3), (outside, width, 1, 1)]
            for k, shape in enumerate(shapes):
                yield _Part(f"{there}.conv{k + 1}", f"{there}.bn{k + 1}", f"{here}/layer_{k}", shape)
            if j == 0 and (inside != outside or i):
                at = 0 if f"{there}.downsample.0.weight" in tensors else 1  # after a pooling
                names = (f"{there}.downsample.{at}", f"{there}.downsample.{at + 1}")
                yield _Part(*names, f"{here}/shortcut", (outside, inside, 1, 1))
            inside = outside
