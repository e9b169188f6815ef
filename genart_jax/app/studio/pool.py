"""The workers: one process for each device, and one queue for all of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from genart_jax.app.studio.store import Store
from genart_jax.app.studio.workers import Tell, Worker
from genart_jax.runtime.values import Json

DEVICE = "GENART_STUDIO_DEVICE"
"""Tells a worker the number of its device, from 0."""
_ALONE = "JAX_CUDA_VISIBLE_DEVICES", "JAX_ROCM_VISIBLE_DEVICES"
"""Of the kinds of devices whose memory a process takes as it starts: it is to see its own alone."""
_COUNT = "import jax; print('devices', jax.local_device_count())"

_PATIENCE = 60.0  # seconds


def count_devices() -> int:
    """How many devices JAX has here, asked in a process of its own, which keeps nothing of them; 1 if it cannot say."""
    quiet = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-c", _COUNT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=quiet, check=False, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:  # a device that one process alone may hold, which the first worker has
        return 1
    found = re.search(r"devices (\d+)", done.stdout)
    return int(found.group(1)) if found else 1


def environment(device: int) -> dict[str, str]:
    """What the worker of a device is started with."""
    return {**os.environ, DEVICE: str(device), **{name: str(device) for name in _ALONE if name not in os.environ}}


class Pool:
    """Workers by their devices. The first starts at once; the others when it is ready, so that it is ready soon.

    Args:
      command: starts one of them.
      store: the queue.
      tell: what happens.
      devices: gives how many there are to be; it is asked in a thread of its own.
    """

    def __init__(self, command: Sequence[str], store: Store, tell: Tell, devices: Callable[[], int]) -> None:
        self._command, self._store, self._tell, self._devices = command, store, tell, devices
        self._lock = threading.RLock()
        self._ended = False
        self._workers = [self._worker(0)]

    def _worker(self, device: int) -> Worker:
        log = self._store.folder / (f"worker-{device}.log" if device else "worker.log")
        heard = self._heard if device == 0 else self._aside
        return Worker(self._command, self._store, heard, log, environment(device), self._lock)

    def _heard(self, message: Json) -> None:
        self._tell(message)
        if message.get("event") == "ready":
            threading.Thread(target=self._grow, name="studio devices", daemon=True).start()

    def _aside(self, message: Json) -> None:
        """Of all but the first: what becomes of jobs. That they know the models and are ready is no news."""
        if "job" in message or message["event"] == "trouble":
            self._tell(message)

    def _grow(self) -> None:
        wanted = self._devices()
        with self._lock:
            if self._ended or len(self._workers) > 1:
                return
            more = [self._worker(device) for device in range(1, wanted)]
            self._workers += more
        for worker in more:
            worker.start()

    def start(self) -> None:
        """Starts the first."""
        self._workers[0].start()

    def close(self) -> None:
        """Ends all; what they were at waits for the next start."""
        with self._lock:
            self._ended = True
            workers = list(self._workers)
        for worker in workers:
            worker.close()

    @property
    def models(self) -> dict[str, Json]:
        """What there is to choose from: {"name", "forms", ...} by name; see `workers.Worker`."""
        return {name: model for worker in list(self._workers) for name, model in list(worker.models.items())}

    @property
    def forms(self) -> list[Json]:
        """Of all models."""
        return [form for model in self.models.values() for form in model["forms"]]

    @property
    def ready(self) -> bool:
        """Whether one of them takes jobs."""
        return any(worker.ready for worker in list(self._workers))

    @property
    def working(self) -> int:
        """How many take jobs."""
        return sum(worker.ready for worker in list(self._workers))

    @property
    def trouble(self) -> str:
        """Why the first does not start; "" if it does."""
        return self._workers[0].trouble

    def poke(self) -> None:
        """Gives those that are idle what waits; call it when there is something."""
        for worker in list(self._workers):
            worker.poke()

    def cancel(self, id_: str) -> None:
        """Stops a job that runs, or takes one that waits out of the queue."""
        with self._lock:
            if not any(worker.cancel(id_) for worker in self._workers):
                self._store.end(id_, "cancelled")
                self._tell({"event": "cancelled", "job": id_})
