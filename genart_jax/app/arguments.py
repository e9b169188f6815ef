"""Command-line arguments through tyro, with mistakes as one line."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Sequence
from typing import Any

from genart_jax.config import UserError


def parse(cls: Any, args: Sequence[str], prog: str, description: str) -> Any:
    """An instance of the dataclass `cls` from arguments; a mistake becomes one line."""
    import tyro

    mistake = io.StringIO()
    try:
        with contextlib.redirect_stderr(mistake):
            return tyro.cli(cls, args=list(args), prog=prog, description=description)
    except SystemExit as stop:
        if not stop.code:
            raise
        # A box: its title in the first line, then the message, a rule, and hints.
        lines = [line.strip("│╭╰╮╯ ") for line in mistake.getvalue().splitlines()]
        message = " ".join(itertools.takewhile(lambda line: not line.startswith("──"), lines[1:]))
        hints = [b.split()[0] for a, b in itertools.pairwise(lines) if a.startswith("Perhaps you meant")]
        hint = f"perhaps you meant {hints[0]}" if hints else f"see {prog} --help"
        raise UserError(f"{message.rstrip('.')}; {hint}") from None


def peel(args: Sequence[str], command: str, what: str) -> tuple[str, list[str]]:
    """The first argument, and the others."""
    if not args or args[0].startswith("-"):
        raise UserError(f"{command} needs {what} first: genart {command} {what.upper()} ...")
    return args[0], list(args[1:])


def leading(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before the first option, and the others."""
    words = list(itertools.takewhile(lambda arg: not arg.startswith("-"), args))
    return words, list(args[len(words) :])


def wants_help(args: Sequence[str]) -> bool:
    """Whether help is asked for before anything else."""
    return bool(args) and args[0] in ("-h", "--help")
