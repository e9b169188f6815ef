"""The command line: `genart COMMAND ...`. A word is the name of a file in `commands`, and is imported when it is said.

Options come from the dataclasses of the configuration, through tyro. Help and lists answer without importing jax.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from genart_jax import registry
from genart_jax.app.arguments import near
from genart_jax.app.exits import leaving
from genart_jax.config import UserError

COMMANDS = (
    "list",
    "train",
    "sample",
    "latent",
    "evaluate",
    "fid",
    "compare",
    "originality",
    "plot",
    "checkpoint",
    "predict",
    "explain",
    "transform",
    "stylize",
    "studio",
    "judge",
    "bench",
    "export",
    "assets",
    "data",
    "completion",
)
"""In the order of the list that `genart --help` prints."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0 done, 1 the program failed, 2 the input is wrong, 130 stopped by Ctrl-C, and 141
    where nobody reads what it prints any more, as in `| head`.
    """
    return leaving(_run, sys.argv[1:] if argv is None else argv)


def _run(args: Sequence[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0 if args else 2
    word, *rest = args
    if word not in COMMANDS:
        raise UserError(f"command {word!r} is unknown; {near(word, COMMANDS)}")
    command(word).run(rest)
    return 0


def command(word: str) -> ModuleType:
    """The file of a command; see `commands`."""
    return importlib.import_module(f"genart_jax.app.commands.{word}")


def usage() -> str:
    """A line for each command."""
    lines = [(command(word).USAGE, command(word).SUMMARY) for word in COMMANDS]
    rows = "\n".join(f"  {left:<44}{says}" if len(left) < 44 else f"  {left}\n{'':46}{says}" for left, says in lines)
    models = ", ".join(registry.list_models())
    return f"usage: genart COMMAND ...\n\n{rows}\n\nEvery command has --help.  Models: {models}"


if __name__ == "__main__":
    sys.exit(main())
