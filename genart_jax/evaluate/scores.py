"""Scores of generated pictures, each with the contract of what it was made of.

A number alone says nothing: the same model's distance differs by half with the extractor, the resize filter, the split
and the number of pictures. So a score carries them, and `compare` refuses to hold two of different contracts together.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.data.conditions import class_word
from genart_jax.evaluate import meaning, pictures
from genart_jax.evaluate.duration import estimate
from genart_jax.evaluate.extractors import Extractor, make_extractor
from genart_jax.evaluate.pictures import Features, Trained, open_run
from genart_jax.metrics import accuracy, diversity, frechet, inception_score, kernel, precision_recall
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.watch import clock
from genart_jax.train.checkpoint import seals

FILE = "scores.json"
NEIGHBOURS = 5
REPLICATES = 20
SPLITS = 10
AS_DATA = "as in the training data"
"""Where no condition is given; a model without conditions makes all kinds of pictures by itself."""


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


@dataclasses.dataclass(frozen=True)
class Score:
    """One figure of a model.

    Attributes:
      name: metric and extractor, as fd_lite0.
      value, standard_error: the figure and its error, None where there is none.
      error_by: what the error is over.
      contract: all that two scores must share to be compared.
      seeds: what was drawn by chance: the model's training, its samples, the choice of real pictures.
      model: which one: name, step, run, and the names of its conditions.
      details: figures that help to read it, such as the floor of a distance.
      better: the direction of better models: lower, higher, or real, where real pictures have the best value.
      caveat: why the figure is not to be relied on; empty where nothing is known against it.
    """

    name: str
    value: float
    standard_error: float | None
    error_by: str
    contract: dict[str, Any]
    seeds: dict[str, int]
    model: dict[str, Any]
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    better: str = ""
    caveat: str = ""

    def line(self) -> str:
        """One honest line."""
        c = self.contract
        error = "" if self.standard_error is None else f" +- {self.standard_error:.2g} ({self.error_by})"
        error += f" ({meaning.WORDS[self.better]})" if self.better else ""
        error += f" [caution: {self.caveat}]" if self.caveat else ""
        details = "".join(f", {name.replace('_', ' ')} {_short(value)}" for name, value in self.details.items())
        averaged = "EMA" if c["ema"] else "no EMA"
        conditions = c["conditions"] if c["conditions"] != AS_DATA else f"conditions {AS_DATA}"
        conditions = conditions if self.model["conditions"] else "unconditional"
        made = f"{c['num_fake']} generated (seed {self.seeds['samples']}, {averaged}, {conditions})"
        real = f" vs {c['num_real']} real ({c['data']}, {c['split']})" if c["num_real"] else ""
        weights = f" {c['weights'][:8]}" if c["weights"] else ""
        size = "x".join(map(str, c["image_size"]))
        network = f"{c['extractor']}{weights} at {size}, {c['resize']}"
        return f"{self.name} {self.value:.5g}{error}{details}; {made}{real}; {network}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def contract_of(
    trained: Trained, extractor: Extractor, split: str, num_real: int, num_fake: int, given: Mapping[str, int] | None
) -> dict[str, Any]:
    """What a score is made of, as far as it decides about the score's value."""
    names = trained.saved.data["class_names"]
    words = [f"{name}={class_word(names[name], value)}" for name, value in sorted((given or {}).items())]
    return {
        "extractor": extractor.name,
        "weights": extractor.weights,
        "image_size": list(extractor.size),
        "resize": extractor.resize,
        "data": trained.source.name.rpartition("/")[2],
        "fingerprint": trained.source.fingerprint,
        "split": split if num_real else "none",
        "num_real": num_real,
        "num_fake": num_fake,
        "conditions": ", ".join(words) or AS_DATA,
        "ema": bool(trained.model.state.ema),
    }


