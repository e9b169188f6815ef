"""Votes in one SQLite file: one a judge and question."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import NamedTuple

from genart_jax.app.judge.plan import Ask, Question
from genart_jax.config import UserError
from genart_jax.runtime.values import Json

_TABLE = """
CREATE TABLE IF NOT EXISTS votes (
  judge TEXT NOT NULL, expert INTEGER NOT NULL, ask TEXT NOT NULL, number INTEGER NOT NULL, question TEXT NOT NULL,
  answer TEXT NOT NULL, seconds REAL NOT NULL, made REAL NOT NULL, UNIQUE (judge, ask, number)
) STRICT;
"""
FILE = "votes.sqlite"


class Vote(NamedTuple):
    """What somebody answered, of pairs {"choice": "left" | "right" | "neither"}; `seconds` after it was shown."""

    judge: str
    expert: bool
    ask: Ask
    number: int
    question: Question
    answer: Json
    seconds: float


class Votes:
    """The file.

    Raises:
      UserError: it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._base = sqlite3.connect(folder / FILE, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.executescript(_TABLE)
        except (OSError, sqlite3.DatabaseError) as error:
            raise UserError(f"{folder} cannot be used: {error}") from None

    def close(self) -> None:
        """Ends it; votes stay."""
        with self._lock:
            self._base.close()

    def add(self, vote: Vote) -> bool:
        """Keeps a vote; False where this judge has answered it before, which stays."""
        texts = json.dumps(vote.question), json.dumps(vote.answer)
        row = (vote.judge, int(vote.expert), vote.ask, vote.number, *texts, vote.seconds, time.time())
        with self._lock, self._base:
            made = self._base.execute("INSERT OR IGNORE INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        return made.rowcount == 1

    def next(self, judge: str, ask: Ask) -> int:
        """The number of the first question that a judge has not answered."""
        with self._lock:
            row = self._base.execute("SELECT count(*) FROM votes WHERE judge = ? AND ask = ?", (judge, ask)).fetchone()
        return int(row[0])

    def all(self, ask: Ask) -> list[Vote]:
        """All votes of a kind, in the order that they were given."""
        with self._lock:
            rows = self._base.execute(
                "SELECT judge, expert, ask, number, question, answer, seconds FROM votes WHERE ask = ? ORDER BY rowid",
                (ask,),
            ).fetchall()
        return [Vote(r[0], bool(r[1]), r[2], r[3], _question(r[4]), json.loads(r[5]), r[6]) for r in rows]


def _question(text: str) -> Question:
    left, right, broken = json.loads(text)
    return Question((left[0], left[1]), right and (right[0], right[1]), broken)
