"""Drawn faces with their parts as labels: facesjs, and the styles of DiceBear as further domains. Made in Node.

Faces here are drawn and nobody's. Skin tones are numbered from light to dark and drawn evenly, hair colours likewise
and independently; facesjs's own presets, which tie both to a race, play no part.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genart_jax.config import UserError
from genart_jax.data.build import draw
from genart_jax.data.build.packages import Package
from genart_jax.data.build.recipe import Arrays, Made, Recipe, Workshop, by_hash, split_rows
from genart_jax.runtime.values import Array, Json

_RANDOM = """
const seeded = (a) => () => {  // mulberry32
  a = a + 0x6D2B79F5 | 0;
  let t = Math.imul(a ^ a >>> 15, 1 | a);
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
  return ((t ^ t >>> 14) >>> 0) / 4294967296;
};
"""
_FACES = (
    """
import { generate, faceToSvgString } from "facesjs";
const job = JSON.parse(process.argv[2]);"""
    + _RANDOM
    + """
const parts = (face) => Object.fromEntries(job.parts.map((part) => [part, face[part].id]));
for (let i = job.first; i < job.last; i++) {
  const identity = Math.floor(i / job.each);
  Math.random = seeded(Math.imul(identity + 1, 0x9E3779B1));
  const pick = (list) => Math.floor(Math.random() * list.length);
  const gender = Math.random() < 0.5 ? "female" : "male";
  const face = generate({}, { gender });
  const skin = pick(job.skin), hair = pick(job.hair);
  face.body.color = job.skin[skin];
  face.hair.color = job.hair[hair];
  face.accessories.id = Math.random() < 0.15 ? face.accessories.id : "none";
  if (i % job.each) {  // the same face with another mouth, other clothes and other glasses
    Math.random = seeded(Math.imul(i + 1, 0x85EBCA6B));
    const other = generate({}, { gender });
    face.mouth = other.mouth;
    face.jersey = other.jersey;
    face.teamColors = job.clothes[pick(job.clothes)];
  }
  Math.random = seeded(Math.imul(i + 1, 0xC2B2AE35));
  face.glasses.id = Math.random() < 0.6 ? "none" : job.glasses[pick(job.glasses)];
  console.log(JSON.stringify({ svg: faceToSvgString(face), identity, skin, hair_color: hair, ...parts(face) }));
}
"""
)
_STYLE = """
import { createAvatar } from "@dicebear/core";
const job = JSON.parse(process.argv[2]);
const style = await import(`@dicebear/${job.style}`);
for (let i = job.first; i < job.last; i++) {
  const { svg, extra } = createAvatar(style, { seed: String(i), size: job.size }).toJson();
  console.log(JSON.stringify({ svg, ...extra }));
}
"""
_SKIN = ("#fbe4d8", "#f2d6cb", "#f0c5a3", "#ddb7a0", "#d19a76", "#bb876f", "#a67358", "#8d5a45", "#74453d", "#4d2f2b")
_HAIR = {
    "black": "#15100e", "dark brown": "#3d2314", "brown": "#6b4226", "light brown": "#9c7048", "blond": "#e2c275",
    "red": "#b55239", "grey": "#9a9a98", "white": "#e8e6e1",
}  # fmt: skip
_CLOTHES = (
    ("#89bfd3", "#7a1319", "#07364f"), ("#c8442f", "#f2e6c9", "#2d2a26"), ("#3c7a4b", "#e9d66b", "#1f3d2a"),
    ("#6a4c93", "#d9d2e9", "#2b1e40"), ("#e07b28", "#fdf3e1", "#5a2d0c"), ("#4a6fa5", "#dbe5f1", "#1c2f4a"),
    ("#444444", "#cccccc", "#111111"),
)  # fmt: skip
_PARTS = ("hair", "mouth", "glasses", "facialHair", "accessories", "jersey", "eye", "eyebrow", "nose", "head")
_GLASSES = ("glasses1-primary", "glasses1-secondary", "glasses2-black", "glasses2-primary", "glasses2-secondary")
_NUMBER, _EACH, _PIECE = 12_000, 4, 1_000
_STYLED = 3_000
_WHY = "drawn faces of nobody: photographs of people need their consent, which no package here carries"


def _npm(name: str, version: str, sha256: str, licence: str) -> Package:
    return Package("npm", name, version, sha256, 0.1, licence)


_FACESJS = _npm("facesjs", "5.0.3", "5dcd38542f674a7df9d85dae2bade41dc99bdb317f6f723f1b4923aa0d0e4dda", "Apache-2.0")
_FACESJS_NEEDS = (
    _npm("dlv", "1.1.3", "7c316193a4d49e70b3f552e4d52573ecb5b8154075f049cb30c9c2dc9ebb7c90", "MIT"),
    _npm("dset", "3.1.4", "ea5753352be6a2416c35f0f23831db3a9986c6d9183c339fbb3f11f94d4c8357", "MIT"),
    _npm("svg-path-bbox", "2.1.0", "da7b6b61601dbb9613407ea39e87c955c52434f9604990529e3d5de79f4fa45b", "MIT"),
    _npm("svgpath", "2.6.0", "800acf61f8659853d6f46c133a2a0c056943572840407c3db63fdaf731f12f81", "MIT"),
)
_CORE = _npm("@dicebear/core", "9.4.3", "6ca7dae651c74ad547e548fbe7c41f49aaa377cf4617259277518389bf6b1a3d", "MIT")
_STYLES = {
    "lorelei": ("CC0-1.0", "78cbba0a6c4d14e1af7c62ffa9a73bd98a8cda02e28690110e199348cd6a9c06"),
    "notionists": ("CC0-1.0", "edb28f4a346e50b9a810b754960cda924cfb2e05763cefddb4acb940dfb96445"),
    "open-peeps": ("CC0-1.0", "65b664ec00dc69c068051461f2b5bd97c8335af676e36c284e906a3017c23d4f"),
    "pixel-art": ("CC0-1.0", "1252d798c632c20f194e7d8b2fbc18b23ad76b2511e668668d0051084bfaa754"),
    "thumbs": ("CC0-1.0", "87b95a01503debb55e8e98a55e06cd0f19f3951864da08b89a682b4b009df766"),
    "adventurer": ("CC-BY-4.0", "6edeac04f94ef6177c946918dce012e530200dfcc274b4f954239e33ecbe590c"),
    "big-ears": ("CC-BY-4.0", "02fc47ff824b783142e6c85c2ba182ff535a7b40f65bfddfafa2b4f8d86eef50"),
    "big-smile": ("CC-BY-4.0", "8dbd7b96c9ceaf9dd7c280cdae4f0bb3e43ab2798b7bedbe355fbb3ce30e87bb"),
    "croodles": ("CC-BY-4.0", "3fba515bd5c0ba8568340425989918845a2ab13c3422e25d87d52f0e49b0a655"),
    "dylan": ("CC-BY-4.0", "761ebf9e973b71753af489d03b3aa67818bd17068b7f3fec9963dac91272e176"),
    "micah": ("CC-BY-4.0", "b948931f01e97147ce8cdcfc4dfdad5c029bcb1ad57420dc0b22bc0aeb1d3fa7"),
    "miniavs": ("CC-BY-4.0", "cebf19ca30a49e88a60824f994f5fa2d9f9f7e2cbc7eb3bcad5b5af166f78274"),
    "personas": ("CC-BY-4.0", "6f5b4765c4d54444ab0330c4a89da53636662de3b04118b827f005a31332d002"),
}


def _modules(shop: Workshop, packages: tuple[Package, ...]) -> None:
    """The packages' code as node_modules beside the script."""
    for package in packages:
        for path, content in shop.files(
            package.name, "package/*.js", "package/*.cjs", "package/*.mjs", "package/*.json"
        ):
            inside = path.removeprefix("package/")
            if ".." in inside.split("/"):
                raise UserError(f"{package} holds a file outside of itself: {path}")
            file = shop.folder / "node_modules" / package.name / inside
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _drawn(folder: Path, script: str, job: Json) -> Iterator[Json]:
    """What the script says, line by line.

    Raises:
      UserError: it failed.
    """
    (folder / "draw.mjs").write_text(script)
    command = ["node", "draw.mjs", json.dumps(job)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        wrong = [line for line in done.stderr.splitlines() if "Error" in line] or ["it says nothing"]
        raise UserError(f"node could not draw: {wrong[0]}; is it version 18 or newer?")
    return map(json.loads, done.stdout.splitlines())


def _pieces(shop: Workshop, script: str, number: int, job: Json, size: int) -> dict[str, Array]:
    """Pictures and what is said of each, as words, in pieces that are kept."""
    parts = []
    for first in range(0, number, _PIECE):
        here = job | {"first": first, "last": min(number, first + _PIECE)}
        parts.append(shop.piece(f"faces_{first}", functools.partial(_piece, shop.folder, script, here, size)))
        shop.tell(f"faces: {here['last']} of {number}")
    shared = set.intersection(*(set(part) for part in parts))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name in shared}


