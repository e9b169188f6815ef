"""The command line: `genart COMMAND ...`.

Options come from the dataclasses of the configuration, through tyro. The command and the model's name are peeled off
first, so that help and lists answer without importing jax.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from genart_jax import registry
from genart_jax.app.arguments import leading as _leading
from genart_jax.app.arguments import near
from genart_jax.app.arguments import parse as _parse
from genart_jax.app.arguments import peel as _peel
from genart_jax.app.arguments import wants_help as _wants_help
from genart_jax.app.listen import listening
from genart_jax.app.preempt import ends_in_time
from genart_jax.assets import cache_directory, private
from genart_jax.config import Data, NotFiniteError, Optimizer, Parallel, PeerLostError, Run, Sweep, Train, UserError
from genart_jax.runtime.paths import expanded

_SHORT = {"--data": "--data.source", "--steps": "--train.steps", "--seed": "--train.seed"}


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Options of `genart list`."""

    family: str | None = None
    """Only the models of one family: gan, vae, cnn, prior, style."""
    json: bool = False
    """As JSON."""


@dataclasses.dataclass(frozen=True)
class SampleOptions:
    """Options of `genart sample`."""

    num: int = 64
    """How many pictures."""
    seed: int = 0
    """The same seed gives the same pictures."""
    condition: tuple[str, ...] = ()
    """Words such as style=noto shape=food; the others are drawn as in the training data. style=none hides it, if the
    model was trained with step.condition-dropout."""
    truncation: float = 1.0
    """Below 1: styles pulled towards their mean by this factor, less varied and more typical (needs a mapping)."""
    step: str = ""
    """Which checkpoint: its step, or best (by train.best); empty: the newest."""
    member: int | None = None
    """Which member of a sweep; None: all of them, each with pictures of its own."""
    out: Path | None = None
    """FILE.png for a grid, FILE.npz for arrays, or a folder for single pictures; None: a grid in RUN/samples, beside
    those that were drawn before."""


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """Options of `genart predict`."""

    top: int = 5
    """How many names a picture."""
    json: bool = False
    """As JSON."""


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """Options of `genart bench`."""

    preset: str = "default"
    """Which of the models' presets to measure."""
    image_size: tuple[int, ...] = ()
    """Height, width and channels; empty: what is usual for the model."""
    batch: int | None = None
    """Examples a step; None: the preset's."""
    precision: Literal["float32", "tf32", "bfloat16"] | None = None
    """Precision of products and activations; None: the preset's."""
    devices: int = 1
    """Devices that share a batch."""
    rounds: int = 5
    """How often each model is timed."""
    json: bool = False
    """As JSON."""


@dataclasses.dataclass(frozen=True)
class Resume:
    """How to go on with a run that is there already."""

    force: bool = False
    """Go on in spite of other options or other data, as long as the run's state fits."""


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Options of `genart export`."""

    platforms: tuple[str, ...] = ("cpu", "cuda", "tpu")
    """What the exported program runs on."""


@dataclasses.dataclass(frozen=True)
class SharedOptions:
    """The options of `genart train` that all models share. `genart train NAME --help` shows the model's own too."""

    run: Path | None = None
    """Run directory; None: runs/NAME. A run that is there already goes on."""
    preset: str = "default"
    """Which of the model's presets to start from."""
    init_from: Path | None = None
    """A run to take the parameters from, for a new run with a fresh optimizer."""
    optimizer: Optimizer = Optimizer()
    data: Data = Data()
    train: Train = Train()
    parallel: Parallel = Parallel()
    sweep: Sweep = Sweep()
    resume: Resume = Resume()


_TRAIN_NOTE = "Shorter: --data for --data.source, --steps for --train.steps, --seed for --train.seed."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0 done, 1 the program failed, 2 the input is wrong, 130 stopped by Ctrl-C, and 141
    where nobody reads what it prints any more, as in `| head`.
    """
    try:
        with listening():
            code = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes as it ends
        code = 141
    if code and "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized():
        # Leaving as usual would wait for the other processes, which wait for this one.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(argv: Sequence[str] | None) -> int:
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files that the locale has no letters for
    try:
        if not args or args[0] in ("-h", "--help"):
            print(_usage())
            return 0 if args else 2
        if args[0] not in _COMMANDS:
            raise UserError(f"command {args[0]!r} is unknown; {near(args[0], _COMMANDS)}")
        _COMMANDS[args[0]][0](args[1:])
        return 0
    except UserError as error:
        print(f"genart: {error}", file=sys.stderr)
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("genart: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except (
        NotFiniteError,
        PeerLostError,
        OSError,
    ) as error:  # also NotSavedError, a full disk, a file that may not be read
        print(f"genart: {error}", file=sys.stderr)
        return 1
    except Exception:
        if trouble := _no_device():
            print(f"genart: {trouble}", file=sys.stderr)
            return 2
        traceback.print_exc()
        return 1


def _no_device() -> str:
    """Why JAX has no device to compute on, as where JAX_PLATFORMS names one whose plugin is missing; "" if it has."""
    if "jax" not in sys.modules:
        return ""
    from genart_jax.train import parallel

    try:
        parallel.all_devices()
    except UserError as error:
        return str(error)
    return ""


def _cache_programs() -> None:
    """Keeps compiled programs in the user's cache directory, so that the next start need not compile again."""
    import jax

    if jax.config.values["jax_compilation_cache_dir"] or not jax.config.values["jax_enable_compilation_cache"]:
        return  # the user's own choice
    try:
        private(cache_directory())
        directory = private(cache_directory() / "programs")
    except OSError:  # a cache that cannot be written, or not trusted, is none
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _usage() -> str:
    rows = "\n".join(f"  {usage:<44}{text}" for _, usage, text in _COMMANDS.values())
    models = ", ".join(registry.list_models())
    return f"usage: genart COMMAND ...\n\n{rows}\n\nEvery command has --help.  Models: {models}"


