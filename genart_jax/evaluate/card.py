"""The card of originality: generated pictures beside the training pictures that they are nearest to."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from scipy import stats

from genart_jax.data.grid import make_grid, wrapped, write
from genart_jax.runtime.values import Array, Json
from genart_jax.use.sample import Samples

CLOSE = 1.0
"""Percentile of held-out pictures' distances below which a picture is nearer to the training set than new drawings."""


def sentence(nearest: Array, held_out: int) -> tuple[str, str]:
    """What the card says, and in which of `COLORS`: an alarm where more are near than chance explains once in a
    thousand, doubtful where it does so less than once in twenty.

    The bound is itself one of the held-out distances, the same for all pictures, so that by chance the number below it
    has a beta-binomial distribution: wide where few were held out.

    Args:
      nearest: (num,), of each generated picture the percentile of its distance to the nearest training picture, among
        those of held-out pictures.
      held_out: how many those are.
    """
    num, close = len(nearest), int(np.sum(nearest < CLOSE))
    rank = math.ceil(held_out * CLOSE / 100)  # of the held-out distance that is the bound, from the smallest
    expected = num * rank / (held_out + 1)
    chance = stats.betabinom.sf(close - 1, num, rank, held_out + 1 - rank)
    color = "alarm" if chance < 0.001 else "doubtful" if chance < 0.05 else "calm"
    said = f"{num - close} of {num} are no nearer to a training picture than new drawings are."
    if close:
        few = f"about {expected:.0f}" if expected >= 1 else "fewer than 1"
        said += f" {close} {'is' if close == 1 else 'are'}; of {num} new drawings {few} would be."
    return said, color


COLORS = {"calm": "#1b6e3c", "doubtful": "#8a5a00", "alarm": "#c1272d"}
_FRAME = "#bbbbbb"


def draw(found: Json, train: Samples, fake: Samples, shown: int, space: str, held_out: int) -> Image.Image:
    """What was found, in a sentence, and rows of a generated picture in a frame and its nearest in the training set,
    each with its percentile below, among `held_out` pictures. What is nearer than new drawings are has a red frame.
    """
    order = np.argsort(found["percentile"][:, 0], kind="stable")[:shown]
    scale = max(1, 64 // fake.images.shape[1])
    cells = []
    for i in order:
        close = found["percentile"][i, 0] < CLOSE
        cells.append(_cell(fake.images[i], f"sample {i}", scale, COLORS["alarm"] if close else _FRAME))
        for row, percentile in zip(found["index"][i], found["percentile"][i], strict=True):
            red = COLORS["alarm"] if percentile < CLOSE else ""
            cells.append(_cell(train.images[row], f"{percentile:.0f} %", scale, red))
    lines = [
        f"Left, framed: the generated pictures nearest to the training set, in {space}. Right: their nearest training "
        f"pictures. Below: how many in 100 new drawings (held-out pictures) lie nearer to the training set; red: fewer "
        f"than {CLOSE:g}.",
    ]
    rows = make_grid(np.stack(cells), 1 + found["index"].shape[1], caption="\n".join(lines))
    said, color = sentence(found["percentile"][:, 0], held_out)
    return _headed(rows, said, COLORS[color])


def _headed(below: Image.Image, text: str, color: str) -> Image.Image:
    """A picture under lines of text in white on a colour."""
    letters = 18
    lines = wrapped(text, letters, below.width - 16)
    head = 10 + len(lines) * round(1.4 * letters)
    canvas = Image.new("RGB", (below.width, below.height + head), color)
    for i, line in enumerate(lines):
        write(canvas, (8, 5 + i * round(1.4 * letters)), line, letters, "white")
    canvas.paste(below, (0, head))
    return canvas


def _cell(image: Array, text: str, scale: int, frame: str = "") -> Array:
    """A picture with a line of text below it, uint8; in a frame, of a colour."""
    picture = make_grid(image[None], scale=scale)
    canvas = Image.new("RGB", (max(picture.width, 80) + 8, picture.height + 26), "white")
    if frame:
        canvas.paste(frame, (0, 0, picture.width + 8, picture.height + 8))
    canvas.paste(picture, (4, 4))
    write(canvas, (2, picture.height + 8), text)
    return np.asarray(canvas)
