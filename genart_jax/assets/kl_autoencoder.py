"""KL autoencoders, from the state dicts of their PyTorch implementation in diffusers (`AutoencoderKL`).

Names of attention differ between its versions ("query" became "to_q"); both are read. A bias of the keys changes
nothing and is left out (see `models.kl_autoencoder`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from genart_jax.assets.weights import Tree
from genart_jax.config import UserError
from genart_jax.runtime.values import Array

MARK = "encoder.conv_in.weight"
"""A name that only such a state dict has."""
GROUPS = 32
"""Of its normalisations: what every published network has; the file does not say."""

Tensors = Mapping[str, Array]
_OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


class Published(NamedTuple):
    """What a file holds: fields of `models.kl_autoencoder.Config`, the pictures' channels, and variables by role."""

    options: dict[str, object]
    channels: int
    variables: dict[str, Tree]


class _Row(NamedTuple):
    """A layer: its name there and its path here, the shape of its weight, and whether it has a bias here."""

    name: str
    path: str
    shape: tuple[int, ...]
    bias: bool = True


def read(tensors: Tensors, origin: str) -> Published:
    """Both networks of a state dict.

    Raises:
      UserError: it holds something else; names the first tensor that is missing, of another shape, or unknown.
    """
    tensors = {_renamed(name): value for name, value in tensors.items()}
    options, channels = _options(tensors, origin)
    known = {f"{part}.mid_block.attentions.0.to_k.bias" for part in ("encoder", "decoder")}
    variables: dict[str, Tree] = {}
    for role, rows in (("encoder", _encoder(options, channels)), ("decoder", _decoder(options, channels))):
        flat: dict[str, Array] = {}
        for row in rows:
            weight = _get(tensors, f"{row.name}.weight", row.shape, origin)
            leaf = "scale" if len(row.shape) == 1 else "kernel"
            flat[f"{row.path}/{leaf}"] = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
            known.add(f"{row.name}.weight")
            if row.bias:
                flat[f"{row.path}/bias"] = _get(tensors, f"{row.name}.bias", row.shape[:1], origin)
                known.add(f"{row.name}.bias")
        arrays = {path: np.ascontiguousarray(value, np.float32) for path, value in flat.items()}
        variables[role] = {"params": unflatten_dict(arrays, sep="/")}
    if unknown := sorted(set(tensors) - known):
        raise UserError(f"{origin}: {unknown[0]} is in no KL autoencoder that is known here")
    return Published(options, channels, variables)


def _renamed(name: str) -> str:
    for new, old in _OLD.items():
        name = name.replace(f".attentions.0.{old}.", f".attentions.0.{new}.")
    return name


def _get(tensors: Tensors, name: str, shape: tuple[int, ...], origin: str) -> Array:
    if name not in tensors:
        raise UserError(f"{origin}: {name} is missing")
    found = tensors[name]
    if len(shape) == 2 and found.shape == (*shape, 1, 1):  # an attention's matrix as a 1x1 convolution
        found = found[..., 0, 0]
    if tuple(found.shape) != shape:
        raise UserError(f"{origin}: {name} is {tuple(found.shape)}, wanted {shape}")
    return found


def _options(tensors: Tensors, origin: str) -> tuple[dict[str, object], int]:
    """The architecture, by names and the shapes of a few tensors."""
    for name in (MARK, "quant_conv.weight", "post_quant_conv.weight", "decoder.conv_in.weight"):
        if name not in tensors:
            raise UserError(f"{origin}: {name} is missing, so these are not the weights of a KL autoencoder")
    first = "encoder.down_blocks.{}.resnets.{}.conv1.weight"
    stages = list(itertools.takewhile(lambda i: first.format(i, 0) in tensors, itertools.count()))
    blocks = list(itertools.takewhile(lambda j: first.format(0, j) in tensors, itertools.count()))
    options: dict[str, object] = {
        "widths": tuple(int(tensors[first.format(i, 0)].shape[0]) for i in stages),
        "blocks": len(blocks),
        "latent_channels": int(tensors["post_quant_conv.weight"].shape[0]),
        "groups": GROUPS,
    }
    return options, int(tensors[MARK].shape[1])


def _block(name: str, path: str, inside: int, outside: int) -> Iterator[_Row]:
    for i, size in enumerate((inside, outside)):
        yield _Row(f"{name}.norm{i + 1}", f"{path}/norm_{i}", (size,))
        yield _Row(f"{name}.conv{i + 1}", f"{path}/conv_{i}", (outside, size, 3, 3))
    if inside != outside:
        yield _Row(f"{name}.conv_shortcut", f"{path}/shortcut", (outside, inside, 1, 1))


def _middle(name: str, width: int) -> Iterator[_Row]:
    yield from _block(f"{name}.resnets.0", "middle/block_0", width, width)
    there, here = f"{name}.attentions.0", "middle/attention"
    yield _Row(f"{there}.group_norm", f"{here}/norm", (width,))
    for new, own in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "out")):
        yield _Row(f"{there}.{new}", f"{here}/{own}", (width, width), own != "key")
    yield from _block(f"{name}.resnets.1", "middle/block_1", width, width)


def _stages(name: str, widths: tuple[int, ...], blocks: int, change: Callable[[int, int], _Row]) -> Iterator[_Row]:
    """Blocks of every stage, and `change(i, width)`, what lies behind each but the last."""
    inside = widths[0]
    for i, width in enumerate(widths):
        for j in range(blocks):
            yield from _block(f"{name}.{i}.resnets.{j}", f"stage_{i}_block_{j}", inside, width)
            inside = width
        if i + 1 < len(widths):
            yield change(i, width)


def _encoder(options: Mapping[str, object], channels: int) -> Iterator[_Row]:
    widths, blocks, latent = options["widths"], options["blocks"], options["latent_channels"]
    assert isinstance(widths, tuple)
    assert isinstance(blocks, int)
    assert isinstance(latent, int)
    yield _Row("encoder.conv_in", "in", (widths[0], channels, 3, 3))
    down = lambda i, width: _Row(
        f"encoder.down_blocks.{i}.downsamplers.0.conv", f"stage_{i}_down", (width, width, 3, 3)
    )
    yield from _stages("encoder.down_blocks", widths, blocks, down)
    yield from _middle("encoder.mid_block", widths[-1])
    yield _Row("encoder.conv_norm_out", "norm", (widths[-1],))
    yield _Row("encoder.conv_out", "out", (2 * latent, widths[-1], 3, 3))
    yield _Row("quant_conv", "moments", (2 * latent, 2 * latent, 1, 1))


def _decoder(options: Mapping[str, object], channels: int) -> Iterator[_Row]:
    widths, blocks, latent = options["widths"], options["blocks"], options["latent_channels"]
    assert isinstance(widths, tuple)
    assert isinstance(blocks, int)
    assert isinstance(latent, int)
    yield _Row("post_quant_conv", "codes", (latent, latent, 1, 1))
    yield _Row("decoder.conv_in", "in", (widths[-1], latent, 3, 3))
    yield from _middle("decoder.mid_block", widths[-1])
    up = lambda i, width: _Row(f"decoder.up_blocks.{i}.upsamplers.0.conv", f"stage_{i}_up", (width, width, 3, 3))
    yield from _stages("decoder.up_blocks", widths[::-1], blocks + 1, up)
    yield _Row("decoder.conv_norm_out", "norm", (widths[0],))
    yield _Row("decoder.conv_out", "out", (channels, widths[0], 3, 3))
