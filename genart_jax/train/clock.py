"""How long training takes, and how far the host runs ahead of the device."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from genart_jax.types import Metrics

_IN_FLIGHT = 2  # dispatches that the host may run ahead of the device: enough to hide it, few enough to stop quickly


class Clock:
    """Seconds of training, without compilation, evaluation and saving.

    Attributes:
      total: the seconds, from those on that a run has had before.
      finished: the metrics of the newest dispatch that the device is known to have done.
    """

    def __init__(self, total: float = 0.0) -> None:
        self.total = total
        self.finished: Metrics = {}
        self._steps = 0
        self._window: deque[tuple[float, int]] = deque([(total, 0)], maxlen=51)  # seconds and steps up to a dispatch
        self._flight: deque[Metrics] = deque()
        self._last: float | None = None
        self._seen = 0

    def tick(self, metrics: Metrics, steps: int) -> None:
        """Counts a dispatch, and holds the host back while too many are under way."""
        self._flight.append(metrics)
        if len(self._flight) > _IN_FLIGHT:
            self.finished = jax.block_until_ready(self._flight.popleft())
        now = time.perf_counter()
        self._seen += 1
        # The first dispatches wait for compilation.
        if self._last is not None and self._seen > _IN_FLIGHT + 2:
            self.total += now - self._last
            self._steps += steps
            self._window.append((self.total, self._steps))
        self._last = now

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out what happens inside."""
        start = time.perf_counter()
        yield
        if self._last is not None:
            self._last += time.perf_counter() - start

    def rate(self) -> float:
        """Steps a second over the last dispatches, at most 50; 0 before there are any."""
        (begin, before), (end, after) = self._window[0], self._window[-1]
        return (after - before) / (end - begin) if end > begin else 0.0
