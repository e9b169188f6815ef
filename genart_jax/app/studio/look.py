"""What a model sees in a picture, and what of its training data is like it."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from genart_jax.app.studio import forms
from genart_jax.app.studio.opened import Opened, Task, tiles
from genart_jax.data.source import Split, open_source
from genart_jax.evaluate import pictures
from genart_jax.evaluate.originality import NEIGHBOURS
from genart_jax.metrics import memorisation
from genart_jax.metrics.neighbours import nearest as nearest_of
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array, Json
from genart_jax.types import to_float
from genart_jax.use import explain as explaining
from genart_jax.use.explain.draw import heat, laid_over

_PICTURE: Json = {"name": "picture", "kind": "picture"}
_MOST = 20_000  # training pictures to compare with
_HELD_OUT = 300
_TOP = 3


def explain_fields(model: Opened) -> list[Json] | None:
    """Of classifiers: a picture and a method."""
    if "predict" not in model.model.algorithm.uses or len(model.shape) != 3:
        return None
    return [_PICTURE, forms.choice("method", list(explaining.MAPS), "grad_cam")]


def explain(model: Opened, task: Task) -> Json:
    """The picture as the classifier gets it, what speaks for its answer, and the likeliest classes."""
    algorithm, state = model.model
    method, given = task.inputs["method"], task.pixels("picture", model.shape)[None]
    chances = np.exp(np.asarray(compiler.jit(algorithm.use("predict").function)(state, to_float(given)))[0])
    ((name, classes),) = algorithm.batch_spec.conditions
    names = model.model.class_names.get(name, tuple(map(str, range(classes))))
    best = np.argsort(-chances)[:_TOP]
    task.tell(0.3)
    maps = explaining.explain(model.model, np.asarray(to_float(given)), method)
    colours = heat(maps, method in explaining.SIGNED)
    task.picture("0.png", given[0], None)
    task.picture("1.png", laid_over(given, colours)[0], None)
    said = ", ".join(f"{names[i]} {100 * chances[i]:.0f} %" for i in best)
    return {"pictures": [{"file": "0.png", "words": "given"}, {"file": "1.png", "words": said}], "text": said}


class _Data(NamedTuple):
    """The training pictures (n, ...) uint8, their vectors, and of held-out pictures the distances to them."""

    images: Array
    vectors: Array
    held_out: Array


def nearest_fields(model: Opened) -> list[Json] | None:
    """Of models that draw: a picture."""
    return [_PICTURE] if "sample" in model.model.algorithm.uses and len(model.shape) == 3 else None


def nearest(model: Opened, task: Task) -> Json:
    """The picture's card: its nearest training pictures, and how near they are beside what held-out pictures are."""
    given = task.pixels("picture", model.shape)
    task.tell(0.1, "reading the training pictures")
    data = _data(model)
    task.tell(0.7)
    distance, index = nearest_of(_vectors(given[None]), data.vectors, NEIGHBOURS)
    percentile = memorisation.percentiles(distance, data.held_out)
    task.picture("0.png", given, None)
    shown = [{"file": "0.png", "words": "given"}]
    for i, row in enumerate(index[0], 1):
        task.picture(f"{i}.png", tiles(data.images[row][None])[0], None)
        shown.append(
            {"file": f"{i}.png", "words": f"nearer than {100 - percentile[0, i - 1]:.0f} % of new drawings are"}
        )
    return {"pictures": shown, "percentile": float(percentile[0, 0])}


@functools.lru_cache(maxsize=1)
def _data(model: Opened) -> _Data:
    source = open_source(model.saved.run.data)
    train, test = (_read(part, most) for part, most in ((source.train, _MOST), (source.test, _HELD_OUT)))
    vectors = _vectors(train)
    return _Data(train, vectors, nearest_of(_vectors(test), vectors)[0][:, 0])


def _read(split: Split, most: int) -> Array:
    return pictures.read_rows(split, pictures.choose_rows(split, min(most, split.size))).images


def _vectors(images: Array) -> Array:
    return images.reshape(len(images), -1) / 255.0
