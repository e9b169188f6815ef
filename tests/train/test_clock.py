"""The clock of training: what it counts, and what it leaves out."""

import pytest

from genart_jax.train import clock


@pytest.fixture
def now(monkeypatch):
    """The time in seconds, in a list that a test may change."""
    time = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: time[0])
    return time


def run(timed, now, dispatches, seconds, steps=1):
    for _ in range(dispatches):
        now[0] += seconds
        timed.tick({}, steps)


def test_there_is_no_rate_before_the_dispatches_that_wait_for_compilation_are_over(now):
    timed = clock.Clock()
    run(timed, now, 4, seconds=60)
    assert timed.rate() == 0
    assert timed.total == 0


def test_the_rate_counts_the_steps_of_every_dispatch(now):
    timed = clock.Clock()
    run(timed, now, 4, seconds=60)
    run(timed, now, 3, seconds=0.5, steps=10)
    run(timed, now, 1, seconds=0.5, steps=5)
    assert timed.rate() == pytest.approx(35 / 2)
    assert timed.total == pytest.approx(2)


def test_the_rate_is_that_of_the_last_fifty_dispatches(now):
    timed = clock.Clock()
    run(timed, now, 30, seconds=4)
    run(timed, now, 49, seconds=1)
    assert timed.rate() == pytest.approx(50 / 53)
    run(timed, now, 1, seconds=1)
    assert timed.rate() == pytest.approx(1)
    assert timed.total == pytest.approx(26 * 4 + 50)


def test_a_pause_is_left_out(now):
    timed = clock.Clock()
    run(timed, now, 4, seconds=1)
    with timed.paused():
        now[0] += 1000
    run(timed, now, 2, seconds=2)
    assert timed.rate() == pytest.approx(0.5)
    assert timed.total == pytest.approx(4)
