"""The latent whose picture is nearest to a given one, by descent from several starts.

Abdal et al. 2019, "Image2StyleGAN", arXiv:1904.03189, section 3 and 4: pixels and a perceptual distance together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genart_jax.config import UserError
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.runtime.watch import watched
from genart_jax.types import to_float
from genart_jax.use.latent.labels import encode
from genart_jax.use.latent.perceptual import Perceptual, perceptual
from genart_jax.use.latent.space import Codes, Space


class Options(NamedTuple):
    """How a projection descends.

    Attributes:
      starts: from how many of the nearest candidates.
      steps: of Adam, whose rate falls to 0 along a cosine.
      learning_rate: in spreads of drawn latents.
      candidates: latents that are drawn to find starts, and conditions where none are given.
      perceptual: "lite0", "vgg19" or "none"; "" is lite0 where its weights are.
      weight: of the perceptual distance beside the mean squared error of pixels in [-1, 1].
      prior: of the mean square of the latents, in spreads: draws them to where drawn ones are.
      each_layer: each layer of a model with styles may go its own way.
      seed: of the draw.
    """

    starts: int = 4
    steps: int = 200
    learning_rate: float = 0.1
    candidates: int = 256
    perceptual: str = ""
    weight: float = 0.1
    prior: float = 1e-3
    each_layer: bool = False
    seed: int = 0


_DEFAULT = Options()

Through = Callable[[jax.Array], jax.Array]
"""What is known to have happened to a picture, float32 (n, height, width, channels) in [-1, 1]; with a gradient."""


class Projection(NamedTuple):
    """What was found, one from each start, the nearest first.

    Attributes:
      codes: the latents.
      images: their pictures, uint8.
      pixel: root mean squared error of pixels, of the range from black to white (0: equal, 1: opposite).
      perceptual: distance over `network`.
      network: "lite0", "vgg19" or "none".
    """

    codes: Codes
    images: Array
    pixel: Array
    perceptual: Array
    network: str


def project(
    space: Space,
    target: Array,
    given: Mapping[str, int] | None = None,
    options: Options = _DEFAULT,
    through: Through | None = None,
) -> Projection:
    """The latents nearest to a picture, or to what is left of one.

    With `through`, the model is a prior: among its pictures that one is looked for which, degraded alike, is nearest to
    the degraded target (Bora et al. 2017, "Compressed sensing using generative models", arXiv:1703.03208, equation 3).

    Starts are the nearest of drawn candidates, each with its conditions; where the model encodes, what it makes of the
    picture under these conditions is a candidate as well.

    Args:
      space: where to look.
      target: uint8, of the model's shape, or of that which `through` gives.
      given: conditions, class by name; what is left out comes from the candidates.
      options: how.
      through: the degradation; distances are taken after it, and `images` of the result are before it.

    Raises:
      UserError: a picture of another shape, or an option out of range.
    """
    shape = space.model.algorithm.batch_spec.image_shape
    if through is not None:
        shape = jax.eval_shape(through, jax.ShapeDtypeStruct((2, *shape), jnp.float32)).shape[1:]
    if target.shape != shape or target.dtype != np.uint8:
        raise UserError(f"the picture is {target.shape} {target.dtype}, wanted {shape} uint8")
    if min(options.starts, options.steps, options.candidates) < 1 or options.learning_rate <= 0:
        raise UserError("project: starts, steps, candidates and the learning rate must be positive")
    if options.each_layer and not space.layers:
        raise UserError(f"{space.saved.run.name} in space {space.name} has no layers to go their own way")
    seen = perceptual(options.perceptual, shape)
    distances = compiler.jit(lambda v, x, y: _distances(seen, v, x if through is None else through(x), y))
    compare = lambda images: _compared(distances, seen.variables, images, target)
    starts = _starts(space, None if through else target, given, options, compare)
    values = _descend(space, seen, starts, target, options, through)
    codes = starts._replace(values=values)
    images = space.show(codes)
    pixel, felt = compare(images)
    order = np.argsort(np.square(2 * pixel) + options.weight * felt)
    words = tuple(f"start {i + 1} of {len(order)} {word}".strip() for i, word in enumerate(space.words(codes)))
    found = codes._replace(words=words).take(order)
    return Projection(found, images[order], pixel[order], felt[order], seen.name)


def _distances(seen: Perceptual, variables: Any, images: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean squared error and perceptual distance of each, (n,)."""
    wanted = jnp.broadcast_to(target, images.shape)
    pixel = jnp.mean(jnp.square(images - wanted), axis=range(1, images.ndim))
    return pixel, seen.distance(variables, images, wanted)


