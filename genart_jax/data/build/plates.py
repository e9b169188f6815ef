"""Licence plates that were never on a car: drawn in free fonts, seen askew, in bad light, blurred and dirty."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from genart_jax.data.build.packages import debian
from genart_jax.data.build.recipe import Made, Recipe, Workshop, by_hash, split_rows
from genart_jax.runtime.values import Array

_FONTS = (
    debian("fonts-dejavu-core", "2.37-6", "8892669e51aab4dc56682c8e39d8ddb7d70fad83c369344e1e240bf3ca22bb76", 1.1,
           "Bitstream Vera"),
    debian("fonts-liberation2", "2.1.5-1", "35ffaa54f117e633e89a5da89af235a073b34dbe582726fbf6989568f7fd9bda", 1.5,
           "OFL-1.1"),
    debian("fonts-b612", "1.008-3", "d05ca6b14314b488e07d795168095da1166b28216df1f4edc2ea0109fd2ce525", 0.3, "OFL-1.1"),
    debian("fonts-roboto-unhinted", "2:0~20170802-3",
           "f89cf7d8a589489daecf750031ec50456ab3e648d49ff544f0f08753268fbd91", 2.4, "Apache-2.0"),
)  # fmt: skip
_FACES = (
    "DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf", "LiberationSans-Bold.ttf", "LiberationMono-Bold.ttf",
    "B612-Bold.otf", "B612Mono-Bold.otf", "RobotoCondensed-Bold.ttf", "Roboto-Bold.ttf",
)  # fmt: skip
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LENGTH = 7
_COLORS = {
    "black on white": ("#f4f4f0", "#141414"), "black on yellow": ("#f2c230", "#141414"),
    "white on blue": ("#1c3f94", "#f4f4f0"), "white on black": ("#1b1b1b", "#eeeeee"),
    "red on white": ("#f4f1ea", "#a3201d"), "green on white": ("#eef2ea", "#14603a"),
}  # fmt: skip
_NUMBER = 6_000
_SCALE = 4  # of the plate that is drawn to the one that is seen


def _plate(text: str, font: ImageFont.FreeTypeFont, colors: tuple[str, str], size: tuple[int, int]) -> Image.Image:
    """A clean plate from the front, its text as large as fits."""
    height, width = size
    plate = Image.new("RGB", (width, height), colors[0])
    pen = ImageDraw.Draw(plate)
    edge = max(1, height // 24)
    pen.rounded_rectangle((edge, edge, width - 1 - edge, height - 1 - edge), height // 8, outline=colors[1], width=edge)
    fitting = font.font_variant(size=int(min(font.size, font.size * 0.88 * width / font.getlength(text))))
    pen.text((width / 2, height * 0.52), text, fill=colors[1], font=fitting, anchor="mm")
    return plate


def _corners(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Where the plate's corners are seen: (4, 2), from top left clockwise, all inside the picture."""
    height, width = size
    inner = np.array([[0.06, 0.14], [0.94, 0.14], [0.94, 0.86], [0.06, 0.86]]) * (width, height)
    return inner + rng.uniform(-1, 1, (4, 2)) * (0.05 * width, 0.11 * height)


def _perspective(corners: Array, plate: tuple[int, int]) -> list[float]:
    """Pillow's eight numbers, from places in the picture to places on the plate (width, height)."""
    width, height = plate
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, ((0, 0), (width, 0), (width, height), (0, height)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved: list[float] = np.linalg.solve(np.array(rows, float), np.array(values, float)).tolist()
    return solved


def _seen(plate: Image.Image, rng: np.random.Generator, size: tuple[int, int]) -> tuple[Array, dict[str, Array]]:
    """The plate as a camera sees it, and what was drawn."""
    height, width = size
    corners = _corners(rng, size)
    dirty = plate.copy()
    pen = ImageDraw.Draw(dirty, "RGBA")
    spots = int(rng.integers(0, 12))
    for _ in range(spots):
        x, y = rng.uniform(0, plate.width), rng.uniform(0, plate.height)
        r = rng.uniform(0.01, 0.09) * plate.height
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(70, 52, 36, int(rng.integers(60, 200))))
    numbers = _perspective(_SCALE * corners, plate.size)
    large = (_SCALE * width, _SCALE * height)
    ground = tuple(int(v) for v in rng.integers(30, 200, 3))
    view = dirty.transform(large, Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BICUBIC)
    inside = Image.new("L", plate.size, 255).transform(large, Image.Transform.PERSPECTIVE, numbers)
    blur = float(rng.uniform(0.0, 1.6)) * height / 64
    view = Image.composite(view, Image.new("RGB", large, ground), inside).reduce(_SCALE)
    view = view.filter(ImageFilter.GaussianBlur(blur))
    light, slope, noise = rng.uniform(0.35, 1.15), rng.uniform(-0.35, 0.35), rng.uniform(0.0, 10.0)
    across = 1.0 + slope * (np.arange(width) / width - 0.5)
    pixels = np.asarray(view, np.float64) * light * across[:, None] + rng.normal(0, noise, (height, width, 3))
    drawn = {"corners": corners, "blur": np.array(blur), "light": np.array(light), "spots": np.array(spots)}
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), drawn


def _make(shop: Workshop, size: int) -> Made:
    found = {}
    for package in _FONTS:
        for path, content in shop.files(package.name, *(f"*/{name}" for name in _FACES)):
            found[path.rpartition("/")[2]] = content
    shape, large = (size, 3 * size), (_SCALE * size, 3 * _SCALE * size)
    fonts = [ImageFont.truetype(io.BytesIO(found[name]), int(0.7 * large[0])) for name in _FACES]
    rng, rows = np.random.default_rng(0), []
    number = shop.some(_NUMBER)
    for i in range(number):
        letters = rng.integers(0, len(CHARACTERS), LENGTH)
        face, color = int(rng.integers(len(fonts))), int(rng.integers(len(_COLORS)))
        text = "".join(CHARACTERS[letter] for letter in letters)
        plate = _plate(text, fonts[face], list(_COLORS.values())[color], large)
        image, drawn = _seen(plate, rng, shape)
        clean = np.asarray(plate.resize((shape[1], shape[0]), Image.Resampling.LANCZOS))
        signs = {f"char_{k + 1}": letter for k, letter in enumerate(letters)}
        rows.append({"image": image, "target": clean, **signs, "font": face, "color": color, "text": text, **drawn})
        if (i + 1) % 1000 == 0:
            shop.tell(f"plates: {i + 1} of {number}")
    arrays = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}
    classes = {f"char_{k + 1}": tuple(CHARACTERS) for k in range(LENGTH)}
    classes |= {"font": tuple(name.rpartition(".")[0] for name in _FACES), "color": tuple(_COLORS)}
    arrays |= {name: arrays[name].astype(np.int32) for name in classes}
    return Made(
        split_rows(arrays, by_hash(arrays["text"].tolist())),
        classes,
        "Drawn by genart_jax in the fonts of " + ", ".join(f"{p} ({p.licence})" for p in _FONTS) + ".",
        (
            "image: as a camera sees it; target: the same plate clean and from the front",
            "corners in pixels from top left clockwise; blur in pixels; light: the factor on brightness",
            f"{LENGTH} characters drawn evenly, of no country; split by text",
        ),
    )


RECIPES = (
    Recipe(
        "plates",
        f"{_NUMBER:,} drawn licence plates, askew, blurred and dirty, with their characters and clean pictures",
        "the pictures: Apache-2.0, as this package; the fonts: see CREDITS.md",
        _FONTS,
        (32, 64),
        _make,
    ),
)
