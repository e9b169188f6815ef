"""Statistics of votes, against SciPy and published numbers."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from genart_jax.config import UserError
from genart_jax.evaluate.judged import agreement, bradley_terry, needed, wilson


@pytest.mark.parametrize(("yes", "votes"), [(0, 1), (1, 1), (7, 10), (50, 100), (999, 1000), (0, 50)])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_wilson(yes, votes, level):
    found, wanted = wilson(yes, votes, level), stats.binomtest(yes, votes).proportion_ci(1 - level, "wilson")
    assert found.value == yes / votes
    np.testing.assert_allclose((found.low, found.high), wanted, atol=1e-12)


@pytest.mark.parametrize(("yes", "votes"), [(0, 0), (2, 1), (-1, 3)])
def test_no_share(yes, votes):
    with pytest.raises(UserError, match="no share"):
        wilson(yes, votes)


@pytest.mark.parametrize("share", [0.55, 0.3, 0.75, 0.9])
def test_votes_needed(share):
    """With so many, the test of one half finds the preference four times in five."""
    votes = int(needed(share))
    limit = stats.binom.isf(0.025, votes, 0.5), stats.binom.ppf(0.025, votes, 0.5)
    power = stats.binom.sf(limit[0], votes, share) + stats.binom.cdf(limit[1] - 1, votes, share)
    assert 0.65 < power < 0.9
    assert needed(share) == needed(1 - share)
    assert needed(0.5) == math.inf


def test_bradley_terry():
    """The maximum of the likelihood, and the curvature there by differences."""
    wins = np.array([[0, 8, 5.5, 9], [4, 0, 6, 7], [3.5, 4, 0, 6], [2, 3, 4, 0]])

    def cost(free):
        values = np.append(free, -np.sum(free))
        return np.sum(wins * np.log1p(np.exp(values[None] - values[:, None])))

    found = optimize.minimize(cost, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    strengths = bradley_terry(wins)
    np.testing.assert_allclose(strengths.values, np.append(found.x, -found.x.sum()), atol=1e-5)
    hessian = optimize.approx_fprime(found.x, lambda x: optimize.approx_fprime(x, cost, 1e-5), 1e-5)
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    half = (strengths.high - strengths.low)[:3] / 2
    np.testing.assert_allclose(half, stats.norm.isf(0.025) * errors, rtol=0.02)


def test_two_strengths_are_the_share():
    strengths = bradley_terry(np.array([[0, 30], [10, 0]]))
    assert strengths.values[0] - strengths.values[1] == pytest.approx(math.log(3))


def test_strengths_that_there_are_not():
    for wins in ([[0, 3], [0, 0]], np.zeros((3, 3))):
        with pytest.raises(UserError, match="more votes"):
            bradley_terry(np.array(wins))


# The data of Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve units.
OBSERVERS = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}


def test_agreement():
    rows = {name: text.split() for name, text in OBSERVERS.items()}
    units = [{name: int(row[i]) for name, row in rows.items() if row[i] != "."} for i in range(12)]
    assert agreement(units) == pytest.approx(0.743, abs=5e-4)
    assert agreement(units, ordered=True) == pytest.approx(0.849, abs=5e-4)
    assert agreement([{"A": "x", "B": "x"}, {"A": "y", "B": "y"}]) == 1
    assert agreement([{"A": "x", "B": "y"}, {"A": "y", "B": "x"}]) < 0
    assert math.isnan(agreement([{"A": "x"}]))