def _compared(distances: Callable[..., Any], variables: Any, images: Array, target: Array) -> tuple[Array, Array]:
    """Root mean squared error, of the whole range, and perceptual distance of uint8 pictures to one."""
    parts = []
    for start in range(0, len(images), 32):
        part = images[start : start + 32]
        whole = np.pad(part, [(0, 32 - len(part)), *[(0, 0)] * (part.ndim - 1)], mode="edge")
        found = jax.device_get(distances(variables, to_float(whole), to_float(target)[None]))
        parts.append([x[: len(part)] for x in found])
    pixel, felt = (np.concatenate(x) for x in zip(*parts, strict=True))
    return np.sqrt(pixel) / 2, felt


def _starts(
    space: Space, target: Array | None, given: Mapping[str, int] | None, options: Options,
    compare: Callable[[Array], tuple[Array, Array]],
) -> Codes:  # fmt: skip
    """The nearest of what is drawn, and of what is encoded where there is a whole picture to encode."""

    def nearest(codes: Codes) -> Codes:
        pixel, felt = compare(space.show(codes))
        return codes.take(np.argsort(np.square(2 * pixel) + options.weight * felt)[: options.starts])

    best = nearest(space.draw([(options.seed, i) for i in range(max(options.starts, options.candidates))], given))
    if target is None or "encode" not in space.model.algorithm.uses or space.name != "z":
        return best
    encoded = encode(space, np.repeat(target[None], len(best.values), axis=0), best.condition, options.seed)
    condition = {name: np.concatenate([value, value]) for name, value in best.condition.items()}
    return nearest(Codes(np.concatenate([best.values, encoded]), condition, best.words * 2))


def _descend(
    space: Space, seen: Perceptual, starts: Codes, target: Array, options: Options, through: Through | None
) -> Array:
    """Codes after so many steps from each start, (starts, *shape)."""
    centre, spread = 0.0, 1.0
    if space.name == "w":
        core = space.core(512, options.seed)[1]
        centre, spread = core.mean(axis=0), float(core.std(axis=0).mean()) + 1e-8
    shared = space.layers > 0 and not options.each_layer
    first = starts.values.mean(axis=1, keepdims=True) if shared else starts.values
    moving = jnp.asarray((first - centre) / spread, jnp.float32)
    adam = optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.steps))

    def loss(moving: jax.Array, state: Any, variables: Any, told: Any, target: jax.Array) -> jax.Array:
        values = jnp.broadcast_to(centre + spread * moving, starts.values.shape)
        images = space.make(state, values, told)
        pixel, felt = _distances(seen, variables, images if through is None else through(images), target)
        prior = jnp.mean(jnp.square(moving), axis=range(1, moving.ndim))
        return jnp.sum(pixel + options.weight * felt + options.prior * prior)

    def step(moving: jax.Array, opt: Any, *rest: Any) -> tuple[jax.Array, Any]:
        updates, opt = adam.update(jax.grad(loss)(moving, *rest), opt, moving)
        return optax.apply_updates(moving, updates), opt

    compiled, opt = compiler.jit(step), adam.init(moving)
    rest = space.state, seen.variables, starts.condition, to_float(target)[None]
    for _ in watched(range(options.steps), options.steps, "steps of the projection done"):
        moving, opt = compiled(moving, opt, *rest)
    return np.broadcast_to(centre + spread * np.asarray(moving), starts.values.shape).astype(np.float32)
