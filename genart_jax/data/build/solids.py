"""Volumes: furniture from meshes, and parametric solids with exact labels. 255 is solid, 0 is air.

Axes are (depth, height, width), with the top of a thing at the first row of its height.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from genart_jax.data.build.packages import debian
from genart_jax.data.build.recipe import Made, Recipe, Workshop, by_hash, split_rows
from genart_jax.runtime.values import Array

_FURNITURE = debian(
    "sweethome3d-furniture", "1.8-1", "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668", 119.8,
    "CC0, CC-BY-3.0 per file",
)  # fmt: skip
_WORDS = {
    "seat": "chair armchair sofa couch stool bench seat settee ottoman loveseat recliner rocker",
    "table": "table desk desktop",
    "cabinet": "cabinet wardrobe bookcase shelf shelves cupboard dresser chest sideboard drawer drawers bookshelf",
    "door or window": "door window doors windows",
    "lamp": "lamp light chandelier lantern lamps spotlight",
}
_LARGEST = 6_000_000  # bytes of a mesh; the few larger ones take longer than all others together


class Model(NamedTuple):
    """A mesh's name, class, text, turn and maker."""

    name: str
    kind: str
    text: bytes
    rotation: Array
    creator: str


def kind_of(name: str) -> str | None:
    """The class of a piece of furniture, by the last word of its name that says one; None where none does."""
    words = {word: kind for kind, listed in _WORDS.items() for word in listed.split()}
    found = [words[word] for word in re.findall(r"[a-z]+", name.lower()) if word in words]
    return found[-1] if found else None


def _models(shop: Workshop) -> Iterator[Model]:
    for path, content in sorted(shop.files(_FURNITURE.name, "*/furniture/*.sh3f")):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            text = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
            facts: dict[str, dict[str, str]] = {}
            for key, number, value in re.findall(r"^(\w+)#(\d+)=(.*)$", text, re.MULTILINE):
                facts.setdefault(number, {})[key] = value.strip()
            inside = {info.filename: info for info in archive.infolist()}
            for one in facts.values():
                kind, file = kind_of(one.get("name", "")), one.get("model", "").lstrip("/")
                if kind is None or file not in inside or inside[file].file_size > _LARGEST:
                    continue
                turn = np.array(one.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), float).reshape(3, 3)
                library = path.rpartition("/")[2].removesuffix(".sh3f")
                yield Model(one["name"], kind, archive.read(file), turn, f"{one.get('creator', '')}, {library}")


def triangles(text: bytes) -> Array:
    """The surface of a Wavefront OBJ file: float (N, 3 corners, 3: x, y, z)."""
    points, faces = [], []
    for line in text.splitlines():
        if line.startswith(b"v "):
            points.append(line.split()[1:4])
        elif line.startswith(b"f "):
            faces.append([int(word.partition(b"/")[0]) for word in line.split()[1:]])
    if not points or not faces:
        return np.zeros((0, 3, 3))
    corners = np.array([[float(word) for word in point] for point in points])
    fans = [(face[0], b, c) for face in faces for b, c in itertools.pairwise(face[1:])]
    index = np.array(fans, np.int64).reshape(-1, 3)
    return corners[np.where(index > 0, index - 1, index + len(corners))]


