"""FastGAN: a small generator with skip-layer excitation, and a critic that also draws what it sees.

Liu, Zhu, Song & Elgammal 2021, "Towards faster and stabilized GAN training for high-fidelity few-shot image synthesis",
arXiv:2101.04775: for art of a hundred pictures on one small machine.

- Generator (section 3.1): a convolution or two at each resolution, with BatchNorm, gated linear units and injected
  noise; a low resolution scales the channels of a high one, y = F(x_low) * x_high (eq. 1). See `nn.excitation`.
- Critic (section 3.2): residual halvings, then a score for each place of the last map. Two small decoders draw the real
  picture from its features at 8x8, and a quarter of it from that quarter of its features at 16x16; the mean absolute
  difference is the critic's further loss (eq. 2), `reconstruction` in `step.critic-terms`. It is made of real pictures
  alone.
- Hinge loss (eq. 3 and 4), and DiffAugment (Zhao et al. 2020).

Other than published: the distance of eq. 2 is one of pixels, not LPIPS; there is no spectral normalisation beside
BatchNorm; channels are `channel_base` over the side; `skip`, four doublings there, is two below 128 px. Conditions,
which the paper has not, come in beside z, and in the critic by projection (Miyato & Koyama 2018, eq. 8).

Presets:

- `default`: `genart train fastgan`. For 32 px art on a CPU. All line drawings become one picture, which
  `--model.conditional-norm` mends (benchmarks/results/gans.md; scores are in benchmarks/results/gallery.md).
- `few`: `genart train fastgan --preset few`. The same on a hundred pictures (`--data.limit 0`: on all), without
  conditions. Not measured here.
- `256`: about the published widths at 256 px, for a GPU. Not measured here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import random
from genart_jax.nn.conv import Conv
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.nn.excitation import Gated, Generator, kernel_init, levels_of, norm
from genart_jax.nn.pool import avg_pool
from genart_jax.types import Condition, Network, Tree, untold

DOUBLINGS = 4
"""Most of a decoder: beyond them it is compared with a smaller picture."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a FastGAN."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 1024, halving down to 4 to 7."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 256
    """Length of z."""
    embed_dim: int = 32
    """Length of a condition's vector in the generator."""
    channel_base: int = 8192
    """Channels times the side of the pictures at each resolution, where channel_max does not cut them."""
    channel_max: int = 1024
    """Most channels at any resolution."""
    skip: int = 4
    """A resolution of the generator is excited by the one so many doublings below."""
    conditional_norm: bool = False
    """Conditions scale and shift the generator's BatchNorm, and do not stand beside z: then z is not lost in them."""


