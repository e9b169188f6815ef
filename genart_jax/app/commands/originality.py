"""`genart originality RUN`: are a model's pictures copies of its training pictures?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from genart_jax.app.arguments import leading, parse, peel, wants_help
from genart_jax.app.extractor import default_extractor, note, tell
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.packaged import results
from genart_jax.runtime.paths import expanded

USAGE = "originality RUN | PICTURE ..."
SUMMARY = "are pictures copies of training pictures? whose are they?"


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
    provenance: bool = True
    """Write into the card that its pictures are generated, and by whom."""
    seed: int = 0
    """Seed of what is drawn."""
    json: bool = False
    """As JSON, without the neighbours of each picture."""


def run(args: Sequence[str]) -> None:
    """The command."""
    prog = "genart originality RUN | PICTURE ..."
    text = "Are a model's pictures copies of its training pictures? Of files: where do they say that they come from?"
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    words, _ = leading(args)
    run, rest = peel(args, "originality", "run")
    if words and all(expanded(word).is_file() for word in words):
        options: Options = parse(Options, args[len(words) :], prog, text)
        _tell_whose(words, options.json)
        return
    if missing := [word for word in words[1:] if not expanded(word).is_file()] or (words[:1] if words[1:] else []):
        raise UserError(f"{missing[0]} is no file; wanted one RUN, or the files of pictures")
    options = parse(Options, rest, prog, text)
    if min(options.num, options.shown) < 1:
        raise UserError("--num and --shown must be at least 1")

    from genart_jax.app.words import ORIGINALITY
    from genart_jax.evaluate.originality import originality as examine

    keep_programs()
    word = default_extractor(options.extractor, "lite0:112")
    report = examine(run, word, options.num, options.seed, options.shown, tell, options.provenance)
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
    print(results(run) / "originality.png")
    note(options.extractor, word)


def _tell_whose(files: Sequence[str], as_json: bool) -> None:
    """A line for each file: which model made it, by its own account."""
    from genart_jax.data import provenance

    found = {file: provenance.read(file) for file in files}
    if as_json:
        print(
            json.dumps({file: said and {"generated": True, **said._asdict()} for file, said in found.items()}, indent=2)
        )
        return
    for file, said in found.items():
        if said is None:
            print(
                f"{file}: says nothing of where it comes from; a picture of this program's says so, unless that was cut"
            )
            continue
        print(f"{file}: {said.words}")
        print(f"  SHA-256 of the model's state: {said.sha256 or 'not said'}")
