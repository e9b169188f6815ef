"""What a network sees: maps over a picture, pictures that a network asks for, and its features as a space.

`explain` answers for the usual case by a method's name; the files beside it have each method with all its options, on
any `Seen` network: a classifier, a critic, an encoder.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model
from genart_jax.types import check_images
from genart_jax.use.explain import attribution, cam
from genart_jax.use.explain.seen import Seen, see

Maps = Callable[[Seen, jax.Array, jax.Array, str], jax.Array]

MAPS: Mapping[str, Maps] = {
    "saliency": lambda seen, images, key, stage: attribution.saliency(seen, images),
    "smooth_grad": lambda seen, images, key, stage: attribution.smooth_grad(seen, images, key),
    "integrated_gradients": lambda seen, images, key, stage: attribution.integrated_gradients(seen, images)[0],
    "grad_cam": lambda seen, images, key, stage: cam.grad_cam(seen, images, stage),
    "grad_cam++": lambda seen, images, key, stage: cam.grad_cam_plus_plus(seen, images, stage),
    "occlusion": lambda seen, images, key, stage: attribution.occlusion(seen, images),
}
"""Method -> (network, images, key, stage) -> maps."""
SIGNED = ("integrated_gradients", "occlusion")
"""Maps in which below 0 means that a pixel speaks against."""


def explain(
    model: Model,
    images: jax.Array | Array,
    method: str = "integrated_gradients",
    what: int | None = None,
    role: str = "",
    stage: str = "",
    condition: Mapping[str, jax.Array] | None = None,
    key: jax.Array | None = None,
) -> Array:
    """How much each pixel matters to a network's answer.

    Args:
      model: as `genart_jax.load` gives it.
      images: (batch, height, width, channels) float32 in [-1, 1], of the model's shape.
      method: saliency, smooth_grad, integrated_gradients, grad_cam, grad_cam++ or occlusion.
      what: of a classifier the class, of an encoder the dimension; None: each picture's likeliest class; see `see`.
      role: which network; "": the classifier, critic or encoder that it has.
      stage: of grad_cam, the intermediate; "": the last that has places.
      condition: classes by name, one each, for a critic or encoder that is told.
      key: of smooth_grad's noise; None: `jax.random.key(0)`.

    Returns:
      Maps (batch, height, width); of integrated_gradients and occlusion, signed.

    Raises:
      UserError: unknown method, stage or role, or pictures of another shape.
    """
    if method not in MAPS:
        raise UserError(f"explain: method {method!r} is unknown; there are {', '.join(MAPS)}")
    check_images(images, tuple(model.algorithm.batch_spec.image_shape), "explain: images")
    given = jnp.asarray(images)
    seen = settled(functools.partial(see, model, role=role, condition=condition), given, what)
    return np.asarray(maps_of(seen, given, method, jax.random.key(0) if key is None else key, stage))


def maps_of(seen: Seen, images: jax.Array, method: str, key: jax.Array, stage: str = "") -> jax.Array:
    """A method's maps, compiled."""
    return compiler.jit(lambda images, key: MAPS[method](seen, images, key, stage))(images, key)


def settled(looking: Callable[..., Seen], images: jax.Array, what: int | None) -> Seen:
    """The network with its question settled: where none is asked, each picture's likeliest class, which must stay the
    same while the picture is changed.
    """
    seen = looking(what)
    if what is not None or seen.logits is None:
        return seen
    return looking(jnp.argmax(seen.logits(images), axis=-1))
