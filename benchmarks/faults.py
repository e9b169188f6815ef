"""The fault suite in full: what a run survives, counted.

    python -m benchmarks.faults [NUMBER ...] [--out benchmarks/results/faults.md]

Rows of other numbers that the table holds are kept, so that the long ones can be run one by one. Number 4 mounts a
small tmpfs, for which it must be root.
"""

from __future__ import annotations

import argparse
import datetime
import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import jax

from benchmarks import machine
from benchmarks.fault_cases import running, saving, several, surroundings
from benchmarks.fault_cases.common import Count

FAULTS: dict[str, tuple[str, Callable[[], Count]]] = {
    "1": ("SIGKILL at random moments during saves", saving.kills),
    "2": ("one bit flipped anywhere in a checkpoint", saving.bits),
    "3": ("truncated file, missing file, missing sums, stray folder", saving.losses),
    "4": ("disk full (tmpfs)", saving.full_disk),
    "5": ("resume in the middle of an epoch, bit by bit", running.resumes),
    "6": ("devices from 1 to 4 to 2 in mid-run", several.devices),
    "7": ("NaN in data, in gradients, in a parameter", running.not_finite),
    "8": ("SIGTERM, one process", running.terminations),
    "8b": ("SIGTERM, two processes", several.terminations),
    "9": ("one of two processes killed", several.losses),
    "10": ("damaged and hostile files", surroundings.files),
    "11": ("clock, locale, caches, paths, no home, no network", surroundings.surroundings),
    "12": ("24 h in miniature", running.long_run),
}
"""Number in the suite -> (what is done, the function that does it)."""


def main() -> None:
    """Runs the faults that are asked for, and writes their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", choices=[[], *FAULTS], help="which (all)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows: dict[str, str] = {}
    if args.out and args.out.exists():
        rows = {m[1]: m[0] for m in re.finditer(r"^\| (\d+\w?) \|.*$", args.out.read_text(), flags=re.M)}
    for number in args.numbers or FAULTS:
        what, function = FAULTS[number]
        started = time.perf_counter()
        try:
            count = function()
        except Exception:  # the others are to be counted all the same
            traceback.print_exc()
            count = Count(1, 0, "the suite itself failed")
        seconds = time.perf_counter() - started
        rows[number] = f"| {number} | {what} | {count.tries} | {count.survived} | {count.said} | {seconds:.0f} |"
        print(rows[number], flush=True)
        if args.out:
            args.out.write_text(_page(rows))


def _page(rows: dict[str, str]) -> str:
    order = sorted(rows, key=lambda key: (int(re.sub(r"\D", "", key)), key))
    lines = [
        "# What a run survives",
        "",
        "`python -m benchmarks.faults [NUMBER ...]`, one core, random moments and places from seed 0 or 1.",
        f"{machine.processor()}, jax {jax.__version__}, {datetime.datetime.now(datetime.UTC).date()}.",
        "",
        "| # | fault | tries | survived | what happened | s |",
        "|---:|---|---:|---:|---|---:|",
        *(rows[number] for number in order),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
