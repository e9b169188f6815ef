"""Scripts by which shells complete commands and options, made by tyro from the dataclasses of all options."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import io
import operator
import pkgutil
from typing import Annotated, Any

from genart_jax.app import commands

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """The script for one of `SHELLS`."""
    import tyro

    words = sorted(one.name for one in pkgutil.iter_modules(commands.__path__))
    choices: Any = functools.reduce(operator.or_, map(_choice, words))
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        tyro.cli(choices, prog="genart", args=["--tyro-print-completion", shell])
    return out.getvalue()


def _choice(word: str) -> Any:
    """A command as a subcommand of tyro's, with the options of all its actions."""
    import tyro

    command = importlib.import_module(f"{commands.__name__}.{word}")
    own = lambda name, cls: isinstance(cls, type) and name.endswith("Options") and cls.__module__ == command.__name__
    found = tuple(cls for name, cls in vars(command).items() if own(name, cls))
    taken = dataclasses.make_dataclass(word, [], bases=found, frozen=True)
    return Annotated[taken, tyro.conf.subcommand(word, prefix_name=False, description=command.SUMMARY)]
