"""What a classifier sees in picture files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genart_jax import assets
from genart_jax.api import build
from genart_jax.config import UserError, heads_of
from genart_jax.data import picture
from genart_jax.runtime import compiler, packaged
from genart_jax.train import published
from genart_jax.train.checkpoint import Model, load, pretrained, read_config
from genart_jax.types import to_float

_SIZE = 224  # of pictures for published weights


class Classifier(NamedTuple):
    """A trained classifier, and the names of its classes in their order; of one that classifies several conditions,
    with the condition, as in style=noto.
    """

    model: Model
    class_names: tuple[str, ...]


def load_classifier(name: str | Path) -> Classifier:
    """The classifier of a run directory, of published weights by their name (efficientnet_lite0), or of a file of
    torchvision's or timm's weights of a residual network.

    Raises:
      UserError: none of these, or it classifies nothing.
    """
    if published.is_file(name):
        algorithm, state = published.model(name)
        algorithm.use("predict", str(name))
        _, classes = algorithm.batch_spec.only_condition(str(name))
        imagenet = assets.class_names("efficientnet_lite0")
        names = imagenet if classes == len(imagenet) else tuple(map(str, range(classes)))
        return Classifier(Model(algorithm, state), tuple(names))
    if (packaged.place(name) / "config.json").is_file():
        saved = read_config(name)
        model = load(name)
        model.algorithm.use("predict", f"{name}, a run of {saved.run.name},")
        labels = [label for label, _ in model.algorithm.batch_spec.conditions]
        told = lambda label, word: word if len(labels) == 1 else f"{label}={word}"
        words = [told(label, word) for label in labels for word in saved.data["class_names"][label]]
        return Classifier(model, tuple(words))
    known = [asset for asset in assets.names() if assets.class_names(asset)]
    if str(name) not in known:
        here = ", ".join(packaged.names())
        raise UserError(f"{name} is neither a run nor published weights of a classifier ({', '.join(known)}; {here})")
    names = assets.class_names(str(name))
    algorithm = build(str(name), image_shape=(_SIZE, _SIZE, 3), conditions=(("imagenet", len(names)),))
    return Classifier(Model(algorithm, pretrained(str(name), algorithm)), names)


def classify(classifier: Classifier, paths: Sequence[str | Path], top: int = 5) -> list[list[tuple[str, float]]]:
    """The `top` likeliest classes of each picture with their probabilities, the likeliest first; of several conditions,
    those of each, one condition after another.

    A picture is cut to the centred rectangle of the classifier's proportions and resized.

    Raises:
      UserError: a file that is no picture.
    """
    algorithm, state = classifier.model
    height, width, channels = algorithm.batch_spec.image_shape
    predict, out = compiler.jit(algorithm.use("predict").function), []
    for path in paths:
        pixels = picture.read_file(path, (height, width), channels)
        probability = np.exp(np.asarray(predict(state, to_float(pixels[None])))[0])
        heads = [np.arange(probability.size)[part] for part in heads_of(algorithm.batch_spec.conditions).values()]
        best = np.concatenate([head[np.argsort(-probability[head])[:top]] for head in heads])
        out.append([(classifier.class_names[i], float(probability[i])) for i in best])
    return out
