"""Runs of restoration on the test scenes of `photos`: whole photographs that no one was trained on.

    python -m benchmarks.restoration RUN ... [--scenes N] [--pictures DIR] [--page FILE --shown SCENE ...]
        [--out benchmarks/results/restoration.md]

Each scene is degraded as the run's step does it (keyed by its name; rounded to whole levels; holes are drawn anew in
each square of 128 pixels, so that they are as large as in training), and restored as `genart transform` does it. Beside
that stand the degraded picture and what is done without learning: bicubic interpolation; OpenCV's Telea and
Navier-Stokes; the dark channel prior with a guided filter (He et al. 2009, 2010); equalised luma and a power that
brings its mean to the middle. They need OpenCV (pip install opencv-python-headless); without it they are left out.

RUN may also be a model of the package, or published weights (docs/restoration.md). All that do one task stand in one
table.

PSNR and SSIM are on luma with a border of the scale cut off (super-resolution), inside of the holes (inpainting: PSNR;
SSIM of all of the picture), else on RGB. Mean over scenes, and the scene with the least.
"""

from __future__ import annotations

import argparse
import functools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image

from benchmarks import machine
from genart_jax.data.built import open_stored
from genart_jax.data.degrade import named
from genart_jax.evaluate.restoration import measures
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import described, load
from genart_jax.types import to_float, to_uint8
from genart_jax.use.anysize import Tiled

SQUARE = 128
Restored = Callable[[Array, "Array | None"], Array]


class Row(NamedTuple):
    """Decibels and structural similarities of one way to restore, scene by scene."""

    psnr: list[float]
    ssim: list[float]


