"""What the card of originality says, and when it is an alarm."""

import numpy as np
import pytest

from genart_jax.evaluate import card
from genart_jax.metrics.memorisation import percentiles
from genart_jax.use.sample import Samples


def test_the_sentence():
    assert card.sentence(np.array([5.0] * 10), 1000) == (
        "10 of 10 are no nearer to a training picture than new drawings are.", "calm"
    )  # fmt: skip
    said, color = card.sentence(np.array([0.5] + [50.0] * 199), 1000)
    assert said.startswith("199 of 200 are no nearer to a training picture than new drawings are. 1 is; of 200 new")
    assert said.endswith("about 2 would be.")
    assert color == "calm"  # as chance has it
    said, color = card.sentence(np.array([0.0] * 3 + [50.0] * 39), 1000)
    assert said.endswith("3 are; of 42 new drawings fewer than 1 would be.")
    assert color == "doubtful"
    said, color = card.sentence(np.array([0.0] * 60 + [50.0] * 140), 1000)
    assert said.startswith("140 of 200 are no nearer")
    assert color == "alarm"


@pytest.mark.parametrize("held_out", [20, 100, 750])
def test_chance_is_an_alarm_once_in_a_thousand_however_few_were_held_out(held_out):
    rng, colors = np.random.default_rng(0), []
    for _ in range(1000):
        reference, drawn = rng.random(held_out), rng.random(300)  # distances, all of one distribution
        colors.append(card.sentence(percentiles(drawn, reference), held_out)[1])
    assert colors.count("alarm") <= 5
    assert colors.count("doubtful") <= 75
    assert card.sentence(np.zeros(300), held_out)[1] == "alarm"  # copies, all of them


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
    assert count(card.draw(found(0.0), samples, samples, 3, "pixels", 1000)) > 5000
    assert count(card.draw(found(50.0), samples, samples, 3, "pixels", 1000)) == 0
