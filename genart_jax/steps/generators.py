"""What the adversarial step asks of a generator: draws, pictures with gradients, and pictures to show.

A generator may offer its two halves, `mapping(z, condition, train, truncation) -> styles (batch, layers, features)` and
`synthesis(styles, keys) -> (images, aux)`, with one key an example for what it draws (None: fixed noise). Then styles
can be mixed, the path length regularised, and samples truncated about the mean style. Of others truncation scales the
latents, unless a `TruncatedModule` says how. One that is a `NoisyModule` draws noise as well. One of videos, a
`MovingModule`, has noise for each frame in its latents, and so makes videos of any length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn import random
from genart_jax.steps import networks
from genart_jax.steps.networks import Networks
from genart_jax.steps.uses import number_of_frames
from genart_jax.types import Condition, Input, Keys, Tree, Variables, untold

Drawn = Mapping[str, jax.Array]
"""All that a generator draws for its examples, by name."""


@runtime_checkable
class StyleModule(Protocol):
    """A generator with a mapping network."""

    def mapping(self, z: jax.Array, condition: Condition, train: bool, truncation: float | jax.Array) -> jax.Array:
        """Latents (batch, latent) -> styles (batch, layers, features)."""

    def synthesis(self, styles: jax.Array, keys: jax.Array | None) -> tuple[jax.Array, Tree]:
        """Styles -> images and named intermediates."""


@runtime_checkable
class TruncatedModule(Protocol):
    """A generator that is made to be sampled with latents from a part of their distribution."""

    def truncated(self, z: jax.Array, truncation: float | jax.Array) -> jax.Array:
        """Latents (batch, latent) as they are drawn -> nearer to the middle, 1: as they are."""


@runtime_checkable
class NoisyModule(Protocol):
    """A generator that draws noise of its own: it takes `keys`, one an example (None: fixed noise)."""

    noisy: bool


@runtime_checkable
class MovingModule(Protocol):
    """A generator of videos, a `StyleModule` whose first style is of the content and each further one of a frame.

    Its latents are `content_dim` numbers, then `motion_dim` for each frame: `frames` in training, else any number.
    If it `extends`, it moves pictures that are given as well as its own.
    """

    content_dim: int
    motion_dim: int
    frames: int
    extends: bool

    def extend(self, z: jax.Array, images: jax.Array, condition: Condition) -> jax.Array:
        """Videos as long as z has noise for, which begin with `images` (batch, frames, height, width, channels)."""


class Plain:
    """A generator that makes pictures of a latent and conditions at once."""

    options: tuple[Input, ...] = (Input("truncation", "number", low=0.0, high=1.5, default=1.0),)
    """What those who draw pictures may choose."""
    drawn: tuple[Input, ...] = ()
    """What they may choose besides where latents are drawn, too: `draw` takes it."""

    def __init__(self, roles: Networks, latent_dim: int) -> None:
        self.roles, self.latent_dim = roles, latent_dim

    def draw(self, keys: Keys, **chosen: float) -> dict[str, jax.Array]:
        """What is drawn for examples with these keys; `chosen` by the names in `drawn`."""
        return {"z": random.normal(keys("latent"), (self.latent_dim,))}

    def make(self, at: Variables, drawn: Drawn, condition: Condition) -> tuple[jax.Array, Tree]:
        """Pictures in training, and changed collections."""
        (images, _), mutable = networks.apply(self.roles, at, "generator", drawn["z"], condition, train=True)
        return images, mutable

    def show(
        self, at: Variables, z: jax.Array, keys: jax.Array | None, condition: Condition, truncation: float | jax.Array
    ) -> jax.Array:
        """Pictures as they are sampled, without changing anything.

        `truncation` scales z: less variety, and less that fails (Kingma & Dhariwal 2018, arXiv:1807.03039).
        """
        (images, _), _ = networks.apply(self.roles, at, "generator", truncation * z, condition)
        return images


class Truncated(Plain):
    """A generator whose latents may be drawn from a part of their distribution, a `TruncatedModule`."""

    options = (Input("truncation", "number", low=0.0, high=1.0, default=1.0),)

    def show(
        self, at: Variables, z: jax.Array, keys: jax.Array | None, condition: Condition, truncation: float | jax.Array
    ) -> jax.Array:
        """Pictures as they are sampled, of latents that are truncated first."""
        module = self.roles["generator"].module
        assert isinstance(module, TruncatedModule)
        return super().show(at, module.truncated(z, truncation), keys, condition, 1.0)


class Noisy(Plain):
    """A generator that also draws noise, a `NoisyModule`."""

    def draw(self, keys: Keys, **chosen: float) -> dict[str, jax.Array]:
        """Latents, and a key for the noise of each."""
        return super().draw(keys) | {"keys": keys("noise")}

    def make(self, at: Variables, drawn: Drawn, condition: Condition) -> tuple[jax.Array, Tree]:
        """Pictures in training, and changed collections."""
        (images, _), mutable = networks.apply(
            self.roles, at, "generator", drawn["z"], condition, train=True, keys=drawn["keys"]
        )
        return images, mutable

    def show(
        self, at: Variables, z: jax.Array, keys: jax.Array | None, condition: Condition, truncation: float | jax.Array
    ) -> jax.Array:
        """Pictures as they are sampled, without changing anything; `truncation` scales z, and not the noise."""
        (images, _), _ = networks.apply(self.roles, at, "generator", truncation * z, condition, keys=keys)
        return images


class Styled(Plain):
    """A generator of two halves, a `StyleModule`."""

    def __init__(self, roles: Networks, latent_dim: int, mixing: float) -> None:
        super().__init__(roles, latent_dim)
        self.mixing = mixing

    def draw(self, keys: Keys, **chosen: float) -> dict[str, jax.Array]:
        """Latents, noise, and from which layer on (a share of them) styles come from another latent."""
        drawn = super().draw(keys) | {"keys": keys("noise")}
        if self.mixing:
            cut = random.uniform(keys("cut"))
            drawn |= {
                "other": random.normal(keys("other"), (self.latent_dim,)),
                "cut": jnp.where(random.uniform(keys("mix")) < self.mixing, cut, 1.0),
            }
        return drawn

    def styles(self, at: Variables, drawn: Drawn, condition: Condition) -> tuple[jax.Array, Tree]:
        """Styles of each layer, those after a random layer from another z (Karras et al. 2019, section 3.1)."""
        z = drawn["z"]
        if "other" in drawn:  # neighbours in one batch
            z = jnp.stack([z, drawn["other"]], axis=1).reshape(-1, self.latent_dim)
            condition = jax.tree.map(lambda x: jnp.repeat(x, 2, axis=0), condition)
        styles, mutable = networks.apply(self.roles, at, "generator", z, condition, train=True, method="mapping")
        if "other" in drawn:
            layers = styles.shape[1]
            first = 1 + jnp.floor(drawn["cut"] * (layers - 1))[:, None]  # `layers` where nothing is mixed
            styles = jnp.where((jnp.arange(layers) < first)[..., None], styles[0::2], styles[1::2])
        return styles, mutable

    def shape(self, conditions: tuple[tuple[str, int], ...]) -> tuple[int, ...]:
        """(layers, features) of styles."""
        module = self.roles["generator"].module

        def styles() -> jax.Array:
            given = jnp.zeros((2, self.latent_dim)), untold(conditions), False, 1.0
            made: jax.Array = module.apply(
                module.init(jax.random.key(0), *given, method="mapping"), *given, method="mapping"
            )
            return made

        return jax.eval_shape(styles).shape[1:]

    def synthesize(self, at: Variables, styles: jax.Array, keys: jax.Array | None) -> jax.Array:
        """Pictures of styles."""
        images: jax.Array
        (images, _), _ = networks.apply(self.roles, at, "generator", styles, keys, method="synthesis")
        return images

    def make(self, at: Variables, drawn: Drawn, condition: Condition) -> tuple[jax.Array, Tree]:
        """Pictures in training, and changed collections."""
        styles, changed = self.styles(at, drawn, condition)
        return self.synthesize(at, styles, drawn["keys"]), changed

    def show(
        self, at: Variables, z: jax.Array, keys: jax.Array | None, condition: Condition, truncation: float | jax.Array
    ) -> jax.Array:
        """Pictures as they are sampled, cut to [-1, 1]; `truncation` scales a style's distance from the mean style."""
        styles, _ = networks.apply(self.roles, at, "generator", z, condition, truncation=truncation, method="mapping")
        return jnp.clip(self.synthesize(at, styles, keys), -1.0, 1.0)


