"""Short videos: animated creatures by family, action and direction, and icons in motion with exact labels."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.data import emoji
from genart_jax.data.build import draw
from genart_jax.data.build.packages import debian
from genart_jax.data.build.recipe import Made, Recipe, Workshop, split_rows
from genart_jax.runtime.values import Array

_FLARE = debian(
    "flare-game", "1.14-1", "4ab6a8298276013d35a0806257e130d992761af1b749041433b409c3dafec508", 122.5, "CC-BY-SA-3.0+"
)
FRAMES = 8
_FAMILIES = (
    "antlion", "cursed_grave", "goblin", "hobgoblin", "minotaur", "skeleton", "stealth", "wyvern", "zombie",
)  # fmt: skip
_HELD_OUT = ("cursed_grave", "minotaur", "zombie")
_DIRECTIONS = ("left", "up-left", "up", "up-right", "right", "down-right", "down", "down-left")


class Piece(NamedTuple):
    """A rectangle of a sheet, and where in it the creature stands."""

    box: tuple[int, int, int, int]
    anchor: tuple[int, int]


class Animation(NamedTuple):
    """One action: (frame, direction) -> piece."""

    action: str
    back_and_forth: bool
    pieces: dict[tuple[int, int], Piece]

    @property
    def frames(self) -> int:
        """How many drawn frames it has."""
        return 1 + max(frame for frame, _ in self.pieces)


def parse(text: str) -> tuple[str, list[Animation]]:
    """The sheet and the animations that a description of Flare's names."""
    image = re.search(r"^image=(.+)$", text, re.MULTILINE)
    found = []
    for part in re.split(r"^\[", text, flags=re.MULTILINE)[1:]:
        numbers = [tuple(map(int, row.split(","))) for row in re.findall(r"^frame=([\d,-]+)$", part, re.MULTILINE)]
        pieces = {
            (frame, direction): Piece((x, y, x + w, y + h), (left, top))
            for frame, direction, x, y, w, h, left, top in numbers
        }
        if pieces:
            found.append(Animation(part.partition("]")[0], "type=back_forth" in part, pieces))
    return image[1].strip() if image else "", found


