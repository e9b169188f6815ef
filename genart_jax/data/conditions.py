"""Which combinations of conditions occur, to draw the conditions of samples from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from genart_jax.config import UserError
from genart_jax.data.source import Source, Split
from genart_jax.runtime.values import Array, Json
from genart_jax.types import Classes, Told

Table = Sequence[Sequence[int]]
"""Rows of one class a condition, and last the number of training pictures that have them."""


def condition_table(split: Split, names: Sequence[str]) -> list[list[int]]:
    """The combinations of the named conditions in a split, with their counts; empty where they are not known.

    What is unlabelled (-1) in one of them is left out.
    """
    if not names or any(name not in split.arrays for name in names):
        return []
    rows = np.stack([split.arrays[name] for name in names], axis=1)
    rows = rows[(rows >= 0).all(axis=1)]
    unique, counts = np.unique(rows, axis=0, return_counts=True)
    return [[*map(int, row), int(count)] for row, count in zip(unique, counts, strict=True)]


def same_data(source: Source, facts: Json) -> bool:
    """Whether this is the data that a run remembers, as `Saved.data`.

    A fingerprint of an earlier version says nothing of labels; there the number of pictures of each class must agree.
    """
    if facts["fingerprint"] in source.former:
        return condition_table(source.train, list(facts["class_names"])) == facts["condition_table"]
    return bool(facts["fingerprint"] == source.fingerprint)


def draw_conditions(
    conditions: Sequence[tuple[str, int]], table: Table, num: int, seed: int, given: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """Conditions of `num` samples: those given, and the others drawn as they occur together in the training data.

    Where no training picture has what is given, or nothing is known of the data, the others are drawn uniformly.
    """
    given = given or {}
    rng = np.random.default_rng(seed)
    names = [name for name, _ in conditions]
    rows = np.array(table, dtype=np.int64).reshape(-1, len(names) + 1)
    rows = rows[(rows >= 0).all(axis=1)]  # tables of old runs hold unlabelled pictures
    for i, name in enumerate(names):
        if given.get(name, -1) >= 0:
            rows = rows[rows[:, i] == given[name]]
    if len(rows):
        chosen = rows[rng.choice(len(rows), size=num, p=rows[:, -1] / rows[:, -1].sum()), :-1]
    else:
        # Row by row, so that the first are the same however many are drawn.
        chosen = rng.integers(0, [classes for _, classes in conditions], (num, len(names))) if names else rows
    out = {name: chosen[:, i].astype(np.int32) for i, name in enumerate(names)}
    return out | {name: np.full(num, value, np.int32) for name, value in given.items()}


def class_word(names: Sequence[str], value: int) -> str:
    """A class as a word: its name; of a hidden one "none", or "-1" where a class is called that."""
    if value >= 0:
        return names[value]
    return "-1" if "none" in names else "none"


def parse_conditions(words: Sequence[str], class_names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Words such as "style=noto" -> {"style": 0}.

    The value is a class's name, else its number, else "none" or -1 to hide it; whether the model can do without, it
    knows itself.

    Raises:
      UserError: a word of another form, or a name or number that there is not.
    """
    out: dict[str, int] = {}
    for word in words:
        match = re.fullmatch(r"([^=]+)=(.+)", word)
        if not match:
            raise UserError(f"condition {word!r}: write name=value, such as style=noto")
        name, value = match.groups()
        if name in out:
            raise UserError(f"condition {name!r} is given twice")
        if name not in class_names:
            raise UserError(f"condition {name!r} is unknown; this model has {', '.join(class_names) or 'none'}")
        out[name] = class_number(name, value, class_names[name])
    return out


def class_number(name: str, word: str, classes: Sequence[str]) -> int:
    """The class of a condition that a word means: its name, else its number, else "none" or -1, which hide it.

    Raises:
      UserError: it means none.
    """
    numbers = [str(i) for i in range(len(classes))]
    if word in classes:
        return list(classes).index(word)
    if word in numbers:
        return numbers.index(word)
    if word in ("none", "-1"):
        return -1
    raise UserError(f"condition {name}={word} is no class; choose from {', '.join(classes)}")


def numbered(condition: Told, class_names: Mapping[str, Sequence[str]]) -> Told:
    """Classes by name, with the words among them as integers: {"style": "noto"} -> {"style": 0}.

    A list of words becomes an array. What is a number already, or has no names here, stays as it is.

    Raises:
      UserError: a word that is no class.
    """
    if not isinstance(condition, Mapping):
        return condition
    return {
        name: _numbers(name, value, class_names[name]) if name in class_names else value
        for name, value in condition.items()
    }


def _numbers(name: str, value: Classes, classes: Sequence[str]) -> Classes:
    if isinstance(value, str):
        return class_number(name, value, classes)
    if isinstance(value, list | tuple | np.ndarray) and all(isinstance(word, str) for word in value):
        return np.array([class_number(name, str(word), classes) for word in value], np.int32)
    return value
