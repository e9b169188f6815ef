"""The public way into data: `open_data` for every source and for one's own arrays, `list_data` for their names."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from genart_jax.config import BatchSpec, Data, Field, UserError, override
from genart_jax.config.batch import kind_of
from genart_jax.data import built, degrade, media
from genart_jax.data.build import catalogue
from genart_jax.data.build.store import Card
from genart_jax.data.pipeline import OTHER, other_seed, rows, rows_of
from genart_jax.data.source import (
    ARRAYS,
    Example,
    Source,
    Split,
    count_lines,
    example,
    fingerprint,
    held_out,
    open_source,
)
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.types import Batch, to_float, to_uint8

__all__ = ["Dataset", "Part", "degrade", "list_data", "open_data"]


def list_data() -> list[str]:
    """The names of the sets that come with the package or can be built: what `open_data` and `--data` take."""
    return ["emoji", *(name for name in catalogue.names() if name != "emoji")]


@dataclasses.dataclass(frozen=True)
class Part:
    """One split.

    Attributes:
      size: number of examples.
      arrays: by field, the examples first: "image" as uint8, maybe "target" and others, classes as integers. {} where
        the split is streamed; `read` works for either.
      whole: files of whole pictures, where the set has them.
      split: what the trainer takes, or None where it cannot take such examples.
    """

    size: int
    arrays: Mapping[str, Array]
    whole: tuple[Path, ...] = ()
    split: Split | None = None

    def __len__(self) -> int:
        return self.size

    def read(self, index: int) -> Example:
        """One example by the names of its fields."""
        if self.arrays:
            return {name: array[index] for name, array in self.arrays.items()}
        assert self.split is not None
        return example(self.split, index)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """An opened source.

    Attributes:
      name: as it was asked for.
      splits: "train", "test" and maybe "validation".
      class_names: class field -> names of its classes, in the order of their integers.
      source: what the trainer takes; None where there are no arrays of pictures.
      card: what is known of a built set: licence, counts, checksums, notes; {} of others.
    """

    name: str
    splits: Mapping[str, Part]
    class_names: Mapping[str, tuple[str, ...]]
    source: Source | None
    card: Card = dataclasses.field(default_factory=dict)

    @property
    def train(self) -> Part:
        """The split to train on."""
        return self.splits["train"]

    @property
    def test(self) -> Part:
        """The split to test on, which is never trained on."""
        return self.splits["test"]

    @property
    def validation(self) -> Part | None:
        """The split to choose settings on, or None where there is none."""
        return self.splits.get("validation")

    def source_for_training(self) -> Source:
        """What the trainer takes.

        Raises:
          UserError: there are no arrays of pictures.
        """
        if self.source is None:
            raise UserError(f"{self.name} has no arrays of pictures to train on; cut some from its whole pictures")
        return self.source

    @property
    def spec(self) -> BatchSpec:
        """What a batch holds, for `ga.build`.

        Raises:
          UserError: there are no arrays of pictures.
        """
        return self.source_for_training().spec

    def batches(self, size: int, seed: int = 0, epochs: int | None = None) -> Iterator[Batch]:
        """Training batches in the order in which the trainer takes them with `train.batch=size` and `train.seed=seed`.

        Args:
          size: examples a batch.
          seed: of the order.
          epochs: how often the split is gone through; None for ever. Batches follow one another without a gap over the
            ends of epochs; a last one that would not be full is left out.

        Yields:
          Pictures, "image" and others by their names, as float32 in [-1, 1], classes as int32 under "condition", and
          other fields as they are.

        Raises:
          UserError: a size below 1, or above what `epochs` hold.
        """
        end = None if epochs is None else epochs * self.train.size // size if size > 0 else 0
        if size < 1 or end == 0:
            raise UserError(f"batches of {size}: wanted 1 to {self.train.size} examples")
        return self._batches(size, seed, end)

    def _batches(self, size: int, seed: int, end: int | None) -> Iterator[Batch]:
        step, split = 0, self.train.split or Split(self.train.size)
        while end is None or step < end:
            batch = self._batch(self.train, rows_of(split, seed, step, size))
            if split.other is not None:
                chosen = rows_of(split.other, other_seed(seed), step, size)
                batch[OTHER] = to_float(np.stack([example(split.other, int(row))["image"] for row in chosen]))
            yield batch
            step += 1

    def _batch(self, part: Part, chosen: Array) -> Batch:
        if part.arrays:
            raw = {name: np.asarray(array[chosen]) for name, array in part.arrays.items()}
        else:
            examples = [part.read(int(row)) for row in chosen]
            raw = {name: np.stack([one[name] for one in examples]) for name in examples[0]}
        condition = {name: raw.pop(name).astype(np.int32) for name in self.class_names if name in raw}
        pixels = {name: to_float(value) if _is_pixels(value) else value for name, value in raw.items()}
        return pixels | {"condition": condition}

    def show(self, split: str = "train", num: int = 25, seed: int = 0, columns: int | None = None) -> Image.Image:
        """A grid of examples with their classes below.

        Pictures stand beside their targets and masks, videos are a row of frames, volumes are shaded surfaces.

        Args:
          split: whose.
          num: how many.
          seed: which; the same seed shows the same ones.
          columns: examples a row.

        Raises:
          UserError: there is no such split.
        """
        return media.sheet(*self._shown(split, num, seed), columns)

    def save(
        self, path: str | Path, split: str = "train", num: int = 25, seed: int = 0, columns: int | None = None
    ) -> tuple[Path, ...]:
        """Writes what `show` draws as a PNG file; of videos, an animation beside it. Returns the files."""
        pictures, words = self._shown(split, num, seed)
        return media.save(expanded(path), pictures, lambda one: media.sheet(one, words, columns))

    def _shown(self, split: str, num: int, seed: int) -> tuple[dict[str, Array], list[list[str]] | None]:
        """Pictures by the names of their fields, and the names of their classes."""
        if split not in self.splits:
            raise UserError(f"{self.name}: no split {split!r}; there are {', '.join(self.splits)}")
        part = self.splits[split]
        examples = [part.read(int(row)) for row in rows(seed, 0, min(num, part.size), part.size)]
        pictures = {name: np.stack([one[name] for one in examples]) for name in _PICTURES if name in examples[0]}
        if "mask" in pictures:
            pictures["mask"] = np.asarray(255 * pictures["mask"].astype(np.float32), np.uint8)
        words = [_words(one, self.class_names) for one in examples] if self.class_names else None
        return pictures, words


def _is_pixels(value: Array) -> bool:
    return value.dtype == np.uint8 and value.ndim > 3


def _words(one: Mapping[str, ArrayLike], class_names: Mapping[str, tuple[str, ...]]) -> list[str]:
    words = []
    for name, names in class_names.items():
        values = np.atleast_1d(one[name])
        shown = [names[int(v)] if v >= 0 else "?" for v in values]
        words.append(shown[0] if len(shown) == 1 else "".join(shown))
    return words


def open_data(
    data: str | Data | Array | Mapping[str, Any] | Dataset,
    class_names: Mapping[str, tuple[str, ...]] | None = None,
    **options: Any,
) -> Dataset:
    """Opens a source by its name, or makes one of arrays.

    Args:
      data: what `--data` takes ("emoji", "folder:DIR", the name of a built set), or arrays: pictures, uint8 or float in
        [-1, 1], (N, height, width, 1 or 3), or volumes or videos, (N, depth or frames, height, width, 1 or 3); or a
        dict of them, with the pictures as "image", maybe a "target" and a "mask" (in [0, 1]) to each, and integer
        classes under any other name; or a dict of such dicts, {"train": {...}, "test": {...}}. Without a test split a
        tenth is held out, by content.
      class_names: names of the classes of arrays; None: their numbers.
      **options: other fields of `config.Data`: `image_size=64`, `test_fraction=0.2`, ...

    Raises:
      UserError: no such source, one that is not built (says how to), or arrays of another form.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str) and (catalogue.knows(data) or data.startswith("built:")):
        return _open_built(data)
    settings = data if isinstance(data, Data) else Data()
    if isinstance(data, str):
        settings = dataclasses.replace(settings, source=data)
    settings = _with_options(settings, options)
    if isinstance(data, str | Data):
        return _of_source(open_source(settings))
    return _of_source(_of_arrays(data, dict(class_names or {}), settings.test_fraction))


