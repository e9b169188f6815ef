"""What a set is: a recipe, and what comes of it."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genart_jax.data.build.packages import Package, Tell, members
from genart_jax.runtime.values import Array

Arrays = Mapping[str, Array]
"""Arrays by the names of their fields, with the examples first."""


class View(NamedTuple):
    """A set seen in another way, without being built again.

    Attributes:
      text: for the list.
      image: the field that is taken for "image".
      keep: a class field and the class whose rows are kept; () keeps all.
      joined: every split holds the rows of all of them.
      licence: of what is kept; "": that of the whole set.
    """

    text: str
    image: str = "image"
    keep: tuple[str, int] | tuple[()] = ()
    joined: bool = False
    licence: str = ""


@dataclasses.dataclass(frozen=True)
class Made:
    """A set in memory.

    Attributes:
      splits: "train", "test" and maybe "validation" -> arrays. Pictures are uint8 (N, height, width, channels), videos
        (N, T, height, width, channels), volumes (N, depth, height, width, channels); classes are integers, -1 where
        one is not known; anything else goes along as it is.
      classes: field -> names of its classes, in the order of their integers.
      credits: who made what is in it and under which licence, in Markdown.
      notes: lines for the card.
      whole: split -> name -> encoded picture in its own size.
    """

    splits: Mapping[str, Arrays]
    classes: Mapping[str, tuple[str, ...]]
    credits: str
    notes: tuple[str, ...] = ()
    whole: Mapping[str, Mapping[str, bytes]] = dataclasses.field(default_factory=dict)


class Workshop:
    """Where a set is made: its packages, what is finished of it, and a way to tell of progress.

    Attributes:
      licences: package -> the words on copyright that came along with it.
      limit: at most so many examples are to be made (for trying out); None: all.
    """

    def __init__(self, folder: Path, archives: Mapping[str, Path], tell: Tell, limit: int | None = None) -> None:
        self.folder, self.tell, self.limit = folder, tell, limit
        self._archives = archives
        self.licences: dict[str, bytes] = {}

    def files(self, package: str, *patterns: str) -> Iterator[tuple[str, bytes]]:
        """Paths and contents of a package's files that match a pattern."""
        lawful = "usr/share/doc/*/copyright", "package/LICENSE*", "*.dist-info/LICENSE*", "*.dist-info/licenses/*"
        for name, content in members(self._archives[package], *patterns, *lawful):
            if any(_matches(name, pattern) for pattern in lawful):
                self.licences[package] = content
            if any(_matches(name, pattern) for pattern in patterns):
                yield name, content

    def some(self, number: int) -> int:
        """`number`, or `limit` where that is less."""
        return number if self.limit is None else min(number, self.limit)

    def piece(self, name: str, make: Callable[[], Arrays]) -> dict[str, Array]:
        """What `make` gives, which is kept: a build that is taken up again does not make it twice."""
        path = self.folder / f"{name}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as kept:
                return dict(kept)
        arrays = dict(make())
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **dict[str, Any](arrays))
        part.replace(path)
        return arrays


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a set is made.

    Attributes:
      name: "photos", or "avatars:lorelei".
      text: what it holds, in a line.
      licence: of the set as a whole.
      packages: what it is made from.
      sizes: heights of its pictures that it can be made in, the usual one first.
      make: (workshop, size) -> the set. May raise UserError where something is missing.
      needs: programs and Python modules that making it takes, beside those of the packages: ("node", "resvg_py").
      views: name -> the set seen in another way, opened as NAME:VIEW.
      version: to be raised where the same packages give another set.
    """

    name: str
    text: str
    licence: str
    packages: tuple[Package, ...]
    sizes: tuple[int, ...]
    make: Callable[[Workshop, int], Made]
    needs: tuple[str, ...] = ()
    views: Mapping[str, View] = dataclasses.field(default_factory=dict)
    version: int = 1

    @property
    def megabytes(self) -> float:
        """What is to be fetched."""
        return sum(package.megabytes for package in self.packages)


def by_hash(names: list[str] | tuple[str, ...], fraction: float = 0.1) -> Array:
    """Which of the names to test on: boolean, decided by each name's own SHA-256, so that equal names stay together."""
    ranks = np.array([int.from_bytes(hashlib.sha256(n.encode()).digest()[:8], "big") for n in names], np.uint64)
    return ranks / 2.0**64 < fraction


def by_rank(names: list[str] | tuple[str, ...], fraction: float) -> Array:
    """The share of the names whose SHA-256 is smallest, at least one: boolean. For few names, where each counts."""
    ranked = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).hexdigest())
    chosen = np.zeros(len(names), bool)
    chosen[ranked[: max(1, round(fraction * len(names)))]] = True
    return chosen


def split_rows(arrays: Arrays, test: Array) -> dict[str, Arrays]:
    """{"train": the other rows, "test": the rows where `test` is true}."""
    return {"train": {k: v[~test] for k, v in arrays.items()}, "test": {k: v[test] for k, v in arrays.items()}}
