"""Pictures to somebody's taste: a probe on features of what was liked and what was not ranks new ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from genart_jax.app.studio import create
from genart_jax.app.studio.opened import Opened, Task
from genart_jax.config import UserError
from genart_jax.runtime.values import Array, Json

LEAST = 3
"""Pictures that must have been liked, and as many that were not."""
_CANDIDATES = 8  # drawn for each that is shown
_SIDE = 6  # of the thumbnail whose colours are features


def fields(model: Opened) -> list[Json] | None:
    """As of drawing, with what is liked, which the server knows."""
    if model.space is None or len(model.shape) != 3:
        return None
    return [*model.create_fields(), {"name": "liked", "kind": "liked"}]


def features(images: Array) -> Array:
    """uint8 (n, height, width, 3) -> (n, k): colours of a thumbnail, of the whole, and how much there is of edges."""
    x = images.astype(np.float32) / 127.5 - 1
    small = [
        np.asarray(Image.fromarray(one).resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32) for one in images
    ]
    thumbnails = np.stack(small).reshape(len(images), -1) / 127.5 - 1
    edges = np.abs(np.diff(x, axis=1)).mean((1, 2)) + np.abs(np.diff(x, axis=2)).mean((1, 2))
    whole = np.concatenate([x.mean((1, 2)), x.std((1, 2)), edges], axis=1)
    return np.concatenate([thumbnails, _SIDE * whole], axis=1)


def probe(liked: Array, others: Array, all_: Array) -> Callable[[Array], Array]:
    """A linear probe: features -> score. Ridge regression on 1 and -1, both sides weighing the same.

    Args:
      liked, others: features of the two sides.
      all_: of pictures as they come, by which features are put to one scale.
    """
    centre, spread = all_.mean(0), all_.std(0) + 1e-3
    scaled = lambda x: (x - centre) / spread / np.sqrt(x.shape[1])
    x = np.concatenate([scaled(liked), scaled(others)])
    y = np.concatenate([np.ones(len(liked)), -np.ones(len(others))])
    weight = np.concatenate([np.full(len(liked), 0.5 / len(liked)), np.full(len(others), 0.5 / len(others))])
    x1 = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    penalty = 0.05 * np.diag([*np.ones(x.shape[1]), 0.0])
    direction = np.linalg.solve(x1.T @ (weight[:, None] * x1) + penalty, x1.T @ (weight * y))
    return lambda new: scaled(new) @ direction[:-1] + direction[-1]


def _read(task: Task, word: str, shape: Sequence[int]) -> Array:
    names = [name for name in task.files if name.startswith(f"{word}.")]
    if len(names) < LEAST:
        raise UserError(f"press the heart of {LEAST} pictures or more, and the cross of {LEAST} or more, first")
    return np.stack([task.pixels(name, (*shape[:2], 3)) for name in names])


def do(model: Opened, task: Task) -> Json:
    """Of many that are drawn, those that the probe likes most."""
    liked, others = (features(_read(task, word, model.shape)) for word in ("liked", "disliked"))
    wanted = {name: value for name, value in task.inputs.items() if name != "liked"}
    task.tell(0.2)
    images, words = create.draw(model, {**wanted, "count": _CANDIDATES * wanted["count"]})
    found = features(images)
    scores = probe(liked, others, found)(found)
    shown = []
    for number, i in enumerate(np.argsort(-scores, kind="stable")[: wanted["count"]]):
        recipe = {"kind": "create", "model": model.name, "inputs": wanted, "index": int(i)}
        task.picture(f"{number}.png", images[i], model.about, recipe)
        shown.append({"file": f"{number}.png", "words": words[i], "recipe": recipe})
    said = f"{len(liked)} liked and {len(others)} not: the best of {len(images)}"
    return {"pictures": shown, "text": said}
