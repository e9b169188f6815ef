"""The process that works: it loads the models, tells what they can do, and does one job after the other.

`python -m genart_jax.app.studio.worker RUNS NAME...` reads lines of JSON and writes some; see `workers`. RUNS is the
folder of the runs that it makes. What anything else prints goes to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

from genart_jax.config import UserError
from genart_jax.runtime.values import Json


class Desk:
    """What the server says and is told."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self.jobs: queue.Queue[Json] = queue.Queue()
        self.cancelled: set[str] = set()
        threading.Thread(target=self._read, name="desk", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if "cancel" in message:
                self.cancelled.add(message["cancel"])
            else:
                self.jobs.put(message["job"])
        os._exit(0)  # the server has ended

    def tell(self, **message: object) -> None:
        """One line to the server."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()


def _take_device() -> None:
    """Computes on the device that is this worker's, of those that it sees; see `pool`."""
    import jax

    devices = jax.local_devices()
    number = int(os.environ.get("GENART_STUDIO_DEVICE", "0"))
    if number % len(devices):
        jax.config.update("jax_default_device", devices[number % len(devices)])


def main(runs: Path, names: Sequence[str]) -> None:
    """Works until the server ends."""
    desk = Desk()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)

    from genart_jax.app.studio.opened import CancelledError, Task
    from genart_jax.app.studio.stylise import available
    from genart_jax.app.studio.training import NAME, trained
    from genart_jax.app.studio.works import do, opened
    from genart_jax.runtime.cache import keep_programs

    keep_programs()
    _take_device()
    models, left = {}, [*names, *available(), *trained(runs), NAME]

    def load() -> None:
        name = left.pop(0)
        try:
            models[name] = opened(name, runs)
            desk.tell(event="model", model={"name": name, "forms": models[name].forms(), "trouble": ""})
        except UserError as error:
            desk.tell(event="model", model={"name": name, "forms": [], "trouble": str(error)})

    load()
    for model in models.values():
        model.warm()
    desk.tell(event="ready")
    while True:
        if left and desk.jobs.empty():
            load()
            continue
        job = desk.jobs.get()
        while job["model"] not in models and left:
            load()
        task = Task(job["id"], job["kind"], job["inputs"], job["files"], Path(job["place"]), desk)
        try:
            if job["model"] not in models and job["model"] in trained(runs):  # by the worker of another device
                models[job["model"]] = opened(job["model"], runs)
            if job["model"] not in models:
                raise UserError(f"the model {job['model']} is not open here any more")
            result = do(models[job["model"]], task)
            desk.tell(event="done", job=task.id, result=result)
            left += [result["opens"]] if "opens" in result else []
        except CancelledError:
            desk.tell(event="cancelled", job=task.id)
        except (UserError, OSError) as error:
            desk.tell(event="failed", job=task.id, text=str(error))
        except Exception as error:
            traceback.print_exc()
            desk.tell(event="failed", job=task.id, text=f"{type(error).__name__}: {str(error)[:200]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
