"""Metrics over features as figures, each with its error, its floor and what keeps it from being relied on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from genart_jax.evaluate import meaning
from genart_jax.evaluate.pictures import Features
from genart_jax.evaluate.statistics import Statistics
from genart_jax.metrics import diversity, frechet, inception_score, kernel, mifid, monge, precision_recall

NEIGHBOURS = 5
REPLICATES = 20
SPLITS = 10
_LEAST_KERNEL, _LEAST_FRECHET = 20, 50  # pictures of a class, generated and real

_INCEPTIONS = {"fd": "fid", "kd": "kid", "md": "mind", "mifd": "mifid"}

Pair = tuple[float, float]
"""A figure and its standard error."""


class Measured(NamedTuple):
    """A figure, its standard error and what that is over, further figures, what its contract says besides, and what
    keeps the figure from being relied on.
    """

    value: float
    error: float | None
    error_by: str
    details: dict[str, Any]
    contract: Mapping[str, Any] = {}
    caveat: str = ""


def named(metric: str, extractor: str) -> str:
    """A distance's name: fid, kid, mind and mifid over the FID's Inception network alone, else as fd_lite0."""
    return _INCEPTIONS[metric] if extractor == "inception" else f"{metric}_{extractor}"


def measure(
    name: str, real: Features, fake: Features, other: Features | None, class_names: Mapping[str, Any] | None = None
) -> dict[str, Measured]:
    """All metrics over features. `other` are more real pictures, as many as `real`: the distances' floors.

    `class_names` are those of the conditions; None: numbers.
    """
    out = frechet_distance(name, real, fake, other) | at_infinity(name, real, fake)
    out |= kernel_distance(name, real, fake, other) | monge_distance(name, real, fake, other)
    out |= supports(name, real, fake)
    sliced = diversity.sliced_wasserstein(real.values, fake.values)
    out[f"swd_{name}"] = Measured(*sliced, "bootstrap of 20 over the generated", {})
    spread_of_real = diversity.pairwise(real.values)[0]
    out[f"diversity_{name}"] = Measured(*diversity.pairwise(fake.values), "jackknife", {"real": spread_of_real})
    if fake.logits is not None and real.logits is not None:
        label = "inception_score" if name == "inception" else f"class_score_{name}"
        out[label] = _class_score(real.logits, fake.logits)
    return out | _within_classes(name, real, fake, class_names or {})


def frechet_distance(name: str, real: Features, fake: Features, other: Features | None) -> dict[str, Measured]:
    """The Frechet distance: the FID over Inception's features."""
    moments = frechet.fit(real.values)
    floor = {} if other is None else {"floor": frechet.distance(moments, frechet.fit(other.values))}
    caveat = meaning.few_pictures(len(real.values), len(fake.values), fake.values.shape[1])
    return {named("fd", name): _to_moments(moments, fake)._replace(details=floor, caveat=caveat)}


def at_infinity(name: str, real: Features, fake: Features) -> dict[str, Measured]:
    """The Frechet distance at infinitely many generated pictures, where there are 50 of them."""
    if len(fake.values) < 50:
        return {}
    line = frechet.extrapolate(frechet.fit(real.values), fake.values)
    details = {"fit_error": line.fit_error, "sizes": f"{line.sizes[0]} to {line.sizes[-1]}"}
    caveat = meaning.few_to_extrapolate(len(real.values), line.sizes[0], fake.values.shape[1])
    # The line's error is not that of the pictures.
    return {f"{named('fd', name)}_infinity": Measured(line.value, None, "", details, caveat=caveat)}


def _to_moments(moments: frechet.Moments, fake: Features) -> Measured:
    value = frechet.distance(moments, frechet.fit(fake.values))
    error = frechet.bootstrap_error(moments, fake.values, REPLICATES)
    return Measured(value, error, f"bootstrap of {REPLICATES} over the generated", {})


def to_statistics(name: str, statistics: Statistics, fake: Features) -> dict[str, Measured]:
    """The Frechet distance of generated features to a file of statistics, which its contract names."""
    count = int(statistics.about.get("pictures", 0))
    contract = {"data": statistics.name, "fingerprint": statistics.digest, "split": "statistics", "num_real": count}
    few = meaning.few_pictures(count or len(fake.values), len(fake.values), len(statistics.mu))
    caveat = "; ".join(filter(None, (few, statistics.caveat)))
    return {named("fd", name): _to_moments(statistics.moments, fake)._replace(contract=contract, caveat=caveat)}


def kernel_distance(name: str, real: Features, fake: Features, other: Features | None) -> dict[str, Measured]:
    """The kernel distance."""
    distance = kernel.polynomial(real.values, fake.values)
    floor = {} if other is None else {"floor": kernel.polynomial(real.values, other.values).value}
    return {named("kd", name): Measured(*distance, "jackknife over both", floor)}


def supports(name: str, real: Features, fake: Features) -> dict[str, Measured]:
    """Precision, recall, density and coverage."""
    found = precision_recall.compute(real.values, fake.values, NEIGHBOURS)._asdict().items()
    return {
        f"{metric}_{name}": Measured(value, error, "over pictures", {"neighbours": NEIGHBOURS})
        for metric, (value, error) in found
    }


