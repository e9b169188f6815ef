"""The queue: nothing that was asked is lost, and nothing grows without bound."""

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from genart_jax.app.studio import pool, server
from genart_jax.app.studio.limits import Limits
from genart_jax.app.studio.store import NoSpaceError, Store
from genart_jax.config import UserError
from tests.studio.client import STUB, TOKEN, running, until

Usage = namedtuple("Usage", "total used free")


def test_from_a_job_to_its_picture(tmp_path):
    with running(tmp_path) as studio:
        job = studio.done(style="noto", seed=3)
        assert job["inputs"] == {"do": "draw", "style": "noto", "seed": 3, "truncation": 1.0}
        assert job["result"]["pictures"] == [{"file": "0.png", "words": "style noto"}]
        picture = studio.ask("GET", f"/api/jobs/{job['id']}/files/0.png")
        assert picture.headers["Content-Type"] == "image/png"
        assert picture.body.endswith(job["id"].encode())
        assert [one["id"] for one in studio.get("/api/jobs")] == [job["id"]]
        assert studio.ask("DELETE", f"/api/jobs/{job['id']}").status == 200
        assert studio.ask("GET", f"/api/jobs/{job['id']}").status == 404
        assert not (tmp_path / "jobs" / job["id"]).exists()


def test_what_fails_says_why(tmp_path):
    with running(tmp_path) as studio:
        assert studio.wait(studio.started(do="fail"), "failed")["note"] == "not today"
        assert studio.done()


@contextlib.contextmanager
def listening(studio):
    """A page's stream of events, once it has begun."""
    with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as line:
        head = f"GET /api/events HTTP/1.1\r\nHost: {studio.host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        line.sendall(head.encode())
        until(lambda: b": here" in line.recv(4096))
        yield line


def test_pages_are_told(tmp_path):
    with running(tmp_path) as studio, listening(studio) as line:
        id_ = studio.started()
        heard = b""
        while b'"done"' not in heard:
            heard += line.recv(4096)
        events = [json.loads(row[6:]) for row in heard.decode().splitlines() if row.startswith("data: ")]
        assert [one["event"] for one in events if one.get("job") == id_] == ["running", "done"]


def test_listeners_are_bounded(tmp_path):
    with running(tmp_path, limits=Limits(streams=1)) as studio, listening(studio):
        assert studio.ask("GET", "/api/events").status == 503


def test_cancelling(tmp_path):
    with running(tmp_path) as studio:
        running_, waiting = studio.started(do="wait"), studio.started(do="wait")
        studio.wait(running_, "running")
        assert studio.get(f"/api/jobs/{waiting}")["state"] == "waiting"
        for id_ in (waiting, running_):
            assert studio.ask("DELETE", f"/api/jobs/{id_}").status == 200
            studio.wait(id_, "cancelled")
        assert studio.done()


def test_what_does_not_stop_is_ended(tmp_path):
    with running(tmp_path, limits=Limits(patience=0.1)) as studio:
        id_ = studio.started(do="stubborn")
        studio.wait(id_, "running")
        studio.ask("DELETE", f"/api/jobs/{id_}")
        studio.wait(id_, "cancelled")
        assert studio.done()


def test_a_full_queue(tmp_path):
    with running(tmp_path, limits=Limits(waiting=2)) as studio:
        studio.wait(studio.started(do="wait"), "running")
        assert [studio.job().status for _ in range(2)] == [202, 202]
        refused = studio.job()
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) > 0
        assert "full" in json.loads(refused.body)["error"]


def test_a_worker_that_dies_is_started_again(tmp_path):
    """What it died of is begun twice at most; what waits is done."""
    with running(tmp_path) as studio:
        deadly, next_ = studio.started(do="die"), studio.started()
        failed = studio.wait(deadly, "failed")
        assert "died" in failed["note"]
        assert failed["tries"] == 2
        studio.wait(next_, "done")


