"""`genart completion SHELL`: a script by which a shell completes commands and their options."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from genart_jax.app.arguments import parse, peel, wants_help
from genart_jax.config import UserError

USAGE = "completion bash|zsh|fish"
SUMMARY = "a script that has a shell complete commands and options"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart completion`."""


def run(args: Sequence[str]) -> None:
    """The command.

    Raises:
      UserError: another shell.
    """
    prog, text = (
        "genart completion SHELL",
        'For bash: genart completion bash > ~/.genart; echo ". ~/.genart" >> ~/.bashrc',
    )
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    shell, rest = peel(args, "completion", "shell")
    parse(Options, rest, prog, text)

    from genart_jax.app.completion import SHELLS, script

    if shell not in SHELLS:
        raise UserError(f"completion for {shell!r} is unknown; there are {', '.join(SHELLS)}")
    print(script(shell))
