"""The step whose parameters are pixels: descent on a picture itself, towards features of other pictures.

An example is a pair of pictures, the content and the style (`batches_per_step` is 2). `begin` takes from the first
batch what the picture starts as and its targets; the objective is fixed from then on, and the steps look at no other
data. With several pairs in the batch, the start and the targets are their means.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from genart_jax.config import Pixels, Run, UserError, spec_of
from genart_jax.losses import perceptual
from genart_jax.losses.pixel import total_variation
from genart_jax.nn import random
from genart_jax.steps import common, play
from genart_jax.types import Algorithm, Batch, Metrics, Outcome, Scene, State, Sums, Variables, check_images

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


def build(networks: Any, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm that makes one picture: `networks` has `features`.

    `transform` adds what was found to pictures: to the content, it gives the picture that was made.

    Raises:
      UserError: microbatches, or step lengths for an optimizer that finds its own.
    """
    options: Pixels = config.step
    spec, model, network = spec_of(config), config.model, networks.features
    if config.train.microbatch:
        raise UserError("train.microbatch: one picture has no parts; set it to 0")
    searching = config.optimizer.name == "lbfgs"
    if searching and (config.optimizer.learning_rate != 1 or config.optimizer.schedule != "constant"):
        raise UserError("optimizer lbfgs finds its own step lengths; set learning-rate 1 and schedule constant")
    channels = 1 if options.keep_color else spec.image_shape[-1]

    def activations(frozen: Any, images: jax.Array) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Content's activations and style's Gram matrices of (B, ...) pictures, by layer."""
        _, aux = network.apply(frozen["features"], images)
        grams = {name: perceptual.gram(aux[name]) for name in model.style_layers}
        return {name: aux[name].astype(jnp.float32) for name in model.content_layers}, grams

    def distances(found: Any, targets: Any) -> dict[str, jax.Array]:
        """Content and style losses (B,), means over layers, each relative to that of nothing at all.

        The paper's network was scaled to activations of mean one; this does the same for any network and layer.
        """

        def mean(loss: Any, part: int) -> jax.Array:
            pairs = [(found[part][name], targets[part][name]) for name in targets[part]]
            return sum((loss(a, b) / (loss(jnp.zeros_like(b), b) + 1e-12) for a, b in pairs), jnp.zeros(())) / len(
                pairs
            )

        return {"content_loss": mean(perceptual.content, 0), "style_loss": mean(perceptual.style, 1)}

    def init(key: jax.Array, batch: Batch) -> State:
        common.check_batch(batch, spec)
        key = random.stream(key, "init")
        noise = jax.random.normal(random.stream(key, "pixels"), (*spec.image_shape[:2], channels))
        params = {"offset": options.noise * noise}
        images = jnp.zeros((1, *spec.image_shape))
        frozen = {"features": dict(network.init(random.stream(key, "features"), images))}
        empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(activations, frozen, images))
        extra = {"start": images, "content": empty[0], "style": empty[1]}
        return _typed_optimizer(play.start(game, {"pixels": (params, {})}, extra, frozen))

    def begin(state: State, batch: Batch) -> State:
        common.check_batch(batch, spec)
        content, style = (common.select(batch, i, 2)["image"] for i in range(2))
        if options.keep_color:
            content, style = luminance(content), luminance(style)
            style = matched(style, content)
        contents, grams = activations(state.frozen, content)[0], activations(state.frozen, style)[1]
        mean = lambda tree: jax.tree.map(lambda x: jnp.mean(x, axis=0, keepdims=True), tree)
        found = {"start": mean(content), "content": mean(contents), "style": mean(grams)}
        return state.replace(extra=common.pmean(found, axis_name))

    def loss(at: Variables, scene: Scene) -> Outcome:
        picture = scene.carried["start"] + at.params["pixels"]["offset"]
        targets = scene.carried["content"], scene.carried["style"]
        losses = distances(activations(at.frozen, picture), targets)
        total = options.content_weight * losses["content_loss"] + options.style_weight * losses["style_loss"]
        value = (total + options.tv_weight * total_variation(picture))[0]
        return Outcome(value, {"loss": value})

    game = play.Game(
        (play.Player("pixels", ("pixels",), loss, searches=searching),),
        {"pixels": common.optimizer_of(config, searches=searching)},
        draw=lambda state, batch, key: Scene(batch, {}, carried=state.extra, key=key),
        axis_name=axis_name,
    )

    def step(state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None) -> tuple[State, Metrics]:
        common.check_batch(batch, spec)
        # L-BFGS never reads some of its own figures; behind a barrier they count as read, and are freed when donated.
        state = state.replace(opt=jax.lax.optimization_barrier(state.opt))
        state, metrics = play.step(game, state, batch, key, due)
        return _typed_optimizer(state), metrics

    def transform(state: State, images: jax.Array, key: jax.Array) -> jax.Array:
        check_images(images, spec.image_shape)
        return jnp.clip(images + state.params["pixels"]["offset"], -1.0, 1.0)

    def evaluate(state: State, batch: Batch, key: jax.Array) -> Sums:
        """Losses of the changed pictures, against what they were and against the style."""
        common.check_batch(batch, spec)
        weight = common.weights_of(batch, spec)
        images = luminance(batch["image"]) if options.keep_color else batch["image"]
        found = activations(state.frozen, images + state.params["pixels"]["offset"])
        targets = activations(state.frozen, images)[0], state.extra["style"]
        losses = distances(found, targets)
        return common.all_sums({name: common.weighted(v, weight) for name, v in losses.items()}, axis_name)

    frozen = (("features", model.features),) if model.features else ()
    return Algorithm(spec, 2, init, step, evaluate, transform=transform, frozen=frozen, begin=begin)
