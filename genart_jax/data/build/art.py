"""Drawn art with labels: painted portraits by race, clip art by category, and icons in pairs, flat and in relief."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

import numpy as np

from genart_jax.config import UserError
from genart_jax.data import emoji, picture
from genart_jax.data.build import draw
from genart_jax.data.build.packages import Package, debian
from genart_jax.data.build.recipe import Made, Recipe, View, Workshop, by_hash, split_rows
from genart_jax.runtime.values import Array

_WESNOTH = debian(
    "wesnoth-1.16-data", "1:1.16.9-1", "1012b964bd412a6770685e3324ae3b61e176caff7846192d1ee63d55cd621e26", 146.2,
    "GPL-2+, newer files CC-BY-SA-4.0",
)  # fmt: skip
_CLIPART = debian(
    "openclipart-png", "1:0.18+dfsg-19", "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02", 130.9,
    "public domain",
)  # fmt: skip
_FLAT = Package(
    "npm", "@iconify-json/fluent-emoji-flat", "1.2.6",
    "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175", 1.2, "MIT",
)  # fmt: skip
_RELIEF = Package(
    "npm", "@lobehub/fluent-emoji-3d", "1.1.0",
    "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58", 15.8, "MIT",
)  # fmt: skip
_SKIN = re.compile("1f3f[b-f]")
"""Code points of skin tones."""
_LEFT_OUT = ("duplicates/", "stars/")
"""Folders of clip art: what is elsewhere already, and 1,378 spirographs that one program drew."""
_SMALLEST, _LARGEST = 96, 5000


def _labelled(rows: Iterable[tuple[str, str, Array]], field: str) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Rows of (name, class, picture) as arrays, and the names of the classes."""
    names, labels, pictures = zip(*sorted(rows, key=lambda row: row[:2]), strict=True)
    classes = tuple(sorted(set(labels)))
    numbers = np.array([classes.index(label) for label in labels], np.int32)
    return {"image": np.stack(pictures), field: numbers, "name": np.array(names)}, classes


def _make_portraits(shop: Workshop, size: int) -> Made:
    rows, artists = [], ""
    for path, content in shop.files(_WESNOTH.name, "*/core/images/portraits/*/*.png", "*/images/portraits/ARTISTS"):
        if path.endswith("ARTISTS"):
            artists = "".join(f"    {line}\n" for line in content.decode("utf-8", "replace").splitlines())
            continue
        race, name = path.partition("/portraits/")[2].split("/", 1)
        rows.append((f"{race}/{name.removesuffix('.png')}", race, draw.boxed(content, size)))
    arrays, classes = _labelled(rows, "race")
    # A figure's variants (knight, knight-2, knight+female) stay on one side.
    stems = [re.split(r"[-+]\d|\+|-\d", name.rpartition("/")[2])[0] for name in arrays["name"].tolist()]
    return Made(
        split_rows(arrays, by_hash(stems)),
        {"race": classes},
        f"Portraits from The Battle for Wesnoth, {_WESNOTH}: GPL-2 or later, newer ones CC-BY-SA-4.0.\n\n" + artists,
        ("split by figure: variants of one are on one side", "beings of a fantasy world, painted; no photographs"),
    )


def _make_clipart(shop: Workshop, size: int) -> Made:
    rows, seen, bad = [], set(), 0
    for path, content in shop.files(_CLIPART.name, "usr/share/openclipart/png/*.png"):
        category, _, name = path.partition("/png/")[2].partition("/")
        if not name or name.startswith(_LEFT_OUT):
            continue
        try:
            with picture.opened(content) as image:
                if not (_SMALLEST <= max(image.size) <= _LARGEST):
                    continue
            pixels = draw.boxed(content, size)
        except picture.BadPictureError:
            bad += 1
            continue
        digest = hashlib.sha256(pixels.data).digest()
        if pixels.std() >= 1 and digest not in seen:
            seen.add(digest)
            rows.append((name.removesuffix(".png"), category, pixels))
        if len(rows) % 500 == 0:
            shop.tell(f"clipart: {len(rows)} pictures")
    arrays, classes = _labelled(rows, "category")
    stems = [re.sub(r"[\d_.-]*\d[\d_.]*$", "", name) for name in arrays["name"].tolist()]
    return Made(
        split_rows(arrays, by_hash(stems)),
        {"category": classes},
        f"The Open Clip Art Library's contributors, {_CLIPART}, public domain; each file's name ends in its author's.",
        (f"{bad} files could not be read and are left out", "split by name without its number"),
    )


def _make_pairs(shop: Workshop, size: int) -> Made:
    files = dict(shop.files(_FLAT.name, "package/icons.json", "package/chars.json", "package/metadata.json"))
    pack, chars, about = (json.loads(files[f"package/{f}.json"]) for f in ("icons", "chars", "metadata"))
    subject = {name: title for title, names in about["categories"].items() for name in names}
    by_code = {code.replace("-fe0f", ""): name for code, name in chars.items() if not _SKIN.search(code)}
    rows = []
    for path, content in shop.files(_RELIEF.name, "package/assets/*.webp"):
        name = by_code.get(path.rpartition("/")[2].removesuffix(".webp").replace("-fe0f", ""))
        if name is None or name not in subject or name not in pack["icons"]:
            continue
        relief = picture.decode(content, (size, size), 3)
        flat = draw.vector(draw.icon(pack, pack["icons"][name], size), size)
        rows.append((name, emoji.CATEGORIES[subject[name]], np.stack([flat, relief])))
        if len(rows) % 500 == 0:
            shop.tell(f"pairs-emoji: {len(rows)} pairs")
    if not rows:
        raise UserError("pairs-emoji: the packages have no icon in common")
    arrays, classes = _labelled(rows, "subject")
    both = arrays.pop("image")
    arrays = {"image": both[:, 0], "target": both[:, 1]} | arrays
    return Made(
        split_rows(arrays, by_hash(arrays["name"].tolist())),
        {"subject": classes},
        f"Fluent Emoji, © Microsoft Corporation, MIT licence: flat from {_FLAT}, in relief from {_RELIEF}.",
        ("image: flat; target: the same icon in relief, drawn to the same layout", "without skin tones; split by name"),
    )


RECIPES = (
    Recipe(
        "pairs-emoji",
        "aligned pairs of icons, flat and in relief, by subject",
        "MIT",
        (_FLAT, _RELIEF),
        (64, 128),
        _make_pairs,
        needs=("resvg_py",),
        views={"flat": View("only the flat icons"), "relief": View("only those in relief", image="target")},
    ),
    Recipe(
        "portraits",
        "238 painted portraits of a fantasy world, by race",
        "GPL-2+, newer files CC-BY-SA-4.0",
        (_WESNOTH,),
        (64, 128, 256),
        _make_portraits,
    ),
    Recipe(
        "clipart",
        "clip art on white, in 22 categories",
        "public domain",
        (_CLIPART,),
        (64, 128),
        _make_clipart,
    ),
)
