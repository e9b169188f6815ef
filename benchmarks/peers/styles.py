"""The networks of `adain` and `multistyle` in PyTorch, with the same parameters: for seconds a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

Tensors = dict[str, torch.Tensor]


def tensors(params: Mapping[str, Any], channels_last: bool = True) -> dict[str, Tensors]:
    """Layer -> its numbers; kernels as (out, in, height, width)."""
    out: dict[str, Tensors] = {}
    for layer, values in params.items():
        out[layer] = {}
        for name, value in values.items():
            array = torch.from_numpy(np.array(value, np.float32))
            if name == "kernel":
                array = array.permute(3, 2, 0, 1).contiguous()
                array = array.contiguous(memory_format=torch.channels_last) if channels_last else array
            out[layer][name] = array
    return out


def _normalised(x: torch.Tensor) -> torch.Tensor:
    std, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
    return (x - mean) * torch.rsqrt(std + 1e-5)


def _reflected(x: torch.Tensor, layer: Tensors, stride: int = 1) -> torch.Tensor:
    pad = layer["kernel"].shape[-1] // 2
    return functional.conv2d(functional.pad(x, (pad,) * 4, "reflect"), layer["kernel"], layer.get("bias"), stride)


def adain(
    features: Mapping[str, Any], decoder: Mapping[str, Any], layers: list[str], scale: float
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """(content (1, 3, H, W), style's means and deviations (1, C, 1, 1)) -> the picture.

    Args:
      features: variables of the encoder.
      decoder: parameters of the decoder.
      layers: convolutions and poolings of the encoder, in their order.
      scale: what features are divided by.
    """
    encoder, painter = tensors(features["params"]), tensors(decoder)
    colour = torch.from_numpy(np.array(features["constants"]["mean"], np.float32)).view(1, 3, 1, 1)

    def run(content: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        x = content - colour
        for name in layers:
            x = functional.max_pool2d(x, 2) if name.startswith("pool") else functional.relu(
                functional.conv2d(x, encoder[name]["kernel"], encoder[name]["bias"], padding=1)
            )  # fmt: skip
        x = (_normalised(x) * std + mean) / scale
        for name in reversed(layers):
            if name.startswith("pool"):
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
                continue
            x = _reflected(x, painter[name])
            x = x if name == "conv1_1" else functional.relu(x)
        return x.clamp(-1, 1)

    return run


def multistyle(params: Mapping[str, Any], blocks: int) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """(content (1, 3, H, W), the number of a style) -> the picture."""
    layers = tensors(params)

    def run(content: torch.Tensor, style: int) -> torch.Tensor:
        def layer(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
            norm = layers[f"{name}_norm"]
            x = _normalised(_reflected(x, layers[name], stride))
            x = x * norm["scale"][style].view(1, -1, 1, 1)
            return x + norm["shift"][style].view(1, -1, 1, 1) if "shift" in norm else x  # the last of a block has none

        x = (content + 1) / 2
        for i in range(3):
            x = functional.relu(layer(x, f"contract_{i}", 2 if i else 1))
        for i in range(blocks):
            x = x + layer(functional.relu(layer(x, f"block_{i}_0")), f"block_{i}_1")
        for i in range(2):
            x = functional.relu(layer(functional.interpolate(x, scale_factor=2, mode="nearest"), f"expand_{i}"))
        return 2 * torch.sigmoid(layer(x, "expand_2")) - 1

    return run
