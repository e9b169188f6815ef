"""Long work that shows how far it is, in the package's log: lines by time, none for what is done in seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_EVERY = 5.0  # seconds
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def watched(results: Iterable[_T], total: int, what: str, each: int = 1) -> Iterator[_T]:
    """The results as they come, with a line now and then such as "1,200 of 8,000 pictures read, left 0:40".

    Args:
      results: what is done, one after the other.
      total: how many things there are.
      what: their name, and what is done with them.
      each: how many of them a result stands for.
    """
    started = said = time.monotonic()
    for index, result in enumerate(results, 1):
        yield result
        now, count = time.monotonic(), min(index * each, total)
        if now - said > _EVERY and count < total:
            said = now
            _log.info(
                "%s of %s %s, left %s",
                f"{count:,}",
                f"{total:,}",
                what,
                clock((now - started) / count * (total - count)),
            )


def clock(seconds: float) -> str:
    """A time as h:mm:ss or m:ss."""
    hours, left = divmod(round(seconds), 3600)
    return f"{hours}:{left // 60:02d}:{left % 60:02d}" if hours else f"{left // 60}:{left % 60:02d}"
