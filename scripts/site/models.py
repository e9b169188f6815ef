"""A page for each model, from its docstring, its registry line, its presets and its rows of results."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import jax

import genart_jax as ga
from genart_jax import registry
from genart_jax.train import bench
from genart_jax.types import batch_of

FAMILIES = {
    "gan": "Generative adversarial networks",
    "vae": "Autoencoders",
    "prior": "Priors over codes",
    "drift": "Drifting",
    "cnn": "Classifiers",
    "restoration": "Restoration",
    "translation": "Translation",
    "style": "Style transfer",
}
"""Headings, in the order of the table; a family that is not here goes by its own name."""
PICTURES = {
    "super_resolution": "../benchmarks/results/restoration.jpg",
    "pix2pix": "../benchmarks/results/translation.jpg",
    "cyclegan": "../benchmarks/results/translation.jpg",
    "modgan": "../docs/demo.png",
    "gatys": "../benchmarks/results/stylize.jpg",
    "code_prior": "../benchmarks/results/vqvae.png",
}
"""Pictures of a model whose name is not the file's."""


class Table(NamedTuple):
    """A table of a page: where that is, its title, the heads and the rows, each a list of cells."""

    page: str
    title: str
    head: list[str]
    rows: list[list[str]]


def cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def tables(page: Path, folder: str) -> Iterator[Table]:
    """All tables of a page in a folder of the site, such as docs."""
    lines = page.read_text(encoding="utf-8").splitlines()
    title = next((line[2:] for line in lines if line.startswith("# ")), page.stem)
    rows: list[list[str]] = []
    for line in [*lines, ""]:
        if line.startswith("|"):
            rows.append(cells(line))
        elif rows:
            body = [[rebased(cell, folder) for cell in row] for row in rows[2:]]
            yield Table(f"../{folder}/{page.name}", title, rows[0], body)
            rows = []


def rebased(cell: str, folder: str) -> str:
    """A cell whose links are as from a page in models/."""
    return re.sub(r"\]\((?![a-z]+:|#|\.\./)", f"](../{folder}/", cell)


def about(name: str, found: Sequence[Table]) -> list[Table]:
    """The tables with the rows that are of the model: whose first cell names it, or that of a column "model"."""
    named = re.compile(rf"(?<![\w-])`?{re.escape(name)}(?![\w])")
    kept = []
    for table in found:
        column = table.head.index("model") if "model" in table.head else 0
        of_it = [row for row in table.rows if named.match(row[0]) or named.search(row[column])]
        kept.append(table._replace(rows=of_it))
    return [table for table in kept if table.rows]


def parameters(run: ga.Run) -> dict[str, int]:
    """Role -> number of parameters, of roles that train and of those that never do, without making any."""
    algorithm = ga.build(run)
    images = 2 * algorithm.batches_per_step
    kinds = {"class": "int32"}
    leaf = lambda _, field: jax.ShapeDtypeStruct((images, *field.shape), kinds.get(field.kind, "float32"))
    state = jax.eval_shape(algorithm.init, jax.random.key(0), batch_of(algorithm.batch_spec.fields, leaf))
    count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
    frozen = {f"{role} (never trained)": count(tree) for role, tree in state.frozen.items()}
    return {role: count(tree) for role, tree in state.params.items()} | frozen


def preset_row(name: str, preset: str, run: ga.Run) -> list[str]:
    """Name, shape, parameters, loss, batch and steps of a preset."""
    sides = run.model.image_shape or (run.data.image_size or ())
    shape = (*(sides * 2)[:2], 3) if len(sides) == 1 else (*sides, 3)[:3] if len(sides) == 2 else sides
    whole = bench.resolved(name, preset, shape or None)
    counted = parameters(whole)
    size = "x".join(map(str, whole.model.image_shape))
    return [
        f"`{preset}`",
        size,
        "; ".join(f"{role} {number:,}" for role, number in counted.items()),
        str(whole.train.batch),
        f"{whole.train.steps:,}",
        f"{whole.optimizer.name}, {whole.optimizer.learning_rate:g}",
    ]


