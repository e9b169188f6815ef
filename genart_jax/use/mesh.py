"""Volumes as meshes: surfaces by marching cubes, and the files that other programs open.

A cube of voxels becomes a cube of side 1 that stands on the ground: x to the right, y upwards, z towards the viewer, as
in glTF; seen as the pictures show it, and not mirrored. Several volumes stand beside one another.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.data.isosurface import LEVEL
from genart_jax.data.provenance import Provenance
from genart_jax.runtime.values import Array, Json

_GAP = 0.25  # between cubes, in sides
_COLOR = [0.41, 0.58, 0.77, 1.0]


class Mesh(NamedTuple):
    """Vertices (v, 3), their normals (v, 3) outwards, float32; triangles (f, 3), int32, anticlockwise from outside."""

    vertices: Array
    normals: Array
    faces: Array


def surface(volume: Array) -> Mesh:
    """The closed surface at half of the range, by marching cubes (Lewiner et al. 2003).

    Args:
      volume: uint8 (size, size, size, 1 or 3), depth first, the top at the first row of its height.

    Raises:
      UserError: nothing in it is solid, or scikit-image is not installed.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise UserError('meshes need scikit-image: pip install "genart_jax[meshes]"') from error
    size = volume.shape[0]
    solid = np.pad(volume.max(axis=-1).astype(np.float32), 1)  # air around it closes the surface
    if solid.max() <= LEVEL:
        raise UserError("a volume has nothing solid in it, of which there could be a mesh; sample another, or train on")
    places, faces, slopes, _ = marching_cubes(solid, LEVEL)
    place = lambda p: np.stack([p[:, 2], -p[:, 1], -p[:, 0]], axis=1)
    corner = np.array([0.5, size - 0.5, size - 0.5])
    vertices, normals = (place(places - 1) + corner) / size - np.array([0.5, 0.0, 0.5]), place(slopes)
    if _volume(vertices, faces) < 0:
        faces = faces[:, ::-1]
    corners = vertices[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = normals * np.sign(np.sum(flat * normals[faces].mean(axis=1)))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return Mesh(vertices.astype(np.float32), normals.astype(np.float32), faces.astype(np.int32))


def _volume(vertices: Array, faces: Array) -> float:
    """What a closed surface encloses; negative where its triangles are clockwise from outside."""
    a, b, c = np.moveaxis(vertices[faces].astype(np.float64), 1, 0)
    return float(np.sum(a * np.cross(b, c)) / 6)


def beside(meshes: list[Mesh]) -> Mesh:
    """One mesh of several, in rows beside one another: as many columns as rows, the first at the back at the left."""
    columns, step, first, parts = math.ceil(math.sqrt(len(meshes))), 1 + _GAP, 0, []
    for i, mesh in enumerate(meshes):
        row, column = divmod(i, columns)
        place = np.array([column * step, 0, row * step], np.float32)
        parts.append(Mesh(mesh.vertices + place, mesh.normals, mesh.faces + first))
        first += len(mesh.vertices)
    return Mesh(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def obj(mesh: Mesh, about: Provenance | None = None) -> bytes:
    """Wavefront OBJ, with normals; its first line is the provenance."""
    lines = [] if about is None else [f"# {about.words}"]
    lines += ["v {:.6g} {:.6g} {:.6g}".format(*v) for v in mesh.vertices.tolist()]
    lines += ["vn {:.4f} {:.4f} {:.4f}".format(*n) for n in mesh.normals.tolist()]
    lines += ["f {0}//{0} {1}//{1} {2}//{2}".format(*f) for f in (mesh.faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


def stl(mesh: Mesh, about: Provenance | None = None) -> bytes:
    """Binary STL, which has z upwards; its head holds as much of the provenance as 80 bytes do."""
    turned = np.stack([mesh.vertices[:, 0], -mesh.vertices[:, 2], mesh.vertices[:, 1]], axis=1)
    corners = turned[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    rows = np.zeros(len(corners), np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")]))
    rows["normal"], rows["corners"] = normals, corners
    head = b"genart_jax" if about is None else about.words.encode("ascii", "replace")
    return head[:80].ljust(80) + struct.pack("<I", len(rows)) + rows.tobytes()


def glb(mesh: Mesh, about: Provenance | None = None) -> bytes:
    """The binary form of glTF 2.0 (one file); `asset.extras` is the provenance."""
    parts = [mesh.vertices.astype("<f4"), mesh.normals.astype("<f4"), mesh.faces.astype("<u4").reshape(-1, 1)]
    views: list[Json] = []
    accessors: list[Json] = []
    offset = 0
    for array, target, kind in zip(parts, (34962, 34962, 34963), ("VEC3", "VEC3", "SCALAR"), strict=True):
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": target})
        number = {"bufferView": len(accessors), "componentType": 5126 if kind == "VEC3" else 5125}
        accessors.append(number | {"count": len(array), "type": kind})
        offset += array.nbytes
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    accessors[0] |= {"min": low.tolist(), "max": high.tolist()}
    asset = {"version": "2.0", "generator": "genart_jax"}
    content = {
        "asset": asset if about is None else asset | {"extras": json.loads(about.content())},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": _COLOR, "metallicFactor": 0.0}}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(array.tobytes() for array in parts)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


FORMATS: Mapping[str, Callable[[Mesh, Provenance | None], bytes]] = {".obj": obj, ".stl": stl, ".glb": glb}
"""Of each suffix, what writes it."""


def file_of(volumes: Array, suffix: str, about: Provenance | None = None) -> bytes:
    """The file of volumes, uint8 (n, size, size, size, 1 or 3); `suffix` is one of `FORMATS`.

    Raises:
      UserError: as `surface`.
    """
    return FORMATS[suffix](beside([surface(volume) for volume in volumes]), about)
