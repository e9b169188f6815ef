"""Processes that start while another one works, so that nothing waits for an import."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from benchmarks.compare import environment
from benchmarks.worker import Worker


class Started(Worker):
    """A process that was told to get ready when it began."""

    _said: tuple[Any, ...] = ()

    def __init__(self, module: str, env: dict[str, str]) -> None:
        super().__init__(module, env)
        self.start("warm")

    def ready(self) -> Any:
        """Waits until it is; what it says of where it runs."""
        if not self._said:
            self._said = (self.answer(),)
        return self._said[0]


class Spares:
    """Hands out processes, with another one of the same module begun already; a context manager that ends the rest."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self._waiting: dict[str, Started] = {}

    def _start(self, module: str, devices: int = 1) -> Started:
        flags = {k: v for k, v in environment(devices).items() if k == "XLA_FLAGS"}
        return Started(module, self._env | flags)

    def first(self, module: str, deadline: float) -> Any:
        """What the first process of that module says of where it runs; it waits for its task.

        Raises:
          WorkerError: it does not start.
        """
        worker = self._waiting[module] = self._start(module)
        worker.deadline = deadline
        return worker.ready()

    def take(self, module: str, devices: int = 1) -> Started:
        """A process of that module; the one after it starts now."""
        if devices > 1:
            return self._start(module, devices)
        worker = self._waiting.pop(module, None) or self._start(module)
        self._waiting[module] = self._start(module)
        return worker

    def __enter__(self) -> Spares:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            for worker in self._waiting.values():
                stack.enter_context(worker)