def _with_options(settings: Data, options: Mapping[str, Any]) -> Data:
    known = [field.name for field in dataclasses.fields(Data)]
    for name in options:
        if name not in known:
            raise UserError(f"open_data: option {name!r} is unknown; there are {', '.join(known)}")
    return override(settings, **options)


def _open_built(name: str) -> Dataset:
    stored = built.open_folder(expanded(name[6:])) if name.startswith("built:") else built.open_stored(name)
    classes = {field: tuple(names) for field, names in stored.card["classes"].items()}
    source = built.to_source(stored, name) if "image" in stored.splits["train"] else None
    parts = {}
    for split, arrays in stored.splits.items():
        used = None if source is None else built.split_of(arrays, source.pictures, source.class_names)
        parts[split] = Part(len(next(iter(arrays.values()))), arrays, stored.whole[split], used)
    return Dataset(name, parts, classes, source, stored.card)


def _of_source(source: Source) -> Dataset:
    parts = {}
    for name, split in (("train", source.train), ("test", source.test)):
        parts[name] = Part(split.size, {} if split.streamed else split.arrays, split=split)
    return Dataset(source.name, parts, source.class_names, source)


def _of_arrays(data: Array | Mapping[str, Any], class_names: dict[str, tuple[str, ...]], fraction: float) -> Source:
    given = data if isinstance(data, Mapping) else {"image": data}
    by_split = {name: part for name, part in given.items() if isinstance(part, Mapping)}
    if by_split and set(by_split) != {"train", "test"}:
        raise UserError(f"arrays by split: got {', '.join(by_split)}, wanted train and test")
    parts = {name: _checked(part) for name, part in (by_split or {"train": given}).items()}
    train = parts["train"]
    if not by_split:
        digests = [hashlib.sha256(picture.data).digest() for picture in train["image"]]
        test = held_out(digests, fraction)
        test = test if test.any() else np.ones(len(test), bool)  # one picture: it is tested on as well
        parts = {
            "train": {n: a[~test | test.all()] for n, a in train.items()},
            "test": {n: a[test] for n, a in train.items()},
        }
    pictures = {name: Field(train[name].shape[1:], kind_of(name)) for name in _PICTURES if name in train}
    same = parts["test"].keys() == train.keys()
    if not same or any(parts["test"][name].shape[1:] != field.shape for name, field in pictures.items()):
        raise UserError("arrays: train and test have other fields, or pictures of another shape")
    labels = [name for name in train if name not in pictures]
    for name in labels:
        most = 1 + max(int(part[name].max()) for part in parts.values())
        class_names.setdefault(name, tuple(map(str, range(most))))
        if most > len(class_names[name]):
            raise UserError(f"class_names[{name!r}]: {len(class_names[name])} names, but there is a class {most - 1}")
    names = {name: tuple(class_names[name]) for name in labels}
    splits = [built.split_of(parts[split], pictures, names) for split in ("train", "test")]
    return Source(
        name=ARRAYS,
        train=splits[0],
        test=splits[1],
        pictures=pictures,
        class_names=names,
        fingerprint=fingerprint(*(array for part in parts.values() for _, array in sorted(part.items()))),
        report=count_lines(names, splits[0], splits[1]),
    )


