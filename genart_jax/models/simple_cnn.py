"""A small convolutional classifier: two convolutions with pooling, then a hidden layer.

The pattern is LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II, with ReLU,
max pooling and dropout as is usual since Krizhevsky et al. 2012: conv 3x3 of 32, pool, conv 3x3 of 64, pool,
dense 128, dense K.

Presets, with what benchmarks/results/quality.md measured (two seeds):

- `default`: `genart train simple_cnn --model.label style` (or shape, color). One to six
  minutes on a busy machine; on the art set's test split 85.5 % for style (balanced 85.4 %) and 65.0 % for shape
  (balanced 53.5 %).
- `fashion`, `digits`, `icons`, `normed`: three convolutions with BatchNorm and one more with a shortcut, no hidden
  layer. Figures of the test split, by benchmarks/results/classifiers.md (two seeds where two are given; a part of the
  training split was held out): Fashion-MNIST (`genart train simple_cnn --preset fashion --data fashion_mnist`) 93.5
  and 93.3 % in five CPU minutes, and wider, with crops, cutout and mirrored predictions 93.8 % in 24; MNIST
  (`digits`) 99.55 and 99.54 % in two; icons (`icons`, wider, with cutmix) 92.2 and 92.0 % for style and 71.4 and 72.1
  % for shape, both and the colour at once, in 24; trained on all of the training split 92.0 and 72.7 % by either
  seed, of which the first are `icons_style` and `icons_shape` of the package. `normed` is for other small pictures.
- `plates`: a line of characters at 64 pixels, by heads that look for their places (`attend`). Drawn plates
  (`genart train simple_cnn --preset plates --data plates:64 --model.conditions char_1 ... char_7`): 99.4 % of
  characters and 96.4 % of plates of the test split (seed 0), in 24 CPU minutes.
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

from genart_jax.config import Classifier, Data, Optimizer, Run, Train, UserError, classes_of, scores_of
from genart_jax.nn.conv import Conv
from genart_jax.nn.pool import max_pool
from genart_jax.nn.random import Dropout
from genart_jax.types import Network, Output

he = nn.initializers.he_normal()
_ALONG = 9  # columns that a head compares
Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a small CNN classifier."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels), of videos and volumes with frames or depth in front, which are convolved and pooled
    like the sides; sides of at least 4."""
    label: str | None = None
    """The condition to classify; None: those of `conditions`, or the data's first."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """(label, number of classes), or the labels alone; several have a head each. None: `label` alone."""
    features: tuple[int, ...] = (32, 64)
    """Channels of each convolution."""
    hidden: int = 128
    """Units of a dense layer before the last (0: there is none)."""
    dropout: float = 0.25
    """Rate of dropout before each dense layer."""
    norm: bool = False
    """BatchNorm after each convolution, which then has no bias (Ioffe & Szegedy 2015)."""
    embedding: int = 0
    """Length of an embedding on the unit sphere, whose cosines with a direction of each class are the scores, for
    --step.margin (0: the last layer is dense)."""
    again: int = 0
    """Further convolutions of the last stage, each with a shortcut around it (He et al. 2016)."""
    attend: int = 0
    """Units by which the head of each condition finds where to look, for conditions that stand in a line, as the
    characters of a number plate do, in their order; with `hidden` 0 (0: every head sees all places)."""


class CNN(nn.Module):
    """Images (batch, ..., height, width, channels) in [-1, 1] -> logits (batch, classes of all conditions)."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition = None, train: bool = False, keys: jax.Array | None = None
    ) -> Output:
        """`keys` (batch,) for dropout in training. Also returns the activations of each stage."""
        c = self.config
        x, aux = images.astype(self.dtype), {}
        for i, features in enumerate(c.features):
            x = self._conv(x, features, f"{i}")
            window = tuple(min(2, side) for side in x.shape[1:-1])  # few frames may be one before the sides are
            x = max_pool(x, window, window)  # the same after what follows, which would work on four times as much
            x = nn.relu(self._normed(x, f"{i}", train))
            if i + 1 == len(c.features):
                for j in range(c.again):
                    y = self._conv(x, features, f"{i}_{j}")
                    x = x + nn.relu(self._normed(y, f"{i}_{j}", train))
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        if c.attend:
            return Heads(c, name="heads")(x, keys), aux
        x = x.reshape(x.shape[0], -1)
        x = Dropout(c.dropout)(x, keys)
        if c.hidden:
            x = nn.relu(nn.Dense(c.hidden, dtype=self.dtype, name="hidden")(x))
            aux["hidden"] = x
            x = Dropout(c.dropout)(x, None if keys is None else jax.vmap(lambda k: jax.random.fold_in(k, 1))(keys))
        x = x.astype(jnp.float32)
        if not c.embedding:
            return nn.Dense(scores_of(c.conditions), name="out")(x), aux
        x = nn.Dense(c.embedding, use_bias=False, name="embedding")(x)
        aux["embedding"] = x = _unit(x, -1)
        directions = self.param("out", nn.initializers.normal(1.0), (c.embedding, scores_of(c.conditions)))
        return x @ _unit(directions, 0), aux

    def _conv(self, x: jax.Array, features: int, name: str) -> jax.Array:
        norm = self.config.norm
        init = he if norm else nn.initializers.lecun_normal()
        made: jax.Array = Conv(
            features, (3,) * (x.ndim - 2), use_bias=not norm, kernel_init=init, dtype=self.dtype, name=f"conv_{name}"
        )(x)
        return made

    def _normed(self, x: jax.Array, name: str, train: bool) -> jax.Array:
        if not self.config.norm:
            return x
        norm = nn.BatchNorm(not train, momentum=0.9, dtype=self.dtype, axis_name=self.axis_name, name=f"norm_{name}")
        normed: jax.Array = norm(x)
        return normed


