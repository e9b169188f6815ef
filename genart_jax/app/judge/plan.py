"""Which pictures a judge sees, in which order, and on which side: the same whenever it is asked."""

from __future__ import annotations

import hashlib
import itertools
from typing import Literal, NamedTuple

import numpy as np

Ask = Literal["pairs", "real", "scales"]
EVERY = 8
"""After so many questions comes one whose answer is known."""


class Question(NamedTuple):
    """Two pictures, or one: each as (source, index). Of a check, `broken` is the side that is shuffled."""

    left: tuple[int, int]
    right: tuple[int, int] | None
    broken: Literal["", "left", "right"] = ""


def questions(judge: str, ask: Ask, sources: int, count: int) -> list[Question]:
    """All questions for a judge.

    Pairs: the i-th pictures of two sources. Each two sources meet once in every round of `sources * (sources - 1) / 2`
    questions, in another order for each judge, and each is left and right equally often.
    """
    digest = hashlib.sha256(judge.encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    if ask != "pairs":
        singles = [(source, index) for source in range(sources) for index in range(count)]
        return [Question(singles[i], None) for i in rng.permutation(len(singles))]
    pairs = list(itertools.combinations(range(sources), 2))
    first = {pair: int(rng.integers(2)) for pair in pairs}
    out: list[Question] = []
    for number, index in enumerate(int(i) for i in rng.permutation(count)):
        for place in rng.permutation(len(pairs)):
            pair = pairs[place]
            a, b = pair if (number + first[pair]) % 2 else pair[::-1]
            out.append(Question((a, index), (b, index)))
            if len(out) % (EVERY + 1) == EVERY:
                same = int(rng.integers(sources)), int(rng.integers(count))
                out.append(Question(same, same, ("left", "right")[int(rng.integers(2))]))
    return out
