"""A recurrent predictor of videos: each frame from those before it, and from a latent with a learned prior.

- Denton & Fergus 2018, "Stochastic video generation with a learned prior", arXiv:1802.07687, section 3 (SVG-LP): the
  prior of frame t's latent is a recurrent network's of the frames before it, the posterior another's that also sees
  frame t, and a third one predicts the frame from the latent and the frames before; the loss is the bound of eq. 4.
- Recurrences are convolutional LSTMs (Shi et al. 2015, "Convolutional LSTM network", arXiv:1506.04214, eq. 3, without
  peepholes), where the paper's are of vectors.
- What a frame has in common with the one before it goes around the bottleneck by skips, as in the paper, from the frame
  before (there: the last that is given). The decoder says what changes, and where the frame before stays.

The first frame is predicted as well, from grey: so it is a model of whole videos, and samples need no frame. With
frames that are given (`Decoder.extend`) the prior and the predictor see these in place of their own.

Latents are standard normal numbers, each frame's in turn; see `steps.posteriors`. In training the frames before are the
real ones. Where latents are encoded or decoded they are the decoder's own.

Presets:

- `default`: `genart train frame_rnn --data moving:32`. benchmarks/videos.py measures it: over six frames 16.9 dB, where
  the last given frame has 14.7 (two seeds, 16 minutes on one core).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, UserError, Vae, classes_of
from genart_jax.nn.conv import Conv
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.nn.gaussian import kl_normals
from genart_jax.nn.pyramid import halvings
from genart_jax.nn.residual import UpConv
from genart_jax.types import Network, Output, Tree, untold

Condition = Mapping[str, jax.Array] | None
Memory = tuple[jax.Array, jax.Array]
"""Of a ConvLSTM: its cell and its output, (batch, height, width, features) each."""
Maps = tuple[jax.Array, jax.Array]
"""Of the encoder: the videos themselves, and what the posterior sees of each frame and those before it, (batch, frames,
height, width, features)."""

he = nn.initializers.he_normal()
_WIDEST = 6.0  # of a log variance


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of the predictor."""

    image_shape: tuple[int, ...] | None = None
    """(frames, height, width, channels); 2 frames or more, each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = ()
    """Conditions to give to the prior, the posterior and the predictor; None: all that the data has."""
    width: int = 12
    """Channels next to the image; doubled with every halving."""
    depth: int = 2
    """Halvings of a side in front of the recurrent networks."""
    hidden: int = 32
    """Channels of the recurrent networks' memories."""
    latent_dim: int = 16
    """Length of a frame's latent."""


class ConvLSTM(nn.Module):
    """A convolutional LSTM: its memory and (batch, height, width, channels) -> its next memory."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, memory: Memory, x: jax.Array) -> Memory:
        """See the class. The output is the second of the memory."""
        cell, out = memory
        gates = Conv(4 * self.features, (3, 3), dtype=self.dtype, name="gates")(jnp.concatenate([x, out], axis=-1))
        enter, forget, leave, new = jnp.split(gates, 4, axis=-1)
        cell = nn.sigmoid(forget + 1.0) * cell + nn.sigmoid(enter) * jnp.tanh(new)
        return cell, nn.sigmoid(leave) * jnp.tanh(cell)


class Frame(nn.Module):
    """Frames (batch, height, width, channels) -> their features after each halving, the smallest last."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """See the class; the first are features of the whole size."""
        c, found = self.config, list[jax.Array]()
        for i in range(c.depth + 1):
            x = Conv(c.width * 2**i, (4, 4) if i else (3, 3), (2, 2) if i else (1, 1), kernel_init=he,
                     dtype=self.dtype, name=f"down_{i}")(x)  # fmt: skip
            found.append(x := nn.leaky_relu(x, 0.2))
        return found


class Gaussian(nn.Module):
    """Maps (batch, height, width, channels) -> a latent's mean and log variance, (batch, latent_dim) each."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See the class."""
        both = nn.Dense(2 * self.features, name="out")(x.reshape(x.shape[0], -1).astype(jnp.float32))
        mean, log_variance = jnp.split(both, 2, axis=-1)
        return mean, _WIDEST * jnp.tanh(log_variance / _WIDEST)


