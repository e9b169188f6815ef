"""What the card of originality says, and when it is an alarm."""

import numpy as np

from genart_jax.evaluate import card
from genart_jax.use.sample import Samples


def test_the_sentence():
    assert card.sentence(np.array([5.0] * 10)) == (
        "10 of 10 are no nearer to a training picture than new drawings are.", "calm"
    )  # fmt: skip
    said, color = card.sentence(np.array([0.5] + [50.0] * 199))
    assert said.startswith("199 of 200 are no nearer to a training picture than new drawings are. 1 is; of 200 new")
    assert said.endswith("about 2 would be.")
    assert color == "calm"  # as chance has it
    said, color = card.sentence(np.array([0.0] * 3 + [50.0] * 39))
    assert said.endswith("3 are; of 42 new drawings fewer than 1 would be.")
    assert color == "doubtful"
    said, color = card.sentence(np.array([0.0] * 60 + [50.0] * 140))
    assert said.startswith("140 of 200 are no nearer")
    assert color == "alarm"


def test_copies_have_a_red_frame():
    images = np.full((8, 16, 16, 3), 200, np.uint8)
    found = lambda nearest: {
        "percentile": np.full((8, 5), nearest),
        "index": np.zeros((8, 5), int),
        "distance": np.zeros((8, 5)),
    }
    red = np.array([0xC1, 0x27, 0x2D])
    count = lambda picture: int(np.all(np.asarray(picture) == red, axis=-1).sum())
    samples = Samples(images, {})
    assert count(card.draw(found(0.0), samples, samples, 3, "pixels")) > 5000
    assert count(card.draw(found(50.0), samples, samples, 3, "pixels")) == 0
