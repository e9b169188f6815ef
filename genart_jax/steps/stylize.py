"""The step of networks that paint contents in styles: one pass a picture, where `steps.pixels` descends for each.

A batch has styles ("image", whose classes are the styles of a network that knows them by number) and contents
("other", paired with nothing). The losses compare what was painted with both, in the features of a network that never
trains: content_weight * content + style_weight * style + tv_weight * total variation (Johnson et al. 2016, equation 5;
Huang & Belongie 2017, equation 11). It is a family of its own, because each example has two pictures that it is
compared with, and no picture that it should become.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genart_jax.config import Run, Stylize, UserError
from genart_jax.losses import perceptual
from genart_jax.losses.pixel import total_variation
from genart_jax.nn.instance import adaptive, moments
from genart_jax.nn.pool import avg_pool
from genart_jax.steps import common, networks, play, uses
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Input, Outcome, Scene, State, Sums, Tree, Variables

Seen = dict[str, jax.Array]
"""Activations by layer."""

STRENGTH = Input("strength", "number")


class Painted(NamedTuple):
    """Pictures, the activations that their content is to have, and the painting network's collections afterwards."""

    pictures: jax.Array
    target: Seen
    changed: Tree


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a `decoder` of `features` (styles are pictures), or of a `painter` (styles are classes).

    `stylize` paints contents (batch, *other_shape): by styles (batch, *image_shape), or by the condition. Its strength
    of 0 gives a decoder's reconstruction of the content, and of a painter the content itself.

    Raises:
      UserError: microbatches of unequal length.
    """
    made = Adaptive(roles, config, axis_name) if "decoder" in roles else Conditional(roles, config, axis_name)
    contents = Input("contents", "pictures", made.spec.fields["other"].shape)
    by = Input("styles", "pictures", made.spec.image_shape) if "decoder" in roles else uses.condition(made.spec)
    return made.algorithm(uses.table(stylize=(made.stylize, (contents, by, STRENGTH))), show=made.show)


class Painting(Family):
    """A network that paints, as a game of one player; subclasses say how."""

    role = ""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(roles, config, axis_name)
        self.options: Stylize = config.step
        self.layers: tuple[str, ...] = config.model.layers
        draw = lambda state, batch, key: Scene(self.reduced(self.told(batch, key)), {}, key=key)
        player = play.Player(self.role, (self.role,), self.loss)
        self.game = play.alone(player, config, axis_name, draw, ema_decay=self.options.ema_decay)

    def paint(self, at: Variables, batch: Batch, seen: tuple[Seen, Seen], train: bool) -> Painted:
        """The contents in their styles; `seen`: the activations of both."""
        raise NotImplementedError

    def reduced(self, batch: Batch) -> Batch:
        """The batch with pictures of `step.reduce`-th the size, means of what is merged."""
        if (n := self.options.reduce) == 1:
            return batch
        return batch | {name: avg_pool(batch[name], (n, n), (n, n)) for name in ("image", "other")}

    def seen(self, at: Variables, images: jax.Array) -> Seen:
        """What the network that compares makes of pictures."""
        return networks.run(self.roles, at, "features", images, capture=None)[1]

    def _compared(self, found: jax.Array, wanted: jax.Array) -> jax.Array:
        """The style loss of one layer's activations: (B, H, W, C) twice -> (B,)."""
        if self.options.style == "gram":
            return perceptual.relative(perceptual.style, perceptual.gram(found), perceptual.gram(wanted))
        return perceptual.relative(perceptual.moments, moments(found), moments(wanted))

    def losses(self, at: Variables, batch: Batch, train: bool) -> tuple[dict[str, jax.Array], Tree]:
        """By name, one value an example, each relative to its target; and the network's collections afterwards."""
        seen = self.seen(at, batch["other"]), self.seen(at, batch["image"])
        pictures, target, changed = self.paint(at, batch, seen, train)
        found = self.seen(at, pictures)
        mean: Callable[[list[jax.Array]], jax.Array] = lambda values: jnp.mean(jnp.stack(values), axis=0)
        content = mean([perceptual.relative(perceptual.content, found[name], t) for name, t in target.items()])
        style = mean([self._compared(found[name], seen[1][name]) for name in self.layers])
        return {"content_loss": content, "style_loss": style, "variation": total_variation(pictures)}, changed

    def rebuilt(self, at: Variables, batch: Batch, train: bool) -> tuple[jax.Array, Tree]:
        """The squared error of what is made of contents where they are to stay as they are, (batch,)."""
        raise NotImplementedError

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        o = self.options
        found: dict[str, jax.Array] = {}
        changed: Tree = {}
        if o.content_weight or o.style_weight or o.tv_weight:
            found, changed = self.losses(at, scene.batch, train=True)
        if o.pixel_weight:
            found["pixel_loss"], changed = self.rebuilt(at, scene.batch, train=True)
        weights = {"content_loss": o.content_weight, "style_loss": o.style_weight, "variation": o.tv_weight}
        weights["pixel_loss"] = o.pixel_weight
        values = sum((weights[name] * x for name, x in found.items()), jnp.zeros(len(scene.batch["image"])))
        # What is of no known style has no gradient.
        values = values * common.weights_of(scene.batch, self.spec)
        means = {name: jnp.mean(x) for name, x in found.items()}
        return Outcome(values, {"loss": jnp.mean(values), **means}, {self.role: changed})

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Losses of test contents in the styles of test pictures."""
        common.check_batch(batch, self.spec)
        weight = common.weights_of(batch, self.spec)
        losses, _ = self.losses(networks.averaged(state), batch, train=False)
        return common.all_sums({name: common.weighted(x, weight) for name, x in losses.items()}, self.axis_name)

    def show(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Contents, styles, and what is made of them."""
        at = networks.averaged(state)
        seen = self.seen(at, batch["other"]), self.seen(at, batch["image"])
        painted = jnp.clip(self.paint(at, batch, seen, train=False).pictures, -1, 1)
        return {"content": batch["other"], "style": batch["image"], "painted": painted}


