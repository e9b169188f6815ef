"""Runs side by side: the same scores, made the same way, and which differences are more than chance."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import stats

from genart_jax.config import Run, UserError
from genart_jax.evaluate import meaning
from genart_jax.evaluate.scores import Score, read_scores
from genart_jax.runtime.values import Json
from genart_jax.train.checkpoint import read_config

RunPath = TypeVar("RunPath", str, Path, str | Path)

LEVEL = 0.05
"""Probability that any of the differences that are called real is chance, if scores are normal."""


class Entry(NamedTuple):
    """A score of one run, or of several that differ by their seed alone: mean, standard error, how many, and the
    error's degrees of freedom, one less than the seeds; None for an error over pictures, which are many.
    """

    label: str
    value: float
    standard_error: float | None
    runs: int
    freedom: int | None = None


class Row(NamedTuple):
    """One score of all entries; `beyond` says of each but the first whether it differs from the first by more than
    chance, None where an error is missing. `better` and `caveats` are those of the scores; see `Score`.
    """

    name: str
    entries: tuple[Entry, ...]
    beyond: tuple[bool | None, ...]
    differing: tuple[str, ...]
    better: str = ""
    caveats: tuple[str, ...] = ()


def compare_runs(runs: Sequence[str | Path], group: bool = False, allow: Sequence[str] = ()) -> list[Row]:
    """The scores that all runs have, each with its error, and which differ from the first run's.

    Args:
      runs: at least two run directories with scores.
      group: take runs that differ only in their seed together; the error is then that of the mean over seeds.
      allow: names of contract entries that may differ nevertheless.

    Raises:
      UserError: a run without scores, no score in common, or contracts that differ; says in what.
    """
    if len(runs) < 2:
        raise UserError("compare takes at least two runs")
    scores = [_newest(read_scores(run)) for run in runs]
    names = [name for name in scores[0] if all(name in s for s in scores)]
    if not names:
        have = "; ".join(f"{run} has {', '.join(s)}" for run, s in zip(runs, scores, strict=True))
        raise UserError(f"no score that all runs have: {have}")
    groups = seed_groups(runs) if group else [[run] for run in runs]
    rows = []
    for name in names:
        chosen, differing = _alike([s[name] for s in scores], runs, name, allow)
        entries = tuple(_entry(str(g[0]), [chosen[list(runs).index(run)] for run in g]) for g in groups)
        caveats = tuple(dict.fromkeys(s.caveat for s in chosen if s.caveat))
        rows.append(Row(name, entries, (), differing, chosen[0].better, caveats))
    pairs = sum(len(row.entries) - 1 for row in rows)
    # Bonferroni's correction: the more comparisons, the farther out chance reaches.
    level = LEVEL / max(1, pairs)
    return [row._replace(beyond=_beyond(row.entries, level)) for row in rows]


def _newest(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Scores of the newest step, by name."""
    out: dict[str, list[Score]] = {}
    last = max((s.model["step"] for s in scores), default=0)
    for score in scores:
        if score.model["step"] == last:
            out.setdefault(score.name, []).append(score)
    return out


def _alike(
    choices: Sequence[list[Score]], runs: Sequence[str | Path], name: str, allow: Sequence[str]
) -> tuple[list[Score], tuple[str, ...]]:
    """One score of each run, all with the same contract, and what differs although it is allowed to."""
    for key in allow:
        if key not in (known := {name: None for other in choices for s in other for name in s.contract}):
            raise UserError(f"--allow {key}: a contract has {', '.join(known)}")
    strict = lambda s: json.dumps({k: v for k, v in s.contract.items() if k not in allow}, sort_keys=True)
    shared = [s for s in choices[0] if all(any(strict(o) == strict(s) for o in other) for other in choices)]
    if not shared:
        first = choices[0][-1]
        for run, other in zip(runs, choices, strict=True):
            theirs = other[-1]
            keys = [k for k in first.contract | theirs.contract if k not in allow]
            differ = [k for k in keys if theirs.contract.get(k) != first.contract.get(k)]
            if differ:
                what = ", ".join(f"{k} {first.contract.get(k)} and {theirs.contract.get(k)}" for k in differ)
                raise UserError(f"{name} of {runs[0]} and {run} cannot be compared: {what}; evaluate both the same way")
        raise UserError(f"{name}: no contract that all runs share; evaluate all the same way")
    wanted = strict(shared[-1])
    chosen = [next(s for s in reversed(other) if strict(s) == wanted) for other in choices]
    differing = tuple(k for k in allow if len({json.dumps(s.contract.get(k)) for s in chosen}) > 1)
    return chosen, differing


