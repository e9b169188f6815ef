"""What a studio refuses: each known fault of programs of its kind, over real sockets."""

import contextlib
import io
import json
import logging
import socket
import threading
import time
import zlib

import pytest
from PIL import Image, PngImagePlugin

from genart_jax.app.studio import forms, serve
from genart_jax.app.studio.limits import Limits
from genart_jax.app.studio.security import Guard
from genart_jax.config import UserError
from tests.studio.client import TOKEN, Studio, running
from tests.studio.stub_worker import FORMS

OUTSIDE = "made to be found"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    (folder / "secret.txt").write_text(OUTSIDE)
    with running(folder / "kept") as one:
        yield one


def raw(studio, content, seconds=5):
    """What the studio answers to these bytes."""
    with socket.create_connection(("127.0.0.1", studio.port), timeout=seconds) as line:
        line.sendall(content)
        parts = []
        with contextlib.suppress(ConnectionResetError):  # it does not read on what is too long
            while part := line.recv(65536):
                parts.append(part)
        return b"".join(parts)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", ""]
)
def test_another_host_is_refused(studio, host):
    """DNS rebinding: the page of a name that leads here is not this page."""
    assert studio.ask("GET", "/", headers={"Host": host.format(port=studio.port)}).status == 403


def test_two_hosts_are_refused(studio):
    text = f"GET / HTTP/1.1\r\nHost: {studio.host}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert raw(studio, text.encode()).split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_pages_are_refused(studio, headers):
    assert studio.ask("POST", "/api/jobs", {"kind": "create", "model": "stub"}, headers).status == 403
    assert studio.ask("GET", "/api/about", headers=headers).status == 403


def test_the_door(studio):
    """A token opens it; its cookie lets a page of this origin in, and no form of another."""
    assert studio.ask("POST", "/api/session", token="wrong").status == 401
    answer = studio.ask("POST", "/api/session")
    cookie, *marks = answer.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict"} <= set(marks)
    assert TOKEN not in cookie
    by_cookie = {"Cookie": cookie}
    job = {"kind": "create", "model": "stub"}
    assert studio.ask("GET", "/api/about", headers=by_cookie, token="").status == 200
    assert studio.ask("POST", "/api/jobs", job, by_cookie, token="").status == 403
    assert (
        studio.ask("POST", "/api/jobs", job, {**by_cookie, "Origin": f"http://{studio.host}"}, token="").status == 202
    )
    assert studio.ask("GET", "/api/about", headers={"Cookie": cookie[:-1] + "x"}, token="").status == 401
    assert studio.ask("POST", "/api/session", headers=by_cookie, token="").status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/about"),
        ("GET", "/api/jobs"),
        ("POST", "/api/jobs"),
        ("GET", "/api/events"),
        ("POST", "/api/uploads"),
        ("POST", "/api/recipes"),
        ("GET", "/api/favourites"),
        ("POST", "/api/favourites"),
        ("GET", "/openapi.json"),
        ("GET", "/api/nothing"),
        ("DELETE", "/api/jobs/" + "0" * 32),
    ],
)
def test_nothing_without_the_token(studio, method, path):
    for token in ("", "wrong", TOKEN[:-1], f"{TOKEN}x", "\xff" * 20):
        assert studio.ask(method, path, token=token).status == 401
    query = f"{path}?token={TOKEN}"
    assert studio.ask(method, query, token="").status == 401  # where logs and referrers would have it


def test_the_door_needs_no_page_of_others(studio):
    assert studio.ask("GET", "/docs").status == 404
    assert studio.ask("GET", "/redoc").status == 404
    assert studio.ask("GET", "/openapi.json").status == 200


