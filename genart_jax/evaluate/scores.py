"""Scores of generated pictures, each with the contract of what it was made of.

A number alone says nothing: the same model's distance differs by half with the extractor, the resize filter, the split
and the number of pictures. So a score carries them, and `compare` refuses to hold two of different contracts together.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from genart_jax.config import UserError
from genart_jax.data.conditions import class_word
from genart_jax.data.source import Split
from genart_jax.evaluate import meaning, pictures
from genart_jax.evaluate.duration import estimate
from genart_jax.evaluate.extractors import Extractor, Seer, fitted, make_extractor
from genart_jax.evaluate.measures import NEIGHBOURS, Measured, measure, memorisation, named, to_statistics
from genart_jax.evaluate.perceptual import make_perceptual, pair_diversity
from genart_jax.evaluate.pictures import Features, Trained, open_run
from genart_jax.evaluate.statistics import Statistics
from genart_jax.metrics import accuracy
from genart_jax.runtime.packaged import results
from genart_jax.runtime.watch import clock
from genart_jax.train.checkpoint import Model, read_config, seals

FILE = "scores.json"
ALSO = ("memorisation", "perceptual")
"""Scores that are made where they are asked for: they see all training pictures, or need another network."""
AS_DATA = "as in the training data"
"""Where no condition is given; a model without conditions makes all kinds of pictures by itself."""


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
        shown = {name: value for name, value in self.details.items() if not isinstance(value, Mapping)}
        details = "".join(f", {name.replace('_', ' ')} {_short(value)}" for name, value in shown.items())
        averaged = ", ".join(["EMA" if c["ema"] else "no EMA", *filter(None, [c.get("drawn")])])
        conditions = c["conditions"] if c["conditions"] != AS_DATA else f"conditions {AS_DATA}"
        conditions = conditions if self.model["conditions"] else "unconditional"
        made = f"{c['num_fake']} generated (seed {self.seeds['samples']}, {averaged}, {conditions})"
        real = f" vs {c['num_real']} real ({c['data']}, {c['split']})" if c["num_real"] else ""
        if not c["num_fake"]:  # what a classifier says of real pictures
            made, real = f"{c['num_real']} real ({c['data']}, {c['split']}), seen by the model ({averaged})", ""
        if c["split"] == "statistics":
            real = f" vs {c['num_real'] or 'so many'} real ({c['data']} {c['fingerprint'][:8]}, statistics)"
        weights = f" {c['weights'][:8]}" if c["weights"] else ""
        size = "x".join(map(str, c["image_size"]))
        network = f"{c['extractor']}{weights} at {size}, {c['resize']}"
        return f"{self.name} {self.value:.5g}{error}{details}; {made}{real}; {network}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def contract_of(
    trained: Trained, extractor: Seer, split: str, num_real: int, num_fake: int, given: Mapping[str, int] | None
) -> dict[str, Any]:
    """What a score is made of, as far as it decides about the score's value."""
    names = trained.saved.data["class_names"]
    words = [f"{name}={class_word(names[name], value)}" for name, value in sorted((given or {}).items())]
    drawn = ", ".join(f"{name} {value:g}" for name, value in sorted(trained.numbers.items()))
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
    } | ({"drawn": drawn} if num_fake and drawn else {})


def score_run(
    directory: str | Path | Model,
    extractor: str | Extractor = "lite0",
    num: int = 2000,
    seed: int = 0,
    split: str = "train",
    ema: bool = True,
    given: Mapping[str, int] | None = None,
    tell: Callable[[str], None] = lambda text: None,
    reference: Statistics | None = None,
    also: Collection[str] = (),
    numbers: Mapping[str, float] | None = None,
) -> list[Score]:
    """Scores of a run's pictures over one extractor; they are also written to RUN/scores.json.

    Args:
      directory: the run, or its model as `ga.load(RUN, step)` gives it.
      extractor: see `extractors`.
      num: generated pictures, and real ones, if the split has as many.
      seed: of the generated pictures.
      split: the real pictures' split.
      ema: sample with the moving averages of the parameters, where there are any.
      given: conditions by name; the others are drawn as in the training data.
      tell: called with a line of what is done.
      reference: a file of statistics, to which there is a Frechet distance besides.
      also: scores that take longer: of `ALSO`.
      numbers: what pictures are drawn with besides, such as truncation; see `draw_samples`.

    Raises:
      UserError: a run that makes no pictures, too few pictures, an extractor without its weights, or a reference that
        does not fit it.
    """
    network = make_extractor(extractor) if isinstance(extractor, str) else extractor
    pairs = make_perceptual("vgg19") if "perceptual" in also else None
    trained = open_run(directory, ema=ema, numbers=numbers)
    network = fitted(network, trained.model.algorithm.batch_spec.image_shape)
    part = pictures.split_of(trained.source, split)
    num_real = _enough(num, part, split)
    reals = num_real * (2 if part.size >= 2 * num_real else 1)  # as many again for the distances' floors
    seconds = estimate(trained, network, num, pictures.unseen(network, trained.source, split, num_real, 2))
    about = "" if seconds is None else f", at most about {clock(seconds)}"
    tell(f"{network.name} sees {num:,} generated and {reals:,} real pictures{about}")
    fake = pictures.draw_features(trained, network, num, seed, given)
    to_reference = {} if reference is None else _to_reference(network, reference, fake)
    tell(f"features of {num_real} real pictures: {network.name}")
    real, *others = pictures.real_sets(network, trained.source, split, num_real, 2)
    tell("scores")
    found = measure(network.name, real, fake, next(iter(others), None), trained.saved.data["class_names"])
    if "memorisation" in also:
        found |= _memorisation(trained, network, found, fake, num)
    contract = contract_of(trained, network, split, num_real, num, given)
    scores = make_scores(trained, contract, to_reference, seed) + make_scores(trained, contract, found, seed)
    if pairs is not None:
        tell(f"pairs of pictures: {pairs.name}")
        shown = pictures.read_rows(part, pictures.choose_rows(part, num_real)).images
        contract = contract_of(trained, pairs.of(shown), split, num_real, num, given)
        made = pictures.draw(trained, num, seed, given).images
        scores += make_scores(trained, contract, pair_diversity(pairs, shown, made), seed)
    write_scores(trained.directory, scores)
    return scores


