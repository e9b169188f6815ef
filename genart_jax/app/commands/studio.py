"""`genart studio [RUN ...]`: paint with models in a browser."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from genart_jax.app.arguments import leading, parse
from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded

USAGE = "studio [RUN ...] [--port N]"
SUMMARY = "paint with models in a browser"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart studio`."""

    port: int = 8484
    """Where it listens; 0 takes a free one."""
    host: str = "127.0.0.1"
    """The address, or name, of this machine that it listens at. Another than 127.0.0.1 lets others in who have the
    token, over a line that is not encrypted."""
    folder: Path = Path("studio")
    """Where it keeps what is asked, done and liked."""
    devices: int = 0
    """How many devices work, each in a process of its own, at one queue; 0: all that JAX has here."""


def run(args: Sequence[str]) -> None:
    """The command.

    Raises:
      UserError: a run that there is not, a port that is taken, or packages that are missing.
    """
    prog, text = "genart studio [RUN ...]", "Paints with runs, and the models that come with the package, in a browser."
    words, rest = leading(args)
    options: Options = parse(Options, rest, prog, text)
    if missing := [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]:
        raise UserError(f"studio needs {' and '.join(missing)}: pip install 'genart_jax[studio]'")

    if options.devices < 0:
        raise UserError(f"--devices {options.devices}: wanted at least 1, or 0 for all")

    from genart_jax.app.studio import pool, serve
    from genart_jax.config.saved import read_config
    from genart_jax.runtime import packaged

    for word in words:
        read_config(word)
    names = [*dict.fromkeys([*words, *sorted(packaged.names(), key=lambda name: (name != "icons", name))])]
    folder = expanded(options.folder)
    command = [sys.executable, "-m", "genart_jax.app.studio.worker", str(folder / "runs"), *names]
    devices = (lambda: options.devices) if options.devices else pool.count_devices
    serve.serve(folder, command, devices, options.host, options.port, lambda text: print(text, flush=True))