class Adaptive(Painting):
    """Contents' features with the moments of styles' features, decoded."""

    role = "decoder"

    def paint(self, at: Variables, batch: Batch, seen: tuple[Seen, Seen], train: bool) -> Painted:
        """Its content target is what it decodes (Huang & Belongie 2017, equation 12)."""
        layer = self.layers[-1]
        code = adaptive(seen[0][layer], moments(seen[1][layer]))
        (pictures, _), changed = networks.apply(self.roles, at, "decoder", code, train=train)
        return Painted(pictures, {layer: code}, changed)

    def rebuilt(self, at: Variables, batch: Batch, train: bool) -> tuple[jax.Array, Tree]:
        """As Li et al. 2017, "Universal style transfer via feature transforms", equation 1 without its second term."""
        code = self.seen(at, batch["other"])[self.layers[-1]]
        (pictures, _), changed = networks.apply(self.roles, at, "decoder", code, train=train)
        return jnp.mean(jnp.square(pictures - batch["other"]), axis=(1, 2, 3)), changed

    def stylize(
        self, state: State, contents: jax.Array, styles: jax.Array, strength: jax.Array | float = 1.0
    ) -> jax.Array:
        """Contents in styles, one by one; features are blended by `strength` (equation 14)."""
        if len(contents) != len(styles):
            raise UserError(f"stylize: got {len(contents)} contents and {len(styles)} styles; wanted one for each")
        at, layer = networks.averaged(state), self.layers[-1]
        content, style = (self.seen(at, images)[layer] for images in (contents, styles))
        code = (1 - strength) * content + strength * adaptive(content, moments(style))
        return jnp.clip(networks.run(self.roles, at, "decoder", code)[0], -1, 1)


class Conditional(Painting):
    """A network that has learnt its styles, each by its number."""

    role = "painter"

    def paint(self, at: Variables, batch: Batch, seen: tuple[Seen, Seen], train: bool) -> Painted:
        """Its content target is the content's own activations."""
        (pictures, _), changed = networks.apply(
            self.roles, at, "painter", batch["other"], batch["condition"], train=train
        )
        return Painted(pictures, {name: seen[0][name] for name in self.config.model.content_layers}, changed)

    def rebuilt(self, at: Variables, batch: Batch, train: bool) -> tuple[jax.Array, Tree]:
        """In whatever style: so it has the network learn to carry a content before it learns to change it."""
        contents = batch["other"]
        (pictures, _), changed = networks.apply(self.roles, at, "painter", contents, batch["condition"], train=train)
        return jnp.mean(jnp.square(pictures - contents), axis=(1, 2, 3)), changed

    def stylize(
        self,
        state: State,
        contents: jax.Array,
        condition: dict[str, jax.Array] | None = None,
        strength: jax.Array | float = 1.0,
    ) -> jax.Array:
        """Contents in the styles of these numbers, blended with the contents by `strength`.

        Raises:
          UserError: no style is given.
        """
        told = common.wanted_condition(self.spec, condition, len(contents), None)
        painted = networks.run(self.roles, networks.averaged(state), "painter", contents, told)[0]
        return (1 - strength) * contents + strength * painted
