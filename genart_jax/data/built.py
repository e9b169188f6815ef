"""Sets that `genart data build` made, as sources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genart_jax.config import Field, UserError
from genart_jax.config.batch import BESIDE
from genart_jax.data.build import catalogue, store
from genart_jax.data.build.recipe import View
from genart_jax.data.source import Source, Split, count_lines, fingerprint
from genart_jax.runtime.values import Array


class Stored(NamedTuple):
    """A built set: its card, split -> field -> array, and split -> files of whole pictures."""

    folder: Path
    card: store.Card
    splits: dict[str, dict[str, Array]]
    whole: dict[str, tuple[Path, ...]]


def open_stored(source: str) -> Stored:
    """The set of a name, NAME[:VIEW][:SIZE], with its files checked.

    Raises:
      UserError: no such set; it is not built (says how to); or it is damaged.
    """
    recipe, size, view = catalogue.find(source)
    size = size or recipe.sizes[0]
    if size not in recipe.sizes:
        raise UserError(f"{recipe.name}: no size {size}; it can be made in {', '.join(map(str, recipe.sizes))}")
    how = catalogue.command(recipe.name, size)
    stored = open_folder(store.folder_of(recipe, size), how)
    return stored if view is None else _seen(stored, view)


def open_folder(folder: Path, how: str = "genart data build NAME --out DIR") -> Stored:
    """The set in a folder, with its files checked.

    Raises:
      UserError: there is none, or it is damaged.
    """
    card = store.read_card(folder, how)
    store.verify(folder, card, how)
    whole = {split: tuple(sorted((folder / split / "whole").glob("*"))) for split in card["splits"]}
    return Stored(folder, card, store.read(folder, card), whole)


def _seen(stored: Stored, view: View) -> Stored:
    """The rows that a view keeps, with its field for the pictures."""
    splits = {}
    for split, arrays in stored.splits.items():
        rows = slice(None) if not view.keep else np.flatnonzero(arrays[view.keep[0]] == view.keep[1])
        shown = {name: array for name, array in arrays.items() if name not in ("image", "target", view.image)}
        splits[split] = {name: array[rows] for name, array in ({"image": arrays[view.image]} | shown).items()}
    if view.joined:
        fields = next(iter(splits.values()))
        whole = {name: np.concatenate([part[name] for part in splits.values()]) for name in fields}
        splits = dict.fromkeys(splits, whole)
    return stored._replace(splits=splits, card=stored.card | ({"licence": view.licence} if view.licence else {}))


def load(source: str) -> Source:
    """The set of a name as a source; see `to_source`.

    Raises:
      UserError: as `open_stored` and `to_source`.
    """
    return to_source(open_stored(source), source)


def load_folder(folder: Path) -> Source:
    """As `load`, of the set in a folder."""
    return to_source(open_folder(folder), f"built:{folder}")


def to_source(stored: Stored, name: str) -> Source:
    """Pictures, videos or volumes ("image", maybe "target") and every class with one value an example.

    Raises:
      UserError: the set holds no arrays of pictures.
    """
    train, test = stored.splits["train"], stored.splits["test"]
    if "image" not in train:
        raise UserError(f"{name} holds whole pictures, or none, and no arrays; read it with ga.open_data({name!r})")
    pictures = {field: Field(train[field].shape[1:]) for field in ("image", *BESIDE) if field in train}
    classes = {
        field: tuple(names)
        for field, names in stored.card["classes"].items()
        if field in train and train[field].ndim == 1
    }
    splits = [split_of(arrays, pictures, classes) for arrays in (train, test)]
    left = [field for field in train if field not in pictures and field not in classes]
    report = [*count_lines(classes, splits[0], splits[1]), *stored.card["notes"], f"licence: {stored.card['licence']}"]
    if left:
        report.append(f"not used in training: {', '.join(left)}")
    return Source(
        name=name,
        train=splits[0],
        test=splits[1],
        pictures=pictures,
        class_names=classes,
        fingerprint=fingerprint(name, json.dumps(stored.card["sha256"], sort_keys=True)),
        report=tuple(report),
    )


def split_of(arrays: Mapping[str, Array], pictures: Iterable[str], classes: Iterable[str]) -> Split:
    """The split of these fields."""
    labels = {field: np.asarray(arrays[field], np.int32) for field in classes}
    return Split(len(arrays["image"]), {field: arrays[field] for field in pictures} | labels)
