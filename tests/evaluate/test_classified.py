"""Scores of a classifier with two heads on test pictures, and the picture of its mistakes."""

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.evaluate.classified import draw, score_classifier
from genart_jax.metrics import confusion


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "heads"
    train = {"steps": 2, "batch": 8, "sample_every": 0, "save_every": 0}
    ga.fit(ga.configure("simple_cnn", preset="tiny", conditions=("style", "color"), train=train), directory)
    return directory


def test_scores_of_each_head_and_of_both(run):
    found = score_classifier(run)
    scores = {score.name: score for score in found.scores}
    assert set(scores) == {
        "accuracy_style", "balanced_accuracy_style", "calibration_error_style", "accuracy_color",
        "balanced_accuracy_color", "calibration_error_color", "joint_accuracy",
    }  # fmt: skip
    figures = ga.evaluate_run(run)
    for name in ("accuracy_style", "balanced_accuracy_color", "joint_accuracy"):
        np.testing.assert_allclose(scores[name].value, figures[name], rtol=1e-5)
    assert scores["joint_accuracy"].value <= min(scores["accuracy_style"].value, scores["accuracy_color"].value)
    assert scores["calibration_error_style"].better == "lower"
    line = scores["accuracy_style"].line()
    assert "754 real (emoji, test), seen by the model" in line
    assert scores["accuracy_style"].contract["num_real"] == 754
    for path in found.files.values():
        with Image.open(path) as picture:
            assert min(picture.size) > 100


def test_what_both_heads_see_has_names(run, tmp_path):
    Image.fromarray(np.full((32, 32, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    (answer,) = ga.classify(ga.load_classifier(run), [tmp_path / "grey.png"], top=2)
    assert [name.partition("=")[0] for name, _ in answer] == ["style", "style", "color", "color"]
    assert answer[0][1] >= answer[1][1]


def test_who_needs_one_condition_says_so(run):
    with pytest.raises(ga.UserError, match="needs a classifier of one condition; this one has style, color"):
        ga.accuracy_score(run, run)


def test_a_cell_is_dark_where_a_class_is_seen():
    matrix = confusion.update(confusion.empty(2), np.eye(2)[[0, 0, 0, 0]], np.array([0, 0, 0, 1]))
    pixels = np.asarray(draw(matrix, ["a", "b"], "said"))
    right, wrong, none = pixels[40, 48], pixels[76, 48], pixels[76, 84]
    assert right[1] > right[0]
    assert wrong[0] > wrong[1]
    assert tuple(none) == (255, 255, 255)