PATHS = [
    "/static/../server.py",
    "/static/..%2fserver.py",
    "/static/%2e%2e/server.py",
    "/static/%2e%2e%2fserver.py",
    "/static/..%5cserver.py",
    "/static/..\\server.py",
    "/static/%252e%252e%252fserver.py",
    "/static/....//server.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/C:%5cWindows%5cwin.ini",
    "/static/%5c%5chost%5cshare%5cx",
    "/static/index.html%00.png",
    "/static/index.html/",
    "/static/",
    "/static",
    "/static/\u0000",
    "/../../etc/passwd",
    "//etc/passwd",
    "/api/jobs/../../secret.txt",
    "/api/jobs/..%2f..%2fsecret.txt",
    "/api/jobs/%2e%2e/files/secret.txt",
    "/api/favourites/..%2f..%2fsecret",
    "/api/favourites/%2e%2e%2f%2e%2e%2fsecret.txt",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out(studio, path):
    """Windows' and encoded forms too; and what is not there has one status, whatever it would have been."""
    encoded = path.replace("\u0000", "%00").encode()
    head = f" HTTP/1.1\r\nHost: {studio.host}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()
    answer = raw(studio, b"GET " + encoded + head)
    assert answer.split()[1] in (b"404", b"400"), answer[:200]
    assert OUTSIDE.encode() not in answer
    assert b"root:" not in answer


def test_files_of_a_job_are_those_that_it_names(studio):
    job = studio.done()
    files = f"/api/jobs/{job['id']}/files"
    assert studio.ask("GET", f"{files}/0.png").status == 200
    names = ["secret.png", "1.png", "..%2f0.png", "%2e%2e", "0.png%00", "0.png/", "/etc/passwd", "%2fetc%2fpasswd"]
    answers = [studio.ask("GET", f"{files}/{name}") for name in names]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert studio.ask("GET", f"/api/jobs/{'0' * 32}/files/0.png").status == 404


def test_no_place_on_this_machine_is_told(studio):
    upload = json.loads(studio.ask("POST", "/api/uploads", b"x").body)
    job = studio.done(kind="transform", picture=upload)
    text = json.dumps({**studio.get(f"/api/jobs/{job['id']}"), "result": None}) + json.dumps(studio.get("/api/about"))
    assert str(studio.folder) not in text


@pytest.mark.parametrize(
    "picture",
    [
        {"upload": "/etc/passwd"},
        {"upload": "../secret.txt"},
        {"upload": "C:\\Windows\\win.ini"},
        {"upload": "\\\\host\\share\\x"},
        {"upload": "http://127.0.0.1:1/x.png"},
        {"upload": "file:///etc/passwd"},
        {"upload": "0" * 32},
        {"url": "http://169.254.169.254/latest"},
        {"path": "/etc/passwd"},
        {"favourite": "../../x"},
        {"job": "0" * 32, "file": "../../secret.txt"},
        "/etc/passwd",
        ["/etc/passwd"],
    ],
)
def test_no_path_and_no_address_is_opened(studio, picture):
    """Server-side requests: a picture is an upload, a favourite or of a job, by an id that was given here."""
    answer = studio.job(kind="transform", picture=picture)
    assert answer.status == 422
    assert b"picture" in answer.body


@pytest.mark.parametrize("query", ["next=//evil.example", "url=http://evil.example", "redirect=https:evil.example"])
def test_nothing_leads_elsewhere(studio, query):
    for path in ("/", "/static/index.html", "/api/about", "/api/jobs/", "//evil.example/%2e%2e"):
        answer = studio.ask("GET", f"{path}?{query}")
        assert "Location" not in answer.headers
        assert answer.status < 300 or answer.status >= 400


def test_headers_of_every_answer(studio):
    for path in ("/", "/api/about", "/nothing", "/api/session"):
        headers = studio.ask("GET", path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Server" not in headers


def test_the_page_loads_nothing_from_elsewhere_and_holds_no_code(studio):
    page = studio.ask("GET", "/", token="").body.decode()
    assert "http:" not in page
    assert "https:" not in page
    assert "<script>" not in page
    assert " style=" not in page
    assert " on" + "click" not in page


def test_no_log_has_the_token(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with running(tmp_path / "kept") as studio:
        studio.ask("GET", "/api/about")
        studio.ask("POST", "/api/session")
        studio.ask("GET", f"/api/about?token={TOKEN}", token="")
    said = caplog.text + "".join(capfd.readouterr())
    assert TOKEN not in said
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]


def test_ranges_are_not_looked_at(studio):
    """Many overlapping ranges of a file are a known way to keep a server busy."""
    ranges = "bytes=" + ",".join(f"0-{i}" for i in range(2000))
    answer = studio.ask("GET", "/static/index.html", headers={"Range": ranges})
    assert answer.status == 200
    assert answer.body == studio.ask("GET", "/static/index.html").body


def test_forms_of_many_parts_are_not_read(studio):
    body = b"".join(b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n\r\n' for _ in range(5000)) + b"--x--"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    began = time.monotonic()
    assert studio.ask("POST", "/api/uploads", body, headers).status == 422
    assert studio.ask("POST", "/api/jobs", body[:60_000], headers).status == 422
    assert time.monotonic() - began < 2


def test_oversize_is_refused_unread(studio):
    limits = Limits()
    for path, most in (("/api/jobs", limits.body), ("/api/uploads", limits.upload), ("/api/recipes", limits.upload)):
        answer = studio.ask("POST", path, b"", {"Content-Length": str(most + 1)})
        assert answer.status == 413, path
        assert studio.ask("POST", path, b"", {"Content-Length": "9" * 40}).status in (400, 413)


def test_oversize_in_chunks(tmp_path):
    with running(tmp_path, limits=Limits(body=1000, upload=1000)) as studio:
        head = f"POST /api/uploads HTTP/1.1\r\nHost: {studio.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
        chunks = b"".join(b"100\r\n" + b"x" * 256 + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
        answer = raw(studio, f"{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode() + chunks)
        assert answer.split()[1] == b"413"
        assert not list((tmp_path / "uploads").iterdir())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"create"',
        b"[" * 60_000,
        b'{"kind":' * 5000,
        b"\xff\xfe",
        b'{"kind": "create", "model": "stub", "inputs": []}',
        b'{"kind": 1, "model": "stub"}',
        b'{"kind": "create", "model": "stub", "more": 1}',
        b'{"kind": "create", "model": "stub", "inputs": {"seed": NaN}}',
        b'{"kind": "create", "model": "stub", "inputs": {"truncation": Infinity}}',
        b'{"kind": "create", "model": "stub", "inputs": {"truncation": 1e999}}',
        b'{"kind": "create", "model": "stub", "inputs": {"seed": true}}',
        b'{"kind": "create", "model": "stub", "inputs": {"seed": "0"}}',
        b'{"kind": "create", "model": "stub", "inputs": {"seed": 1' + b"0" * 4000 + b"}}",
        b'{"kind": "create", "model": "stub", "inputs": {"seed": -1}}',
        b'{"kind": "create", "model": "stub", "inputs": {"seed": 0.5}}',
        b'{"kind": "create", "model": "stub", "inputs": {"truncation": 2}}',
        b'{"kind": "create", "model": "stub", "inputs": {"style": "noto\\u0000"}}',
        b'{"kind": "create", "model": "stub", "inputs": {"style": {"$ne": 1}}}',
        b'{"kind": "create", "model": "stub", "inputs": {"style": "\\ud800"}}',
        b'{"kind": "create", "model": "stub", "inputs": {"__class__": 1}}',
        b'{"kind": "create", "model": "../../runs/x"}',
        b'{"kind": "create", "model": "hf://a/b"}',
        b'{"kind": "create", "model": "stub\\u202e\\u001b[31m"}',
        b'{"kind": "__import__", "model": "stub"}',
        b'{"kind": "' + b"x" * 60_000 + b'", "model": "stub"}',
    ],
)
def test_wrong_bodies_get_one_line(studio, body):
    answer = studio.ask("POST", "/api/jobs", body, {"Content-Type": "application/json"})
    assert answer.status in (400, 422), answer.body[:200]
    said = json.loads(answer.body)["error"]
    assert len(said) < 300
    assert said.isprintable()
    assert "Traceback" not in said


def test_texts_are_data_for_the_base(studio):
    """Words of SQL change nothing."""
    assert studio.ask("GET", "/api/jobs/'%20OR%20'1'='1").status == 404
    assert studio.ask("DELETE", "/api/jobs/'%3BDROP%20TABLE%20jobs").status == 404
    assert isinstance(studio.get("/api/jobs"), list)


def chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(recipe, name="genart_studio", packed=False):
    content, extra = io.BytesIO(), PngImagePlugin.PngInfo()
    extra.add_itxt(name, recipe if isinstance(recipe, str) else json.dumps(recipe), zip=packed)
    Image.new("RGB", (4, 4)).save(content, "PNG", pnginfo=extra)
    return content.getvalue()


GOOD = {"studio": 1, "kind": "create", "model": "stub", "inputs": {"style": "noto", "seed": 7}, "index": 3}


def test_a_recipe_is_data(studio):
    whole = {**GOOD, "inputs": {"do": "draw", "truncation": 1.0, **GOOD["inputs"]}}
    assert json.loads(studio.ask("POST", "/api/recipes", png(GOOD)).body) == whole
    assert json.loads(studio.ask("POST", "/api/recipes", json.dumps(GOOD).encode()).body) == whole
    assert forms.recipe_of(png(GOOD), FORMS) == whole


@pytest.mark.parametrize(
    "content",
    [
        png(GOOD, "another"),
        png(GOOD, packed=True),  # what is packed may be a bomb, and is not opened
        png("{" * 1000),
        png("[" * 60_000),
        png({**GOOD, "model": "/etc/passwd"}),
        png({**GOOD, "inputs": {"style": "<img src=x onerror=alert(1)>"}}),
        png({**GOOD, "inputs": {"picture": {"upload": "/etc/passwd"}}}),
        png({**GOOD, "index": -1}),
        png({**GOOD, "index": "0"}),
        png({**GOOD, "inputs": None}),
        png(GOOD)[:60],
        png(GOOD).replace(b'"seed": 7', b'"seed": 8'),  # its sum is wrong now
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 100,
        b"\x89PNG\r\n\x1a\n" + chunk(b"iTXt", b"genart_studio\0\0\0\0\0" + b"1" * 70_000),
        b"GIF89a",
        b"",
        b'{"kind": "create"}',
        b"\x80\x04\x95",  # a pickle
        b"PK\x03\x04",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_other_recipes_are_refused(studio, content):
    answer = studio.ask("POST", "/api/recipes", content)
    assert answer.status == 422
    assert len(json.loads(answer.body)["error"]) < 300


def test_an_upload_is_kept_as_it_is_under_a_name_of_ours(studio):
    """The server decodes nothing: a page, a script, a pickle is bytes, and is never sent back."""
    id_ = json.loads(studio.ask("POST", "/api/uploads", b"<script>alert(1)</script>").body)["upload"]
    assert len(id_) == 32
    assert (studio.folder / "uploads" / id_).read_bytes() == b"<script>alert(1)</script>"
    assert studio.ask("GET", f"/api/uploads/{id_}").status == 404
    assert studio.folder.stat().st_mode & 0o077 == 0


def test_methods_that_are_not(studio):
    for method in ("PUT", "PATCH", "TRACE", "OPTIONS", "CONNECT"):
        assert studio.ask(method, "/api/jobs").status in (400, 404, 405)


def test_no_sockets_of_another_kind(studio):
    text = f"GET /api/about HTTP/1.1\r\nHost: {studio.host}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
    answer = raw(studio, f"{text}Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    assert answer.split()[1] != b"101"


def test_slow_and_long_heads(studio):
    answer = raw(studio, b"GET / HTTP/1.1\r\nHost: " + studio.host.encode() + b"\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
    assert not answer or answer.split()[1] in (b"400", b"431")
    with socket.create_connection(("127.0.0.1", studio.port)) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost:")  # and nothing more
        assert studio.ask("GET", "/api/about").status == 200


def test_a_hundred_clients_at_once(studio):
    """All are answered, soon, and none with an error of the server's own."""
    seen, lock = [], threading.Lock()

    def one(i):
        other = Studio(studio.port, studio.folder)
        status = other.ask("GET", "/api/about" if i % 2 else "/static/index.html").status
        with lock:
            seen.append(status)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(100)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 100
    assert set(seen) <= {200, 503}
    assert seen.count(200) > 50
    assert time.monotonic() - began < 15


def test_others_are_let_in_at_a_rate():
    """Where another address than this machine's is asked for."""
    guard = Guard(None, ("192.0.2.1",), 80, Limits(rate=0.0, burst=3), TOKEN)
    scope = {"method": "GET", "path": "/", "headers": [(b"host", b"192.0.2.1")], "client": ("192.0.2.7", 1)}
    asked = [guard._refused(scope, {"host": "192.0.2.1"}) for _ in range(5)]
    assert [one and one.status_code for one in asked] == [None, None, None, 429, 429]
    assert asked[-1].headers["Retry-After"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "no such name"])
def test_addresses_that_are_no_one_of_this_machine(host):
    with pytest.raises(UserError, match=r"--host|listened"):
        serve.listen(host, 0)