def test_a_worker_that_is_killed(tmp_path):
    with running(tmp_path) as studio:
        id_ = studio.started(do="wait")
        studio.wait(id_, "running")
        place = tmp_path / "jobs" / id_ / "pid"
        os.kill(int(until(lambda: place.is_file() and place.read_text())), signal.SIGKILL)
        until(lambda: studio.get(f"/api/jobs/{id_}")["tries"] == 2)
        studio.ask("DELETE", f"/api/jobs/{id_}")
        studio.wait(id_, "cancelled")


def test_one_worker_a_device(tmp_path):
    """Two jobs run at once and the third waits; one is cancelled at its own worker; all workers end with the server."""
    with running(tmp_path, devices=2) as studio:
        until(lambda: studio.get("/api/about")["devices"] == 2)
        both = [studio.started(do="wait") for _ in range(2)]
        for id_ in both:
            studio.wait(id_, "running")
        third = studio.started(do="wait")
        places = [tmp_path / "jobs" / id_ / "pid" for id_ in both]
        numbers = {int(until(lambda place=place: place.is_file() and place.read_text())) for place in places}
        assert len(numbers) == 2
        assert studio.get(f"/api/jobs/{third}")["state"] == "waiting"
        studio.ask("DELETE", f"/api/jobs/{both[1]}")
        assert studio.wait(both[1], "cancelled")
        studio.wait(third, "running")
        assert studio.get(f"/api/jobs/{both[0]}")["state"] == "running"
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_a_worker_has_its_own_device(monkeypatch):
    """With three devices of a CPU: they are counted, and what the second worker computes is on the second."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    assert pool.count_devices() == 3
    code = (
        "from genart_jax.app.studio import worker; worker._take_device(); import jax.numpy as jnp;"
        "print([one.id for one in jnp.ones(1).devices()])"
    )
    own = pool.environment(1)
    assert own["JAX_CUDA_VISIBLE_DEVICES"] == "1"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=own)
    assert done.stdout.split() == ["[1]"]


def test_a_worker_that_does_not_start(tmp_path):
    with running(tmp_path, command=[*STUB, "broken"], ready=False) as studio:
        about = until(lambda: (found := studio.get("/api/about"))["trouble"] and found)
        assert "no such thing" in about["trouble"]
        assert studio.job().status == 422


def test_a_restart_loses_nothing(tmp_path):
    with running(tmp_path) as studio:
        first = studio.started(do="wait")
        studio.wait(first, "running")
        rest = [studio.started(seed=i) for i in range(3)]
    store = Store(tmp_path, Limits())
    assert {store.find(id_).state for id_ in (first, *rest)} == {"waiting"}
    store.end(first, "cancelled")
    store.close()
    with running(tmp_path) as studio:
        assert [studio.wait(id_, "done")["inputs"]["seed"] for id_ in rest] == [0, 1, 2]


def test_one_studio_a_folder(tmp_path):
    store = Store(tmp_path, Limits())
    with pytest.raises(UserError, match="another studio"):
        Store(tmp_path, Limits())
    store.close()
    Store(tmp_path, Limits()).close()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        Store(tmp_path / "file", Limits())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "studio.sqlite").write_bytes(b"no base" * 1000)
    with pytest.raises(UserError, match="cannot be used"):
        Store(tmp_path / "other", Limits())


def test_a_full_disk(tmp_path, monkeypatch):
    with running(tmp_path) as studio:
        upload = studio.ask("POST", "/api/uploads", b"x")
        assert upload.status == 201
        monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(100, 100, 0))
        for answer in (studio.job(), studio.ask("POST", "/api/uploads", b"x")):
            assert answer.status == 507
            assert "disk is full" in json.loads(answer.body)["error"]
        assert studio.get("/api/jobs") == []
        monkeypatch.undo()
        assert studio.done()


def test_a_disk_that_fills_while_it_is_written(tmp_path, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store(tmp_path, Limits())
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NoSpaceError):
        store.upload(b"x")
    assert not list((tmp_path / "uploads").iterdir())
    store.close()


def test_old_and_large_results_go_and_favourites_stay(tmp_path):
    store = Store(tmp_path, Limits(disk=2500, days=1.0))
    ids = []
    for i in range(4):
        job = store.add("create", "m", {"seed": i}, {})
        ids.append(store.take().id)
        store.place(job.id).mkdir()
        (store.place(job.id) / "0.png").write_bytes(b"x" * 1000)
        store.end(job.id, "done", "", {"pictures": [{"file": "0.png"}]})
    old, young = store.upload(b"x"), store.upload(b"y")
    os.utime(store.uploaded(old), (0, 0))
    liked = store.favour(b"z" * 5000, 1, {"seed": 1})
    with store._writing() as base:
        base.execute("UPDATE jobs SET made = made - 90000 WHERE id = ?", (ids[0],))
    waits = store.add("create", "m", {}, {})
    store.tidy()
    assert [store.find(id_) is not None for id_ in ids] == [False, False, True, True]
    assert store.uploaded(old) is None
    assert store.uploaded(young)
    assert store.find(waits.id)
    assert store.favourite(liked)
    assert not store.place(ids[0]).exists()
    store.close()


def test_it_tidies_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "_TIDY", 0.05)
    with running(tmp_path) as studio:
        old = studio.store.upload(b"x")
        os.utime(studio.store.uploaded(old), (0, 0))
        until(lambda: studio.store.uploaded(old) is None)
        assert studio.done()


def test_favourites(tmp_path):
    with running(tmp_path) as studio:
        job = studio.done(seed=5)
        liked = {"job": job["id"], "file": "0.png", "verdict": 1}
        ids = [json.loads(studio.ask("POST", "/api/favourites", liked).body)["id"] for _ in range(2)]
        assert ids[0] == ids[1]  # one picture is kept once
        (kept,) = studio.get("/api/favourites")
        assert kept["recipe"] == {
            "studio": 1, "kind": "create", "model": "stub", "index": 0,
            "inputs": {"do": "draw", "style": "any", "seed": 5, "truncation": 1.0},
        }  # fmt: skip
        (studio.folder / "jobs" / liked["job"] / "live.png").write_bytes(b"what it looked like on the way")
        assert studio.ask("POST", "/api/favourites", {**liked, "file": "live.png"}).status == 404
        studio.ask("DELETE", f"/api/jobs/{job['id']}")
        picture = f"/api/favourites/{kept['id']}"
        assert studio.ask("GET", picture).body.endswith(job["id"].encode())
        used = studio.done(kind="transform", picture={"favourite": kept["id"]})
        assert used["result"]["files"]["picture"].endswith(f"{kept['id']}.png")
        assert studio.ask("POST", "/api/favourites", {**liked, "file": "secret.png"}).status == 404
        assert studio.ask("POST", "/api/favourites", {**liked, "verdict": 7}).status == 422
        assert studio.ask("DELETE", picture).status == 200
        assert studio.ask("DELETE", picture).status == 404
        assert studio.get("/api/favourites") == []


def test_a_moving_favourite_stays_one(tmp_path):
    with running(tmp_path) as studio:
        id_ = studio.store.favour(b"GIF89a...", 1, {"kind": "between"})
        assert studio.ask("GET", f"/api/favourites/{id_}").headers["Content-Type"] == "image/gif"


def test_the_base_is_written_ahead(tmp_path):
    Store(tmp_path, Limits()).close()
    base = sqlite3.connect(tmp_path / "studio.sqlite")
    assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    base.close()


def test_the_server_imports_no_jax():
    code = "import sys, genart_jax.app.studio.serve; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_a_job_is_answered_at_once(tmp_path):
    """The way through the server and back is a small part of the 0.3 s from a click to pictures."""
    with running(tmp_path) as studio:
        studio.done()
        began = time.perf_counter()
        for _ in range(5):
            studio.done()
        assert (time.perf_counter() - began) / 5 < 0.15
