"""Pictures drawn by a model under conditions; the same as `genart sample` draws."""

from __future__ import annotations

from genart_jax.app.studio.opened import Opened, Task, tiles
from genart_jax.runtime.values import Array, Json
from genart_jax.use.sample import draw_samples


def fields(model: Opened) -> list[Json] | None:
    """Of models that sample."""
    return model.create_fields() if "sample" in model.model.algorithm.uses else None


def draw(model: Opened, inputs: Json) -> tuple[Array, list[str]]:
    """uint8 pictures, and the classes of each in words."""
    given, seed, count = model.given(inputs), inputs["seed"], inputs["count"]
    if model.space is not None:
        codes = model.space.draw([(seed, i) for i in range(count)], given)
        images, condition = model.space.show(codes, inputs.get("truncation", 1.0)), codes.condition
    else:
        numbers = {one.name: inputs[one.name] for one in model.model.algorithm.use("sample").of_kind("number")}
        images, condition = draw_samples(model.model, model.saved, count, seed, given, numbers)
    return tiles(images), [model.words(condition, i) for i in range(count)]


def do(model: Opened, task: Task) -> Json:
    """Draws and writes them."""
    images, words = draw(model, task.inputs)
    recipe = {"kind": task.kind, "model": model.name, "inputs": task.inputs}
    for i, image in enumerate(images):
        task.picture(f"{i}.png", image, model.about, {**recipe, "index": i})
    return {"pictures": [{"file": f"{i}.png", "words": text} for i, text in enumerate(words)]}
