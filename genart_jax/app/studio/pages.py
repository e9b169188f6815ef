"""What every page of ours answers alike: refusals in one line, its own files, and pictures."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from genart_jax.app.studio.security import TooLargeError, refusal
from genart_jax.app.studio.store import FullError, NoSpaceError
from genart_jax.config import UserError

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif",
}  # fmt: skip
_ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#3b4cca"/>'
    b'<circle cx="12" cy="13" r="6" fill="#ffd166"/><path d="M6 26l9-11 5 6 3-3 4 8z" fill="#fff"/></svg>'
)


def add_errors(app: FastAPI) -> None:
    """Every refusal is {"error": one line}."""
    said = lambda status, text, **headers: lambda request, error: refusal(status, text, **headers)
    app.add_exception_handler(UserError, lambda request, error: refusal(422, str(error)))
    app.add_exception_handler(FullError, said(429, "the queue is full; try again in a while", retry_after="5"))
    app.add_exception_handler(NoSpaceError, said(507, "the disk is full; remove results, or choose another --folder"))
    app.add_exception_handler(TooLargeError, said(413, "too large"))
    app.add_exception_handler(Exception, said(500, "the studio failed; its log says more"))

    @app.exception_handler(RequestValidationError)
    def unfit(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:2])
        return refusal(422, f"{where[:40] or 'body'}: {first['msg'][:100]}")

    @app.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> JSONResponse:
        texts = {404: "there is nothing here", 405: "not so"}
        return refusal(error.status_code, texts.get(error.status_code, "this cannot be read"))


def missing() -> HTTPException:
    """The one answer for all that is not there."""
    return HTTPException(404)


def add_page(app: FastAPI, *folders: Path) -> None:
    """A page's own files: they are read at the start, and found by name; of two of a name the later folder's."""
    files = {path.name: path.read_bytes() for one in folders for path in one.iterdir() if path.suffix in _TYPES}
    files["icon.svg"] = _ICON

    def sent(name: str) -> Response:
        if name not in files:
            raise missing()
        return Response(files[name], media_type=_TYPES[Path(name).suffix])

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return sent("index.html")

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        return sent(name)


def sent(path: Path | None) -> Response:
    """A picture's file as an answer.

    Raises:
      HTTPException: 404, where there is none.
    """
    try:
        content = b"" if path is None else path.read_bytes()
    except OSError:
        content = b""
    if path is None or not content:
        raise missing()
    kind = "image/gif" if content.startswith(b"GIF8") else _TYPES.get(path.suffix, "application/octet-stream")
    return Response(content, media_type=kind)
