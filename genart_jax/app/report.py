"""A page about runs that needs no network: everything that it shows is inside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from genart_jax.app.histories import History, contract_line
from genart_jax.config import to_json
from genart_jax.evaluate import meaning
from genart_jax.evaluate.scores import Score

_STYLE = """
:root{color-scheme:light dark;--text:#222;--paper:#fff;--quiet:#555;--line:#ddd;--panel:#f4f4f4}
@media (prefers-color-scheme:dark){
:root{--text:#ddd;--paper:#1b1b1b;--quiet:#aaa;--line:#444;--panel:#262626}}
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;padding:0 1em;max-width:60em}
body{color:var(--text);background:var(--paper)}
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid var(--line)}h3{font-size:1em}
figure{margin:1em 0}figure img{max-width:100%;background:#fff}
figcaption,.contract{color:var(--quiet);font-size:.87em}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{border-bottom:1px solid var(--line);padding:2px 10px;text-align:left;vertical-align:top}
th{cursor:pointer;user-select:none;white-space:nowrap}th::after{content:" \\2195";color:var(--quiet)}
th[aria-sort=ascending]::after{content:" \\2191"}th[aria-sort=descending]::after{content:" \\2193"}
.history{display:flex;gap:1em;overflow-x:auto}.history figure{margin:0;flex:none}.history img{max-width:none}
pre{background:var(--panel);padding:1em;overflow:auto}
"""
_SORT = """
for (const head of document.querySelectorAll("th")) head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const up = head.getAttribute("aria-sort") !== "ascending";
  const key = row => row.cells[column].textContent, number = text => text.trim() === "" ? NaN : Number(text);
  const rows = [...body.rows].sort((a, b) => {
    const x = number(key(a)), y = number(key(b));
    if (isNaN(x) !== isNaN(y)) return isNaN(x) - isNaN(y);
    return isNaN(x) ? key(a).localeCompare(key(b)) : x - y;
  });
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  body.append(...(up ? rows : rows.reverse()));
});
"""

_SHOWN = 0.66
"""Width of a figure's pixel in those of the page: two panels are as wide as the text."""


def report(histories: Sequence[History], pictures: Sequence[tuple[str, bytes, str]]) -> str:
    """The page.

    Args:
      histories: the runs.
      pictures: name, PNG and caption of each figure of all runs.
    """
    title = html.escape(", ".join(h.label for h in histories))
    parts = ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8">', f"<title>{title}</title>"]
    parts.append(f"<style>{_STYLE}</style></head><body><h1>{title}</h1>")
    parts.append(_facts(histories))
    parts += [_figure(name, content, f"{name}: {caption}", _SHOWN) for name, content, caption in pictures]
    if any(h.scores for h in histories):
        parts.append(f"<h2>Scores</h2>{_scores(histories)}")
    for history in histories:
        parts += _of_run(history, len(histories) > 1)
    return "\n".join([*parts, f"<script>{_SORT}</script></body></html>\n"])


def _facts(histories: Sequence[History]) -> str:
    """A table with a column for each run."""
    columns = []
    for h in histories:
        facts = h.facts
        flat = {"model": h.saved.run.name, "data": h.saved.data["source"], "seed": h.saved.run.train.seed}
        flat |= {"step": h.step}
        flat |= {k: facts[k] for k in ("images_per_second", "seconds", "devices", "date", "warnings") if k in facts}
        columns.append(flat | {f"test {k}": v for k, v in facts.get("test", {}).items()})
    names = dict.fromkeys(name for column in columns for name in column)
    heads = ("", *(h.label for h in histories)) if len(histories) > 1 else ("", "value")
    return _table(heads, [(name, *(column.get(name, "") for column in columns)) for name in names])


def _scores(histories: Sequence[History]) -> str:
    """A table for each contract, which is said once above it; scores of one contract may be compared."""
    tables: dict[str, list[tuple[History, Score]]] = {}
    for history in histories:
        for score in history.scores:
            tables.setdefault(contract_line(score), []).append((history, score))
    out = []
    for contract, found in tables.items():
        rows = []
        for history, s in found:
            error = "" if s.standard_error is None else s.standard_error
            floor = s.details.get("floor", "")
            rows.append(
                (history.label, s.model["step"], s.name, s.value, error, floor, meaning.WORDS[s.better], s.caveat)
            )
        heads = ("run", "step", "score", "value", "standard error", "floor", "better", "caution")
        kept = [i for i in range(len(heads)) if i or len(histories) > 1]
        cells = [[row[i] for i in kept] for row in rows]
        out.append(f'<p class="contract">{html.escape(contract)}</p>{_table([heads[i] for i in kept], cells)}')
    return "".join(out)


def _of_run(history: History, named: bool) -> list[str]:
    """What is of one run alone: the history of its samples, copies, its configuration."""
    parts = [f"<h2>{html.escape(history.label)}</h2>"] if named else []
    if history.grids:
        shown = [_figure(f"step {step:,}", path.read_bytes(), f"step {step:,}") for step, path in history.grids]
        parts.append(f'<h3>Samples over time</h3><div class="history">{"".join(shown)}</div>')
    card = history.directory / "originality.png"
    if card.exists():
        parts.append(f"<h3>Originality</h3>{_figure('originality', card.read_bytes(), '')}")
    text = html.escape(to_json(history.saved.run))
    return [*parts, f"<details><summary>configuration</summary><pre>{text}</pre></details>"]


def _figure(name: str, content: bytes, caption: str, shown: float = 1.0) -> str:
    """A PNG, `shown` times as wide as it has pixels, which a screen with small pixels has use for."""
    data, wide = base64.b64encode(content).decode(), int.from_bytes(content[16:20])
    text = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    image = f'<img alt="{html.escape(name)}" width="{round(shown * wide)}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}{text}</figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    said = lambda v: ", ".join(map(str, v)) if isinstance(v, list) else str(v)
    cell = lambda v: html.escape(f"{v:.5g}" if isinstance(v, float) else said(v))
    line = lambda row: "<tr>" + "".join(f"<td>{cell(v)}</td>" for v in row) + "</tr>"
    heads = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = f"<thead><tr>{heads}</tr></thead><tbody>{''.join(map(line, rows))}</tbody>"
    return f'<div class="wide"><table>{body}</table></div>'
