"""The speed of training steps over commits: a curve for each case.

    python -m benchmarks.history [FOLDER] [--value images_per_second] [--case WORD ...] [--chart history.png]

Reads what the files of results (`benchmarks.records`) in FOLDER, benchmarks/results where nothing else is said, were at
each commit of `git log`, and what they are now. A point is a measurement: its own commit and date, not those at which
its file was committed. Curves of other contracts, as another version of JAX or another machine, are curves of their
own. Without --chart they are printed as a table; the chart needs matplotlib.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records import COLUMNS, read
from benchmarks.report import check_chart
from genart_jax.config import UserError

RESULTS = Path(__file__).parent / "results"
VALUES = tuple(name for name in COLUMNS if name not in ("case", "peer", "commit", "date"))
Point = tuple[str, str, float]
"""Date, commit, value."""
Curves = dict[tuple[str, str], list[Point]]
"""(contract, case) -> measurements, the oldest first."""


def _git(folder: Path, *words: str) -> str:
    """What git says.

    Raises:
      UserError: the folder is in no repository, or there is no git.
    """
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise UserError(f"{folder}: there is no such folder, or no git") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"{folder}: git {words[0]}: {error.stderr.strip().splitlines()[-1]}") from None
    return done.stdout


def versions(folder: Path) -> list[tuple[str, str]]:
    """(name, text) of each file of results at each commit that changed it, the oldest first, and as it is now."""
    pattern = "benchmark-*.csv"
    # Of each commit its hash, and after it the files that it changed, relative to the folder.
    log = _git(folder, "log", "--reverse", "--format=commit %H", "--name-only", "--diff-filter=AM", "--relative",
               "--", pattern)  # fmt: skip
    found, commit = [], ""
    for line in filter(None, log.splitlines()):
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        else:
            found.append((line, _git(folder, "show", f"{commit}:./{line}")))
    return found + [(path.name, path.read_text(encoding="utf-8")) for path in sorted(folder.glob(pattern))]


def curves(files: Sequence[tuple[str, str]], value: str, words: Sequence[str] = ()) -> Curves:
    """Measurements of each case whose name has all of the words; one that several versions of a file hold counts once.

    Raises:
      UserError: a file is something else.
    """
    found: dict[tuple[str, str], dict[tuple[str, str], Point]] = {}
    for name, text in files:
        contract = Path(name).stem.removeprefix("benchmark-")
        for case, row in read(text, name).items():
            if row.get(value) and all(word in case for word in words):
                point = row["date"], row["commit"], float(row[value])
                found.setdefault((contract, case), {})[point[:2]] = point
    return {key: sorted(points.values()) for key, points in sorted(found.items())}


def table(found: Curves, value: str) -> str:
    """The curves as lines of text."""
    lines = []
    for (contract, case), points in found.items():
        lines.append(f"{case} ({contract}), {value}")
        lines += [f"    {date[:10]}  {commit or 'unknown':16s} {number:,.5g}" for date, commit, number in points]
    return "\n".join(lines)


def chart(found: Curves, value: str, path: Path) -> None:
    """A curve of each case over the dates of measurements."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import dates, pyplot

    figure, axes = pyplot.subplots(figsize=(10, 5.5), layout="constrained")
    for (contract, case), points in found.items():
        days = dates.date2num([datetime.datetime.fromisoformat(date) for date, _, _ in points])
        axes.plot(days, [number for *_, number in points], "o-", label=f"{case} ({contract})")
    axes.set(ylabel=value.replace("_", " "), yscale="linear" if value.startswith("ratio") else "log")
    axes.xaxis_date()
    axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.autofmt_xdate()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 done, 2 the command or a file is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    parser.add_argument("--value", choices=VALUES, default="images_per_second")
    parser.add_argument("--case", nargs="+", default=[], metavar="WORD", help="only cases whose names have these words")
    parser.add_argument("--chart", type=Path, metavar="FILE.png")
    args = parser.parse_args(argv)
    try:
        if args.chart:
            check_chart()
        found = curves(versions(args.folder), args.value, args.case)
        if not found:
            raise UserError(f"{args.folder} has no results of that kind: benchmarks.throughput --markdown writes them")
    except UserError as error:
        print(f"history: {error}", file=sys.stderr)
        return 2
    if args.chart:
        chart(found, args.value, args.chart)
    else:
        print(table(found, args.value))
    return 0


if __name__ == "__main__":
    sys.exit(main())
