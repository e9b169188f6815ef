"""StyleGAN2's published networks, from the state dicts of their PyTorch implementation (Karras et al. 2020).

What differs from the networks here is the order of axes, the direction of kernels that double a picture (a transposed
convolution there, a convolution here), and how a class's vector is kept (a matrix and a bias there, a row a class
here). `_generator` and `_critic` are the table of names.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from genart_jax.assets.weights import Tree
from genart_jax.config import UserError
from genart_jax.runtime.values import Array

CONDITION = "label"
"""What the classes of a published network are called here."""

_BEGINNINGS = {
    "average": ("G_ema.", "G.", ""),
    "generator": ("G.", "G_ema.", ""),
    "critic": ("D.", ""),
}
_MARKS = {"average": "synthesis.b4.const", "generator": "synthesis.b4.const", "critic": "b4.out.weight"}
_FILTER = np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64
_CONSTANTS = ("resample_filter", "noise_const")  # the second is drawn from a key here

Tensors = Mapping[str, Array]
Change = Callable[[Array], Array]


class Published(NamedTuple):
    """What a file holds: collections of variables, float32.

    Attributes:
      options: the fields of `models.stylegan2.Config` that it says.
      generator, average: where the generator is trained further, and where it is sampled from.
      critic: None where the file has none.
    """

    options: dict[str, Any]
    generator: Tree
    average: Tree
    critic: Tree | None


class _Row(NamedTuple):
    """A tensor's name and shape there, its path here, and how it is changed."""

    name: str
    shape: tuple[int, ...]
    path: str
    change: Change = lambda x: x


_dense: Change = lambda x: x.T
_conv: Change = lambda x: x.transpose(2, 3, 1, 0)
_flipped: Change = lambda x: x.transpose(2, 3, 1, 0)[::-1, ::-1]


def read(tensors: Tensors, origin: str) -> Published:
    """The networks in a state dict; or in several, whose names have "G_ema.", "G." and "D." in front.

    Raises:
      UserError: it holds something else; says which tensor is the first that is missing, of another shape, or unknown.
    """
    fronts = {
        part: next((front for front in fronts if front + _MARKS[part] in tensors), None)
        for part, fronts in _BEGINNINGS.items()
    }
    generator, critic = fronts["average"], fronts["critic"]
    if generator is None:
        raise UserError(f"{origin}: synthesis.b4.const is missing, so these are not the weights of a StyleGAN2")
    if generator == critic == "" and "mapping.embed.weight" in tensors:
        raise UserError(f"{origin}: both networks have classes; save the critic's names with D. in front")
    options = _options(_within(tensors, generator), None if critic is None else _within(tensors, critic))
    trees: dict[str, Tree] = {}
    known: set[str] = set()
    for part, front in fronts.items():
        if front is None:
            continue
        rows = [*(_critic(options) if part == "critic" else _generator(options))]
        trees[part] = _tree(_within(tensors, front), rows, f"{origin}: {front}")
        known |= {front + row.name for row in rows}
    _check_rest(tensors, known, origin)
    return Published(options, trees["generator"], trees["average"], trees.get("critic"))


def _within(tensors: Tensors, front: str) -> dict[str, Array]:
    return {name.removeprefix(front): value for name, value in tensors.items() if name.startswith(front)}


def _count(tensors: Tensors, name: str) -> int:
    """How many of `name`.format(0), `name`.format(1), ... there are."""
    return next(i for i in itertools.count() if name.format(i) not in tensors)


def _options(generator: Tensors, critic: Tensors | None) -> dict[str, Any]:
    """The architecture, by the shapes of a few tensors; 0 for what is missing, which the table then names."""

    def size(name: str, axis: int = 0) -> int:
        shape = generator[name].shape if name in generator else ()
        return shape[axis] if len(shape) > axis else 0

    layers, side = _count(generator, "mapping.fc{}.weight"), 4
    while f"synthesis.b{2 * side}.conv1.weight" in generator:
        side *= 2
    classes = size("mapping.embed.weight", 1)
    options: dict[str, Any] = {
        "image_shape": (side, side, size(f"synthesis.b{side}.torgb.weight")),
        "conditions": ((CONDITION, classes),) if classes else (),
        "latent_dim": size("mapping.fc0.weight", 1) - size("mapping.embed.weight"),
        "style_dim": size(f"mapping.fc{max(0, layers - 1)}.weight"),
        "mapping_layers": layers,
        "channel_base": side * size(f"synthesis.b{side}.conv1.weight"),
        "channel_max": size("synthesis.b4.const"),
    }
    if critic is not None:
        options["critic"] = "residual" if f"b{side}.skip.weight" in critic else "plain"
        options["critic_mapping_layers"] = _count(critic, "mapping.fc{}.weight") if classes else 0
    return options


