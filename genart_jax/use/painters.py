"""Trained networks that paint in one pass: `adain` in any picture's style, `multistyle` in those that it has learnt."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from genart_jax.data.provenance import Provenance
from genart_jax.models import adain, multistyle
from genart_jax.nn.instance import Moments, adaptive, mixed, moments
from genart_jax.runtime import compiler
from genart_jax.steps import networks
from genart_jax.steps.pixels import luminance, matched
from genart_jax.train.checkpoint import Model
from genart_jax.types import Module, Tree


class Brush(NamedTuple):
    """What is the same for all pieces of a picture.

    Attributes:
      styles: what a method keeps of the styles.
      own: the moments of the whole picture; None where a piece is the whole.
    """

    styles: Tree
    own: Tree | None = None


class Painter(Protocol):
    """A network with styles chosen. Pictures are float32 (1, height, width, 3) in [-1, 1]; sides are multiples.

    Attributes:
      multiple: of which sides are multiples.
      reach: how far from a cut what is painted is right, given the moments of the whole.
      grey: whether luminance alone is painted.
      about: what a picture is to say of the network that painted it.
    """

    multiple: int
    reach: int
    grey: bool
    about: Provenance | None

    def styles(self, content: jax.Array) -> Tree:
        """What is kept of the styles, for this content (reduced)."""

    def measure(self, content: jax.Array, share: jax.Array) -> Tree:
        """The moments of a whole content (reduced), with each style's share of it: (1, K)."""

    def paint(self, piece: jax.Array, share: jax.Array, strength: float, brush: Brush) -> jax.Array:
        """A piece painted; `share` of each style: (1, K), or (1, height, width, K)."""


@functools.cache
def _adaptive(encoder: Module, decoder: Module) -> tuple[Callable[..., Moments], Callable[..., jax.Array]]:
    """Compiled once for all networks of a form: (encoder's variables, pictures) -> moments, and the painting."""

    def measure(seen: Tree, images: jax.Array) -> Moments:
        return moments(encoder.apply(seen, images)[0])

    def paint(seen: Tree, drawn: Tree, piece: jax.Array, share: jax.Array, strength: float, brush: Brush) -> jax.Array:
        content = encoder.apply(seen, piece)[0]
        if share.ndim == 4:
            share = jax.image.resize(share, (1, *content.shape[1:3], share.shape[-1]), "linear")
        style = Moments(*(x[:, 0, 0] for x in brush.styles))
        code = (1 - strength) * content + strength * adaptive(content, mixed(style, share), brush.own)
        return jnp.clip(decoder.apply(drawn, code)[0], -1, 1)

    return compiler.jit(measure), compiler.jit(paint)


@functools.cache
def _learnt(network: Module) -> tuple[Callable[..., Tree], Callable[..., jax.Array]]:
    """As `_adaptive`: (variables, content, shares) -> moments, and the painting."""

    def measure(variables: Tree, content: jax.Array, share: jax.Array) -> Tree:
        return network.apply(variables, content, share=share)[1]

    def paint(variables: Tree, piece: jax.Array, share: jax.Array, strength: float, own: Tree) -> jax.Array:
        return (1 - strength) * piece + strength * network.apply(variables, piece, share=share, own=own)[0]

    return compiler.jit(measure), compiler.jit(paint)


def _variables(model: Model, role: str) -> Tree:
    """What a network is applied with: moving averages where there are any."""
    at = networks.averaged(model.state)
    return {"params": at.params[role], **at.mutable.get(role, {})}


class Adaptive:
    """`adain`: styles are pictures, float32 (K, height, width, 3) in [-1, 1]."""

    def __init__(self, model: Model, config: adain.Config, pictures: jax.Array, grey: bool) -> None:
        self.multiple, self.reach, self.grey = adain.reduction(config), adain.reach(config), grey
        self.about = model.provenance
        roles = model.algorithm.networks
        self._pictures, self._seen = pictures, networks.frozen_of(roles, model.state, "features")
        self._drawn = _variables(model, "decoder")
        self._measure, self._paint = _adaptive(roles["features"].module, roles["decoder"].module)
        self._kept: Moments | None = None

    def styles(self, content: jax.Array) -> Moments:
        """The moments of the styles; of grey ones, as bright and as contrasted as this content is."""
        if self._kept is None or self.grey:
            pictures = matched(luminance(self._pictures), luminance(content)) if self.grey else self._pictures
            each = [self._measure(self._seen, one[None]) for one in pictures]
            self._kept = jax.tree.map(lambda *x: jnp.concatenate(x), *each)
        return self._kept

    def measure(self, content: jax.Array, share: jax.Array) -> Moments:
        """See Painter; the same for all styles."""
        return self._measure(self._seen, content)

    def paint(self, piece: jax.Array, share: jax.Array, strength: float, brush: Brush) -> jax.Array:
        """A strength of 0 gives the decoder's reconstruction."""
        return self._paint(self._seen, self._drawn, piece, share, strength, brush)


class Learnt:
    """`multistyle`: styles are numbers of those that the network knows."""

    def __init__(self, model: Model, config: multistyle.Config, numbers: Sequence[int], grey: bool) -> None:
        self.multiple, self.reach, self.grey = multistyle.REDUCTION, multistyle.reach(config), grey
        self.about = model.provenance
        ((_, known),) = model.algorithm.batch_spec.conditions
        self._table, self._variables = jnp.eye(known)[jnp.asarray(numbers)], _variables(model, "painter")
        self._measure, self._paint = _learnt(model.algorithm.networks["painter"].module)

    def styles(self, content: jax.Array) -> jax.Array:
        """(chosen, known): which style each of the chosen ones is."""
        return self._table

    def measure(self, content: jax.Array, share: jax.Array) -> Tree:
        """Of all its normalisations, which depend on what is painted before them."""
        return self._measure(self._variables, content, share @ self._table)

    def paint(self, piece: jax.Array, share: jax.Array, strength: float, brush: Brush) -> jax.Array:
        """A strength of 0 gives the content back."""
        return self._paint(self._variables, piece, share @ brush.styles, strength, brush.own)
