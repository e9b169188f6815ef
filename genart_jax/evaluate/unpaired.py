"""Scores of models between two unpaired sets: how near translated pictures are, as a set, to real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from genart_jax.config import UserError
from genart_jax.data.source import Split
from genart_jax.evaluate import pictures
from genart_jax.evaluate.extractors import Extractor
from genart_jax.evaluate.measures import NEIGHBOURS, Measured
from genart_jax.evaluate.pictures import open_run
from genart_jax.evaluate.restoration import as_sets, shown_of
from genart_jax.evaluate.scores import Score, contract_of, make_scores, write_scores
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model

_WAYS = {"": ("input", "output"), "_back": ("second input", "second output")}
"""End of a score's name -> the labels of what goes in and of what comes out."""


def score_unpaired(
    directory: str | Path | Model,
    network: Extractor,
    num: int = 2000,
    seed: int = 0,
    split: str = "train",
    ema: bool = True,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Score]:
    """Frechet and kernel distances of what a run makes of test pictures; they are also written to RUN/scores.json.

    Names that end in `_back` are of the second map. The detail `input` is the same figure of what went in.

    Args:
      directory: the run, or its model as `ga.load(RUN, step)` gives it.
      network: what makes features.
      num: pictures of each kind, if there are as many.
      seed: of what is drawn.
      split: the real pictures' split; the translated ones are of the test split.
      ema: with the moving averages of the parameters, where there are any.
      tell: called with a line of what is done.

    Raises:
      UserError: no run there, its data is not to be had, or too few pictures.
    """
    trained = open_run(directory, ema=ema)
    first = pictures.split_of(trained.source, split)
    assert first.other is not None  # the run was trained on it
    num_fake = min(num, trained.source.test.size)
    if min(num_fake, first.size, first.other.size) < 2 * NEIGHBOURS:
        raise UserError(f"--num {num}: scores need at least {2 * NEIGHBOURS} pictures; the test split has {num_fake}")
    tell(f"{num_fake} test pictures through the model, each way")
    shown = shown_of(trained, num_fake, seed)
    scores: list[Score] = []
    names = trained.saved.run.data.other, trained.source.name
    for (end, (given, made)), real, name in zip(_WAYS.items(), (first.other, first), names, strict=True):
        if made not in shown:
            continue
        tell(f"features of real and of translated pictures: {network.name}")
        found = _distances(network, real, shown[given], shown[made], num)
        contract = contract_of(trained, network, split, min(num, real.size), num_fake, None)
        contract |= {"made_of": "test", "data": name.rpartition("/")[2]}
        scores += make_scores(trained, contract, {f"{score}{end}": one for score, one in found.items()}, seed)
    write_scores(trained.directory, scores)
    return scores


def _distances(network: Extractor, real: Split, given: Array, made: Array, num: int) -> dict[str, Measured]:
    """Distances of pictures, uint8, to a split, with those of the pictures that they were made of."""
    known = pictures.read_rows(real, pictures.choose_rows(real, min(num, real.size))).images
    return as_sets(network, known, given, made)
