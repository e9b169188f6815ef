"""Subjects in processes of their own: `Worker` is the parent's end of the pipe, `main` the child's.

    python -m benchmarks.worker MODULE

Two frameworks in one process disturb each other's threads and memory, so each has its own, and works only while the
parent waits for its answer. Messages are lines of JSON: {"do": "prepare", ...} makes the subject with the module's
`prepare(**values)` and answers its facts, {"do": "round"} calls the subject's `round()` and answers the seconds of a
step, and so on; {"do": "end"} answers the most memory that the process held.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Self

from genart_jax.config import UserError

ROOT = Path(__file__).parents[1]
LATE = "stopped: its time was over"


class WorkerError(RuntimeError):
    """A child failed. The message is one line; `log` is what it wrote to stderr."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class Worker:
    """A child process that holds one subject; a context manager that ends it.

    Attributes:
      deadline: `time.monotonic()` by which answers must have come, where that is limited (not on Windows, whose pipes
        cannot be waited for).
    """

    def __init__(self, module: str, env: dict[str, str] | None = None) -> None:
        self.deadline: float | None = None
        path = os.pathsep.join([str(ROOT), str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            env={**os.environ, "PYTHONPATH": path, **(env or {})},
            start_new_session=True,  # it is ended with all that it started, such as a compiler's processes
        )  # fmt: skip

    def ask(self, what: str, **values: Any) -> Any:
        """The answer of the child, which works meanwhile; see `answer`."""
        self.start(what, **values)
        return self.answer()

    def start(self, what: str, **values: Any) -> None:
        """Asks, and does not wait."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer says so
            self._process.stdin.write(json.dumps({"do": what, **values}) + "\n")
            self._process.stdin.flush()

    def answer(self) -> Any:
        """The answer to the oldest question.

        Raises:
          UserError: what the child was asked for is the user's mistake.
          WorkerError: the child failed, died, or had not answered at the deadline, and was ended.
        """
        assert self._process.stdout is not None
        if self.deadline is not None:
            left = max(0.0, self.deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                self._end()
                raise WorkerError(LATE)
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"the process ended with code {self._process.wait()}", self._stderr())
        reply = json.loads(line)
        if "user_error" in reply:
            raise UserError(reply["user_error"])
        if "error" in reply:
            raise WorkerError(reply["error"], self._stderr())
        return reply["answer"]

    def _stderr(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def _end(self) -> None:
        """Ends the child, and where the system has groups of processes, all that it started."""
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._end()
        self._process.stdout.close()
        self._log.close()


def peak_rss() -> int:
    """The most memory that this process has held, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> None:
    """Answers messages until stdin ends."""
    # What libraries print must not get between the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    subject: Any = None
    for line in sys.stdin:
        message = json.loads(line)
        what = message.pop("do")
        reply: dict[str, Any]
        try:
            module = importlib.import_module(sys.argv[1])
            if what == "prepare":
                subject = module.prepare(**message)
                reply = {"answer": subject.facts}
            elif what == "end":
                reply = {"answer": {"rss_bytes": peak_rss()}}
            else:
                reply = {"answer": getattr(subject or module, what)(**message)}
        except UserError as error:
            reply = {"user_error": str(error)}
        except Exception as error:
            traceback.print_exc()
            first = str(error).strip().partition("\n")[0]
            reply = {"error": f"{type(error).__name__}: {first}"}
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
