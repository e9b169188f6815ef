"""What is what in a folder of pictures: sub-folders are classes, `train` and `test` splits, or a table has labels.

The table is StyleGAN's dataset.json: {"labels": [["00000/img0.png", 3], ...]}, or null for pictures without labels.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from genart_jax.config import UserError
from genart_jax.data.files import JSON, File, Found
from genart_jax.data.picture import BadPictureError

TRAIN = ("train", "training")
TEST = (("test", "testing"), ("val", "valid", "validation"))
"""Names of the folders of splits, in any case; to test on, the first that is there."""
_MOST = 2**28  # bytes of a table


class Item(NamedTuple):
    """A picture with the name of its class ("" where the set has none), and whether to test on it (None: open)."""

    file: File
    label: str = ""
    test: bool | None = None


class Layout(NamedTuple):
    """The pictures of a set in their order; lines about what is left out; what its report says of it.

    `numbered`: the classes are numbers and go by their size, not by their letters.
    """

    items: list[Item]
    problems: list[str]
    report: list[str]
    numbered: bool = False


def arrange(found: Found) -> Layout:
    """Says of each picture which class and split it is of.

    Raises:
      UserError: a table of labels that cannot be read.
    """
    names = sorted({file.parts[0] for file in found.pictures if len(file.parts) > 1})
    train = [name for name in names if name.lower() in TRAIN]
    tests = [[name for name in names if name.lower() in words] for words in TEST]
    test = next((some for some in tests if some), [])
    tables = {table.parts[:-1]: table for table in found.tables}
    if not (train and test):
        return _labelled(found.pictures, tables, ())
    out = Layout([], [], [f"splits as the folder has them: {', '.join(train)} and {', '.join(test)}"])
    left = [name for name in names if name not in (*train, *test)]
    if left:
        out.problems.append(f"beside {train[0]} and {test[0]} lie {', '.join(left)}, which are left out")
    loose = [file for file in found.pictures if len(file.parts) == 1]
    if loose:
        out.problems.append(f"{len(loose)} pictures lie beside the splits and are left out, {loose[0].parts[-1]} first")
    sides = []
    for name in sorted((*train, *test)):
        inside = [file for file in found.pictures if len(file.parts) > 1 and file.parts[0] == name]
        side = _labelled(inside, tables, (name,))
        sides.append((name in test, name, side.items))
        out.problems.extend(f"{name}: {line}" for line in side.problems)
        out.report.extend(f"{name}: {line}" for line in side.report)
        out = out._replace(numbered=out.numbered or side.numbered)
    labelled = {tested: any(i.label for t, _, items in sides if t == tested for i in items) for tested in (False, True)}
    for tested, name, items in sides:
        if labelled[False] != labelled[True] and not labelled[tested]:
            out.problems.append(f"{name} has no classes, the other split has: its {len(items)} pictures are left out")
            continue
        out.items.extend(item._replace(test=tested) for item in items)
    return out


def _labelled(files: list[File], tables: dict[tuple[str, ...], File], root: tuple[str, ...]) -> Layout:
    """Pictures below the folder `root` with their classes."""
    for place in dict.fromkeys((root, ())):
        if place in tables:
            labels = _table(tables[place])
            if labels is not None:
                return _by_table(files, labels, len(place), whole=not root)
    deep = len(root)
    inside = [file for file in files if len(file.parts) > deep + 1]
    loose = [file for file in files if len(file.parts) == deep + 1]
    if not inside:
        return Layout([Item(file) for file in files], [], [])
    lines = []
    if loose:
        lines.append(f"{len(loose)} pictures lie beside the label folders and are left out, {loose[0].parts[-1]} first")
    return Layout([Item(file, file.parts[deep]) for file in inside], lines, [])


def _by_table(files: list[File], labels: dict[str, str], deep: int, whole: bool) -> Layout:
    if not labels:
        return Layout([Item(file) for file in files], [], [f"{JSON} has no labels"])
    names = {file: "/".join(file.parts[deep:]) for file in files}
    items = [Item(file, labels[name]) for file, name in names.items() if name in labels]
    problems, missing = [], [file for file, name in names.items() if name not in labels]
    if missing:
        problems.append(f"{len(missing)} pictures are not in {JSON} and are left out, {missing[0].parts[-1]} first")
    lost = sorted(set(labels) - set(names.values()))
    if lost and whole:
        problems.append(f"{len(lost)} pictures of {JSON} are not there, {lost[0]} first")
    return Layout(items, problems, [f"labels from {JSON}"], True)


def _table(file: File) -> dict[str, str] | None:
    """Path -> class; {} where it says that there are none, None where it is another program's file of that name.

    Raises:
      UserError: it is damaged, or its labels are no whole numbers.
    """
    try:
        content = file.read()
        if len(content) > _MOST:
            raise UserError(f"{file}: {len(content) >> 20} MiB, more than a table of labels should have")
        table = json.loads(content.decode("utf-8-sig"))
    except (OSError, BadPictureError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error}); mend it, or rename it if it holds no labels") from None
    if not isinstance(table, dict) or "labels" not in table:
        return None
    rows, out = table["labels"] or [], {}
    for row in rows if isinstance(rows, list) else [rows]:
        good = isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and type(row[1]) is int
        if not good or row[1] < 0:
            raise UserError(
                f'{file}: wanted "labels": [["PATH", NUMBER], ...] with numbers from 0, got {str(row)[:80]}'
            )
        out[row[0].replace("\\", "/").removeprefix("./")] = str(row[1])
    return out
