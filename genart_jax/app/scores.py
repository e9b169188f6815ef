"""The commands that measure trained models: evaluate, compare, originality, plot."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from genart_jax.app.arguments import leading, parse, peel, wants_help
from genart_jax.app.words import ORIGINALITY
from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """Options of `genart evaluate`."""

    data: str | None = None
    """Another source of test pictures than the run's own, for the model's own figures."""
    classifier: str | None = None
    """A run of a classifier that judges the model's own pictures: do they show the condition they were made for? On a
    run over stacked:DIR, a classifier of the grey pictures counts modes."""
    extractor: str | None = None
    """Features for scores: lite0[:SIZE], vgg19[:SIZE], inception:FILE, classifier:RUN, pixels[:SIZE], or none. None:
    lite0 where its weights are."""
    num: int | None = None
    """Generated pictures. None: 2,000 for scores, 1,000 for a classifier, 10,000 for modes."""
    split: str = "train"
    """Real pictures for scores: train or test."""
    condition: tuple[str, ...] = ()
    """Words such as style=noto for scores; the others are drawn as in the training data."""
    ema: bool = True
    """Sample with the moving averages of the parameters, where there are any."""
    member: int | None = None
    """Which member of a sweep; its scores are written into its own directory, RUN/members/N."""
    seed: int = 0
    """Seed of what is drawn."""
    json: bool = False
    """As JSON."""


@dataclasses.dataclass(frozen=True)
class CompareOptions:
    """Options of `genart compare`."""

    seeds: bool = False
    """Take runs that differ only in their seed together."""
    allow: tuple[str, ...] = ()
    """Entries of the contract that may differ, such as ema or num_fake."""
    json: bool = False
    """As JSON."""


@dataclasses.dataclass(frozen=True)
class OriginalityOptions:
    """Options of `genart originality`."""

    extractor: str | None = None
    """Features beside pixels: lite0[:SIZE], vgg19[:SIZE], inception:FILE, classifier:RUN, or none. None: lite0:112
    where its weights are."""
    num: int = 500
    """Generated pictures."""
    shown: int = 10
    """Rows of the card."""
    seed: int = 0
    """Seed of what is drawn."""
    json: bool = False
    """As JSON, without the neighbours of each picture."""


@dataclasses.dataclass(frozen=True)
class PlotOptions:
    """Options of `genart plot`."""

    out: Path | None = None
    """FILE.png; None: plot.png in the first run. FILE.html, the report, is written beside it."""


def _tell(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)


def _default_extractor(chosen: str | None, fallback: str) -> str | None:
    """The extractor to take: the one named, or lite0 where its weights are."""
    if chosen is not None:
        return None if chosen == "none" else chosen
    from genart_jax import assets

    return fallback if assets.available("efficientnet_lite0") else None


def _note(chosen: str | None, taken: str | None) -> None:
    """Says why there is nothing over lite0, if nobody asked for that."""
    if chosen is None and taken is None:
        print("nothing over lite0, whose weights are not here: genart assets fetch efficientnet_lite0", file=sys.stderr)


def evaluate(args: Sequence[str]) -> None:
    """`genart evaluate RUN`."""
    prog, text = (
        "genart evaluate RUN",
        "Figures on the test split, and scores of a model's pictures with what made them.",
    )
    if wants_help(args):
        parse(EvaluateOptions, ["--help"], prog, text)
    run, rest = peel(args, "evaluate", "run")
    options: EvaluateOptions = parse(EvaluateOptions, rest, prog, text)

    from genart_jax.app import tables
    from genart_jax.data.conditions import parse_conditions
    from genart_jax.evaluate import conditional_accuracy, evaluate_run
    from genart_jax.evaluate.extractors import make_extractor
    from genart_jax.evaluate.modes import stacked_modes
    from genart_jax.evaluate.scores import Score, score_run
    from genart_jax.train import parallel
    from genart_jax.train.checkpoint import load, member_directory, read_config
    from genart_jax.types import check_condition

    run = str(member_directory(run, options.member))
    saved, algorithm = read_config(run), load(run).algorithm
    # What is wrong is said before the work begins.
    if options.classifier is not None:
        make_extractor(f"classifier:{options.classifier}")
    makes_pictures = algorithm.sample is not None
    word = _default_extractor(options.extractor, "lite0") if makes_pictures else None
    network = None if word is None else make_extractor(word)
    given = parse_conditions(options.condition, saved.data["class_names"])
    check_condition(given, algorithm.batch_spec)
    _tell(f"on {parallel.describe(parallel.all_devices()[:1])}: figures on the test split")
    figures = evaluate_run(run, options.data, options.seed)
    scores: list[Score] = []
    if options.classifier is not None:
        if saved.run.data.source.startswith("stacked:"):
            scores = stacked_modes(run, options.classifier, options.num or 10_000, options.seed, options.ema)
        else:
            figures |= conditional_accuracy(run, options.classifier, options.num or 1000, options.seed, options.ema)
    if network is not None:
        num = options.num or 2000
        scores = score_run(run, network, num, options.seed, options.split, options.ema, given, _tell) + scores
    if options.json:
        print(json.dumps(figures | {"scores": [dataclasses.asdict(s) for s in scores]}, indent=2))
        return
    print(tables.figures(figures))
    if scores:
        print(f"\n{tables.scores(scores)}")
    if makes_pictures:
        _note(options.extractor, word)


def compare(args: Sequence[str]) -> None:
    """`genart compare RUN RUN ...`."""
    runs, rest = leading(args)
    text = "Scores of runs side by side, with 95 % intervals, and which differences are more than chance."
    options: CompareOptions = parse(CompareOptions, rest, "genart compare RUN RUN ...", text)

    from genart_jax.evaluate.compare import compare_runs, table

    rows = compare_runs(runs, options.seeds, options.allow)
    if options.json:
        print(json.dumps([{**r._asdict(), "entries": [e._asdict() for e in r.entries]} for r in rows], indent=2))
    else:
        print(table(rows))


def originality(args: Sequence[str]) -> None:
    """`genart originality RUN`."""
    prog, text = "genart originality RUN", "Are a model's pictures copies of its training pictures?"
    if wants_help(args):
        parse(OriginalityOptions, ["--help"], prog, text)
    run, rest = peel(args, "originality", "run")
    options: OriginalityOptions = parse(OriginalityOptions, rest, prog, text)
    if min(options.num, options.shown) < 1:
        raise UserError("--num and --shown must be at least 1")

    from genart_jax.evaluate.originality import originality as examine

    word = _default_extractor(options.extractor, "lite0:112")
    report = examine(run, word, options.num, options.seed, options.shown, _tell)
    if options.json:
        print(json.dumps({name: value for name, value in report.items() if name != "pictures"}, indent=2))
        return
    for space, figures in report["spaces"].items():
        print(space)
        for name, value in figures.items():
            if name.endswith("_error"):
                continue  # beside its figure
            error = figures.get(f"{name}_error")
            shown = "too few" if value is None else f"{value:.4g}" + ("" if error is None else f" +- {error:.2g}")
            print(f"  {name:<36}{shown:<18}{ORIGINALITY.get(name, '')}".rstrip())
    d, m = report["duplicates"], report["membership"]
    print(f"duplicates under mirroring and shifts: {d['share']:.1%}, of held-out pictures {d['share_of_held_out']:.1%}")
    if m:
        print(f"membership by {m['by']}: area under the ROC {m['auc']:.3f} +- {m['auc_error']:.3f}")
    for line in (report["findings"] or ["no sign of copies beyond chance"]) + report["caveats"]:
        print(line)
    print(expanded(run) / "originality.png")
    _note(options.extractor, word)


def plot(args: Sequence[str]) -> None:
    """`genart plot RUN ...`."""
    runs, rest = leading(args)
    text = "Losses, norms, scores and sample grids of runs as one picture, and a report in one HTML file."
    options: PlotOptions = parse(PlotOptions, rest, "genart plot RUN ...", text)
    if not runs:
        raise UserError("plot needs run first: genart plot RUN ...")

    from genart_jax.app import plots

    out = expanded(options.out or Path(runs[0]) / "plot.png")
    if out.suffix != ".png":
        raise UserError(f"--out {out}: name FILE.png; the report is written to FILE.html beside it")
    for path in plots.write(runs, out):
        print(path)
