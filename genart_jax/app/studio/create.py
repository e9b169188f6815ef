"""Pictures drawn by a model under conditions; the same as `genart sample` draws."""

from __future__ import annotations

from genart_jax.app.studio.opened import Opened, Task, tiles
from genart_jax.data import media
from genart_jax.runtime.values import Array, Json
from genart_jax.use.sample import draw_samples


def fields(model: Opened) -> list[Json] | None:
    """Of models that sample."""
    return model.create_fields() if "sample" in model.model.algorithm.uses else None


def draw(model: Opened, inputs: Json) -> tuple[Array, list[str]]:
    """uint8 pictures, and the classes of each in words."""
    images, words = _examples(model, inputs)
    return tiles(images), words


def _examples(model: Opened, inputs: Json) -> tuple[Array, list[str]]:
    """The same as they are, of any rank."""
    given, seed, count = model.given(inputs), inputs["seed"], inputs["count"]
    known = {one.name: one.default for one in model.model.algorithm.use("sample").of_kind("number")}
    numbers = {name: inputs.get(name, default) for name, default in known.items()}
    if "frames" in numbers:  # of a slider
        numbers["frames"] = float(round(numbers["frames"]))
    if model.space is not None and numbers.get("frames") == known.get("frames"):  # latents are of the usual length
        codes = model.space.draw([(seed, i) for i in range(count)], given)
        images, condition = model.space.show(codes, inputs.get("truncation", 1.0)), codes.condition
    else:
        images, condition = draw_samples(model.model, model.saved, count, seed, given, numbers)
    return images, [model.words(condition, i) for i in range(count)]


def do(model: Opened, task: Task) -> Json:
    """Draws and writes them: videos as they move, and volumes as they turn."""
    images, words = _examples(model, task.inputs)
    moving = media.is_volume(model.shape) or media.is_video(model.shape)
    names = [f"{i}.{'gif' if moving else 'png'}" for i in range(len(images))]
    recipe = {"kind": task.kind, "model": model.name, "inputs": task.inputs}
    for i, (name, image) in enumerate(zip(names, images if moving else tiles(images), strict=True)):
        if moving:
            task.moving(name, image, model.about)
        else:
            task.picture(name, image, model.about, {**recipe, "index": i})
    return {"pictures": [{"file": name, "words": text} for name, text in zip(names, words, strict=True)]}
