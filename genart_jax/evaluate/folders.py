"""Distances between folders of any pictures, or between one and a file of statistics: `genart fid` in Python.

A picture is read upright, in sRGB, over white, at its own size (a JPEG of more than 100 megapixels at a fraction), and
then brought to the network's size by the filter that the extractor names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.data import picture
from genart_jax.data.files import File, find
from genart_jax.evaluate import meaning
from genart_jax.evaluate.extractors import Extractor, make_extractor
from genart_jax.evaluate.measures import (
    NEIGHBOURS,
    Measured,
    frechet_distance,
    kernel_distance,
    monge_distance,
    supports,
    to_statistics,
)
from genart_jax.evaluate.pictures import Features
from genart_jax.evaluate.statistics import Statistics, check_new, facts, read_statistics, save_statistics
from genart_jax.metrics import frechet
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.watch import watched

SCORES = ("fd", "kd", "md", "support")
"""The Frechet, the kernel and the Monge distance; precision, recall, density and coverage."""


class Seen(NamedTuple):
    """The features of a folder's pictures.

    Attributes:
      folder: as it was given.
      size: (height, width) of the pictures before the network's filter.
      features: of those that can be read, in the order of their names.
      left_out: name and reason of each that cannot.
    """

    folder: str
    size: tuple[int, int]
    features: Features
    left_out: tuple[tuple[str, str], ...]

    def about(self, extractor: Extractor) -> dict[str, Any]:
        """What statistics of it are of."""
        return facts(extractor) | {
            "pictures": len(self.features.values), "size": list(self.size), "left_out": len(self.left_out),
        }  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Scores of a folder of generated pictures against another side, and what all of them were made of.

    `contract` is as that of a run's scores, with the sizes of the pictures; `left_out` are the files of either side
    that cannot be read, each with the reason.
    """

    contract: dict[str, Any]
    scores: dict[str, Measured]
    left_out: tuple[tuple[str, str], ...]

    def records(self) -> list[dict[str, Any]]:
        """The scores as plain dicts, for JSON."""
        return [
            {"name": name, "value": m.value, "standard_error": m.error, "error_by": m.error_by, "details": m.details,
             "better": meaning.better(name), "caveat": m.caveat, "contract": self.contract | dict(m.contract)}
            for name, m in self.scores.items()
        ]  # fmt: skip