def _list(args: Sequence[str]) -> None:
    options: ListOptions = _parse(ListOptions, args, "genart list", "The models of the zoo.")
    entries = [registry.find(name) for name in registry.list_models(options.family)]
    if options.json:
        print(json.dumps([{"name": e.name, "family": e.family, "paper": e.paper} for e in entries], indent=2))
    else:
        name, family = (2 + max(len(getattr(e, column)) for e in entries) for column in ("name", "family"))
        for e in entries:
            print(f"{e.name:<{name}}{e.family:<{family}}{e.paper}".rstrip())


def _train(args: Sequence[str]) -> None:
    _until_told(_train_now, args)


def _until_told(command: Callable[[Sequence[str]], None], args: Sequence[str]) -> None:
    """A command that trains: it ends in time after SIGTERM, and with 130 after Ctrl-C."""
    with ends_in_time() as told:
        command(args)
    if told.interrupted:
        raise SystemExit(130)


def _train_now(args: Sequence[str]) -> None:
    args = _expand(args)
    if _wants_help(args) or (not args and not sys.stdin.isatty()):
        names = ", ".join(registry.list_models())
        _parse(SharedOptions, ["--help"], "genart train NAME", f"Trains a model: {names}. {_TRAIN_NOTE}")
    name, rest = _model_name(args)
    registry.find(name)
    early = _early(rest)
    directory = expanded(early.get("--run", f"runs/{name.rpartition('.')[2].replace(':', '-')}"))
    saved = _saved_run(directory, name) if not {"-h", "--help"} & set(rest) else None
    # A preset that is named is taken at its word: if the run was begun with another, the trainer says so.
    run = saved if saved is not None and "--preset" not in early else None
    run = run or registry.get_config(name, early.get("--preset", "default"))
    options = _parse(_train_options(run), rest, f"genart train {name}", f"Trains {name}. {_TRAIN_NOTE}")
    sections = {f: getattr(options, f) for f in ("model", "step", "optimizer", "data", "train", "parallel", "sweep")}

    from genart_jax.app.progress import Progress
    from genart_jax.train.trainer import fit

    _cache_programs()
    with Progress() as progress:
        fit(dataclasses.replace(run, **sections), directory, progress, options.init_from, options.resume.force)


def _expand(args: Sequence[str]) -> list[str]:
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
    return _peel(args, "train", "name")


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


def _step(word: str) -> int | Literal["best"] | None:
    if word and word != "best" and not word.isdecimal():
        raise UserError(f"--step {word!r}: wanted a number or best")
    return "best" if word == "best" else int(word) if word else None


def _sample(args: Sequence[str]) -> None:
    prog, text = "genart sample RUN", "Draws pictures from a trained model."
    if _wants_help(args):
        _parse(SampleOptions, ["--help"], prog, text)
    run, rest = _peel(args, "sample", "run")
    if sum(arg.partition("=")[0] == "--condition" for arg in rest) > 1:
        raise UserError("--condition is given twice; write all words after one: --condition style=noto shape=food")
    options: SampleOptions = _parse(SampleOptions, rest, prog, text)

    from genart_jax.app.draw import draw

    _cache_programs()
    for path in draw(
        run, options.member, _step(options.step), options.num, options.seed, options.condition, options.truncation,
        options.out and expanded(options.out),
    ):  # fmt: skip
        print(path)


def _scores(command: str) -> Callable[[Sequence[str]], None]:
    """A command of `app.scores`."""

    def run(args: Sequence[str]) -> None:
        from genart_jax.app import scores

        if not {"-h", "--help"} & set(args):
            _cache_programs()
        getattr(scores, command)(args)

    return run


def _predict(args: Sequence[str]) -> None:
    prog, text = "genart predict RUN IMAGE ...", "The likeliest classes of pictures, by a run or published weights."
    if _wants_help(args):
        _parse(PredictOptions, ["--help"], prog, text)
    name, rest = _peel(args, "predict", "run")
    pictures, rest = _leading(rest)
    if not pictures:
        raise UserError(f"predict needs pictures: genart predict {name} PICTURE ...")
    options: PredictOptions = _parse(PredictOptions, rest, prog, text)

    from genart_jax.use.predict import classify, load_classifier

    _cache_programs()
    found = dict(zip(pictures, classify(load_classifier(name), pictures, options.top), strict=True))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for path, names in found.items():
        print(path)
        for class_name, probability in names:
            print(f"  {class_name:<32}{probability:7.1%}")


