"""Scores of a VAE's latents by the known factors of its data: is each in a number of its own?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from genart_jax.config import UserError
from genart_jax.evaluate import aggregate, pictures
from genart_jax.evaluate.measures import REPLICATES, Measured
from genart_jax.evaluate.pictures import Trained, open_run
from genart_jax.evaluate.restoration import AsTheyAre
from genart_jax.evaluate.scores import Score, contract_of, make_scores, write_scores
from genart_jax.metrics import disentanglement
from genart_jax.runtime.values import Array
from genart_jax.steps import posteriors
from genart_jax.train.checkpoint import Model

_LEAST = 100
"""Pictures below which counts say nothing."""


def score_latents(
    directory: str | Path | Model,
    num: int = 5000,
    seed: int = 0,
    ema: bool = True,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Score]:
    """The mutual information gap and DCI of the means of test pictures' posteriors, also written to RUN/scores.json.

    Factors are the classes that the data knows of, without those that the model is told and those that do not vary. The
    detail `shuffled` of the gap is that of the same latents with other pictures' factors.

    Args:
      directory: the run of a VAE of one vector.
      num: test pictures, if there are as many.
      seed: of DCI's halves and trees, and of what is shuffled.
      ema: encode with the moving averages of the parameters, where there are any.
      tell: called with a line of what is done.

    Raises:
      UserError: another model, no factors, too few pictures, or scikit-learn is not installed.
    """
    trained = open_run(directory, ema=ema)
    algorithm, test = trained.model.algorithm, trained.source.test
    if not aggregate.has_one(algorithm) or len(posteriors.bind(algorithm.networks).shape) != 1:
        raise UserError(
            f"{trained.saved.run.name} has no one vector for a picture; disentanglement is of VAEs that have"
        )
    rows = pictures.choose_rows(test, min(num, test.size))
    if len(rows) < _LEAST:
        raise UserError(f"{trained.source.name} has {len(rows)} test pictures; disentanglement needs {_LEAST}")
    tell(f"latents of {len(rows)} test pictures")
    latents, _, condition = aggregate.encoded(trained, rows)
    factors = _factors(trained, condition)
    if not factors:
        raise UserError(
            f"{trained.source.name} has no classes but those that the model is told: no factors to look for"
        )
    tell(f"how they tell {', '.join(factors)}")
    found = _measures(latents, factors, seed)
    shape = algorithm.batch_spec.image_shape
    contract = contract_of(trained, AsTheyAre((shape[-3], shape[-2])), "test", len(rows), 0, None)
    scores = make_scores(trained, contract | {"factors": sorted(factors)}, found, seed)
    write_scores(trained.directory, scores)
    return scores


def _factors(trained: Trained, condition: dict[str, Array]) -> dict[str, Array]:
    """The factors' classes (n,) by name."""
    told = [name for name, _ in trained.model.algorithm.batch_spec.conditions]
    known = [name for name in trained.source.class_names if name not in told and name in condition]
    return {k: condition[k] for k in known if condition[k].min() >= 0 and len(np.unique(condition[k])) > 1}


def _measures(latents: Array, factors: dict[str, Array], seed: int) -> dict[str, Measured]:
    rng = np.random.default_rng(seed)

    def gaps(rows: Array, labels: Array) -> Array:
        given = {name: values[labels] for name, values in factors.items()}
        return disentanglement.gap(*disentanglement.mutual_information(latents[rows], given))

    whole = np.arange(len(latents))
    own, shuffled = gaps(whole, whole), gaps(whole, rng.permutation(len(latents)))
    picks = [rng.integers(0, len(latents), len(latents)) for _ in range(REPLICATES)]
    error = float(np.std([gaps(rows, rows).mean() for rows in picks], ddof=1))
    details = {"shuffled": float(shuffled.mean())} | {k: float(v) for k, v in zip(factors, own, strict=True)}
    by, contract = f"bootstrap of {REPLICATES} over pictures", {"bins": disentanglement.BINS}
    out = {"mig": Measured(float(own.mean()), error, by, details, contract)}
    dci = disentanglement.dci(latents, factors, seed)
    out["dci_disentanglement"] = Measured(dci.disentanglement, None, "", {})
    out["dci_completeness"] = Measured(dci.completeness, None, "", {})
    out["dci_informativeness"] = Measured(dci.informativeness, None, "", {"chance": dci.chance})
    return out