def score_run(
    directory: str | Path,
    extractor: str | Extractor = "lite0",
    num: int = 2000,
    seed: int = 0,
    split: str = "train",
    ema: bool = True,
    given: Mapping[str, int] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Score]:
    """Scores of a run's pictures over one extractor; they are also written to RUN/scores.json.

    Args:
      directory: the run.
      extractor: see `extractors`.
      num: generated pictures, and real ones, if the split has as many.
      seed: of the generated pictures.
      split: the real pictures' split.
      ema: sample with the moving averages of the parameters, where there are any.
      given: conditions by name; the others are drawn as in the training data.
      tell: called with a line of what is done.

    Raises:
      UserError: a run that makes no pictures, too few pictures, or an extractor without its weights.
    """
    network = make_extractor(extractor) if isinstance(extractor, str) else extractor
    trained = open_run(directory, ema=ema)
    part = pictures.split_of(trained.source, split)
    num_real = min(num, part.size)
    if min(num, num_real) < 2 * NEIGHBOURS:
        raise UserError(f"--num {num}: scores need at least {2 * NEIGHBOURS} pictures; {split} has {part.size}")
    reals = num_real * (2 if part.size >= 2 * num_real else 1)  # as many again for the distances' floors
    seconds = estimate(trained, network, num, reals)
    about = "" if seconds is None else f", at most about {clock(seconds)}"
    tell(f"{network.name} sees {num:,} generated and {reals:,} real pictures{about}")
    samples = pictures.draw(trained, num, seed, given)
    tell(f"features of {num} generated pictures: {network.name}")
    fake = pictures.extract(network, samples)
    tell(f"features of {num_real} real pictures: {network.name}")
    rows = pictures.choose_rows(part, num_real)
    real = pictures.real_features(network, trained.source, split, rows)
    other = None
    if part.size >= 2 * num_real:
        rows = pictures.choose_rows(part, num_real, skip=num_real)
        other = pictures.real_features(network, trained.source, split, rows)
    tell("scores")
    contract = contract_of(trained, network, split, num_real, num, given)
    scores = make_scores(trained, contract, measure(network.name, real, fake, other, trained.saved), seed)
    write_scores(directory, scores)
    return scores


def make_scores(trained: Trained, contract: dict[str, Any], measured: Mapping[str, Measured], seed: int) -> list[Score]:
    """Scores of figures."""
    seeds = {"training": trained.saved.run.train.seed, "samples": seed, "real": pictures.REAL_SEED}
    algorithm, state = trained.model
    conditions = [name for name, _ in algorithm.batch_spec.conditions]
    step = int(state.step)
    model = {"name": trained.saved.run.name, "step": step, "run": str(trained.directory), "conditions": conditions,
             "id": trained.saved.data.get("id"), "state": seals(trained.directory).get(step)}  # fmt: skip
    return [
        Score(name, m.value, m.error, m.error_by, contract | dict(m.contract), seeds, model, m.details,
              meaning.better(name), m.caveat)
        for name, m in measured.items()
    ]  # fmt: skip


def measure(
    name: str, real: Features, fake: Features, other: Features | None, saved: Any = None
) -> dict[str, Measured]:
    """All metrics over features. `other` are more real pictures, as many as `real`: the distances' floors."""
    fd, kd = ("fid", "kid") if name == "inception" else (f"fd_{name}", f"kd_{name}")
    moments = frechet.fit(real.values)
    floor = {} if other is None else {"floor": frechet.distance(moments, frechet.fit(other.values))}
    value = frechet.distance(moments, frechet.fit(fake.values))
    error = frechet.bootstrap_error(moments, fake.values, REPLICATES)
    sizes = len(real.values), len(fake.values)
    caveat = meaning.few_pictures(*sizes, fake.values.shape[1])
    by = f"bootstrap of {REPLICATES} over the generated"
    out: dict[str, Measured] = {fd: Measured(value, error, by, floor, caveat=caveat)}
    if len(fake.values) >= 50:
        line = frechet.extrapolate(moments, fake.values)
        details = {"fit_error": line.fit_error, "sizes": f"{line.sizes[0]} to {line.sizes[-1]}"}
        caveat = meaning.few_to_extrapolate(sizes[0], line.sizes[0], fake.values.shape[1])
        # The line's error is not that of the pictures.
        out[f"{fd}_infinity"] = Measured(line.value, None, "", details, caveat=caveat)
    distance = kernel.polynomial(real.values, fake.values)
    floor = {} if other is None else {"floor": kernel.polynomial(real.values, other.values).value}
    out[kd] = Measured(*distance, "jackknife over both", floor)
    for metric, (share, spread) in precision_recall.compute(real.values, fake.values, NEIGHBOURS)._asdict().items():
        out[f"{metric}_{name}"] = Measured(share, spread, "over pictures", {"neighbours": NEIGHBOURS})
    sliced = diversity.sliced_wasserstein(real.values, fake.values)
    out[f"swd_{name}"] = Measured(*sliced, "bootstrap of 20 over the generated", {})
    spread_of_real = diversity.pairwise(real.values)[0]
    out[f"diversity_{name}"] = Measured(*diversity.pairwise(fake.values), "jackknife", {"real": spread_of_real})
    if fake.logits is not None and real.logits is not None:
        label = "inception_score" if name == "inception" else f"class_score_{name}"
        out[label] = _class_score(real.logits, fake.logits)
    return out | _within(kd, real, fake)


def _class_score(real: Any, fake: Any) -> Measured:
    """The Inception score as it is published: the mean of ten splits, and the spread between them.

    The spread is that of ten parts; the mean's standard error is smaller by the root of their number less one.
    """
    mean, spread = inception_score.over_splits(fake, SPLITS)
    details = {"spread": spread, "real": inception_score.over_splits(real, SPLITS)[0]}
    caveat = meaning.few_in_a_split(len(fake), SPLITS, np.shape(fake)[1])
    return Measured(mean, spread / math.sqrt(SPLITS - 1), f"{SPLITS} splits", details, {"splits": SPLITS}, caveat)


