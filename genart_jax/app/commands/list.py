"""`genart list`: the models of the zoo."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from genart_jax import registry
from genart_jax.app.arguments import parse

USAGE = "list [--family F] [--json]"
SUMMARY = "the models"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart list`."""

    family: str | None = None
    """Only the models of one family: gan, vae, cnn, prior, style."""
    json: bool = False
    """As JSON."""


def run(args: Sequence[str]) -> None:
    """The command."""
    options: Options = parse(Options, args, "genart list", "The models of the zoo.")
    entries = [registry.find(name) for name in registry.list_models(options.family)]
    if options.json:
        print(json.dumps([{"name": e.name, "family": e.family, "paper": e.paper} for e in entries], indent=2))
    else:
        name, family = (2 + max(len(getattr(e, column)) for e in entries) for column in ("name", "family"))
        for e in entries:
            print(f"{e.name:<{name}}{e.family:<{family}}{e.paper}".rstrip())
