"""Directions by a word, as the command line has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from genart_jax.config import UserError
from genart_jax.use.latent.directions import Direction, Method, axis, dimensions, ganspace, sefa, separating
from genart_jax.use.latent.files import read_directions
from genart_jax.use.latent.labels import labelled
from genart_jax.use.latent.space import Space

WAYS = "sefa:0, ganspace:0, dim:0, NAME=CLASS, RUN=CLASS of a classifier, or FILE.npz:0 that --save wrote"


def find(
    space: Space, word: str, count: int = 5, num: int = 2000, seed: int = 0, given: Mapping[str, int] | None = None,
    layers: Sequence[int] | None = None, method: Method = "logistic",
) -> list[Direction]:  # fmt: skip
    """The directions that a word names.

    Args:
      space: where.
      word: "sefa", "ganspace" or "dim" for the `count` strongest, or with a number for one, as in "sefa:0" (of "dim:0"
        it is the dimension's own); "NAME=CLASS" or "RUN=CLASS", see `labels.labelled`; "FILE.npz" or "FILE.npz:0".
      count: how many, where the word has no number.
      num: latents that are drawn, for those that need some.
      seed: of the draw.
      given: conditions of drawn latents.
      layers: those that are moved, where the model has styles; None: all.
      method: how latents are parted by a label.

    Raises:
      UserError: an unknown word or number, or what the way itself finds wrong.
    """
    ways: dict[str, Callable[[int], list[Direction]]] = {
        "sefa": lambda n: sefa(space, n, layers),
        "ganspace": lambda n: ganspace(space, n, num, seed, given, layers),
        "dim": lambda n: dimensions(space, n, 16, seed, given, layers),
    }
    if "=" in word:
        return [separating(space, labelled(space, word, num, seed, given), word, method, layers)]
    name, _, number = word.rpartition(":") if re.search(r":\d+$", word) else (word, "", "")
    if name == "dim" and number:
        return [axis(space, int(number), layers)]
    if name.endswith(".npz"):
        found = read_directions(name, space)
    elif name in ways:
        found = ways[name](min(space.length, int(number) + 1) if number else count)
    else:
        raise UserError(f"direction {word!r} is unknown; there are {WAYS}")
    if not number:
        return found
    if int(number) >= len(found):
        raise UserError(f"there is no {word}; there are {name}:0 to {name}:{len(found) - 1}")
    return [found[int(number)]]