def _bench(args: Sequence[str]) -> None:
    names = list(itertools.takewhile(lambda arg: not arg.startswith("-"), args))
    text = "Speed and memory of training steps; without names, of every model."
    options: BenchOptions = _parse(BenchOptions, args[len(names) :], "genart bench [NAME ...]", text)
    if len(options.image_size) not in (0, 3):
        raise UserError(f"--image-size takes height, width and channels, not {len(options.image_size)} numbers")
    if options.rounds < 1:
        raise UserError(f"--rounds must be at least 1, not {options.rounds}")
    for name in names:
        registry.find(name)

    from genart_jax.train import bench

    results = []
    for name in names or registry.list_models():
        run = bench.resolved(
            name, options.preset, options.image_size, options.batch, options.precision, options.devices
        )
        results.append(figures := bench.measure(run, options.rounds))
        if not options.json:
            low, middle, high = (1e3 * t for t in figures["step_seconds"])
            shape = "x".join(map(str, run.model.image_shape))
            print(f"{name:<16}{shape:<12}batch {run.train.batch:<6}{figures['images_per_second']:>10,.0f} images/s")
            print(f"    step {middle:.3g} ms ({low:.3g} to {high:.3g}), compiled in {figures['compile_seconds']:.1f} s,"
                  f" {figures['host_fraction']:.1%} of it on the host")  # fmt: skip
            print(f"    {figures['flops'] / 1e9:.3g} GFLOP a step, {figures['mfu']:.0%} of the matmul rate,"
                  f" {figures['memory']['peak_bytes'] / 2**20:.0f} MiB")  # fmt: skip
    if options.json:
        print(json.dumps(results, indent=2))


def _export(args: Sequence[str]) -> None:
    prog, text = (
        "genart export RUN OUT",
        "Writes a model to a folder that needs jax alone (to classify picture files also Pillow).",
    )
    if _wants_help(args):
        _parse(ExportOptions, ["--help"], prog, text)
    run, rest = _peel(args, "export", "run")
    out, rest = _peel(rest, "export RUN", "out")
    options: ExportOptions = _parse(ExportOptions, rest, prog, text)

    from genart_jax.use.export import export_run

    print(export_run(run, out, options.platforms))


def _assets(args: Sequence[str]) -> None:
    from genart_jax.app import assets

    assets.run(args)


def _data(args: Sequence[str]) -> None:
    from genart_jax.app import data

    data.run(args)


def _checkpoint(args: Sequence[str]) -> None:
    words = "ls (what there is), verify (is it whole?) or repair (set damage aside, restore config.json)"
    if _wants_help(args):
        print(f"usage: genart checkpoint ls|verify|repair RUN\n\n{words}")
        return
    if len(args) != 2 or args[0] not in ("ls", "verify", "repair"):
        raise UserError(f"say genart checkpoint ls|verify|repair RUN: {words}")

    from genart_jax.app.checkpoints import ACTIONS

    if not ACTIONS[args[0]](expanded(args[1])):
        raise SystemExit(1)


def _stylize(args: Sequence[str]) -> None:
    from genart_jax.app import stylize

    _until_told(stylize.run, args)


_COMMANDS: dict[str, tuple[Callable[[Sequence[str]], None], str, str]] = {
    "list": (_list, "list [--family F] [--json]", "the models"),
    "train": (_train, "train NAME [--data SOURCE] [--run DIR] ...", "train a model, or go on with a run"),
    "sample": (_sample, "sample RUN [--condition style=noto] ...", "draw pictures from a run"),
    "evaluate": (_scores("evaluate"), "evaluate RUN [--extractor NAME] ...", "figures, and scores of a run's pictures"),
    "compare": (_scores("compare"), "compare RUN RUN ... [--seeds]", "scores side by side, with intervals"),
    "originality": (_scores("originality"), "originality RUN", "are the pictures copies of training pictures?"),
    "plot": (_scores("plot"), "plot RUN ... [--out FILE.png]", "losses, scores and samples as a picture and a page"),
    "checkpoint": (_checkpoint, "checkpoint ls|verify|repair RUN", "what a run has saved, and mending it"),
    "predict": (_predict, "predict RUN|efficientnet_lite0 PICTURE ...", "the likeliest classes of pictures"),
    "stylize": (_stylize, "stylize CONTENT STYLE [--out FILE] ...", "one picture in another's style"),
    "bench": (_bench, "bench [NAME ...] [--json]", "speed and memory of training steps"),
    "export": (_export, "export RUN OUT", "a model as a folder that runs without this package"),
    "assets": (
        _assets,
        "assets [list | fetch NAME | verify]",
        "pretrained weights, and bringing them",
    ),
    "data": (_data, "data [list | build NAME | show NAME]", "data sets, making them, and looking at them"),
}


if __name__ == "__main__":
    sys.exit(main())
