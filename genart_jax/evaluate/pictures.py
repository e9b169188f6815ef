"""The real and the generated pictures that scores are made of, and their features, which are kept between calls."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.data.conditions import same_data
from genart_jax.data.media import is_video
from genart_jax.data.pipeline import permutation
from genart_jax.data.source import Source, Split, example, open_source
from genart_jax.evaluate import shipped
from genart_jax.evaluate.extractors import Extractor
from genart_jax.runtime.cache import cache_directory
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model, Saved, load
from genart_jax.use.sample import Samples, chosen_numbers, draw_in_parts, draw_samples, joined

_PART = 5000  # pictures
_BATCHES = 500  # pictures: a multiple of all extractors' batches
_AT_ONCE = 2**28  # bytes of generated pictures
REAL_SEED = 0
"""Of the choice of real pictures: every model is held against the same ones."""


class Trained(NamedTuple):
    """A run with its model and its data."""

    directory: Path
    saved: Saved
    model: Model
    source: Source
    numbers: Mapping[str, float] = {}
    """What its pictures are drawn with, such as truncation, where that is not the model's default."""


class Features(NamedTuple):
    """Features (n, d), logits (n, classes) or None, and the conditions (n,) of the pictures by name."""

    values: Array
    logits: Array | None
    condition: dict[str, Array]


def open_run(
    directory: str | Path | Model, data: str | None = None, ema: bool = True, numbers: Mapping[str, float] | None = None
) -> Trained:
    """A run, its model (without moving averages where `ema` is False) and the data it was trained on, or other data.

    With `numbers`, its pictures are drawn with them; see `sample.draw_samples`.

    Raises:
      UserError: no run there, its data is not to be had, has changed or does not fit, or numbers that it does not take.
    """
    model = directory if isinstance(directory, Model) else load(directory)
    algorithm, state = model
    saved, place = model.saved, model.run
    if saved is None or place is None:
        raise UserError("this model does not know its data and configuration; take one of ga.load(RUN)")
    chosen = chosen_numbers(model, saved, numbers)
    options = saved.run.data
    if data is not None:
        height, width, channels = algorithm.batch_spec.image_shape[-3:]
        size = () if data.partition(":")[0] in ("emoji", "idx", "stacked") else (height, width)
        options = dataclasses.replace(options, source=data, image_size=size, channels=channels)
        if is_video(algorithm.batch_spec.image_shape):
            options = dataclasses.replace(options, frames=algorithm.batch_spec.image_shape[0])
    source = open_source(options)
    if data is None and not same_data(source, saved.data):
        raise UserError(f"{source.name} has changed since {place} was trained; name a source with --data")
    spec = algorithm.batch_spec
    if source.image_shape != spec.image_shape:
        raise UserError(f"{source.name} has pictures of {source.image_shape}, the model is for {spec.image_shape}")
    for name, names in saved.data["class_names"].items():
        if list(source.class_names.get(name, ())) != list(names):
            here = ", ".join(source.class_names.get(name, ())) or "none"
            raise UserError(f"{source.name}: the model knows {name} as {', '.join(names)}; here are {here}")
    used = Model(algorithm, state if ema else state.replace(ema={}), saved, model.run, model.sha256)
    return Trained(place, saved, used, source, chosen)


def draw(trained: Trained, num: int, seed: int, given: Mapping[str, int] | None = None) -> Samples:
    """Generated pictures, uint8; see `sample.draw_samples`."""
    return draw_samples(trained.model, trained.saved, num, seed, given, trained.numbers)


