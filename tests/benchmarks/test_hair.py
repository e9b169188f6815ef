"""What could be told of hair, without drawing."""

import numpy as np

from benchmarks import hair
from genart_jax.data.build import avatars


def test_kinds_that_look_alike_are_counted():
    own = np.full((4, 4, 3), 100, np.uint8)
    near, far = own.copy(), own.copy()
    near[0, 0, 0], far[0, 0, 0] = 108, 91
    pictures = {"own": own, "same": own.copy(), "near": near, "far": far}
    assert [hair.alike(pictures, "own", most) for most in (0, 8, 9)] == [2, 3, 4]


def test_the_set_is_drawn_as_the_script_expects():
    assert avatars._FACES.count(hair.LINE) == 1
