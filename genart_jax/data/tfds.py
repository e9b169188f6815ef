"""A data set that TensorFlow Datasets has prepared as array_record, read without TensorFlow and without a network."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genart_jax.config import Data, Field, UserError
from genart_jax.data import picture
from genart_jax.data.source import Example, Source, Split, count_lines, fingerprint, held_out
from genart_jax.runtime.values import Array

_Record = dict[str, Any]
_Records = Sequence[_Record]

_PREPARE = (
    'python -c "import tensorflow_datasets as tfds; '
    "tfds.builder('{}', file_format='array_record').download_and_prepare()\""
)


def load(name: str, data: Data) -> Source:
    """Opens `NAME[/CONFIG][:VERSION][:SPLIT]` from `$TFDS_DATA_DIR`, or ~/tensorflow_datasets.

    The builder's code is not needed, only what it has prepared, so a builder of one's own works as well. The image is
    the feature `image`, or the first one by name; each ClassLabel is a condition, `label` before the others. Pictures
    are brought to `data.image_size` (where empty: the feature's own size, or 64x64) by `picture.to_uint8_picture`.
    SPLIT is `train` where it is left out, and may be any of TFDS's split expressions. `test` is used for evaluation
    where there is one that has labels and is not SPLIT itself; else a share of SPLIT is held out. A ClassLabel that no
    picture of SPLIT has is no condition. Above
    `data.memory_limit_mb` pictures are decoded when asked for; conditions are then not known in advance.

    Raises:
      UserError: the extra is missing, the data set is not prepared or not as array_record, or has no such split or
        no image.
    """
    name, version, split = _parse(name)
    missing = [m for m in ("tensorflow_datasets", "array_record", "importlib_resources") if not _installed(m)]
    if missing:
        raise UserError(f'tfds:{name}: {missing[0]} is not installed: pip install "genart_jax[data]"')
    folder = _prepared(name, version)
    builder = _builder(name, folder)
    images, key, native, labels = _features(name, builder)
    records = partial(_records, name, builder, images)
    size = picture.picture_size(data.image_size, native if all(native) else picture.DEFAULT_SIZE)
    picture.check_channels(data.channels)
    shape = (*size, data.channels)
    train, rows = records(split), None
    test = records("test") if "test" in builder.info.splits and not re.search(r"\b(test|all)\b", split) else None
    class_names, test, warnings = _told(labels, split, train, test)
    stream = (len(train) + len(test or ())) * int(np.prod(shape)) > data.memory_limit_mb * 2**20
    if test is None:
        test, rows = train, _hold_out(train, key, stream, data)
    make = partial(
        _split, name=name, key=key, labels=tuple(class_names), shape=shape, stream=stream, workers=data.workers,
        fast=data.resize == "fast",
    )  # fmt: skip
    splits = make(train, rows and rows[0]), make(test, rows and rows[1])
    report = [
        f"version {builder.version}, split {split}, {'streamed' if stream else 'held in memory'}, "
        f"brought to {size[0]}x{size[1]}",
        f"evaluated on {'a share of ' + split + ' that is held out' if rows else 'the split test'}",
    ]
    files = [f"{file.name} {file.stat().st_size}" for file in sorted(folder.iterdir())]
    about = (shape, split, class_names, data.test_fraction, *(["fast"] if data.resize == "fast" else []))
    in_memory = [part for s in splits for part in s.arrays.values()]
    return Source(
        name=f"tfds:{name}",
        train=splits[0],
        test=splits[1],
        pictures={"image": Field(shape)},
        class_names=class_names,
        fingerprint=fingerprint(str(about), *(in_memory or files)),
        report=(*count_lines(class_names, *splits), *report),
        warnings=warnings,
    )


def _builder(name: str, folder: Path) -> Any:
    """TFDS's builder of a prepared folder."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    if "array_record" not in {f.value for f in builder.info.available_file_formats()}:
        fmt = builder.info.file_format.value
        raise UserError(f"tfds:{name}: prepared as {fmt}, which needs TensorFlow; prepare it again: {_how(name)}")
    return builder


def _features(name: str, builder: Any) -> tuple[list[str], str, tuple[Any, ...], dict[str, tuple[str, ...]]]:
    """The image features, which of them is the picture, its own size, and the names of each label's classes."""
    import tensorflow_datasets as tfds

    # Sorted, `label` first: TFDS restores features in an order that differs from one process to the next.
    features = dict(sorted(builder.info.features.items(), key=lambda item: (item[0] != "label", item[0])))
    images = [key for key, f in features.items() if isinstance(f, tfds.features.Image)]
    if not images:
        raise UserError(f"tfds:{name}: has no image; its features are {', '.join(features)}")
    key = "image" if "image" in images else images[0]
    if np.dtype(features[key].np_dtype) not in (np.uint8, np.uint16):
        raise UserError(f"tfds:{name}: feature {key!r} is {features[key].np_dtype}, wanted uint8 or uint16 pixels")
    labels = {k: f for k, f in features.items() if isinstance(f, tfds.features.ClassLabel) and f.num_classes}
    return images, key, features[key].shape[:2], {k: tuple(f.names) for k, f in labels.items()}


def _records(name: str, builder: Any, images: list[str], split: str) -> _Records:
    """The records of a split, their pictures not decoded."""
    import tensorflow_datasets as tfds

    skip = {image: tfds.decode.SkipDecoding() for image in images}
    known = ", ".join(builder.info.splits)
    wrong = f"tfds:{name}: split {split!r} is unknown or empty; there are {known}, and TFDS's slices of them"
    try:
        opened: _Records = builder.as_data_source(split, decoders=skip, file_format="array_record")
    except ValueError as error:
        raise UserError(wrong) from error
    if not len(opened):
        raise UserError(wrong)
    return opened


def _parse(name: str) -> tuple[str, str, str]:
    """NAME[/CONFIG][:VERSION][:SPLIT] -> its parts; a split may hold colons itself, as in train[:80%]."""
    name, _, rest = name.partition(":")
    version = ""
    if re.match(r"\d+\.\d+\.\d+(:|$)", rest):
        version, _, rest = rest.partition(":")
    if not re.fullmatch(r"\w+(/\w[\w.+-]*)?", name):
        raise UserError(f"tfds:{name}: not a name; wanted tfds:NAME[/CONFIG][:VERSION][:SPLIT]")
    return name, version, rest or "train"


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _how(name: str) -> str:
    return _PREPARE.format(name) + " (array_record must be installed; most builders need TensorFlow for this step)"


def _prepared(name: str, version: str) -> Path:
    """The folder with the newest (or the given) version; only looks at the disk, so it answers at once."""
    root = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()

    def versions(folder: Path) -> list[Path]:
        found = [p.parent for p in folder.glob("*/features.json") if re.fullmatch(r"\d+\.\d+\.\d+", p.parent.name)]
        found = [p for p in found if (p / "dataset_info.json").is_file()]
        return sorted(found, key=lambda p: [int(n) for n in p.name.split(".")])

    found = versions(root / name)
    if not found and "/" not in name and (root / name).is_dir():
        configs = [p for p in sorted((root / name).iterdir()) if p.is_dir() and versions(p)]
        if len(configs) > 1:
            raise UserError(f"tfds:{name}: choose one of {', '.join(f'tfds:{name}/{c.name}' for c in configs)}")
        found = [v for c in configs for v in versions(c)]
    if not found:
        raise UserError(f"tfds:{name}: not prepared in {root} ($TFDS_DATA_DIR); do it once: {_how(name)}")
    if version and version not in [p.name for p in found]:
        raise UserError(f"tfds:{name}:{version}: not prepared; there is {', '.join(p.name for p in found)}")
    return next((p for p in found if p.name == version), found[-1])


def _told(
    class_names: dict[str, tuple[str, ...]], split: str, train: _Records, test: _Records | None
) -> tuple[dict[str, tuple[str, ...]], _Records | None, tuple[str, ...]]:
    """The conditions that pictures of `train` have, the test split where these have labels there, and warnings."""
    shares = _labelled(train, tuple(class_names))
    warnings = [f"no picture of {split} has a {name}: it is no condition" for name in class_names if not shares[name]]
    class_names = {name: names for name, names in class_names.items() if shares[name]}
    in_test = {} if test is None else _labelled(test, tuple(class_names))
    # Some sets publish their test split without labels (-1): nothing conditional can be evaluated on that.
    if 0 in in_test.values():
        warnings.append("the test split has no labels, and is not used")
        test, in_test = None, {}
    for where, found in ((split, shares), ("test", in_test)):
        for name, share in found.items():
            if 0 < share < 1:
                warnings.append(f"{1 - share:.1%} of {where} have no {name}: they count in none of its figures")
    return class_names, test, tuple(warnings)


def _labelled(records: _Records, labels: tuple[str, ...], most: int = 1000) -> dict[str, float]:
    """The share of records that have each label (are not -1), over at most `most` that are spread over all of them."""
    looked_at = np.linspace(0, len(records) - 1, min(len(records), most)).astype(int)
    found = [[records[int(i)][label] >= 0 for label in labels] for i in looked_at] if labels else []
    return dict(zip(labels, np.mean(found, axis=0).tolist(), strict=True)) if labels else {}


def _hold_out(records: _Records, key: str, stream: bool, data: Data) -> tuple[Array, Array]:
    """Row numbers to train and to test on: by content, or, where reading it all would take long, by row number."""
    tokens: Callable[[int], bytes] = (lambda i: str(i).encode()) if stream else (lambda i: _content(records[i], key))
    test = held_out([hashlib.sha256(tokens(i)).digest() for i in range(len(records))], data.test_fraction)
    if not test.any():
        raise UserError("tfds: the split holds just one different picture, so none can be held out")
    return np.flatnonzero(~test), np.flatnonzero(test)


def _content(record: _Record, key: str) -> bytes:
    """The encoded picture of a record."""
    return bytes(record[key])


def _split(
    records: _Records,
    rows: Array | None,
    *,
    name: str,
    key: str,
    labels: tuple[str, ...],
    shape: tuple[int, int, int],
    stream: bool,
    workers: int,
    fast: bool,
) -> Split:
    """The split of these rows of `records` (None: all)."""
    rows = np.arange(len(records)) if rows is None else rows

    def read(index: int) -> Example:
        record = records[int(rows[index])]
        try:
            image = picture.decode(_content(record, key), shape[:2], shape[2], fast=fast)
        except picture.BadPictureError as error:
            raise UserError(f"tfds:{name}: picture {rows[index]} cannot be read: {error}") from error
        return {"image": image, **{label: np.int32(record[label]) for label in labels}}

    if stream:
        return Split(len(rows), {}, read=read)
    arrays: dict[str, Array] = {"image": np.empty((len(rows), *shape), np.uint8)}
    arrays |= {label: np.empty(len(rows), np.int32) for label in labels}

    def store(index: int) -> None:
        for field, value in read(index).items():
            arrays[field][index] = value

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for _ in pool.map(store, range(len(rows))):
            pass
    return Split(len(rows), arrays)