def _piece(folder: Path, script: str, job: Json, size: int) -> Arrays:
    rows = list(_drawn(folder, script, job))
    pictures = [draw.vector(_sized(row.pop("svg"), size), size) for row in rows]
    words = {name: np.array([_word(row.get(name)) for row in rows]) for name in sorted(set().union(*rows))}
    return {"image": np.stack(pictures), **words}


def _word(value: object) -> str:
    """A part as a word; some styles leave a part out, or give it as a list of one."""
    if isinstance(value, list):
        value = value[0] if value else None
    return "none" if value in (None, "") else str(value)


def _sized(svg: str, size: int) -> str:
    """Where the document is facesjs's, the square with the face, in the size wanted."""
    whole = 'width="100%" height="100%" viewBox="0 0 400 600"'
    return svg.replace(whole, f'width="{size}" height="{size}" viewBox="-50 85 500 500"', 1)


def _classes(words: Array) -> tuple[Array, tuple[str, ...]]:
    names, numbers = np.unique(words, return_inverse=True)
    return numbers.astype(np.int32), tuple(map(str, names))


def job() -> Json:
    """What a set of faces is drawn from."""
    return {"each": _EACH, "skin": _SKIN, "hair": list(_HAIR.values()), "parts": _PARTS, "glasses": _GLASSES,
            "clothes": _CLOTHES}  # fmt: skip