class Moving(Styled):
    """A generator of videos, a `MovingModule`: a longer video begins with the latents of a shorter one."""

    def __init__(self, roles: Networks, latent_dim: int, mixing: float) -> None:
        super().__init__(roles, latent_dim, mixing)
        module = roles["generator"].module
        assert isinstance(module, MovingModule)
        self.sizes = module.content_dim, module.motion_dim, module.frames
        self.drawn = (Input("frames", "number", low=1.0, high=256.0, default=float(module.frames)),)

    def draw(self, keys: Keys, **chosen: float) -> dict[str, jax.Array]:
        """Latents with noise for so many `frames`, a number that is static."""
        content, motion, frames = self.sizes
        times, noise = range(number_of_frames(chosen.get("frames", frames))), keys("motion")
        parts = [random.normal(keys("content"), (content,))]
        parts += [random.normal(random.stream(noise, "frame", t), (motion,)) for t in times]
        return super().draw(keys) | {"z": jnp.concatenate(parts, axis=-1)}

    def make(self, at: Variables, drawn: Drawn, condition: Condition) -> tuple[jax.Array, Tree]:
        """Videos in training, and changed collections: those of the frames' generator, too."""
        styles, changed = self.styles(at, drawn, condition)
        at = at._replace(mutable={**at.mutable, "generator": changed})
        (videos, _), changed = networks.apply(self.roles, at, "generator", styles, None, train=True, method="synthesis")
        return videos, changed

    @property
    def extends(self) -> bool:
        """Whether it moves pictures that are given."""
        module = self.roles["generator"].module
        return isinstance(module, MovingModule) and module.extends

    def extend(self, at: Variables, z: jax.Array, images: jax.Array, condition: Condition) -> jax.Array:
        """Videos that begin with `images`; see `MovingModule`."""
        videos: jax.Array
        videos, _ = networks.apply(self.roles, at, "generator", z, images, condition, method="extend")
        return jnp.clip(videos, -1.0, 1.0)


def bind(name: str, roles: Networks, latent_dim: int, mixing: float, path: float) -> Plain:
    """The generator with the halves that it has.

    Raises:
      UserError: options that need a mapping network, and there is none.
    """
    if isinstance(roles["generator"].module, MovingModule):
        return Moving(roles, latent_dim, mixing)
    if isinstance(roles["generator"].module, StyleModule):
        return Styled(roles, latent_dim, mixing)
    if path or mixing:
        raise UserError(f"step: {name} has no mapping network; set path-weight and style-mixing to 0")
    if isinstance(roles["generator"].module, TruncatedModule):
        return Truncated(roles, latent_dim)
    noisy = isinstance(roles["generator"].module, NoisyModule)
    return (Noisy if noisy else Plain)(roles, latent_dim)
