"""A small convolutional classifier: two convolutions with pooling, then a hidden layer.

The pattern is LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II, with ReLU,
max pooling and dropout as is usual since Krizhevsky et al. 2012: conv 3x3 of 32, pool, conv 3x3 of 64, pool,
dense 128, dense K.

Presets, with what benchmarks/results/quality.md measured (two seeds):

- `default`: `genart train simple_cnn --model.label style` (or shape, color). One to six
  minutes on a busy machine; on the art set's test split 85.5 % for style (balanced 85.4 %) and 65.0 % for shape
  (balanced 53.5 %).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Classifier, Data, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn.conv import Conv
from genart_jax.nn.pool import max_pool
from genart_jax.nn.random import Dropout
from genart_jax.types import Network, Output

Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a small CNN classifier."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); sides of at least 4."""
    label: str | None = None
    """The condition to classify; None: the data's first."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """(label, number of classes); filled from the data."""
    features: tuple[int, ...] = (32, 64)
    """Channels of each convolution."""
    hidden: int = 128
    """Units of the dense layer."""
    dropout: float = 0.25
    """Rate of dropout before each of the two dense layers."""


class CNN(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> logits (batch, classes)."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition = None, train: bool = False, keys: jax.Array | None = None
    ) -> Output:
        """`keys` (batch,) for dropout in training. Also returns the activations of each stage."""
        c = self.config
        x, aux = images.astype(self.dtype), {}
        for i, features in enumerate(c.features):
            x = Conv(features, (3, 3), dtype=self.dtype, name=f"conv_{i}")(x)
            x = nn.relu(max_pool(x, (2, 2), (2, 2)))  # the same in the other order, which works on four times as much
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        x = x.reshape(x.shape[0], -1)
        x = Dropout(c.dropout)(x, keys)
        x = nn.relu(nn.Dense(c.hidden, dtype=self.dtype, name="hidden")(x))
        aux["hidden"] = x
        x = Dropout(c.dropout)(x, None if keys is None else jax.vmap(lambda k: jax.random.fold_in(k, 1))(keys))
        ((_, classes),) = classes_of(c.conditions)
        return nn.Dense(classes, name="out")(x.astype(jnp.float32)), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image is too small, or there is not one condition to classify.
    """
    shape = config.image_shape or ()
    if not 0 <= config.dropout < 1 or min((config.hidden, *config.features)) < 1:
        raise UserError("simple_cnn: dropout must be 0 to below 1, features and hidden at least 1")
    if len(shape) != 3 or min(shape[:2]) < 2 ** len(config.features):
        raise UserError(f"simple_cnn: image_shape {shape}: sides must be at least {2 ** len(config.features)}")
    if len(config.conditions or ()) != 1:
        raise UserError(f"simple_cnn: conditions {config.conditions}: wanted one, such as (('style', 5),)")
    return {"classifier": Network(CNN(config, dtype), lambda: (jnp.zeros((2, *shape)),))}


_ADAM = Optimizer(learning_rate=1e-3, schedule="cosine")

PRESETS = {
    "default": Run(Config(), Classifier(), _ADAM, Data(), Train(steps=1320, batch=64, save_every=500, sample_every=0)),
    "tiny": Run(
        Config(features=(4, 4), hidden=8),
        Classifier(),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, save_every=2, samples=4),
    ),
}
