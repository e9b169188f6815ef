"""Who may ask: the guard in front of every request, as ASGI.

- Host must be the address that the studio was started on: another name that leads here (DNS rebinding) is refused.
- Origin, where a browser says it, must be the studio's own page; with a cookie, what changes something must say it.
- All but the page and its files wants the token of this start, by `Authorization: Bearer`, or by the cookie that the
  door `/api/session` gives for it. The address with the token has it behind `#`, which browsers do not send.
- Bodies are bounded before they are read; Range is not looked at.
- Every answer has a strict policy on what a page may load, and is not kept.
"""

from __future__ import annotations

import hmac
import http.cookies
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from starlette.responses import JSONResponse

from genart_jax.app.studio.limits import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DOOR = "/api/session"
WHO = "genart_who"
"""In the scope of a request: the guest whose token it has; "" for the token of the start."""
_SAFE = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


class TooLargeError(Exception):
    """A body is larger than it may be."""


def refusal(status: int, text: str, **headers: str) -> JSONResponse:
    """An answer that says in one line what is wrong."""
    return JSONResponse(
        {"error": text}, status, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


class Guard:
    """The app behind its guard.

    Args:
      app: what answers.
      hosts: names that a request may call this machine.
      port: where it listens.
      limits: see there.
      token: of this start; it is not to be written anywhere.
      guests: names of people who get a token of their own. A request's scope says under `WHO` by whose it came.

    Attributes:
      tokens: name -> token, of guests.
    """

    def __init__(
        self, app: App, hosts: Sequence[str], port: int, limits: Limits, token: str = "", guests: Sequence[str] = ()
    ) -> None:
        self._app, self._limits = app, limits
        self.token = token or secrets.token_urlsafe(32)
        self.tokens = {name: secrets.token_urlsafe(32) for name in guests}
        self._words = {"": self.token, **self.tokens}
        self._sessions, self.cookie = {n: secrets.token_urlsafe(32) for n in self._words}, f"genart_studio_{port}"
        names = [f"[{host}]" if ":" in host else host for host in hosts]
        self._hosts = {f"{name}:{port}" for name in names} | ({*names} if port == 80 else set())
        self._open = set(hosts) <= set(LOOPBACK)
        self._buckets: dict[str, tuple[float, float]] = {}
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(n, v) for n, v in message["headers"] if n.decode("latin-1") not in HEADERS]
                message["headers"] = kept + [(n.encode(), v.encode()) for n, v in HEADERS.items()]
            await send(message)

        refused = self._refused(scope, headers)
        if refused is None and scope["path"] == DOOR and scope["method"] == "POST":
            refused = self._welcome(scope[WHO])
        if refused is not None:
            await refused(scope, receive, answer)
            return
        scope["headers"] = [(n, v) for n, v in scope["headers"] if n not in (b"range", b"if-range")]
        self._now += 1
        try:
            if self._now > self._limits.requests:
                await refusal(503, "too many requests at once", retry_after="1")(scope, receive, answer)
            else:
                await self._app(scope, _bounded(receive, self._most(scope["path"])), answer)
        except TooLargeError:
            await refusal(413, "too large")(scope, receive, answer)
        finally:
            self._now -= 1

    def _refused(self, scope: Scope, headers: dict[str, str]) -> JSONResponse | None:
        host, origin, method = headers.get("host", ""), headers.get("origin"), scope["method"]
        if host.lower() not in self._hosts or [n for n, _ in scope["headers"]].count(b"host") > 1:
            return refusal(403, "this address is not the one that the studio was started on")
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            return refusal(403, "another page asked")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return refusal(403, "another page asked")
        if not self._open and not self._in_rate((scope.get("client") or ("",))[0]):
            return refusal(429, "too many requests", retry_after="1")
        if headers.get("content-length", "0").isdecimal() is False:
            return refusal(400, "content-length is no number")
        if int(headers.get("content-length", "0")) > self._most(scope["path"]):
            return refusal(413, "too large")
        path = scope["path"]
        if method in _SAFE and (path == "/" or path.startswith("/static/")):
            return None
        bearers = {name: f"Bearer {word}" for name, word in self._words.items()}
        if (who := _whose(headers.get("authorization", ""), bearers)) is not None:
            scope[WHO] = who
            return None
        who = _whose(_cookie(headers.get("cookie", ""), self.cookie), self._sessions)
        if who is not None and path != DOOR:
            scope[WHO] = who
            if method not in _SAFE and origin is None:
                return refusal(403, "a page must say its origin")
            return None
        return refusal(401, "open the address that the command printed; its token is wrong or missing here")

    def _welcome(self, who: str) -> JSONResponse:
        cookie = f"{self.cookie}={self._sessions[who]}; Path=/; HttpOnly; SameSite=Strict"
        return JSONResponse({}, headers={"set-cookie": cookie})

    def _most(self, path: str) -> int:
        picture = self._limits.upload
        sizes = {"/api/uploads": picture, "/api/recipes": picture, "/api/archives": self._limits.archive}
        return sizes.get(path, self._limits.body)

    def _in_rate(self, client: str) -> bool:
        now = time.monotonic()
        if len(self._buckets) > 10_000:
            self._buckets.clear()
        left, then = self._buckets.get(client, (float(self._limits.burst), now))
        left = min(self._limits.burst, left + (now - then) * self._limits.rate) - 1
        self._buckets[client] = (max(left, 0.0), now)
        return left >= 0


def _whose(given: str, words: Mapping[str, str]) -> str | None:
    """Whose word it is, None if nobody's; all are compared, each in constant time."""
    found = [name for name, word in words.items() if hmac.compare_digest(given.encode(), word.encode())]
    return found[0] if found else None


def _cookie(text: str, name: str) -> str:
    try:
        morsel = http.cookies.SimpleCookie(text).get(name)
    except http.cookies.CookieError:
        return ""
    return "" if morsel is None else morsel.value


def _bounded(receive: Receive, most: int) -> Receive:
    """As `receive`, of at most so many bytes in all."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise TooLargeError
        return message

    return bounded
