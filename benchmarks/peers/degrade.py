"""Some of genart_jax/data/degrade in PyTorch: whole batches at once, on the device, pixels in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from genart_jax.data.degrade.jpeg import _CHROMA, _DCT, _LUMA, _TO_YCBCR

Spoilt = tuple[torch.Tensor, torch.Tensor | None]
"""Pictures in [-1, 1], and the mask (batch, 1, height, width) of what is missing."""


def uniform(x: torch.Tensor, low: float, high: float, *shape: int) -> torch.Tensor:
    """Numbers of each picture of `x`, (batch, *shape)."""
    return torch.rand(len(x), *shape, device=x.device) * (high - low) + low


def per(values: torch.Tensor) -> torch.Tensor:
    """(batch,) or (batch, channels) -> (batch, ., 1, 1)."""
    return values.reshape(len(values), -1, 1, 1)


def sometimes(changed: torch.Tensor, x: torch.Tensor, probability: float) -> torch.Tensor:
    """The changed one of each picture with so much probability."""
    return torch.where(per(uniform(x, 0, 1)) < probability, changed, x)


def low_light(
    x: torch.Tensor, gain: torch.Tensor, exponent: torch.Tensor, exposure: torch.Tensor | None = None
) -> torch.Tensor:
    """Darkness, gain * (exposure * x) ** exponent, of each picture its own (batch,)."""
    x = x if exposure is None else per(exposure) * x
    return (per(gain) * x ** per(exponent)).clamp(0, 1)


def cast(x: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Each channel times its gain, (batch, channels)."""
    return (x * per(gains)).clamp(0, 1)


