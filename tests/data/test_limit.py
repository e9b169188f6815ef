"""A part of the training split."""

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import Data
from genart_jax.data.pipeline import MemoryLoader
from genart_jax.data.source import Split, count_lines, example, limited, open_source


def test_smaller_choices_are_parts_of_larger_ones_and_spread():
    whole = open_source(Data())
    small, large = (open_source(Data(limit=n)) for n in (100, 1000))
    assert (small.train.size, large.train.size, small.test.size) == (100, 1000, whole.test.size)
    assert whole.fingerprint == small.fingerprint
    rows = [{image.tobytes() for image in source.train.arrays["image"]} for source in (small, large, whole)]
    assert rows[0] <= rows[1] <= rows[2]
    shares = [np.bincount(s.train.arrays["style"], minlength=5) / s.train.size for s in (large, whole)]
    np.testing.assert_allclose(*shares, atol=0.05)
    assert any("100 of 6991" in line for line in small.report)
    assert (small.train.arrays["image"] == open_source(Data(limit=100)).train.arrays["image"]).all()


def test_streamed_splits_too():
    numbers = np.arange(50)
    read = lambda i: {"image": np.full((1, 1, 1), i, np.uint8), "a": numbers[i]}
    split = limited(Split(50, {"a": numbers}, read), 7)
    assert split.size == 7 == len({int(example(split, i)["image"][0, 0, 0]) for i in range(7)})
    for i in range(7):
        assert example(split, i)["a"] == split.arrays["a"][i]


@pytest.mark.parametrize("stream", [False, True])
def test_the_order_stays_as_given(stream):
    """A split whose rows come in their order keeps it: two pictures, limited to two, are not shuffled."""
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    read = (lambda i: {"image": images[i]}) if stream else None
    split = limited(Split(3, {} if stream else {"image": images}, read, "as given"), 2)
    assert split.order == "as given"
    rows = [int(example(split, i)["image"][0, 0, 0]) for i in range(2)]
    assert rows == sorted(rows)
    if not stream:
        for seed in range(4):
            loader = MemoryLoader(split, seed, 2, slice(0, 2), place=lambda x: x)
            assert loader.next(0)["rows"].tolist() == loader.next(7)["rows"].tolist() == [0, 1]


def test_what_is_unlabelled_is_in_no_class():
    labels = [np.array(x, np.int32) for x in ([-1, -1, -1], [0, 1, 0, -1])]
    splits = [Split(len(x), {"image": np.zeros((len(x), 1, 1, 3), np.uint8), "label": x}) for x in labels]
    assert count_lines({"label": ("a", "b")}, *splits) == ("label (train + test): a 0 + 2, b 0 + 1; unlabelled 3 + 1",)


@pytest.mark.parametrize("limit", [7000, -1])
def test_too_many_are_named(limit):
    with pytest.raises(ga.UserError, match="choose 1 to that"):
        open_source(Data(limit=limit))