def seed_groups(runs: Sequence[RunPath]) -> list[list[RunPath]]:
    """The runs in groups that differ by their seed alone, in order; also by that of the run they take codes from."""
    found: dict[str, list[RunPath]] = {}
    for run in runs:
        found.setdefault(json.dumps(_without_seed(read_config(run).run), sort_keys=True), []).append(run)
    return list(found.values())


def _without_seed(run: Run) -> Json:
    values = dataclasses.asdict(run)
    values["train"] |= {"seed": 0, "keep": 0, "samples": 0}
    if first_stage := values["model"].get("tokenizer"):
        # Where that run is gone, its place must do.
        with contextlib.suppress(UserError):
            values["model"]["tokenizer"] = _without_seed(read_config(first_stage).run)
    return values


def _entry(label: str, scores: Sequence[Score]) -> Entry:
    if len(scores) == 1:
        return Entry(label, scores[0].value, scores[0].standard_error, 1)
    values, errors = np.array([s.value for s in scores]), [s.standard_error or 0.0 for s in scores]
    # Few seeds may lie closer together by chance than the pictures they were scored by allow.
    error = max(float(values.std(ddof=1)) / math.sqrt(len(values)), math.hypot(*errors) / len(values))
    return Entry(label, float(values.mean()), error, len(values), len(values) - 1)


def _beyond(entries: Sequence[Entry], level: float) -> tuple[bool | None, ...]:
    """By Welch's test: Student's t, with degrees of freedom between those of the two errors."""
    first = entries[0]
    out: list[bool | None] = []
    for entry in entries[1:]:
        if first.standard_error is None or entry.standard_error is None:
            out.append(None)
            continue
        error = math.hypot(first.standard_error, entry.standard_error)
        shares = sum(e.standard_error**4 / e.freedom for e in (first, entry) if e.standard_error and e.freedom)
        out.append(abs(entry.value - first.value) > _quantile(level, error**4 / shares if shares else None) * error)
    return tuple(out)


def _quantile(level: float, freedom: float | None) -> float:
    """How many standard errors chance goes beyond, in either direction, with probability `level`."""
    return float(stats.t.ppf(1 - level / 2, math.inf if freedom is None else freedom))


def table(rows: Sequence[Row]) -> str:
    """The comparison as lines: value and 95 % interval; * marks what differs from the first beyond chance.

    Under it, what is to be said against a score.
    """
    entries = rows[0].entries
    heads = [e.label + (f" (mean of {e.runs} seeds)" if e.runs > 1 else "") for e in entries]
    grid = [["score", "", *heads]]
    for row in rows:
        cells = [row.name, meaning.WORDS[row.better]]
        for entry, beyond in zip(row.entries, (False, *row.beyond), strict=True):
            reach = None if entry.standard_error is None else _quantile(0.05, entry.freedom) * entry.standard_error
            interval = "" if reach is None else f" [{entry.value - reach:.4g}, {entry.value + reach:.4g}]"
            cells.append(f"{entry.value:.4g}{interval}{' *' if beyond else ' ?' if beyond is None else ''}")
        grid.append(cells)
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid]
    seeds = "the spread over training seeds" if all(e.runs > 1 for e in entries) else "chance in the pictures alone"
    note = f"* differs from the first by more than chance ({LEVEL:.0%} over the table); errors are {seeds}"
    lines.append(note)
    if any(None in row.beyond for row in rows):
        lines.append("? has no error to tell by")
    if differing := sorted({key for row in rows for key in row.differing}):
        lines.append(f"not alike, but allowed to differ: {', '.join(differing)}")
    lines += [f"caution, {row.name}: {caveat}" for row in rows for caveat in row.caveats]
    return "\n".join(lines)