def draw_features(
    trained: Trained, extractor: Extractor, num: int, seed: int, given: Mapping[str, int] | None = None
) -> Features:
    """The features of what `draw` gives. Of large sets few pictures are in memory at a time."""
    shape = trained.model.algorithm.batch_spec.image_shape
    if num * math.prod(shape) <= _AT_ONCE:
        return extract(extractor, draw(trained, num, seed, given))
    # Whole batches of the extractor, and of videos, of which it takes one frame each in turn, whole rounds.
    least = math.lcm(_BATCHES, shape[0] if extractor.frames else 1)
    size = least * max(1, _AT_ONCE // math.prod(shape) // least)
    parts: list[Features] = []
    waiting: list[Samples] = []
    for samples in draw_in_parts(trained.model, trained.saved, num, seed, given, trained.numbers):
        waiting.append(samples)
        if sum(len(some.images) for some in waiting) >= 2 * size:
            whole = joined(waiting)
            parts.append(extract(extractor, _rows(whole, slice(0, size))))
            waiting = [_rows(whole, slice(size, None))]
    parts.append(extract(extractor, joined(waiting)))
    logits = [part.logits for part in parts if part.logits is not None]
    condition = {name: np.concatenate([part.condition[name] for part in parts]) for name in parts[0].condition}
    values = np.concatenate([part.values for part in parts])
    return Features(values, np.concatenate(logits) if logits else None, condition)


def _rows(samples: Samples, rows: slice) -> Samples:
    return Samples(samples.images[rows], {name: values[rows] for name, values in samples.condition.items()})


def split_of(source: Source, name: str) -> Split:
    """Its train or test split."""
    if name not in ("train", "test"):
        raise UserError(f"split {name!r} is unknown; there are train and test")
    return source.train if name == "train" else source.test


def choose_rows(split: Split, num: int, skip: int = 0) -> Array:
    """`num` rows of a split in a random order that is always the same, from the `skip`-th on."""
    return permutation(REAL_SEED, 0, split.size)[skip : skip + num]


def of_rows(split: Split, rows: Array) -> Split:
    """The split of these rows alone."""
    arrays, read = {name: values[rows] for name, values in split.arrays.items()}, split.read
    return Split(len(rows), arrays, None if read is None else lambda index: read(int(rows[index])))


def read_rows(split: Split, rows: Array) -> Samples:
    """The pictures of these rows, uint8 (n, height, width, channels), with their conditions."""
    part = split._replace(other=None)
    if part.read is None:
        return _samples({name: values[rows] for name, values in part.arrays.items()})
    with ThreadPoolExecutor(4) as pool:
        examples = list(pool.map(functools.partial(example, part), map(int, rows)))
    return _samples({name: np.stack([one[name] for one in examples]) for name in examples[0]})


def _samples(raw: Mapping[str, Array]) -> Samples:
    return Samples(raw["image"], {name: values for name, values in raw.items() if values.ndim == 1})


def extract(extractor: Extractor, pictures: Samples) -> Features:
    """The pictures' features."""
    return Features(*extractor(pictures.images), pictures.condition)


def digest_of(extractor: Extractor, source: Source, split: str, rows: Array) -> str:
    """A name of all that decides about the features of rows of a split."""
    key = [extractor.name, extractor.weights, extractor.size, extractor.resize, source.fingerprint, split]
    text = json.dumps(key).encode() + np.ascontiguousarray(rows, np.int64).tobytes()
    return hashlib.sha256(text).hexdigest()[:32]


def real_features(extractor: Extractor, source: Source, split: str, rows: Array) -> Features:
    """The features of rows of a split: those that come with the package, to float16, or `made_features`."""
    values = shipped.read(digest_of(extractor, source, split, rows))
    if values is None:
        return made_features(extractor, source, split, rows)
    logits = None if extractor.head is None else extractor.head(extractor.variables, values)
    return Features(values, logits, read_rows(split_of(source, split), rows).condition)


def made_features(extractor: Extractor, source: Source, split: str, rows: Array) -> Features:
    """The features of rows of a split, from the user's cache where they were made before."""
    part = split_of(source, split)
    path = _cached(digest_of(extractor, source, split, rows))
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as arrays:
                condition = {name: arrays[f"condition_{name}"] for name in source.class_names}
                if len(arrays["values"]) == len(rows):
                    return Features(arrays["values"], arrays.get("logits"), condition)
        except (OSError, ValueError, KeyError):
            pass  # damaged, or of an older version: made anew
    features = extract(extractor, read_rows(part, rows))
    arrays = {"values": features.values} | ({} if features.logits is None else {"logits": features.logits})
    # A streamed split's are not known before its pictures are read.
    arrays |= {f"condition_{name}": values for name, values in features.condition.items()}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        Path(temporary).replace(path)
    except OSError:
        pass  # a cache that cannot be written is none
    return features


def _cached(digest: str) -> Path:
    return cache_directory() / "features" / f"{digest}.npz"


def unseen(extractor: Extractor, source: Source, split: str, num: int, count: int) -> int:
    """How many pictures of `real_sets` have no features yet."""
    part = split_of(source, split)
    sets = [choose_rows(part, num, skip=i * num) for i in range(min(count, part.size // num))]
    digests = [digest_of(extractor, source, split, rows) for rows in sets]
    return sum(num for digest in digests if shipped.read(digest) is None and not _cached(digest).is_file())


def real_sets(extractor: Extractor, source: Source, split: str, num: int, count: int) -> list[Features]:
    """Up to `count` sets of `num` pictures of a split each, no two with a picture in common: as many as it has."""
    part = split_of(source, split)
    whole = min(count, part.size // num)
    rows = [choose_rows(part, num, skip=i * num) for i in range(whole)]
    return [real_features(extractor, source, split, chosen) for chosen in rows]


def whole_split(extractor: Extractor, source: Source, split: str, most: int = 50_000) -> Features:
    """The features of a split, or of `most` of its pictures, made in parts: few pictures are in memory at a time."""
    part = split_of(source, split)
    rows = choose_rows(part, min(part.size, most))
    parts = [real_features(extractor, source, split, rows[i : i + _PART]) for i in range(0, len(rows), _PART)]
    condition = {name: np.concatenate([p.condition[name] for p in parts]) for name in parts[0].condition}
    return Features(np.concatenate([p.values for p in parts]), None, condition)
