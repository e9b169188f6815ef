"""How long scores will take, from a trial of a few pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from genart_jax.evaluate import pictures
from genart_jax.evaluate.extractors import Extractor
from genart_jax.evaluate.pictures import Trained

_TRIAL = 64  # pictures, as they are drawn at a time
_WORTH_IT = 500  # pictures: fewer are soon done, and a trial would be a good part of it

Made = TypeVar("Made")


def estimate(trained: Trained, network: Extractor, num: int, num_real: int) -> float | None:
    """Seconds to draw `num` pictures and to make features of them and of `num_real` real ones; None for a few pictures.

    Compiles what is then used; features that are in the cache make it quicker than that.
    """
    if num < _WORTH_IT:
        return None
    samples, drawing = _twice(lambda: pictures.draw(trained, _TRIAL, 0))
    batch = np.resize(samples.images, (network.batch, *samples.images.shape[1:]))
    _, looking = _twice(lambda: network(batch))
    return drawing * num / _TRIAL + looking * (num + num_real) / network.batch


def _twice(work: Callable[[], Made]) -> tuple[Made, float]:
    """What `work` gives, and the seconds that it takes the second time, when it is compiled."""
    work()
    started = time.monotonic()
    return work(), time.monotonic() - started
