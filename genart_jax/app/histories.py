"""What run directories tell of their trainings, gathered into lines: a run, the seeds of one, a setting of a sweep."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.evaluate.compare import seed_groups
from genart_jax.evaluate.scores import FILE, Score, read_scores
from genart_jax.runtime import packaged
from genart_jax.runtime.values import Array, Json
from genart_jax.steps import sweep
from genart_jax.train import hub
from genart_jax.train.checkpoint import Saved, member_directory, read_config
from genart_jax.train.log import read_rows
from genart_jax.train.records import pictures_of


class History(NamedTuple):
    """What a run directory tells of its training."""

    label: str
    directory: Path
    saved: Saved
    rows: list[Json]
    scores: list[Score]
    grids: list[tuple[int, Path]]

    def curve(self, name: str) -> tuple[Array, Array]:
        """Steps and values of one figure; NaN where it was not finite."""
        found = [(row["step"], row[name]) for row in self.rows if name in row]
        return np.array([s for s, _ in found]), np.array([float(v) for _, v in found])

    @property
    def step(self) -> int:
        """The last that was logged."""
        return int(self.rows[-1]["step"])

    @property
    def facts(self) -> Json:
        """What summary.json says, if it is of the state that the rows end with."""
        path = self.directory / "summary.json"
        found: Json = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known = self.saved.data.get("id")
        return found if found.get("step") == self.step and found.get("id", known) == known else {}

    @property
    def conditions(self) -> str:
        """Model, data and length, for a caption."""
        run = self.saved.run
        return f"{run.name} on {self.saved.data['source']}, {self.step:,} steps of {run.train.batch}"


class Line(NamedTuple):
    """What is drawn in one colour: runs that differ by nothing but their seed."""

    label: str
    members: list[History]


def read_history(directory: str | Path) -> History:
    """Reads a run directory.

    Raises:
      UserError: no run there, a trained model without its run, or one that has logged nothing.
    """
    path = packaged.place(directory)
    saved = read_config(path)
    if hub.is_folder(path):
        raise UserError(
            f"{directory} is a trained model without the log of its training, so there is nothing to plot; its figures "
            f"and scores are in {path / 'README.md'}, and `genart sample {directory}` or `genart evaluate {directory}` "
            "makes new ones"
        )
    rows = read_rows(path / "metrics.jsonl")
    if not rows:
        raise UserError(f"{directory} has no rows in metrics.jsonl; train it first")
    scores = read_scores(path) if (path / FILE).exists() else []
    grids = [(int(picture.stem), picture) for picture in pictures_of(path)]
    return History(str(directory), path, saved, rows, scores, grids)


def lines_of(directories: Sequence[str | Path]) -> list[Line]:
    """Runs that differ by their seed alone as one line, a sweep as a line for each of its settings.

    Raises:
      UserError: no run there, or one that has logged nothing.
    """
    out = []
    for group in seed_groups([str(directory) for directory in directories]):
        swept = [found for directory in group for found in _settings(str(directory), len(directories) > 1)]
        if swept:
            out += swept
        else:
            label = str(group[0]) if len(group) == 1 else f"{group[0]} and {len(group) - 1} more seeds"
            out.append(Line(label, [read_history(directory) for directory in group]))
    return out


def _settings(directory: str, named: bool) -> list[Line]:
    """The settings of a sweep with their members, named by its directory too where asked; [] of a run without one."""
    run = read_config(directory).run
    members, names = sweep.runs(run), sweep.swept(run)
    found: dict[str, list[History]] = {}
    for i, one in enumerate(members):
        words = [f"{name} {getattr(one.optimizer, name):g}" for name in names] or ["all seeds"]
        label = f"{directory}: {', '.join(words)}" if named else ", ".join(words)
        found.setdefault(label, []).append(read_history(member_directory(directory, i)))
    return [Line(label, histories) for label, histories in found.items()]


def aligned(line: Line, name: str) -> tuple[Array, Array]:
    """Steps (n,) and values (members, n) of a figure, at the steps that all members have."""
    curves = [history.curve(name) for history in line.members]
    steps = curves[0][0]
    for other, _ in curves[1:]:
        steps = np.intersect1d(steps, other)
    rows = [values[np.searchsorted(own, steps)] for own, values in curves if len(own)]
    return steps, np.stack(rows) if rows else np.zeros((0, 0))


def names_of(lines: Sequence[Line]) -> list[str]:
    """All figures that the runs have logged, in the order in which they come."""
    rows = (row for line in lines for history in line.members for row in history.rows)
    return [name for name in dict.fromkeys(name for row in rows for name in row) if name not in ("step", "seconds")]


def comparable(histories: Sequence[History]) -> dict[str, list[list[Score]]]:
    """Score's name -> for each run its scores of that name by step.

    All have one contract: that of the newest of the first run that has any.
    """
    out: dict[str, list[list[Score]]] = {}
    for name in dict.fromkeys(s.name for h in histories for s in h.scores):
        contract = next(s.contract for h in histories for s in reversed(h.scores) if s.name == name)
        alike = [[s for s in h.scores if s.name == name and s.contract == contract] for h in histories]
        # Of several at a step, other samples for instance, the last one.
        out[name] = [
            list({s.model["step"]: s for s in sorted(a, key=lambda s: s.model["step"])}.values()) for a in alike
        ]
    return out


def contract_line(score: Score) -> str:
    """What a score was made of, without its name and value."""
    return dataclasses.replace(score, details={}, caveat="", better="").line().partition("; ")[2]