def _stages(options: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(side, channels) of each resolution, as `models.stylegan2.levels` has them."""
    sides = [4 << i for i in range(int(math.log2(options["image_shape"][0])) - 1)]
    return [(side, min(options["channel_max"], options["channel_base"] // side)) for side in sides]


def _mapping(options: Mapping[str, Any], layers: int, latent: int, path: str) -> Iterator[_Row]:
    """A mapping network of `latent` numbers and the classes."""
    style, width = options["style_dim"], latent
    for _, classes in options["conditions"]:
        yield _Row("mapping.embed.weight", (options["latent_dim"], classes), f"{path}/embed/weight", _dense)
        yield _Row("mapping.embed.bias", (options["latent_dim"],), f"{path}/embed/bias")
        width += options["latent_dim"]
    for i in range(layers):
        yield _Row(f"mapping.fc{i}.weight", (style, style if i else width), f"{path}/dense_{i}/kernel", _dense)
        yield _Row(f"mapping.fc{i}.bias", (style,), f"{path}/dense_{i}/bias")


def _generator(options: Mapping[str, Any]) -> Iterator[_Row]:
    style, colors, stages = options["style_dim"], options["image_shape"][2], _stages(options)
    yield _Row("mapping.w_avg", (style,), "moving/styles/style_mean")
    yield from _mapping(options, options["mapping_layers"], options["latent_dim"], "params/styles")

    def layer(name: str, here: str, shape: tuple[int, int, int], change: Change = _conv) -> Iterator[_Row]:
        outputs, inputs, side = shape
        name, here = f"synthesis.{name}", f"params/pictures/{here}"
        yield _Row(f"{name}.weight", (outputs, inputs, side, side), f"{here}/kernel", change)
        yield _Row(f"{name}.bias", (outputs,), f"{here}/bias")
        yield _Row(f"{name}.affine.weight", (inputs, style), f"{here}/affine/kernel", _dense)
        yield _Row(f"{name}.affine.bias", (inputs,), f"{here}/affine/bias")
        if side > 1:
            yield _Row(f"{name}.noise_strength", (), f"{here}/noise")

    yield _Row("synthesis.b4.const", (stages[0][1], 4, 4), "params/pictures/const", lambda x: x.transpose(1, 2, 0))
    for i, (side, channels) in enumerate(stages):
        if i:
            yield from layer(f"b{side}.conv0", f"up_{i}", (channels, stages[i - 1][1], 3), _flipped)
        yield from layer(f"b{side}.conv1", f"conv_{i}", (channels, channels, 3))
        yield from layer(f"b{side}.torgb", f"image_{i}", (colors, channels, 1))


def _critic(options: Mapping[str, Any]) -> Iterator[_Row]:
    stages, style, classes = _stages(options), options["style_dim"], options["conditions"]
    layers = (options["critic_mapping_layers"] or options["mapping_layers"]) if classes else 0
    yield from _mapping(options, layers, 0, "params")

    def layer(name: str, here: str, shape: tuple[int, int, int], bias: bool = True) -> Iterator[_Row]:
        outputs, inputs, side = shape
        yield _Row(f"{name}.weight", (outputs, inputs, side, side), f"params/{here}/kernel", _conv)
        if bias:
            yield _Row(f"{name}.bias", (outputs,), f"params/{here}/bias")

    side, channels = stages[-1]
    yield from layer(f"b{side}.fromrgb", "in", (channels, options["image_shape"][2], 1))
    for i in range(len(stages) - 1, 0, -1):
        (_, smaller), (side, channels) = stages[i - 1 : i + 1]
        yield from layer(f"b{side}.conv0", f"conv_{i}", (channels, channels, 3))
        yield from layer(f"b{side}.conv1", f"down_{i}", (smaller, channels, 3))
        if options["critic"] == "residual":
            yield from layer(f"b{side}.skip", f"skip_{i}", (smaller, channels, 1), bias=False)
    channels = stages[0][1]
    yield from layer("b4.conv", "conv_0", (channels, channels + 1, 3))
    places: Change = lambda x: x.reshape(channels, channels, 4, 4).transpose(2, 3, 1, 0).reshape(-1, channels)
    yield _Row("b4.fc.weight", (channels, 16 * channels), "params/dense/kernel", places)
    yield _Row("b4.fc.bias", (channels,), "params/dense/bias")
    outputs = style if classes else 1
    yield _Row("b4.out.weight", (outputs, channels), "params/out/kernel", _dense)
    yield _Row("b4.out.bias", (outputs,), "params/out/bias")


def _tree(tensors: Tensors, rows: list[_Row], origin: str) -> Tree:
    """The variables that a table makes of tensors."""
    leaves: dict[str, Array] = {}
    for row in rows:
        got = tensors[row.name].shape if row.name in tensors else None
        if got != row.shape:
            raise UserError(f"{origin}{row.name} is {got or 'missing'}, wanted {row.shape}")
        leaves[row.path] = np.array(row.change(tensors[row.name]), np.float32, order="C")
    for path in [path for path in leaves if path.endswith("embed/weight")]:  # (classes, features): one-hot rows by it
        weight, bias = leaves.pop(path), leaves.pop(path.replace("weight", "bias"))
        table = np.concatenate([weight / math.sqrt(len(weight)) + bias, bias[None]])  # the last: no class
        leaves[path.replace("weight", CONDITION)] = table
    tree: Tree = unflatten_dict(leaves, sep="/")
    return tree


def _check_rest(tensors: Tensors, known: set[str], origin: str) -> None:
    """Raises UserError for a tensor that no table has, or another filter than [1, 3, 3, 1]."""
    for name, value in tensors.items():
        if name.endswith("resample_filter") and (value.shape != (4, 4) or not np.allclose(value, _FILTER, atol=1e-6)):
            raise UserError(f"{origin}: {name} is not [1, 3, 3, 1] in each axis, the filter that is used here")
        if name not in known and not name.endswith(_CONSTANTS):
            raise UserError(f"{origin}: {name} is no part of a StyleGAN2 that is built here (docs/gans.md)")
