"""`genart data`: which sets there are, making them, and looking at them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from genart_jax.app.arguments import named, parse, peel, wants_help
from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded

if TYPE_CHECKING:
    from genart_jax.data.build.store import Card
    from genart_jax.runtime.values import Json

USAGE = "data [list | build NAME | show NAME]"
SUMMARY = "data sets, making them, and looking at them"
_USE = (
    "genart data list [--json], genart data build NAME [--size N] [--out DIR] [--from FILE ...], "
    "or genart data show NAME"
)


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Options of `genart data list`."""

    json: bool = False
    """As JSON."""


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """Options of `genart data build`."""

    size: int | None = None
    """Height of the pictures; None: the set's usual one. --data NAME:SIZE then opens it."""
    out: Path | None = None
    """An empty folder for the set, in place of the cache; --data built:DIR then opens it."""
    own: Annotated[tuple[Path, ...], named("from")] = ()
    """Packages that you brought yourself (.deb, .tgz, .whl), which are then not fetched."""
    keep: bool = False
    """Leave the fetched packages in the cache, for other sets that are made from them."""


@dataclasses.dataclass(frozen=True)
class ShowOptions:
    """Options of `genart data show`."""

    num: int = 25
    """How many examples the sheet shows."""
    split: str = "train"
    """Whose: train, test or validation."""
    seed: int = 0
    """Which: the same seed shows the same ones."""
    out: Path = Path("sheet.png")
    """The picture to write."""
    force: bool = False
    """Write over a file that is there."""


def run(args: Sequence[str]) -> None:
    """The command; without a word, the list.

    Raises:
      UserError: an unknown word or set, or what goes wrong in making it.
    """
    action, rest = (args[0], list(args[1:])) if args and not args[0].startswith("-") else ("list", list(args))
    if action == "list":
        options: ListOptions = parse(ListOptions, rest, "genart data list", f"The sets that can be built. {_USE}")
        _list(options.json)
    elif action == "build":
        _build(rest)
    elif action == "show":
        _show(rest)
    else:
        raise UserError(f"data {action!r} is unknown; say {_USE}")


def _list(as_json: bool) -> None:
    from genart_jax.data.build import catalogue, store

    rows: list[Json] = []
    for recipe in catalogue.RECIPES.values():
        here = [size for size in recipe.sizes if (store.folder_of(recipe, size) / "card.json").is_file()]
        views = {f"{recipe.name}:{name}": view.text for name, view in recipe.views.items()}
        rows.append({"name": recipe.name, "text": recipe.text, "licence": recipe.licence, "sizes": recipe.sizes,
                     "megabytes": round(recipe.megabytes, 1), "here": here, "views": views})  # fmt: skip
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        place = f"here in {', '.join(map(str, row['here']))}" if row["here"] else f"genart data build {row['name']}"
        sizes = ", ".join(map(str, row["sizes"]))
        print(f"{row['name']:<26}{row['text']}")
        print(f"{'':<26}{row['licence']}; sizes {sizes}; {row['megabytes']:g} MB to fetch; {place}")
        for name, text in row["views"].items():
            print(f"  {name:<24}{text}")


def _build(args: Sequence[str]) -> None:
    from genart_jax.data.build import catalogue, store

    prog, text = "genart data build NAME", f"Makes a set in {store.root()}: {', '.join(catalogue.RECIPES)}."
    if wants_help(args):
        parse(BuildOptions, ["--help"], prog, text)
    name, rest = peel(args, "data build", "name")
    options: BuildOptions = parse(BuildOptions, rest, prog, text)

    from genart_jax.data.build.run import build

    start = time.monotonic()
    out = None if options.out is None else expanded(options.out)
    own = tuple(expanded(path) for path in options.own)
    folder = build(name, options.size, out, own, options.keep, lambda line: print(line, flush=True))
    card = store.read_card(folder, catalogue.command(catalogue.find(name)[0].name))
    print(_facts(card))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    print(f"{size / 1e6:.1f} MB in {time.monotonic() - start:.0f} s; {free / 1e9:.0f} GB are left on the disk")


def _facts(card: Card) -> str:
    """The card in lines."""
    sizes = ", ".join(f"{size} {split}" for split, size in card["splits"].items())
    lines = [f"{card['name']}: {card['text']}", f"examples: {sizes}"]
    whole = ", ".join(f"{count} {split}" for split, count in card.get("whole", {}).items() if count)
    lines += [f"whole pictures: {whole}"] if whole else []
    for name, field in card["fields"].items():
        shape = "x".join(map(str, field["shape"])) or "one an example"
        lines.append(f"{name}: {field['kind']}, {shape}")
    for name, names in card["classes"].items():
        counts = [sum(card["counts"][name][split][i] for split in card["splits"]) for i in range(len(names))]
        shown = ", ".join(f"{n} {c}" for n, c in list(zip(names, counts, strict=True))[:20])
        lines.append(f"classes of {name}: {shown}{', ...' if len(names) > 20 else ''}")
    return "\n".join([*lines, *card["notes"], f"licence: {card['licence']}; see CREDITS.md"])


def _show(args: Sequence[str]) -> None:
    prog, text = "genart data show NAME", "Tells of a source, and draws a sheet of its examples with their classes."
    if wants_help(args):
        parse(ShowOptions, ["--help"], prog, text)
    name, rest = peel(args, "data show", "name")
    options: ShowOptions = parse(ShowOptions, rest, prog, text)
    if options.num < 1:
        raise UserError(f"--num {options.num}: wanted at least 1")
    from genart_jax.data import media
    from genart_jax.data.open import open_data

    there = [path for path in (options.out, media.beside(options.out)) if path.exists()]
    if there and not options.force:
        raise UserError(f"{there[0]} is there already; name another with --out, or write over it with --force")

    data = open_data(name)
    if data.card:
        print(_facts(data.card))
    elif data.source is not None:
        print("\n".join(data.source.report))
    for path in data.save(options.out, options.split, options.num, options.seed):
        print(path)