def _within(name: str, real: Features, fake: Features, least: int = 20) -> dict[str, Measured]:
    """The kernel distance within each class that has enough pictures, which few pictures do not bias."""
    out: dict[str, Measured] = {}
    for condition, labels in fake.condition.items():
        if condition not in real.condition:
            continue
        mine, theirs = (np.where(np.isin(x, _frequent(x, least)), x, -1) for x in (labels, real.condition[condition]))
        if not np.intersect1d(mine[mine >= 0], theirs[theirs >= 0]).size:
            continue
        each = diversity.per_condition(kernel.polynomial, real.values, theirs, fake.values, mine)
        values, errors = (np.array(x) for x in zip(*each.values(), strict=True))
        error = float(np.sqrt(np.sum(errors**2)) / len(errors))
        found = {"classes": len(values)}
        out[f"{name}_within_{condition}"] = Measured(float(values.mean()), error, "jackknife", found)
    return out


def _frequent(labels: Any, least: int) -> Any:
    values, counts = np.unique(labels, return_counts=True)
    return values[(counts >= least) & (values >= 0)]


def accuracy_score(
    directory: str | Path, classifier: str | Path, num: int = 1000, seed: int = 0, ema: bool = True
) -> Score:
    """The share of a model's pictures in which a classifier sees the condition that they were made for.

    Conditions are drawn as they occur in the training data. The standard error is that of a binomial share. The score
    is written to RUN/scores.json; its contract has the classifier's SHA-256, its detail `real` the share of real
    pictures of the test split in which that classifier is right.

    Raises:
      UserError: the classifier does not fit the model.
    """
    judge = open_run(classifier)
    network = make_extractor(f"classifier:{classifier}")
    ((label, classes),) = judge.model.algorithm.batch_spec.conditions
    trained = open_run(directory, ema=ema)
    if trained.saved.data["class_names"].get(label) != judge.saved.data["class_names"][label]:
        raise UserError(f"the classifier sees {label}, which {directory} was not trained on with the same classes")
    samples = pictures.draw(trained, num, seed)
    _, logits = network(samples.images)
    assert logits is not None  # a classifier's
    figures = accuracy.compute(accuracy.update(accuracy.empty(classes), logits, samples.condition[label]))
    details = {"balanced": figures.balanced, "real": _real_accuracy(trained, network, label)}
    contract = contract_of(trained, network, "none", 0, num, None)
    measured = Measured(figures.value, figures.standard_error, "binomial", details)
    (score,) = make_scores(trained, contract, {f"accuracy_{network.name}": measured}, seed)
    write_scores(directory, [score])
    return score


def _real_accuracy(trained: Trained, network: Extractor, label: str, most: int = 2000) -> float:
    """The share of real pictures of the test split, `most` of them at most, in which a classifier is right."""
    rows = pictures.choose_rows(trained.source.test, min(most, trained.source.test.size))
    real = pictures.real_features(network, trained.source, "test", rows)
    assert real.logits is not None
    classes = real.logits.shape[1]
    return accuracy.compute(accuracy.update(accuracy.empty(classes), real.logits, real.condition[label])).value


def write_scores(directory: str | Path, scores: list[Score]) -> None:
    """Adds scores to RUN/scores.json; those made the same way before, at the same step, are replaced."""
    path = expanded(directory) / FILE
    same = lambda s: json.dumps([s.name, s.contract, s.seeds, s.model["step"]], sort_keys=True)
    kept = {same(s): s for s in [*(_all_scores(directory) if path.exists() else []), *scores]}
    content = json.dumps([dataclasses.asdict(s) for s in kept.values()], indent=1)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(content + "\n")
    temporary.replace(path)


def read_scores(directory: str | Path) -> list[Score]:
    """The scores in RUN/scores.json that are of the run's own states: not of steps that it has gone back from.

    Raises:
      UserError: there are none, or they cannot be read.
    """
    there = seals(directory)
    return [score for score in _all_scores(directory) if not there or _is_of(there, score.model)]


def _is_of(there: Mapping[int, str], model: Mapping[str, Any]) -> bool:
    """Whether a score's model can be one of a run's states, of which the checkpoints are there."""
    step, state = model["step"], model.get("state")
    return step <= max(there) and (state is None or there.get(step, state) == state)


def _all_scores(directory: str | Path) -> list[Score]:
    path = expanded(directory) / FILE
    if not path.is_file():
        raise UserError(f"{directory} has no scores; make them with: genart evaluate {directory}")
    try:
        entries = json.loads(path.read_text())
        return [Score(**{"better": meaning.better(entry["name"]), **entry}) for entry in entries]
    except (json.JSONDecodeError, TypeError, KeyError):
        raise UserError(f"{path} is damaged; delete it and evaluate again") from None