_PICTURES = "image", "target", "mask"
"""The names of arrays that are pictures or masks; all others are classes."""


def _checked(part: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Pictures as uint8, masks as they are and classes as int32, all of one length.

    Raises:
      UserError: they are of another form.
    """
    if "image" not in part:
        raise UserError(f"arrays: no 'image' among {', '.join(part)}; wanted pictures, {_WANTED}")
    number = len(np.asarray(part["image"]))
    out = {name: _pictures(name, np.asarray(part[name]), number) for name in _PICTURES if name in part}
    for name, values in part.items():
        if name in out:
            continue
        labels = np.asarray(values)
        if labels.shape != (number,) or labels.dtype.kind not in "iu" or labels.min() < -1:
            raise UserError(
                f"{name}: got shape {labels.shape} {labels.dtype}, wanted one class an example, ({number},) "
                "integers of 0 and more, or -1 where it is not known"
            )
        out[name] = labels.astype(np.int32)
    return out


_WANTED = "uint8, or float in [-1, 1], of (N, height, width, 1 or 3), of volumes and videos (N, depth or frames, ...)"


def _pictures(name: str, images: Array, number: int) -> Array:
    """An array of pictures, uint8; or of masks, which stay as they are."""
    if images.ndim not in (4, 5) or images.shape[-1] not in (1, 3) or len(images) != number or not number:
        raise UserError(f"{name}: got shape {images.shape} {images.dtype}, wanted {_WANTED}")
    if kind_of(name) == "mask":
        if not (images.min() >= 0 and images.max() <= 1):
            raise UserError(f"{name}: got {images.dtype} in [{images.min()}, {images.max()}], wanted a mask in [0, 1]")
        return np.ascontiguousarray(images)
    if images.dtype != np.uint8:
        low, high = (float(f(images)) for f in (np.min, np.max)) if images.dtype.kind == "f" else (0.0, 2.0)
        if not (low >= -1.0001 and high <= 1.0001):
            raise UserError(f"{name}: got {images.dtype} in [{images.min()}, {images.max()}], wanted {_WANTED}")
        images = to_uint8(images)
    return np.ascontiguousarray(images)
