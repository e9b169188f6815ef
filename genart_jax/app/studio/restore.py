"""Pictures to pictures: whatever the use `transform` of a model does, with what it takes besides."""

from __future__ import annotations

import numpy as np
from PIL import Image

from genart_jax.app.studio import forms
from genart_jax.app.studio.opened import Opened, Task
from genart_jax.config import UserError
from genart_jax.runtime.values import Json
from genart_jax.use.anysize import Tiled
from genart_jax.use.transform import transform


def fields(model: Opened) -> list[Json] | None:
    """A picture; a mask, a strength, a scale, where the use has them."""
    algorithm = model.model.algorithm
    if "transform" not in algorithm.uses or len(model.shape) != 3:
        return None
    tiled, use = Tiled(model.model), algorithm.uses["transform"]
    if use.of_kind("condition") and {name for name, _ in model.spec.conditions} - set(model.spec.hidden):
        return None  # what nobody knows of a picture from outside
    out: list[Json] = [{"name": "picture", "kind": "picture"}]
    if tiled.takes_mask:
        out.append({"name": "mask", "kind": "mask", "of": "picture"})
    out += [forms.number(one.name, one.low, one.high, one.default) for one in use.of_kind("number")]
    if (own := tiled.about.scale) > 1:
        out.append(forms.choice("scale", [str(own**n) for n in (1, 2)]))
    return out


def do(model: Opened, task: Task) -> Json:
    """Before and after."""
    given = task.whole("picture")
    colors = given.colors if given.colors.dtype == np.uint8 else (given.colors // 257).astype(np.uint8)
    mask = None
    if "mask" in task.files:
        shape = colors.shape[:2]
        mask = task.pixels("mask", (*shape, 1))[..., 0] > 127
        if not mask.any():
            raise UserError("mask: paint over what is to be filled")
    task.tell(0.1)
    options = {name: task.inputs[name] for name in ("strength",) if name in task.inputs}
    made = transform(model.model, colors, mask, int(task.inputs.get("scale", 0)), **options)
    height, width = made.shape[:2]
    flat = Image.fromarray(colors[..., 0] if colors.shape[-1] == 1 else colors)
    before = flat.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    task.picture("before.png", np.asarray(before), None)
    task.picture("after.png", made, model.about)
    shown = [{"file": "after.png", "words": "after"}, {"file": "before.png", "words": "before"}]
    return {"pictures": shown, "slider": True}
