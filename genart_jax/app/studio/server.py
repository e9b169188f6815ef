"""The API. Nothing here opens a path, a URL or a pickle that a request names."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from genart_jax.app.studio import forms, pages
from genart_jax.app.studio.limits import Limits
from genart_jax.app.studio.pages import missing, sent
from genart_jax.app.studio.pool import Pool
from genart_jax.app.studio.security import Guard, refusal
from genart_jax.app.studio.store import ENDED, Job, Store
from genart_jax.app.studio.stream import Stream
from genart_jax.config import UserError
from genart_jax.runtime.values import Json

LIMITS = Limits()
_TIDY = 600.0  # seconds from one tidying to the next
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
    pages.add_errors(app)
    pages.add_page(app, pages.STATIC)
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
        return sent(store.file(id_, name))


def _found(store: Store, id_: str) -> Job:
    found = store.find(id_)
    if found is None:
        raise missing()
    return found


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
            raise missing()
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
        return sent(store.favourite(id_))

    @app.delete("/api/favourites/{id_}")
    def forget(id_: str) -> dict[str, Any]:
        """Forgets a picture that was kept."""
        if store.favourite(id_) is None:
            raise missing()
        store.forget(id_)
        return {"id": id_}
