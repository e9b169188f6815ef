"""Pairs of the style swap: of held-out names, and a neighbour that has seen none of them."""

import numpy as np

from benchmarks import style_swap
from genart_jax.data import emoji


def test_pairs_are_held_out_and_neighbours_are_not():
    art = emoji.read()
    found = style_swap.pairs(art, 60)
    assert len(found.given) == 60
    np.testing.assert_array_equal(art.name[found.given], art.name[found.wanted])
    assert (art.style[found.given] != art.style[found.wanted]).all()
    assert art.test[found.given].all()
    assert art.test[found.wanted].all()
    np.testing.assert_array_equal(art.style[found.nearest], art.style[found.wanted])
    # The neighbour's own drawing in the first style, by its name, is the nearest of the training pictures there.
    i = int(np.flatnonzero(art.style[found.given] == 0)[0])
    rows = style_swap.by_name(art)
    target = int(art.style[found.wanted[i]])
    there = [r for (name, s), r in rows.items() if s == 0 and not art.test[r] and (name, target) in rows]
    apart = [np.square(art.x[r].astype(float) - art.x[found.given[i]]).sum() for r in there]
    assert rows[art.name[there[int(np.argmin(apart))]], target] == found.nearest[i]


def test_equal_pictures_are_at_the_end_of_the_scale():
    art = emoji.read()
    found = style_swap.figures(art.x[:4], art.x[:4], None)
    assert found["psnr"][0] == 100
    np.testing.assert_allclose(found["ssim"][0], 1, atol=1e-6)
