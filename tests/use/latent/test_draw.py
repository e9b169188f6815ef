"""What is drawn of ways and tables."""

import io

import numpy as np
from PIL import Image

from genart_jax.use.latent import draw


def test_a_table_of_videos_moves():
    videos = lambda n, seed: np.random.default_rng(seed).integers(0, 256, (n, 3, 8, 8, 3), np.uint8)
    top, left, cells = videos(2, 0), videos(3, 1), videos(6, 2)
    opened = Image.open(io.BytesIO(draw.moving_table(top, left, cells, "said", None)))
    assert (opened.format, opened.n_frames) == ("GIF", 3)
    assert opened.size == draw.table(top[:, 0], left[:, 0], cells[:, 0], "said").size
    assert draw.moving_table(top[:, 0], left[:, 0], cells[:, 0], "said", None) is None
