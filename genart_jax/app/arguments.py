"""Command-line arguments through tyro, with mistakes as one line."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import itertools
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Literal

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
        # A box: its title, then the message, a rule, and hints. Where the locale has no lines, a rule below the title.
        lines = [line.strip("│╭╰╮╯ ") for line in mistake.getvalue().splitlines()[1:]]
        rule = lambda line: not line.strip("-─")
        message = " ".join(itertools.takewhile(lambda line: not rule(line), itertools.dropwhile(rule, lines)))
        options = _options(cls)
        given = [arg.partition("=")[0] for arg in args if arg.startswith("--")]
        unknown = [name for name in given if name.replace("_", "-") not in options]
        if "Unrecognized options" in message and unknown:
            message = f"option {unknown[0]} is unknown"
            hint = _meant(unknown[0].replace("_", "-"), options) or f"see {prog} --help"
        else:
            hint = f"see {prog} --help"
        raise UserError(f"{message.rstrip('.')}; {hint}") from None


def named(name: str) -> object:
    """In an annotation, an option's name where that is a word of Python's own. It is evaluated as `parse` reads it."""
    import tyro

    return tyro.conf.arg(name=name)


def _options(cls: Any, prefix: str = "--") -> list[str]:
    """The names of a dataclass's options as they are typed, those of its sections among them."""
    hints, out = typing.get_type_hints(cls, include_extras=True), []
    for field in dataclasses.fields(cls):
        given = [getattr(m, "name", None) for m in getattr(hints[field.name], "__metadata__", ())]
        name = next(filter(None, given), field.name.replace("_", "-"))
        if dataclasses.is_dataclass(hint := hints[field.name]):
            out += _options(hint, f"{prefix}{name}.")
        else:
            out.append(prefix + name)
            out += [f"{prefix}no-{name}"] if hint is bool else []
    return out


def _meant(word: str, options: Sequence[str]) -> str:
    """A question that names the options nearest to an unknown one: by their last word, its initials, or letters."""
    last = word.lstrip("-").rpartition(".")[2]
    ends = {option: option.lstrip("-").rpartition(".")[2] for option in options}
    initials = {option: "".join(part[:1] for part in end.split("-")) for option, end in ends.items()}
    found = [o for o, end in ends.items() if end == last or (len(last) > 1 and initials[o] == last)]
    if not found:
        alike = lambda a, b: difflib.SequenceMatcher(None, a, b).ratio()
        part = lambda end: f"{last}-".startswith(f"{end}-") or f"{end}-".startswith(f"{last}-")
        ratios = {o: 0.8 if part(end) else max(alike(word, o) - 0.1, alike(last, end)) for o, end in ends.items()}
        best = max(ratios.values())
        found = [o for o, ratio in ratios.items() if ratio > max(0.7, best - 0.05)]
    return f"did you mean {' or '.join(found[:3])}?" if found else ""


def near(word: str, known: Iterable[str]) -> str:
    """A question that names the known words nearest to `word`; all of them where none is near."""
    found = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(found)}?" if found else f"there are {', '.join(known)}"


def peel(args: Sequence[str], command: str, what: str) -> tuple[str, list[str]]:
    """The first argument, a `what`, and the others."""
    if not args or args[0].startswith("-"):
        raise UserError(f"{command} needs a {what} first: genart {command} {what.upper()} ...")
    return args[0], list(args[1:])


def leading(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before the first option, and the others."""
    words = list(itertools.takewhile(lambda arg: not arg.startswith("-"), args))
    return words, list(args[len(words) :])


def wants_help(args: Sequence[str]) -> bool:
    """Whether help is asked for before anything else."""
    return bool(args) and args[0] in ("-h", "--help")


def checkpoint_word(word: str) -> int | Literal["best"] | None:
    """Which checkpoint `--step` names: a number, the best one, or None for the newest."""
    if word and word != "best" and not word.isdecimal():
        raise UserError(f"--step {word!r}: wanted a number or best")
    return "best" if word == "best" else int(word) if word else None
