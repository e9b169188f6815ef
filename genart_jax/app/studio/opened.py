"""A model that is open in the worker, and a job at it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image, PngImagePlugin

from genart_jax.app.studio import forms
from genart_jax.app.studio.limits import Limits
from genart_jax.config import UserError
from genart_jax.config.saved import Saved
from genart_jax.data import media, provenance, whole
from genart_jax.data.conditions import class_number, class_word
from genart_jax.data.provenance import Provenance
from genart_jax.data.reader import BadPictureError, decode, upright_size
from genart_jax.data.whole import Whole
from genart_jax.runtime.values import Array, Json
from genart_jax.train.checkpoint import load
from genart_jax.use import latent
from genart_jax.use.latent.space import Codes, Space


class Desk(Protocol):
    """Where a job is told about; see `worker.Desk`."""

    cancelled: set[str]

    def tell(self, **message: object) -> None:
        """One line to the server."""


LIVE = "live.png"
"""What there is of a picture while it is made."""


class CancelledError(Exception):
    """Nobody wants this job any more."""


class Task(NamedTuple):
    """A job as it is done."""

    id: str
    kind: str
    inputs: Json
    files: Mapping[str, str]
    place: Path
    desk: Desk

    def tell(self, share: float, text: str = "", **more: object) -> None:
        """How far it is; ends it where it was cancelled."""
        if self.id in self.desk.cancelled:
            raise CancelledError
        self.desk.tell(event="progress", job=self.id, share=round(share, 3), text=text, **more)

    def whole(self, name: str) -> Whole:
        """The picture that an input means, of any size within the limits, without metadata.

        Raises:
          UserError: it cannot be read, or is too large.
        """
        path = self._small_enough(name)
        try:
            return whole.read(path, [])._replace(exif=b"")
        except BadPictureError as error:
            raise UserError(f"{name}: {error}") from None

    def pixels(self, name: str, shape: Sequence[int]) -> Array:
        """The same, cut and resized: uint8 of `shape` (height, width, channels)."""
        path = self._small_enough(name)
        try:
            return decode(path.read_bytes(), (shape[0], shape[1]), shape[2])
        except BadPictureError as error:
            raise UserError(f"{name}: {error}") from None

    def _small_enough(self, name: str) -> Path:
        path = Path(self.files[name])
        try:
            height, width = upright_size(path.read_bytes())
        except OSError:
            raise UserError(f"{name}: this picture is not kept any more") from None
        except BadPictureError as error:
            raise UserError(f"{name}: {error}") from None
        if height * width > Limits().pixels:
            raise UserError(f"{name}: {width}x{height} is more than {Limits().pixels // 10**6} megapixels")
        return path

    def file(self, name: str, content: bytes) -> None:
        """Writes a file of the result."""
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.place / name).write_bytes(content)

    def picture(self, name: str, pixels: Array, about: Provenance | None, recipe: Json | None = None) -> None:
        """Writes a PNG of uint8 (height, width, 1, 3 or 4), with where it is from, and its recipe as a text chunk."""
        extra: Json = {"pnginfo": PngImagePlugin.PngInfo()} if about is None else provenance.carried("PNG", about)
        if recipe is not None:
            extra["pnginfo"].add_itxt(forms.CHUNK.decode(), json.dumps({"studio": forms.VERSION, **recipe}))
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        image.save(self.place / name, format="PNG", compress_level=1, **extra)

    def moving(self, name: str, example: Array, about: Provenance | None) -> None:
        """Writes a GIF of a video as it moves, or a volume as it turns: uint8 of four axes."""
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        media.animate(self.place / name, {"": example[None]}, lambda one: Image.fromarray(tiles(one[""])[0]), about)


class Opened:
    """A loaded model by the name that it was asked for; `place`: where it is, if that is not its name."""

    def __init__(self, name: str, place: str | Path = "") -> None:
        self.name, self.model = name, load(place or name)
        if self.model.saved is None:
            raise UserError(f"{name} does not know its configuration")
        self.saved: Saved = self.model.saved
        self.spec = self.model.algorithm.batch_spec

    @functools.cached_property
    def space(self) -> Space | None:
        """Its latent space, if it has a continuous one."""
        try:
            return latent.open_space(self.model)
        except UserError:
            return None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its pictures."""
        return self.spec.image_shape

    @property
    def about(self) -> Provenance | None:
        """What its pictures say of themselves."""
        return self.model.provenance

    def class_fields(self) -> list[Json]:
        """A field for each condition."""
        hidden = self.spec.hidden
        return [
            {"name": name, "kind": "class", "choices": list(self.model.class_names[name]), "hidden": name in hidden}
            for name, _ in self.spec.conditions
            if name in self.model.class_names
        ]

    def create_fields(self) -> list[Json]:
        """What drawing takes."""
        use = self.model.algorithm.use("sample")
        sliders = [forms.number(one.name, one.low, one.high, one.default) for one in use.of_kind("number")]
        if not sliders and self.space is not None:
            sliders = [forms.number("truncation", 0.0, 1.5, 1.0)]
        return [*self.class_fields(), *sliders, forms.SEED, forms.count()]

    def place_field(self, name: str) -> Json:
        """A field for a picture that it has drawn."""
        return {"name": name, "kind": "place", "model": self.name, "fields": self.create_fields()}

    def given(self, inputs: Mapping[str, object]) -> dict[str, int]:
        """Condition -> class, of those that are not left open."""
        names = self.model.class_names
        told = {name: inputs.get(name, forms.ANY) for name in names}
        return {n: class_number(n, str(v), names[n]) for n, v in told.items() if v != forms.ANY}

    def codes(self, places: Sequence[Json]) -> Codes:
        """Latents of pictures by their recipes.

        Raises:
          UserError: the model has no continuous latents.
        """
        if self.space is None:
            raise UserError(f"{self.name} has no latents to move in")
        each = [self.space.draw([(p["inputs"]["seed"], p["index"])], self.given(p["inputs"])) for p in places]
        condition = {name: np.concatenate([c.condition[name] for c in each]) for name in each[0].condition}
        return Codes(np.concatenate([c.values for c in each]), condition, tuple(c.words[0] for c in each))

    def words(self, condition: Mapping[str, Array], index: int) -> str:
        """The classes of a picture, for people."""
        names = self.model.class_names
        return ", ".join(class_word(names[name], int(value[index])) for name, value in condition.items())


def tiles(images: Array) -> Array:
    """Pictures of any rank as flat ones, uint8 (n, height, width, 3)."""
    return media.tiles(images)
