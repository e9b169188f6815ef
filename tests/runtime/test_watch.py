"""Lines about long work."""

import logging

from genart_jax.runtime import watch


def test_lines_come_by_time(monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.INFO, "genart_jax"):
        for _ in watch.watched(range(3), 3, "pictures read"):
            now[0] += 1
        assert not caplog.messages
        for _ in watch.watched(range(200), 12_750, "pictures read", each=64):
            now[0] += 1.5
    assert caplog.messages[0] == "256 of 12,750 pictures read, left 4:53"
    assert len(caplog.messages) == 49
    assert watch.clock(3725) == "1:02:05"
