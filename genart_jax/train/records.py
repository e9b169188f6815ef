"""What a run writes while it trains: rows of numbers and grids of pictures. A sweep's members each have their own.

RUN/metrics.jsonl, RUN/samples/     of a run alone; of a sweep, the means over its members, and no samples
RUN/members/N/                      a run directory of member N, with config.json, metrics.jsonl, samples/ and, at
                                    the end, summary.json; its checkpoints are the sweep's
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genart_jax import sweep
from genart_jax.grid import save_grid
from genart_jax.train import checkpoint
from genart_jax.train.checkpoint import Saved
from genart_jax.train.log import RunLog

Array = np.ndarray[Any, Any]


class Records:
    """The log and the pictures of a run that is at `step`; later rows of an earlier attempt are dropped.

    Attributes:
      runs: the configurations of a sweep's members; () without one.
      places: their directories, or the run's own.
      last: the newest values of every figure, (members,).
    """

    def __init__(self, directory: Path, saved: Saved, step: int, note: Callable[[str], None]) -> None:
        self.runs = sweep.runs(saved.run)
        self.places = [directory]
        self.last: dict[str, Array] = {}
        self._note = note
        self._lost: set[int] = set()  # members that diverged
        if self.runs:
            self.places = [checkpoint.member_directory(directory, i) for i in range(len(self.runs))]
        for i, (place, run) in enumerate(zip(self.places, self.runs, strict=False)):
            checkpoint.write_config(place, Saved(run, saved.data | {"member": i}))
        self._whole = RunLog(directory, step, note)
        self._each = [RunLog(place, step, note) for place in self.places] if self.runs else []

    def write(
        self, step: int, values: Mapping[str, Array], more: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Writes figures (members,) as rows, their means with `more` in the run's; returns the means."""
        row = {name: mean_of_finite(value) for name, value in values.items()}
        self._whole.write(step, row | dict(more or {}))
        for i, log in enumerate(self._each):
            own = {name: float(value[i]) for name, value in values.items()}
            log.write(step, own)
            if i not in self._lost and (bad := [name for name, value in own.items() if not np.isfinite(value)]):
                self._lost.add(i)
                self._note(f"member {i} has diverged, {bad[0]} is {own[bad[0]]} by step {step}; the others go on")
        self.last |= values
        return row

    def save_grids(self, step: int, images: Array, columns: int | None) -> Iterator[Path]:
        """Draws the pictures (members, num, ...) of each, and yields the files."""
        for i, (place, own) in enumerate(zip(self.places, images, strict=True)):
            path = place / "samples" / f"{step:06d}.png"
            if not np.isfinite(own).all():
                if i not in self._lost:
                    self._note(f"step {step}: the pictures are not finite; none are drawn")
                continue
            try:
                save_grid(path, own, columns, scale=max(1, 96 // own.shape[1]))
                yield path
            except OSError as error:
                self._note(f"{path} cannot be written ({error.strerror or error}); training goes on")


def mean_of_finite(values: Any) -> float:
    """The mean over the members whose value is finite; where none is, the first's."""
    found = np.atleast_1d(np.asarray(values, np.float64))
    finite = found[np.isfinite(found)]
    return float(finite.mean() if finite.size else found[0])
