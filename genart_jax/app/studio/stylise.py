"""Pictures in the style of others: by descent on the pixels, and by one pass of a network."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from genart_jax import assets
from genart_jax.app.studio import forms
from genart_jax.app.studio.opened import LIVE, Opened, Task
from genart_jax.config import UserError
from genart_jax.runtime.values import Array, Json
from genart_jax.use import styles, stylize, trained
from genart_jax.use.given import pixels_of

GATYS, MULTISTYLE = "gatys", "multistyle26"
PUBLISHED = {GATYS: "vgg19", MULTISTYLE: MULTISTYLE}
"""What paints with published weights, and which: they are offered where these are."""
_NO = "none"
_EVERY = 10  # steps from one live picture to the next


def available() -> list[str]:
    """Those whose weights are here."""
    return [name for name, weights in PUBLISHED.items() if assets.available(weights)]


class Painter:
    """What is no run: it has a name, and one form."""

    def __init__(self, name: str) -> None:
        self.name = name

    def forms(self) -> list[Json]:
        """Its form."""
        fields = _descent() if self.name == GATYS else _learnt(self.name)
        return [{"kind": "stylize", "group": "stylize", "model": self.name, "fields": fields}]

    def warm(self) -> None:
        """There is nothing to compile before a picture is there."""


def fields(model: Opened) -> list[Json] | None:
    """Of runs of `adain`, where VGG19 is there, and `multistyle`."""
    method = model.saved.run.name
    if method not in trained.METHODS or (method == "adain" and not assets.available(PUBLISHED[GATYS])):
        return None  # adain sees styles by vgg19
    return _learnt(model.name) if method == "multistyle" else [_CONTENT, _STYLE, *_one_pass()]


_CONTENT: Json = {"name": "picture", "kind": "picture"}
_STYLE: Json = {"name": "style", "kind": "picture"}
_KEEP: Json = {"name": "keep_color", "kind": "flag", "default": False}


def _size(default: int) -> Json:
    return {"name": "size", "kind": "integer", "low": 64, "high": 1024, "default": default}


_WHERE: Json = {"name": "where", "kind": "mask", "optional": True}


def _one_pass() -> list[Json]:
    return [forms.number("strength", 0.0, 1.0, 1.0), _KEEP, _size(512), _WHERE]


def _learnt(name: str) -> list[Json]:
    words = trained.find("multistyle", name).styles
    second = [forms.choice("second", (_NO, *words)), forms.number("share", 0.0, 1.0, 0.5)]
    return [_CONTENT, forms.choice("painter", words), *second, *_one_pass()]


def _descent() -> list[Json]:
    steps: Json = {"name": "steps", "kind": "integer", "low": 5, "high": 500, "default": 60}
    return [_CONTENT, _STYLE, forms.number("strength", 0.0, 5.0, 1.0), _KEEP, _size(256), steps, forms.SEED, _WHERE]


def do(model: Opened | Painter, task: Task) -> Json:
    """The picture in the style, and as it was."""
    content = task.whole("picture").colors
    content = content if content.dtype == np.uint8 else (content // 257).astype(np.uint8)
    given = pixels_of(np.repeat(content, 3, axis=-1) if content.shape[-1] == 1 else content, task.inputs["size"])
    made = _descended(task, given) if model.name == GATYS else _painted(model, task, given)
    height, width = made.shape[:2]
    task.picture("after.png", made, None)
    task.picture("before.png", np.asarray(Image.fromarray(given).resize((width, height))), None)
    shown = [{"file": "after.png", "words": "after"}, {"file": "before.png", "words": "before"}]
    return {"pictures": shown, "slider": True}


def _painted(model: Opened | Painter, task: Task, given: Array) -> Array:
    inputs, learnt = task.inputs, "painter" in task.inputs
    chosen = [inputs["painter"]] if learnt else [_style(task)]
    mix = [1.0]
    if learnt and inputs["second"] != _NO:
        chosen.append(inputs["second"])
        mix = [1 - inputs["share"], inputs["share"]]
    masks = _masks(task, given) * len(chosen)
    task.tell(0.2)
    painter = trained.painter("multistyle" if learnt else "adain", chosen, model.name, inputs["keep_color"])
    return styles.paint(painter, given, styles.shares(len(chosen), mix, masks), inputs["strength"])


def _masks(task: Task, given: Array) -> list[Array]:
    """Where it is painted; nothing where no one said so."""
    return [task.pixels("where", (*given.shape[:2], 1))[..., 0]] if "where" in task.files else []


def _style(task: Task) -> Array:
    style = task.whole("style").colors
    style = style if style.dtype == np.uint8 else (style // 257).astype(np.uint8)
    return np.repeat(style, 3, axis=-1) if style.shape[-1] == 1 else style


def _descended(task: Task, given: Array) -> Array:
    """By descent, with what is there every few steps."""
    inputs = task.inputs
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for file, pixels in (("content", given), ("style", _style(task))):
            Image.fromarray(pixels).save(place / f"{file}.png")
        plan = stylize.plan(
            place / "content.png", place / "style.png", inputs["size"], inputs["steps"], inputs["strength"],
            inputs["keep_color"], "lbfgs", 2, _EVERY, inputs["seed"],
        )  # fmt: skip
        scale = -1

        def tell(event: str, values: Json) -> None:
            nonlocal scale
            scale += event == "start"
            if event == "sample":
                task.place.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copyfile(values["path"], task.place / LIVE)
                task.tell(share(values["step"]), live=values["step"])
            elif event == "progress":
                task.tell(share(values["step"]))

        share = lambda step: (scale + step / inputs["steps"]) / len(plan)
        made = stylize.stylize(plan, place / "run", tell)
    if made is None:
        raise UserError("it was stopped")
    before = np.asarray(Image.fromarray(given).resize(made.shape[1::-1]))
    return styles.within(_masks(task, given), before, made)
