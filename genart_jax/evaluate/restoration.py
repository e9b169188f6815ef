"""Scores of models from pictures to pictures: how near what they make of test pictures is to what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import Translate
from genart_jax.data.pipeline import prepare
from genart_jax.evaluate import pictures
from genart_jax.evaluate.extractors import Extractor
from genart_jax.evaluate.measures import Measured, frechet_distance, kernel_distance
from genart_jax.evaluate.perceptual import Perceptual
from genart_jax.evaluate.pictures import Features, open_run
from genart_jax.evaluate.scores import Score, contract_of, make_scores, write_scores
from genart_jax.metrics import image as metrics
from genart_jax.metrics.features import error_of_mean
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model
from genart_jax.train.show import examples
from genart_jax.types import Algorithm, to_float, to_uint8

_BATCH = 16
_PERFECT = 100.0  # decibels, of equal pictures
_WIDE = 176  # pixels, of the smallest picture that has an MS-SSIM


class AsTheyAre(NamedTuple):
    """What scores say in the place of a network: pixels of whole levels, not resized."""

    size: tuple[int, ...]
    name: str = "pixels"
    weights: str = ""
    resize: str = "as they are"


def translates(algorithm: Algorithm) -> bool:
    """Whether a model makes pictures of pictures, and says how."""
    use = algorithm.uses.get("transform")
    return algorithm.show is not None and use is not None and use.translation is not None


def unpaired(algorithm: Algorithm) -> bool:
    """Whether what such a model makes has no target, but a second set that it should be like."""
    return translates(algorithm) and "other" in algorithm.batch_spec.fields


def measures(target: Array, made: Array, border: int) -> dict[str, Array]:
    """Figures of each picture, by the scores' names: uint8 (n, height, width, 1 or 3), two of each.

    psnr_rgb and ssim_rgb of all of a picture; psnr_y and ssim_y of its luma without `border` pixels at each edge, as
    papers give them; ms_ssim_rgb of pictures of 176 pixels and more.
    """
    a, b = to_float(target), to_float(made)
    y, other_y = (metrics.shaved(metrics.luma(x), border) for x in (a, b))
    found = {
        "psnr_rgb": jnp.minimum(metrics.psnr(a, b), _PERFECT),
        "psnr_y": jnp.minimum(metrics.psnr(y, other_y), _PERFECT),
        "ssim_rgb": metrics.ssim(a, b),
        "ssim_y": metrics.ssim(y, other_y),
    }
    if min(a.shape[1:3]) >= _WIDE:
        found["ms_ssim_rgb"] = metrics.ms_ssim(a, b)
    return {name: np.asarray(values) for name, values in found.items()}


def score_translation(
    directory: str | Path | Model,
    num: int = 256,
    seed: int = 0,
    ema: bool = True,
    distance: Perceptual | None = None,
    tell: Callable[[str], None] = lambda text: None,
    features: Extractor | None = None,
) -> list[Score]:
    """Scores of what a run makes of test pictures; they are also written to RUN/scores.json.

    The detail `input` of each is the same figure of what went in (enlarged by bicubic interpolation, where the model
    enlarges), `worst` that of the picture that comes out worst.

    Args:
      directory: the run, or its model as `ga.load(RUN, step)` gives it.
      num: test pictures, if there are as many.
      seed: of how they are degraded.
      ema: with the moving averages of the parameters, where there are any.
      distance: a perceptual distance besides.
      tell: called with a line of what is done.
      features: for Frechet and kernel distances of what is made to what is wanted, as sets.

    Raises:
      UserError: no run there, or its data is not to be had.
    """
    trained = open_run(directory, ema=ema)
    algorithm = trained.model.algorithm
    translation = algorithm.use("transform").translation
    border = translation.scale if translation is not None and translation.scale > 1 else 0
    num = min(num, trained.source.test.size)
    tell(f"{num} test pictures through the model")
    shown = shown_of(trained, num, seed)
    target = shown["target"]
    perceptual: Mapping[str, Callable[[Array], Array]] = {}
    if distance is not None:
        perceptual = {distance.name: lambda images: np.asarray(distance(target, images))}
    figures = {label: measures_in_parts(target, shown[label], border) for label in ("output", "input")}
    for name, compare in perceptual.items():
        for label in figures:
            figures[label][name] = compare(shown[label])
    scores: list[Score] = []
    for name, values in figures["output"].items():
        worst = values.max() if name.startswith("lpips") else values.min()
        details = {"input": float(figures["input"][name].mean()), "worst": float(worst)}
        cut = {"border": border if name.endswith("_y") else 0, "task": _task(trained)}
        measured = Measured(float(values.mean()), error_of_mean(values), "over pictures", details, cut)
        network = distance.of(target) if distance is not None and name in perceptual else AsTheyAre(target.shape[1:3])
        contract = contract_of(trained, network, "test", num, num, None)
        scores += make_scores(trained, contract, {name: measured}, seed)
    if features is not None:
        tell(f"features of what is wanted and of what is made: {features.name}")
        contract = contract_of(trained, features, "test", num, num, None) | {"task": _task(trained)}
        scores += make_scores(trained, contract, as_sets(features, target, shown["input"], shown["output"]), seed)
    write_scores(trained.directory, scores)
    return scores


def _task(trained: pictures.Trained) -> str:
    """What was done to the pictures, or where they come from: figures of two tasks are not to be compared."""
    algorithm, run = trained.model.algorithm, trained.saved.run
    translation = algorithm.use("transform").translation
    scale = f" x{translation.scale}" if translation is not None and translation.scale > 1 else ""
    return (run.step.degradation if isinstance(run.step, Translate) else "") + scale or "the data's own pairs"


def as_sets(network: Extractor, wanted: Array, before: Array, after: Array) -> dict[str, Measured]:
    """Frechet and kernel distances of translated pictures to those wanted, uint8; `input`: of what they were before."""
    real, given, made = (Features(*network(images), {}) for images in (wanted, before, after))
    out: dict[str, Measured] = {}
    for measure in (frechet_distance, kernel_distance):
        theirs = measure(network.name, real, given, None)
        for name, ours in measure(network.name, real, made, None).items():
            out[name] = ours._replace(details={**ours.details, "input": theirs[name].value})
    return out


def measures_in_parts(target: Array, made: Array, border: int) -> dict[str, Array]:
    """`measures`, of a few pictures at a time."""
    parts = [measures(target[i : i + _BATCH], made[i : i + _BATCH], border) for i in range(0, len(target), _BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def shown_of(trained: pictures.Trained, num: int, seed: int) -> dict[str, Array]:
    """What a run shows of test pictures, uint8, by label: inputs, outputs, targets."""
    algorithm, state = trained.model
    spec, data = algorithm.batch_spec, trained.saved.run.data
    raw = examples(trained.source, spec, num)
    assert algorithm.show is not None
    show = algorithm.show
    compiled = compiler.jit(lambda state, raw, key: show(state, prepare(raw, None, data, spec.fields), key))
    parts: list[dict[str, Array]] = []
    for index, start in enumerate(range(0, num, _BATCH)):
        part = {name: value[start : start + _BATCH] for name, value in raw.items()}
        key = random.stream(jax.random.key(seed), "scores", index)
        parts.append({label: to_uint8(x) for label, x in compiled(state, part, key).items()})
    return {label: np.concatenate([part[label] for part in parts]) for label in parts[0]}
