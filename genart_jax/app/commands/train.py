"""`genart train NAME`: trains a model, or goes on with a run."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genart_jax import registry
from genart_jax.app.arguments import parse, peel, wants_help
from genart_jax.app.preempt import until_told
from genart_jax.config import Data, Optimizer, Parallel, Run, Sweep, Train, UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.paths import expanded

USAGE = "train NAME [--data SOURCE] [--run DIR] ..."
SUMMARY = "train a model, or go on with a run"

_SHORT = {"--data": "--data.source", "--steps": "--train.steps", "--seed": "--train.seed"}
_NOTE = "Shorter: --data for --data.source, --steps for --train.steps, --seed for --train.seed."


@dataclasses.dataclass(frozen=True)
class Resume:
    """How to go on with a run that is there already."""

    force: bool = False
    """Go on in spite of other options or other data, as long as the run's state fits."""


@dataclasses.dataclass(frozen=True)
class SharedOptions:
    """The options of `genart train` that all models share. `genart train NAME --help` shows the model's own too."""

    run: Path | None = None
    """Run directory; None: runs/NAME. A run that is there already goes on."""
    preset: str = "default"
    """Which of the model's presets to start from."""
    init_from: Path | None = None
    """A run to take the parameters from, for a new run with a fresh optimizer; or published weights: a file of
    StyleGAN2's, or of torchvision's or timm's classifiers, or asset:efficientnet_lite0."""
    optimizer: Optimizer = Optimizer()
    data: Data = Data()
    train: Train = Train()
    parallel: Parallel = Parallel()
    sweep: Sweep = Sweep()
    resume: Resume = Resume()


def run(args: Sequence[str]) -> None:
    """The command."""
    until_told(_train, args)


def _train(args: Sequence[str]) -> None:
    args = expand(args)
    if wants_help(args) or (not args and not sys.stdin.isatty()):
        names = ", ".join(registry.list_models())
        parse(SharedOptions, ["--help"], "genart train NAME", f"Trains a model: {names}. {_NOTE}")
    name, rest = _model_name(args)
    registry.find(name)
    early = _early(rest)
    directory = expanded(early.get("--run", f"runs/{name.rpartition('.')[2].replace(':', '-')}"))
    saved = _saved_run(directory, name) if not {"-h", "--help"} & set(rest) else None
    # A preset that is named is taken at its word: if the run was begun with another, the trainer says so.
    run = saved if saved is not None and "--preset" not in early else None
    run = run or registry.get_config(name, early.get("--preset", "default"))
    options = parse(_train_options(run), rest, f"genart train {name}", f"Trains {name}. {_NOTE}")
    sections = {f: getattr(options, f) for f in ("model", "step", "optimizer", "data", "train", "parallel", "sweep")}

    from genart_jax.app.progress import Progress
    from genart_jax.train.trainer import fit

    keep_programs()
    with Progress() as progress:
        fit(dataclasses.replace(run, **sections), directory, progress, options.init_from, options.resume.force)


def expand(args: Sequence[str]) -> list[str]:
    """Long names for the short options, and single words for a sweep's values with commas in between."""
    out: list[str] = []
    listed = False
    for arg in args:
        name, equals, value = arg.partition("=")
        if arg.startswith("--"):
            listed = name.startswith("--sweep.optimizer.")
        if listed and equals:
            out += [name, *value.split(",")]
        elif listed and not arg.startswith("--"):
            out += [word for word in arg.split(",") if word]
        else:
            out.append(_SHORT.get(name, name) + equals + value)
    return out


def _model_name(args: list[str]) -> tuple[str, list[str]]:
    """The model's name, given first or as --model NAME."""
    for i, arg in enumerate(args):
        if arg == "--model" and i + 1 < len(args):
            return args[i + 1], args[:i] + args[i + 2 :]
        if arg.startswith("--model="):
            return arg.partition("=")[2], args[:i] + args[i + 1 :]
    return peel(args, "train", "name")


def _early(args: Sequence[str]) -> dict[str, str]:
    """The options that decide what the others' defaults are."""
    out = {}
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in ("--run", "--preset"):
            out[name] = value if equals else (args[i + 1] if i + 1 < len(args) else "")
    return out


def _saved_run(directory: Path, name: str) -> Run | None:
    """The configuration to go on with, where the directory holds a run of this model."""
    if not (directory / "config.json").exists():
        return None
    from genart_jax.train.checkpoint import read_config

    saved = read_config(directory).run
    if saved.name != name:
        raise UserError(f"{directory} is a run of {saved.name}, not of {name}; choose another --run")
    return saved


def _train_options(run: Run) -> type:
    """The shared options with a model's own, and its defaults."""
    fields: list[Any] = [
        ("model", type(run.model), dataclasses.field(default=run.model)),
        ("step", type(run.step), dataclasses.field(default=run.step)),
    ]
    fields += [(f, type(getattr(run, f)), dataclasses.field(default=getattr(run, f)))
               for f in ("optimizer", "data", "train", "parallel", "sweep")]  # fmt: skip
    return dataclasses.make_dataclass("TrainOptions", fields, bases=(SharedOptions,), frozen=True)
