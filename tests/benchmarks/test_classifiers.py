"""What is held out of the training split, and the table of what classifiers reach."""

import numpy as np

import genart_jax as ga
from benchmarks import classifiers
from genart_jax.data import emoji


def test_no_drawing_is_trained_on_and_held_out():
    data, art = ga.open_data("emoji"), emoji.read(32)
    out = classifiers.held_out(data)
    names = np.char.replace(art.name[~art.test], "-facing-right", "")
    assert len(out) == len(data.train) == len(names)
    assert 0.08 < out.mean() < 0.12
    assert not set(names[out]) & set(names[~out])
    parted = classifiers.parted(data).source
    assert (parted.train.size, parted.test.size) == ((~out).sum(), out.sum())
    assert parted.fingerprint != data.source.fingerprint


def test_the_table_says_one_accuracy_or_several():
    one = {"accuracy": 0.9, "balanced_accuracy": 0.8}
    several = {"accuracy": 0.9, "joint_accuracy": 0.6} | {
        f"{kind}_{head}": 0.7 for kind in ("accuracy", "balanced_accuracy") for head in ("hair", "glasses")
    }
    found = {
        ("fashion", 0): {"curve": [(0.5, one), (1.0, one)], "test": one},
        ("avatars", 1): {"curve": [(2.0, several)], "test": several},
    }
    page = classifiers.table(found)
    assert "| fashion | 0 | 1.0 | 90.00 (80.00) | 90.00 (80.00) | 90.0 at 0.5, 90.0 at 1.0 |" in page
    assert "hair 70.0 (70.0), glasses 70.0 (70.0), all 90.00, together 60.00" in page
