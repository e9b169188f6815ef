"""Which trained network a method of `stylize` paints with, and which of its styles are meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genart_jax import assets
from genart_jax.api import build, configure
from genart_jax.config import Run, UserError
from genart_jax.data.provenance import Provenance
from genart_jax.runtime import packaged
from genart_jax.train.checkpoint import Model, load, pretrained, read_config
from genart_jax.types import to_float
from genart_jax.use.given import Picture, square
from genart_jax.use.painters import Adaptive, Learnt, Painter

METHODS = "adain", "multistyle"
_STYLE = 512
"""Sides of the square in the middle of a style's picture that is looked at."""
_PUBLISHED = "multistyle26"
_SHAPE = (64, 64, 3)  # that a network is built for: it takes any other


class Found(NamedTuple):
    """A trained network, its configuration, the names of the styles that it has learnt, and what pictures say of it."""

    model: Model
    run: Run
    styles: tuple[str, ...] = ()
    about: Provenance | None = None


def painter(
    method: str, styles: Sequence[Picture | int], network: str | Path | None = None, grey: bool = False
) -> Painter:
    """The network of a method with styles chosen.

    Args:
      method: "adain" or "multistyle".
      styles: files or arrays of pictures; of `multistyle`, names or numbers of styles.
      network: a run, or multistyle26; None: what is called as the method.
      grey: luminance alone is to be painted.

    Raises:
      UserError: no such method, network, picture or style.
    """
    if method not in METHODS:
        raise UserError(f"method {method!r} is unknown; there are gatys, {', '.join(METHODS)}")
    if not styles:
        raise UserError("stylize needs a style")
    if method == "multistyle":
        found = find(method, network)
        learnt = Learnt(found.model, found.run.model, [number_of(one, found.styles) for one in styles], grey)
        learnt.about = found.about or learnt.about
        return learnt
    given = [one for one in styles if not isinstance(one, int)]
    if len(given) != len(styles):
        raise UserError("method adain takes pictures as styles, not numbers")
    pictures = np.stack([square(one, _STYLE) for one in given])
    found = find(method, network)
    return Adaptive(found.model, found.run.model, to_float(pictures), grey)


def find(method: str, network: str | Path | None = None) -> Found:
    """The trained network of a method.

    Raises:
      UserError: there is none of that name, it is of another model, or weights have to be fetched first.
    """
    if str(network) == _PUBLISHED and method == "multistyle":
        run = configure("multistyle", preset="published26", image_shape=_SHAPE, other_shape=_SHAPE)
        algorithm = build(run)
        asset, state = assets.find(_PUBLISHED), pretrained(_PUBLISHED, algorithm)
        words = asset.text, f"the weights are under {asset.licence}"
        about = Provenance(method, _PUBLISHED, assets.sha256(_PUBLISHED), 0, *words)
        return Found(Model(algorithm, state), run, tuple(map(str, range(26))), about)
    name = method if network is None else network
    if not (packaged.place(name) / "config.json").is_file():
        more = f", or {_PUBLISHED} after: genart assets fetch {_PUBLISHED}" if method == "multistyle" else ""
        which = f"{method} comes with no weights" if network is None else f"--network {network} is no run of {method}"
        raise UserError(f"{which}: name a run as --network (genart train {method}){more}")
    saved = read_config(name)
    if saved.run.name != method:
        raise UserError(f"--network {network} is a run of {saved.run.name}, not of {method}")
    styles = saved.data["class_names"][saved.run.model.label] if method == "multistyle" else ()
    return Found(load(name), saved.run, tuple(styles))


def number_of(style: Picture | int, known: Sequence[str]) -> int:
    """The number of a style by its number, its name, or a part of it that no other has.

    Raises:
      UserError: there is none, or there are several.
    """
    word = str(style) if isinstance(style, str | int | Path) else ""
    if word in known:
        return known.index(word)
    if word.isdecimal() and int(word) < len(known):
        return int(word)
    found = [i for i, name in enumerate(known) if word and word.casefold() in name.casefold()]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{i} {name}" for i, name in enumerate(known) if not found or i in found)
    hint = " (for the style of any picture: --method adain)" if not found and Path(word or ".").is_file() else ""
    raise UserError(
        f"style {word or 'of a picture'!r}: {'several are' if found else 'none is'} so named{hint}: {listed}"
    )
