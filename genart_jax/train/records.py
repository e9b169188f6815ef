"""What a run writes while it trains: rows of numbers and grids of pictures. A sweep's members each have their own.

RUN/metrics.jsonl, RUN/samples/     of a run alone; of a sweep, the means over its members, and no samples
RUN/samples/older/                  pictures of steps that an earlier attempt had reached, before it went back
RUN/members/N/                      a run directory of member N, with config.json, metrics.jsonl, samples/ and, at
                                    the end, summary.json; its checkpoints are the sweep's
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from numpy.typing import ArrayLike

from genart_jax.data import media
from genart_jax.data.grid import save_grid, scale_of
from genart_jax.runtime.values import Array, Json
from genart_jax.steps import sweep
from genart_jax.train import checkpoint
from genart_jax.train.checkpoint import Saved
from genart_jax.train.log import RunLog


class Records:
    """The log and the pictures of a run that is at `step`; of an earlier attempt, later rows are dropped, and later
    pictures set aside.

    Attributes:
      runs: the configurations of a sweep's members; () without one.
      places: their directories, or the run's own.
      last: the newest values of every figure, (members,).
      newest: the newest row of training, {} before there is one.
    """

    def __init__(
        self, directory: Path, saved: Saved, step: int, note: Callable[[str], None], unfinished: bool = False
    ) -> None:
        self.runs = sweep.runs(saved.run)
        self.places = [directory]
        self.last: dict[str, Array] = {}
        self._note, self._saved = note, saved
        self._lost: set[int] = set()  # members that diverged
        if self.runs:
            self.places = [checkpoint.member_directory(directory, i) for i in range(len(self.runs))]
        for i, (place, run) in enumerate(zip(self.places, self.runs, strict=False)):
            checkpoint.write_config(place, Saved(run, saved.data | {"member": i}))
        self._whole = RunLog(directory, step, note, unfinished)
        self._each = [RunLog(place, step, note, unfinished) for place in self.places] if self.runs else []
        if self._each and all(log.newest for log in self._each):
            names = self._each[0].newest.keys() - {"step"}
            self.last = {name: np.array([float(log.newest[name]) for log in self._each]) for name in names}
        if jax.process_index() == 0:
            self._set_aside(step)

    @property
    def newest(self) -> Json:
        """See the class."""
        return self._whole.newest

    def figures(self) -> Json:
        """What a summary says of training: of the newest row its metrics, its speed, and the seconds up to it."""
        row = dict(self.newest)
        row.pop("step", None)
        speed = {name: row.pop(name, 0.0) for name in ("images_per_second", "seconds")}
        return {"metrics": row} | speed

    def _set_aside(self, step: int) -> None:
        moved: list[Path] = []
        for place in self.places:
            for path in pictures_of(place):
                if int(path.stem) > step:
                    older = path.parent / "older"
                    older.mkdir(exist_ok=True)
                    names = (f"{path.stem}-{i}.png" if i else path.name for i in itertools.count())
                    target = next(p for name in names if not (p := older / name).exists())
                    if (moving := media.beside(path)).exists():
                        moving.rename(media.beside(target))
                    moved.append(path.rename(target))
        if moved:
            self._note(
                f"{len(moved)} pictures of steps after {step} are of an earlier attempt: now in {moved[0].parent}"
            )

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

    def save_pictures(
        self, step: int, pictures: Mapping[str, Array], words: Sequence[Sequence[str]] | None
    ) -> Iterator[Path]:
        """Draws the pictures of each, label -> (members, num, ...), and yields the files.

        Those of one label are a grid; those of several stand side by side under their labels, above their `words`.
        """
        about = checkpoint.provenance_of(self._saved, step) if self._saved.run.train.provenance else None
        for i, place in enumerate(self.places):
            path, own = place / "samples" / f"{step:06d}.png", {label: x[i] for label, x in pictures.items()}
            if not all(np.isfinite(x).all() for x in own.values()):
                if i not in self._lost:
                    self._note(f"step {step}: the pictures are not finite; none are drawn")
                continue
            try:
                if len(own) > 1:
                    media.save(path, own, lambda one: media.sheet(one, words), about)
                else:
                    (alone,) = own.values()
                    save_grid(path, alone, scale=scale_of(alone), about=about)
                yield path
            except OSError as error:
                self._note(f"{path} cannot be written ({error.strerror or error}); training goes on")


def name_unreadable(directory: Path, lines: Sequence[str], note: Callable[[str], None]) -> None:
    """Writes the names of all files of the data that were left out: the warning shows only the first."""
    path = directory / "unreadable.txt"
    if lines and jax.process_index() == 0:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")
        note(f"{len(lines)} files of the data are left out; {path} names them all")


def pictures_of(directory: Path) -> list[Path]:
    """The grids that a run has drawn while it trained, by their steps."""
    found = (path for path in (directory / "samples").glob("[0-9]*.png") if path.stem.isdecimal())
    return sorted(found, key=lambda path: int(path.stem))


class Means:
    """Metrics since the last row: sums in float64, one step after another, so that a stop in between changes none.

    A checkpoint carries them, as `content` gives them.
    """

    def __init__(self, content: Json | None = None) -> None:
        self._sums = {name: (np.array(total, np.float64), int(n)) for name, (total, n) in (content or {}).items()}

    def add(self, values: Mapping[str, Array]) -> None:
        """Adds steps: (steps, members) of each metric."""
        for name, rows in values.items():
            total, count = self._sums.get(name, (np.zeros(rows.shape[1:]), 0))
            for row in rows:
                total = total + row
            self._sums[name] = total, count + len(rows)

    def take(self) -> dict[str, Array]:
        """The means (members,); it begins anew."""
        means, self._sums = self.peek(), {}
        return means

    def peek(self) -> dict[str, Array]:
        """The means so far (members,)."""
        return {name: total / count for name, (total, count) in self._sums.items()}

    def content(self) -> Json:
        """As JSON can hold it; {} right after a row."""
        return {name: [total.tolist(), count] for name, (total, count) in self._sums.items()}


def mean_of_finite(values: ArrayLike) -> float:
    """The mean over the members whose value is finite; where none is, the first's."""
    found = np.atleast_1d(np.asarray(values, np.float64))
    finite = found[np.isfinite(found)]
    return float(finite.mean() if finite.size else found[0])
