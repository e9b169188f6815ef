"""What is asked, done and liked, in one SQLite file (WAL) with the pictures in folders beside it.

FOLDER/studio.sqlite, FOLDER/jobs/ID/NAME, FOLDER/uploads/ID, FOLDER/favourites/ID.png. Names of files are made here;
none comes from a request.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from genart_jax.app.studio.limits import Limits
from genart_jax.config import UserError
from genart_jax.runtime.values import Json

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, made REAL NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL,
  inputs TEXT NOT NULL, files TEXT NOT NULL, tries INTEGER NOT NULL, note TEXT NOT NULL, result TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, made);
CREATE TABLE IF NOT EXISTS favourites (
  id TEXT PRIMARY KEY, made REAL NOT NULL, verdict INTEGER NOT NULL, recipe TEXT NOT NULL
) STRICT;
"""
_COLUMNS = "id, made, state, kind, model, inputs, files, tries, note, result"
ENDED = ("done", "failed", "cancelled")
_ID = re.compile(r"[0-9a-f]{32}")


class FullError(Exception):
    """The queue has no place; try again later."""


class NoSpaceError(Exception):
    """The disk is full."""


class Job(NamedTuple):
    """One thing that was asked for.

    Attributes:
      id: 32 hexadecimal digits.
      made: when, seconds since 1970.
      state: waiting, running, done, failed or cancelled.
      kind: what is to be done; see `forms`.
      model: by which model.
      inputs: what the form held, checked.
      files: name of an input -> place of the picture that it means.
      tries: how often it was begun.
      note: why it failed.
      result: what came out; the worker's.
    """

    id: str
    made: float
    state: str
    kind: str
    model: str
    inputs: Json
    files: Json
    tries: int
    note: str
    result: Json

    def public(self) -> Json:
        """Without places on this machine."""
        return {name: value for name, value in self._asdict().items() if name != "files"}


def new_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_hex(16)


def is_id(word: str) -> bool:
    """Whether a word has the form of an id."""
    return _ID.fullmatch(word) is not None


