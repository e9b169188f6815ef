"""Builds the site: `python -m scripts.site [OUT]`, by default into build/site. Warnings are errors; no network is used.

Pages are laid out as in the repository (docs/, notebooks/, benchmarks/results/), so that links between them are the
same there and here, but for the few that `links` knows. Beside them lie the pages that are generated: one a model, and
the public names that no page of the reference has by hand.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from scripts.site import links, models, reference

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "build" / "site_source"


def gather() -> None:
    """Lays the pages out below `SOURCE`."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for folder, kinds in (
        ("docs", ("*",)),
        ("benchmarks/results", ("*.md", "*.png", "*.jpg")),
        ("notebooks", ("*.ipynb",)),
    ):
        for kind in kinds:
            for path in sorted((ROOT / folder).rglob(kind)):
                if path.is_file():
                    target = SOURCE / path.relative_to(ROOT)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copyfile(ROOT / name, SOURCE / name)
    for page in [*SOURCE.rglob("*.md")]:
        text = links.on_site(page.read_text(encoding="utf-8"), page.relative_to(SOURCE).as_posix())
        page.write_text(text, encoding="utf-8")
    for name in ("index.md", "conf.py"):
        (SOURCE / "docs" / name).rename(SOURCE / name)
    index = (SOURCE / "index.md").read_text(encoding="utf-8")
    new = [f"docs/{page.stem}" for page in sorted((SOURCE / "docs").glob("*.md")) if f"docs/{page.stem}\n" not in index]
    text = index.replace("docs/trouble\n", "".join(f"{name}\n" for name in [*new, "docs/trouble"]))
    (SOURCE / "index.md").write_text(text, encoding="utf-8")  # a page that is new is found without more ado
    for page in [*SOURCE.rglob("*.md")]:  # what a page links to in the package or the tests comes along
        for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8")):
            there = (page.parent / link).resolve()
            origin = ROOT / there.relative_to(SOURCE) if there.is_relative_to(SOURCE) else there
            if origin.is_file() and not there.exists():
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(origin, there)
    models.write(SOURCE / "models", SOURCE / "benchmarks" / "results")
    reference.write(SOURCE / "docs" / "reference")
    results = "\n".join(sorted(path.stem for path in (SOURCE / "benchmarks" / "results").glob("*.md")))
    head = "# Results\n\nWhat was measured, each page with its command, machine and date."
    text = f"{head}\n\n```{{toctree}}\n{results}\n```\n"
    (SOURCE / "benchmarks" / "results" / "index.md").write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Gathers and builds; the exit code is Sphinx's."""
    out = Path(arguments[0]) if arguments else ROOT / "build" / "site"
    gather()
    cache = ROOT / "build" / "site_cache"
    shutil.rmtree(cache, ignore_errors=True)  # what Sphinx remembers of generated pages may be of other ones
    code: int = sphinx(["-W", "--keep-going", "-q", "-d", str(cache), str(SOURCE), str(out)])
    if code == 0:
        print(f"site: {out / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
