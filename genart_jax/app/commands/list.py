"""`genart list`: the models of the zoo."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from genart_jax import registry
from genart_jax.app.arguments import parse
from genart_jax.runtime import packaged

USAGE = "list [--family F] [--trained] [--json]"
SUMMARY = "the models"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart list`."""

    family: str | None = None
    """Only the models of one family: gan, vae, prior, drift, cnn, restoration, translation, style."""
    trained: bool = False
    """The trained models that come with the package instead: what `genart sample` takes in place of a run."""
    json: bool = False
    """As JSON."""


def run(args: Sequence[str]) -> None:
    """The command."""
    options: Options = parse(Options, args, "genart list", "The models of the zoo, or trained ones.")
    if options.trained:
        _trained(options.json)
        return
    entries = [registry.find(name) for name in registry.list_models(options.family)]
    if options.json:
        print(json.dumps([{"name": e.name, "family": e.family, "paper": e.paper} for e in entries], indent=2))
    else:
        name, family = (2 + max(len(getattr(e, column)) for e in entries) for column in ("name", "family"))
        for e in entries:
            print(f"{e.name:<{name}}{e.family:<{family}}{e.paper}".rstrip())


def _trained(as_json: bool) -> None:
    """Name, model, size and what it was trained on."""
    rows = []
    for name in packaged.names():
        folder = packaged.root() / name
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = (folder / packaged.WEIGHTS).stat().st_size
        rows.append(
            {"name": name, "model": config["run"]["name"], "megabytes": round(size / 1e6, 1),
             "data": config["data"]["source"], "steps": config["hub"]["step"], "sha256": config["hub"]["weights"]}
        )  # fmt: skip
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    wide = 2 + max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        text = f"{row['model']:<14}{row['megabytes']:>4} MB  {row['steps']:,} steps on {row['data']}"
        print(f"{row['name']:<{wide}}{text}")
