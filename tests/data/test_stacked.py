"""Stacks of three grey pictures."""

from pathlib import Path

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import Data
from genart_jax.data import built, idx
from genart_jax.data.source import absolute, open_source
from tests.data.test_idx import write


def test_stacks(tmp_path):
    write(tmp_path / "digits")
    tmp_path = tmp_path / "digits"
    grey = idx.load(tmp_path)
    source = open_source(Data(source=f"stacked:{tmp_path}"))
    assert source.image_shape == (*grey.image_shape[:2], 3)
    assert source.spec.conditions == ()
    assert source.fingerprint != grey.fingerprint
    for split, old in ((source.train, grey.train), (source.test, grey.test)):
        assert split.size == old.size
        for channel in range(3):  # each channel holds every picture once
            mine = sorted(x.tobytes() for x in split.arrays["image"][..., channel])
            assert mine == sorted(x.tobytes() for x in old.arrays["image"][..., 0])
        assert (split.arrays["image"][..., 0] != split.arrays["image"][..., 1]).any()
    again = open_source(Data(source=f"stacked:{tmp_path}"))
    np.testing.assert_array_equal(again.train.arrays["image"], source.train.arrays["image"])
    with pytest.raises(ga.UserError, match="needs a folder, stacked:DIR"):
        open_source(Data(source="stacked"))


def stored(names, channels=1):
    """A built set of six pictures a split, each of one value, with the class that its number gives."""
    label = np.arange(6, dtype=np.int32) % len(names)
    image = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None], (6, 4, 4, channels))
    splits = {split: {"image": image, "label": label} for split in ("train", "test")}
    card = {"classes": {"label": names}, "notes": [], "licence": "none", "sha256": {}}
    return built.Stored(Path(), card, splits, {})


def test_stacks_of_a_built_set(monkeypatch):
    monkeypatch.setattr(built, "open_stored", lambda source: stored(("a", "b")))
    source = open_source(Data(source="stacked:mnist"))
    assert source.image_shape == (4, 4, 3)
    assert source.train.size == 6
    assert "8 modes: one class a channel" in source.report
    assert absolute("stacked:mnist") == "stacked:mnist"  # a name, and no folder
    assert absolute("stacked:here") == f"stacked:{Path.cwd() / 'here'}"
    monkeypatch.setattr(built, "open_stored", lambda source: stored(("a", "b"), 3))
    with pytest.raises(ga.UserError, match="wanted grey pictures with labels"):
        open_source(Data(source="stacked:mnist"))
    monkeypatch.undo()
    monkeypatch.setenv("GENART_CACHE", "/nowhere")
    with pytest.raises(ga.UserError, match="genart data build mnist"):
        open_source(Data(source="stacked:mnist"))
