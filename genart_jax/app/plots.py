"""Runs as pictures: curves, scores with intervals and sample grids in one PNG, and a page that needs no network."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import UserError, to_json
from genart_jax.evaluate import meaning
from genart_jax.evaluate.scores import FILE, Score, read_scores
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Json
from genart_jax.train.checkpoint import Saved, read_config
from genart_jax.train.log import read_rows
from genart_jax.train.records import pictures_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

_WIDTH, _COLUMNS, _GRIDS = 15.0, 3, 5  # inches; panels and sample grids side by side
_DASHES = ("-", "--", ":", "-.")
_HIDDEN = ("step", "seconds")


class History(NamedTuple):
    """What a run directory tells of its training."""

    label: str
    directory: Path
    saved: Saved
    rows: list[Json]
    scores: list[Score]
    grids: list[tuple[int, Path]]

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of one figure; NaN where it was not finite."""
        found = [(row["step"], row[name]) for row in self.rows if name in row]
        return [s for s, _ in found], [float(v) for _, v in found]


def read_history(directory: str | Path) -> History:
    """Reads a run directory.

    Raises:
      UserError: no run there, or one that has logged nothing.
    """
    path = expanded(directory)
    saved, rows = read_config(path), read_rows(path / "metrics.jsonl")
    if not rows:
        raise UserError(f"{directory} has no rows in metrics.jsonl; train it first")
    scores = read_scores(path) if (path / FILE).exists() else []
    grids = [(int(picture.stem), picture) for picture in pictures_of(path)]
    return History(str(directory), path, saved, rows, scores, grids)


