"""What the library logs, on the terminal: how far the reading of many pictures is, and what it warns of."""

from __future__ import annotations

import logging
import sys


class _Handler(logging.Handler):
    """Writes messages as they are to the present standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


def listen() -> None:
    """Shows the package's log on standard error, once however often it is called.

    The root logger gets a handler for everybody else's: without one, the first library that logs to it would have one
    made that shows the package's lines a second time.
    """
    logger = logging.getLogger("genart_jax")
    if not any(isinstance(handler, _Handler) for handler in logger.handlers):
        logger.addHandler(_Handler())
        logger.setLevel(logging.INFO)
    root = logging.getLogger()
    if not root.handlers:
        others = logging.StreamHandler()
        others.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
        others.addFilter(lambda record: not record.name.startswith("genart_jax"))
        root.addHandler(others)
