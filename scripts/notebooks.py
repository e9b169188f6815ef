"""Runs the notebooks top to bottom: `python -m scripts.notebooks [--save] [01 02 ...]`.

A notebook is a pair: NAME.py in jupytext's percent format, which is what people edit, and NAME.ipynb with its outputs.
Each is run from its .py in a folder of its own, so that none finds another's runs. With --save the .ipynb is written;
without, the two are only compared, cell by cell.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
MOST_BYTES = 600_000
"""Of a notebook with its outputs."""


def run(path: Path) -> Any:
    """The notebook of a .py file, executed; an error in a cell ends the run with its traceback."""
    notebook = jupytext.read(path)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as place:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": place}}).execute()
    return tidy(notebook)


def tidy(notebook: Any) -> Any:
    """Without what differs from run to run and says nothing: times of cells, the kernel's version, paths."""
    notebook.metadata = {
        "kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"},
        "jupytext": {"formats": "ipynb,py:percent"},
    }
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if "image/jpeg" in output.get("data", {}):
                output.data.pop("image/png", None)  # the same picture again, and larger
            if "text" in output:
                output.text = re.sub(r"/tmp/\w+/", "", output.text)
    return notebook


def same(path: Path) -> bool:
    """Whether the .ipynb beside a .py has its cells."""
    pair = path.with_suffix(".ipynb")
    if not pair.is_file():
        return False
    cells = [[cell.source.strip() for cell in book.cells] for book in (jupytext.read(path), nbformat.read(pair, 4))]
    return cells[0] == cells[1]


def main(arguments: list[str]) -> int:
    """Runs those named by the beginnings of their names, or all; the exit code is 1 where one is not right."""
    save, wanted = "--save" in arguments, [one for one in arguments if not one.startswith("-")]
    failed = 0
    for path in sorted(FOLDER.glob("[0-9]*.py")):
        if wanted and not path.name.startswith(tuple(wanted)):
            continue
        begun = time.perf_counter()
        notebook = run(path)
        text = nbformat.writes(notebook)
        print(f"{path.stem}: {time.perf_counter() - begun:.0f} s, {len(text) / 1000:.0f} kB", flush=True)
        if len(text) > MOST_BYTES:
            print(f"{path.stem}: more than {MOST_BYTES / 1000:.0f} kB; draw smaller pictures")
            failed = 1
        if save:
            path.with_suffix(".ipynb").write_text(text, encoding="utf-8")
        elif not same(path):
            print(f"{path.stem}: the .ipynb has other cells; run: make notebooks NOTEBOOKS={path.stem[:2]} SAVE=1")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
