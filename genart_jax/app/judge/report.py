"""What the votes say, in lines, as CSV, and as scores of runs."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy import stats

from genart_jax.app.judge.plan import Ask
from genart_jax.app.judge.server import SCALES
from genart_jax.app.judge.votes import Vote
from genart_jax.config import UserError
from genart_jax.evaluate import judged
from genart_jax.runtime import packaged
from genart_jax.runtime.values import Array

CHECKS, FAILED = 2, 0.25
"""A judge who failed more than this share of so many checks or more does not count."""


def careless(votes: Sequence[Vote]) -> set[str]:
    """Judges who preferred broken pictures too often."""
    seen: dict[str, list[bool]] = defaultdict(list)
    for vote in votes:
        if vote.question.broken:
            seen[vote.judge].append(vote.answer.get("choice") in (vote.question.broken, "neither"))
    return {judge for judge, wrong in seen.items() if len(wrong) >= CHECKS and np.mean(wrong) > FAILED}


def wins_of(votes: Sequence[Vote], sources: int) -> Array:
    """(sources, sources): how often a was preferred to b; half a time each where neither was."""
    wins = np.zeros((sources, sources))
    for vote in votes:
        question = vote.question
        if question.broken or question.right is None:
            continue
        a, b = question.left[0], question.right[0]
        left = {"left": 1.0, "right": 0.0}.get(vote.answer["choice"], 0.5)
        wins[a, b] += left
        wins[b, a] += 1 - left
    return wins


def lines(votes: Sequence[Vote], ask: Ask, names: Sequence[str]) -> list[str]:
    """The report: of all judges, and of experts and others apart where there are both.

    Raises:
      UserError: nobody has voted.
    """
    if not votes:
        raise UserError("nobody has judged yet")
    left_out = careless(votes)
    kept = [vote for vote in votes if vote.judge not in left_out]
    out = [f"{len(kept)} answers of {len({v.judge for v in kept})} judges"]
    if left_out:
        out.append(f"left out, as they failed more than a quarter of the checks: {', '.join(sorted(left_out))}")
    groups = [("", kept), ("experts", [v for v in kept if v.expert]), ("others", [v for v in kept if not v.expert])]
    for title, own in groups if groups[1][1] and groups[2][1] else groups[:1]:
        out += [f"{title}:"] if title else []
        out += _SAID[ask](own, names) if own else ["no answers"]
    return out


def _share(said: judged.Share) -> str:
    return f"{100 * said.value:.1f} % ({100 * said.low:.1f} to {100 * said.high:.1f}) of {said.votes:g}"


def _agreement(alpha: float) -> str:
    return (
        "agreement: nothing was judged twice" if math.isnan(alpha) else f"agreement (Krippendorff's alpha): {alpha:.3f}"
    )


def _pairs(votes: Sequence[Vote], names: Sequence[str]) -> list[str]:
    wins, out = wins_of(votes, len(names)), []
    for a, b in itertools.combinations(range(len(names)), 2):
        if (n := wins[a, b] + wins[b, a]) == 0:
            continue
        said = judged.wilson(wins[a, b], n)
        more = judged.needed(said.value) - n
        decided = said.low > 0.5 or said.high < 0.5
        rest = "" if decided else "; no preference seen" + (f": about {more:.0f} votes more" if 0 < more < 1e5 else "")
        out.append(f"{names[a]} preferred to {names[b]}: {_share(said)}{rest}")
    if len(names) > 2:
        try:
            found = judged.bradley_terry(wins)
            order = np.argsort(-found.values)
            out += [
                f"strength {names[i]}: {found.values[i]:+.2f} ({found.low[i]:+.2f} to {found.high[i]:+.2f})"
                for i in order
            ]
        except UserError as error:
            out.append(f"strengths: {error}")
    return [*out, _agreement(judged.agreement(_units(votes)))]


def _units(votes: Sequence[Vote]) -> list[dict[str, str | float]]:
    """Of each pair or picture: judge -> the source preferred, or what it was taken for."""
    found: dict[object, dict[str, str | float]] = defaultdict(dict)
    for vote in votes:
        question, choice = vote.question, vote.answer["choice"]
        if question.broken:
            continue
        places = [place for place in (question.left, question.right) if place is not None]
        sides = dict(zip(("left", "right"), places, strict=False))
        found[tuple(sorted(places))][vote.judge] = str(sides[choice][0]) if choice in sides else choice
    return list(found.values())


def _real(votes: Sequence[Vote], names: Sequence[str]) -> list[str]:
    out = []
    for source, name in enumerate(names):
        own = [vote.answer["choice"] == "real" for vote in votes if vote.question.left[0] == source]
        out += [f"{name} taken for real: {_share(judged.wilson(sum(own), len(own)))}"] if own else []
    return [*out, _agreement(judged.agreement(_units(votes)))]


def _scales(votes: Sequence[Vote], names: Sequence[str]) -> list[str]:
    out = []
    for scale in SCALES:
        units: dict[object, dict[str, str | float]] = defaultdict(dict)
        for vote in votes:
            units[vote.question.left][vote.judge] = vote.answer[scale]
        for source, name in enumerate(names):
            own = np.array([vote.answer[scale] for vote in votes if vote.question.left[0] == source], float)
            if len(own) > 1:
                half = float(stats.t.isf(0.025, len(own) - 1)) * own.std(ddof=1) / math.sqrt(len(own))
                out.append(f"{scale} of {name}: {own.mean():.2f} ({own.mean() - half:.2f} to {own.mean() + half:.2f})")
        out.append(f"{scale}, {_agreement(judged.agreement(list(units.values()), ordered=True))}")
    return out + [f"{vote.judge}: {vote.answer['comment']}" for vote in votes if vote.answer["comment"].strip()]


_SAID = {"pairs": _pairs, "real": _real, "scales": _scales}


SCORE = "preferred"
"""The share of a source's pairs in which it was preferred; half for those in which neither was."""


