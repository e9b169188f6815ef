"""A run's rows of numbers: metrics.jsonl, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jax


class RunLog:
    """Appends rows to metrics.jsonl; rows later than `step` (of a run that is resumed there) are dropped first."""

    def __init__(self, directory: Path, step: int) -> None:
        self.path, self._writes = directory / "metrics.jsonl", jax.process_index() == 0
        if not self._writes:
            return
        kept = [row for row in read_rows(self.path) if row["step"] <= step]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        temporary.replace(self.path)
        self._tensorboard = _tensorboard(directory)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """One row; numbers that JSON cannot hold (NaN, infinity) become strings. Only the first process writes."""
        if not self._writes:
            return
        finite = {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in values.items()}
        row = {"step": step} | finite
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if self._tensorboard is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._tensorboard.add_scalar(name, value, step)
            self._tensorboard.flush()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a last line that was cut off in the middle is left out."""
    rows = []
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


def _tensorboard(directory: Path) -> Any:
    try:
        from tensorboard.summary import Writer  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    return Writer(str(directory / "tensorboard"))