def voxels(surface: Array, size: int) -> Array:
    """Where a surface passes, and what it encloses: bool (depth, height, width), fitted into the cube, on its floor.

    Points are laid on each triangle, no further apart than 0.4 of a voxel.
    """
    from scipy import ndimage

    low, high = surface.min((0, 1)), surface.max((0, 1))
    scale = (size - 1e-3) / max(float((high - low).max()), 1e-9)
    shift = (size - (high - low) * scale) / 2
    shift[1] = 0.0
    placed = (surface - low) * scale + shift
    volume = np.zeros((size,) * 3, bool)
    longest = np.linalg.norm(placed - np.roll(placed, 1, axis=1), axis=-1).max(-1)
    steps = np.maximum(1, np.ceil(longest / 0.4)).astype(int)
    for count in np.unique(steps):
        part = placed[steps == count]
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        share = np.stack([i, j, count - i - j], axis=-1)[i + j <= count] / count
        for start in range(0, len(part), max(1, 2_000_000 // len(share))):
            chunk = part[start : start + max(1, 2_000_000 // len(share))]
            at = np.clip((share @ chunk).reshape(-1, 3), 0, size - 1e-3).astype(int)
            volume[at[:, 2], size - 1 - at[:, 1], at[:, 0]] = True
    return ndimage.binary_fill_holes(volume)


def turned(volume: Array, quarter: int, mirrored: bool) -> Array:
    """Turned about its upright axis by quarter turns, after having been mirrored left to right or not."""
    return np.rot90(volume[:, :, ::-1] if mirrored else volume, quarter, axes=(0, 2))


def _make_voxels(shop: Workshop, size: int) -> Made:
    rows: list[tuple[str, str, Array]] = []
    credits = []
    for model in _models(shop):
        surface = triangles(model.text) @ model.rotation.T
        if len(surface) == 0:
            continue
        volume = voxels(surface, size)
        if volume.mean() > 0.002:
            rows.append((model.kind, model.name, volume))
            credits.append(f"- {model.name}: {model.creator}")
        if len(rows) % 50 == 0:
            shop.tell(f"voxels: {len(rows)} models")
        if len(rows) >= shop.some(10**6):
            break
    kinds = tuple(_WORDS)
    test = by_hash([re.sub(r"\W*\d*$", "", name) for _, name, _ in rows], 0.15)
    splits: dict[str, dict[str, Array]] = {}
    quarters: tuple[int, ...] = (0, 1, 2, 3)
    for split, here in (("train", ~test), ("test", test)):
        chosen = [row for row, wanted in zip(rows, here, strict=True) if wanted]
        views = list(itertools.product(quarters, (False, True))) if split == "train" else [(0, False)]
        each = [(kind, name, turned(volume, *view), view[0]) for kind, name, volume in chosen for view in views]
        splits[split] = {
            "image": np.stack([np.where(volume, 255, 0).astype(np.uint8)[..., None] for _, _, volume, _ in each]),
            "kind": np.array([kinds.index(kind) for kind, *_ in each], np.int32),
            "turn": np.array([turn for *_, turn in each], np.int32),
            "name": np.array([name for _, name, *_ in each]),
        }
    return Made(
        splits,
        {"kind": kinds, "turn": tuple(f"{90 * i} degrees" for i in range(4))},
        f"Furniture of {_FURNITURE}, by name, maker and library (BlendSwap-CC-0: CC0; the others: CC-BY-3.0):\n\n"
        + "\n".join(credits),
        (
            f"{len(rows)} models; in training each in four quarter turns, as it is and mirrored",
            "enough for a demonstration; classes by the words of the names",
        ),
    )


KINDS = ("table", "chair", "mug", "shelf", "lamp")
_PARAMETERS = ("width", "depth", "height", "thickness", "extra")
_NUMBER = 3_000


def solid(kind: str, values: Array, size: int) -> Array:
    """A parametric solid on the floor of the cube, in its middle: bool (depth, height, width).

    `values` are shares of the cube's side: width, depth, height, thickness (of legs, walls and boards), and one more:
    a chair's seat's height, a mug's handle, the number of a shelf's boards / 10, a lamp's shade's height; a table has
    no use for it. A voxel is solid where its middle is.
    """
    width, depth, height, thick, extra = (float(v) for v in values)
    middle = (np.arange(size) + 0.5) / size
    z, up, x = np.meshgrid(middle - 0.5, middle[::-1], middle - 0.5, indexing="ij")
    half_x, half_z = np.abs(x) <= width / 2, np.abs(z) <= depth / 2
    inside = half_x & half_z & (up <= height)
    legs = inside & (np.abs(x) >= width / 2 - thick) & (np.abs(z) >= depth / 2 - thick)
    radius = np.hypot(x, z)
    if kind == "table":
        return legs | (inside & (up >= height - thick))
    if kind == "chair":
        seat = inside & (up <= extra) & (up >= extra - thick)
        back = inside & (z <= thick - depth / 2) & (up >= extra - thick)
        return (legs & (up <= extra)) | seat | back
    if kind == "mug":
        body = (radius <= width / 2) & (up <= height)
        hollow = (radius <= width / 2 - thick) & (up >= thick)
        ring = np.hypot(x - width / 2, up - height / 2)
        handle = (ring <= extra) & (ring >= extra - thick) & (np.abs(z) <= thick / 2 + 0.5 / size)
        return (body & ~hollow) | (handle & (radius >= width / 2 - thick))
    if kind == "shelf":
        boards = np.zeros_like(inside)
        for level in np.linspace(0.0, height - thick, max(2, round(10 * extra))):
            boards |= inside & (up >= level) & (up <= level + thick)
        return boards | (inside & (np.abs(x) >= width / 2 - thick)) | (inside & (z <= thick - depth / 2))
    foot = (radius <= depth / 2) & (up <= thick)
    pole = (radius <= thick / 2 + 0.5 / size) & (up <= height)
    taper = width / 2 * (1.0 - 0.5 * (up - (height - extra)) / extra)
    shade = (up >= height - extra) & (up <= height) & (radius <= taper) & (radius >= taper - thick)
    return foot | pole | shade


_RANGES = {
    "table": ((0.5, 0.95), (0.4, 0.9), (0.35, 0.7), (0.05, 0.1), (0.0, 0.0)),
    "chair": ((0.35, 0.6), (0.35, 0.6), (0.7, 0.95), (0.05, 0.1), (0.3, 0.5)),
    "mug": ((0.4, 0.6), (0.0, 0.0), (0.45, 0.8), (0.05, 0.1), (0.14, 0.2)),
    "shelf": ((0.45, 0.85), (0.2, 0.4), (0.6, 0.95), (0.04, 0.08), (0.25, 0.65)),
    "lamp": ((0.35, 0.6), (0.25, 0.45), (0.6, 0.95), (0.04, 0.08), (0.2, 0.4)),
}
"""Of width, depth, height, thickness and the one more, lowest and highest."""


def _make_shapes(shop: Workshop, size: int) -> Made:
    rng, number = np.random.default_rng(0), shop.some(_NUMBER)
    kinds, turns = np.arange(number) % len(KINDS), rng.integers(0, 4, number)
    values = np.stack([[rng.uniform(low, high) for low, high in _RANGES[KINDS[kind]]] for kind in kinds])
    volumes = np.stack(
        [turned(solid(KINDS[k], v, size), t, False) for k, v, t in zip(kinds, values, turns, strict=True)]
    )
    arrays: dict[str, Array] = {
        "image": np.where(volumes, 255, 0).astype(np.uint8)[..., None],
        "kind": kinds.astype(np.int32),
        "turn": turns.astype(np.int32),
        "parameters": values.astype(np.float32),
    }
    test = np.arange(number) // len(KINDS) % 10 == 0
    return Made(
        split_rows(arrays, test),
        {"kind": KINDS, "turn": tuple(f"{90 * i} degrees" for i in range(4))},
        "Made by genart_jax; there is nothing of anyone else's in it.",
        (f"parameters as shares of the cube's side: {', '.join(_PARAMETERS)} (see genart_jax/data/build/solids.py)",),
    )


RECIPES = (
    Recipe(
        "voxels",
        "furniture as volumes, by five kinds",
        "CC0 and CC-BY-3.0 per model",
        (_FURNITURE,),
        (32, 16),
        _make_voxels,
    ),
    Recipe(
        "shapes3d",
        f"{_NUMBER:,} parametric tables, chairs, mugs, shelves and lamps as volumes, with exact labels",
        "Apache-2.0, as this package",
        (),
        (32, 16, 64),
        _make_shapes,
    ),
)
