"""`genart predict RUN PICTURE ...`: the likeliest classes of pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from genart_jax.app.arguments import leading, parse, peel, wants_help
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs

USAGE = "predict RUN|efficientnet_lite0 PICTURE ..."
SUMMARY = "the likeliest classes of pictures"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart predict`."""

    top: int = 5
    """How many names a picture; of a classifier of several conditions, of each."""
    json: bool = False
    """As JSON."""


def run(args: Sequence[str]) -> None:
    """The command."""
    prog, text = "genart predict RUN IMAGE ...", "The likeliest classes of pictures, by a run or published weights."
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    name, rest = peel(args, "predict", "run")
    pictures, rest = leading(rest)
    if not pictures:
        raise UserError(f"predict needs pictures: genart predict {name} PICTURE ...")
    options: Options = parse(Options, rest, prog, text)
    if options.top < 1:
        raise UserError(f"--top {options.top}: wanted at least 1")

    from genart_jax.use.predict import classify, load_classifier

    keep_programs()
    found = dict(zip(pictures, classify(load_classifier(name), pictures, options.top), strict=True))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for path, names in found.items():
        print(path)
        for class_name, probability in names:
            print(f"  {class_name:<32}{probability:7.1%}")
