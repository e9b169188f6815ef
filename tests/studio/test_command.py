"""`genart studio`, and the client of its page in the docs."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from genart_jax.app import cli
from genart_jax.app.studio import forms
from tests.studio.client import TOKEN, running, until

PAGE = Path(__file__).parents[2] / "docs" / "studio.md"


def test_without_the_extra(monkeypatch, capsys):
    """One line that names it, and everything else goes on."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fastapi" else found(name))
    assert cli.main(["studio"]) == 2
    assert "pip install 'genart_jax[studio]'" in capsys.readouterr().err


def test_no_import_of_the_extra_but_in_the_studio():
    code = (
        "import sys; sys.modules['fastapi'] = sys.modules['uvicorn'] = sys.modules['starlette'] = None\n"
        "import genart_jax, genart_jax.app.studio.forms, genart_jax.app.commands.studio"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "nowhere"),
        (["--port", "70000"], "0 to 65535"),
        (["--host", "0.0.0.0"], "name the one address"),
        (["--ports", "1"], "did you mean --port"),
        (["--devices", "-1"], "wanted at least 1"),
    ],
)
def test_mistakes(args, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["studio", *args]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_port_that_is_taken(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert cli.main(["studio", "--port", str(other.getsockname()[1])]) == 2
    assert "--port 0 takes a free one" in capsys.readouterr().err


def test_ctrl_c(tmp_path):
    """As a terminal sends it: exit code 130, one line, no trace of Python's, and no process that is left."""
    command = [sys.executable, "-m", "genart_jax", "studio", "--port", "0", "--devices", "1", "--folder", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert "#token=" in process.stdout.readline()
        workers = until(lambda: psutil.Process(process.pid).children())
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == ("", "genart: stopped\n")
    assert not [one for one in workers if one.is_running()]
    assert "Traceback" not in (tmp_path / "worker.log").read_text()


def test_the_way_of_a_new_user(browser, tmp_path):
    """The command alone, and the address that it prints: pictures come, one is kept, and downloaded with its recipe."""
    command = [sys.executable, "-m", "genart_jax", "studio", "--port", "0", "--devices", "1", "--folder", "kept"]
    root = Path(__file__).parents[2]
    there = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=there) as process:
        try:
            address = re.search(r"http://\S+", process.stdout.readline()).group()
            page = browser.new_page(locale="en-GB", accept_downloads=True)
            page.goto(address)
            tile = page.locator("article .tile").nth(2)
            tile.get_by_role("button", name="Like").click(timeout=60_000)
            page.locator("nav").get_by_role("button", name="Favourites").click()
            page.get_by_role("heading", name="Favourites").wait_for()
            with page.expect_download() as download:
                page.get_by_role("link", name="Download").click()
            download.value.save_as(tmp_path / "mine.png")
            page.close()
        finally:
            process.send_signal(signal.SIGINT)
    recipe = json.loads(Image.open(tmp_path / "mine.png").info[forms.CHUNK.decode()])
    assert (recipe["model"], recipe["index"]) == ("icons", 2)
    assert process.returncode == 130


def test_the_client_of_the_page(tmp_path):
    """The listing in the docs is what it says it is, and works."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    with running(tmp_path) as studio:
        client = names["Studio"](f"http://{studio.host}/#token={TOKEN}")
        (picture,) = client.do("create", "stub", seed=3)
        assert picture.startswith(b"\x89PNG")
        with pytest.raises(RuntimeError, match="not today"):
            client.do("create", "stub", do="fail")
        upload = client.ask("POST", "/api/uploads", picture)
        assert forms.is_id(upload["upload"])
        assert client.do("transform", "stub", picture=upload)
