"""Meshes of volumes, read back by the rules of their formats."""

import json
import struct

import numpy as np
import pytest
import trimesh

import genart_jax as ga
from genart_jax.data import media
from genart_jax.data.build import solids
from genart_jax.data.provenance import Provenance
from genart_jax.use import mesh
from genart_jax.use.sample import Samples, write_samples
from tests.data.test_media import ball

ABOUT = Provenance("gan3d", "1234", "abcd", 5, "shapes3d", "Apache-2.0")


def enclosed(vertices, faces):
    a, b, c = np.moveaxis(vertices[faces].astype("float64"), 1, 0)
    return np.sum(a * np.cross(b, c)) / 6


def edges(faces):
    """How often each edge is there in each direction."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return {tuple(pair): count for pair, count in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True)}


def test_a_ball_is_closed_and_as_large_as_it_is():
    found = mesh.surface(ball(24, 8.0)[0])
    assert abs(enclosed(found.vertices, found.faces) / (4 / 3 * np.pi * (8 / 24) ** 3) - 1) < 0.05
    there = edges(found.faces)
    assert set(there.values()) == {1}
    assert all((b, a) in there for a, b in there)  # each edge once forth and once back: closed, one way round
    outwards = found.vertices - [0, 0.5, 0]
    assert (np.sum(outwards * found.normals, axis=1) > 0.6 * np.linalg.norm(outwards, axis=1)).all()


def test_up_is_up_and_nothing_is_mirrored():
    """Right in the picture is x, up is y, and what is in front has the largest z."""
    volume = np.zeros((8, 8, 8, 1), np.uint8)
    volume[1:3, 0:2, 5:7] = 255  # in front, at the top, at the right
    vertices = mesh.surface(volume).vertices
    np.testing.assert_allclose(vertices.mean(axis=0), [0.25, 0.875, 0.25], atol=0.01)
    touching = np.full((4, 4, 4, 1), 255, np.uint8)  # to the edges of the cube
    np.testing.assert_allclose(mesh.surface(touching).vertices.min(axis=0), [-0.5, 0, -0.5], atol=1e-6)
    np.testing.assert_allclose(mesh.surface(touching).vertices.max(axis=0), [0.5, 1, 0.5], atol=1e-6)


def read_obj(content):
    rows = [line.split() for line in content.decode().splitlines() if not line.startswith("#")]
    vertices = np.array([row[1:] for row in rows if row[0] == "v"], float)
    faces = np.array([[int(word.partition("/")[0]) - 1 for word in row[1:]] for row in rows if row[0] == "f"])
    return vertices, faces


def read_stl(content):
    (count,) = struct.unpack_from("<I", content, 80)
    assert len(content) == 84 + 50 * count
    rows = np.frombuffer(content, np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("more", "<u2")]), offset=84)
    corners = np.stack([rows["v"][..., 0], rows["v"][..., 2], -rows["v"][..., 1]], axis=-1)  # z is up there
    return corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def read_glb(content):
    magic, version, length, size, kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
    text = json.loads(content[20 : 20 + size])
    assert size % 4 == 0 == length % 4
    assert struct.unpack_from("<I4s", content, 20 + size) == (text["buffers"][0]["byteLength"], b"BIN\0")
    arrays = []
    for one, dtype in zip(text["accessors"], ("<f4", "<f4", "<u4"), strict=True):
        view = text["bufferViews"][one["bufferView"]]
        start = 28 + size + view["byteOffset"]
        arrays.append(np.frombuffer(content[start : start + view["byteLength"]], dtype))
        assert len(arrays[-1]) == one["count"] * (3 if one["type"] == "VEC3" else 1)
    vertices = arrays[0].reshape(-1, 3)
    assert text["accessors"][0]["max"] == vertices.max(axis=0).tolist()
    return vertices, arrays[2].reshape(-1, 3)


@pytest.mark.parametrize(("suffix", "read"), [(".obj", read_obj), (".stl", read_stl), (".glb", read_glb)])
def test_files_hold_what_the_volumes_hold(suffix, read, tmp_path):
    table = solids.solid("table", [0.8, 0.6, 0.5, 0.1, 0.0], 16)
    volumes = np.stack([ball(16, 6.0)[0], np.where(table, 255, 0).astype(np.uint8)[..., None]])
    out = write_samples(tmp_path / f"new/two{suffix}", Samples(volumes, {}), {}, 0, about=ABOUT)
    content = out.read_bytes()
    vertices, faces = read(content)
    each = [mesh.surface(volume) for volume in volumes]
    wanted = sum(enclosed(*one[::2]) for one in each)
    assert abs(enclosed(vertices, faces) / wanted - 1) < 1e-4
    assert np.ptp(vertices[:, 0]) > 1.25  # side by side
    assert content[:80].count(b"gan3d") == 1 or b"gan3d" in content[:400]


def test_what_has_no_mesh_is_said(tmp_path):
    empty = Samples(np.zeros((1, 8, 8, 8, 1), np.uint8), {})
    with pytest.raises(ga.UserError, match="nothing solid"):
        write_samples(tmp_path / "a.glb", empty, {}, 0)
    flat = Samples(np.zeros((1, 8, 8, 1), np.uint8), {})
    with pytest.raises(ga.UserError, match=r"of volumes FILE\.obj"):
        write_samples(tmp_path / "a.obj", flat, {}, 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".obj", ".stl", ".glb"])
def test_others_read_them(suffix, tmp_path):
    """As trimesh does, which has its own readers: closed, and as large as the ball is."""
    path = tmp_path / f"ball{suffix}"
    path.write_bytes(mesh.file_of(media.to_pixels(ball(24, 8.0)), suffix, ABOUT))
    found = trimesh.load(path, force="mesh")
    assert found.is_watertight
    assert abs(abs(found.volume) / (4 / 3 * np.pi * (8 / 24) ** 3) - 1) < 0.05
