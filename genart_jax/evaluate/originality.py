"""Are a model's pictures its own? Copies of training pictures, and membership of the training set told from outside."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.data.provenance import save
from genart_jax.data.source import Source, Split
from genart_jax.evaluate import card, pictures
from genart_jax.evaluate.extractors import Extractor, make_extractor
from genart_jax.evaluate.pictures import Trained, open_run
from genart_jax.evaluate.scores import contract_of
from genart_jax.metrics import memorisation
from genart_jax.metrics.neighbours import nearest
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.packaged import results
from genart_jax.runtime.values import Array, Json
from genart_jax.train.checkpoint import Model
from genart_jax.types import Algorithm, Condition, State, to_float
from genart_jax.use.sample import Samples

NEIGHBOURS = 5
STREAMED = 20_000
"""Pictures of a streamed split to compare with, at most; fewer where these would fill more than `_BYTES`."""
_BYTES = 2**28
DUPLICATE = 1.0
"""Percentile of held-out pictures' distances below which a picture counts as a duplicate."""
_MEMBERSHIP = (("real_score", 1), ("elbo", 1), ("bits_per_dim", -1), ("bits_per_code", -1), ("loss", -1))
"""Figures of an evaluation that a membership attack can use, and their sign: higher for what the model has seen."""


def originality(
    directory: str | Path | Model,
    extractor: str | Extractor | None = "lite0",
    num: int = 500,
    seed: int = 0,
    shown: int = 10,
    tell: Callable[[str], None] = lambda text: None,
    provenance: bool = True,
) -> Json:
    """Tests a run's pictures against its training set, with its test split as the yardstick.

    Of a split that is streamed, as it does not fit into memory, a fixed choice is read: see `STREAMED`.

    Writes RUN/originality.json, the report that is returned, and RUN/originality.png, the card: the `shown` pictures
    that are nearest to the training set, each with its nearest five there, and their distances as percentiles of the
    distances from held-out pictures to the training set.

    Args:
      directory: the run, or its model as `ga.load(RUN, step)` gives it.
      extractor: see `extractors`; None: pixels alone.
      num: generated pictures.
      seed: of them.
      shown: rows of the card.
      tell: called with a line of what is done.
      provenance: whether the card says in its metadata that its pictures are generated, and by whom.

    Raises:
      UserError: the run makes no pictures, its test split is its training split, or the extractor is not to be had.
    """
    network = make_extractor(extractor) if isinstance(extractor, str) else extractor
    trained = open_run(directory)
    rows, train, test = _real(trained.source)
    tell(f"{num} generated pictures")
    fake = pictures.draw(trained, num, seed)
    if network is not None:
        tell(f"features of {len(train.images)} training and {len(test.images)} test pictures: {network.name}")
    spaces = _spaces(network, trained.source, rows, (train, test, fake))
    report: Json = {
        "model": {"name": trained.saved.run.name, "run": str(trained.directory), "step": int(trained.model.state.step)},
        "contract": contract_of(trained, network or make_extractor("pixels"), "train", len(train.images), num, None),
        "seed": seed,
        "held_out": len(test.images),
        "caveats": _caveats(len(train.images), trained),
        "spaces": {},
    }
    found = {}
    for name, sets in spaces.items():
        tell(f"nearest neighbours in {name}")
        report["spaces"][name], found[name] = _space(*sets)
    tell("duplicates under mirroring and shifts")
    report["duplicates"] = _duplicates(train.images, test.images, fake.images)
    tell("membership")
    report["membership"] = membership(trained, train, test, seed)
    report["findings"] = findings(report)
    report["pictures"] = _neighbours_of(found, rows["train"])
    last, path = list(found)[-1], results(trained.directory)
    about = trained.model.provenance if provenance else None
    save(card.draw(found[last], train, fake, shown, last, len(test.images)), path / "originality.png", about)
    (path / "originality.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


def _real(source: Source) -> tuple[dict[str, Array], Samples, Samples]:
    """The rows that are compared with, of both splits, and their pictures."""
    splits = {name: pictures.split_of(source, name) for name in ("train", "test")}
    rows = {name: _rows(split, source.image_shape) for name, split in splits.items()}
    train, test = (pictures.read_rows(split, rows[name]) for name, split in splits.items())
    if len(test.images) < 2 * NEIGHBOURS or np.array_equal(test.images, train.images):
        raise UserError(f"{source.name} has no test split to measure by: originality needs held-out pictures")
    return rows, train, test


def _spaces(
    network: Extractor | None, source: Source, rows: Mapping[str, Array], sets: Sequence[Samples]
) -> dict[str, tuple[Array, ...]]:
    """Of each space that pictures are compared in: vectors of training, test and generated pictures."""
    spaces = {"pixels": tuple(x.images.reshape(len(x.images), -1) / 255.0 for x in sets)}
    if network is not None:
        real = [pictures.real_features(network, source, name, rows[name]).values for name in ("train", "test")]
        spaces[network.name] = (*real, pictures.extract(network, sets[-1]).values)
    return spaces


def _rows(split: Split, shape: tuple[int, ...]) -> Array:
    """The rows of a split to compare with: all that are in memory, and of a streamed one as many as may be read."""
    most = split.size if not split.streamed else min(STREAMED, max(1, _BYTES // math.prod(shape)))
    return np.sort(pictures.choose_rows(split, most)) if most < split.size else np.arange(split.size)


def _caveats(read: int, trained: Trained) -> list[str]:
    size, out = pictures.split_of(trained.source, "train").size, []
    if read < size:
        out = [
            f"compared with {read} of {size} training pictures, which are streamed: copies of the others are not seen"
        ]
    alone = (
        "compares a picture with its neighbours in a batch, and for membership sees each picture alone, as it never did"
    )
    alone += " in training: that it tells nothing apart there says little"
    grouped = [role for role, network in trained.model.algorithm.networks.items() if network.group > 1]
    return [*out, *(f"the {role} {alone}" for role in grouped)]


def _space(train: Array, test: Array, fake: Array) -> tuple[Json, Json]:
    """Figures in one space, and each generated picture's neighbours there."""
    distance, index = nearest(fake, train, NEIGHBOURS)
    held_out = nearest(test, train)[0][:, 0]
    percentile = memorisation.percentiles(distance, held_out)
    copying = memorisation.three_sample(train, test, fake)
    own = nearest(train, train, same=True)[0][:, 0]
    share, error = memorisation.authenticity(train, fake, own)
    baseline, baseline_error = memorisation.authenticity(train, test, own)
    figures = {
        "three_sample_z": copying.z,
        "three_sample_cells": None if math.isnan(copying.cells) else copying.cells,
        "closer_than_held_out": copying.closer,
        "authenticity": share,
        "authenticity_error": error,
        "authenticity_of_held_out": baseline,
        "authenticity_of_held_out_error": baseline_error,
        "median_distance": float(np.median(distance[:, 0])),
        "median_distance_of_held_out": float(np.median(held_out)),
        "nearer_than_5_percent_of_held_out": float(np.mean(percentile[:, 0] < 5)),
    }
    return figures, {"index": index, "distance": distance, "percentile": percentile}


def _duplicates(train: Array, test: Array, fake: Array) -> Json:
    match, held_out = (memorisation.nearest_variant(x, train) for x in (fake, test))
    limit = float(np.percentile(held_out.distance, DUPLICATE))
    below = match.distance <= limit
    share, expected = float(np.mean(below)), float(np.mean(held_out.distance <= limit))
    error = math.sqrt(expected * (1 - expected) * (1 / len(fake) + 1 / len(test)))
    names, counts = np.unique(np.array(match.variant)[below], return_counts=True)
    return {
        "limit": limit,
        "share": share,
        "share_of_held_out": expected,
        "error": error,
        "exact_copies": int(np.sum(match.distance == 0)),
        "exact_copies_of_held_out": int(np.sum(held_out.distance == 0)),
        "variants": dict(zip(names.tolist(), counts.tolist(), strict=True)),
    }


def membership(trained: Trained, train: Samples, test: Samples, seed: int, most: int = 1000) -> Json | None:
    """How well the critic's score (Hayes et al. 2019), or the bound on the likelihood, tells training pictures from
    held-out ones; None for a model that gives neither.
    """
    rng = np.random.default_rng(seed)
    spec, scores = trained.model.algorithm.batch_spec, []
    needed = [name for name, _ in spec.conditions if name not in spec.hidden]
    for samples in (train, test):
        rows = rng.permutation(len(samples.images))
        for name in needed:  # what is unlabelled has no score
            rows = rows[samples.condition[name][rows] >= 0]
        rows = rows[:most]
        condition = {name: values[rows] for name, values in samples.condition.items()}
        scores.append(example_scores(*trained.model, Samples(samples.images[rows], condition), seed))
    for name, sign in _MEMBERSHIP:
        if name in scores[0]:
            curve = memorisation.roc(*(sign * s[name] for s in scores))
            points = np.linspace(0, len(curve.false) - 1, min(101, len(curve.false))).astype(int)
            return {
                "by": name,
                "auc": curve.auc,
                "auc_error": curve.error,
                "true_positives_at_1_percent_false": curve.true_at(0.01),
                "members": len(scores[0][name]),
                "others": len(scores[1][name]),
                "roc": [[float(curve.false[i]), float(curve.true[i])] for i in points],
            }
    return None


def example_scores(
    algorithm: Algorithm, state: State, samples: Samples, seed: int, draws: int = 4, batch: int = 50
) -> dict[str, Array]:
    """An algorithm's own figures for each picture alone (n,), as means over some draws of what it draws."""
    names = [name for name, _ in algorithm.batch_spec.conditions]

    def one(state: State, image: jax.Array, condition: Condition, key: jax.Array) -> dict[str, jax.Array]:
        picture = {"image": image[None], "condition": jax.tree.map(lambda x: x[None], condition)}
        return {name: total / weight for name, (total, weight) in algorithm.evaluate(state, picture, key).items()}

    each = jax.vmap(jax.vmap(one, (None, None, None, 0)), (None, 0, 0, 0))
    compiled = compiler.jit(lambda *args: jax.tree.map(lambda x: jnp.mean(x, axis=1), each(*args)))
    parts: list[Json] = []
    for start in range(0, len(samples.images), batch):
        rows = np.minimum(np.arange(start, start + batch), len(samples.images) - 1)
        keys = random.example_keys(random.stream(jax.random.key(seed), "membership", start), batch)
        keys = jax.vmap(lambda k: random.example_keys(k, draws))(keys)
        condition = {name: jnp.asarray(samples.condition[name][rows], jnp.int32) for name in names}
        parts.append(jax.device_get(compiled(state, to_float(samples.images[rows]), condition, keys)))
    scalar = [name for name, value in parts[0].items() if value.ndim == 1]
    return {name: np.concatenate([p[name] for p in parts])[: len(samples.images)] for name in scalar}


def findings(report: Json) -> list[str]:
    """What the figures say beyond chance (one in a thousand), in words; empty where nothing was found."""
    limit, out = NormalDist().inv_cdf(0.999), []
    for space, f in report["spaces"].items():
        for name in ("three_sample_z", "three_sample_cells"):
            if f[name] is not None and f[name] < -limit:
                text = "generated pictures lie closer to the training set than held-out ones"
                out.append(f"{space}: {text} ({name} {f[name]:.1f})")
        own, held_out = f["authenticity"], f["authenticity_of_held_out"]
        if held_out - own > limit * math.hypot(f["authenticity_error"], f["authenticity_of_held_out_error"]):
            out.append(f"{space}: authenticity {own:.2f}, of held-out pictures {held_out:.2f}")
    d = report["duplicates"]
    if d["share"] - d["share_of_held_out"] > limit * d["error"]:
        held_out = d["share_of_held_out"]
        out.append(f"{d['share']:.1%} of the pictures are duplicates of training pictures, of held-out {held_out:.1%}")
    m = report["membership"]
    if m and m["auc"] - 0.5 > limit * m["auc_error"]:
        out.append(f"{m['by']} tells training pictures from held-out ones: area {m['auc']:.3f}")
    return out


def _neighbours_of(found: Json, rows: Array) -> list[Json]:
    """The nearest training pictures of each generated one: rows of the training split, distances and percentiles."""
    number = len(next(iter(found.values()))["index"])
    rounded = lambda x: [round(float(v), 6) for v in x]
    return [
        {
            space: {
                "rows": rows[f["index"][i]].tolist(),
                "distances": rounded(f["distance"][i]),
                "percentiles": rounded(f["percentile"][i]),
            }
            for space, f in found.items()
        }
        for i in range(number)
    ]