def _enough(num: int, part: Split, split: str) -> int:
    """How many real pictures there are to be."""
    num_real = min(num, part.size)
    if min(num, num_real) < 2 * NEIGHBOURS:
        raise UserError(f"--num {num}: scores need at least {2 * NEIGHBOURS} pictures; {split} has {part.size}")
    return num_real


def _to_reference(network: Extractor, reference: Statistics, fake: Features) -> dict[str, Measured]:
    """The distance to a file of statistics, if it fits the network."""
    reference.check(network, fake.values.shape[1])
    return to_statistics(network.name, reference, fake)


def _memorisation(
    trained: Trained, network: Extractor, found: Mapping[str, Measured], fake: Features, num: int
) -> dict[str, Measured]:
    """The Frechet distance with the MiFID's penalty: how near generated and held-out pictures are to training ones."""
    train = pictures.whole_split(network, trained.source, "train")
    held_out, *_ = pictures.real_sets(network, trained.source, "test", min(num, trained.source.test.size), 1)
    return memorisation(network.name, found[named("fd", network.name)], train, fake, held_out)


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


def accuracy_score(
    directory: str | Path | Model,
    classifier: str | Path,
    num: int = 1000,
    seed: int = 0,
    ema: bool = True,
    numbers: Mapping[str, float] | None = None,
) -> Score:
    """The share of a model's pictures in which a classifier sees the condition that they were made for.

    Conditions are drawn as they occur in the training data, and pictures with `numbers`, as in `score_run`. The
    standard error is that of a binomial share. The score is written to RUN/scores.json; its contract has the
    classifier's SHA-256, its detail `real` the share of real pictures of the test split in which it is right.

    Raises:
      UserError: the classifier does not fit the model.
    """
    judge = open_run(classifier)
    network = make_extractor(f"classifier:{classifier}")
    label, classes = judge.model.algorithm.batch_spec.only_condition("--classifier")
    trained = open_run(directory, ema=ema, numbers=numbers)
    if trained.saved.data["class_names"].get(label) != judge.saved.data["class_names"][label]:
        raise UserError(
            f"the classifier sees {label}, which {trained.directory} was not trained on with the same classes"
        )
    network = fitted(network, trained.model.algorithm.batch_spec.image_shape)
    made = pictures.draw_features(trained, network, num, seed)
    assert made.logits is not None  # a classifier's
    figures = accuracy.compute(accuracy.update(accuracy.empty(classes), made.logits, made.condition[label]))
    details = {"balanced": figures.balanced, "real": _real_accuracy(trained, network, label)}
    contract = contract_of(trained, network, "none", 0, num, None)
    measured = Measured(figures.value, figures.standard_error, "binomial", details)
    (score,) = make_scores(trained, contract, {f"accuracy_{network.name}": measured}, seed)
    write_scores(trained.directory, [score])
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
    path = results(directory) / FILE
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
    path = results(directory, make=False) / FILE
    if not path.is_file():
        read_config(directory)  # says if there is no run
        raise UserError(f"{directory} has no scores; make them with: genart evaluate {directory}")
    try:
        entries = json.loads(path.read_text())
        return [Score(**{"better": meaning.better(entry["name"]), **entry}) for entry in entries]
    except (json.JSONDecodeError, TypeError, KeyError):
        raise UserError(f"{path} is damaged; delete it and evaluate again") from None
