"""What became of a sweep: its members' last figures, their mean and spread, and the share that collapsed.

A member has collapsed where it diverged, that is where a metric was not finite, or where its samples hardly differ:
their mean pairwise distance (root of the summed squared difference of pixels) is below `LEAST` of that of as many real
pictures. It is a plain test for pictures that are all but one; a generator that knows a few pictures passes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from genart_jax.config import NotSavedError, Run
from genart_jax.data.pipeline import permutation
from genart_jax.data.source import Source, example
from genart_jax.metrics import diversity
from genart_jax.runtime.values import Array, Json
from genart_jax.steps import sweep
from genart_jax.train import manifest
from genart_jax.train.records import Records
from genart_jax.types import to_float

LEAST = 0.1
"""Of the real pictures' diversity: below, a member has collapsed."""


def read_summary(path: Path, begun: Json) -> Json:
    """A summary with test figures, if it is of the state that `begun` names: model, step, id of the run, and seal of
    its checkpoint. {} if it is of another, or there is none that can be read.
    """
    try:
        there = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}
    same = begun["state"] and all(there.get(name) == value for name, value in begun.items())
    return there if same and "test" in there else {}


def write_summary(path: Path, summary: Json) -> None:
    """Writes it, in the first process.

    Raises:
      NotSavedError: it cannot be written.
    """
    if jax.process_index():
        return
    try:
        manifest.write_file(path, json.dumps(summary, indent=2) + "\n")
    except OSError as error:
        raise NotSavedError(f"{path} cannot be written: {error.strerror or error}") from None


def summarize(
    run: Run,
    log: Records,
    begun: Json,
    diverged: Array,
    test: dict[str, Array],
    images: Array | None,
    source: Source,
) -> Json:
    """The entry `sweep` of summary.json; each member's part is also written to its own summary.json.

    Args:
      run: the sweep's configuration.
      log: what was written of it.
      begun: what says of which state a summary is; it begins the members'.
      diverged: (members,), the step in which a member's metrics were not finite, or 0.
      test: figures on the test split, (members,) each.
      images: the members' samples (members, num, ...) in [-1, 1], or None for a model that draws none.
      source: the data, for real pictures to compare with.

    Returns:
      "members", a list of each member's number, seed, swept options, `diverged` (the step, or None),
      `diversity` (relative to real pictures, None without pictures), `collapsed` (why, or ""), and last `metrics` and
      `test` figures; "settings", for each combination of swept options its `members`, the share of them that
      `collapsed`, and for each figure `mean`, `spread` (the standard deviation over members, None of one alone) and
      `members`, how many these are over: those that did not diverge; and `collapsed`, the share of all.
    """
    names, ratios = sweep.swept(run), diversities(images, source)
    metrics = {name: value for name, value in log.last.items() if not name.startswith("test/")}
    rows: list[Json] = []
    for i, one in enumerate(log.runs):
        ratio = None if ratios is None else ratios[i]
        why = "not finite" if diverged[i] else "little diversity" if ratio is not None and ratio < LEAST else ""
        rows.append(
            {"member": i, "seed": one.train.seed}
            | {name: getattr(one.optimizer, name) for name in names}
            | {"diverged": int(diverged[i]) or None, "diversity": ratio, "collapsed": why}
            | {"metrics": _of(metrics, i), "test": _of(test, i)}
        )
        if jax.process_index() == 0:
            own = dict(begun) | {"interrupted": False} | rows[-1]
            manifest.write_file(log.places[i] / "summary.json", json.dumps(own, indent=2) + "\n")
    size = max(1, run.sweep.seeds)
    settings = [_setting(rows[start : start + size], names) for start in range(0, len(rows), size)]
    return {"members": rows, "settings": settings, "collapsed": _collapsed(rows)}


def diversities(images: Array | None, source: Source) -> list[float | None] | None:
    """Each member's mean pairwise distance of samples, relative to that of real pictures; None of pictures that are
    not finite, or where there are fewer than three.
    """
    split = source.test if source.test.size >= 3 else source.train
    if images is None or min(images.shape[1], split.size) < 3:
        return None
    chosen = permutation(0, 0, split.size)[: images.shape[1]]
    real = _spread(np.asarray(to_float(np.stack([example(split, int(i))["image"] for i in chosen]))))
    return [_spread(own) / real if real and np.isfinite(own).all() else None for own in images]


def _spread(pictures: Array) -> float:
    return diversity.pairwise(pictures.reshape(len(pictures), -1))[0]


def _of(figures: dict[str, Array], index: int) -> dict[str, float | str]:
    """One member's, as JSON can hold them."""
    values = {name: float(value[index]) for name, value in figures.items()}
    return {name: value if np.isfinite(value) else str(value) for name, value in values.items()}


def _setting(rows: Sequence[Json], names: Sequence[str]) -> Json:
    going = [
        {**row["metrics"], **{f"test/{k}": v for k, v in row["test"].items()}} for row in rows if not row["diverged"]
    ]
    figures = {}
    for name in going[0] if going else ():
        values = np.array([x for x in (float(row[name]) for row in going) if np.isfinite(x)])
        if not values.size:
            continue
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        figures[name] = {"mean": float(np.mean(values)), "spread": spread, "members": len(values)}
    return {
        **{name: rows[0][name] for name in names},
        "members": [row["member"] for row in rows],
        "collapsed": _collapsed(rows),
        "figures": figures,
    }


def _collapsed(rows: Sequence[Json]) -> float:
    return sum(bool(row["collapsed"]) for row in rows) / len(rows)
