"""A training run on the terminal: what the data is, a bar with the losses, and what to do next."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import jax
import numpy as np
from rich import progress

from genart_jax.app.words import collapsed
from genart_jax.config import Gan, Run
from genart_jax.runtime import packaged
from genart_jax.runtime.values import Json
from genart_jax.runtime.watch import clock
from genart_jax.train.records import pictures_of

_PLAIN_EVERY = 15.0  # seconds between lines where there is no terminal to draw a bar on
_BAR_EVERY = 0.5  # seconds between new figures beside the bar
_SETTLED = 1.0  # seconds after which a rate is one: that of the first few steps is chance


class Progress:
    """A callback of the trainer that prints. A bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._bar = progress.Progress(
            progress.TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            progress.BarColumn(bar_width=24),
            progress.TextColumn("{task.fields[said]}", markup=False),
            disable=not sys.stdout.isatty(),
        )
        self._task: progress.TaskID | None = None
        self._run: Run | None = None
        self._line = self._device = ""
        self._losses = ""  # of a row of the log that no line has shown yet
        self._steps, self._first, self._printed = 0, 0, 0.0
        self._rated: float | None = None  # when there was a rate for the first time

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, event: str, values: Json) -> None:
        """Takes one event; see `trainer.Callback`."""
        handler = getattr(self, f"_on_{event}", None)
        if handler is not None:
            handler(values)

    def _print(self, text: str) -> None:
        text = "".join(
            c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text
        )  # names of files hold anything
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _on_devices(self, values: Json) -> None:
        if self._device != values["text"]:  # of several runs in turn, once
            self._device = values["text"]
            self._print(f"on {self._device}")

    def _on_data(self, values: Json) -> None:
        self._run = values["run"]
        for line in values["source"].report:
            self._print(line)
        for line in values["source"].warnings:
            self._print(f"warning: {line}")

    def _on_note(self, values: Json) -> None:
        self._print(values["text"])

    def _on_start(self, values: Json) -> None:
        self._steps, self._first = values["steps"], values["step"]
        if self._first >= self._steps:
            self._print(f"{values['directory']} has all its {self._first} steps; a larger --steps goes on from there")
            return
        begun = f"goes on from step {self._first}" if self._first else "compiling the first step"
        self._print(f"{values['directory']}: {begun}")
        self._task = self._bar.add_task("", total=self._steps, completed=self._first, said="")
        self._printed, self._rated = time.monotonic(), None

    def _on_progress(self, values: Json) -> None:
        now = time.monotonic()
        if self._rated is None and values["rate"]:
            self._rated = now
        new = now - self._printed > (_PLAIN_EVERY if self._bar.disable else _BAR_EVERY)
        if new:
            self._printed = now
            self._line = self._said(values, self._rated is not None and now - self._rated > _SETTLED)
        if self._task is not None:
            self._bar.update(self._task, completed=values["step"], said=self._line)
        if new and self._bar.disable:
            self._print(f"step {values['step']}/{self._steps}  {self._line}".rstrip())

    def _said(self, values: Json, settled: bool) -> str:
        """Rate, losses and the time that is left: the log's means since the last line, or else the newest step's."""
        newest = {name: float(np.mean(jax.device_get(value))) for name, value in _shown(values["metrics"]).items()}
        losses, self._losses = self._losses or _line(newest), ""
        if not settled:
            return losses
        return "  ".join(filter(None, (f"{values['rate']:.0f} images/s", losses, f"left {clock(values['left'] or 0)}")))

    def _on_log(self, values: Json) -> None:
        self._losses = _line(_shown(values["metrics"]))

    def _on_evaluate(self, values: Json) -> None:
        figures = "  ".join(f"{name} {value:.4f}" for name, value in values["metrics"].items())
        self._print(f"test split at step {values['step']}: {figures}")

    def _on_end(self, values: Json) -> None:
        self._bar.stop()
        directory, summary = values["directory"], values["summary"]
        if values["interrupted"]:
            self._print(f"stopped at step {values['step']} with a checkpoint; the same command goes on from there")
            return
        for line in collapsed(self._run, summary["test"]) if self._run else ():
            self._print(f"warning: {line}")
        member = ""
        if "sweep" in summary:
            member = " --member 0"
            self._print("\n" + "\n".join(sweep_lines(summary["sweep"])))
        pictures = pictures_of(directory / "members" / "0" if member else directory)
        if pictures:
            self._print(f"\npicture: {pictures[-1]}")
        longer = f"genart train {summary['model']} --run {directory} --steps {2 * max(self._steps, self._first)}"
        commands = [f"genart evaluate {directory}{member}", longer]
        if values["samples"]:
            words = " ".join(f"{name}={names[0]}" for name, names in list(values["class_names"].items())[:2])
            commands.insert(0, f"genart sample {directory}{member}" + (f" --condition {words}" if words else ""))
            if self._run and isinstance(self._run.step, Gan):
                commands.insert(1, f"genart sample {directory}{member} --truncation 0.7  # less varied, better drawn")
        else:
            commands.insert(1, f"cat {directory / 'summary.json'}")
        for name in packaged.longer(summary["model"], self._run.data.source, values["step"]) if self._run else ():
            commands.append(f"genart sample {name}  # comes with the package, trained for longer")
        self._print("next:\n" + "\n".join(f"  {command}" for command in commands))


def _shown(metrics: Json) -> Json:
    """Those of a step's figures that a line has room for."""
    return {k: v for k, v in metrics.items() if "loss" in k or k in ("accuracy", "bits_per_dim")}


def _line(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


def sweep_lines(sweep: Json) -> list[str]:
    """A line for each member of a sweep, and for each setting the mean and the spread of its test figures.

    Args:
      sweep: what `train.summary.summarize` returns.
    """
    lines = []
    known = ("members", "collapsed", "figures")
    for setting in sweep["settings"]:
        options = "  ".join(
            f"{name.replace('_', '-')} {value:g}" for name, value in setting.items() if name not in known
        )
        for row in (sweep["members"][i] for i in setting["members"]):
            figures = "  ".join(f"{name} {float(value):.4f}" for name, value in row["test"].items())
            diversity = "" if row["diversity"] is None else f"  diversity {row['diversity']:.2f}"
            why = row["collapsed"] + (f" at step {row['diverged']}" if row["diverged"] else "")
            why = f"  collapsed: {why}" if why else ""
            lines.append(f"member {row['member']}: seed {row['seed']}  {options}  {figures}{diversity}{why}")
        figures = "  ".join(
            f"{name.removeprefix('test/')} {value['mean']:.4f}"
            + ("" if value["spread"] is None else f" +- {value['spread']:.4f}")
            for name, value in setting["figures"].items()
            if name.startswith("test/")
        )
        count = len(setting["members"])
        lines.append(
            f"{options or 'all'}: {figures or 'no figures'}  collapsed {setting['collapsed'] * count:.0f} of {count}"
        )
    return lines
