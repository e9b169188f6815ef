"""Pictures of two latents, or of a latent and other conditions, and arithmetic with the means of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from genart_jax.config import UserError
from genart_jax.use.latent.labels import class_mean
from genart_jax.use.latent.space import Codes, Space

_SEED = re.compile(r"\d+(:\d+)?")


def seed_of(word: str) -> tuple[int, int]:
    """SEED or SEED:INDEX as numbers.

    Raises:
      UserError: a word of another form.
    """
    if not _SEED.fullmatch(word):
        raise UserError(f"seed {word!r}: write SEED, or SEED:INDEX for a picture of genart sample, such as 0:17")
    seed, _, index = word.partition(":")
    return int(seed), int(index or 0)


def cross(space: Space, rows: Codes, columns: Codes, layers: Sequence[int] | None = None) -> Codes:
    """Each row's code with something of each column's: row by row, len(rows) * len(columns) codes.

    In w it is the styles of some `layers` (Karras et al. 2019, section 3.1; None: the first half, which holds pose and
    form). Elsewhere it is the column's conditions: the row's latent drawn as another class.

    Raises:
      UserError: neither styles nor conditions, or layers that there are not.
    """
    codes = rows.take(np.repeat(np.arange(len(rows.values)), len(columns.values)))
    other = columns.take(np.tile(np.arange(len(columns.values)), len(rows.values)))
    words = tuple(f"{a} with {b}" for a, b in zip(codes.words, other.words, strict=True))
    if space.layers:
        chosen = list(range(space.layers // 2) if layers is None else layers)
        if wrong := [i for i in chosen if not 0 <= i < space.layers]:
            raise UserError(f"there is no layer {wrong[0]}; there are 0 to {space.layers - 1}")
        values = codes.values.copy()
        values[:, chosen] = other.values[:, chosen]
        return codes._replace(values=values, words=words)
    name = space.saved.run.name
    if layers is not None:
        raise UserError(f"{name} in space {space.name} has no layers to mix; leave --layers out to mix conditions")
    if not codes.condition:
        raise UserError(f"{name} has neither styles nor conditions to mix; with a VAE say --add and --subtract")
    return codes._replace(condition=other.condition, words=words)


def arithmetic(
    space: Space, codes: Codes, add: Sequence[str], subtract: Sequence[str], num: int = 2000, seed: int = 0
) -> Codes:
    """Codes plus and minus others: of a seed, "5" or "5:3", or the mean of a class of the training data, "style=noto".

    With seeds, in the space z, each sum is brought to the length that its code had (Radford et al. 2015, section 6.3.2,
    add and subtract such z; a longer one is nothing that training has seen).

    Raises:
      UserError: the model does not encode and a class is named, or there is no such class.
    """
    shift = np.zeros(space.shape, np.float32)
    for sign, words in ((1, add), (-1, subtract)):
        for word in words:
            drawn = _SEED.fullmatch(word)
            other = space.draw([seed_of(word)]).values[0] if drawn else class_mean(space, word, num, seed)
            shift += sign * other
    values = codes.values + shift
    if space.name == "z" and any(_SEED.fullmatch(word) for word in (*add, *subtract)):
        lengths = [np.linalg.norm(one.reshape(len(one), -1), axis=1) for one in (codes.values, values)]
        share = lengths[0] / np.maximum(lengths[1], 1e-6)
        values = values * share.reshape(-1, *[1] * (values.ndim - 1)).astype(np.float32)
    said = " ".join([*(f"+{word}" for word in add), *(f"-{word}" for word in subtract)])
    return codes._replace(values=values, words=tuple(f"{word} {said}" for word in codes.words))
