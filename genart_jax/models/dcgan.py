"""DCGAN: deep convolutional generative adversarial network.

Radford, Metz & Chintala 2015, "Unsupervised representation learning with deep convolutional generative adversarial
networks", arXiv:1511.06434: section 3 for the rules (strided convolutions, BatchNorm, ReLU and tanh in the generator,
leaky ReLU of slope 0.2 in the critic), figure 1 for the generator, section 4 for the initialisation normal(0, 0.02)
and Adam(2e-4, b1 = 0.5). Kernels are 4x4, as in the authors' and most later code, so that strides tile them evenly.

Conditions enter the generator beside z (Mirza & Osindero 2014, eq. 2) and the critic by projection, score = psi(phi(x))
+ sum_c v_c . phi(x) (Miyato & Koyama 2018, eq. 8). Each of them can be hidden.

Presets, with what benchmarks/results/applied.md measured (2 CPU cores):

- `default`: `genart train dcgan`. The relativistic loss and a lazy R1 penalty (Huang et al. 2024, "The GAN is dead;
  long live the GAN!", arXiv:2501.05441; Mescheder et al. 2018, eq. 9), for which the critic has no BatchNorm and He's
  initialisation. 6 to 8 minutes; on the art set a Frechet distance over lite0 of 143 (three seeds, 137 to 153), where
  its floor is 13, and the style that was asked for in 80 % of 2,000 samples.
- `non_saturating`: `genart train dcgan --preset non_saturating`. The default until 2026-11-21, at a distance of 186.5
  by 1,000 samples of seed 0, where the present one has 147.7 (benchmarks/results/quality.md); for ADA, which reads the
  sign of the critic's scores, and under the relativistic loss that says nothing.
- `paper`: `genart train dcgan --preset paper`. The published recipe. Not measured here.
- The layouts of the first tutorials, each for pictures of the size that it really makes, or a multiple of that:
  `start7` (7x7x256 at first, 5x5 kernels, strides 1-2-2-2, dropout 0.3 in the critic: 56 pixels), `start8` (8x8x256 and
  two convolutions of stride 2: 32 pixels) and `flat8` (8x8x8 and three 3x3 convolutions that enlarge nothing: 8
  pixels). Icons of the embedded set have 32 pixels; `--data folder:DIR` resizes to what the preset wants.
- `vgg`: `genart train dcgan --preset vgg`. Three convolutions a stage (Simonyan & Zisserman 2015), in both networks.
- `patch`: `genart train dcgan --preset patch`. A critic that scores patches of 18x18 pixels (Isola et al. 2017,
  arXiv:1611.07004, section 3.2.2).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import random
from genart_jax.nn.conv import Conv, ConvTranspose
from genart_jax.nn.embed import ConditionEmbed, projected
from genart_jax.nn.pyramid import halvings
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None
normal = nn.initializers.normal


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a DCGAN."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 128, halving down to 4 to 8. With strides: their product's
    multiples."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 100
    """Length of z."""
    width: int = 64
    """Channels next to the image; doubled with every halving."""
    embed_dim: int = 32
    """Length of a condition's vector in the generator."""
    critic_norm: bool = False
    """BatchNorm in the critic, as published; goes with step.critic_batch separate and without R1."""
    kernel: int = 4
    """Side of the kernels that change a picture's size."""
    strides: tuple[int, ...] = ()
    """Of the generator's layers after its start, the last of which makes the picture; the critic's are these in
    reverse. Empty: 2 for each halving."""
    features: tuple[int, ...] = ()
    """Channels at the generator's start and after each layer but the last; the critic's are these in reverse. Empty: by
    width."""
    convs_per_stage: int = 1
    """Convolutions of each stage: those after the first are 3x3 and change no size."""
    dropout: float = 0.0
    """Rate of dropout after each of the critic's stages."""
    patch: int = 0
    """The critic scores each place of its map after so many stages, a patch of the picture; 0: the whole picture."""