def option_rows(config: type) -> Iterator[list[str]]:
    """Name, default and meaning of each option of a model's own."""
    said = {}
    bodies = [ast.parse(inspect.getsource(one)).body[0] for one in config.__mro__[-2::-1]]  # object has none
    lines = [line for body in bodies if isinstance(body, ast.ClassDef) for line in body.body]
    for here, after in itertools.pairwise(lines):
        if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name) and isinstance(after, ast.Expr):
            said[here.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    for field in dataclasses.fields(config):
        default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        yield [f"`--model.{field.name.replace('_', '-')}`", default, said.get(field.name, "")]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    fit = lambda row: [*row, *[""] * (len(head) - len(row))][: len(head)]
    lines = [head, ["---"] * len(head), *map(fit, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def linked(paper: str) -> str:
    """A paper with its arXiv number as a link."""
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", paper)


def paragraphs(module: ModuleType) -> str:
    """A module's docstring as Markdown: presets' lists stay lists, pages of results and papers become links."""
    text = linked(inspect.cleandoc(module.__doc__ or ""))
    text = re.sub(r"(?m)^\+ ", r"\\+ ", text)  # an equation that goes on, and no list
    return re.sub(r"benchmarks/results/(\w+)\.md", r"[\1](../benchmarks/results/\1.md)", text)


def page(name: str, found: Sequence[Table], results: Path) -> str:
    """The page of a model."""
    entry, module = registry.find(name), registry.model_module(name)
    presets: Mapping[str, ga.Run] = module.PRESETS
    parts = [f"# {name}", f"*{linked(entry.paper)}*", paragraphs(module)]
    picture = PICTURES.get(name, f"../benchmarks/results/{name}.png")
    if (results.parent / picture).exists():
        parts.append(f"![What {name} made]({picture})")
    heads = ("preset", "pictures", "parameters", "batch", "steps", "optimizer, rate")
    rows = [preset_row(name, preset, run) for preset, run in presets.items()]
    parts += [
        "## Presets",
        f"`genart train {name} --preset NAME`. Parameters with the art set's conditions.",
        table(heads, rows),
    ]
    options = [*option_rows(type(presets["default"].model))]
    parts += ["## Options of its own", table(("option", "default", "what"), options)]
    uses = ga.build(bench.resolved(name, "tiny")).uses
    taken = [[f"`{use}`", ", ".join(f"{one.name} ({one.kind})" for one in given.inputs)] for use, given in uses.items()]
    if taken:
        parts += ["## Uses", table(("use", "takes"), taken)]
    parts.append("## Results")
    for one in about(name, found):
        parts += [f"[{one.title}]({one.page})", table(one.head, one.rows)]
    if parts[-1] == "## Results":
        parts.append("None is measured yet.")
    return "\n\n".join(parts) + "\n"


def write(folder: Path, results: Path) -> None:
    """Writes the pages and the table of all models.

    Args:
      folder: for the pages.
      results: where the pages of results lie.
    """
    folder.mkdir(parents=True, exist_ok=True)
    choosing = results.parents[1] / "docs" / "choosing.md"  # which has the minutes
    pages = [(choosing, "docs"), *((path, "benchmarks/results") for path in sorted(results.glob("*.md")))]
    found = [one for path, folder in pages for one in tables(path, folder)]
    names = ga.list_models()
    for name in names:
        (folder / f"{name}.md").write_text(page(name, found, results), encoding="utf-8")
    families = dict.fromkeys([*FAMILIES, *(registry.find(name).family for name in names)])
    parts = ["# The models", "Which of them is for what, and how long each takes: [choosing](../docs/choosing.md)."]
    for family in families:
        rows = []
        for name in (name for name in names if registry.find(name).family == family):
            what = (registry.model_module(name).__doc__ or "").splitlines()[0].rstrip(".")
            rows.append([f"[`{name}`]({name}.md)", what, linked(registry.find(name).paper)])
        if rows:
            parts += [f"## {FAMILIES.get(family, family)}", table(("model", "what", "paper"), rows)]
    parts.append("```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```")
    (folder / "index.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
