"""The public names that no page of the reference describes by hand, on a page of their own."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import genart_jax as ga

NAMED = re.compile(r"\.\. [\w:]+:: genart_jax\.(?:data\.)?(\w+)\n")


def directive(name: str) -> str:
    """Sphinx's directive for a public name."""
    value = getattr(ga, name)
    kind = "autoclass" if inspect.isclass(value) else "autofunction" if inspect.isroutine(value) else "py:data"
    kind = "automodule" if inspect.ismodule(value) else kind
    target = value.__name__ if inspect.ismodule(value) else f"genart_jax.{name}"
    return f".. {kind}:: {target}\n   :members:\n" if kind in ("autoclass", "automodule") else f".. {kind}:: {target}\n"


def write(folder: Path) -> None:
    """Writes `more.md` for the names that the other pages in `folder` leave out; the index takes all pages there."""
    pages = sorted(folder.glob("*.md"))
    named = {name for page in pages for name in NAMED.findall(page.read_text(encoding="utf-8"))}
    missing = sorted({*ga.__all__} - named)
    text = "# Other public names\n\n" + (
        "```{eval-rst}\n" + "\n".join(map(directive, missing)) + "```\n" if missing else "None.\n"
    )
    (folder / "more.md").write_text(text, encoding="utf-8")
