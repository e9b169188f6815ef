"""How a critic's pictures are augmented: the pipeline, its probability, and what a state carries for it."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from genart_jax.config import BatchSpec, Gan, UserError
from genart_jax.data.augment import ada, diffaugment, probability
from genart_jax.data.augment.ada import OPS as ADA_OPS
from genart_jax.data.augment.ada import RECOMMENDED
from genart_jax.data.augment.diffaugment import OPS as DIFFAUGMENT_OPS
from genart_jax.data.augment.diffaugment import check_ops
from genart_jax.nn import random
from genart_jax.steps.schedules import Schedule, value_at
from genart_jax.types import Metrics, State, Tree

PIPELINES = {
    "diffaugment": (diffaugment, DIFFAUGMENT_OPS, DIFFAUGMENT_OPS, "constant"),
    "ada": (ada, ADA_OPS, RECOMMENDED, "adaptive"),
}
"""Name -> (images, keys, p, ops) -> images; all its operations; those it has by default; its schedule by default."""

View = tuple[jax.Array, jax.Array] | None
"""(keys, probabilities), each (batch,): how the examples of a batch are augmented. None: not at all."""


class Augmentation:
    """The augmentation that `config.Gan` asks for; it is part of the critic, in front of the network.

    Raises:
      UserError: an operation that does not fit, or a loss that the controller cannot read.
    """

    def __init__(self, gan: Gan, spec: BatchSpec, threshold: float | None, axis_name: str | None) -> None:
        self.gan, self.threshold, self.axis_name = gan, threshold, axis_name
        self.on = gan.augment != "none"
        self.schedules: Mapping[str, Schedule] = {}  # of augment_p, where the run has one
        if not self.on:
            return
        if len(spec.image_shape) != 3:
            raise UserError(
                f"step.augment {gan.augment} is for pictures (height, width, channels), not for {spec.image_shape};"
                " set it to none"
            )
        pipeline, known, usual, schedule = PIPELINES[gan.augment]
        ops = gan.augment_ops or usual
        check_ops(ops, known, spec.image_shape[-1])
        self._pipeline = functools.partial(pipeline, ops=ops)
        self.schedule = schedule if gan.augment_schedule == "auto" else gan.augment_schedule
        if self.schedule == "adaptive" and threshold is None:
            raise UserError(
                f"step.augment-schedule adaptive reads the sign of the critic's scores, which says nothing under the"
                f" {gan.loss} loss; choose constant or cosine"
            )

    def start(self) -> dict[str, Tree]:
        """What `State.extra` holds for it."""
        return {"augment": probability.start()} if self.on and self.schedule == "adaptive" else {}

    def probability(self, state: State, batch: int) -> jax.Array:
        """The probability now, for batches of `batch` real pictures on each device."""
        if self.schedule == "adaptive":
            p: jax.Array = state.extra["augment"]["p"]
            return p
        if self.schedule == "constant":
            return jnp.float32(value_at(self.schedules.get("augment_p", self.gan.augment_p), state.step))
        seen = state.step * (self._images(batch) * self.gan.d_steps)
        return probability.cosine(seen, self.gan.augment_images, self.gan.augment_p)

    def view(self, state: State, key: jax.Array, batch: int) -> View:
        """How the examples of a batch are to be augmented: keys of their own, and the probability of today."""
        if not self.on:
            return None
        keys = random.example_keys(random.stream(key, "augment"), batch, self.axis_name)
        return keys, jnp.broadcast_to(self.probability(state, batch), (batch,))

    def __call__(self, images: jax.Array, view: View, role: str) -> jax.Array:
        """The pictures as the critic sees them; each role ("real", "fake") has draws of its own."""
        if view is None:
            return images
        keys, p = view
        out: jax.Array = self._pipeline(images, jax.vmap(lambda k: random.stream(k, role))(keys), p)
        return out

    def metrics(self, real_scores: jax.Array, view: View) -> Metrics:
        """The mean sign of the critic's scores of real pictures (r_t, what "adaptive" reads), and the probability."""
        if view is None:
            return {}
        sign = jnp.sign(real_scores - (self.threshold or 0.0))
        return {"real_sign": jnp.mean(sign), "augment_p": jnp.mean(view[1])}

    def after(
        self, state: State, metrics: Metrics, found: Mapping[str, Tree], batch: int
    ) -> tuple[dict[str, Tree], Metrics]:
        """`State.extra` and the metrics after one minibatch of the critic, as `play.Player.after` wants it."""
        if "augment" not in state.extra:
            return state.extra, metrics
        gan, controller = self.gan, state.extra["augment"]
        limits = gan.augment_target, gan.augment_images, gan.augment_p
        new = probability.adapt(controller, metrics["real_sign"], self._images(batch), *limits)
        return {**state.extra, "augment": new}, metrics

    def _images(self, batch: int) -> int:
        """Real pictures in a batch over all devices."""
        return batch if self.axis_name is None else batch * jax.lax.axis_size(self.axis_name)
