"""`genart originality RUN`: are a model's pictures copies of its training pictures?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from genart_jax.app.arguments import parse, peel, wants_help
from genart_jax.app.extractor import default_extractor, note, tell
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.paths import expanded

USAGE = "originality RUN"
SUMMARY = "are the pictures copies of training pictures?"


@dataclasses.dataclass(frozen=True)
class Options:
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


def run(args: Sequence[str]) -> None:
    """The command."""
    prog, text = "genart originality RUN", "Are a model's pictures copies of its training pictures?"
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    run, rest = peel(args, "originality", "run")
    options: Options = parse(Options, rest, prog, text)
    if min(options.num, options.shown) < 1:
        raise UserError("--num and --shown must be at least 1")

    from genart_jax.app.words import ORIGINALITY
    from genart_jax.evaluate.originality import originality as examine

    keep_programs()
    word = default_extractor(options.extractor, "lite0:112")
    report = examine(run, word, options.num, options.seed, options.shown, tell)
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
    note(options.extractor, word)
