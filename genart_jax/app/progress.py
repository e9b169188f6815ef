"""A training run on the terminal: what the data is, a bar with the losses, and what to do next."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich import progress

_PLAIN_EVERY = 15.0  # seconds between lines where there is no terminal to draw a bar on


class Progress:
    """A callback of the trainer that prints. A bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._bar = progress.Progress(
            progress.TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            progress.BarColumn(bar_width=24),
            progress.TextColumn("{task.fields[rate]:.0f} images/s  {task.fields[losses]}"),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            disable=not sys.stdout.isatty(),
        )
        self._task: progress.TaskID | None = None
        self._losses = ""
        self._steps, self._first, self._started, self._printed = 0, 0, 0.0, 0.0

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, event: str, values: dict[str, Any]) -> None:
        """Takes one event; see `trainer.Callback`."""
        handler = getattr(self, f"_on_{event}", None)
        if handler is not None:
            handler(values)

    def _print(self, text: str) -> None:
        text = "".join(
            c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text
        )  # names of files hold anything
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _on_devices(self, values: dict[str, Any]) -> None:
        self._print(f"on {values['text']}")

    def _on_data(self, values: dict[str, Any]) -> None:
        for line in values["source"].report:
            self._print(line)
        for line in values["source"].warnings:
            self._print(f"warning: {line}")

    def _on_note(self, values: dict[str, Any]) -> None:
        self._print(values["text"])

    def _on_start(self, values: dict[str, Any]) -> None:
        self._steps, self._first = values["steps"], values["step"]
        if self._first >= self._steps:
            self._print(f"{values['directory']} has all its {self._first} steps; a larger --steps goes on from there")
            return
        begun = f"goes on from step {self._first}" if self._first else "compiling the first step"
        self._print(f"{values['directory']}: {begun}")
        self._task = self._bar.add_task("", total=self._steps, completed=self._first, rate=0.0, losses="")
        self._started = self._printed = time.monotonic()

    def _on_progress(self, values: dict[str, Any]) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=values["step"], rate=values["rate"], losses=self._losses)
        now = time.monotonic()
        if self._bar.disable and now - self._printed > _PLAIN_EVERY:
            self._printed = now
            left = (now - self._started) / (values["step"] - self._first) * (self._steps - values["step"])
            line = f"step {values['step']}/{self._steps}  {values['rate']:.0f} images/s  {self._losses}"
            self._print(f"{line}  left {int(left) // 60}:{int(left) % 60:02d}")

    def _on_log(self, values: dict[str, Any]) -> None:
        shown = {k: v for k, v in values["metrics"].items() if "loss" in k or k in ("accuracy", "bits_per_dim")}
        self._losses = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())

    def _on_evaluate(self, values: dict[str, Any]) -> None:
        figures = "  ".join(f"{name} {value:.4f}" for name, value in values["metrics"].items())
        self._print(f"test split at step {values['step']}: {figures}")

    def _on_end(self, values: dict[str, Any]) -> None:
        self._bar.stop()
        directory, summary = values["directory"], values["summary"]
        if values["interrupted"]:
            self._print(f"stopped at step {values['step']} with a checkpoint; the same command goes on from there")
            return
        member = ""
        if "sweep" in summary:
            member = " --member 0"
            self._print("\n" + "\n".join(sweep_lines(summary["sweep"])))
        pictures = sorted((directory / "members" / "0" if member else directory).glob("samples/[0-9]*.png"))
        if pictures:
            self._print(f"\npicture: {pictures[-1]}")
        longer = f"genart train {summary['model']} --run {directory} --steps {2 * max(self._steps, self._first)}"
        commands = [f"genart evaluate {directory}{member}", longer]
        if values["samples"]:
            words = " ".join(f"{name}={names[0]}" for name, names in list(values["class_names"].items())[:2])
            commands.insert(0, f"genart sample {directory}{member}" + (f" --condition {words}" if words else ""))
        else:
            commands.insert(1, f"cat {directory / 'summary.json'}")
        self._print("next:\n" + "\n".join(f"  {command}" for command in commands))


def sweep_lines(sweep: dict[str, Any]) -> list[str]:
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
