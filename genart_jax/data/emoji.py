"""The embedded art set: 7,745 icons in five styles over nine subjects, with a fixed train and test split. No jax here.

`scripts/build_art_set.py` renders it from the Noto Emoji and Fluent Emoji icon sets (`embedded/README.md` has their
versions, licences and the class counts). The 32-pixel set comes with the package; `genart data build emoji:64` makes
that of 64 pixels, and emoji:128 that of 128. Rows, labels and split are the same at every size.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genart_jax.config import Field, UserError
from genart_jax.data.color import COLOR_NAMES
from genart_jax.data.source import Source, Split, count_lines
from genart_jax.runtime.cache import cache_directory
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array

_MAX_BYTES = 2**30
SIZES = (32, 64, 128)
"""Heights (and widths) of the pictures that the set comes in."""

STYLES = ("noto", "noto-v1", "fluent", "fluent-flat", "fluent-high-contrast")
"""Classes of `style`: the icon set that a picture is from."""

CATEGORIES = {
    "Activities": "activities",
    "Animals & Nature": "animals",
    "Flags": "flags",
    "Food & Drink": "food",
    "Objects": "objects",
    "People & Body": "people",
    "Smileys & Emotion": "smileys",
    "Symbols": "symbols",
    "Travel & Places": "travel",
}
"""Category in the icon sets' metadata -> its class of `shape`, in the order of the classes' integers."""

CLASS_NAMES = {"style": STYLES, "shape": tuple(CATEGORIES.values()), "color": COLOR_NAMES}
"""Condition -> names of its classes, in the order of their integers."""

SHA256 = {
    "style": "f95281e716fe4745566579db9014b437e57acfbf29b22efb57c7b4b0b1b30c2a",
    "shape": "ea3ebcb487393d1f021db2ec323223250ee83c2061929be1354e9dd4d22fb08f",
    "name": "123a25328e4e2e1903ab12d5a7e1d772572bf82aadb5b92af92d965c2eb1ec55",
    "color": "f2987cbb936e9ebd6d9fa4f0b86f0504c3874214f768d18cf19dc1966bef08ff",
    "test": "0c00e730a34847633413ea938b8425c40e0639b5adff85957570b8cbea7162bb",
    "x32": "5693715850a8c53b3cce1fdf6bb5cdf5229cb1f6cb9c25d77ed9341e09fd9d77",
    "x64": "96611bf4463f7021e1e2c8c15b42bb4f521830ea0251eee1505c7f91623ead91",
    "x128": "da7681a3777dc7eb1f5cf4429c0fc4dcd462b10852d8f4b5aff391e307a8328c",
}
"""Published SHA-256 of each array as `digests` computes it; the pictures' with their size."""


class Art(NamedTuple):
    """The whole set, row by row, as its file holds it.

    Attributes:
      x: uint8 (7745, size, size, 3), RGB on white.
      style, shape, color: uint8 (7745,), integers of CLASS_NAMES.
      test: bool (7745,), true for the rows of the test split.
      name: str (7745,), what is drawn ("red-apple"); the same in all styles.
    """

    x: Array
    style: Array
    shape: Array
    color: Array
    test: Array
    name: Array


def file_of(size: int) -> Path:
    """The file of the set of `size` pixels: in the package for 32, else in the user's cache directory.

    Raises:
      UserError: the set does not come in that size.
    """
    if size not in SIZES:
        raise UserError(f"emoji: no size {size}; the art set comes in {', '.join(map(str, SIZES))} pixels")
    cache = cache_directory()
    return (Path(__file__).parent / "embedded" if size == SIZES[0] else cache) / f"emoji_{size}.npz"


def read(size: int = 32, path: str | os.PathLike[str] | None = None) -> Art:
    """The whole set of `size` pixels from `path`, or from `file_of(size)`.

    Raises:
      UserError: there is no such file, or it is not a set of that size.
    """
    file = file_of(size) if path is None else expanded(path)
    make = f"make it with: genart data build emoji:{size}"
    if path is None and not file.is_file() and (built := _built(size)):
        return built
    if not file.is_file():
        raise UserError(f"emoji: no art set of {size} pixels at {file}; {make}")
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
                raise ValueError("it would unpack to more than any size of the set has")
        with np.load(file, allow_pickle=False) as data:
            art = Art(**{field: data[field] for field in Art._fields})
    except Exception:  # on damaged files zipfile and numpy raise almost anything
        raise UserError(f"emoji: {file} is damaged or not an art set; {make}") from None
    if art.x.shape != (len(art.name), size, size, 3) or art.x.dtype != np.uint8:
        raise UserError(f"emoji: {file} holds {art.x.shape} {art.x.dtype}, not pictures of {size} pixels; {make}")
    return art