def compare_folders(
    generated: str | Path,
    reference: str | Path | None,
    extractor: str | Extractor = "lite0",
    scores: Collection[str] = ("fd",),
    size: tuple[int, ...] = (),
    save: str | Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Scores of the pictures of one folder against those of another, or against a file of statistics.

    Args:
      generated: a folder or zip archive of pictures.
      reference: the real side: a folder, an archive, or STATS.npz with mu and sigma, to which there is a Frechet
        distance alone; None: no scores, for `save`.
      extractor: see `extractors`.
      scores: of `SCORES`.
      size: (height, width), or one number, that pictures of several sizes are cropped and brought to (Lanczos) before
        the extractor sees them; empty: all of a folder must have one size.
      save: FILE.npz to write the first folder's statistics to.
      tell: called with a line of what is done.

    Raises:
      UserError: no such folder or file, too few pictures, pictures of several sizes, or statistics that do not fit.
    """
    if unknown := [word for word in scores if word not in SCORES]:
        raise UserError(f"scores {unknown[0]!r} is unknown; there are {', '.join(SCORES)}")
    if save is not None:
        check_new(expanded(save))
    network = make_extractor(extractor) if isinstance(extractor, str) else extractor
    statistics = _statistics(reference, scores)
    fake = see(generated, network, size, tell)
    if statistics is not None:
        statistics.check(network, fake.features.values.shape[1])
    if save is not None:
        save_statistics(save, frechet.fit(fake.features.values), fake.about(network))
    contract = {**facts(network), "generated": fake.folder, "generated_size": list(fake.size),
                "num_fake": len(fake.features.values)}  # fmt: skip
    if statistics is not None:
        return Comparison(contract, to_statistics(network.name, statistics, fake.features), fake.left_out)
    if reference is None:
        return Comparison(contract, {}, fake.left_out)
    real = see(reference, network, size, tell)
    contract |= {"data": real.folder, "data_size": list(real.size), "num_real": len(real.features.values)}
    found = _scores(network.name, scores, real.features, fake.features)
    if real.size != fake.size:
        found = {name: _unlike(m, real, fake) for name, m in found.items()}
    return Comparison(contract, found, fake.left_out + real.left_out)


def _statistics(reference: str | Path | None, scores: Collection[str]) -> Statistics | None:
    """The other side, where it is a file of statistics."""
    if reference is None or expanded(reference).suffix != ".npz":
        return None
    if set(scores) != {"fd"}:
        raise UserError(f"{reference}: statistics give a Frechet distance alone; for other scores name a folder")
    return read_statistics(reference)


def _scores(name: str, scores: Collection[str], real: Features, fake: Features) -> dict[str, Measured]:
    makers: Mapping[str, Callable[[], dict[str, Measured]]] = {
        "fd": lambda: frechet_distance(name, real, fake, None),
        "kd": lambda: kernel_distance(name, real, fake, None),
        "md": lambda: monge_distance(name, real, fake, None),
        "support": lambda: supports(name, real, fake),
    }
    return {score: m for word in SCORES if word in scores for score, m in makers[word]().items()}


def _unlike(measured: Measured, real: Seen, fake: Seen) -> Measured:
    sizes = " and ".join("x".join(map(str, side.size)) for side in (fake, real))
    what = f"pictures of {sizes}: resizing alone makes a distance; bring both to one size with --size"
    return measured._replace(caveat="; ".join(filter(None, (measured.caveat, what))))


def see(
    folder: str | Path,
    extractor: Extractor,
    size: tuple[int, ...] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> Seen:
    """The features of all pictures in a folder or archive, read a few at a time.

    Raises:
      UserError: no such folder, fewer than 10 pictures that can be read, or several sizes and no `size`.
    """
    place = expanded(folder)
    if not place.exists():
        raise UserError(f"{folder}: there is no such folder or file")
    found = find(place)
    names = [*found.pictures]
    tell(f"{extractor.name} sees {len(names):,} pictures of {folder}")
    wanted = picture.picture_size(size) if size else None
    left_out = [(file.name, picture.UNREAD_SUFFIXES[file.path.suffix.lower()]) for file in found.unread]
    left_out += found.odd
    values, first = [], None
    starts = range(0, len(names), extractor.batch)
    for start in watched(starts, len(names), f"pictures seen by {extractor.name}", extractor.batch):
        images = []
        for file in names[start : start + extractor.batch]:
            try:
                images.append(_read(file, wanted))
            except (OSError, picture.BadPictureError) as error:
                left_out.append((file.name, str(error)))
                continue
            first = first or (file.name, images[-1].shape[:2])
            if images[-1].shape[:2] != first[1]:
                raise UserError(_mixed(folder, first, (file.name, images[-1].shape[:2])))
        if images:
            whole = np.resize(np.stack(images), (extractor.batch, *images[0].shape))  # one program serves for all
            values.append(extractor(whole)[0][: len(images)])
    count = sum(map(len, values))
    if count < 2 * NEIGHBOURS or first is None:
        why = f", {len(left_out)} cannot be read: {left_out[0][0]} ({left_out[0][1]})" if left_out else ""
        raise UserError(f"{folder} has {count} pictures{why}; wanted at least {2 * NEIGHBOURS}")
    return Seen(str(folder), first[1], Features(np.concatenate(values), None, {}), tuple(left_out))


def _read(file: File, size: tuple[int, int] | None) -> np.ndarray[Any, Any]:
    content = file.read()
    return picture.decode(content, size or picture.upright_size(content), 3)


def _mixed(folder: str | Path, first: tuple[str, Any], other: tuple[str, Any]) -> str:
    sizes = " and ".join(f"{name} of {shape[0]}x{shape[1]}" for name, shape in (first, other))
    return f"{folder} has pictures of several sizes, {sizes}; bring all to one with --size"