class Layout(NamedTuple):
    """What a Config comes to: of each generator's layer after the start, its stride and the channels before it."""

    strides: tuple[int, ...]
    features: tuple[int, ...]
    start: tuple[int, int]
    """Height and width."""


def layout(c: Config) -> Layout:
    """The generator's layers; the critic has them in reverse.

    Raises:
      UserError: the image's shape does not fit, or one list is longer than the other.
    """
    shape = c.image_shape or ()
    if not c.strides:
        count, start = halvings("dcgan", shape)
        strides = (2,) * count
    else:
        strides, times = c.strides, math.prod(c.strides)
        if len(shape) != 3 or min(strides) < 1 or any(side % times or side < times for side in shape[:2]):
            raise UserError(
                f"dcgan: image_shape {tuple(shape)} and strides {strides}: wanted (height, width, channels) with sides"
                f" that are multiples of {max(1, times)}; set --data.image-size"
            )
        start = shape[0] // times, shape[1] // times
    features = c.features or tuple(c.width * 2 ** (len(strides) - 1 - i) for i in range(len(strides)))
    if len(features) != len(strides):
        raise UserError(f"dcgan: features {features} and strides {strides}: wanted as many of one as of the other")
    return Layout(strides, features, start)


def batch_norm(name: str, train: bool, dtype: DTypeLike, axis_name: str | None) -> nn.BatchNorm:
    """BatchNorm as both networks use it, its scale initialised at normal(1, 0.02)."""
    around_one = lambda key, shape, dtype=jnp.float32: 1.0 + 0.02 * jax.random.normal(key, shape, dtype)
    return nn.BatchNorm(
        use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, scale_init=around_one,
        axis_name=axis_name, name=name,
    )  # fmt: skip


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        strides, features, (height, width) = layout(c)
        norm = lambda name: batch_norm(name, train, self.dtype, self.axis_name)
        embedded = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")(
            condition, z.shape[0]
        )
        x = jnp.concatenate([z.astype(self.dtype), *embedded], axis=-1)
        x = nn.Dense(
            height * width * features[0], use_bias=False, kernel_init=normal(0.02), dtype=self.dtype, name="in"
        )(x)
        x = nn.relu(norm("norm_0")(x.reshape(-1, height, width, features[0])))
        aux = {}
        options: dict[str, Any] = {"kernel_init": normal(0.02), "dtype": self.dtype}
        for i, (stride, size) in enumerate(zip(strides, (*features[1:], (c.image_shape or ())[-1]), strict=True)):
            for j in range(1, c.convs_per_stage):
                x = Conv(features[i], (3, 3), use_bias=False, name=f"conv_{i}_{j}", **options)(x)
                x = nn.relu(norm(f"norm_{i}_{j}")(x))
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
            last = i == len(strides) - 1
            x = ConvTranspose(
                size, (c.kernel, c.kernel), (stride, stride), use_bias=last, name="out" if last else f"up_{i + 1}",
                **options,
            )(x)  # fmt: skip
            x = x if last else nn.relu(norm(f"norm_{i + 1}")(x))
        return jnp.tanh(x).astype(jnp.float32), aux


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch,), or of patches (batch, h, w), before any sigmoid.

    With the stream "dropout" among the random numbers of `apply`, what `Config.dropout` says is dropped.
    """

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        strides, features, _ = (part[::-1] for part in layout(c))
        count = c.patch or len(strides)
        # The published deviation of 0.02 counts on BatchNorm; without it, signals would fade from stage to stage.
        init = normal(0.02) if c.critic_norm else nn.initializers.he_normal()
        keys = None
        if c.dropout and self.has_rng("dropout"):
            keys = random.example_keys(self.make_rng("dropout"), images.shape[0], self.axis_name)
        x = images.astype(self.dtype)
        aux = {}

        def stage(x: jax.Array, size: int, side: int, stride: int, name: str, normed: bool) -> jax.Array:
            x = Conv(
                size, (side, side), (stride, stride), use_bias=not normed, kernel_init=init, dtype=self.dtype,
                name=f"down_{name}",
            )(x)  # fmt: skip
            x = batch_norm(f"norm_{name}", train, self.dtype, self.axis_name)(x) if normed else x
            return nn.leaky_relu(x, 0.2)

        for i, (size, stride) in enumerate(zip(features[:count], strides[:count], strict=True)):
            # No BatchNorm on the critic's input layer: section 3 of the paper.
            x = stage(x, size, c.kernel, stride, f"{i}", c.critic_norm and i > 0)
            for j in range(1, c.convs_per_stage):
                x = stage(x, size, 3, 1, f"{i}_{j}", c.critic_norm)
            x = random.Dropout(c.dropout)(x, random.example_streams(keys, f"stage_{i}"))
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        embed = ConditionEmbed(classes_of(c.conditions), x.shape[-1], stddev=0.02, name="embed")
        vectors = embed(condition, images.shape[0])
        exact = x.astype(jnp.float32)  # a bfloat16 score has three digits
        if c.patch:
            score = Conv(1, (3, 3), kernel_init=init, name="out")(exact)[..., 0]
            return projected(score, exact, vectors), aux
        pooled = jnp.sum(exact, axis=(1, 2))
        score = nn.Dense(1, kernel_init=init, name="out")(exact.reshape(exact.shape[0], -1))[:, 0]
        return projected(score, pooled, vectors), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or a number is out of range.
    """
    count = len(layout(config).strides)
    sizes = (config.latent_dim, config.width, config.embed_dim, config.kernel, config.convs_per_stage)
    if min(*sizes, *config.features, 1) < 1:
        raise UserError("dcgan: latent_dim, width, features, embed_dim, kernel and convs_per_stage must be at least 1")
    if not 0 <= config.dropout < 1 or not 0 <= config.patch <= count:
        raise UserError(f"dcgan: dropout must be 0 to below 1, and patch 0 to {count}, the stages that there are")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images),
    }


