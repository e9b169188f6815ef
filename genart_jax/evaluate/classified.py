"""Scores of a classifier on test pictures, and a picture of which classes it takes for which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import heads_of
from genart_jax.data.grid import text_length, wrapped, write
from genart_jax.evaluate import pictures
from genart_jax.evaluate.measures import REPLICATES, Measured
from genart_jax.evaluate.pictures import open_run
from genart_jax.evaluate.restoration import AsTheyAre
from genart_jax.evaluate.scores import Score, contract_of, make_scores, write_scores
from genart_jax.metrics import calibration, confusion
from genart_jax.runtime import compiler
from genart_jax.runtime.packaged import results
from genart_jax.runtime.values import Array
from genart_jax.runtime.watch import watched
from genart_jax.steps.classifier import TOP
from genart_jax.train.checkpoint import Model
from genart_jax.types import to_float

_BATCH = 250
_NUMBERS = 24  # classes up to which counts are written into the cells
_CELL, _LETTERS = 36, 14


class Classified(NamedTuple):
    """Scores, and by condition the files of their confusion matrices."""

    scores: list[Score]
    files: dict[str, Path]


def score_classifier(
    directory: str | Path | Model, ema: bool = True, tell: Callable[[str], None] = lambda text: None
) -> Classified:
    """Scores of a classifier's run on all of its test split, also written to RUN/scores.json.

    By condition: accuracy, balanced accuracy, the share in which the class is among the five likeliest (where there
    are more than ten), and the expected calibration error; of several conditions also the share in which all are right.
    RUN/confusion_NAME.png has the matrix of each.

    Raises:
      UserError: no run of a classifier there, or its data is not to be had.
    """
    trained = open_run(directory, ema=ema)
    spec = trained.model.algorithm.batch_spec
    test = trained.source.test
    tell(f"{test.size} test pictures through the classifier")
    seen, labels = _answers(trained)
    found: dict[str, Measured] = {}
    files, right, known = {}, np.ones(test.size, bool), np.ones(test.size, bool)
    for name, part in heads_of(spec.conditions).items():
        own, probabilities = labels[name], np.exp(seen[:, part].astype(np.float64))
        matrix = confusion.update(confusion.empty(probabilities.shape[1]), probabilities, own)
        words = trained.saved.data["class_names"][name]
        found |= _measures(name, probabilities, own, matrix, words)
        files[name] = results(trained.directory) / f"confusion_{name}.png"
        draw(matrix, words, f"{name}: rows are true, columns seen; {test.size} test pictures").save(files[name])
        right, known = right & (probabilities.argmax(axis=1) == own), known & (own >= 0)
    if len(files) > 1 and known.any():
        share, number = float(right[known].mean()), int(known.sum())
        found["joint_accuracy"] = Measured(share, np.sqrt(share * (1 - share) / number), "binomial", {"of": number})
    contract = contract_of(trained, AsTheyAre(spec.image_shape[:-1]), "test", test.size, 0, None)
    scores = make_scores(trained, contract, found, 0)
    write_scores(trained.directory, scores)
    return Classified(scores, files)


def _answers(trained: pictures.Trained) -> tuple[Array, dict[str, Array]]:
    """Log probabilities (n, classes of all) and labels (n,) by condition, of the test split."""
    algorithm, state = trained.model
    predict, test = compiler.jit(algorithm.use("predict").function), trained.source.test
    parts, labels = [], []
    for start in watched(range(0, test.size, _BATCH), test.size, "test pictures classified", _BATCH):
        rows = np.minimum(np.arange(start, start + _BATCH), test.size - 1)  # whole batches: one program for all
        some = pictures.read_rows(test, rows)
        count = min(_BATCH, test.size - start)
        parts.append(np.asarray(predict(state, to_float(some.images)))[:count])
        labels.append({name: some.condition[name][:count] for name, _ in algorithm.batch_spec.conditions})
    return np.concatenate(parts), {name: np.concatenate([one[name] for one in labels]) for name in labels[0]}


def _measures(name: str, probabilities: Array, labels: Array, matrix: Array, words: list[str]) -> dict[str, Measured]:
    """The figures of one condition by their scores' names."""
    shares = confusion.compute(matrix)
    often = "; ".join(f"{words[j]} seen for {words[i]} {n} times" for i, j, n in confusion.mistakes(matrix, 2))
    out = {
        f"accuracy_{name}": Measured(shares.accuracy, shares.error, "binomial", {"mistakes": often or "none"}),
        f"balanced_accuracy_{name}": Measured(shares.balanced, shares.balanced_error, "binomial, by class", {}),
    }
    known = labels >= 0
    p, own = probabilities[known], labels[known]
    if not len(own):
        return {}
    if len(matrix) > 2 * TOP:
        rank = np.sum(p > np.take_along_axis(p, own[:, None], axis=1), axis=1)
        share = float(np.mean(rank < TOP))
        error = float(np.sqrt(share * (1 - share) / len(own)))
        out[f"top_{TOP}_accuracy_{name}"] = Measured(share, error, "binomial", {})
    fit = lambda rows: calibration.compute(calibration.update(calibration.empty(), p[rows], own[rows]))
    whole, rng = fit(slice(None)), np.random.default_rng(0)
    again = [fit(rng.integers(0, len(own), len(own))).error for _ in range(REPLICATES)]
    details = {"confidence": whole.confidence, "accuracy": whole.accuracy}
    by, contract = f"bootstrap of {REPLICATES} over pictures", {"bins": calibration.BINS}
    out[f"calibration_error_{name}"] = Measured(whole.error, float(np.std(again, ddof=1)), by, details, contract)
    return out


def draw(matrix: Array, names: list[str], caption: str) -> Image.Image:
    """Counts (classes, classes) as a table with names; a cell is the darker the larger its share of its row."""
    classes = len(matrix)
    cell = _CELL if classes <= _NUMBERS else max(8, 640 // classes)
    letters = _LETTERS if classes <= _NUMBERS else min(_LETTERS, cell)
    side = cell * classes
    lines = [f"{i} {name}" for i, name in enumerate(names)]
    left = round(max(text_length(line, letters) for line in lines)) + 12
    text = wrapped(caption, _LETTERS, max(left + side, 240) - 8)
    height = cell + side + 8 + 20 * len(text)
    canvas = Image.new("RGB", (max(left + side, 240) + 4, height), "white")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for i, line in enumerate(lines):
        write(canvas, (4, cell + i * cell + (cell - letters) // 2), line, letters)
        if classes <= _NUMBERS:
            write(canvas, (left + i * cell + 6, 8), str(i), letters)
        for j in range(classes):
            dark = float(shares[i, j]) ** 0.5  # so that rare mistakes are seen
            shade = tuple(round(255 + dark * (c - 255)) for c in ((27, 94, 62) if i == j else (178, 24, 43)))
            place = left + j * cell, cell + i * cell
            canvas.paste(shade, (*place, place[0] + cell - 1, place[1] + cell - 1))
            if classes <= _NUMBERS and matrix[i, j]:
                color = "white" if dark > 0.6 else "black"
                write(canvas, (place[0] + 4, place[1] + (cell - 12) // 2), f"{matrix[i, j]:g}", 12, color)
    for i, line in enumerate(text):
        write(canvas, (4, cell + side + 6 + 20 * i), line, _LETTERS)
    return canvas
