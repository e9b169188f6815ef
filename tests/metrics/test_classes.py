"""Calibration and confusion by formulas of their own."""

import numpy as np

from genart_jax.metrics import calibration, confusion

RNG = np.random.default_rng(0)


def answers(n=400, classes=4):
    scores = RNG.normal(size=(n, classes)) * 2
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return p, RNG.integers(-1, classes, n)


def test_the_calibration_error_is_the_mean_gap_of_the_bins():
    p, labels = answers()
    state = calibration.empty()
    for start in (0, 150):
        part = slice(start, 150 if start == 0 else None)
        state = calibration.update(state, p[part], labels[part])
    known = labels >= 0
    top, right = p[known].max(1), p[known].argmax(1) == labels[known]
    error = 0.0
    for m in range(15):
        inside = (top > m / 15) & (top <= (m + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - top[inside].mean())
    found = calibration.compute(state)
    np.testing.assert_allclose(found, (error, top.mean(), right.mean()), rtol=1e-12)
    sure = calibration.update(calibration.empty(), np.eye(4)[[0, 1, 2, 3]], np.array([0, 1, 0, 0]))
    assert calibration.compute(sure).error == 0.5
    assert np.isnan(calibration.compute(calibration.empty()).error)


def test_the_matrix_counts_who_is_taken_for_whom():
    scores = np.eye(3)[[0, 0, 1, 2, 2, 2, 1]]
    labels = np.array([0, 0, 0, 2, 2, 0, -1])
    matrix = confusion.update(confusion.update(confusion.empty(3), scores[:3], labels[:3]), scores[3:], labels[3:])
    np.testing.assert_array_equal(matrix, [[2, 1, 1], [0, 0, 0], [0, 0, 2]])
    shares = confusion.compute(matrix)
    np.testing.assert_allclose(shares, (4 / 6, np.sqrt(4 / 6 * 2 / 6 / 6), 0.75, np.sqrt(0.25 / 4) / 2))
    assert confusion.mistakes(matrix, 5) == [(0, 1, 1), (0, 2, 1)]
    assert np.isnan(confusion.compute(confusion.empty(3)).accuracy)