def degraded(kind: str, scale: int, scene: Array, name: str) -> tuple[Array, Array | None]:
    """A scene (height, width, 3) uint8 as its model gets it, and where it has holes."""
    key = jax.random.fold_in(jax.random.key(0), zlib.crc32(name.encode()))
    degrade = jax.jit(named(kind, scale))
    if kind != "holes":
        found = degrade(to_float(scene[None]), key[None])
        mask = found.parameters.get("mask")
        return to_uint8(found.image)[0], None if mask is None else np.asarray(mask)[0, ..., 0] > 0
    rows, columns = (-(-n // SQUARE) for n in scene.shape[:2])
    blank = np.zeros((rows * columns, SQUARE, SQUARE, 3), np.float32)
    masks = np.asarray(degrade(blank, jax.random.split(key, rows * columns)).parameters["mask"])[..., 0] > 0
    mask = masks.reshape(rows, columns, SQUARE, SQUARE).swapaxes(1, 2).reshape(rows * SQUARE, columns * SQUARE)
    mask = mask[: scene.shape[0], : scene.shape[1]]
    return np.where(mask[..., None], np.uint8(128), scene), mask


def dark_channel(scene: Array, radius: int = 7) -> Array:
    """He et al. 2009, with the guided filter of 2010 in place of matting: omega 0.95, t at least 0.1."""
    import cv2

    hazy = scene.astype(np.float32) / 255
    dark = cv2.erode(hazy.min(-1), np.ones((2 * radius + 1,) * 2, np.uint8))
    brightest = np.argsort(dark.ravel())[-max(1, dark.size // 1000) :]
    airlight = hazy.reshape(-1, 3)[brightest].max(0)
    raw = 1 - 0.95 * cv2.erode((hazy / airlight).min(-1), np.ones((2 * radius + 1,) * 2, np.uint8))
    guide, side = cv2.cvtColor(hazy, cv2.COLOR_RGB2GRAY), (8 * radius + 1,) * 2
    mean = functools.partial(cv2.blur, ksize=side)
    slope = (mean(guide * raw) - mean(guide) * mean(raw)) / (mean(guide * guide) - mean(guide) ** 2 + 1e-3)
    offset = mean(raw) - slope * mean(guide)
    transmission = np.maximum(mean(slope) * guide + mean(offset), 0.1)[..., None]
    return np.rint(255 * np.clip((hazy - airlight) / transmission + airlight, 0, 1)).astype(np.uint8)


def equalised(scene: Array) -> Array:
    """Luma with a flat histogram."""
    import cv2

    planes = cv2.cvtColor(scene, cv2.COLOR_RGB2YCrCb)
    planes[..., 0] = cv2.equalizeHist(np.ascontiguousarray(planes[..., 0]))
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB))


def brightened(scene: Array) -> Array:
    """A power that brings the mean of all pixels to one half."""
    x = scene.astype(np.float64) / 255
    return np.rint(255 * x ** (np.log(0.5) / np.log(np.clip(x.mean(), 0.02, 0.98)))).astype(np.uint8)


def baselines(kind: str) -> dict[str, Restored]:
    """What is done without learning, by name."""
    try:
        import cv2
    except ImportError:
        print("without OpenCV: no classical baselines (pip install opencv-python-headless)", flush=True)
        return {}
    tones = {
        "equalised histogram": lambda scene, mask: equalised(scene),
        "power to the middle": lambda scene, mask: brightened(scene),
    }
    filled = lambda method: lambda scene, mask: np.asarray(cv2.inpaint(scene, mask.astype(np.uint8), 3, method))
    return {
        "holes": {"Telea": filled(cv2.INPAINT_TELEA), "Navier-Stokes": filled(cv2.INPAINT_NS)},
        "haze": {"dark channel prior": lambda scene, mask: dark_channel(scene)},
        "faults": tones,
        "dull": tones,
    }.get(kind, {})


def figures(kind: str, scale: int, scene: Array, made: Array, mask: Array | None) -> tuple[float, float]:
    """PSNR and SSIM, as the head of this file says."""
    found = measures(scene[None], made[None], scale if scale > 1 else 0)
    if scale > 1:
        return float(found["psnr_y"][0]), float(found["ssim_y"][0])
    if kind == "holes" and mask is not None:
        error = np.mean((scene.astype(np.float64) - made)[mask] ** 2)
        return float(10 * np.log10(255**2 / error)), float(found["ssim_rgb"][0])
    return float(found["psnr_rgb"][0]), float(found["ssim_rgb"][0])


class Subject(NamedTuple):
    """A run, a model of the package, or a file of published weights, and what it is called in the table."""

    path: Path
    name: str
    task: tuple[str, str, int]
    """Model, degradation and scale: what is compared in one table."""
    tiled: Tiled

    def restore(self, given: Array, mask: Array | None) -> Array:
        """What it makes of a picture."""
        return self.tiled(given, mask if self.tiled.takes_mask else None)


def subject(path: Path) -> Subject:
    """What a path or a name stands for."""
    saved, model = described(path), load(path)
    parameters = sum(x.size for role in model.state.params.values() for x in jax.tree.leaves(role))
    source = saved.data.get("source", "")
    about = f"{int(model.state.step):,} steps on {source}" if source else "/".join(path.parts[-4:-1])
    run, tiled = saved.run, Tiled(model)
    return Subject(path, f"{run.name} ({parameters:,} parameters, {about})",
                   (run.name, run.step.degradation, tiled.about.scale), tiled)  # fmt: skip


def score(
    task: tuple[str, str, int], subjects: list[Subject], scenes: Mapping[str, Array], pictures: Path | None
) -> dict[str, Row]:
    """The row of each way to do a task; the strip of each scene is of the first subject."""
    _, kind, scale = task
    ways: dict[str, Restored] = {
        "bicubic" if scale > 1 else "degraded": lambda given, mask: _enlarged(given, scale),
        **baselines(kind),
    }
    ways |= {one.name: one.restore for one in subjects}
    rows = {name: Row([], []) for name in ways}
    for name, whole in scenes.items():
        scene = whole[: whole.shape[0] // scale * scale, : whole.shape[1] // scale * scale]
        given, mask = degraded(kind, scale, scene, name)
        shown = {}
        for way, restore in ways.items():
            shown[way] = made = restore(given, mask)
            psnr, ssim = figures(kind, scale, scene, made, mask)
            rows[way].psnr.append(psnr)
            rows[way].ssim.append(ssim)
        print(name, *(f"{way} {rows[way].psnr[-1]:.2f}" for way in ways), flush=True)
        if pictures is not None:
            parts = [next(iter(shown.values())), shown[subjects[0].name]]
            strip(scene, parts).save(pictures / f"{subjects[0].path.name}-{name}.jpg", quality=90)
    return rows


def _enlarged(given: Array, scale: int) -> Array:
    if scale == 1:
        return given
    size = given.shape[1] * scale, given.shape[0] * scale
    return np.asarray(Image.fromarray(given).resize(size, Image.Resampling.BICUBIC))


def strip(scene: Array, others: list[Array], side: int = 256) -> Image.Image:
    """The middle of what goes in, of what comes out and of the scene, side by side."""
    parts = [*others, scene]
    top, left = ((n - min(side, n)) // 2 for n in scene.shape[:2])
    page = Image.new("RGB", (len(parts) * (side + 4), side), "white")
    for i, part in enumerate(parts):
        page.paste(Image.fromarray(part[top : top + side, left : left + side]), (i * (side + 4), 0))
    return page


def page(strips: list[list[Path]]) -> Image.Image:
    """Strips of files: a row for each task, its scenes beside each other."""
    rows = [[Image.open(file) for file in row] for row in strips]
    width = max(sum(one.width for one in row) for row in rows)
    whole = Image.new("RGB", (width, sum(row[0].height + 4 for row in rows) - 4), "white")
    top = 0
    for row in rows:
        left = 0
        for one in row:
            whole.paste(one, (left, top))
            left += one.width
        top += row[0].height + 4
    return whole


def table(title: str, rows: Mapping[str, Row], names: list[str]) -> list[str]:
    """A task's lines."""
    lines = [f"## {title}", "", "| | PSNR, dB | worst scene | SSIM | worst scene |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        least = int(np.argmin(row.psnr))
        lines.append(
            f"| {name} | {np.mean(row.psnr):.2f} | {row.psnr[least]:.2f} ({names[least]}) |"
            f" {np.mean(row.ssim):.4f} | {np.min(row.ssim):.4f} |"
        )
    return [*lines, ""]


def main() -> None:
    """Scores the runs and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--scenes", type=int, default=0, help="so many of the test scenes; 0: all")
    parser.add_argument("--pictures", type=Path, help="a folder for strips: in, out, wanted")
    parser.add_argument("--page", type=Path, help="a picture of the strips of some scenes, a row for each task")
    parser.add_argument("--shown", nargs="+", default=["gatewayofIndia", "statueofLiberty"], help="those scenes")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/restoration.md"))
    args = parser.parse_args()
    if args.page and not args.pictures:
        parser.error("--page needs --pictures, where its strips are")
    keep_programs()
    files = open_stored("photos").whole["test"]
    files = files[: args.scenes] if args.scenes else files
    scenes = {file.stem: np.asarray(Image.open(file).convert("RGB")) for file in files}
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Restoration of photographs",
        "",
        f"`python -m benchmarks.restoration RUN ...` on the {len(scenes)} test scenes of `photos`, whole, which no run",
        f"was trained on. {machine.about()}.",
        "Haze is synthetic, of a smooth depth. PSNR and SSIM: super-resolution on luma, with a border of the scale cut",
        "off; inpainting inside of the holes (SSIM of all of the picture); else on RGB.",
        "",
    ]
    subjects = [subject(run) for run in args.runs]
    for task in dict.fromkeys(one.task for one in subjects):
        rows = score(task, [one for one in subjects if one.task == task], scenes, args.pictures)
        model, kind, scale = task
        lines += table(f"{model}: {kind}{f' x{scale}' if scale > 1 else ''}", rows, list(scenes))
        args.out.write_text("\n".join(lines))
        print("\n".join(lines[-len(rows) - 5 :]), flush=True)
    if args.page:
        first = {one.task: one.path.name for one in reversed(subjects)}
        strips = [[args.pictures / f"{name}-{scene}.jpg" for scene in args.shown] for name in reversed(first.values())]
        page(strips).save(args.page, quality=82)


if __name__ == "__main__":
    main()
