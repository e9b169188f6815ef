"""Runs as figures, in PNG, SVG and PDF, and a page that needs no network."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from genart_jax.app import figures
from genart_jax.app.histories import lines_of, read_history
from genart_jax.app.report import report
from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded

FORMATS = ("png", "svg", "pdf")
_DPI = 200  # of curves; samples have 100 pixels an inch, which leaves them as they are


def folder_of(runs: Sequence[str | Path]) -> Path:
    """Where figures go if nothing is said: `plots` in the run, and of several `plots_with_` the others' names."""
    others = "_".join(expanded(run).name for run in runs[1:])
    return expanded(runs[0]) / (f"plots_with_{others}" if others else "plots")


def write(
    runs: Sequence[str | Path], out: Path, formats: Sequence[str] = ("png",), captions: bool = True
) -> list[Path]:
    """Draws the runs into the folder `out`, with the page `report.html`; returns the files, the page last.

    Args:
      runs: run directories; those that differ by their seed alone are one line, with a band.
      out: a folder, made where it is missing.
      formats: of `FORMATS`.
      captions: write captions below the figures; the page has them in any case.

    Raises:
      UserError: no such run or format, matplotlib is missing, or a place that cannot be written.
    """
    for wanted in formats:
        if wanted not in FORMATS:
            raise UserError(f"--format {wanted}: there are {', '.join(FORMATS)}")
    lines, histories, out = lines_of(runs), [read_history(run) for run in runs], expanded(out)
    drawn = figures.draw(lines)
    written, shown = [], [(one.name, rendered(one, "png"), one.caption) for one in drawn if not one.of_samples]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for one in drawn:
            if captions:
                figures.write_caption(one)
            for wanted in formats:
                written.append(out / f"{one.name}.{wanted}")
                written[-1].write_bytes(rendered(one, wanted))
        page = out / "report.html"
        page.write_text(report(histories, shown), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror or error}") from None
    return [*written, page]


def rendered(drawn: figures.Drawn, wanted: str) -> bytes:
    """A figure as the bytes of a file of a format, whole with its caption."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context(figures.STYLE):
        if drawn.of_samples:
            drawn.figure.savefig(buffer, format=wanted, dpi=100, bbox_inches="tight", pad_inches=0.05)
        else:
            drawn.figure.savefig(buffer, format=wanted, dpi=_DPI)
    return buffer.getvalue()