class Store:
    """The file and the folders.

    Raises:
      UserError: the folder cannot be written, or another studio uses it.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits, self._lock = folder, limits, threading.RLock()
        try:
            for place in (folder, *(folder / name for name in ("jobs", "uploads", "favourites"))):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._base = sqlite3.connect(folder / "studio.sqlite", timeout=0.5, check_same_thread=False)
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.executescript(_TABLES)
            self._base.execute("UPDATE jobs SET state = 'waiting' WHERE state = 'running'")
            self._base.commit()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise UserError(f"another studio uses {folder}; choose another with --folder") from None
            raise UserError(f"{folder} cannot be used: {error}") from None
        except (OSError, sqlite3.DatabaseError) as error:
            raise UserError(f"{folder} cannot be used: {error}") from None

    def close(self) -> None:
        """Ends it; what it held stays."""
        with self._lock:
            self._base.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._base:
                    yield self._base
            except sqlite3.OperationalError as error:
                if "full" in str(error) or "disk" in str(error):
                    raise NoSpaceError from error
                raise

    def _rows(self, text: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            return self._base.execute(text, values).fetchall()

    def add(self, kind: str, model: str, inputs: Json, files: Json) -> Job:
        """A job for the queue.

        Raises:
          FullError: too many wait.
          NoSpaceError: the disk is full.
        """
        self.check_space()
        job = Job(new_id(), time.time(), "waiting", kind, model, inputs, files, 0, "", {})
        with self._writing() as base:
            if self.waiting() >= self.limits.waiting:
                raise FullError
            texts = json.dumps(inputs), json.dumps(files)
            row = (*job[:5], *texts, 0, "", "{}")
            base.execute(f"INSERT INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return job

    def waiting(self) -> int:
        """How many jobs wait."""
        return int(str(self._rows("SELECT count(*) FROM jobs WHERE state = 'waiting'")[0][0]))

    def take(self) -> Job | None:
        """The job that has waited longest, now running; None where none waits."""
        with self._writing() as base:
            rows = self._jobs("WHERE state = 'waiting' ORDER BY made, rowid LIMIT 1")
            if not rows:
                return None
            base.execute("UPDATE jobs SET state = 'running', tries = tries + 1 WHERE id = ?", (rows[0].id,))
        return rows[0]._replace(state="running", tries=rows[0].tries + 1)

    def end(self, id_: str, state: str, note: str = "", result: Json | None = None) -> None:
        """A job is done, failed or cancelled, or waits again."""
        with self._writing() as base:
            values = state, note[:500], json.dumps(result or {}), id_
            base.execute("UPDATE jobs SET state = ?, note = ?, result = ? WHERE id = ?", values)

    def find(self, id_: str) -> Job | None:
        """A job by its id; None where there is none."""
        return next(iter(self._jobs("WHERE id = ?", (id_,))), None) if is_id(id_) else None

    def newest(self, most: int = 50) -> list[Job]:
        """The newest jobs, the newest first."""
        return self._jobs("ORDER BY made DESC, rowid DESC LIMIT ?", (most,))

    def _jobs(self, where: str, values: Sequence[object] = ()) -> list[Job]:
        rows = self._rows(f"SELECT {_COLUMNS} FROM jobs {where}", values)
        texts = lambda row: (*row[:5], *map(json.loads, row[5:7]), *row[7:9], json.loads(row[9]))
        return [Job(*texts(row)) for row in rows]

    def remove(self, id_: str) -> None:
        """A job that has ended, and its pictures."""
        with self._writing() as base:
            base.execute("DELETE FROM jobs WHERE id = ?", (id_,))
        shutil.rmtree(self.folder / "jobs" / id_, ignore_errors=True)

    def place(self, id_: str) -> Path:
        """Where a job's files are."""
        return self.folder / "jobs" / id_

    def file(self, id_: str, name: str) -> Path | None:
        """A file of a job that its result names, or what there is of it while it runs; None where there is none."""
        job = self.find(id_)
        names = [] if job is None else ["live.png", *(one["file"] for one in job.result.get("pictures", ()))]
        path = self.place(id_) / name
        return path if name in names and path.is_file() else None

    def upload(self, content: bytes) -> str:
        """Keeps what was sent, undecoded; its id.

        Raises:
          NoSpaceError: the disk is full.
        """
        self.check_space()
        id_ = new_id()
        self._write(self.folder / "uploads" / id_, content)
        return id_

    def uploaded(self, id_: str) -> Path | None:
        """Where an upload is; None where there is none."""
        path = self.folder / "uploads" / id_
        return path if is_id(id_) and path.is_file() else None

    def favour(self, content: bytes, verdict: int, recipe: Json) -> str:
        """Keeps a picture (verdict 1), or that it is not liked (-1); its id. The same recipe is kept once."""
        self.check_space()
        text = json.dumps(recipe, sort_keys=True)
        same = self._rows("SELECT id FROM favourites WHERE recipe = ?", (text,))
        id_ = str(same[0][0]) if same else new_id()
        self._write(self.folder / "favourites" / f"{id_}.png", content)
        with self._writing() as base:
            values = id_, time.time(), verdict, text
            base.execute("INSERT OR REPLACE INTO favourites (id, made, verdict, recipe) VALUES (?, ?, ?, ?)", values)
        return id_

    def favourites(self) -> list[Json]:
        """What is liked and what is not, the newest first."""
        rows = self._rows("SELECT id, made, verdict, recipe FROM favourites ORDER BY made DESC, rowid DESC")
        names = "id", "made", "verdict", "recipe"
        return [dict(zip(names, (*row[:3], json.loads(str(row[3]))), strict=True)) for row in rows]

    def favourite(self, id_: str) -> Path | None:
        """Where a kept picture is; None where there is none."""
        path = self.folder / "favourites" / f"{id_}.png"
        return path if is_id(id_) and path.is_file() else None

    def forget(self, id_: str) -> None:
        """Takes one kept picture away."""
        with self._writing() as base:
            base.execute("DELETE FROM favourites WHERE id = ?", (id_,))
        (self.folder / "favourites" / f"{id_}.png").unlink(missing_ok=True)

    def reset(self) -> int:
        """Forgets what is not liked; how many."""
        others = [one["id"] for one in self.favourites() if one["verdict"] < 0]
        for id_ in others:
            self.forget(id_)
        return len(others)

    def taste(self) -> Json:
        """Where pictures are that are liked, "liked.0" and so on, and that are not, "disliked.0"."""
        out: Json = {}
        for word, verdict in (("liked", 1), ("disliked", -1)):
            own = [one["id"] for one in self.favourites() if one["verdict"] == verdict]
            out |= {
                f"{word}.{i}": str((self.folder / "favourites" / f"{id_}.png").resolve()) for i, id_ in enumerate(own)
            }
        return out

    def check_space(self) -> None:
        """Raises NoSpaceError where the disk has no room for something new."""
        if shutil.disk_usage(self.folder).free < self.limits.free:
            raise NoSpaceError

    def _write(self, path: Path, content: bytes) -> None:
        part = path.with_suffix(".part")
        try:
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpaceError from error
            raise

    def tidy(self) -> None:
        """Removes what has ended and is too old, then the oldest until the rest fits; favourites stay."""
        since = time.time() - 86400 * self.limits.days
        marks = ", ".join("?" * len(ENDED))
        ended = [
            (float(str(row[1])), self.place(str(row[0])))
            for row in self._rows(f"SELECT id, made FROM jobs WHERE state IN ({marks})", ENDED)
        ]
        needed = {
            Path(one) for job in self._jobs("WHERE state IN ('waiting', 'running')") for one in job.files.values()
        }
        sent = [(p.stat().st_mtime, p) for p in (self.folder / "uploads").iterdir() if p not in needed]
        sizes = {path: _size(path) for _, path in (*ended, *sent)}
        total = sum(sizes.values())
        for made, path in sorted((*ended, *sent)):
            if made >= since and total <= self.limits.disk:
                break
            total -= sizes[path]
            if path.parent.name == "jobs":
                self.remove(path.name)
            else:
                path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return (
        sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size if path.exists() else 0
    )
