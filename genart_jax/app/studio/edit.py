"""From pictures that a model has drawn to others: by its latents and its conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from genart_jax.app.studio import forms
from genart_jax.app.studio.opened import Opened, Task, tiles
from genart_jax.app.studio.steer import untold
from genart_jax.config import UserError
from genart_jax.runtime.values import Array, Json
from genart_jax.use import latent
from genart_jax.use.latent.draw import gif
from genart_jax.use.latent.space import Codes, Space

_DIRECTIONS = 6
_LABELLED = 600  # drawn latents, of which a classifier says what is what
_OTHERS = 0x5BD1E995  # so that a seed's variations do not lead to that seed's own pictures


def _drawn(model: Opened, *more: Json) -> list[Json] | None:
    return None if model.space is None else list(more)


def _space(model: Opened) -> Space:
    if model.space is None:
        raise UserError(f"{model.name} has no latents to move in")
    return model.space


def _way(model: Opened) -> Literal["slerp", "lerp"]:
    return "slerp" if _space(model).name == "z" else "lerp"


def _written(task: Task, model: Opened, images: Array, words: Sequence[str]) -> Json:
    for i, image in enumerate(tiles(images)):
        task.picture(f"{i}.png", image, model.about)
    return {"pictures": [{"file": f"{i}.png", "words": text} for i, text in enumerate(words)]}


def vary_fields(model: Opened) -> list[Json] | None:
    """A picture, and how far from it."""
    place = model.place_field("picture") if model.space else {}
    return _drawn(model, place, forms.number("amount", 0.0, 1.0, 0.3), forms.SEED, forms.count(12))


def vary(model: Opened, task: Task) -> Json:
    """Pictures on the way from one to drawn ones, which have its classes."""
    space, given = _space(model), task.inputs["picture"]
    start = model.codes([given])
    others = space.draw([(task.inputs["seed"] ^ _OTHERS, i) for i in range(task.inputs["count"])])
    between = latent.slerp if _way(model) == "slerp" else latent.lerp
    start = start.take([0] * len(others.values))
    values = between(start.values, others.values, task.inputs["amount"])
    images = space.show(start._replace(values=values), given["inputs"].get("truncation", 1.0))
    return _written(task, model, images, start.words)


def change_fields(model: Opened) -> list[Json] | None:
    """A picture, and the classes that it is to have; any: as it is."""
    if model.space is None or not model.class_fields() or model.space.name != "z":
        return None
    return [model.place_field("picture"), *model.class_fields()]


def change(model: Opened, task: Task) -> Json:
    """The picture, and it with these classes; and with each class of the first condition that is left as it is."""
    space, codes = _space(model), model.codes([task.inputs["picture"]])
    told = model.given(task.inputs)
    rows = [codes, codes.told(told)]
    names = model.model.class_names
    open_ = next((name for name in names if name not in told), None)
    if open_ is not None:
        rows += [codes.told({**told, open_: i}) for i in range(len(names[open_]))]
    everything = _joined(rows)
    images = space.show(everything, task.inputs["picture"]["inputs"].get("truncation", 1.0))
    return _written(task, model, images, [model.words(everything.condition, i) for i in range(len(images))])


def mix_fields(model: Opened) -> list[Json] | None:
    """Two pictures."""
    return None if model.space is None else [model.place_field("a"), model.place_field("b")]


def mix(model: Opened, task: Task) -> Json:
    """Each with the other's classes or styles, and what lies half way."""
    space, both = _space(model), model.codes([task.inputs["a"], task.inputs["b"]])
    a, b = both.take([0]), both.take([1])
    middle = latent.path(both, 3, _way(model))[0].take([1])
    rows = [a, b, middle]
    if space.layers or both.condition:
        rows += [latent.cross(space, a, b), latent.cross(space, b, a)]
    names = ["A", "B", "half way", "A with what B is", "B with what A is"][: len(rows)]
    return _written(task, model, space.show(_joined(rows)), names)


def between_fields(model: Opened) -> list[Json] | None:
    """Two pictures, and in how many steps."""
    places = [model.place_field("a"), model.place_field("b")] if model.space else []
    return _drawn(model, *places, {**forms.count(12, 48), "name": "frames"})


def between(model: Opened, task: Task) -> Json:
    """The way from one to the other: its pictures, and a moving one."""
    codes = model.codes([task.inputs["a"], task.inputs["b"]])
    (way,) = latent.path(codes, max(2, task.inputs["frames"]), _way(model))
    images = _space(model).show(way)
    shares = np.linspace(0, 100, len(images))
    result = _written(task, model, images, [f"{share:.0f} %" for share in shares])
    task.file("moving.gif", gif([images], True, model.about))
    return {"pictures": [{"file": "moving.gif", "words": "moving"}, *result["pictures"]]}


def move_fields(model: Opened) -> list[Json] | None:
    """A picture and a direction."""
    if model.space is None:
        return None
    names = [f"sefa:{i}" for i in range(min(_DIRECTIONS, model.space.length))]
    if len(model.shape) == 3:
        names += [f"{classifier}={name}" for classifier, _, name in untold(model)]
    reach = forms.number("reach", 0.5, 6.0, 3.0)
    return [model.place_field("picture"), forms.choice("direction", names), reach]


def move(model: Opened, task: Task) -> Json:
    """Seven pictures along the direction, the middle one as it was."""
    space, reach = _space(model), task.inputs["reach"]
    (direction,) = latent.find(space, task.inputs["direction"], num=_LABELLED)
    amounts = [float(x) for x in np.linspace(-reach, reach, 7)]
    codes = latent.move(model.codes([task.inputs["picture"]]), direction, amounts)
    return _written(task, model, space.show(codes), [f"{x:+.1f}" for x in amounts])


def project_fields(model: Opened) -> list[Json] | None:
    """A picture of anybody's."""
    steps = {"name": "steps", "kind": "integer", "low": 10, "high": 500, "default": 100}
    return _drawn(model, {"name": "picture", "kind": "picture"}, steps)


def project(model: Opened, task: Task) -> Json:
    """The pictures of the model that are nearest to it."""
    space, target = _space(model), task.pixels("picture", model.shape)
    task.tell(0.1, "looking for the nearest latents")
    options = latent.Options(steps=task.inputs["steps"], starts=2)
    found = latent.project(space, target, options=options)
    words = [f"{100 * float(error):.1f} % off" for error in found.pixel]
    return _written(task, model, np.concatenate([target[None], found.images]), ["wanted", *words])


def _joined(rows: Sequence[Codes]) -> Codes:
    condition = {n: np.concatenate([row.condition[n] for row in rows]) for n in rows[0].condition}
    return Codes(np.concatenate([row.values for row in rows]), condition, tuple(w for row in rows for w in row.words))
