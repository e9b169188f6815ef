"""What critics make of conditions."""

import numpy as np

from genart_jax.nn.embed import projected


def test_a_projection_is_a_product_at_each_place():
    rng = np.random.default_rng(0)
    vectors = [rng.normal(0, 1, (2, 3)).astype(np.float32) for _ in range(2)]
    score, pooled = rng.normal(0, 1, 2).astype(np.float32), rng.normal(0, 1, (2, 3)).astype(np.float32)
    wanted = score + sum(np.einsum("nc,nc->n", v, pooled) for v in vectors)
    np.testing.assert_allclose(projected(score, pooled, vectors), wanted, rtol=1e-5)
    scores, places = rng.normal(0, 1, (2, 4, 5)).astype(np.float32), rng.normal(0, 1, (2, 4, 5, 3)).astype(np.float32)
    wanted = scores + sum(np.einsum("nc,nhwc->nhw", v, places) for v in vectors)
    np.testing.assert_allclose(projected(scores, places, vectors), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(projected(score, pooled, []), score)
