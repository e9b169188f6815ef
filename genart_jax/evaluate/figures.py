"""Figures of a trained model on the test split."""

from __future__ import annotations

from pathlib import Path

import jax

from genart_jax.config import Parallel
from genart_jax.evaluate.pictures import open_run
from genart_jax.runtime.values import Json
from genart_jax.train import parallel
from genart_jax.train.evaluation import make_evaluator


def evaluate_run(directory: str | Path, source: str | None = None, seed: int = 0) -> Json:
    """The model's own figures on the test split of its data, or of another source.

    Raises:
      UserError: no run there, or its data is not to be had or has changed.
    """
    trained = open_run(directory, source)
    algorithm, state = trained.model
    mesh = parallel.make_mesh(Parallel(data=1), 1)
    evaluate = make_evaluator(algorithm, trained.saved.run.data, mesh)
    figures = evaluate(state, trained.source.test, jax.random.key(seed))
    return {
        "model": trained.saved.run.name,
        "run": str(directory),
        "id": trained.saved.data.get("id"),
        "step": int(state.step),
        "data": trained.source.name,
        "split": "test",
        "examples": trained.source.test.size,
        "seed": seed,
        **figures,
    }
