"""SIGTERM, as clusters send it before they take a machine away: the command ends in time, with exit code 0.

Ctrl-C is noted as well: a command that it stopped ends with 130.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

SECONDS = 8.0
"""After SIGTERM, until the process ends whatever it is at: its newest checkpoint is whole at any moment."""


class Told:
    """What signals have come: `interrupted` once there was a SIGINT."""

    interrupted = False


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"genart: stopped (SIGTERM); the same command goes on\n")  # print may be what was interrupted
    raise SystemExit(0)


@contextlib.contextmanager
def ends_in_time(seconds: float = SECONDS) -> Iterator[Told]:
    """SIGTERM ends what is inside: at once, or, where a handler of its own takes it, after `seconds` at the latest.

    Python runs handlers between its own instructions, so that a step or a compilation of minutes would hold them up;
    a thread that the system wakes at the signal itself keeps the time. Does nothing but in the main thread.
    """
    told = Told()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    done = threading.Event()

    def watch() -> None:
        while True:
            number = os.read(reader, 1)
            if not number:
                os.close(reader)
                return
            if number[0] == signal.SIGINT:
                told.interrupted = True
            if number[0] == signal.SIGTERM and not done.wait(seconds):
                os.write(2, b"genart: stopped in the middle of a step (SIGTERM); the same command goes on\n")
                os._exit(0)

    threading.Thread(target=watch, name="preempt", daemon=True).start()
    old_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    old = signal.signal(signal.SIGTERM, _leave)
    try:
        yield told
    finally:
        done.set()
        signal.signal(signal.SIGTERM, old)
        signal.set_wakeup_fd(old_fd)
        os.close(writer)


def until_told(command: Callable[[Sequence[str]], None], args: Sequence[str]) -> None:
    """A command that trains: it ends in time after SIGTERM, and with 130 after Ctrl-C."""
    with ends_in_time() as told:
        command(args)
    if told.interrupted:
        raise SystemExit(130)
