"""A small training on pictures that were sent as a zip, which is read where it lies: nothing is unpacked."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
from pathlib import Path

from genart_jax.api import configure
from genart_jax.app.studio import forms
from genart_jax.app.studio.opened import LIVE, CancelledError, Opened, Task
from genart_jax.config import NotFiniteError, UserError
from genart_jax.runtime.values import Json
from genart_jax.train.log import aside_of, read_rows
from genart_jax.train.trainer import fit

NAME = "new"
MODELS = "conv_vae", "mlp_vae", "dcgan", "fastgan", "stylegan2"
_PREFIX = "mine-"
_MOST = 8  # curves
_POINTS = 300  # of a curve
_SAMPLES = 6
_ROWS = "metrics.jsonl"


class Trainer:
    """What makes new models: it has a name, and one form.

    Args:
      folder: where runs go.
    """

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = NAME, folder

    def forms(self) -> list[Json]:
        """Its form."""
        steps: Json = {"name": "steps", "kind": "integer", "low": 10, "high": 50_000, "default": 500}
        fields = [{"name": "pictures", "kind": "archive"}, forms.choice("model", MODELS)]
        fields += [forms.choice("size", ("32", "64", "128")), steps, forms.SEED]
        return [{"kind": "train", "group": "train", "model": NAME, "fields": fields}]

    def warm(self) -> None:
        """There is nothing to compile before it is known what."""

    def train(self, task: Task) -> Json:
        """Trains until the last step, or until told to stop: what was learnt by then is kept.

        Returns:
          The last samples, and `opens`: the name of the run.
        """
        inputs, name = task.inputs, self._free()
        side, steps = int(inputs["size"]), inputs["steps"]
        run = configure(
            inputs["model"],
            data={"source": f"folder:{task.files['pictures']}", "image_size": (side, side)},
            parallel={"data": 1},
            train={
                "steps": steps, "log_every": max(1, steps // 100), "sample_every": max(1, steps // 20), "samples": 16,
                "eval_every": 0, "seed": inputs["seed"],
            },
        )  # fmt: skip
        last: list[Path] = []
        stopped = False

        def tell(event: str, values: Json) -> None:
            nonlocal stopped
            more: Json = {}
            if event == "sample":
                task.place.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copyfile(values["path"], task.place / LIVE)
                last[:] = [values["path"]]
                more = {"live": values["step"]}
            elif event == "log":
                more = {"curve": _losses(values["metrics"]), "step": values["step"]}
            elif event != "progress":
                return
            try:
                task.tell(values["step"] / steps, **more)
            except CancelledError:
                if not stopped:
                    stopped = True
                    signal.raise_signal(signal.SIGINT)  # ends after this step, with a checkpoint

        try:
            fit(run, self._folder / name, tell)
        except NotFiniteError as error:
            raise UserError(str(error)) from None
        finally:
            with contextlib.suppress(OSError):
                (self._folder / name).rmdir()  # where nothing was begun
        if not (self._folder / name / "summary.json").is_file():
            raise UserError("it was stopped before there was anything to keep")
        shown = [{"file": "0.png", "words": name}] if last else []
        for path in last:
            shutil.copyfile(path, task.place / "0.png")
        return {"pictures": shown, "opens": name, "text": name}

    def _free(self) -> str:
        """A name that no run has, kept for this one: others may train at the same time."""
        for i in itertools.count(1):
            with contextlib.suppress(FileExistsError):
                (self._folder / f"{_PREFIX}{i}").mkdir(parents=True)
                return f"{_PREFIX}{i}"
        raise AssertionError


def history_fields(model: Opened) -> list[Json] | None:
    """Of runs: nothing is to be chosen."""
    return [] if model.model.run is not None and (model.model.run / _ROWS).is_file() else None


def history(model: Opened, task: Task) -> Json:
    """How a run has gone so far, also while another process trains it: its curves, and its newest samples."""
    run = model.model.run
    assert run is not None  # or it would have no such form
    rows = [(row["step"], _losses(row)) for row in read_rows(run / _ROWS) if not aside_of(row)]
    every = max(1, len(rows) // _POINTS)
    samples = sorted((run / "samples").glob("*.png"), key=lambda path: path.stat().st_mtime)[-_SAMPLES:]
    for i, path in enumerate(reversed(samples)):
        task.file(f"{i}.png", path.read_bytes())
    shown = [{"file": f"{i}.png", "words": path.stem} for i, path in enumerate(reversed(samples))]
    return {"pictures": shown, "curves": rows[::every]}


def _losses(row: Json) -> dict[str, float]:
    """The figures that are drawn, of a row of the log."""
    numbers = {k: float(v) for k, v in row.items() if isinstance(v, int | float)}
    losses = {k: v for k, v in numbers.items() if "loss" in k or k in ("elbo", "bits_per_dim")}
    return dict([*losses.items()][:_MOST])


def trained(folder: Path) -> dict[str, Path]:
    """The runs that were made here, by name."""
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    return {place.name: place for place in places if (place / "config.json").is_file()}
