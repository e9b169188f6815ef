"""A run's rows of numbers: metrics.jsonl, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from genart_jax.runtime.values import Json
from genart_jax.train import manifest


class RunLog:
    """Appends rows to metrics.jsonl; rows later than `step` (of a run that is resumed there) are dropped first.

    A row that cannot be written (a full disk) is told to `note` once, and lost: a run need not end for it.

    Attributes:
      newest: the last row of training, {} before there is one.
    """

    def __init__(
        self,
        directory: Path,
        step: int,
        note: Callable[[str], None] = lambda text: None,
        unfinished: bool = False,
    ) -> None:
        """Args:
        unfinished: the row at `step` is one that a stop has cut off; its mean goes on.
        """
        self.path, self._writes = directory / "metrics.jsonl", jax.process_index() == 0
        self._note, self._failed = note, False
        self.newest: Json = {}
        self._aside: set[tuple[int, str]] = set()
        if not self._writes:
            return
        kept = [row for row in read_rows(self.path) if row["step"] <= step]
        for row in kept:
            if aside := aside_of(row):
                self._aside.add((row["step"], aside))
            else:
                self.newest = row
        if unfinished:
            kept = [row for row in kept if row["step"] < step or aside_of(row)]
        manifest.write_file(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        self._tensorboard = _tensorboard(directory)

    def write(self, step: int, values: Json) -> None:
        """One row; numbers that JSON cannot hold (NaN, infinity) become strings. Only the first process writes."""
        aside = aside_of(values)
        if not self._writes or (aside and (step, aside) in self._aside):
            return
        finite = {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in values.items()}
        row = {"step": step} | finite
        if aside:
            self._aside.add((step, aside))
        else:
            self.newest = row
        # After a row that was cut off, on a line of its own.
        line = "\n" * self._failed + json.dumps(row) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
            self._failed = False
        except OSError as error:
            if not self._failed:
                self._note(f"{self.path} cannot be written ({error.strerror or error}); training goes on")
            self._failed = True
            return
        if self._tensorboard is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._tensorboard.add_scalar(name, value, step)
            self._tensorboard.flush()


def aside_of(row: Json) -> str:
    """What a row is about besides training: "test", "held_out", or "" for a row of training."""
    return next((part for name in row for part in ("test", "held_out") if name.startswith(f"{part}/")), "")


def read_rows(path: Path) -> list[Json]:
    """The rows of a metrics.jsonl; lines that were cut off or are damaged are left out."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                rows.append(row)
    return rows


def _tensorboard(directory: Path) -> Any:
    try:
        from tensorboard.summary import Writer
    except ImportError:
        return None
    return Writer(str(directory / "tensorboard"))
