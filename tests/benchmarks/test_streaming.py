"""A folder that is streamed, and a device that waits for it."""

import time

import pytest

from benchmarks import streaming


def test_a_page(tmp_path):
    words = ["--pictures", "70", "--side", "16", "--size", "8", "--batch", "8", "--workers", "1", "--rounds", "1"]
    assert streaming.main([*words, "--out", str(tmp_path / "streaming.md")]) == 0
    text = (tmp_path / "streaming.md").read_text()
    assert "| genart_jax | 1 |" in text
    assert text.count("%") == len(streaming.STEPS)


@pytest.mark.parametrize(("load", "least", "most"), [(0.0, 0.0, 0.05), (0.02, 0.4, 0.6)])
def test_a_device_waits_for_what_comes_too_late(load, least, most):
    """Ten milliseconds of work, of which twenty are loaded: half of the time is waiting."""
    assert least <= streaming.waiting(lambda: time.sleep(load), 0.01) <= most
