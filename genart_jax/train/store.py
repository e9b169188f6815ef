"""The checkpoints of a run: saved by Orbax in the background, sealed by sums, and used only where these hold.

    checkpoints/STEP/orbax/        the state, as Orbax writes it
    checkpoints/STEP/about.json    step, configuration, data, versions, figures, shapes of all leaves
    checkpoints/STEP/SHA256SUMS    written last
    checkpoints/damaged/           what a repair, or a save of the same step, has set aside

A save grows in `.saving-STEP` and gets its name by one rename, so a step is there whole or not at all.
"""

from __future__ import annotations

import base64
import datetime
import functools
import itertools
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import jax
from orbax.checkpoint import v1 as ocp

from genart_jax.config import NotSavedError, UserError
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Json
from genart_jax.train import cluster, manifest
from genart_jax.train.about import difference, leaves_of, read_about, read_old, versions
from genart_jax.train.manifest import DamageError
from genart_jax.types import State

_LAYOUT = 2
_begun = itertools.count()  # saves of this process: the same number in all
_MARGIN = 4 * 2**20  # bytes that a save needs beside its arrays, and that a full disk should keep for the log


Stamp = tuple[tuple[str, int, int], ...]
"""Of each of a step's files: its name, size and time."""


class Pending(Protocol):
    """A save that Orbax has begun."""

    def result(self) -> object:
        """Waits until it is written, and raises what went wrong."""


