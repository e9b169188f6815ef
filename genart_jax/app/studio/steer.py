"""Towards a colour, or a classifier's label, that a model was not trained with: by descent on its latents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genart_jax.app.studio import forms
from genart_jax.app.studio.opened import Opened, Task, tiles
from genart_jax.config import UserError
from genart_jax.config.saved import read_config
from genart_jax.runtime import compiler, packaged
from genart_jax.runtime.values import Json
from genart_jax.train.checkpoint import load
from genart_jax.types import State

COLOR = "color"
COLORS: Mapping[str, tuple[int, int, int]] = {
    "red": (214, 48, 49), "orange": (240, 147, 43), "yellow": (249, 202, 36), "green": (46, 160, 67),
    "teal": (0, 150, 150), "blue": (52, 99, 216), "purple": (142, 68, 200), "pink": (240, 120, 180),
    "brown": (128, 78, 44),
}  # fmt: skip
_CANDIDATES = 4  # drawn for each that is shown: the nearest begin
_STEPS = 60
_RATE = 0.1
_PRIOR = 1e-2  # of the mean square of the latents, which keeps them where drawn ones are

Cost = Callable[[jax.Array], jax.Array]
"""Pictures (n, height, width, channels) -> how far each is from what is wanted."""


def fields(model: Opened) -> list[Json] | None:
    """Of models with latents z: what they were not told in training."""
    if model.space is None or model.space.name != "z" or len(model.shape) != 3 or model.shape[-1] != 3:
        return None
    own = {name for name, _ in model.spec.conditions}
    words = [] if COLOR in own else [f"{COLOR}={name}" for name in COLORS]
    words += [f"{label}={name}" for _, label, name in untold(model)]
    if not words:
        return None
    return [forms.choice("towards", words), forms.SEED, forms.count(8, 32)]


def untold(model: Opened) -> list[tuple[str, str, str]]:
    """(classifier of the package, label, class) that it sees in such pictures and the model was not told of."""
    own = {name for name, _ in model.spec.conditions}
    labels = [(one, read_config(one).data["class_names"]) for one in _classifiers(model.shape)]
    return [(one, k, name) for one, known in labels for k, names in known.items() if k not in own for name in names]


def _classifiers(shape: tuple[int, ...]) -> list[str]:
    """Those of the package that look at pictures of this shape."""
    saved = {name: read_config(name) for name in packaged.names()}
    return [n for n, one in saved.items() if one.run.name in _SEE and tuple(one.run.model.image_shape) == shape]


_SEE = "simple_cnn", "resnet"


def do(model: Opened, task: Task) -> Json:
    """Pictures that were moved towards it, those that came nearest first."""
    if model.space is None:
        raise UserError(f"{model.name} has no latents to move in")
    space, count = model.space, task.inputs["count"]
    cost = cost_of(task.inputs["towards"], model.shape)
    codes = space.draw([(task.inputs["seed"], i) for i in range(_CANDIDATES * count)])
    seen = compiler.jit(lambda state, values, told: cost(space.make(state, values, told)))
    before = np.asarray(seen(space.state, codes.values, codes.condition))
    codes = codes.take(np.argsort(before, kind="stable")[:count])
    adam = optax.adam(optax.cosine_decay_schedule(_RATE, _STEPS))

    def loss(values: jax.Array, state: State, told: Mapping[str, jax.Array]) -> jax.Array:
        return jnp.sum(cost(space.make(state, values, told)) + _PRIOR * jnp.mean(jnp.square(values), axis=1))

    def step(values: jax.Array, opt: optax.OptState, state: State, told: Mapping[str, jax.Array]) -> object:
        updates, opt = adam.update(jax.grad(loss)(values, state, told), opt, values)
        return optax.apply_updates(values, updates), opt

    move, values = compiler.jit(step), jnp.asarray(codes.values)
    opt = adam.init(values)
    for i in range(_STEPS):
        values, opt = move(values, opt, space.state, codes.condition)
        task.tell((i + 1) / _STEPS)
    codes = codes._replace(values=np.asarray(values))
    images = tiles(space.show(codes))
    for i, image in enumerate(images):
        task.picture(f"{i}.png", image, model.about)
    words = [model.words(codes.condition, i) or task.inputs["towards"] for i in range(count)]
    return {"pictures": [{"file": f"{i}.png", "words": text} for i, text in enumerate(words)]}


def cost_of(word: str, shape: tuple[int, ...]) -> Cost:
    """The cost of "color=NAME" or "LABEL=CLASS".

    Of a colour: the mean squared distance from it of what is not white. Of a class: how unlikely a classifier of the
    package finds it, in nats.

    Raises:
      UserError: there is no such word for such pictures.
    """
    label, _, name = word.partition("=")
    if label == COLOR and name in COLORS:
        wanted = jnp.asarray(COLORS[name], jnp.float32) / 127.5 - 1

        def of_color(images: jax.Array) -> jax.Array:
            ink = jnp.clip(1 - jnp.min(images, axis=-1), 0, 1)  # 0 where it is white
            far = jnp.mean(jnp.square(images - wanted), axis=-1)
            return jnp.sum(ink * far, axis=(1, 2)) / (jnp.sum(ink, axis=(1, 2)) + 1.0)

        return of_color
    for classifier in _classifiers(shape):
        names = read_config(classifier).data["class_names"].get(label, ())
        if name in names:
            algorithm, state = load(classifier)
            predict, number = algorithm.use("predict").function, list(names).index(name)
            return lambda images: -predict(state, jnp.clip(images, -1, 1))[:, number]
    raise UserError(f"towards {word}: there is no classifier that sees it in such pictures")
