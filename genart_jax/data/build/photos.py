"""Photographs for restoration and style, and paintings: whole, and cut into squares that do not overlap.

The split is by scene, never by square. Where compression shows, pictures are halved first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data.build import draw, qt
from genart_jax.data.build.packages import Package, debian
from genart_jax.data.build.recipe import Made, Recipe, View, Workshop, by_rank
from genart_jax.runtime.values import Array

_GCOMPRIS = debian(
    "gcompris-qt-data", "3.1-2", "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f", 44.2,
    "public domain, CC0, CC-BY, CC-BY-SA per file",
)  # fmt: skip
_PLASMA = debian(
    "plasma-workspace-wallpapers", "4:5.27.5-2",
    "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b", 94.0, "LGPL-3",
)  # fmt: skip
_MATE = debian(
    "mate-backgrounds", "1.26.0-1", "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04", 46.6, "GPL-2+"
)
_SKIMAGE = Package(
    "pip", "scikit-image", "0.26.0", "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af", 13.7,
    "CC0 and public domain per file", platform=("--python-version=3.11", "--platform=manylinux_2_28_x86_64"),
)  # fmt: skip
_WALLPAPERS = (
    "BytheWater", "ColdRipple", "ColorfulCups", "DarkestHour", "EveningGlow", "FallenLeaf", "Grey", "Kite",
    "OneStandsOut", "Path", "summer_1am",
)  # fmt: skip
_NATURE = (
    "Aqua", "Blinds", "Dune", "FreshFlower", "Garden", "GreenMeadow", "LadyBird", "RainDrops", "Storm", "TwoWings",
    "Wood", "YellowFlower",
)  # fmt: skip
_SKIMAGE_SCENES = {
    "chelsea": ("Stefan van der Walt", "CC0-1.0"),
    "coffee": ("Rachel Michetti", "CC0-1.0"),
    "rocket": ("SpaceX", "public domain"),
}
_FREE = ("no", "yes")
_DETAIL = 2.0
"""Mean difference between neighbouring pixels of 255 levels, below which a square is sky or blur."""


class Scene(NamedTuple):
    """One photograph: who made it, under which licence, and how it is to be halved."""

    name: str
    content: bytes
    author: str
    licence: str
    halved: bool = False

    @property
    def free(self) -> bool:
        """Whether its own licence is public domain or CC0."""
        return self.licence.lower().startswith(("public domain", "cc0"))


def credits_of(readme: str) -> dict[str, tuple[str, str]]:
    """File -> (author, licence) from a README of paragraphs with Copyright, License and Files lines."""
    found = {}
    for paragraph in re.split(r"\n\s*\n", readme):
        facts = dict(re.findall(r"^(Copyright|License):\s*(.*)$", paragraph, re.MULTILINE))
        for file in re.findall(r"(?:^|Files:\s*)([\w/]+\.webp)", paragraph, re.MULTILINE):
            found[file.rpartition("/")[2]] = facts.get("Copyright", "unknown"), facts.get("License", "unknown")
    return found


def _gcompris(shop: Workshop) -> Iterator[Scene]:
    for path, content in shop.files(_GCOMPRIS.name, "*/rcc/erase.rcc", "*/rcc/explore_monuments.rcc"):
        inside = qt.unpack(content, path)
        readme = next((text for file, text in inside.items() if file.endswith("resource/README")), b"")
        known = credits_of(readme.decode("utf-8", "replace").replace("audaPalatina", "aulaPalatina"))
        for file, picture in sorted(inside.items()):
            word = file.rpartition("/")[2]
            if file.endswith(".webp") and "/resource/" in file and word in known:
                yield Scene(word.removesuffix(".webp"), picture, *known[word])


def _wallpapers(shop: Workshop) -> Iterator[Scene]:
    files = dict(
        shop.files(_PLASMA.name, "*/wallpapers/*/contents/images/2560x1600.jpg", "*/wallpapers/*/metadata.json")
    )
    for name in _WALLPAPERS:
        root = f"usr/share/wallpapers/{name}"
        facts = json.loads(files[f"{root}/metadata.json"])["KPlugin"]
        author = ", ".join(a["Name"] for a in facts["Authors"])
        yield Scene(name, files[f"{root}/contents/images/2560x1600.jpg"], author, facts["License"], halved=True)


def _nature(shop: Workshop) -> Iterator[Scene]:
    for path, content in sorted(shop.files(_MATE.name, "*/mate/nature/*.jpg")):
        name = path.rpartition("/")[2].removesuffix(".jpg")
        if name in _NATURE:
            yield Scene(name, content, "see licences/mate-backgrounds.txt", "GPL-2+", halved=True)


def _samples(shop: Workshop) -> Iterator[Scene]:
    for path, content in sorted(shop.files(_SKIMAGE.name, "skimage/data/*.png", "skimage/data/*.jpg")):
        name = path.rpartition("/")[2].partition(".")[0]
        if name in _SKIMAGE_SCENES:
            yield Scene(name, content, *_SKIMAGE_SCENES[name])


def _make_photos(shop: Workshop, size: int) -> Made:
    scenes = []
    for part in (_gcompris, _wallpapers, _nature, _samples):
        scenes += list(part(shop))
        shop.tell(f"photos: {len(scenes)} scenes")
    if len({scene.name for scene in scenes}) != len(scenes):
        raise UserError("photos: two scenes have one name")
    names = tuple(scene.name for scene in scenes)
    test = by_rank(names, 0.1)
    validation = by_rank(names, 0.2) & ~test
    place = ["test" if t else "validation" if v else "train" for t, v in zip(test, validation, strict=True)]
    pictures = [_opened(scene) for scene in scenes]
    credits = "\n".join(f"- {s.name}: {s.author}; {s.licence}" for s in scenes)
    free = sum(scene.free for scene in scenes)
    labels = {"scene": np.arange(len(scenes)), "free": np.array([s.free for s in scenes])}
    return Made(
        _cut(pictures, place, size, labels, _DETAIL),
        {"scene": names, "free": _FREE},
        f"Photographs from {_GCOMPRIS}, {_PLASMA}, {_MATE} and {_SKIMAGE}:\n\n{credits}",
        (f"{len(scenes)} scenes, {free} of them in the public domain or CC0 by their own licence (photos:free)",
         "split by scene; wallpapers are halved, as their compression shows",
         f"squares of the full and of half the size; left out where neighbours differ by less than {_DETAIL:g} of 255"),
        _wholes(names, pictures, place),
    )  # fmt: skip


def _opened(scene: Scene) -> Image.Image:
    image = draw.whole(scene.content)
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX) if scene.halved else image


def _cut(
    pictures: list[Image.Image], place: list[str], size: int, labels: dict[str, Array], detail: float = 0.0
) -> dict[str, dict[str, Array]]:
    splits = {}
    for split in dict.fromkeys(("train", "test", *sorted(place))):
        chosen = [i for i, where in enumerate(place) if where == split]
        squares = [_squares(pictures[i], size, detail) for i in chosen]
        repeats = [len(part) for part in squares]
        each = {name: np.repeat(values[chosen], repeats).astype(np.int32) for name, values in labels.items()}
        splits[split] = {"image": np.concatenate(squares), **each}
    return splits


def _squares(image: Image.Image, size: int, detail: float) -> Array:
    """Squares of a picture in full and in half its size, without those where neighbours differ less than `detail`."""
    full = draw.patches(image, size)
    half = draw.patches(image.reduce(2), size)
    squares = np.concatenate([full, half])
    steps = [np.abs(np.diff(squares.astype(np.int16), axis=axis)).mean((1, 2, 3)) for axis in (1, 2)]
    return squares[(steps[0] + steps[1]) / 2 >= detail]


def _wholes(names: tuple[str, ...], pictures: list[Image.Image], place: list[str]) -> dict[str, dict[str, bytes]]:
    out: dict[str, dict[str, bytes]] = {split: {} for split in place}
    for name, image, split in zip(names, pictures, place, strict=True):
        out[split][f"{name}.png"] = draw.encoded(image)
    return out


def _make_paintings(shop: Workshop, size: int) -> Made:
    ((path, content),) = shop.files(_GCOMPRIS.name, "*/rcc/paintings.rcc")
    inside = {file.rpartition("/resource/")[2]: data for file, data in qt.unpack(content, path).items()}
    boards = sorted((f for f in inside if f.startswith("board/")), key=lambda f: int(re.findall(r"\d+", f)[0]))
    works = dict(_assembled(inside, inside[board].decode()) for board in boards)
    names, pictures = tuple(works), list(works.values())
    test = by_rank(names, 0.1)
    place = ["test" if t else "train" for t in test]
    credits = "\n".join(f"- {name}" for name in names)
    return Made(
        _cut(pictures, place, size, {"painting": np.arange(len(names))}),
        {"painting": names},
        "Reproductions of works whose painters have been dead for more than 70 years, from the WebMuseum of Nicolas"
        f" Pioch by way of {_GCOMPRIS}, under GPL-3 or later:\n\n{credits}",
        ("split by painting",),
        _wholes(tuple(re.sub(r"\W+", "_", name).strip("_") for name in names), pictures, place),
    )


def _assembled(inside: dict[str, bytes], board: str) -> tuple[str, Image.Image]:
    """A painting's title and the painting, put together from the pieces of its jigsaw."""
    number = r"\"?([\d.]+)"
    width, height = (
        float(m[1]) if (m := re.search(rf'"{side}"\s*:\s*{number}', board)) else usual
        for side, usual in (("width", 800), ("height", 520))
    )
    canvas = Image.new("RGBA", (int(width) + 60, int(height) + 60))
    pieces = re.findall(
        rf'"pixmapfile"\s*:\s*"image/([^"]+\.webp)",\s*"x"\s*:\s*{number}"?,\s*"y"\s*:\s*{number}', board
    )
    for file, x, y in pieces:
        piece = draw.rgba(inside[f"image/{file}"])
        at = (float(x) * width - piece.width / 2 + 30, float(y) * height - piece.height / 2 + 30)
        canvas.alpha_composite(piece, (max(0, int(at[0])), max(0, int(at[1]))))
    title = re.search(r'qsTr\("([^"]*)"', board)
    return title[1] if title else pieces[0][0], _without_gaps(canvas.crop(canvas.getbbox()))


def _without_gaps(image: Image.Image) -> Image.Image:
    """The seams between pieces, where nothing is, filled with the nearest pixels."""
    from scipy import ndimage

    pixels = np.asarray(image)
    nearest = ndimage.distance_transform_edt(pixels[..., 3] < 128, return_distances=False, return_indices=True)
    return Image.fromarray(pixels[nearest[0], nearest[1], :3])


RECIPES = (
    Recipe(
        "photos",
        "108 photographs of animals, buildings and landscapes, whole and in squares",
        "public domain, CC0, CC-BY, CC-BY-SA, LGPL and GPL, per file",
        (_GCOMPRIS, _PLASMA, _MATE, _SKIMAGE),
        (128, 256),
        _make_photos,
        views={
            "free": View(
                "only scenes in the public domain or CC0, for weights to be given away",
                keep=("free", 1),
                licence="public domain and CC0, per file",
            )
        },
    ),
    Recipe(
        "paintings",
        "22 paintings, whole and in squares",
        "the works: public domain; the reproductions: GPL-3+",
        (_GCOMPRIS,),
        (128, 64, 256),
        _make_paintings,
        views={"all": View("every painting in both splits: styles to learn, tested on contents", joined=True)},
    ),
)
