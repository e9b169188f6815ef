"""The process that works, seen from the server: it is started, fed, told to stop, and started again when it dies.

Both speak in lines of JSON. To the worker: {"job": {...}} and {"cancel": ID}. From it: {"event": "model" | "ready" |
"progress" | "done" | "failed" | "cancelled", ...}.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from genart_jax.app.studio.store import Job, NoSpaceError, Store
from genart_jax.runtime.values import Json

Tell = Callable[[Json], None]
_SAVES = 30  # times longer may a training take to keep what it has learnt
_STARTS = 3  # how often it may die before it has ever been ready


class Worker:
    """One process, and the thread that listens to it.

    Args:
      command: starts it.
      store: where jobs come from, and what becomes of them goes.
      tell: called with what happens.
      log: the file for what it prints.
      environment: its own.
      lock: of all workers of a store: what one of them has taken no other has.

    Attributes:
      models: what it can do, as it tells: {"name", "forms", ...} by name.
      trouble: why it does not start; "" if it does.
    """

    def __init__(
        self, command: Sequence[str], store: Store, tell: Tell, log: Path, environment: Mapping[str, str],
        lock: threading.RLock,
    ) -> None:  # fmt: skip
        self._command, self._store, self._tell, self._log = command, store, tell, log
        self._environment, self._lock = environment, lock
        self._process: subprocess.Popen[str] | None = None
        self._job: Job | None = None
        self._stopping: set[str] = set()
        self._timer: threading.Timer | None = None
        self._ready = self._ended = False
        self.models: dict[str, Json] = {}
        self.trouble = ""
        self._thread = threading.Thread(target=self._serve, name="studio worker", daemon=True)

    def start(self) -> None:
        """Starts the process."""
        self._thread.start()

    def close(self) -> None:
        """Ends the process; what it was at waits for the next start."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.kill()
        self._thread.join(5)

    @property
    def forms(self) -> list[Json]:
        """Of all models."""
        return [form for model in list(self.models.values()) for form in model["forms"]]

    @property
    def ready(self) -> bool:
        """Whether it takes jobs."""
        return self._ready

    def poke(self) -> None:
        """Gives it the next job if it is idle; call it when there is one."""
        with self._lock:
            if not self._ready or self._job is not None or self._ended:
                return
            try:
                self._job = self._store.take()
            except NoSpaceError:
                return
            if self._job is None:
                return
            self._tell({"event": "running", "job": self._job.id})
            place = self._store.place(self._job.id)
            self._say({"job": {**self._job._asdict(), "result": None, "place": str(place)}})

    def cancel(self, id_: str) -> bool:
        """Stops a job; False if it is not at this one."""
        with self._lock:
            if self._job is None or self._job.id != id_:
                return False
            self._stopping.add(id_)
            self._say({"cancel": id_})
            patience = self._store.limits.patience * (_SAVES if self._job.kind == "train" else 1)
            self._timer = threading.Timer(patience, self._kill, (id_,))
            self._timer.daemon = True
            self._timer.start()
            return True

    def _kill(self, id_: str) -> None:
        with self._lock:
            if self._job is not None and self._job.id == id_ and self._process is not None:
                self._process.kill()

    def _say(self, message: Json) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            try:
                process.stdin.write(json.dumps(message) + "\n")
                process.stdin.flush()
            except OSError:  # it has died; `_serve` sees it too
                pass

    def _serve(self) -> None:
        deaths = 0
        while not self._ended and deaths < _STARTS:
            with self._log.open("ab") as log, self._lock:
                # A session of its own: Ctrl-C is the server's, which ends it.
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                    env=self._environment, start_new_session=True,
                )  # fmt: skip
            assert self._process.stdout is not None
            for line in self._process.stdout:
                try:
                    self._heard(json.loads(line))
                except ValueError:
                    continue
            self._process.wait()
            deaths = 0 if self._ready else deaths + 1
            self._died()
        if not self._ended:
            self.trouble = f"the worker does not start: {_last_line(self._log)}"
            self._tell({"event": "trouble", "text": self.trouble})

    def _heard(self, message: Json) -> None:
        event = message.get("event")
        if event == "model":
            self.models[message["model"]["name"]] = message["model"]
            self._tell({"event": "model", "name": message["model"]["name"]})
        elif event == "ready":
            self._ready = True
            self._tell(message)
            self.poke()
        elif event == "progress":
            self._tell(message)
        else:
            self._finished(message)

    def _finished(self, message: Json) -> None:
        with self._lock:
            job = self._job
            if job is None or message.get("job") != job.id:
                return
            self._end(job, message["event"], message.get("text", ""), message.get("result"))
            self._job = None
        self.poke()

    def _end(self, job: Job, state: str, note: str = "", result: Json | None = None) -> None:
        self._stopping.discard(job.id)
        if self._timer is not None:
            self._timer.cancel()
        try:
            self._store.end(job.id, state, note, result)
        except NoSpaceError:
            state, note = "failed", "the disk is full"
        if not self._ended:
            self._tell({"event": state, "job": job.id, "text": note})

    def _died(self) -> None:
        with self._lock:
            self._ready, job, self._job = False, self._job, None
            if job is None:
                return
            if job.id in self._stopping:
                self._end(job, "cancelled")
            elif self._ended or job.tries < self._store.limits.tries:
                self._end(job, "waiting")
            else:
                self._end(job, "failed", "the worker died of it, twice: is there enough memory?")


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1][:300] if lines else "it says nothing"
