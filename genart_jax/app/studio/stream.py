"""What happens, told to all open pages: server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from genart_jax.runtime.values import Json

_PING = 15.0  # seconds between signs of life of a stream


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