def write_scores(votes: Sequence[Vote], names: Sequence[str], num: int, seed: int) -> list[str]:
    """Adds how often each run was preferred to RUN/scores.json; the runs that it was written for."""
    from genart_jax.evaluate.scores import AS_DATA, Score
    from genart_jax.evaluate.scores import write_scores as write
    from genart_jax.train.checkpoint import load

    left_out = careless(votes)
    kept = [vote for vote in votes if vote.judge not in left_out]
    wins, out = wins_of(kept, len(names)), []
    for i, name in enumerate(names):
        if not (packaged.place(name) / "config.json").is_file() or (n := wins[i].sum() + wins[:, i].sum()) == 0:
            continue
        model, share = load(name), wins[i].sum() / n
        contract = {
            "judged": list(names), "num_fake": num, "num_real": 0, "split": "none", "data": "", "fingerprint": "",
            "conditions": AS_DATA, "ema": bool(model.state.ema), "judges": len({vote.judge for vote in kept}),
            "votes": len(kept),
        }  # fmt: skip
        about = {"name": model.config.name, "step": int(model.state.step), "run": str(name), "conditions": []}
        about["conditions"] = [one for one, _ in model.algorithm.batch_spec.conditions]
        error = math.sqrt(share * (1 - share) / n)
        seeds = {"samples": seed, "training": model.config.train.seed}
        write(name, [Score(SCORE, float(share), error, "votes", contract, seeds, about, better="higher")])
        out.append(name)
    return out


def table(votes: Sequence[Vote], names: Sequence[str]) -> str:
    """All votes as CSV, one a line; what a spreadsheet would compute is quoted."""
    out = io.StringIO()
    writer = csv.writer(out)
    answers = "choice", *SCALES, "comment"
    writer.writerow(["judge", "expert", "ask", "number", "left", "right", "broken", *answers, "seconds"])
    said = lambda place: "" if place is None else f"{names[place[0]]}:{place[1]}"
    plain = lambda value: f"'{value}" if str(value).startswith(("=", "+", "-", "@", "\t", "\r")) else value
    for vote in votes:
        question = vote.question
        row = [vote.judge, int(vote.expert), vote.ask, vote.number, said(question.left), said(question.right)]
        row += [question.broken, *(vote.answer.get(name, "") for name in answers), round(vote.seconds, 2)]
        writer.writerow([plain(value) for value in row])
    return out.getvalue()
