"""The step whose parameters are pixels: descent on a picture itself, towards features of other pictures.

An example is a pair of pictures, the content and the style (`batches_per_step` is 2). `begin` takes from the first
batch what the picture starts as and its targets; the objective is fixed from then on, and the steps look at no other
data. With several pairs in the batch, the start and the targets are their means.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genart_jax.config import Pixels, Run, UserError
from genart_jax.losses import perceptual
from genart_jax.losses.pixel import total_variation
from genart_jax.nn import random
from genart_jax.steps import common, networks, play, uses
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Metrics, Outcome, Scene, State, Sums, Tree, Variables

_LUMA = (0.299, 0.587, 0.114)
"""Rec. 601: the Y of YIQ. Adding one number to R, G and B alike changes Y alone."""


def luminance(images: jax.Array) -> jax.Array:
    """(..., 3) -> (..., 3), grey; pictures of one channel stay as they are."""
    if images.shape[-1] != 3:
        return images
    return jnp.broadcast_to(jnp.sum(images * jnp.array(_LUMA), axis=-1, keepdims=True), images.shape)


def matched(style: jax.Array, content: jax.Array) -> jax.Array:
    """Grey styles with the mean and the deviation of the grey contents, one by one: (B, H, W, C).

    Gatys et al. 2017, "Controlling perceptual factors in neural style transfer", equation 9.
    """
    moments = lambda x: (jnp.mean(x, (1, 2, 3), keepdims=True), jnp.std(x, (1, 2, 3), keepdims=True))
    (mean, std), (wanted_mean, wanted_std) = moments(style), moments(content)
    return (style - mean) * wanted_std / (std + 1e-6) + wanted_mean


def _typed_optimizer(state: State) -> State:
    """Without weak types, which Optax's line search starts with and does not keep: one program serves all."""
    return state.replace(opt=jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), state.opt))


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm that makes one picture, of frozen `features`.

    `transform` adds what was found to pictures: to the content, it gives the picture that was made.

    Raises:
      UserError: microbatches, or step lengths for an optimizer that finds its own.
    """
    made = Picture(roles, config, axis_name)
    table = uses.table(transform=(made.transform, (uses.pictures(made.spec), uses.KEY)))
    return made.algorithm(table, batches=2, begin=made.begin)


class Picture(Family):
    """A picture as the only parameters, as a game of one player."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(roles, config, axis_name)
        self.options: Pixels = config.step
        self.model = config.model
        if config.train.microbatch:
            raise UserError("train.microbatch: one picture has no parts; set it to 0")
        searching = config.optimizer.name == "lbfgs"
        if searching and (config.optimizer.learning_rate != 1 or config.optimizer.schedule != "constant"):
            raise UserError("optimizer lbfgs finds its own step lengths; set learning-rate 1 and schedule constant")
        self.channels = 1 if self.options.keep_color else self.spec.image_shape[-1]
        player = play.Player("pixels", ("pixels",), self.loss, searches=searching)
        draw = lambda state, batch, key: Scene(batch, {}, carried=state.extra, key=key)
        self.game = play.alone(player, config, axis_name, draw)

    def _activations(self, frozen: play.Trees, images: jax.Array) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Content's activations and style's Gram matrices of (B, ...) pictures, by layer."""
        (_, aux), _ = networks.apply(self.roles, Variables({}, {}, frozen), "features", images)
        grams = {name: perceptual.gram(aux[name]) for name in self.model.style_layers}
        return {name: aux[name].astype(jnp.float32) for name in self.model.content_layers}, grams

    def _distances(self, found: Tree, targets: Tree) -> dict[str, jax.Array]:
        """Content and style losses (B,), means over layers, each relative to that of nothing at all.

        The paper's network was scaled to activations of mean one; this does the same for any network and layer.
        """

        def mean(loss: Callable[[jax.Array, jax.Array], jax.Array], part: int) -> jax.Array:
            pairs = [(found[part][name], targets[part][name]) for name in targets[part]]
            return sum((perceptual.relative(loss, a, b) for a, b in pairs), jnp.zeros(())) / len(pairs)

        return {"content_loss": mean(perceptual.content, 0), "style_loss": mean(perceptual.style, 1)}

    def init(self, key: jax.Array, batch: Batch) -> State:
        """The first state, for batches like this one."""
        common.check_batch(batch, self.spec)
        key = random.stream(key, "init")
        noise = jax.random.normal(random.stream(key, "pixels"), (*self.spec.image_shape[:2], self.channels))
        params = {"offset": self.options.noise * noise}
        images, (_, frozen) = jnp.zeros((1, *self.spec.image_shape)), networks.init(self.roles, key)
        empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(self._activations, frozen, images))
        extra = {"start": images, "content": empty[0], "style": empty[1]}
        return _typed_optimizer(play.start(self.game, {"pixels": (params, {})}, extra, frozen))

    def begin(self, state: State, batch: Batch) -> State:
        """Takes from the first batch what the objective is made of."""
        common.check_batch(batch, self.spec)
        content, style = (common.select(batch, i, 2)["image"] for i in range(2))
        if self.options.keep_color:
            content, style = luminance(content), luminance(style)
            style = matched(style, content)
        contents, grams = self._activations(state.frozen, content)[0], self._activations(state.frozen, style)[1]
        mean = lambda tree: jax.tree.map(lambda x: jnp.mean(x, axis=0, keepdims=True), tree)
        found = {"start": mean(content), "content": mean(contents), "style": mean(grams)}
        return state.replace(extra=common.pmean(found, self.axis_name))

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        picture = scene.carried["start"] + at.params["pixels"]["offset"]
        targets = scene.carried["content"], scene.carried["style"]
        losses = self._distances(self._activations(at.frozen, picture), targets)
        total = self.options.content_weight * losses["content_loss"] + self.options.style_weight * losses["style_loss"]
        value = (total + self.options.tv_weight * total_variation(picture))[0]
        return Outcome(value, {"loss": value})

    def step(
        self, state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None
    ) -> tuple[State, Metrics]:
        """An update."""
        # L-BFGS never reads some of its own figures; behind a barrier they count as read, and are freed when donated.
        state = state.replace(opt=jax.lax.optimization_barrier(state.opt))
        state, metrics = super().step(state, batch, key, due)
        return _typed_optimizer(state), metrics

    def transform(self, state: State, images: jax.Array, key: jax.Array) -> jax.Array:
        """What the model makes of pictures."""
        return jnp.clip(images + state.params["pixels"]["offset"], -1.0, 1.0)

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Losses of the changed pictures, against what they were and against the style."""
        common.check_batch(batch, self.spec)
        weight = common.weights_of(batch, self.spec)
        images = luminance(batch["image"]) if self.options.keep_color else batch["image"]
        found = self._activations(state.frozen, images + state.params["pixels"]["offset"])
        targets = self._activations(state.frozen, images)[0], state.extra["style"]
        losses = self._distances(found, targets)
        return common.all_sums({name: common.weighted(v, weight) for name, v in losses.items()}, self.axis_name)
