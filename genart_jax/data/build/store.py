"""Sets on disk: one folder each, with an array a field and split, a card, the credits and the licences.

DIR/card.json                what it is, with the SHA-256 of every file beside it
DIR/CREDITS.md, licences/    who made it
DIR/train/image.npy          uint8 pictures; label.npy and others beside it; test/ and maybe validation/ alike
DIR/train/whole/NAME.png     whole pictures in their own sizes, where a set has them
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from genart_jax.config import UserError
from genart_jax.data.build.packages import digest
from genart_jax.data.build.recipe import Made, Recipe, Workshop
from genart_jax.runtime.cache import cache_directory
from genart_jax.runtime.values import Array, Json

FORMAT = 1
Card = Json


def root() -> Path:
    """The folder of all sets in the user's cache."""
    return cache_directory() / "data"


def folder_of(recipe: Recipe, size: int) -> Path:
    """Where a set of a size is kept."""
    return root() / f"{recipe.name.replace(':', '-')}-{size}"


def write(folder: Path, recipe: Recipe, size: int, made: Made, shop: Workshop) -> None:
    """Writes a set into an empty folder, the card last.

    Raises:
      OSError: it cannot be written.
    """
    for split, arrays in made.splits.items():
        (folder / split).mkdir(parents=True)
        for name, array in arrays.items():
            np.save(folder / split / f"{name}.npy", array, allow_pickle=False)
        for name, content in made.whole.get(split, {}).items():
            (folder / split / "whole").mkdir(exist_ok=True)
            (folder / split / "whole" / name).write_bytes(content)
    (folder / "CREDITS.md").write_text(f"# {recipe.name}\n\n{made.credits.strip()}\n", encoding="utf-8")
    for package, text in shop.licences.items():
        (folder / "licences").mkdir(exist_ok=True)
        (folder / "licences" / f"{package.replace('/', '-').lstrip('@')}.txt").write_bytes(text)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    card = _card(recipe, size, made) | {"limit": shop.limit}
    card["sha256"] = {path.relative_to(folder).as_posix(): digest(path) for path in files}
    with (folder / "card.json").open("w", encoding="utf-8") as file:
        json.dump(card, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _card(recipe: Recipe, size: int, made: Made) -> Json:
    return {
        "format": FORMAT,
        "name": recipe.name,
        "size": size,
        "version": recipe.version,
        "text": recipe.text,
        "licence": recipe.licence,
        "packages": [
            {"package": str(package), "licence": package.licence, "sha256": package.sha256}
            for package in recipe.packages
        ],
        "splits": {split: _length(arrays) for split, arrays in made.splits.items()},
        "whole": {split: len(pictures) for split, pictures in made.whole.items()},
        "fields": {name: _field(name, array, made) for name, array in made.splits["train"].items()},
        "classes": {name: list(names) for name, names in made.classes.items()},
        "counts": {
            name: {split: _counts(arrays[name], len(names)) for split, arrays in made.splits.items()}
            for name, names in made.classes.items()
        },
        "notes": list(made.notes),
    }


def _length(arrays: Mapping[str, Array]) -> int:
    (length,) = {len(array) for array in arrays.values()}
    return length


def _field(name: str, array: Array, made: Made) -> Json:
    """A field's shape without the examples, its kind, and its number of classes."""
    kind = "class" if name in made.classes else "pixels" if array.dtype == np.uint8 and array.ndim > 3 else "value"
    return {
        "shape": list(array.shape[1:]),
        "kind": kind,
        "classes": len(made.classes.get(name, ())),
        "dtype": array.dtype.str,
    }


def _counts(labels: Array, classes: int) -> list[int]:
    return [int(n) for n in np.bincount(labels[labels >= 0].ravel(), minlength=classes)]


def read_card(folder: Path, how: str) -> Card:
    """The card of the set in a folder; `how` is the command that makes it.

    Raises:
      UserError: there is none, it is damaged, or of another version of this package.
    """
    path = folder / "card.json"
    if not path.is_file():
        raise UserError(f"{folder.name} is not built; make it with: {how}")
    try:
        card: Card = json.loads(path.read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise UserError(f"{folder} was built by another version of genart_jax; build it anew: {how}")
        assert all(key in card for key in ("name", "fields", "splits", "classes", "sha256", "licence", "notes"))
    except (OSError, ValueError, KeyError, TypeError, AssertionError):
        raise UserError(f"{path} is damaged; build it anew: {how}") from None
    return card


def verify(folder: Path, card: Card, how: str) -> None:
    """Compares the SHA-256 of all files.

    Raises:
      UserError: one is damaged or missing.
    """
    for name, wanted in card["sha256"].items():
        if not (folder / name).is_file() or digest(folder / name) != wanted:
            raise UserError(f"{folder / name} is damaged; build it anew: {how}")


def read(folder: Path, card: Card) -> dict[str, dict[str, Array]]:
    """Split -> field -> array, memory-mapped and read-only."""
    load = lambda path: np.load(path, mmap_mode="r", allow_pickle=False)
    return {split: {name: load(folder / split / f"{name}.npy") for name in card["fields"]} for split in card["splits"]}
