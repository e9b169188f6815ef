"""A classifier of several conditions as one of a single condition: the same network, with fewer scores."""

from __future__ import annotations

import functools

import jax
import numpy as np

from genart_jax.api import build
from genart_jax.config import UserError, heads_of, override
from genart_jax.train.checkpoint import Model, abstract_state
from genart_jax.types import Tree


def of_one(model: Model, label: str) -> Model:
    """A classifier's model for `label` alone.

    Parameters and averages whose last axis is as long as all scores are cut to those of `label`, so its scores are
    those that the whole model has for it. The optimizer's memory is left behind.

    Raises:
      UserError: it classifies nothing, or not that; or its heads are more than columns of a last layer.
    """
    run, saved = model.config, model.saved
    assert saved is not None  # or there is no configuration
    known = dict(getattr(run.model, "conditions", None) or ())
    if model.algorithm.predict is None:
        raise UserError(f"--keep is for classifiers; {run.name} is none: leave it out")
    if label not in known:
        raise UserError(f"{run.name} classifies {', '.join(known) or 'nothing'} here, not {label!r}")
    own = override(run, model={"label": label, "conditions": ((label, known[label]),)})
    names = {label: saved.data["class_names"][label]}
    algorithm = build(own, class_names=names)
    wanted, state, scores = abstract_state(algorithm), model.state, sum(known.values())
    cut = functools.partial(_cut, columns=heads_of(run.model.conditions)[label], scores=scores)
    try:
        params, ema = (jax.tree.map(cut, *pair) for pair in ((state.params, wanted.params), (state.ema, wanted.ema)))
    except ValueError:
        raise UserError(f"{run.name}: its heads are more than columns of its last layer; keep all of them") from None
    where = list(known).index(label)
    counts = dict.fromkeys(range(known[label]), 0)
    for *row, count in saved.data["condition_table"]:
        counts[row[where]] += count
    table = [[number, count] for number, count in counts.items() if count]
    data = saved.data | {"class_names": names, "condition_table": table}
    kept = state.replace(params=params, ema=ema, opt={})
    return Model(algorithm, kept, saved._replace(run=own, data=data), model.run, model.sha256)


def _cut(leaf: Tree, wanted: jax.ShapeDtypeStruct, columns: slice, scores: int) -> Tree:
    """A leaf as it is, or the columns of it that are wanted."""
    if leaf.shape == wanted.shape:
        return leaf
    if leaf.shape[:-1] != wanted.shape[:-1] or leaf.shape[-1] != scores:
        raise ValueError(leaf.shape)
    return np.asarray(leaf)[..., columns]
