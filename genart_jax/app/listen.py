"""What the library logs, on the terminal: how far the reading of many pictures is, and what it warns of."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator


class _Handler(logging.Handler):
    """Writes messages as they are to the present standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Shows the package's log on standard error, and there alone: other libraries set up handlers of their own."""
    logger, handler = logging.getLogger("genart_jax"), _Handler()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
