"""The pages: examples of docs/ are run, and links lead to something, in a checkout and on the site."""

import doctest
import re
from pathlib import Path

import pytest

from scripts.site import links

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if ">>> " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page(page):
    """All of a page together, in its order; expected output ends at an empty line or at the end of the listing."""
    text = "\n".join(re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    found = doctest.DocTestRunner(verbose=False).run(test)
    assert found.attempted
    assert not found.failed


LINKED = [
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "benchmarks" / "results").glob("*.md")),
]


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_something_in_a_checkout(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", link)}
    assert not [link for link in sorted(found) if not (page.parent / link).exists()]


@pytest.mark.parametrize(
    ("page", "link", "there"),
    [
        ("docs/index.md", "demo.png", "docs/demo.png"),
        ("docs/index.md", "reference/index.md#options", "docs/reference/index.md#options"),
        ("docs/data.md", "../genart_jax/models", "../models/index.md"),
        ("docs/reference/data.md", "../../genart_jax/models", "../../models/index.md"),
        ("docs/choosing.md", "../benchmarks/results", "../benchmarks/results/index.md"),
        ("docs/choosing.md", "../benchmarks/results/vaes.md", "../benchmarks/results/vaes.md"),
        ("docs/python.md", "index.md", "../index.md"),
        ("CONTRIBUTING.md", "docs/extending.md", "docs/extending.md"),
        ("docs/gpu.md", "https://example.org/docs/index.md", "https://example.org/docs/index.md"),
    ],
)
def test_links_on_the_site(page, link, there):
    assert links.on_site(f"see [it]({link}), [more]({link}).", page) == f"see [it]({there}), [more]({there})."
