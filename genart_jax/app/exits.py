"""How the program ends: what goes wrong becomes one line on standard error and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from genart_jax.app.listen import listening
from genart_jax.config import NotFiniteError, PeerLostError, UserError


def leaving(run: Callable[[Sequence[str]], int], args: Sequence[str]) -> int:
    """Runs `run(args)` and returns the exit code, its own or that of what it raised; see `cli.main`."""
    try:
        with listening():
            code = _told(run, args)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes as it ends
        code = 141
    if code and "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized():
        # Leaving as usual would wait for the other processes, which wait for this one.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _told(run: Callable[[Sequence[str]], int], args: Sequence[str]) -> int:
    """The exit code; an error has been printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files that the locale has no letters for
    try:
        return run(list(args))
    except UserError as error:
        return _say(str(error), 2)
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return _say("stopped", 130)
    except BrokenPipeError:
        raise
    # OSError is also NotSavedError, a full disk, a file that may not be read.
    except (NotFiniteError, PeerLostError, OSError) as error:
        return _say(str(error), 1)
    except Exception:
        if trouble := _no_device():
            return _say(trouble, 2)
        traceback.print_exc()
        return 1


def _say(text: str, code: int) -> int:
    print(f"genart: {text}", file=sys.stderr)
    return code


def _no_device() -> str:
    """Why JAX has no device to compute on, as where JAX_PLATFORMS names one whose plugin is missing; "" if it has."""
    if "jax" not in sys.modules:
        return ""
    from genart_jax.train import parallel

    try:
        parallel.all_devices()
    except UserError as error:
        return str(error)
    return ""