def noisy(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Normal noise of each picture's deviation, (batch,)."""
    return (x + per(sigma) * torch.randn_like(x)).clamp(0, 1)


def flat(x: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Pixels drawn towards the picture's mean, (batch,)."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, x, per(contrast)).clamp(0, 1)


def hazy(x: torch.Tensor, coarse: torch.Tensor, beta: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """Haze of a smooth depth, from (batch, 1, 4, 4); its density and its light are (batch,)."""
    height = x.shape[2]
    waves = functional.interpolate(coarse, x.shape[2:], mode="bicubic", antialias=True)
    upwards = 1 - (torch.arange(height, device=x.device) + 0.5)[:, None] / height
    through = torch.exp(-per(beta) * (0.5 * upwards + 0.5 * waves).clamp(0, 1))
    return torch.lerp(per(light), x, through).clamp(0, 1)


def strokes(
    start: torch.Tensor, angle: torch.Tensor, reach: torch.Tensor, radius: torch.Tensor, height: int, width: int
) -> torch.Tensor:
    """Where a round brush has been, (batch, 1, height, width) of bool.

    Args:
      start: where each stroke begins, (batch, strokes, 1, 2), in pixels.
      angle: of each piece, (batch, strokes, pieces).
      reach: length of each piece, the same shape.
      radius: of each stroke's brush, (batch, strokes).
      height, width: of the picture.
    """
    moves = reach[..., None] * torch.stack([angle.sin(), angle.cos()], -1)
    ends = torch.cat([start, start + moves.cumsum(2)], 2)
    first, along = ends[:, :, :-1].flatten(1, 2)[..., None, None], moves.flatten(1, 2)[..., None, None]
    square = radius.repeat_interleave(angle.shape[2], 1)[:, :, None, None] ** 2
    dy = torch.arange(height, device=start.device)[:, None] + 0.5 - first[:, :, 0]
    dx = torch.arange(width, device=start.device) + 0.5 - first[:, :, 1]
    share = (dy * along[:, :, 0] + dx * along[:, :, 1]) / (along.square().sum(2) + 1e-6)
    share = share.clamp(0, 1)
    away = (dy - share * along[:, :, 0]).square() + (dx - share * along[:, :, 1]).square()
    return (away <= square).any(1, keepdim=True)


def brush(x: torch.Tensor, count: int, thickness: tuple[float, float], length: tuple[float, float]) -> torch.Tensor:
    """Strokes at random, as `strokes`."""
    height, width = x.shape[2:]
    shorter, pieces = min(height, width), 5
    start = torch.stack([uniform(x, 0, height, count, 1), uniform(x, 0, width, count, 1)], -1)
    angle = uniform(x, 0, 2 * math.pi, count, 1) + uniform(x, -1.2, 1.2, count, pieces).cumsum(2)
    reach, radius = shorter * uniform(x, *length, count, pieces), 0.5 * shorter * uniform(x, *thickness, count)
    return strokes(start, angle, reach, radius, height, width)


class Jpeg(nn.Module):
    """The blocks of JPEG, chroma at half the size."""

    cosine: torch.Tensor
    luma: torch.Tensor
    chroma: torch.Tensor
    turn: torch.Tensor
    back: torch.Tensor
    middle: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        constants = {
            "cosine": _DCT,
            "luma": _LUMA,
            "chroma": _CHROMA,
            "turn": _TO_YCBCR,
            "back": np.linalg.inv(np.array(_TO_YCBCR)),
            "middle": np.array([0.0, 128.0, 128.0])[:, None, None],
        }
        for name, values in constants.items():
            self.register_buffer(name, torch.tensor(np.array(values, np.float32)))

    def forward(self, x: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
        """(batch, 3, height, width), and qualities (batch,) as Pillow counts them -> the former shape."""
        height, width = x.shape[2:]
        pixels = functional.pad((255 * x).round(), (0, -width % 16, 0, -height % 16), "replicate")
        planes = (torch.einsum("ij,bjhw->bihw", self.turn, pixels) + self.middle).round()
        luma = self._plane(planes[:, :1], quality, self.luma)[:, :, :height, :width]
        halves = 4 * functional.avg_pool2d(planes[:, 1:], 2)
        halves = ((halves + 1 + torch.arange(halves.shape[3], device=x.device) % 2) / 4).floor()  # as libjpeg rounds
        chroma = self._plane(halves, quality, self.chroma)[:, :, : (height + 1) // 2, : (width + 1) // 2]
        chroma = functional.interpolate(chroma, scale_factor=2.0, mode="bilinear")[:, :, :height, :width]
        back = torch.einsum("ij,bjhw->bihw", self.back, torch.cat([luma, chroma], 1) - self.middle)
        return (back.round() / 255).clamp(0, 1)

    def _plane(self, plane: torch.Tensor, quality: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) in [0, 255] through transform and rounding."""
        scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
        steps = ((table * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)[:, None, None, None]
        batch, channels, height, width = plane.shape
        blocks = plane.reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4) - 128
        kept = (self.cosine @ blocks @ self.cosine.T / steps).round() * steps
        back = (self.cosine.T @ kept @ self.cosine).transpose(3, 4).reshape(plane.shape)
        return (back + 128).clamp(0, 255).round()


def holes(images: torch.Tensor) -> Spoilt:
    """Strokes of a brush, few and thick or many and thin."""
    few, many = brush(images, 4, (0.06, 0.16), (0.1, 0.3)), brush(images, 8, (0.02, 0.06), (0.08, 0.2))
    mask = torch.where(per(uniform(images, 0, 1)) < 0.5, few, many)
    return torch.where(mask, 0.0, images), mask.float()


def haze(images: torch.Tensor) -> Spoilt:
    """Haze of a smooth depth."""
    x = 0.5 * (images + 1)
    x = hazy(x, uniform(x, 0, 1, 1, 4, 4), uniform(x, 0.6, 1.8), uniform(x, 0.7, 1.0))
    return 2 * x - 1, None


class Faults(nn.Module):
    """Noise, and in most examples darkness, a cast, blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.jpeg = Jpeg()

    def forward(self, images: torch.Tensor) -> Spoilt:
        """(batch, 3, height, width) in [-1, 1] -> the same."""
        x = 0.5 * (images + 1)
        dark = low_light(x, uniform(x, 0.6, 1.0), uniform(x, 1.2, 2.5), uniform(x, 0.9, 1.0))
        x = sometimes(dark, x, 0.7)
        x = sometimes(cast(x, uniform(x, 0.75, 1.25, 3)), x, 0.7)
        x = noisy(x, uniform(x, 0.005, 0.06))
        return 2 * sometimes(self.jpeg(x, uniform(x, 15, 80).floor()), x, 0.5) - 1, None


def dull(images: torch.Tensor) -> Spoilt:
    """Flat, a little dark or light, off in colour, with slight noise."""
    x = 0.5 * (images + 1)
    x = flat(x, uniform(x, 0.6, 1.0))
    x = sometimes(low_light(x, torch.ones(len(x), device=x.device), uniform(x, 0.75, 1.5)), x, 0.8)
    x = sometimes(cast(x, uniform(x, 0.88, 1.12, 3)), x, 0.8)
    return 2 * sometimes(noisy(x, uniform(x, 0.0, 0.03)), x, 0.8) - 1, None


NAMED: dict[str, Callable[[], Callable[[torch.Tensor], Spoilt]]] = {
    "holes": lambda: holes,
    "haze": lambda: haze,
    "faults": Faults,
    "dull": lambda: dull,
}
"""Name -> what makes the degradation of images (batch, channels, height, width) in [-1, 1]."""