class Checkpoints:
    """`checkpoints/STEP` of a run directory: the newest `keep` of them, and the best by one figure.

    Attributes:
      skipped: what the last `load` passed over, one line a step.
      about: what the checkpoint that was loaded last says of itself.
    """

    def __init__(
        self,
        directory: str | Path,
        keep: int = 2,
        best: str = "",
        about: Json | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """Opens the checkpoints of a run; nothing is written before the first save.

        Args:
          keep: how many of the newest to keep.
          best: figure by which one more is kept, as in "accuracy:max".
          about: what every checkpoint holds; `id` tells the run's from another's.
          note: told of saves that fail and of steps that are passed over; None: the log.
        """
        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax warns of every normal save
        self.path = expanded(directory).absolute() / "checkpoints"
        self.skipped: list[str] = []
        self.about: Json = {}
        self._keep, self._best, self._about = max(1, keep), best, dict(about or {})
        self._note = note or logging.getLogger(__name__).warning
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._pending: tuple[int, Future[None]] | None = None
        self._known: set[int] = set()  # steps that were saved or loaded here
        self._whole: dict[int, Stamp] = {}  # step -> what its files looked like when their sums were right
        self._unusable: set[int] = set()  # steps that `load` has passed over
        self._saved: list[int] = []

    def entries(self) -> list[int]:
        """The steps that there are folders of, whole or not, ascending."""
        if not self.path.is_dir():
            return []
        names = (entry.name for entry in self.path.iterdir() if entry.is_dir())
        return sorted(int(n) for n in names if n.isascii() and n.isdecimal() and str(int(n)) == n)

    def steps(self) -> list[int]:
        """The steps whose save was finished, ascending; whether they are still whole, `check` says."""
        return [s for s in self.entries() if (self._folder(s) / manifest.NAME).is_file() or self._is_old(s)]

    def saved(self) -> list[int]:
        """The steps that came to be whole on the disk since this was last asked."""
        if self._pending is not None and self._pending[1].done():
            self.wait()
        steps, self._saved = self._saved, []
        return steps

    def save(
        self,
        state: State,
        position: bytes | None,
        figures: Mapping[str, float] | None = None,
        about: Json | None = None,
    ) -> bool:
        """Begins to save a state (its frozen part excepted) and the position of streamed data.

        The state is on its way when this returns, and may be donated. A save that fails is told to `note`, and leaves
        nothing behind.

        Args:
          figures: of an evaluation of this state.
          about: what else about.json is to hold.

        Returns:
          Whether it was begun, or is there already.
        """
        self.wait()
        step, state = int(state.step), state.replace(frozen={})
        if cluster.first_says(lambda: step in self._known and step in self.steps()):
            return True
        leaves, size = leaves_of(state), sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        try:
            cluster.first_says(lambda: self._make_room(size))
            response = ocp.save_async(self._growing(step) / "orbax", state)
        except Exception as error:  # whatever Orbax or the file system raises: the run need not die of it
            self._failed(step, error)
            return False
        said = self._about | dict(about or {}) | {
            "layout": _LAYOUT,
            "step": step,
            "position": None if position is None else base64.b64encode(position).decode(),
            "figures": dict(figures or {}),
            "leaves": leaves,
            "versions": versions(),
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        self._pending = step, self._pool.submit(self._finish, response, step, said, next(_begun))
        return True

    def wait(self) -> None:
        """Waits for the save under way."""
        if self._pending is None:
            return
        (step, future), self._pending = self._pending, None
        try:
            future.result()
        except Exception as error:
            self._failed(step, error)
            return
        self._known.add(step)
        self._saved.append(step)

    def require(self, step: int) -> None:
        """Raises NotSavedError unless the state of `step` is on the disk."""
        self.wait()
        if step not in self._known:
            where = f"step {self.steps()[-1]} is the newest that is" if self.steps() else "none is"
            raise NotSavedError(
                f"the state of step {step} could not be saved in {self.path}, {where}; make room there, and the same"
                " command goes on from it"
            )

    def load(self, abstract: State, step: int | None = None) -> tuple[State, bytes | None]:
        """The newest state that is whole (or that of `step`), and its data position; `note` is told what is skipped.

        Args:
          abstract: shapes, dtypes and shardings; its frozen part is handed on.
          step: which; None: the newest good one.

        Raises:
          UserError: there is none, or none that fits; says why for each.
        """
        self.wait()
        wanted, self.skipped = abstract.replace(frozen={}), []
        entries = cluster.first_says(lambda: [s for s in reversed(self.entries()) if step in (None, s)])
        for number in entries:
            try:
                about = cluster.first_says(functools.partial(self.check, number, wanted))
                folder = self._folder(number)
                state = ocp.load(folder if self._is_old(number) else folder / "orbax", wanted)
            except Exception as error:  # also whatever Orbax raises: an older one may be whole
                lines = str(error).strip().splitlines() or [type(error).__name__]
                self.skipped.append(f"checkpoint {number} is passed over: {lines[0][:300]}")
                self._unusable.add(number)
                continue
            for line in self.skipped:
                self._note(line)
            self._known.add(number)
            self.about, position = about, about.get("position")
            return state.replace(frozen=abstract.frozen), None if position is None else base64.b64decode(position)
        which = "" if step is None else f" of step {step}"
        why = "; ".join(self.skipped) or "there is none"
        raise UserError(f"no checkpoint{which} can be used in {self.path}: {why}; see genart checkpoint repair")

    def check(self, step: int, abstract: State | None = None) -> Json:
        """What about.json of a step holds; position only, for one of the layout before there were sums.

        Raises:
          DamageError: the step is not whole, another's, or does not fit `abstract`.
        """
        folder = self._folder(step)
        if self._is_old(step):
            return read_old(folder)
        manifest.verify(folder)
        about = read_about(folder)
        if about["layout"] != _LAYOUT:
            raise DamageError(f"it has layout {about['layout']}, this program reads {_LAYOUT}")
        if about["step"] != step:
            raise DamageError(f"it is a copy of step {about['step']}")
        if self._about.get("id") not in (None, about.get("id")):
            raise DamageError(f"it belongs to another run, of {about.get('run', {}).get('name', 'another program')}")
        if abstract is not None and (different := difference(about["leaves"], leaves_of(abstract))):
            raise DamageError(f"it does not fit this model: {different}")
        return about

    def best(self, usable: Callable[[int], bool] = lambda step: True) -> int | None:
        """The step with the best figure, or None where none has it; `usable` says which steps count."""
        name, _, sense = self._best.partition(":")
        found = {}
        for step in filter(usable, self.steps()):
            try:
                figure = read_about(self._folder(step))["figures"][name]
            except (DamageError, KeyError, TypeError):
                continue
            found[step] = figure if sense == "max" else -figure
        return max(found, key=lambda step: (found[step], step)) if found else None

    def seal(self, step: int) -> str:
        """What tells the saved state of a step from any other: SHA-256 of its sums, "" where there is none."""
        names = (manifest.NAME, "_CHECKPOINT_METADATA")
        found = [file for name in names if (file := self._folder(step) / name).is_file()]
        return manifest.digest(found[0]) if found else ""

    def set_aside(self, step: int) -> Path:
        """Moves a step's folder to `damaged/`, and returns where it lies now."""
        place = self.path / "damaged"
        place.mkdir(exist_ok=True)
        free = next(p for i in range(10**6) if not (p := place / (f"{step}-{i}" if i else str(step))).exists())
        return self._folder(step).rename(free)

    def clear(self) -> list[str]:
        """Removes what saves that were cut off have left; returns the names."""
        left = sorted(self.path.glob(".saving-*")) if jax.process_index() == 0 else []
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return [folder.name for folder in left]

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()
        self._pool.shutdown()

    def _folder(self, step: int) -> Path:
        return self.path / str(step)

    def _growing(self, step: int) -> Path:
        return self.path / f".saving-{step}"

    def _is_old(self, step: int) -> bool:
        """Whether Orbax's own sequence of checkpoints wrote it, as this package did before it had sums."""
        folder = self._folder(step)
        return (folder / "_CHECKPOINT_METADATA").is_file() and (folder / "state").is_dir()

    def _make_room(self, needed: int) -> None:
        self.clear()
        self.path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path).free
        if free < needed + _MARGIN:
            raise NotSavedError(f"{(needed + _MARGIN) / 2**20:.0f} MiB are needed, {free / 2**20:.0f} MiB are free")

    def _finish(self, response: Pending, step: int, about: Json, id_: int) -> None:
        """Seals what Orbax has written, gives it its name, and removes what is no longer kept. In the background.

        The first process does; the others wait for it.
        """
        if jax.process_index():
            response.result()
        cluster.first_says(lambda: self._seal(response, step, about), f"seal/{id_}")

    def _seal(self, response: Pending, step: int, about: Json) -> None:
        response.result()
        growing, folder = self._growing(step), self._folder(step)
        manifest.write_file(growing / "about.json", json.dumps(about) + "\n")
        manifest.write(growing)
        if folder.exists():  # one that could not be used, or the run would not have come to this step again
            self.set_aside(step)
        growing.rename(folder)
        manifest.sync(self.path)
        self._unusable.discard(step)
        self._whole[step] = self._stamp(step)
        self._remove_old(step)

    def _remove_old(self, step: int) -> None:
        """Keeps the newest that are whole, and the best; `step` was saved just now."""
        own = [s for s in self.steps() if s in self._known or s == step or self._is_own(s)]
        best = self.best(self._is_whole) if self._best else None
        good = 0
        for old in reversed(own):
            if good < self._keep:
                good += self._is_whole(old)
            elif old not in (best, step):
                shutil.rmtree(self._folder(old), ignore_errors=True)

    def _is_whole(self, step: int) -> bool:
        """Whether a step can be gone back to; read only where its files have changed since that was known."""
        if step in self._unusable:
            return False
        if self._is_old(step) or self._whole.get(step) == (stamp := self._stamp(step)):
            return True
        try:
            manifest.verify(self._folder(step))
        except DamageError:
            self._unusable.add(step)
            return False
        self._whole[step] = stamp
        return True

    def _stamp(self, step: int) -> Stamp:
        """Names, sizes and times of a step's files."""
        folder = self._folder(step)
        found = ((file.as_posix(), file.stat()) for file in [*manifest.files(folder), folder / manifest.NAME])
        return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)

    def _is_own(self, step: int) -> bool:
        """Whether a step is this run's to remove."""
        if self._is_old(step):
            return True
        try:
            about = read_about(self._folder(step))
        except DamageError:
            return False
        return bool(about["step"] == step and about.get("id") == self._about.get("id"))

    def _failed(self, step: int, error: Exception) -> None:
        self.clear()
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        self._note(f"checkpoint {step} could not be saved ({first}); training goes on")
