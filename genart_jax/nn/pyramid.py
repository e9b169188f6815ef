"""How often a picture's sides halve, for networks that go up from a few pixels and down to them again."""

from __future__ import annotations

from genart_jax.config import UserError


def halvings(model: str, image_shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """Number of halvings, and the (height, width) that they end at: the smaller side is 4 to 7.

    Raises:
      UserError: a side is outside 16 to 128, or the shape does not halve down far enough; `model` is named.
    """
    if len(image_shape) != 3:
        raise UserError(f"{model}: image_shape {tuple(image_shape)}: wanted (height, width, channels)")
    count, (height, width) = _halved(image_shape)
    if not all(16 <= side <= 128 for side in image_shape[:2]) or min(height, width) > 7:
        raise UserError(
            f"{model}: image_shape {tuple(image_shape)}: sides must be 16 to 128 and halve evenly down to 4 to 7,"
            " such as 28, 32, 48, 64, 96 or 128; set --data.image-size"
        )
    return count, (height, width)


def levels(model: str, image_shape: tuple[int, ...], base: int, most: int) -> list[tuple[tuple[int, int], int]]:
    """((height, width), channels) of each resolution, from the smallest, whose shorter side is 4 to 7.

    Channels are `base` over the resolution of a square that begins with 4 (so `base` / 4, `base` / 8, ...), at most
    `most`.

    Raises:
      UserError: a side is outside 8 to 1024, or the shape does not halve down far enough; `model` is named.
    """
    if len(image_shape) != 3:
        raise UserError(f"{model}: image_shape {tuple(image_shape)}: wanted (height, width, channels)")
    count, (height, width) = _halved(image_shape)
    if not all(8 <= side <= 1024 for side in image_shape[:2]) or min(height, width) > 7:
        raise UserError(
            f"{model}: image_shape {tuple(image_shape)}: sides must be 8 to 1024 and halve evenly down to 4 to 7,"
            " such as 28, 32, 48, 64, 96, 128 or 256; set --data.image-size"
        )
    return [((height << i, width << i), max(1, min(most, base // (4 << i)))) for i in range(count + 1)]


def _halved(image_shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """How often a shape halves evenly until a side is 4 to 7, and what it is then."""
    (height, width), count = image_shape[:2], 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    return count, (height, width)


def growth(count: int, most: int = 16) -> list[int]:
    """By how many times channels grow at each of `count` halvings and before: 1, 2, 4, ..., at most `most`."""
    return [min(most, 2**i) for i in range(count + 1)]
