"""What the faults share: counts, small runs, and the command that is killed and disturbed."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import jax

import genart_jax as ga
from genart_jax.config import Field
from genart_jax.data.source import Source, Split, open_source
from genart_jax.train import checkpoint, trainer

TINY = ["--preset", "tiny", "--parallel.data", "1", "--train.sample-every", "0"]
COMMAND = [sys.executable, "-m", "genart_jax"]


@dataclasses.dataclass
class Count:
    """How often a fault was made, how often the run came through it, and in words what that means."""

    tries: int
    survived: int
    said: str


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def small_source() -> Source:
    """Forty of the embedded icons to train on and ten to test on, at 16x16."""
    whole = open_source(ga.get_config("dcgan").data)

    def cut(split: Split, n: int) -> Split:
        arrays = {name: values[:n] for name, values in split.arrays.items()}
        return Split(n, arrays | {"image": arrays["image"][:, ::2, ::2]})

    pictures = {"image": Field((16, 16, 3))}
    return dataclasses.replace(whole, train=cut(whole.train, 40), test=cut(whole.test, 10), pictures=pictures)


def fit(name: str, directory: Path, callback: trainer.Callback | None = None, **train: Any) -> Path:
    """A short run on the small source."""
    source = small_source()
    with mock.patch.object(trainer, "open_source", return_value=source):
        return ga.fit(ga.configure(name, preset="tiny", train=train, parallel={"data": 1}), directory, callback)


def abstract(run: Path) -> Any:
    """The shapes of a run's state."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = checkpoint.abstract_state(ga.build(checkpoint.read_config(run).run))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)
