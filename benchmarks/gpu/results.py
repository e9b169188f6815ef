"""A file of results, a line of JSON each, to which a run adds and with which a later one goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.cells import Cell
from genart_jax.config import UserError

Key = tuple[str, str, str]
_SAME = ("device", "devices", "miniature")
"""What all results of a file have in common."""


class Results:
    """The lines of a file; the last one may be cut off, as a machine may be taken away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.abouts, self.rows = read(path) if path.exists() else ([], [])

    def begin(self, about: dict[str, Any]) -> None:
        """Says what the lines after this one were measured on.

        Raises:
          UserError: the file's are of something else.
        """
        for name in _SAME:
            if self.abouts and self.abouts[0].get(name) != about[name]:
                raise UserError(
                    f"{self.path} has results of {name} {self.abouts[0].get(name)}, this is {about[name]}; "
                    "give another --out"
                )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size:
            self._write("\n")  # after a line that was cut off
        self.abouts.append(about)
        self._write(json.dumps({"part": "about"} | about) + "\n")

    def add(self, cell: Cell, row: dict[str, Any]) -> None:
        """Writes a line at once, and a word of it to the terminal."""
        row = {"part": cell.part, "name": cell.name, "side": cell.side} | row
        self.rows.append(row)
        self._write(json.dumps(row) + "\n")
        print(f"{row['seconds']:6.1f} s  {said(row)}", flush=True)

    def _write(self, text: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)

    def row(self, key: Key) -> dict[str, Any] | None:
        """The newest result of that name that is whole."""
        found = [row for row in self.rows if key_of(row) == key and row.get("done")]
        return found[-1] if found else None

    def in_order(self, cells: Sequence[Cell]) -> list[Cell]:
        """What is not there yet, and after that what failed before."""
        failed = {key_of(row) for row in self.rows if "error" in row}
        missing = [cell for cell in cells if self.row(cell.key) is None]
        return sorted(missing, key=lambda cell: cell.key in failed)

    def pace(self, cells: Sequence[Cell]) -> float:
        """Seconds of what is done, as a multiple of what was thought that it takes; 1 where nothing is done."""
        thought = {cell.key: cell.seconds for cell in cells}
        done = [row for row in self.rows if row.get("done") and key_of(row) in thought]
        return sum(row["seconds"] for row in done) / sum(thought[key_of(row)] for row in done) if done else 1.0


def key_of(row: dict[str, Any]) -> Key:
    """A line's name."""
    return row["part"], row["name"], row["side"]


def said(row: dict[str, Any]) -> str:
    """A line of a terminal."""
    name = f"{row['part']}, {row['name']}, {row['side']}: "
    if "error" in row:
        return f"{name}failed: {row['error']}"
    if "images_per_second" in row:
        share = f"{row['of_peak']:.1%} of the peak, " if row.get("of_peak") else ""
        return f"{name}{row['images_per_second']:,.1f} images/s, {share}{row['mfu']:.1%} of the matmul rate"
    if "style_accuracy" in row:
        return f"{name}{row['style_accuracy']:.1%} after {row['training_seconds']:.1f} s, {row['steps']} steps"
    return name + ", ".join(f"{key} {value}" for key, value in row.items() if key in ("apart", "alike", "devices"))


def read(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the results of a file were measured on, and the results. A line that was cut off is left out.

    Raises:
      UserError: there is no such file, or nothing in it can be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    if not any(isinstance(row, dict) and row.get("part") == "about" for row in rows) and lines:
        raise UserError(f"{path} has no results of benchmarks.gpu")
    return [r for r in rows if r["part"] == "about"], [r for r in rows if r["part"] != "about"]
