"""One picture in another's style, coarse to fine: each scale is a run of `gatys` that goes on from the one before."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from genart_jax import assets, compiler
from genart_jax.api import configure
from genart_jax.config import Run, UserError
from genart_jax.data import picture
from genart_jax.train.checkpoint import load, read_config
from genart_jax.train.trainer import Callback, fit
from genart_jax.types import to_float, to_uint8

_SMALLEST = 64  # pixels of the longer side: below, the deepest layers see nothing


def stages(size: tuple[int, int], longest: int, scales: int) -> list[tuple[int, int]]:
    """(height, width) of each scale, coarse to fine: the proportions of `size`, the longer side halved each time.

    Raises:
      UserError: the picture would be too small.
    """
    if longest < 32 or scales < 1:
        raise UserError(f"size {longest} and scales {scales}: wanted at least 32 and 1")
    sides = [longest // 2**i for i in range(scales) if i == 0 or longest // 2**i >= _SMALLEST]
    out = []
    for side in reversed(sides):
        scaled = tuple(max(1, round(side * n / max(size))) for n in size)
        out.append((scaled[0], scaled[1]))
    if min(out[-1]) < 16:
        raise UserError(f"a picture of {size[0]}x{size[1]} is too narrow for size {longest}; wanted 16 on both sides")
    return [shape for shape in out if min(shape) >= 16]


def plan(
    content: Path, style: Path, longest: int, steps: int, strength: float, keep_color: bool, optimizer: str,
    scales: int, every: int, seed: int, run: Run | str = "gatys",
) -> list[Run]:  # fmt: skip
    """The configuration of each scale.

    Raises:
      UserError: a picture that cannot be read, or an option out of range.
    """
    if strength < 0:
        raise UserError(f"strength {strength}: wanted 0 or more")
    for path in (content, style):
        if os.pathsep in str(path):
            raise UserError(f"{path}: a name with {os.pathsep!r} cannot be told from two; rename the file")
    picture.read_file(style, (16, 16), 3)
    sizes = stages(picture.size_of_file(content), longest, scales)
    source = f"pictures:{content}{os.pathsep}{style}"
    base = configure(run)
    changes: dict[str, Any] = {
        "step": {"style_weight": base.step.style_weight * strength, "keep_color": keep_color},
        "train": {
            "steps": steps,
            "sample_every": every,
            "save_every": every or 20,
            "batch": 1,
            "samples": 2,
            "seed": seed,
        },
        "optimizer": {"name": "lbfgs", "learning_rate": 1.0} if optimizer == "lbfgs" else _ADAM,
        "parallel": {"data": 1},
    }
    return [configure(base, data={"source": source, "image_size": size}, **changes) for size in sizes]


_ADAM = {"name": "adam", "learning_rate": 0.02, "b1": 0.9, "b2": 0.999}


def stylize(plan: list[Run], directory: Path, callback: Callback) -> np.ndarray[Any, Any] | None:
    """Runs the scales below `directory`; returns the picture, uint8 (height, width, 3), or None if it was stopped.

    Called again it goes on where it was. When the last scale is done, the others' directories are removed.

    Raises:
      UserError: the weights are missing, or the directory holds another run.
    """
    for source in {run.model.features for run in plan if run.model.features}:
        assets.verify(source.partition(":")[2])
    places = [directory / "x".join(map(str, run.data.image_size)) for run in plan]
    before: Path | None = None
    for run, place in zip(plan, places, strict=True):
        last = place == places[-1]
        if not last and (places[-1] / "summary.json").exists():
            continue  # the last scale has long taken over what this one had found
        there = place / "config.json"
        fit(run, place, callback, None if there.exists() else before)
        if json.loads((place / "summary.json").read_text())["interrupted"]:
            return None
        before = place
    for place in places[:-1]:
        shutil.rmtree(place, ignore_errors=True)
    return finished(places[-1])


def finished(place: Path) -> np.ndarray[Any, Any]:
    """The picture of a run: uint8 (height, width, 3)."""
    data = read_config(place).run.data
    algorithm, state = load(place)
    content = data.source.partition(":")[2].split(os.pathsep)[0]
    height, width, _ = algorithm.batch_spec.image_shape
    pixels = picture.read_file(content, (height, width), data.channels)
    assert algorithm.transform is not None
    return to_uint8(compiler.jit(algorithm.transform)(state, to_float(pixels[None]), jax.random.key(0)))[0]


def check_out(out: Path) -> None:
    """Raises UserError unless Pillow can write such a file there."""
    Image.init()
    if out.suffix.lower() not in Image.registered_extensions():
        raise UserError(f"--out {out}: name a picture file, such as FILE.png or FILE.jpg")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")


def write(out: Path, pixels: np.ndarray[Any, Any]) -> None:
    """Writes a picture in the format that its name says.

    Raises:
      UserError: it cannot be written.
    """
    try:
        options: dict[str, Any] = {"quality": 95} if out.suffix.lower() in (".jpg", ".jpeg") else {}
        Image.fromarray(pixels).save(out, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"--out {out} cannot be written: {error}") from None