def order(frames: int, back_and_forth: bool) -> list[int]:
    """Which of the drawn frames a clip of FRAMES shows, one after the other, over one round of the animation."""
    ring = [*range(frames), *reversed(range(frames))] if back_and_forth else list(range(frames))
    return [ring[t * len(ring) // FRAMES] for t in range(FRAMES)]


def _family(creature: str) -> str | None:
    if creature.endswith("_ant"):
        return "antlion"
    return next((f for f in _FAMILIES if creature == f or creature.startswith(f"{f}_")), None)


def _clips(sheet: Image.Image, animations: list[Animation], size: int) -> Iterator[tuple[str, int, int, Array]]:
    """Action, direction, number of drawn frames, and clip, uint8 (FRAMES, size, size, 3), on white."""
    pieces = [piece for animation in animations for piece in animation.pieces.values()]
    left, top = (max(piece.anchor[i] for piece in pieces) for i in (0, 1))
    right = max(p.box[2] - p.box[0] - p.anchor[0] for p in pieces)
    bottom = max(p.box[3] - p.box[1] - p.anchor[1] for p in pieces)
    width, height = left + right, top + bottom
    side = max(width, height, size)
    at = (left + (side - width) // 2, top + (side - height) // 2)

    def frame(piece: Piece) -> Array:
        canvas = Image.new("RGBA", (side, side), "white")
        canvas.alpha_composite(sheet.crop(piece.box), (at[0] - piece.anchor[0], at[1] - piece.anchor[1]))
        return np.asarray(canvas.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))

    for animation in animations:
        if animation.frames < 4:
            continue
        chosen = order(animation.frames, animation.back_and_forth)
        for direction in range(len(_DIRECTIONS)):
            if all((i, direction) in animation.pieces for i in chosen):
                drawn = {i: frame(animation.pieces[i, direction]) for i in set(chosen)}
                yield animation.action, direction, animation.frames, np.stack([drawn[i] for i in chosen])


def _make_clips(shop: Workshop, size: int) -> Made:
    mods = "usr/share/games/flare/mods"
    files = dict(shop.files(_FLARE.name, f"{mods}/*/animations/enemies/*.txt", f"{mods}/*/images/enemies/*.png"))
    sheets = {
        path.rpartition("/mods/")[2].split("/", 1)[1]: data for path, data in files.items() if path.endswith("png")
    }
    rows, seen = [], set()
    for path, content in sorted(files.items()):
        creature = path.rpartition("/")[2].removesuffix(".txt")
        family = _family(creature)
        if family is None or not path.endswith(".txt"):
            continue
        image, animations = parse(content.decode("utf-8", "replace"))
        if image not in sheets or not animations:
            continue
        for action, direction, frames, clip in _clips(draw.rgba(sheets[image]), animations, size):
            digest = hashlib.sha256(clip.tobytes()).digest()
            if digest not in seen:
                seen.add(digest)
                rows.append((family, creature, action, direction, frames, clip))
        shop.tell(f"clips: {len(rows)}, last of {creature}")
    return _labelled(rows)


def _labelled(rows: list[tuple[str, str, str, int, int, Array]]) -> Made:
    family, creature, action, direction, frames, clip = map(list, zip(*rows, strict=True))
    classes = {
        "family": _FAMILIES,
        "creature": tuple(sorted(set(creature))),
        "action": tuple(sorted(set(action))),
        "direction": _DIRECTIONS,
    }
    numbers = lambda name, words: np.array([classes[name].index(word) for word in words], np.int32)
    arrays = {
        "image": np.stack(clip),
        "family": numbers("family", family),
        "creature": numbers("creature", creature),
        "action": numbers("action", action),
        "direction": np.array(direction, np.int32),
        "frames": np.array(frames, np.int32),
    }
    return Made(
        split_rows(arrays, np.array([name in _HELD_OUT for name in family])),
        classes,
        f"Flare's creatures by Clint Bellanger and others, {_FLARE}, CC-BY-SA 3.0 or later.",
        (
            f"{FRAMES} frames a clip, one round of an animation; frames: how many of them were drawn",
            f"split by family: {', '.join(_HELD_OUT)} are for testing alone",
        ),
    )


_MOTIONS = ("left", "right", "up", "down", "bounce", "clockwise", "anticlockwise", "grow", "shrink")
_NUMBER = 4_000


def _path(motion: str, speed: float) -> tuple[Array, Array, Array]:
    """Offset in pixels (FRAMES, 2: right, down), turn in degrees clockwise and scale of each frame."""
    t = np.arange(FRAMES, dtype=np.float64)
    middle = t - (FRAMES - 1) / 2
    offset, turn, scale = np.zeros((FRAMES, 2)), np.zeros(FRAMES), np.ones(FRAMES)
    if motion in ("left", "right", "up", "down"):
        axis, sign = (0 if motion in ("left", "right") else 1), (1 if motion in ("right", "down") else -1)
        offset[:, axis] = sign * speed * middle
    elif motion == "bounce":  # a ball thrown up and caught, one arc
        offset[:, 1] = 14.0 - 4 * speed * (t + 0.5) * (FRAMES - 0.5 - t) / FRAMES
    elif motion in ("clockwise", "anticlockwise"):
        turn = (1 if motion == "clockwise" else -1) * 6.0 * speed * t
    else:
        scale = (1.0 + 0.03 * speed) ** (middle if motion == "grow" else -middle)
    return offset, turn, scale


def _moved(icon: Image.Image, size: int, offset: Array, turn: float, scale: float) -> Array:
    """The icon on white, in the middle but for the offset, turned and scaled about its own middle."""
    cos, sin = math.cos(math.radians(turn)) / scale, math.sin(math.radians(turn)) / scale
    x, y = size / 2 + offset[0], size / 2 + offset[1]
    middle = icon.width / 2
    matrix = (cos, sin, middle - cos * x - sin * y, -sin, cos, middle + sin * x - cos * y)
    moved = icon.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor="white")
    return np.asarray(moved)


def _make_moving(shop: Workshop, size: int) -> Made:
    art, rng = emoji.read(), np.random.default_rng(0)
    rows: dict[str, list[Array]] = {name: [] for name in ("image", "offset", "turn", "scale", "motion", "icon")}
    number = shop.some(_NUMBER)
    for i in range(number):
        icon, motion = int(rng.integers(len(art.x))), i % len(_MOTIONS)
        speed = float(rng.uniform(1.0, 2.0))
        offset, turn, scale = _path(_MOTIONS[motion], speed)
        offset = offset * (size / 64)
        picture = Image.fromarray(art.x[icon])
        frames = [_moved(picture, size, *each) for each in zip(offset, turn, scale, strict=True)]
        for name, value in zip(rows, (np.stack(frames), offset, turn, scale, motion, icon), strict=True):
            rows[name].append(np.asarray(value))
    arrays = {name: np.stack(values) for name, values in rows.items()}
    chosen = arrays["icon"]
    arrays |= {"motion": arrays["motion"].astype(np.int32), "icon": chosen.astype(np.int32)}
    arrays |= {name: arrays[name].astype(np.float32) for name in ("offset", "turn", "scale")}
    arrays |= {"style": art.style[chosen].astype(np.int32), "shape": art.shape[chosen].astype(np.int32)}
    return Made(
        split_rows(arrays, art.test[chosen]),
        {"motion": _MOTIONS, "style": emoji.CLASS_NAMES["style"], "shape": emoji.CLASS_NAMES["shape"]},
        "Made of the icons that come with genart_jax: Noto Emoji, Apache-2.0, and Fluent Emoji, MIT.",
        (
            "of each frame: offset from the middle in pixels (right, down), turn in degrees clockwise, scale",
            "split by icon, as the art set is",
        ),
    )


RECIPES = (
    Recipe(
        "clips",
        f"clips of {FRAMES} frames of fantasy creatures, by family, action and direction",
        "CC-BY-SA-3.0+",
        (_FLARE,),
        (64, 128),
        _make_clips,
    ),
    Recipe(
        "moving",
        f"{_NUMBER:,} clips of {FRAMES} frames of icons that move, turn and grow, with exact labels",
        "Apache-2.0 and MIT",
        (),
        (64, 32),
        _make_moving,
    ),
)
