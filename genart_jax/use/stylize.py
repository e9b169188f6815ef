"""One picture in another's style, coarse to fine: each scale is a run of `gatys` that goes on from the one before."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shutil
from pathlib import Path

import jax
from PIL import Image

from genart_jax import assets
from genart_jax.api import configure
from genart_jax.config import Run, UserError
from genart_jax.data import picture
from genart_jax.data.provenance import Provenance
from genart_jax.data.source import open_source
from genart_jax.runtime import compiler
from genart_jax.runtime.paths import join_list, split_list
from genart_jax.runtime.values import Array, Json
from genart_jax.train import checkpoint, manifest
from genart_jax.train.checkpoint import load, read_config
from genart_jax.train.owner import owning
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
    picture.read_file(style, (16, 16), 3)
    sizes = stages(picture.size_of_file(content), longest, scales)
    source = f"pictures:{join_list([content, style])}"
    base = configure(run)
    changes: Json = {
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


_RECORD = "plan.json"
"""In the directory of the last scale: what its picture is made of."""


def made_of(plan: list[Run]) -> Json:
    """What decides about a picture: sums of the two files and of the weights, and the options.

    Raises:
      UserError: the weights are missing.
    """
    weights = sorted({run.model.features.partition(":")[2] for run in plan if run.model.features})
    for name in weights:
        assets.verify(name)
    files = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in _files(plan[-1])]
    scales = [
        {
            "size": run.data.image_size,
            "steps": run.train.steps,
            "seed": run.train.seed,
            "options": [dataclasses.asdict(part) for part in (run.model, run.step, run.optimizer)],
        }
        for run in plan
    ]
    facts = {"content": files[0], "style": files[1], "weights": {name: assets.sha256(name) for name in weights}}
    return dict(json.loads(json.dumps(facts | {"scales": scales})))


def place_for(plan: list[Run], base: Path) -> Path:
    """The directory of a picture: `base`, or the first with a number behind its name that holds no other picture."""
    names = (base.with_name(f"{base.name}-{i}") if i > 1 else base for i in itertools.count(1))
    return next(place for place in names if not other_picture(plan, place))


def other_picture(plan: list[Run], directory: Path) -> str:
    """What is another than in the picture that `directory` holds, in words; "" where it is this one, or there is none.

    Raises:
      UserError: the weights are missing.
    """
    if directory.exists() and not directory.is_dir():
        return "a file"
    places = _places(plan, directory)
    there = [p for p in directory.iterdir() if p.is_dir()] if directory.exists() else []
    if sizes := sorted(p.name for p in there if p not in places or (p != places[-1] and (p / _RECORD).exists())):
        return f"the size, {', '.join(sizes)}"
    if (places[-1] / _RECORD).is_file():
        saved, facts = json.loads((places[-1] / _RECORD).read_text()), made_of(plan)
        return ", ".join(name.replace("scales", "options") for name in facts if saved.get(name) != facts[name])
    return ", ".join(filter(None, (_other_run(run, place) for run, place in zip(plan, places, strict=True))))


def _other_run(run: Run, place: Path) -> str:
    """The same of one scale, which an earlier version has begun."""
    if not (place / "config.json").is_file():
        return ""
    saved = read_config(place)
    if open_source(run.data).fingerprint != saved.data["fingerprint"]:
        return "a picture"
    kept = lambda run: (run.step, run.optimizer, run.train.steps, run.train.seed)
    return "" if kept(saved.run) == kept(run) else "options"


def _places(plan: list[Run], directory: Path) -> list[Path]:
    return [directory / "x".join(map(str, run.data.image_size)) for run in plan]


def last_place(plan: list[Run], directory: Path) -> Path:
    """The run that holds the finished picture."""
    return _places(plan, directory)[-1]


def _files(run: Run) -> list[str]:
    """The content and the style."""
    return split_list(run.data.source.partition(":")[2])


def stylize(plan: list[Run], directory: Path, callback: Callback) -> Array | None:
    """Runs the scales below `directory`; returns the picture, uint8 (height, width, 3), or None if it was stopped.

    Called again it goes on where it was. When the last scale is done, the others' directories are removed.

    Raises:
      UserError: the weights are missing, or the directory holds another picture or is another process's.
    """
    with owning(directory):
        if other := other_picture(plan, directory):
            raise UserError(f"{directory} holds another picture (other in {other}); choose another --run")
        places = _places(plan, directory)
        content = json.dumps(made_of(plan), indent=2) + "\n"
        places[-1].mkdir(exist_ok=True)
        manifest.write_file(places[-1] / _RECORD, content)
        try:
            return _run(plan, places, callback)
        except UserError:
            if not any((place / "config.json").exists() for place in places):
                shutil.rmtree(places[-1])  # nothing was begun
            raise


def _run(plan: list[Run], places: list[Path], callback: Callback) -> Array | None:
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
    return finished(places[-1], _files(plan[-1])[0])


def finished(place: Path, content: str | Path) -> Array:
    """The picture of a run: uint8 (height, width, 3)."""
    algorithm, state = load(place)
    height, width, channels = algorithm.batch_spec.image_shape
    pixels = picture.read_file(content, (height, width), channels)
    transform = compiler.jit(algorithm.use("transform").function)
    return to_uint8(transform(state, to_float(pixels[None]), jax.random.key(0)))[0]


def check_out(out: Path, inputs: tuple[Path, ...] = ()) -> None:
    """Raises UserError unless Pillow can write such a file there, and it is none of the inputs."""
    Image.init()
    if any(out.exists() and one.exists() and out.samefile(one) for one in inputs):
        raise UserError(f"--out {out} is one of the pictures that are given; name another file")
    if out.suffix.lower() not in Image.registered_extensions():
        raise UserError(f"--out {out}: name a picture file, such as FILE.png or FILE.jpg")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")


def provenance_of(place: Path) -> Provenance:
    """What the picture of a run is to say of itself: its data are two pictures of the user's own."""
    step, sha256 = max(checkpoint.seals(place).items())
    about = checkpoint.provenance_of(read_config(place), step, sha256)
    return about._replace(data="two pictures", licence="that of the two pictures, which whoever made this must know")