class Picture(nn.Module):
    """The predictor's maps and the features of the frame before -> a frame (batch, height, width, channels)."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, skips: list[jax.Array], before: jax.Array) -> jax.Array:
        """See the class."""
        c = self.config
        for i in reversed(range(c.depth)):
            x = nn.leaky_relu(UpConv(c.width * 2**i, self.dtype, name=f"up_{i}")(x), 0.2)
            x = jnp.concatenate([x, skips[i]], axis=-1)
            x = nn.leaky_relu(Conv(c.width * 2**i, (3, 3), kernel_init=he, dtype=self.dtype, name=f"join_{i}")(x), 0.2)
        channels = before.shape[-1]
        x = Conv(channels + 1, (3, 3), dtype=self.dtype, name="out")(x).astype(jnp.float32)
        stays = nn.sigmoid(x[..., channels:])
        return stays * before + (1.0 - stays) * jnp.tanh(x[..., :channels]) * 1.1  # so that black and white are reached


class Carry(NamedTuple):
    """What goes from frame to frame: the frame before, and the memories of the prior and of the predictor."""

    before: jax.Array
    prior: Memory
    predictor: Memory


class Seen(NamedTuple):
    """Of each frame: the noise of its latent; the real frame, and whether it is to be taken as the one before the next;
    what the posterior sees, and whether the latent is drawn from that. The first axis is the batch.
    """

    noise: jax.Array
    frame: jax.Array
    known: jax.Array
    posterior: jax.Array
    drawn: jax.Array


class Encoder(nn.Module):
    """Videos (batch, frames, height, width, channels) -> `Maps`."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition = None, train: bool = False
    ) -> tuple[Maps, dict[str, jax.Array]]:
        """Also returns the posterior's maps by name."""
        c, (batch, frames) = self.config, images.shape[:2]
        features = Frame(c, self.dtype, name="frame")(images.reshape(-1, *images.shape[2:]).astype(self.dtype))[-1]
        features = features.reshape(batch, frames, *features.shape[1:])
        for vector in ConditionEmbed(classes_of(c.conditions), features.shape[-1], 0.1, self.dtype, name="embed")(
            condition, batch
        ):
            features = features + vector[:, None, None, None]
        cell, empty = ConvLSTM(c.hidden, self.dtype, name="memory"), _nothing(features[:, 0], c.hidden)
        _, maps = _over_time(lambda cell, memory, x: (new := cell(memory, x), new[1]))(cell, empty, features)
        return (images, maps), {"posterior": maps}


def _over_time(step: Callable[..., tuple[Tree, Tree]]) -> Callable[..., tuple[Tree, Tree]]:
    """(module, carry, one) -> (carry, found), over the second axis: one body to compile, however many frames."""
    walk: Callable[..., tuple[Tree, Tree]] = nn.scan(
        step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1
    )
    return walk


def _nothing(x: jax.Array, features: int) -> Memory:
    """An empty memory for maps of this height and width; over devices it varies as `x` does."""
    zeros = jnp.broadcast_to(0 * x[..., :1], (*x.shape[:-1], features))
    return zeros, zeros