class Heads(nn.Module):
    """Features (batch, ..., height, width, channels) -> logits (batch, classes of all conditions).

    A condition's classes are told from a mean of the features, weighed over places by a softmax of
    v * tanh(W * f + the place's own), with what is the place's own learned for each row and each column (Wojna et al.
    2017, arXiv:1704.03549, its attention with coordinates, without recurrence). v and W are convolutions along the
    width: which character is the fourth is seen by counting. At first the conditions look at even parts of the width,
    from left to right: a head that begins anywhere finds nothing for long (benchmarks/results/tried.md). Where all have
    as many classes, as characters have, what tells these apart is in part one for all.
    """

    config: Config

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None = None) -> jax.Array:
        """`keys` (batch,) for dropout in training."""
        c, classes = self.config, [number for _, number in classes_of(self.config.conditions)]
        x, sides = x.astype(jnp.float32), x.shape[1:-1]
        along = (*(1,) * (len(sides) - 1), _ALONG)
        hidden = Conv(c.attend, along, name="look")(x)
        for i, side in enumerate(sides):
            shape = (*(1,) * i, side, *(1,) * (len(sides) - 1 - i), c.attend)
            hidden += self.param(f"place_{i}", nn.initializers.normal(0.1), shape)
        scores = Conv(len(classes), along, use_bias=False, name="score")(jnp.tanh(hidden))
        scores += self.param("line", _line, (sides[-1], len(classes)))
        weights = nn.softmax(scores.reshape(len(x), -1, len(classes)), 1)
        seen = jnp.einsum("bph,bpc->bhc", weights, x.reshape(len(x), -1, x.shape[-1]))
        seen = Dropout(c.dropout)(seen, keys)
        alike = len(set(classes)) == 1
        first = nn.initializers.zeros if alike else nn.initializers.lecun_normal()
        own = [nn.Dense(n, kernel_init=first, name=f"out_{i}")(seen[:, i]) for i, n in enumerate(classes)]
        logits = jnp.concatenate(own, -1)
        if alike:
            logits += nn.Dense(classes[0], use_bias=False, name="out")(seen).reshape(logits.shape)
        return logits


def _line(key: jax.Array, shape: tuple[int, int], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Scores (columns, heads) of heads that look at even parts of the width, from left to right."""
    columns, heads = ((jnp.arange(number, dtype=dtype) + 0.5) / number for number in shape)
    return -0.5 * jnp.square((columns[:, None] - heads) * shape[1])


def _unit(x: jax.Array, axis: int) -> jax.Array:
    """Vectors of length 1."""
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=axis, keepdims=True) + 1e-12)


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image is too small, or there is nothing to classify.
    """
    shape = config.image_shape or ()
    if (
        not 0 <= config.dropout < 1
        or min(config.features, default=0) < 1
        or min(config.hidden, config.again, config.embedding, config.attend) < 0
    ):
        raise UserError("simple_cnn: dropout must be 0 to below 1, features at least 1, the rest not negative")
    if config.attend and (config.hidden or config.embedding):
        raise UserError("simple_cnn: attend takes neither hidden nor embedding; set both to 0")
    if len(shape) not in (3, 4) or min(shape[-3:-1]) < 2 ** len(config.features):
        raise UserError(f"simple_cnn: image_shape {shape}: sides must be at least {2 ** len(config.features)}")
    scores_of(config.conditions)
    return {"classifier": Network(CNN(config, dtype, axis_name), lambda: (jnp.zeros((2, *shape)),))}


_ADAM = Optimizer(learning_rate=1e-3, schedule="cosine")
_SGD = Optimizer(name="sgd", learning_rate=0.1, b1=0.9, nesterov=True, schedule="cosine", warmup_steps=200, l2=5e-4)
_NORMED = Config(features=(32, 64, 128), hidden=0, norm=True, again=1)
_SMOOTHED = Classifier(label_smoothing=0.1, ema_decay=0.99)
_MIXED = dataclasses.replace(_SMOOTHED, cutmix=1.0, mirror=True)
_LINE = Config(features=(24, 48, 96), hidden=0, norm=True, again=3, attend=64, dropout=0.2)
_WIDER = dataclasses.replace(_NORMED, features=(48, 96, 192), again=2)


def _trained(data: Data, steps: int, batch: int, config: Config = _NORMED, step: Classifier = _SMOOTHED) -> Run:
    return Run(config, step, _SGD, data, Train(steps, batch, save_every=500, sample_every=0))


PRESETS = {
    "default": Run(Config(), Classifier(), _ADAM, Data(), Train(steps=1320, batch=64, save_every=500, sample_every=0)),
    "normed": _trained(Data(crop=2), 3000, 64),
    "icons": _trained(Data(flip=True, crop=2), 20_000, 64, _WIDER, _MIXED),
    "plates": dataclasses.replace(
        _trained(Data(crop=4), 3000, 64, _LINE),
        optimizer=dataclasses.replace(_ADAM, learning_rate=3e-3, warmup_steps=200),
    ),
    "fashion": _trained(Data(flip=True), 5700, 128),
    "digits": _trained(Data(crop=2), 2200, 128),
    "tiny": Run(
        Config(features=(4, 4), hidden=8),
        Classifier(),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, save_every=2, samples=4),
    ),
}
