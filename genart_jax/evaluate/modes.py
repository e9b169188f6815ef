"""Mode coverage on stacked pictures (Metz et al. 2017, section 3.3.1): which of the 1,000 modes a generator makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from genart_jax.config import UserError
from genart_jax.evaluate import pictures
from genart_jax.evaluate.extractors import Extractor, make_extractor
from genart_jax.evaluate.measures import REPLICATES, Measured
from genart_jax.evaluate.pictures import open_run
from genart_jax.evaluate.scores import Score, contract_of, make_scores, write_scores
from genart_jax.metrics.diversity import modes
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model, read_config


def stacked_modes(
    directory: str | Path | Model,
    classifier: str | Path,
    num: int = 10_000,
    seed: int = 0,
    ema: bool = True,
    numbers: Mapping[str, float] | None = None,
) -> list[Score]:
    """Modes found and KL(found || wanted) of a run on stacked:DIR, by a classifier that was trained on idx:DIR.

    A mode is a class a channel. The wanted distribution is that of independent channels with the classes' shares in the
    classifier's training set. The same figures of as many real stacks say what the classifier's own errors cost.
    `numbers`, as in `score_run`, say how pictures are drawn.

    Raises:
      UserError: the run's pictures do not have three channels, or the classifier sees other pictures.
    """
    network = make_extractor(f"classifier:{classifier}")
    judge = read_config(classifier)
    trained = open_run(directory, ema=ema, numbers=numbers)
    shape = trained.model.algorithm.batch_spec.image_shape
    if network.channels != 1 or shape != (*network.size, 3):
        wanted = "x".join(map(str, (*network.size, 3)))
        raise UserError(
            f"{trained.directory} makes pictures of {shape}; modes are counted with a grey classifier, on {wanted}"
        )
    table = np.array(judge.data["condition_table"])  # rows of a label and its count
    table = table[table[:, 0] >= 0]  # the unlabelled, in tables of old runs
    share = np.bincount(table[:, 0], table[:, 1], len(judge.data["class_names"]["label"])) / table[:, 1].sum()
    wanted_modes = np.einsum("i,j,k->ijk", share, share, share).ravel()
    train = trained.source.train
    labels = mode_labels(network, pictures.draw(trained, num, seed).images)
    real = mode_labels(network, pictures.read_rows(train, pictures.choose_rows(train, num)).images)
    found, floor = (modes(x, len(wanted_modes), wanted_modes) for x in (labels, real))
    rng = np.random.default_rng(seed)
    again = [modes(rng.choice(labels, num), len(wanted_modes), wanted_modes).kl for _ in range(REPLICATES)]
    measured: dict[str, Measured] = {
        f"modes_{network.name}": Measured(
            float(found.found), None, "", {"of": len(wanted_modes), "real": floor.found}
        ),
        f"modes_kl_{network.name}": Measured(
            found.kl, float(np.std(again, ddof=1)), f"bootstrap of {REPLICATES} over the generated", {"real": floor.kl}
        ),
    }  # fmt: skip
    contract = contract_of(trained, network, "train", len(real), num, None)
    scores = make_scores(trained, contract, measured, seed)
    write_scores(trained.directory, scores)
    return scores


def mode_labels(classifier: Extractor, images: Array) -> Array:
    """The mode of each uint8 picture (n, height, width, 3): its channels' classes as the digits of a number."""
    guesses = []
    for channel in range(3):
        _, logits = classifier(images[..., channel : channel + 1])
        assert logits is not None
        guesses.append(np.argmax(logits, axis=1))
        classes = logits.shape[1]
    return guesses[0] * classes**2 + guesses[1] * classes + guesses[2]
