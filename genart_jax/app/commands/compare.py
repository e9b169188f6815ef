"""`genart compare RUN RUN ...`: scores of runs side by side, with intervals."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from genart_jax.app.arguments import leading, parse
from genart_jax.runtime.cache import keep_programs

USAGE = "compare RUN RUN ... [--seeds]"
SUMMARY = "scores side by side, with intervals"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart compare`."""

    seeds: bool = False
    """Take runs that differ only in their seed together."""
    allow: tuple[str, ...] = ()
    """Entries of the contract that may differ, such as ema or num_fake."""
    json: bool = False
    """As JSON."""


def run(args: Sequence[str]) -> None:
    """The command."""
    runs, rest = leading(args)
    text = "Scores of runs side by side, with 95 % intervals, and which differences are more than chance."
    options: Options = parse(Options, rest, "genart compare RUN RUN ...", text)

    from genart_jax.evaluate.compare import compare_runs, table

    keep_programs()
    rows = compare_runs(runs, options.seeds, options.allow)
    if options.json:
        print(json.dumps([{**r._asdict(), "entries": [e._asdict() for e in r.entries]} for r in rows], indent=2))
    else:
        print(table(rows))