def _built(size: int) -> Art | None:
    """The set that `genart data build` made, in its own order of rows, if there is one.

    Raises:
      UserError: it is damaged.
    """
    from genart_jax.data.build import store

    folder, how = store.root() / f"emoji-{size}", f"genart data build emoji:{size}"
    if not (folder / "card.json").is_file():
        return None
    card = store.read_card(folder, how)
    store.verify(folder, card, how)
    splits = store.read(folder, card)
    rows = np.concatenate([arrays["row"] for arrays in splits.values()])
    order = np.argsort(rows)
    whole = {name: np.concatenate([a[name] for a in splits.values()])[order] for name in splits["train"]}
    labels = {name: whole[name].astype(np.uint8) for name in CLASS_NAMES}
    test = np.isin(whole["row"], splits["test"]["row"])
    return Art(x=whole["image"], test=test, name=whole["name"], **labels)


def load(size: int = 32, path: str | os.PathLike[str] | None = None, style: str = "") -> Source:
    """The art set as a data source with the conditions style, shape and color.

    Args:
      size: 32, 64 or 128.
      path: the file to read, instead of `file_of(size)`.
      style: of `STYLES`: the pictures of this one alone, which then is no condition.

    Raises:
      UserError: the file is missing (the message says how to make it), damaged, or another set.
    """
    art = read(size, path)
    sums = digests(art)
    if wrong := [key for key in sums if key != f"x{size}" and sums[key] != SHA256[key]]:
        raise UserError(
            f"emoji: {path or file_of(size)} has another {wrong[0]} than the published set; "
            f"build it with this version's genart data build emoji:{size}"
        )
    class_names = {name: words for name, words in CLASS_NAMES.items() if name != "style" or not style}
    labels = {condition: getattr(art, condition).astype(np.int32) for condition in class_names}
    kept = art.style == STYLES.index(style) if style else np.ones(len(art.x), bool)
    splits = []
    for rows in (kept & ~art.test, kept & art.test):
        arrays = {name: values[rows] for name, values in {"image": art.x, **labels}.items()}
        splits.append(Split(len(arrays["image"]), arrays))
    train, test = splits
    report = list(count_lines(class_names, train, test))
    same = sums[f"x{size}"] == SHA256[f"x{size}"]
    return Source(
        name=":".join(["emoji", *([style] if style else []), *([] if size == SIZES[0] else [str(size)])]),
        train=train,
        test=test,
        pictures={"image": Field((size, size, 3))},
        class_names=class_names,
        fingerprint=hashlib.sha256("".join([*sums.values(), style]).encode()).hexdigest(),
        report=tuple(report),
        warnings=() if same else (f"emoji: these {size}-pixel pictures differ from the published ones (SHA-256)",),
    )


def digests(art: Art) -> dict[str, str]:
    """SHA-256 of each array: of its uint8 bytes in C order, of the UTF-8 names joined by line feeds for `name`.

    The key of the pictures is "x" and their size.
    """
    sums = {}
    for key in ("style", "shape", "name", "color", "test", "x"):
        value = getattr(art, key)
        raw = "\n".join(value.tolist()).encode() if key == "name" else np.ascontiguousarray(value, np.uint8).data
        sums[f"x{art.x.shape[1]}" if key == "x" else key] = hashlib.sha256(raw).hexdigest()
    return sums


def rows_to_test(x: Array, shape: Array, name: Array) -> Array:
    """The rule of the split, so that no drawing is on both sides.

    Rows that share a name (without "-facing-right", which marks a mirrored drawing) or all pixels belong together, and
    so does what is connected through them. Of the groups whose first row has a given shape, the tenth with the
    smallest SHA-256 of the alphabetically first name is the test split; at least one group.

    Args:
      x: uint8 (N, 32, 32, 3).
      shape: uint8 (N,).
      name: str (N,).

    Returns:
      bool (N,), true for test rows.
    """
    stems = [str(n).removesuffix("-facing-right") for n in name]
    parent = list(range(len(x)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    first: dict[str | bytes, int] = {}
    for row, picture in enumerate(x):
        for key in (stems[row], picture.tobytes()):
            a, b = sorted((root(row), root(first.setdefault(key, row))))
            parent[b] = a  # a group's root is its first row
    groups: dict[int, list[int]] = {}
    for row in range(len(x)):
        groups.setdefault(root(row), []).append(row)

    def rank(rows: list[int]) -> str:
        return hashlib.sha256(min(stems[row] for row in rows).encode()).hexdigest()

    test = np.zeros(len(x), bool)
    for value in np.unique(shape):
        ranked = sorted((rows for head, rows in groups.items() if shape[head] == value), key=rank)
        for rows in ranked[: max(1, round(len(ranked) / 10))]:
            test[rows] = True
    return test