def write(runs: Sequence[str | Path], out: Path) -> tuple[Path, Path]:
    """Draws the runs into `out` (a PNG) and the page beside it; returns both paths.

    Raises:
      UserError: no such run, matplotlib is missing, or a place that cannot be written.
    """
    histories, out = [read_history(run) for run in runs], expanded(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        picture = draw(histories)
        out.write_bytes(picture)
        page = out.with_suffix(".html")
        page.write_text(report(histories, picture), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror or error}") from None
    return out, page


def panels(histories: Sequence[History]) -> dict[str, list[str]]:
    """Title -> names of the figures that belong into one panel, in an order that all runs share."""
    names = dict.fromkeys(name for h in histories for row in h.rows for name in row if name not in _HIDDEN)
    out: dict[str, list[str]] = {"losses": [], "norms": [], "others": [], "speed": [], "test split": []}
    for name in names:
        if name.startswith("test/"):
            out["test split"].append(name)
        elif name == "images_per_second":
            out["speed"].append(name)
        elif "norm" in name:
            out["norms"].append(name)
        else:
            out["losses" if "loss" in name else "others"].append(name)
    return {title: names for title, names in out.items() if names}


def draw(histories: Sequence[History]) -> bytes:
    """The picture as the bytes of a PNG."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise UserError('plots need matplotlib: pip install "genart_jax[plots]"') from error
    mpl.use("agg")
    from matplotlib import pyplot as plt

    groups, scored = panels(histories), comparable(histories)
    over_steps = [name for name, runs in scored.items() if max(map(len, runs)) > 1]
    shown = [h for h in histories if h.grids]
    titles = [*groups, *over_steps]
    heights = {"curves": 4.0 * -(-len(titles) // _COLUMNS)}
    if scored:
        heights["scores"] = 1.2 + 0.22 * len(scored) * (len(histories) + 1)
    if shown:
        heights["grids"] = (0.3 + _WIDTH / _GRIDS) * len(shown)
    # A figure for each kind of panel, as the layout of all in one grid leaves no room for their labels.
    figure = plt.figure(figsize=(_WIDTH, sum(heights.values())), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=list(heights.values()), squeeze=False)[:, 0]
    for kind, part in zip(heights, parts, strict=True):
        if kind == "scores":
            _draw_scores(part.subplots(), scored, [_short(h.label) for h in histories])
        elif kind == "grids":
            _draw_grids(part.subplots(len(shown), _GRIDS, squeeze=False), shown)
        else:
            for axes, title in zip(_panels(part, len(titles)), titles, strict=True):
                axes.set_title(_titled(title))
                if title in groups:
                    _draw_curves(axes, histories, groups[title], title == "norms")
                else:
                    _draw_over_steps(axes, histories, scored[title])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()


def _short(label: str, most: int = 28) -> str:
    """A run's path as far as a legend has room for it: its end, which tells runs apart."""
    return label if len(label) <= most else "…" + label[-most + 1 :]


def _panels(part: SubFigure, count: int) -> list[Axes]:
    """So many axes, in lines of `_COLUMNS`."""
    axes = list(part.subplots(-(-count // _COLUMNS), _COLUMNS, squeeze=False).flat)
    for empty in axes[count:]:
        empty.set_axis_off()
    return axes[:count]


def _draw_curves(axes: Axes, histories: Sequence[History], names: Sequence[str], logarithmic: bool) -> None:
    """A colour for each figure and a dash for each run."""
    for j, history in enumerate(histories):
        for k, name in enumerate(names):
            steps, values = history.curve(name)
            marker = "." if len(steps) < 20 else ""
            axes.plot(steps, values, color=f"C{k % 10}", linestyle=_DASHES[j % 4], marker=marker, linewidth=1)
    for k, name in enumerate(names):
        axes.plot([], [], color=f"C{k % 10}", label=name.removeprefix("test/"))
    for j, history in enumerate(histories if len(histories) > 1 else ()):
        axes.plot([], [], color="black", linestyle=_DASHES[j % 4], label=_short(history.label))
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.19))


def _draw_over_steps(axes: Axes, histories: Sequence[History], scored: Sequence[Sequence[Score]]) -> None:
    """A score that was taken more than once."""
    for history, scores in zip(histories, scored, strict=True):
        errors = [1.96 * (s.standard_error or 0.0) for s in scores]
        steps, values = [s.model["step"] for s in scores], [s.value for s in scores]
        axes.errorbar(steps, values, errors, label=_short(history.label), marker="o", ms=3, capsize=2, linewidth=1)
    axes.set_xlabel("step; bars: 95 %")
    axes.legend(fontsize=9)


def _draw_grids(grid: Iterable[Iterable[Axes]], histories: Sequence[History]) -> None:
    """A row of samples for each run, evenly over its training."""
    for line, history in zip(grid, histories, strict=True):
        picked = np.unique(np.linspace(0, len(history.grids) - 1, _GRIDS).astype(int))
        for axes in line:
            axes.set_axis_off()
        for axes, index in zip(line, picked, strict=False):
            step, path = history.grids[index]
            axes.imshow(np.asarray(Image.open(path).convert("RGB")))
            axes.set_title(f"{_short(history.label)}, step {step}", fontsize=10)


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


def _draw_scores(axes: Axes, scored: dict[str, list[list[Score]]], labels: Sequence[str]) -> None:
    """Each newest score relative to its mean over the runs, with 95 % intervals, and its value beside it."""
    for i, runs in enumerate(scored.values()):
        newest = [scores[-1] if scores else None for scores in runs]
        scale = abs(float(np.mean([s.value for s in newest if s is not None]))) or 1.0
        for j, score in enumerate(newest):
            if score is None:
                continue
            place, error = i + (j + 0.5) / (len(newest) + 1), 1.96 * (score.standard_error or 0.0) / scale
            axes.errorbar(score.value / scale, place, xerr=error, color=f"C{j % 10}", marker="o", ms=3, capsize=2)
            axes.annotate(f" {score.value:.4g}", (score.value / scale, place), fontsize=9, va="bottom")
    for j, label in enumerate(labels):
        axes.plot([], [], color=f"C{j % 10}", marker="o", ms=3, label=label)
    axes.set_title("scores")
    places = [i + 0.5 * len(labels) / (len(labels) + 1) for i in range(len(scored))]
    axes.set_yticks(places, [_titled(name, "\n") for name in scored], fontsize=9)
    axes.set_ylim(len(scored), -0.2)
    axes.set_xlabel("relative to the mean over the runs; bars: 95 %", fontsize=9)
    axes.legend(fontsize=9, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))  # beside the title, over no bar


def _titled(name: str, between: str = ", ") -> str:
    """A panel's or a score's name, with which direction is better."""
    words = meaning.WORDS[meaning.better(name)]
    return f"{name}{between}{words}" if words else name


def report(histories: Sequence[History], picture: bytes) -> str:
    """The page: everything that it shows is inside it."""
    parts = ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8">', "<title>genart report</title>"]
    parts.append("<style>body{font:14px sans-serif;margin:2em;max-width:75em}img{max-width:100%}"
                 "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:2px 8px;text-align:left}"
                 "pre{background:#f4f4f4;padding:1em;overflow:auto}</style></head><body>")  # fmt: skip
    parts.append(f"<h1>{html.escape(', '.join(h.label for h in histories))}</h1>{_image(picture)}")
    for h in histories:
        facts = _facts(h)
        flat = {"model": h.saved.run.name, "data": h.saved.data["source"], "seed": h.saved.run.train.seed}
        flat |= {"step": h.rows[-1]["step"]}
        flat |= {k: facts[k] for k in ("images_per_second", "seconds", "devices", "date") if k in facts}
        flat |= {f"test {k}": v for k, v in facts.get("test", {}).items()}
        parts.append(f"<h2>{html.escape(h.label)}</h2>{_table(('', ''), list(flat.items()))}")
        if h.scores:
            rows = [(s.model["step"], s.name, s.value, "" if s.standard_error is None else s.standard_error,
                     meaning.WORDS[s.better], s.caveat, s.line()) for s in h.scores]  # fmt: skip
            heads = ("step", "score", "value", "standard error", "better", "caution", "made of")
            parts.append(f"<h3>scores</h3>{_table(heads, rows)}")
        for name in ("originality.png",):
            if (h.directory / name).exists():
                parts.append(f"<h3>originality</h3>{_image((h.directory / name).read_bytes())}")
        if h.grids:
            step, path = h.grids[-1]
            parts.append(f"<h3>samples at step {step}</h3>{_image(path.read_bytes())}")
        parts.append(
            f"<details><summary>configuration</summary><pre>{html.escape(to_json(h.saved.run))}</pre></details>"
        )
    return "\n".join([*parts, "</body></html>\n"])


def _facts(history: History) -> Json:
    """What summary.json says, if it is of the state that the rows end with."""
    summary = history.directory / "summary.json"
    facts: Json = json.loads(summary.read_text()) if summary.exists() else {}
    known, step = history.saved.data.get("id"), history.rows[-1]["step"]
    return facts if facts.get("step") == step and facts.get("id", known) == known else {}


def _image(content: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def _table(head: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    cell = lambda v: html.escape(f"{v:.5g}" if isinstance(v, float) else str(v))
    lines = ["".join(f"<th>{html.escape(h)}</th>" for h in head)] if any(head) else []
    lines += ["".join(f"<td>{cell(v)}</td>" for v in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
