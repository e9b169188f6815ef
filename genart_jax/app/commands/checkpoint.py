"""`genart checkpoint ls|verify|repair RUN`: what a run has saved, and mending it."""

from __future__ import annotations

from collections.abc import Sequence

from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded

USAGE = "checkpoint ls|verify|repair RUN"
SUMMARY = "what a run has saved, and mending it"


def run(args: Sequence[str]) -> None:
    """The command."""
    words = "ls (what there is), verify (is it whole?) or repair (set damage aside, restore config.json)"
    if {"-h", "--help"} & set(args):
        print(f"usage: genart checkpoint ls|verify|repair RUN\n\n{words}")
        return
    if len(args) != 2 or args[0] not in ("ls", "verify", "repair"):
        raise UserError(f"say genart checkpoint ls|verify|repair RUN: {words}")

    from genart_jax.app.checkpoints import ACTIONS

    if not ACTIONS[args[0]](expanded(args[1])):
        raise SystemExit(1)