class Decoder(nn.Module):
    """Noise (batch, frames * latent_dim) -> videos (batch, frames, height, width, channels).

    With the encoder's maps the latents are drawn from posteriors.
    """

    config: Config
    dtype: DTypeLike = jnp.float32
    layered: bool = True

    def setup(self) -> None:
        """The networks of one frame."""
        c = self.config
        self.frame, self.picture = Frame(c, self.dtype), Picture(c, self.dtype)
        self.prior_memory, self.predictor_memory = ConvLSTM(c.hidden, self.dtype), ConvLSTM(c.hidden, self.dtype)
        self.prior, self.posterior = Gaussian(c.latent_dim), Gaussian(c.latent_dim)
        self.enter = nn.Dense(c.hidden, dtype=self.dtype)
        self.embed = ConditionEmbed(classes_of(c.conditions), c.width * 2**c.depth, 0.1, self.dtype)

    def __call__(
        self, noise: jax.Array, condition: Condition = None, maps: Maps | None = None, train: bool = False
    ) -> Output:
        """Also returns what `posteriors.LayeredModule` says."""
        if maps is None:
            found = self._walk(self._drawn(noise), condition)
            return found["frames"], {"kl": found["kl"], "log_ratio": jnp.sum(found["ratio"], axis=1)}
        images, posterior = maps
        seen = self._drawn(noise)._replace(frame=images, posterior=posterior)
        seen = seen._replace(known=jnp.ones_like(seen.known), drawn=jnp.ones_like(seen.drawn))
        found = self._walk(seen, condition)
        # Latents that decode to what is drawn by one's own frames: another walk, which is left out where none asks.
        own = self._walk(seen._replace(known=jnp.zeros_like(seen.known)), condition)
        aux = {"kl": found["kl"], "log_ratio": jnp.sum(found["ratio"], axis=1)}
        return found["frames"], aux | {"latents": own["noise"].reshape(noise.shape)}

    def extend(self, noise: jax.Array, images: jax.Array, condition: Condition = None) -> jax.Array:
        """See `posteriors.ExtendingModule`."""
        seen, given = self._drawn(noise), images.shape[1]
        frame = jnp.concatenate([images, seen.frame[:, given:]], axis=1)
        known = jnp.broadcast_to(jnp.arange(seen.known.shape[1]) < given, seen.known.shape)
        found = self._walk(seen._replace(frame=frame, known=1.0 * known), condition)
        return jnp.concatenate([images, found["frames"][:, given:]], axis=1)

    def _drawn(self, noise: jax.Array) -> Seen:
        """All latents from the prior, and no frame is known."""
        c, shape = self.config, self.config.image_shape or ()
        noise = noise.reshape(noise.shape[0], -1, c.latent_dim)
        place = tuple(side >> c.depth for side in shape[1:3])
        nothing = lambda *sizes: jnp.broadcast_to(
            0 * noise[:, :, :1].reshape(*noise.shape[:2], *[1] * len(sizes)), (*noise.shape[:2], *sizes)
        )
        flags = 0 * noise[:, :, 0]
        return Seen(noise, nothing(*shape[1:]), flags, nothing(*place, c.hidden), flags)

    def _walk(self, seen: Seen, condition: Condition) -> dict[str, jax.Array]:
        """From frame to frame: "frames", and of each "kl", "ratio" and the prior's "noise"."""
        c, told = self.config, self.embed(condition, seen.noise.shape[0])
        vector = sum(told, jnp.zeros((seen.noise.shape[0], c.width * 2**c.depth), self.dtype))
        empty = _nothing(seen.posterior[:, 0], c.hidden)
        walk = _over_time(lambda module, carry, one: module.step(carry, one, vector))
        _, found = walk(self, Carry(0 * seen.frame[:, 0], empty, empty), seen)
        return found

    def step(self, carry: Carry, seen: Seen, vector: jax.Array) -> tuple[Carry, dict[str, jax.Array]]:
        """One frame."""
        skips = self.frame(carry.before.astype(self.dtype))
        features = skips[-1] + vector[:, None, None]
        prior = self.prior_memory(carry.prior, features)
        at, log_spread = self.prior(prior[1])
        mean, log_variance = self.posterior(seen.posterior)
        drawn, spread = seen.drawn[:, None], jnp.exp(0.5 * log_spread)
        z = drawn * (mean + jnp.exp(0.5 * log_variance) * seen.noise) + (1 - drawn) * (at + spread * seen.noise)
        noise = (z - at) / spread
        ratio = 0.5 * jnp.sum(jnp.square(seen.noise) - jnp.square(noise) + log_variance - log_spread, axis=-1)
        beside = jnp.broadcast_to(self.enter(z)[:, None, None], (*features.shape[:-1], self.config.hidden))
        predictor = self.predictor_memory(carry.predictor, jnp.concatenate([features, beside], axis=-1))
        frame = self.picture(predictor[1], skips, carry.before)
        known = seen.known[:, None, None, None]
        found = {
            "frames": frame,
            "kl": seen.drawn * jnp.sum(kl_normals(mean, log_variance, at, log_spread), axis=-1),
            "ratio": seen.drawn * ratio,
            "noise": noise,
        }
        before = known * seen.frame + (1 - known) * jnp.clip(frame, -1.0, 1.0)
        return Carry(before, prior, predictor), found


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the data is no videos, their shape does not fit, or a number is out of range.
    """
    c, shape = config, config.image_shape or ()
    if len(shape) != 4 or shape[0] < 2:
        raise UserError(
            f"frame_rnn: image_shape {tuple(shape)}: wanted videos, (frames, height, width, channels) with at least two"
            " frames; --data moving, clips or videos:DIR have them"
        )
    most, _ = halvings("frame_rnn", shape[1:])
    if min(c.width, c.hidden, c.latent_dim) < 1 or not 1 <= c.depth <= most:
        raise UserError(f"frame_rnn: width, hidden and latent_dim must be at least 1, and depth 1 to {most}")
    told = classes_of(c.conditions)
    images = lambda: (jnp.zeros((2, *shape)), untold(told))
    maps = lambda: (
        jnp.zeros((2, *shape)),
        jnp.zeros((2, shape[0], *(side >> c.depth for side in shape[1:3]), c.hidden), dtype),
    )
    noise = lambda: (jnp.zeros((2, shape[0] * c.latent_dim)), untold(told), maps())
    return {"encoder": Network(Encoder(c, dtype), images), "decoder": Network(Decoder(c, dtype), noise)}


PRESETS = {
    "default": Run(
        Config(),
        Vae(ema_decay=0.995),
        Optimizer(learning_rate=2e-3, schedule="cosine", warmup_steps=100, clip_norm=1.0),
        Data(),
        Train(steps=3000, batch=16, sample_every=500, save_every=500, samples=16),
    ),
    "tiny": Run(
        Config(width=2, depth=1, hidden=4, latent_dim=2),
        Vae(),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