class Down(nn.Module):
    """Halving: the mean of two convolutions, the first of stride 2, and of a 1x1 convolution of the mean of 2x2."""

    features: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(batch, height, width, .) -> (batch, height / 2, width / 2, features)."""

        def layer(x: jax.Array, side: int, stride: int, name: str) -> jax.Array:
            x = Conv(
                self.features, (side, side), (stride, stride), use_bias=False, kernel_init=kernel_init,
                dtype=self.dtype, name=name,
            )(x)  # fmt: skip
            return nn.leaky_relu(norm(f"{name}_norm", train, self.dtype, self.axis_name)(x), 0.2)

        main = layer(layer(x, 4, 2, "conv_0"), 3, 1, "conv_1")
        return 0.5 * (main + layer(avg_pool(x, (2, 2), (2, 2)), 1, 1, "direct"))


class Decoder(nn.Module):
    """Features (batch, height, width, .) -> pictures (batch, height * 2^doublings, width * 2^doublings, channels)."""

    features: int
    doublings: int
    channels: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """In [-1, 1]; each doubling has half the channels of the one before."""
        for i in range(self.doublings):
            features = max(1, self.features >> i)
            x = Gated(features, True, self.dtype, self.axis_name, name=f"up_{i}")(x, train)
        x = Conv(self.channels, (3, 3), kernel_init=kernel_init, dtype=self.dtype, name="out")(x)
        return jnp.tanh(x).astype(jnp.float32)


def quarter(x: jax.Array, which: jax.Array) -> jax.Array:
    """One of four quarters of each example, row by row: (batch, H, W, C), (batch,) -> (batch, H/2, W/2, C)."""
    n, height, width, channels = x.shape
    parts = x.reshape(n, 2, height // 2, 2, width // 2, channels)
    # A product with one-hot rows: its derivative is a product too, where a gather's is a slow scatter.
    chosen = jax.nn.one_hot(which, 4, dtype=x.dtype).reshape(n, 2, 1, 2, 1, 1)
    return jnp.sum(parts * chosen, axis=(1, 3))


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch, h, w), of places.

    With keys, its intermediates have `rebuilt`: name -> (what a decoder draws, what it should), each (batch, ...).
    """

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    decodes: ClassVar[bool] = True

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition | None = None, train: bool = False, keys: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, Tree]]:
        """`keys` (batch,) choose the quarter. Also returns the activations of each stage."""
        sizes = levels(self.config)
        options: dict[str, Any] = {"dtype": self.dtype, "axis_name": self.axis_name}
        plain: dict[str, Any] = {"kernel_init": kernel_init, "dtype": self.dtype}
        top = len(sizes) - 1
        aux: dict[str, Tree] = {}
        x = nn.leaky_relu(Conv(sizes[top][1], (3, 3), name="in", **plain)(images.astype(self.dtype)), 0.2)
        aux[f"stage_{top}"] = x = checkpoint_name(x, "stage")
        for level in reversed(range(1, top)):
            x = Down(sizes[level][1], name=f"down_{level}", **options)(x, train)
            aux[f"stage_{level}"] = x = checkpoint_name(x, "stage")
        y = Conv(sizes[1][1], (1, 1), use_bias=False, name="mix", **plain)(x)
        y = nn.leaky_relu(norm("mix_norm", train, **options)(y), 0.2).astype(jnp.float32)
        scores = Conv(1, (4, 4), padding="VALID", use_bias=False, kernel_init=kernel_init, name="out")(y)[..., 0]
        pooled = jnp.mean(y, axis=(1, 2))
        embed = ConditionEmbed(classes_of(self.config.conditions), y.shape[-1], stddev=0.02, name="embed")
        for vector in embed(condition, images.shape[0]):
            scores = scores + jnp.sum(vector * pooled, axis=-1)[:, None, None]
        if keys is not None or self.is_initializing():
            aux["rebuilt"] = self._rebuilt(images, aux, keys, train)
        return scores, aux

    def _rebuilt(self, images: jax.Array, aux: Tree, keys: jax.Array | None, train: bool) -> Tree:
        """The whole from the features at the second level, a quarter from those at the third."""
        sizes = levels(self.config)
        out: dict[str, Tree] = {}
        which = jnp.zeros(images.shape[0], jnp.int32) if keys is None else random.randint(keys, 4)
        for name, level, cut in (("whole", 1, lambda x: x), ("part", 2, lambda x: quarter(x, which))):
            doublings = len(sizes) - 1 - level
            window = 2 ** max(0, doublings - DOUBLINGS)
            decoder = Decoder(
                max(1, sizes[level][1] // 2), min(doublings, DOUBLINGS), images.shape[-1], self.dtype, self.axis_name,
                name=name,
            )  # fmt: skip
            wanted = avg_pool(cut(images), (window, window), (window, window)) if window > 1 else cut(images)
            out[name] = decoder(cut(aux[f"stage_{level}"]), train), wanted
        return out


def levels(config: Config) -> tuple[tuple[tuple[int, int], int], ...]:
    """((height, width), channels) of each resolution, from the smallest; see `nn.excitation.levels_of`.

    Raises:
      UserError: a side is outside 16 to 1024, or the shape does not halve down far enough.
    """
    found = levels_of(config.image_shape or (), config.channel_base, config.channel_max)
    if not found:
        raise UserError(
            f"fastgan: image_shape {config.image_shape}: wanted (height, width, channels), with sides from 16 to 1024"
            " that halve evenly down to 4 to 7, such as 28, 32, 48, 64, 96, 128 or 256; set --data.image-size"
        )
    return found


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or a size is not positive.
    """
    for name in ("latent_dim", "embed_dim", "channel_base", "channel_max", "skip"):
        if getattr(config, name) < 1:
            raise UserError(f"fastgan: {name} must be at least 1")
    sizes = levels(config)
    generator = Generator(
        sizes, (config.image_shape or ())[-1], classes_of(config.conditions), config.embed_dim, config.skip, dtype,
        axis_name, config.conditional_norm,
    )  # fmt: skip
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {"generator": Network(generator, latents), "critic": Network(Critic(config, dtype, axis_name), images)}


def _gan(**options: Any) -> Gan:
    fixed = {"loss": "hinge", "critic_batch": "separate", "critic_terms": ("reconstruction=1",)}
    return Gan(**{**fixed, "augment": "diffaugment", "augment_ops": ("color", "translation"), **options})


_SMALL = Run(
    Config(latent_dim=128, channel_base=512, channel_max=128, skip=2),
    _gan(ema_images=10_000),
    Optimizer(learning_rate=5e-4, b1=0.5),
    Data(),
    Train(steps=2000, batch=16, sample_every=400, save_every=400),
)

PRESETS = {
    "default": _SMALL,
    "few": dataclasses.replace(_SMALL, model=dataclasses.replace(_SMALL.model, conditions=()), data=Data(limit=100)),
    "256": Run(
        Config(image_shape=(256, 256, 3), conditions=()),
        _gan(ema_decay=0.999),
        Optimizer(learning_rate=2e-4, b1=0.5),
        Data(source="folder:art", image_size=(256,), flip=True),
        Train(steps=50_000, batch=8, sample_every=1000, save_every=1000),
    ),
    "tiny": Run(
        Config(latent_dim=8, embed_dim=4, channel_base=64, channel_max=8, skip=1),
        _gan(augment_ops=("translation",), ema_decay=0.9),
        Optimizer(learning_rate=2e-4, b1=0.5),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
