"""A folder that is streamed, and a device that waits for it."""

import pytest

from benchmarks import streaming


def test_a_page(tmp_path):
    words = [
        "--data",
        "emoji",
        "--pictures",
        "70",
        "--side",
        "16",
        "--size",
        "8",
        "--batch",
        "8",
        "--workers",
        "1",
        "--rounds",
        "1",
    ]
    assert streaming.main([*words, "--out", str(tmp_path / "streaming.md")]) == 0
    text = (tmp_path / "streaming.md").read_text()
    assert "| genart_jax | 1 |" in text
    assert text.count("%") == len(streaming.STEPS)


class Clock:
    """Time that passes where one sleeps."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize(("load", "share"), [(0.0, 0.0), (0.5, 0.0), (2.0, 0.5)])
def test_a_device_waits_for_what_comes_too_late(load, share, monkeypatch):
    """A step takes 1: where its batch takes 2, half of the time is waiting; where less, for the first batch alone."""
    clock = Clock()
    monkeypatch.setattr(streaming, "time", clock)
    found = streaming.waiting(lambda: clock.sleep(load), 1.0)
    assert found == pytest.approx(share, abs=0.02)
