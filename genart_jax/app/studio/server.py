"""The API, and the page's files. Nothing here opens a path, a URL or a pickle that a request names."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.exceptions import HTTPException

from genart_jax.app.studio import forms
from genart_jax.app.studio.limits import Limits
from genart_jax.app.studio.pool import Pool
from genart_jax.app.studio.security import Guard, TooLargeError, refusal
from genart_jax.app.studio.store import ENDED, FullError, Job, NoSpaceError, Store
from genart_jax.config import UserError
from genart_jax.runtime.values import Json

LIMITS = Limits()
STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif",
}  # fmt: skip
_ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#3b4cca"/>'
    b'<circle cx="12" cy="13" r="6" fill="#ffd166"/><path d="M6 26l9-11 5 6 3-3 4 8z" fill="#fff"/></svg>'
)
_TIDY = 600.0  # seconds from one tidying to the next
_PING = 15.0  # seconds between signs of life of a stream
Word = Annotated[str, Field(max_length=200)]


class Asked(BaseModel):
    """A job: which kind of work, of which model, with what in its form."""

    model_config = ConfigDict(extra="forbid")
    kind: Word
    model: Word
    inputs: dict[Word, JsonValue] = {}


class Liked(BaseModel):
    """A picture of a job that is liked (1) or not (-1)."""

    model_config = ConfigDict(extra="forbid")
    job: Word
    file: Word
    verdict: int = Field(default=1, ge=-1, le=1)


class Stream:
    """What all open pages are told. Threads tell; pages listen in the event loop."""

    def __init__(self, most: int) -> None:
        self._queues: set[asyncio.Queue[Json | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._most, self.ended = most, False

    def open(self) -> None:
        """From here on, in this event loop."""
        self._loop = asyncio.get_running_loop()

    def tell(self, message: Json | None) -> None:
        """Tells all; None ends them. Where no one can hear, nothing happens."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._put, message)

    def _put(self, message: Json | None) -> None:
        self.ended = self.ended or message is None
        for queue in self._queues:
            if queue.full():  # a page that does not listen; it asks again when it does
                queue.get_nowait()
            queue.put_nowait(message)

    def listen(self) -> AsyncIterator[str] | None:
        """Messages as a page reads them; None where too many listen."""
        return None if len(self._queues) >= self._most else self._listen()

    async def _listen(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[Json | None] = asyncio.Queue(256)
        self._queues.add(queue)
        try:
            yield ": here\n\n"
            while not self.ended:
                try:
                    message = await asyncio.wait_for(queue.get(), _PING)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if message is None:
                    return
                yield f"data: {json.dumps(message)}\n\n"
        finally:
            self._queues.discard(queue)


def create(
    folder: Path, command: Sequence[str], hosts: Sequence[str], port: int, limits: Limits = LIMITS, token: str = "",
    devices: Callable[[], int] = lambda: 1,
) -> tuple[Guard, Store]:  # fmt: skip
    """The studio as an ASGI app, and its store, which the caller closes.

    Args:
      folder: where it keeps what is asked and done.
      command: starts the worker.
      hosts: names that requests may call this machine.
      port: where it listens.
      limits: see there.
      token: of this start; "" draws one.
      devices: gives how many devices are to work.
    """
    store, stream = Store(folder, limits), Stream(limits.streams)
    worker = Pool(command, store, stream.tell, devices)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stream.open()
        worker.start()
        tidying = asyncio.create_task(_tidy(store))
        yield
        tidying.cancel()
        stream.tell(None)
        await asyncio.to_thread(worker.close)

    app = FastAPI(title="genart studio", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.router.redirect_slashes = False  # or //elsewhere/ would be an open door
    add_errors(app)
    add_page(app, STATIC)
    _add_state(app, store, worker, stream)
    _add_jobs(app, store, worker)
    _add_pictures(app, store, worker)
    return Guard(app, hosts, port, limits, token), store


async def _tidy(store: Store) -> None:
    """At the start, and now and then."""
    while True:
        try:
            await asyncio.to_thread(store.tidy)
        except OSError as error:
            logging.getLogger(__name__).warning("%s cannot be tidied: %s", store.folder, error)
        await asyncio.sleep(_TIDY)


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


def _missing() -> HTTPException:
    return HTTPException(404)


def add_page(app: FastAPI, *folders: Path) -> None:
    """A page's own files: they are read at the start, and found by name; of two of a name the later folder's."""
    files = {path.name: path.read_bytes() for one in folders for path in one.iterdir() if path.suffix in _TYPES}
    files["icon.svg"] = _ICON

    def sent(name: str) -> Response:
        if name not in files:
            raise _missing()
        return Response(files[name], media_type=_TYPES[Path(name).suffix])

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return sent("index.html")

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        return sent(name)


def _add_state(app: FastAPI, store: Store, worker: Pool, stream: Stream) -> None:
    @app.get("/api/about")
    def about() -> Json:
        """What the studio can do: its models, each with its forms; whether the worker is ready; the limits."""
        state = {"ready": worker.ready, "trouble": worker.trouble, "devices": worker.working}
        return {**state, "models": list(worker.models.values()), "limits": store.limits._asdict()}

    @app.get("/api/events")
    def events() -> Response:
        """Server-sent events: what becomes of jobs, as it happens."""
        messages = stream.listen()
        if messages is None:
            return refusal(503, "too many pages listen", retry_after="5")
        return StreamingResponse(messages, media_type="text/event-stream")


def _add_jobs(app: FastAPI, store: Store, worker: Pool) -> None:
    @app.post("/api/jobs", status_code=202)
    def ask(asked: Asked) -> Json:
        """Puts a job into the queue."""
        form = forms.find(worker.forms, asked.kind, asked.model)
        inputs = forms.checked(form["fields"], asked.inputs)
        job = store.add(asked.kind, asked.model, inputs, _files(store, form["fields"], inputs))
        worker.poke()
        return job.public()

    @app.get("/api/jobs")
    def jobs() -> list[Json]:
        """The newest jobs, the newest first."""
        return [job.public() for job in store.newest()]

    @app.get("/api/jobs/{id_}")
    def job(id_: str) -> Json:
        """One job."""
        return _found(store, id_).public()

    @app.delete("/api/jobs/{id_}")
    def stop(id_: str) -> Json:
        """Cancels a job that waits or runs; removes one that has ended."""
        found = _found(store, id_)
        if found.state in ENDED:
            store.remove(id_)
        else:
            worker.cancel(id_)
        return {"id": id_}

    @app.get("/api/jobs/{id_}/files/{name}")
    def file(id_: str, name: str) -> Response:
        """A picture of a job."""
        return _sent(store.file(id_, name))


def _found(store: Store, id_: str) -> Job:
    found = store.find(id_)
    if found is None:
        raise _missing()
    return found


def _sent(path: Path | None) -> Response:
    try:
        content = b"" if path is None else path.read_bytes()
    except OSError:
        content = b""
    if path is None or not content:
        raise _missing()
    kind = "image/gif" if content.startswith(b"GIF8") else _TYPES.get(path.suffix, "application/octet-stream")
    return Response(content, media_type=kind)


def _files(store: Store, fields: Sequence[Json], inputs: Json) -> Json:
    """Where the pictures are that a form means: name of the field -> place; of a list name.0, name.1, ..."""
    out: Json = {}
    for field in fields:
        value = inputs[field["name"]]
        if field["kind"] == "liked":
            out |= store.taste()
        if value is not None and field["kind"] in ("picture", "mask", "pictures", "archive"):
            several = value if isinstance(value, list) else [value]
            names = [f"{field['name']}.{i}" for i in range(len(several))] if value is several else [field["name"]]
            for name, one in zip(names, several, strict=True):
                path = _place(store, one)
                if path is None:
                    raise UserError(f"{field['name']}: there is no such picture")
                out[name] = str(path.resolve())
    return out


def _place(store: Store, one: Json) -> Path | None:
    if "upload" in one:
        return store.uploaded(one["upload"])
    return store.favourite(one["favourite"]) if "favourite" in one else store.file(one["job"], one["file"])


def _add_pictures(app: FastAPI, store: Store, worker: Pool) -> None:
    @app.post("/api/archives", status_code=201)
    @app.post("/api/uploads", status_code=201)
    async def upload(request: Request) -> Json:
        """Keeps the body, a picture's file or a zip, as it is; the worker reads it when a job asks for it."""
        if "multipart" in request.headers.get("content-type", ""):
            raise UserError("send the file itself as the body, not a form")
        content = await request.body()
        if not content:
            raise UserError("the body is empty; send a picture's file")
        return {"upload": await asyncio.to_thread(store.upload, content)}

    @app.post("/api/recipes")
    async def recipe(request: Request) -> Json:
        """What a PNG of ours, or its JSON, was made with: kind, model, inputs, and which of its pictures it is."""
        return forms.recipe_of(await request.body(), worker.forms)

    @app.get("/api/favourites")
    def favourites() -> list[Json]:
        """What is liked (verdict 1) and what is not (-1)."""
        return store.favourites()

    @app.post("/api/favourites", status_code=201)
    def like(liked: Liked) -> Json:
        """Keeps a picture of a job."""
        job, path = _found(store, liked.job), store.file(liked.job, liked.file)
        pictures = job.result.get("pictures", ())
        index = next((i for i, one in enumerate(pictures) if one["file"] == liked.file), None)
        if path is None or index is None:  # also what a job shows on its way
            raise _missing()
        own = {"kind": job.kind, "model": job.model, "inputs": job.inputs, "index": index}
        recipe = pictures[index].get("recipe", own)
        return {"id": store.favour(path.read_bytes(), liked.verdict, {"studio": forms.VERSION, **recipe})}

    @app.delete("/api/favourites")
    def reset() -> Json:
        """Forgets what is not liked."""
        return {"forgotten": store.reset()}

    @app.get("/api/favourites/{id_}")
    def kept(id_: str) -> Response:
        """A picture that was kept."""
        return _sent(store.favourite(id_))

    @app.delete("/api/favourites/{id_}")
    def forget(id_: str) -> dict[str, Any]:
        """Forgets a picture that was kept."""
        if store.favourite(id_) is None:
            raise _missing()
        store.forget(id_)
        return {"id": id_}
