"""What people's votes say: preferences with intervals, strengths of many, and whether judges agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from genart_jax.config import UserError
from genart_jax.runtime.values import Array

LEVEL = 0.05
POWER = 0.8


class Share(NamedTuple):
    """A share of votes with its interval: `low` to `high`."""

    value: float
    low: float
    high: float
    votes: float


def wilson(yes: float, votes: float, level: float = LEVEL) -> Share:
    """A share with Wilson's score interval (Wilson 1927); halves count for votes that are undecided.

    Raises:
      UserError: no votes, or more of yes than of all.
    """
    if votes <= 0 or not 0 <= yes <= votes:
        raise UserError(f"{yes:g} of {votes:g} votes is no share")
    z, p = float(stats.norm.isf(level / 2)), yes / votes
    middle = (p + z * z / (2 * votes)) / (1 + z * z / votes)
    half = z / (1 + z * z / votes) * math.sqrt(p * (1 - p) / votes + z * z / (4 * votes * votes))
    return Share(p, max(0.0, middle - half), min(1.0, middle + half), votes)


def needed(share: float, level: float = LEVEL, power: float = POWER) -> float:
    """Votes that it takes to tell a preference from none, if it is as large as it looks; infinite where it is none.

    Of the normal approximation to the two-sided test of one half.
    """
    if share == 0.5:
        return math.inf
    z, b = float(stats.norm.isf(level / 2)), float(stats.norm.isf(1 - power))
    return math.ceil(((z * 0.5 + b * math.sqrt(share * (1 - share))) / abs(share - 0.5)) ** 2)


class Strengths(NamedTuple):
    """Of Bradley and Terry's model (1952): P(i before j) = 1 / (1 + exp(values[j] - values[i])).

    Attributes:
      values: log strengths, whose mean is 0.
      low, high: the ends of their intervals.
    """

    values: Array
    low: Array
    high: Array


def bradley_terry(wins: Array, level: float = LEVEL) -> Strengths:
    """Maximum likelihood by Newton's method; intervals from the information matrix.

    Args:
      wins: (n, n), how often i was preferred to j; half for undecided votes.
      level: of the intervals.

    Raises:
      UserError: the votes do not tie all together in both directions, and so determine no strengths (Ford 1957).
    """
    wins = np.asarray(wins, np.float64)
    count, pairs = len(wins), wins + wins.T
    reach = np.linalg.matrix_power((wins > 0) + np.eye(count), count) > 0
    if not reach.all():
        raise UserError("some were always or never preferred: there is no finite strength; it takes more votes")
    values = np.zeros(count)
    for _ in range(100):
        p = 1 / (1 + np.exp(values[None] - values[:, None]))
        gradient = wins.sum(1) - (pairs * p).sum(1)
        weight = pairs * p * (1 - p)
        information = np.diag(weight.sum(1)) - weight
        step = np.linalg.pinv(information) @ gradient
        values = values + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    half = float(stats.norm.isf(level / 2)) * np.sqrt(np.diag(np.linalg.pinv(information)))
    values = values - values.mean()
    return Strengths(values, values - half, values + half)


def agreement(ratings: Sequence[Mapping[str, str | float]], ordered: bool = False) -> float:
    """Krippendorff's alpha (2011): 1 is full agreement, 0 what chance gives. NaN where nothing is judged twice.

    Args:
      ratings: of each thing, judge -> value.
      ordered: values are numbers, whose squared difference counts (interval); else they are equal or not (nominal).
    """
    units = [list(one.values()) for one in ratings if len(one) > 1]
    total = Counter(value for unit in units for value in unit)
    n = sum(total.values())
    apart = (lambda a, b: (float(a) - float(b)) ** 2) if ordered else (lambda a, b: float(a != b))
    seen = sum(apart(a, b) / (len(unit) - 1) for unit in units for a in unit for b in unit)
    chance = sum(apart(a, b) * total[a] * total[b] for a in total for b in total)
    if n < 2 or chance == 0:
        return math.nan if n < 2 else 1.0
    return 1 - (n - 1) * seen / chance
