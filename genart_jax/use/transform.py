"""Pictures through a model from pictures to pictures: arrays (`transform`) and files (`transform_files`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import whole
from genart_jax.data.files import find
from genart_jax.data.provenance import Provenance
from genart_jax.data.reader import BadPictureError
from genart_jax.data.whole import Whole
from genart_jax.runtime.packaged import at_scale
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model, load
from genart_jax.use.anysize import Tiled

_STRIP = 4096  # pixels: a wider strip of before and after is reduced


class Job(NamedTuple):
    """What is to be done to pictures.

    Attributes:
      scale: how many times larger they become; 0: by the model's own scale.
      strength: share of the change, 0 to 1.
      mask: a picture that is white where something is missing, or a folder of such with the pictures' names.
      compare: also write a strip of before and after.
      seed: of what is drawn.
      back: of a model that maps both ways, the way back: from its second set of pictures to its first.
    """

    scale: int = 0
    strength: float = 1.0
    mask: Path | None = None
    compare: bool = False
    seed: int = 0
    back: bool = False

    @property
    def use(self) -> str:
        """Of the model."""
        return "back" if self.back else "transform"


class Done(NamedTuple):
    """What became of a file: where the result is, None where there is none; and a line for each thing to know."""

    path: Path
    out: Path | None
    notes: tuple[str, ...]


def transform(
    model: Model | str | Path,
    picture: Array | Image.Image | str | Path,
    mask: Array | None = None,
    scale: int = 0,
    strength: float = 1.0,
    seed: int = 0,
    back: bool = False,
) -> Array:
    """A picture through a model, in tiles where it is large.

    Args:
      model: as `load` gives it, a run directory, or a model that comes with the package ("super_resolution").
      picture: (height, width) or (height, width, 1, 3 or 4) uint8 or uint16, the fourth channel its transparency; or a
        file, or a picture of Pillow's of any mode.
      mask: (height, width), not 0 where the picture is lost; for models that take one.
      scale: how many times larger it becomes, a power of the model's scale; 0: by that.
      strength: share of the change, 0 to 1.
      seed: of what is drawn.
      back: the way back, of a model that maps both ways.

    Returns:
      The picture with the same type and channels.

    Raises:
      UserError: a model, a picture or an option that does not fit.
    """
    job = Job(scale, strength, seed=seed, back=back)
    tiled = Tiled(model if isinstance(model, Model) else load(at_scale(str(model), scale)), use=job.use)
    flat = not isinstance(picture, str | Path | Image.Image) and np.ndim(picture) == 2
    try:
        if isinstance(picture, str | Path):
            given = whole.read(expanded(picture), [])
        elif isinstance(picture, Image.Image):
            given = whole.of_image(picture, [])
        else:
            given = _of_array(np.asarray(picture))
        made = _made(tiled, given, None if mask is None else np.asarray(mask) != 0, job)
    except BadPictureError as error:
        raise UserError(f"{picture if isinstance(picture, str | Path) else 'picture'}: {error}") from None
    colors = made.colors if made.alpha is None else np.concatenate([made.colors, made.alpha[..., None]], axis=-1)
    return colors[..., 0] if flat else colors


def _of_array(pixels: Array) -> Whole:
    if pixels.ndim not in (2, 3) or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise UserError(
            f"picture: got {pixels.shape} {pixels.dtype}, wanted (height, width, 1, 3 or 4) uint8 or uint16"
        )
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[-1] not in (1, 3, 4):
        raise UserError(f"picture: got {pixels.shape[-1]} channels, wanted 1, 3 or 4")
    return Whole(pixels[..., :3], pixels[..., 3]) if pixels.shape[-1] == 4 else Whole(pixels)


def transform_files(
    model: Model, name: str, words: Sequence[str], out: Path | None, job: Job, about: Provenance | None = None
) -> Iterator[Done]:
    """Picture files, and all of folders, one after the other; a bad one is passed over, with the reason in its notes.

    Args:
      model: which has the job's use.
      name: what results are called after, where they lie beside their pictures: PICTURE-NAME.png.
      words: files and folders.
      out: a file, of one picture; a folder; None: beside each picture.
      job: what is to be done.
      about: what the files are to say of where they come from, such as the model's `provenance`.

    Raises:
      UserError: nothing there, an option that does not fit, or an output that would overwrite an input.
    """
    tiled = Tiled(model, use=job.use)
    check(tiled, job)
    paths = _paths(words)
    places = _places(paths, name, out)
    inputs = {path.resolve() for path, _ in paths}
    if job.mask is not None:
        inputs |= {path.resolve() for path in (job.mask.iterdir() if job.mask.is_dir() else [job.mask])}
    strips = free((place.with_name(f"{place.stem}-compare.png") for place in places), {*places}) if job.compare else []
    if same := [place for place in places if place.resolve() in inputs]:
        raise UserError(f"{same[0]} is an input, and is not overwritten; choose another --out")
    if out is not None and len(paths) == 1 and out.suffix:
        whole.check_writable(out)
    for i, ((path, _), place) in enumerate(zip(paths, places, strict=True)):
        notes: list[str] = []
        try:
            given = whole.read(path, notes)
            mask = None if job.mask is None else _mask(job.mask, path, given)
            made = _made(tiled, given, mask, job)
        except BadPictureError as error:
            yield Done(path, None, (str(error),))
            continue
        strip = strip_of(given, made) if job.compare else None
        del given, mask  # large ones are not to be in memory three times
        place.parent.mkdir(parents=True, exist_ok=True)
        whole.write(place, made, notes, about)
        if strip is not None:
            whole.write(strips[i], strip, notes, about)
        yield Done(path, place, tuple(notes))


def check(tiled: Tiled, job: Job) -> None:
    """Raises UserError where the model cannot do such a job."""
    own = tiled.about.scale
    if not 0.0 <= job.strength <= 1.0:
        raise UserError(f"strength {job.strength:g}: wanted 0 to 1")
    if job.scale and _times(own, job.scale) < 0:
        sizes = f"{own}, {own**2}, {own**3}" if own > 1 else "1 alone"
        raise UserError(f"scale {job.scale}: this model enlarges by {sizes}")
    if job.mask is not None and not tiled.takes_mask:
        raise UserError("--mask: this model finds what is wrong itself; leave the mask out")
    if job.mask is None and tiled.takes_mask:
        raise UserError("this model fills holes: name a picture that is white where they are, --mask FILE")


def _times(own: int, wanted: int) -> int:
    """How often a model that enlarges by `own` is applied to enlarge by `wanted`; -1: that cannot be."""
    if own == 1 or not wanted:
        return 1 if wanted in (0, own) else -1
    return next((n for n in (1, 2, 3) if own**n == wanted), -1)


def _made(tiled: Tiled, given: Whole, mask: Array | None, job: Job) -> Whole:
    height, width = given.colors.shape[:2]
    if mask is not None and mask.shape != (height, width):
        raise UserError(f"mask: got {mask.shape[0]}x{mask.shape[1]}, wanted that of the picture, {height}x{width}")
    colors, alpha = given.colors, given.alpha
    for _ in range(_times(tiled.about.scale, job.scale)):
        colors = tiled(colors, mask, job.strength, job.seed)
    if alpha is not None and colors.shape[:2] != alpha.shape:
        larger = Image.fromarray(alpha).resize((colors.shape[1], colors.shape[0]), Image.Resampling.BICUBIC)
        alpha = np.asarray(larger)
    return given._replace(colors=colors, alpha=alpha)


def _mask(place: Path, path: Path, given: Whole) -> Array:
    """Where a mask's file, or the one with the picture's name in a folder, is nearer to white than to black."""
    file = place
    if place.is_dir():
        file = next((p for p in sorted(place.iterdir()) if p.stem == path.stem), place / path.name)
    try:
        pixels = whole.read(file, []).colors
    except BadPictureError as error:
        raise BadPictureError(f"its mask {file}: {error}") from None
    if pixels.shape[:2] != given.colors.shape[:2]:
        sizes = ["x".join(map(str, x.shape[:2])) for x in (pixels, given.colors)]
        raise BadPictureError(f"its mask {file} is of {sizes[0]} pixels, the picture of {sizes[1]}")
    return pixels.mean(-1) > np.iinfo(pixels.dtype).max / 2


def _paths(words: Sequence[str]) -> list[tuple[Path, Path]]:
    """(file, its path below the folder that was named) of each picture.

    Raises:
      UserError: a folder without pictures.
    """
    out: list[tuple[Path, Path]] = []
    for word in words:
        place = expanded(word)
        if not place.is_dir():
            out.append((place, Path(place.name)))
            continue
        found = [file for file in find(place).pictures if file.archive is None]
        if not found:
            raise UserError(f"{word}: there are no pictures in this folder")
        out += [(file.path, Path(*file.parts)) for file in found]
    return out


def _places(paths: Sequence[tuple[Path, Path]], name: str, out: Path | None) -> list[Path]:
    """Where each result goes: nothing that is there is overwritten, but for a file that --out names."""
    if out is not None and len(paths) == 1 and out.suffix and not out.is_dir():
        return [out]
    if out is not None and out.suffix and not out.is_dir():
        raise UserError(f"--out {out}: name a folder, for {len(paths)} pictures")
    firsts = []
    for path, below in paths:
        first = path.with_name(f"{path.stem}-{name}") if out is None else (out / below).with_suffix("")
        firsts.append(first.with_name(first.name + whole.suffix_for(path)))
    return free(firsts, set())


def free(wanted: Iterable[Path], taken: set[Path]) -> list[Path]:
    """For each path the first that is not there and not `taken`: itself, or with -2, -3 and so on behind its stem."""
    out, taken = list[Path](), set(taken)
    for path in wanted:
        tries = (path.with_name(f"{path.stem}{f'-{i}' if i > 1 else ''}{path.suffix}") for i in itertools.count(1))
        out.append(next(place for place in tries if place not in taken and not place.exists()))
        taken.add(out[-1])
    return out


def strip_of(given: Whole, made: Whole) -> Whole:
    """Before | after, as high as what was made; without transparency."""
    after = made.colors if made.colors.dtype == np.uint8 else (made.colors // 257).astype(np.uint8)
    before = given.colors if given.colors.dtype == np.uint8 else (given.colors // 257).astype(np.uint8)
    sides = [Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x).convert("RGB") for x in (before, after)]
    height, width = after.shape[:2]
    if (reduce := -(-2 * width // _STRIP)) > 1:
        height, width = max(1, height // reduce), max(1, width // reduce)
    strip = Image.new("RGB", (2 * width + 8, height), "white")
    for i, side in enumerate(sides):
        strip.paste(side.resize((width, height), Image.Resampling.BICUBIC), (i * (width + 8), 0))
    return Whole(np.asarray(strip), None, given.icc)
