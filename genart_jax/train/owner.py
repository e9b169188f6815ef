"""Who trains a run directory: one process at a time, of several hosts' the first. RUN/owner.json says which.

The file is made with O_EXCL, which holds on network file systems too, where locks of the system's own may do nothing.
Its process touches it every `BEAT` seconds and removes it in the end. One that a crash, a kill or a reboot has left is
stale: at once, where it names a process of this machine that is no longer there; else when nobody has touched it for
`PATIENCE` seconds, by the clock of the file system, since those of hosts differ.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from genart_jax.config import NotSavedError, UserError
from genart_jax.runtime.values import Json
from genart_jax.train import cluster

NAME = "owner.json"
BEAT, PATIENCE = 5.0, 30.0  # seconds


class _Seen(NamedTuple):
    """What the file says, {} where that is damaged, and when it was touched last."""

    said: Json
    touched: float


class Owner:
    """This process as the one that trains `directory`; in the other processes of a run it does nothing."""

    def __init__(self, directory: Path, note: Callable[[str], None]) -> None:
        self.directory, self._path, self._note = directory, directory.absolute() / NAME, note  # whoever goes elsewhere
        self._token, self._done, self._made = secrets.token_hex(8), threading.Event(), list[Path]()
        self._thread: threading.Thread | None = None
        self.lost = False  # another process has taken the directory over

    def acquire(self) -> None:
        """Makes the directory, if need be, and the file in it.

        Raises:
          UserError: another process has it, or it cannot be written.
        """
        try:
            self._made = [p for p in (self.directory, *self.directory.parents) if not p.exists()]
            self.directory.mkdir(parents=True, exist_ok=True)
            while not self._write():
                self._remove_stale()
        except OSError as error:
            raise UserError(f"{self.directory} cannot be written: {error.strerror or error}") from None
        self._thread = threading.Thread(target=self._beat, name="owner", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises NotSavedError where another process has taken the directory over: this one was held up for long."""
        if self._thread is not None and not self.lost:
            seen = self._read()
            self.lost = seen is not None and seen.said.get("token") not in (None, self._token)
        if self.lost:
            raise NotSavedError(
                f"{self.directory}: another process has taken this run over, as this one gave no sign of life for"
                f" {PATIENCE:.0f} s; it ends here and writes nothing more"
            )

    def release(self) -> None:
        """Removes the file, and folders that were made for it and have stayed empty."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            seen = self._read()
            if seen is not None and seen.said.get("token") == self._token:
                self._path.unlink()
            for folder in self._made:
                folder.rmdir()

    def _write(self) -> bool:
        """Makes the file; False where there is one."""
        try:
            handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        said = _place(self.directory) | {"process": os.getpid(), "started": _started(os.getpid())}
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(said | {"since": now, "token": self._token}) + "\n")
        return True

    def _read(self) -> _Seen | None:
        """The file as it is now (opening it asks a network's server), or None."""
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                touched = os.fstat(file.fileno()).st_mtime
                return _Seen(_parsed(file.read()), touched)
        except OSError:
            return None

    def _remove_stale(self) -> None:
        """Removes the file of a process that is no more; waits where only time can tell.

        Raises:
          UserError: the process is there.
        """
        seen = first = self._read()
        begun, told = time.monotonic(), False
        while seen is not None and (alive := _alive(seen.said, self.directory)) is not False:
            assert first is not None
            if alive or seen != first:
                raise UserError(
                    f"{self.directory} is in use by process {seen.said.get('process', '?')} on"
                    f" {seen.said.get('host', '?')}, since {seen.said.get('since', '?')}; wait for its end, or choose"
                    " another --run"
                )
            if max(self._now() - seen.touched, time.monotonic() - begun) > PATIENCE:
                break
            if not told:
                self._note(f"{self._path} is of process {seen.said.get('process', '?')} on"
                           f" {seen.said.get('host', '?')}; up to {PATIENCE:.0f} s until it is clear whether that"
                           " still runs")  # fmt: skip
                told = True
            time.sleep(min(0.5, BEAT / 5))
            seen = self._read()
        if seen is None:
            return
        aside = self.directory / f".{NAME}-{self._token}"
        with contextlib.suppress(FileNotFoundError):  # another was quicker
            self._path.rename(aside)
            if _parsed(aside.read_text(errors="replace")) != seen.said:
                os.link(aside, self._path)  # it is that other's: back with it
            aside.unlink()

    def _now(self) -> float:
        """The time by the clock that `touched` is by."""
        probe = self.directory / f".{NAME}-{self._token}"
        probe.write_text("")
        now = probe.stat().st_mtime
        probe.unlink()
        return now

    def _beat(self) -> None:
        while not self._done.wait(BEAT):
            with contextlib.suppress(OSError):  # a network's file system may be away for a while
                seen = self._read()
                if seen is None and self.directory.is_dir():
                    self._write()
                elif seen is not None and seen.said.get("token") == self._token:
                    os.utime(self._path)
                elif seen is not None and seen.said:
                    self.lost = True
                    return


@contextlib.contextmanager
def owning(directory: Path, note: Callable[[str], None] = lambda text: None) -> Iterator[Owner]:
    """Inside its `with`, this run's processes alone may write into the directory.

    Raises:
      UserError: another process has it, or it cannot be written; in all processes.
    """
    owner = Owner(directory, note)
    try:
        cluster.first_says(owner.acquire)
    except RuntimeError as error:  # the first process's, as it is told to the others
        if type(error) is not RuntimeError:
            raise
        raise UserError(str(error)) from None
    try:
        yield owner
    finally:
        owner.release()


def _parsed(text: str) -> Json:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _place(directory: Path) -> Json:
    """Where process numbers mean the same: the machine, its boot, its space of numbers; and which folder it is about,
    since a run may have been copied with its file.
    """
    boot = space = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    return {"host": platform.node(), "boot": boot, "space": space, "folder": directory.stat().st_ino}


def _started(process: int) -> str:
    """When a process of this machine began, in the system's ticks; "" where it is no more, or that is not known."""
    try:
        # The name, in parentheses, may hold anything; after it the state, and the 22nd field of all.
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except (OSError, ValueError, IndexError):
        return ""


def _alive(said: Json, directory: Path) -> bool | None:
    """Whether the process that a file names is there; None where it cannot be known from here."""
    here, process = _place(directory), said.get("process")
    if (
        os.name != "posix"
        or not isinstance(process, int)
        or any(said.get(k) != here[k] for k in ("host", "boot", "space"))
    ):
        return None
    if said.get("folder") != here["folder"]:
        return False  # a copy of a run
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    if not said.get("started"):
        return None
    return _started(process) == said["started"]