_ADAM = Optimizer(learning_rate=2e-4, b1=0.5)
_DEFAULT = Run(
    Config(width=32),
    Gan(loss="relativistic", r1_gamma=0.5, r1_every=8, ema_decay=0.998),
    Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9, schedule="linear"),
    Data(),
    Train(steps=4000, batch=64, sample_every=500, save_every=500, steps_per_dispatch=10),
)


def _changed(size: int = 0, **model: Any) -> Run:
    """The default's recipe with another layout, for pictures of `size` where the data is not of that size already."""
    data = Data(image_size=(size,)) if size else Data()
    return dataclasses.replace(_DEFAULT, model=dataclasses.replace(_DEFAULT.model, **model), data=data)


PRESETS = {
    "default": _DEFAULT,
    "non_saturating": Run(
        Config(width=32),
        Gan(critic_learning_rate=4e-4, r1_gamma=0.5, r1_every=8, ema_decay=0.998),
        _ADAM,
        Data(),
        Train(steps=4000, batch=64, sample_every=500, save_every=500),
    ),
    "paper": Run(
        Config(width=64, critic_norm=True),
        Gan(critic_batch="separate", ema_decay=0.0),
        _ADAM,
        Data(),
        Train(steps=20_000, batch=128, save_every=1000),
    ),
    "start7": _changed(56, kernel=5, strides=(1, 2, 2, 2), features=(256, 128, 64, 32), dropout=0.3),
    "start8": _changed(kernel=5, strides=(2, 2), features=(256, 128)),
    "flat8": _changed(8, kernel=3, strides=(1, 1, 1), features=(8, 8, 8)),
    "vgg": _changed(convs_per_stage=3),
    "patch": _changed(patch=2),
    "tiny": Run(
        Config(latent_dim=8, width=4, embed_dim=4),
        Gan(r1_gamma=0.5, r1_every=2),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
