"""The art set in larger pictures: the embedded one's icons, labels and split at 64 and 128 pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.data import emoji
from genart_jax.data.build import draw
from genart_jax.data.build.packages import Package
from genart_jax.data.build.recipe import Made, Recipe, Workshop, split_rows
from genart_jax.runtime.values import Json

FILES = ("package.json", "info.json", "icons.json", "metadata.json")
Contents = dict[str, Json]
"""The JSON files of a package by name."""


def _iconify(name: str, version: str, megabytes: float, licence: str, sha256: str) -> Package:
    return Package("npm", f"@iconify-json/{name}", version, sha256, megabytes, licence)


PACKAGES = (  # in the order of emoji.STYLES
    _iconify(
        "noto", "1.2.9", 2.5, "Apache-2.0", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
    ),
    _iconify(
        "noto-v1", "1.2.5", 2.6, "Apache-2.0", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"
    ),
    _iconify(
        "fluent-emoji", "1.2.7", 8.0, "MIT", "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b"
    ),
    _iconify(
        "fluent-emoji-flat", "1.2.6", 1.2, "MIT", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"
    ),
    _iconify(
        "fluent-emoji-high-contrast", "1.2.6", 0.7, "MIT",
        "0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0",
    ),
)  # fmt: skip


class Icon(NamedTuple):
    """One icon to draw."""

    style: int
    shape: int
    name: str
    svg: str


def read(files: Contents, package: Package) -> Contents:
    """The files of a package, if it declares the licence that its icons are shipped under.

    Raises:
      UserError: it declares another.
    """
    declared = {files["package.json"]["license"], files["info.json"]["license"]["spdx"]}
    if declared != {package.licence}:
        raise UserError(f"{package} declares {sorted(declared)}, not {package.licence}")
    return files


def icons(contents: Sequence[Contents], size: int) -> Iterator[Icon]:
    """The icons to draw at `size` pixels, style by style in each package's order."""
    category: dict[str, str] = {}
    for files in contents:
        for title, names in files["metadata.json"].get("categories", {}).items():
            for name in names:
                category.setdefault(name, title)  # packages agree, but for a few: the first one names it
    order = list(emoji.CATEGORIES)
    high_contrast = contents[-1]["icons.json"]["icons"]
    for style, (package, files) in enumerate(zip(PACKAGES, contents, strict=True)):
        pack = files["icons.json"]
        for name, icon in pack["icons"].items():
            if "skin-tone" in name or name not in category:
                continue
            if "/fluent" in package.name and name not in high_contrast:
                continue
            yield Icon(style, order.index(category[name]), name, draw.icon(pack, icon, size))


def _make(shop: Workshop, size: int) -> Made:
    contents = []
    for package in PACKAGES:
        found = {
            path.removeprefix("package/"): json.loads(content)
            for path, content in shop.files(package.name, *(f"package/{name}" for name in FILES))
        }
        contents.append(read(found, package))
    small = emoji.read()
    rows = []
    for icon in icons(contents, size):
        pixels = draw.vector(icon.svg, size)
        if pixels.std() >= 1:
            rows.append((pixels, icon))
        if len(rows) % 1000 == 0:
            shop.tell(f"emoji: {len(rows)} of {len(small.x)} icons")
    if [icon.name for _, icon in rows] != small.name.tolist():
        raise UserError(f"the icons of {size} pixels are not those of the embedded set")
    labels = {key: getattr(small, key).astype(np.int32) for key in emoji.CLASS_NAMES}
    arrays = {"image": np.stack([pixels for pixels, _ in rows]), **labels, "name": small.name}
    arrays["row"] = np.arange(len(rows), dtype=np.int32)
    return Made(
        split_rows(arrays, small.test),
        emoji.CLASS_NAMES,
        "Noto Emoji (Apache-2.0) and Fluent Emoji (© Microsoft Corporation, MIT), from "
        + ", ".join(str(package) for package in PACKAGES)
        + ".",
        ("rows, labels and split of the embedded set; row: the place there",),
    )


RECIPES = (
    Recipe(
        "emoji",
        "the embedded icons in larger pictures, by style, shape and colour",
        "Apache-2.0 and MIT",
        PACKAGES,
        (64, 128),
        _make,
        needs=("resvg_py",),
    ),
)
