"""The classification accuracy score: which pictures the classifier sees, and the table."""

import numpy as np
import pytest

import genart_jax as ga
from benchmarks import accuracy_score


def test_a_generators_pictures_replace_the_training_pictures_alone():
    made = accuracy_score.drawn("icons", 8, 0)
    assert set(made) == {"image", "style", "shape"}
    assert made["image"].shape == (8, 32, 32, 3)
    whole = ga.open_data("emoji")
    data = accuracy_score.replaced(whole, made)
    assert len(data.train) == 8
    assert len(data.test) == len(whole.test)
    assert data.class_names["style"] == whole.class_names["style"]
    np.testing.assert_array_equal(data.train.arrays["shape"], made["shape"])


def test_a_run_without_the_labels_is_refused():
    with pytest.raises(ga.UserError, match="beautify was not told style and shape"):
        accuracy_score.drawn("beautify", 8, 0)


def test_the_table_has_means_and_extremes(monkeypatch):
    monkeypatch.setattr(accuracy_score.machine, "about", lambda: "a machine")
    page = accuracy_score.table(
        {"icons": [{"style": 0.5, "shape": 0.2, "both": 0.1}, {"style": 0.7, "shape": 0.2, "both": 0.3}]}, 9
    )
    assert "| icons | 2 | 60.0 (50.0 to 70.0) | 20.0 (20.0 to 20.0) | 20.0 (10.0 to 30.0) |" in page
