"""Figures and scores as tables: what made them once, then a line each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from genart_jax.app.words import FIGURES
from genart_jax.evaluate.meaning import better
from genart_jax.evaluate.measures import Measured
from genart_jax.evaluate.scores import Score
from genart_jax.runtime.values import Json

_FLOORS = ("floor", "real")  # what real pictures have in the model's place


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, the columns two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def figures(values: Json) -> str:
    """What was evaluated in the first lines, then the model's own figures, each with what it says."""
    facts = {name: value for name, value in values.items() if not isinstance(value, float)}
    rows = [[name, f"{value:.4f}", _said(name)] for name, value in values.items() if name not in facts]
    head = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if value is not None)
    return "\n".join(filter(None, (head, columns(rows) if rows else "")))


def _said(name: str) -> str:
    """What a figure is, in words; of one of several conditions, such as accuracy_style, which."""
    if name in FIGURES:
        return FIGURES[name]
    whole = max((known for known in FIGURES if name.startswith(f"{known}_")), key=len, default="")
    return f"{whole.replace('_', ' ')} of {name[len(whole) + 1 :]}" if whole else ""


def scores(found: Sequence[Score]) -> str:
    """Scores by what made them: that once, then score, value, standard error, floor and direction; and cautions."""
    groups: dict[str, list[Score]] = {}
    for score in found:
        groups.setdefault(json.dumps([_made_of(score), score.seeds, score.model["step"]]), []).append(score)
    parts = []
    for group in groups.values():
        parts.append(f"{_made_of(group[0])}\n{_lines(group)}")
    if any(name in score.details for score in found for name in _FLOORS):
        parts.append("floor: what as many real pictures have in the model's place")
    return "\n\n".join(parts)


def measured(found: Mapping[str, Measured]) -> str:
    """Figures that are of no run, as `scores` shows those of a run; what made them is not said."""
    return _lines([Score(name, m.value, m.error, m.error_by, {}, {}, {}, m.details, better(name), m.caveat)
                   for name, m in found.items()])  # fmt: skip


def _lines(group: Sequence[Score]) -> str:
    """Scores of one contract, a line each, and the cautions."""
    rows = [["score", "value", "+-", "floor", "better", ""], *map(_row, group)]
    cautions = [f"caution, {score.name}: {score.caveat}" for score in group if score.caveat]
    return "\n".join([columns(rows), *cautions])


def _made_of(score: Score) -> str:
    """The contract in words."""
    return dataclasses.replace(score, standard_error=None, details={}, better="", caveat="").line().partition("; ")[2]


def _row(score: Score) -> list[str]:
    error = "" if score.standard_error is None else f"{score.standard_error:.2g}"
    floor = next((f"{score.details[name]:.4g}" for name in _FLOORS if name in score.details), "")
    others = [
        f"{name.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in score.details.items()
        if name not in _FLOORS and not isinstance(value, Mapping)
    ]
    direction = {"real": "as real", "": "?"}.get(score.better, score.better)
    about = "; ".join(filter(None, (f"+-: {score.error_by}" if score.error_by else "", ", ".join(others))))
    return [score.name, f"{score.value:.5g}", error, floor, direction, about]
