"""Figures of a trained model on the test split."""

from __future__ import annotations

from pathlib import Path

import jax

from genart_jax.config import Parallel, Vae
from genart_jax.evaluate import aggregate, lossless
from genart_jax.evaluate.pictures import choose_rows, open_run, read_rows
from genart_jax.runtime.values import Json
from genart_jax.train import parallel
from genart_jax.train.checkpoint import Model
from genart_jax.train.evaluation import make_evaluator

_COMPRESSED = 1000  # test pictures, of which lossless files are made


def evaluate_run(directory: str | Path | Model, source: str | None = None, seed: int = 0) -> Json:
    """The model's own figures on the test split of its data, or of another source.

    Beside a VAE's bits a dimension of 8-bit levels stand those of PNG and of lossless WebP, of up to 1,000 pictures,
    and how the posteriors of as many lie together: see `aggregate.figures`.

    Raises:
      UserError: no run there, or its data is not to be had or has changed.
    """
    trained = open_run(directory, source)
    algorithm, state = trained.model
    mesh = parallel.make_mesh(Parallel(data=1), 1)
    evaluate = make_evaluator(algorithm, trained.saved.run.data, mesh)
    figures = evaluate(state, trained.source.test, jax.random.key(seed))
    step, test = trained.saved.run.step, trained.source.test
    if isinstance(step, Vae) and step.likelihood != "bernoulli" and len(algorithm.batch_spec.image_shape) == 3:
        rows = choose_rows(test, min(_COMPRESSED, test.size))
        figures |= lossless.bits_per_dim(read_rows(test, rows).images)
    figures |= aggregate.of_run(trained, seed)
    return {
        "model": trained.saved.run.name,
        "run": str(trained.directory),
        "id": trained.saved.data.get("id"),
        "step": int(state.step),
        "data": trained.source.name,
        "split": "test",
        "examples": trained.source.test.size,
        "seed": seed,
        **figures,
    }
