"""`genart judge A B [...]`: people say which pictures are better; what they say, with intervals."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genart_jax.app.arguments import leading, parse
from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded

if TYPE_CHECKING:
    from genart_jax.app.judge.votes import Votes

USAGE = "judge A B ... [--report]"
SUMMARY = "let people judge pictures, blind"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart judge`."""

    ask: Literal["pairs", "real", "scales"] = "pairs"
    """pairs: which is better? real: real or made? scales: quality, originality and style from 1 to 5."""
    num: int = 50
    """Pictures of each."""
    seed: int = 0
    """Of runs' pictures."""
    expert: tuple[str, ...] = ()
    """Names of judges whose answers are reported beside those of others."""
    invite: tuple[str, ...] = ()
    """Names of judges who get a link of their own, which alone speaks for them; with --expert they are marked, too."""
    folder: Path = Path("judge")
    """Where pictures and votes are kept."""
    port: int = 8485
    """Where it listens; 0 takes a free one."""
    host: str = "127.0.0.1"
    """The address of this machine that it listens at; another than 127.0.0.1 lets others in who have the link."""
    report: bool = False
    """Print what was said so far, and write it into the scores of runs, which `genart compare` reads."""
    csv: Path | None = None
    """With --report: write all votes to this file."""


def run(args: Sequence[str]) -> None:
    """The command.

    Raises:
      UserError: a source without pictures, or nothing to report.
    """
    prog, text = "genart judge A B ...", "A page on which people judge pictures of runs, folders or files, blind."
    words, rest = leading(args)
    options: Options = parse(Options, rest, prog, text)
    if len(words) < (2 if options.ask == "pairs" else 1):
        raise UserError("judge needs two sources or more: genart judge A B, each a run, a folder or a picture")
    if options.num < 1 or options.seed < 0:
        raise UserError("--num: wanted at least 1, and --seed at least 0")
    if missing := [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]:
        raise UserError(f"judge needs {' and '.join(missing)}: pip install 'genart_jax[studio]'")

    from genart_jax.app.judge.items import prepare
    from genart_jax.app.judge.votes import Votes

    folder = expanded(options.folder)
    how = f"genart judge {' '.join(words)} --folder {options.folder}"
    nobody = UserError(f"nobody has judged in {folder} yet: {how} opens the page, or name another --folder")
    if options.report and not folder.exists():
        raise nobody
    votes = Votes(folder)
    try:
        if options.report and not votes.all(options.ask):
            raise nobody
        items = prepare(folder, words, options.num, options.seed)
        if options.report:
            _report(votes, words, options)
            return

        from genart_jax.app.judge import server
        from genart_jax.app.studio import serve

        make = lambda hosts, port: server.create(
            items, votes, options.ask, options.expert, hosts, port, invited=options.invite
        )
        serve.at(options.host, options.port, make, lambda text: print(text, flush=True))
    finally:
        votes.close()


def _report(votes: Votes, names: Sequence[str], options: Options) -> None:
    from genart_jax.app.judge import report

    given = votes.all(options.ask)
    print("\n".join(report.lines(given, options.ask, names)))
    if options.csv is not None:
        place = expanded(options.csv)
        try:
            place.write_text(report.table(given, names), encoding="utf-8")
        except OSError as error:
            raise UserError(f"--csv {place} cannot be written: {error.strerror or error}") from None
        print(place)
    if options.ask == "pairs":
        for path in report.write_scores(given, names, options.num, options.seed):
            print(f"{path}: {report.SCORE}", file=sys.stderr)