def monge_distance(name: str, real: Features, fake: Features, other: Features | None) -> dict[str, Measured]:
    """The Monge distance: the MIND over Inception's features."""
    distance = monge.monge(real.values, fake.values, replicates=REPLICATES)
    floor = {} if other is None else {"floor": monge.monge(real.values, other.values, replicates=0).value}
    by, contract = f"bootstrap of {REPLICATES} over the generated", {"projections": monge.PROJECTIONS}
    return {named("md", name): Measured(*distance, by, floor, contract)}


def memorisation(name: str, distance: Measured, train: Features, fake: Features, held_out: Features) -> dict[str, Any]:
    """The Frechet distance `distance` times the MiFID's penalty for nearness to the training pictures `train`.

    `held_out` are real pictures that the model has not seen: where they are as near, nearness says nothing.
    """
    near, _ = mifid.memorisation_distance(train.values, fake.values)
    real_near, _ = mifid.memorisation_distance(train.values, held_out.values)
    factor = mifid.penalty(near)
    error = None if distance.error is None else factor * distance.error
    details = {"memorisation_distance": near, "of_held_out": real_near, "penalty": factor}
    contract = {**distance.contract, "threshold": mifid.THRESHOLD, "num_memory": len(train.values)}
    caveat = meaning.no_memory(real_near, mifid.THRESHOLD, name)
    caveat = "; ".join(filter(None, (distance.caveat, caveat)))
    by = f"{distance.error_by}, the penalty held"
    return {named("mifd", name): Measured(factor * distance.value, error, by, details, contract, caveat)}


def _class_score(real: Any, fake: Any) -> Measured:
    """The Inception score as it is published: the mean of ten splits, and the spread between them.

    The spread is that of ten parts; the mean's standard error is smaller by the root of their number less one.
    """
    mean, spread = inception_score.over_splits(fake, SPLITS)
    details = {"spread": spread, "real": inception_score.over_splits(real, SPLITS)[0]}
    caveat = meaning.few_in_a_split(len(fake), SPLITS, np.shape(fake)[1])
    return Measured(mean, spread / math.sqrt(SPLITS - 1), f"{SPLITS} splits", details, {"splits": SPLITS}, caveat)


def _within_classes(name: str, real: Features, fake: Features, names: Mapping[str, Any]) -> dict[str, Measured]:
    """Distances within each class that has enough pictures of both, as the mean over these classes.

    The kernel distance is not biased by few pictures; the Frechet distance is, so that its number of pictures counts.
    """
    out: dict[str, Measured] = {}
    for condition in fake.condition:
        if condition not in real.condition:
            continue
        sides = (real, real.condition[condition]), (fake, fake.condition[condition])
        words = names.get(condition, ())
        kd = _within(kernel.polynomial, *sides, words, _LEAST_KERNEL, "jackknife")
        if kd:
            out[f"{named('kd', name)}_within_{condition}"] = kd
        fd = _within(_few, *sides, words, _LEAST_FRECHET, "bootstrap of 10 over the generated")
        if fd:
            few = meaning.few_pictures(fd.details["fewest"], fd.details["fewest"], real.values.shape[1])
            out[f"{named('fd', name)}_within_{condition}"] = fd._replace(caveat=few)
    return out


def _few(real: Any, fake: Any) -> Pair:
    """The Frechet distance of a class's pictures, and the error of a bootstrap over the generated."""
    rng, n = np.random.default_rng(0), len(fake)
    again = [frechet.of_few(real, fake[rng.integers(0, n, n)]) for _ in range(10)]
    return frechet.of_few(real, fake), float(np.std(again, ddof=1))


def _within(
    metric: Callable[[Any, Any], Pair],
    real: tuple[Features, Any],
    fake: tuple[Features, Any],
    names: Any,
    least: int,
    by: str,
) -> Measured | None:
    """A metric's mean over the classes with `least` pictures on both sides; None where no class has them.

    The details name the classes that were left out, and give each class's value and the fewest pictures of one.
    """
    classes = max(len(names), *(1 + int(labels.max(initial=-1)) for _, labels in (real, fake)))
    counts = np.stack([np.bincount(labels[labels >= 0], minlength=classes) for _, labels in (real, fake)])
    word = lambda c: str(names[c]) if c < len(names) else str(c)
    enough = counts.min(axis=0) >= least
    if not enough.any():
        return None
    each = {word(c): metric(real[0].values[real[1] == c], fake[0].values[fake[1] == c]) for c in np.flatnonzero(enough)}
    values, errors = (np.array(x, np.float64) for x in zip(*each.values(), strict=True))
    worst = max(each, key=lambda c: each[c][0])
    details: dict[str, Any] = {"classes": len(each), "largest": f"{worst} {each[worst][0]:.4g}"}
    left = [f"{word(c)} ({counts[1, c]} generated, {counts[0, c]} real)" for c in np.flatnonzero(~enough)]
    details |= {"left_out": f"{', '.join(left)}: fewer than {least}"} if left else {}
    details |= {"fewest": int(counts[:, enough].min()), "each": {c: float(pair[0]) for c, pair in each.items()}}
    return Measured(float(values.mean()), float(np.sqrt(np.sum(errors**2)) / len(errors)), by, details)
