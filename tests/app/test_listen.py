"""The package's log on the terminal."""

import logging

from genart_jax.app.listen import listen


def test_each_line_is_shown_once_whoever_logs_to_the_root_first(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    listen()
    listen()
    logging.warning("of another library")
    logging.getLogger("genart_jax.data").warning("a.png: odd")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["WARNING:root:of another library", "a.png: odd"]
