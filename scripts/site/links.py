"""Links of a page as they are on the site, where a few things lie elsewhere than in the repository."""

from __future__ import annotations

import posixpath
import re

MOVED = {
    "docs/index.md": "index.md",
    "benchmarks/results": "benchmarks/results/index.md",
    "genart_jax/models": "models/index.md",
}
"""Where something is in the repository, and where on the site: folders have a page there that is generated."""
LINK = re.compile(r"(?<=\]\()[\w./-]+(?=[#)])")


def on_site(text: str, page: str) -> str:
    """A page's text, with links to the same things from where the page is on the site.

    Args:
      text: Markdown.
      page: its path in the repository, such as docs/data.md.
    """
    origin, folder = posixpath.dirname(page), posixpath.dirname(MOVED.get(page, page))

    def moved(link: re.Match[str]) -> str:
        there = posixpath.normpath(posixpath.join(origin, link[0]))
        return posixpath.relpath(MOVED.get(there, there), folder or ".")

    return LINK.sub(moved, text)
