"""The server on a socket, from its start to Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from genart_jax.app.studio import server
from genart_jax.app.studio.limits import Limits
from genart_jax.app.studio.security import LOOPBACK, Guard
from genart_jax.app.studio.store import Store
from genart_jax.config import UserError

_EVERYWHERE = ("", "0.0.0.0", "::", "*")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
      UserError: the port is taken or out of range, or the address is none of this machine, or all of them.
    """
    if host in _EVERYWHERE:
        raise UserError(f"--host {host}: name the one address of this machine that others reach it by")
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: wanted 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        hint = "; --port 0 takes a free one" if port else ""
        raise UserError(f"{host}:{port} cannot be listened at: {error.strerror or error}{hint}") from None


def server_of(app: Guard, limits: Limits) -> uvicorn.Server:
    """Uvicorn, which logs no address that was asked for."""
    return uvicorn.Server(
        uvicorn.Config(
            app, access_log=False, log_level="warning", server_header=False, proxy_headers=False, ws="none",
            timeout_keep_alive=30, timeout_graceful_shutdown=2, limit_concurrency=4 * limits.requests, lifespan="on",
        )
    )  # fmt: skip


def at(host: str, port: int, make: Callable[[Sequence[str], int], Guard], tell: Callable[[str], None]) -> None:
    """Serves what `make(hosts, port)` gives until Ctrl-C, which is raised again.

    Tells the address to open, whose token stands behind `#` and so is never sent as an address.

    Raises:
      UserError: see `listen`.
    """
    with listen(host, port) as door:
        port = door.getsockname()[1]
        app = make(LOOPBACK if host in LOOPBACK else (host,), port)
        name = f"[{host}]" if ":" in host else host
        if host not in LOOPBACK:
            tell("others can reach this address: whoever has the link below is let in")
        tell(f"open http://{name}:{port}/#token={app.token}    (Ctrl-C ends it)")
        for guest, token in app.tokens.items():
            tell(f"for {guest} alone: http://{name}:{port}/#token={token}")
        uvicorn_server = server_of(app, Limits())
        uvicorn_server.run(sockets=[door])
        if uvicorn_server.started:  # only Ctrl-C ends it, also where this process was started with that ignored
            raise KeyboardInterrupt


def serve(
    folder: Path, command: Sequence[str], devices: Callable[[], int], host: str, port: int, tell: Callable[[str], None]
) -> None:
    """Serves the studio; see `server.create`.

    Raises:
      UserError: see `listen`, or the folder cannot be used.
    """
    stores: list[Store] = []

    def make(hosts: Sequence[str], port: int) -> Guard:
        app, store = server.create(folder, command, hosts, port, devices=devices)
        stores.append(store)
        return app

    try:
        at(host, port, make, tell)
    finally:
        for store in stores:
            store.close()
