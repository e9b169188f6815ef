"""A studio that runs, and how tests speak to it: bare HTTP, so that every byte is the test's own."""

import contextlib
import http.client
import json
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from genart_jax.app.studio import serve, server
from genart_jax.app.studio.limits import Limits

LIMITS = Limits()
STUB = [sys.executable, str(Path(__file__).with_name("stub_worker.py"))]
TOKEN = "a-token-of-tests"


class Studio:
    """A running studio, and requests to it."""

    def __init__(self, port, folder):
        self.port, self.folder = port, folder
        self.host = f"127.0.0.1:{port}"

    def ask(self, method, path, body=None, headers=None, token=TOKEN):
        """(status, headers, body) of a request; `body` is JSON unless it is bytes."""
        sent = {"Host": self.host} | ({"Authorization": f"Bearer {token}"} if token else {}) | (headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if body is not None and "Content-Length" not in sent:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return SimpleNamespace(status=answer.status, headers=answer.headers, body=answer.read())

    def get(self, path, **options):
        """The JSON of a GET."""
        return json.loads(self.ask("GET", path, **options).body)

    def job(self, kind="create", model="stub", **inputs):
        """The answer to a new job."""
        return self.ask("POST", "/api/jobs", {"kind": kind, "model": model, "inputs": inputs})

    def started(self, **inputs):
        """A new job's id."""
        answer = self.job(**inputs)
        assert answer.status == 202, answer.body
        return json.loads(answer.body)["id"]

    def wait(self, id_, *states, seconds=20):
        """The job when it is in one of these states."""
        return until(lambda: (job := self.get(f"/api/jobs/{id_}"))["state"] in states and job, seconds)

    def done(self, **inputs):
        """A job that was asked and is done."""
        return self.wait(self.started(**inputs), "done")


def until(what, seconds=20):
    """What a function returns as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(0.01)
    return found


@contextlib.contextmanager
def running(folder, command=STUB, limits=LIMITS, hosts=("127.0.0.1", "localhost"), ready=True, devices=1):
    """A studio in a thread of this process; its worker is a process."""
    with serve.listen("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        app, store = server.create(folder, command, hosts, port, limits, TOKEN, lambda: devices)
        runs = serve.server_of(app, limits)
        thread = threading.Thread(target=runs.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        studio = Studio(port, folder)
        studio.store, studio.app = store, app
        try:
            until(lambda: runs.started)
            if ready:
                until(lambda: studio.get("/api/about")["ready"], 120)
            yield studio
        finally:
            runs.should_exit = True
            thread.join(10)
            store.close()
