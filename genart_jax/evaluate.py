"""Figures of a trained model on the test split, and of its pictures by a classifier."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np

from genart_jax.config import Parallel, UserError
from genart_jax.data.source import open_source
from genart_jax.sample import draw_samples
from genart_jax.train import parallel
from genart_jax.train.checkpoint import Model, load, read_config
from genart_jax.train.evaluation import make_evaluator
from genart_jax.types import to_float


def evaluate_run(directory: str | Path, source: str | None = None, seed: int = 0) -> dict[str, Any]:
    """The model's own figures on the test split of its data, or of another source.

    Raises:
      UserError: no run there, or its data is not to be had or has changed.
    """
    saved = read_config(directory)
    algorithm, state = load(directory)
    data = saved.run.data
    if source is not None:
        height, width, channels = algorithm.batch_spec.image_shape
        size = () if source.partition(":")[0] in ("emoji", "idx") else (height, width)
        data = dataclasses.replace(data, source=source, image_size=size, channels=channels)
    opened = open_source(data)
    if source is None and opened.fingerprint != saved.data["fingerprint"]:
        raise UserError(f"{opened.name} has changed since {directory} was trained; name a source with --data")
    spec = algorithm.batch_spec
    if opened.image_shape != spec.image_shape:
        raise UserError(f"{opened.name} has pictures of {opened.image_shape}, the model is for {spec.image_shape}")
    for name, names in saved.data["class_names"].items():
        if list(opened.class_names.get(name, ())) != list(names):
            here = ", ".join(opened.class_names.get(name, ())) or "none"
            raise UserError(f"{opened.name}: the model knows {name} as {', '.join(names)}; here are {here}")
    mesh = parallel.make_mesh(Parallel(data=1), 1)
    figures = make_evaluator(algorithm, data, mesh)(state, opened.test, jax.random.key(seed))
    return {
        "model": saved.run.name,
        "run": str(directory),
        "step": int(state.step),
        "data": opened.name,
        "split": "test",
        "examples": opened.test.size,
        "seed": seed,
        **figures,
    }


def conditional_accuracy(
    directory: str | Path, classifier: str | Path, num: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """The share of a model's pictures in which a classifier sees the condition that they were made for.

    Conditions are drawn as they occur in the training data. The standard error is that of a binomial share.

    Raises:
      UserError: the classifier does not fit the model.
    """
    saved, saved_classifier = read_config(directory), read_config(classifier)
    judge: Model = load(classifier)
    if judge.algorithm.predict is None:
        raise UserError(f"--classifier {classifier} is a run of {saved_classifier.run.name}, which classifies nothing")
    ((label, _),) = judge.algorithm.batch_spec.conditions
    if saved.data["class_names"].get(label) != saved_classifier.data["class_names"][label]:
        raise UserError(f"the classifier sees {label}, which {directory} was not trained on with the same classes")
    samples = draw_samples(load(directory), saved, num, seed)
    predict = jax.jit(judge.algorithm.predict)
    guesses = [
        np.argmax(predict(judge.state, to_float(samples.images[i : i + 500])), axis=-1) for i in range(0, num, 500)
    ]
    accuracy = float(np.mean(np.concatenate(guesses) == samples.condition[label]))
    return {
        f"{label}_accuracy_of_samples": accuracy,
        "standard_error": math.sqrt(accuracy * (1 - accuracy) / num),
        "samples": num,
        "sample_seed": seed,
        "classifier": str(classifier),
        "classifier_step": int(judge.state.step),
    }
