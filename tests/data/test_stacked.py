"""Stacks of three grey pictures."""

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import Data
from genart_jax.data import idx
from genart_jax.data.source import open_source
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
