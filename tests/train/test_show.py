"""What a run draws of itself: which examples, under which labels, with which words."""

import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from genart_jax.config import Field
from genart_jax.data.pipeline import permutation
from genart_jax.data.source import Source, Split
from genart_jax.train import show
from genart_jax.types import Algorithm

SPEC = ga.BatchSpec((2, 2, 3), (("label", 3),))


def split(n):
    images = np.zeros((n, 2, 2, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    return Split(n, {"image": images, "label": np.arange(n, dtype=np.int32) % 4 - 1, "target": images})


def test_test_examples_come_shuffled_by_a_fixed_seed():
    source = Source("x", split(50), split(20), {"image": Field((2, 2, 3))}, {"label": ("a", "b", "c")}, "f")
    raw = show.examples(source, SPEC, 8)
    rows = raw["image"][:, 0, 0, 0]
    np.testing.assert_array_equal(rows, permutation(0, 0, 20)[:8])
    assert rows.tolist() != sorted(rows)
    assert sorted(raw) == ["image", "label"]  # what the model knows
    assert show.words_of(raw, source.class_names) == [["?abc"[int(row) % 4]] for row in rows]
    assert show.words_of(raw, {}) is None
    assert len(show.examples(source, SPEC, 99)["image"]) == 20


def test_what_makes_pictures_of_pictures_is_shown_beside_them():
    alone = Algorithm(SPEC, 1, None, None, None)
    assert show.show_of(alone) is None
    own = lambda state, batch, key: {"mine": batch["image"]}
    assert show.show_of(alone._replace(show=own)) is own


def test_of_a_sweep_each_member_has_all_columns():
    same, made = jnp.zeros((4, 2, 2, 3)), jnp.ones((5, 4, 2, 2, 3))
    found = show.by_member({"input": same, "output": made}, 5, 3)
    assert {label: x.shape for label, x in found.items()} == {"input": (5, 4, 2, 2, 3), "output": (5, 4, 2, 2, 3)}
    assert show.by_member({"output": same}, 0, 3)["output"].shape == (1, 4, 2, 2, 3)