def _make_faces(shop: Workshop, size: int) -> Made:
    _modules(shop, (_FACESJS, *_FACESJS_NEEDS))
    words = _pieces(shop, _FACES, shop.some(_NUMBER), job(), size)
    identity = words["identity"].astype(np.int32)
    arrays: dict[str, Array] = {"image": words["image"], "identity": identity}
    arrays |= {name: words[name].astype(np.int32) for name in ("skin", "hair_color")}
    classes = {"skin": tuple(str(i + 1) for i in range(len(_SKIN))), "hair_color": tuple(_HAIR)}
    for part in _PARTS:
        name = {"facialHair": "beard"}.get(part, part)
        arrays[name], classes[name] = _classes(words[part])
    return Made(
        split_rows(arrays, by_hash([f"identity {i}" for i in identity])),
        classes,
        f"Drawn by {_FACESJS}, © Jeremy Scheff and contributors, Apache-2.0.",
        (
            f"{_EACH} faces of each identity, with other mouths, glasses and clothes; split by identity",
            "skin: numbers from light (1) to dark; it and hair colours are drawn evenly and independently",
            _WHY,
        ),
    )


def _make_style(shop: Workshop, size: int, *, package: Package) -> Made:
    style = package.name.rpartition("/")[2]
    _modules(shop, (_CORE, package))
    words = _pieces(shop, _STYLE, shop.some(_STYLED), {"style": style, "size": size}, size)
    arrays: dict[str, Array] = {"image": words["image"]}
    classes: dict[str, tuple[str, ...]] = {}
    for name in sorted(set(words) - {"image"}):
        numbers, names = _classes(words[name])
        if 2 <= len(names) <= 64 and not name.lower().startswith(("background", "primarybackground", "secondarybackg")):
            arrays[name], classes[name] = numbers, names
    seeds = [str(i) for i in range(len(words["image"]))]
    return Made(
        split_rows(arrays, by_hash(seeds)),
        classes,
        f"Drawn by {_CORE} in the style {style}, {package}: {package.licence}; its designer is named in "
        f"licences/dicebear-{style}.txt.",
        (_WHY,),
    )


def _style(name: str, licence: str, sha256: str) -> Recipe:
    package = _npm(f"@dicebear/{name}", "9.4.3", sha256, licence)
    make = functools.partial(_make_style, package=package)
    text = f"{_STYLED:,} drawn avatars in DiceBear's style {name}, by their parts"
    return Recipe(f"avatars:{name}", text, licence, (_CORE, package), (64, 128), make, ("node", "resvg_py"))


RECIPES = (
    Recipe(
        "avatars",
        f"{_NUMBER:,} drawn faces by hair, skin, glasses, mouth and other parts, {_EACH} of each identity",
        "Apache-2.0",
        (_FACESJS, *_FACESJS_NEEDS),
        (64, 128),
        _make_faces,
        ("node", "resvg_py"),
    ),
    *(_style(name, *facts) for name, facts in _STYLES.items()),
)
