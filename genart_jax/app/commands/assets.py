"""`genart assets`: which pretrained weights there are, bringing them, and checking them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from genart_jax.app.arguments import leading, named, parse
from genart_jax.config import UserError

USAGE = "assets [list | fetch NAME | verify]"
SUMMARY = "pretrained weights, and bringing them"
_USE = "genart assets list [--json], genart assets fetch NAME ... [--from FILE], or genart assets verify [NAME ...]"


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Options of `genart assets list`."""

    json: bool = False
    """As JSON."""


@dataclasses.dataclass(frozen=True)
class FetchOptions:
    """Options of `genart assets fetch`."""

    own: Annotated[Path | None, named("from")] = None
    """Your own file in place of the published one: a PyTorch state dict, .pth or .safetensors."""


@dataclasses.dataclass(frozen=True)
class VerifyOptions:
    """Options of `genart assets verify`."""


def run(args: Sequence[str]) -> None:
    """The command; without a word, the list.

    Raises:
      UserError: an unknown word or asset, or what goes wrong in fetching and verifying.
    """
    action, rest = (args[0], list(args[1:])) if args and not args[0].startswith("-") else ("list", list(args))
    if action not in ("list", "fetch", "verify"):
        raise UserError(f"assets {action!r} is unknown; say {_USE}")
    names, words = leading(rest)

    from genart_jax import assets

    for name in names:
        assets.find(name)
    if action == "list":
        options: ListOptions = parse(ListOptions, rest, "genart assets list", f"The pretrained weights. {_USE}")
        _list(options.json)
    elif action == "fetch":
        text = f"Brings pretrained weights into {assets.cache_directory() / 'assets'}: {', '.join(assets.names())}."
        fetching: FetchOptions = parse(FetchOptions, words, "genart assets fetch NAME ...", text)
        if not names or (fetching.own and len(names) > 1):
            raise UserError(f"assets fetch needs {'one name' if names else 'names'}: {', '.join(assets.names())}")
        for name in names:
            assets.fetch(name, fetching.own, print)
    else:
        parse(VerifyOptions, words, "genart assets verify [NAME ...]", "Compares SHA-256 sums; without names, of all.")
        for name in names or [name for name in assets.names() if assets.available(name)]:
            assets.verify(name)
            print(f"{name:<20}whole, from {assets.origin(name)}")


def _list(as_json: bool) -> None:
    from genart_jax import assets

    rows = []
    for name in assets.names():
        asset = assets.find(name)
        row = {key: getattr(asset, key) for key in ("text", "package", "version", "megabytes", "licence")}
        rows.append({"name": name, "here": assets.available(name), **row})
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        here = f"here, from {assets.origin(row['name'])}" if row["here"] else f"genart assets fetch {row['name']}"
        print(f"{row['name']:<20}{row['megabytes']:>5} MB  {row['licence']:<14}{row['text']}\n{'':<20}{here}")
