"""A GAN of short videos, whose latents are one content code and a motion code for each frame.

- Tulyakov, Liu, Yang & Kautz 2018, "MoCoGAN: decomposing motion and content for video generation", arXiv:1707.04993,
  section 3: a content code that stays the same over a clip, a recurrent network that makes a path of motion codes of
  independent noise (a GRU by Cho et al. 2014, arXiv:1406.1078, as published; or an LSTM), one image generator for all
  frames, and two critics: of a frame drawn at random, and of the whole clip by 3-D convolutions (eq. 8).
- The frames' generator is modulated by both codes and the conditions, as `modgan` (Chen et al. 2019, arXiv:1810.01365);
  the recurrent network is told the conditions, too, as MoCoGAN's is the action.
- Or (`frames="moved"`) one picture is drawn, of the content alone, and each frame is that picture under an affine map
  which the motion code gives (Jaderberg et al. 2015, "Spatial transformer networks", arXiv:1506.02025, eq. 1). Where
  things move without changing this is right by construction, and a frame costs next to nothing.
- The losses are today's: relativistic, with a lazy R1 penalty (Huang et al. 2024, arXiv:2501.05441), in place of the
  original's. Conditions enter the critics by projection (Miyato & Koyama 2018, arXiv:1802.05637, eq. 8), in place of
  classifiers beside them. The critics may see how much neighbours differ, and score patches, as `modgan`'s.

Both critics are one network here with two scores, `frame` and `clip`, which count alike. What changes the length of a
video is the length of z: any number of motion codes can follow the content code.

Presets:

- `default`: `genart train video_gan --data moving:32 --model.conditions motion style shape`. Pictures that are moved;
  20 minutes on one core. benchmarks/videos.py measures it.
- `drawn`: frames that are each drawn, as published, for things that change as they move: `--data clips
  --model.conditions action direction`. A short demonstration is in benchmarks/results/videos.md.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import random
from genart_jax.nn.conv import Conv
from genart_jax.nn.embed import ConditionEmbed, projected
from genart_jax.nn.pyramid import halvings
from genart_jax.nn.residual import Modulated, UpConv
from genart_jax.nn.style import minibatch_deviation
from genart_jax.nn.warp import warp
from genart_jax.types import Network, Output, untold

Aux = dict[str, jax.Array]
Condition = Mapping[str, jax.Array] | None
Scores = dict[str, jax.Array]

he, lecun = nn.initializers.he_normal(), nn.initializers.lecun_normal()


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of both networks."""

    image_shape: tuple[int, ...] | None = None
    """(frames, height, width, channels); 2 frames or more, each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    content_dim: int = 48
    """Length of the content code, the first part of z."""
    motion_dim: int = 8
    """Length of each frame's noise, of which the recurrent network makes its motion code; they follow in z."""
    cell: Literal["gru", "lstm"] = "gru"
    """The recurrent network."""
    hidden: int = 64
    """Length of a motion code."""
    width: int = 16
    """The generator's channels next to the image; doubled with every halving."""
    embed_dim: int = 32
    """Length of a condition's vector in the generator."""
    style_dim: int = 128
    """Units of the hidden layer between codes and conditions and the scales and shifts."""
    critic_width: int = 32
    """Channels of both critics after their first halving; doubled with every further one."""
    frames: Literal["drawn", "moved"] = "drawn"
    """Each frame is drawn from both codes; or one picture is, from the content, and moved by an affine map of each
    frame's motion code."""
    clip_width: int = 0
    """Those of the clip's critic, if not `critic_width` (0: the same)."""
    clip_places: bool = False
    """The clip's critic holds conditions against its last stage place by place, not against its sum over places: that
    sum does not say on which side a thing that turns goes up."""
    minibatch_group: int = 1
    """Neighbouring clips whose deviation both critics see as one more channel (1: none)."""
    patches: bool = False
    """A third score, for each place of the second stage of the frame's critic, that counts as the others do."""

    @property
    def latent_dim(self) -> int:
        """Length of z for as many frames as in training."""
        return self.latent_length((self.image_shape or (1,))[0])

    def latent_length(self, frames: int) -> int:
        """Length of z for so many frames."""
        return self.content_dim + frames * self.motion_dim


class Codes(nn.Module):
    """(batch, content_dim + frames * motion_dim) -> styles (batch, 1 + frames, style_dim): content, then motion."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None) -> jax.Array:
        """As many frames as z has noise for."""
        c = self.config
        embed = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")
        told, z = embed(condition, z.shape[0]), z.astype(self.dtype)
        content = jnp.concatenate([z[:, : c.content_dim], *told], axis=-1)
        content = nn.Dense(c.style_dim, kernel_init=he, dtype=self.dtype, name="content")(content)
        noise = z[:, c.content_dim :].reshape(z.shape[0], -1, c.motion_dim)
        code = nn.Dense(c.style_dim, use_bias=False, kernel_init=he, dtype=self.dtype, name="motion")
        motion = code(self._path(noise, jnp.concatenate([z[:, :0], *told], axis=-1)))
        return jnp.concatenate([content[:, None], motion], axis=1)

    def _path(self, noise: jax.Array, told: jax.Array) -> jax.Array:
        """(batch, frames, motion_dim) and (batch, n) of conditions -> (batch, frames, hidden)."""
        c = self.config
        kind = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}[c.cell]
        cell = kind(c.hidden, recurrent_kernel_init=lecun, dtype=self.dtype, name="path")
        zeros = jnp.broadcast_to(
            0 * noise[:, 0, :1], (noise.shape[0], c.hidden)
        )  # over devices they vary as noise does
        carry, out = (zeros, zeros) if c.cell == "lstm" else zeros, []
        for t in range(noise.shape[1]):
            carry, code = cell(carry, jnp.concatenate([noise[:, t], told], axis=-1))
            out.append(code)
        return jnp.stack(out, axis=1)


class Synthesis(nn.Module):
    """Styles (batch, 1 + frames, style_dim) -> videos (batch, frames, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, styles: jax.Array, train: bool) -> Output:
        """Also returns the activations of each stage, (batch * frames, ...); where one picture is moved, (batch, ...),
        and last the "maps" that move it.
        """
        c = self.config
        count, (height, width) = halvings("video_gan", (c.image_shape or ())[1:])
        moved = c.frames == "moved"
        both = styles[:, :1] if moved else styles[:, :1] + styles[:, 1:]  # a dense layer of both codes
        w = nn.leaky_relu(both, 0.2).astype(self.dtype)
        batch, frames = w.shape[:2]
        w = w.reshape(-1, w.shape[-1])
        features = c.width * 2**count
        x = nn.Dense(height * width * features, use_bias=False, kernel_init=lecun, dtype=self.dtype, name="in")(w)
        x = x.reshape(-1, height, width, features)
        aux: Aux = {}
        for i in range(count + 1):
            if i:
                x = UpConv(features // 2**i, self.dtype, name=f"up_{i}")(x)
            x = Modulated(train, self.dtype, self.axis_name, name=f"norm_{i}")(x, w)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        x = Conv((c.image_shape or ())[-1], (3, 3), kernel_init=lecun, dtype=self.dtype, name="out")(x)
        pictures = jnp.tanh(x).astype(jnp.float32).reshape(batch, frames, *x.shape[1:])
        if not moved:
            return pictures, aux
        aux["maps"] = self._maps(styles[:, 1:])
        return _moved(pictures[:, 0], aux["maps"]), aux

    def _maps(self, motion: jax.Array) -> jax.Array:
        """Styles of motion (batch, frames, style_dim) -> affine maps (batch, frames, 2, 3), as `warp` takes them.

        They begin next to the identity: pictures are scaled, turned and sheared about their middle, and moved.
        """
        height, width = (self.config.image_shape or ())[1:3]
        small = nn.initializers.normal(0.02)
        found = nn.Dense(6, kernel_init=small, name="map")(nn.leaky_relu(motion, 0.2)).astype(jnp.float32)
        sides = jnp.array([[1.0, 1.0, width / 4], [1.0, 1.0, height / 4]])
        return jnp.eye(2, 3) + found.reshape(*motion.shape[:2], 2, 3) * sides


def _moved(pictures: jax.Array, maps: jax.Array) -> jax.Array:
    """Pictures (batch, height, width, channels), a frame by each of their maps (batch, frames, 2, 3)."""
    frames = maps.shape[1]
    moved = warp(jnp.repeat(pictures, frames, axis=0), maps.reshape(-1, 2, 3))
    return moved.reshape(-1, frames, *pictures.shape[1:])


def _from(first: jax.Array, maps: jax.Array) -> jax.Array:
    """Maps (batch, frames, 2, 3) of the picture that is already moved by `first` (batch, 2, 3)."""
    a, b, c, d = (first[:, i, j] for i in (0, 1) for j in (0, 1))
    determinant = a * d - b * c
    far = jnp.where(jnp.abs(determinant) < 1e-2, 1e-2, determinant)  # no picture is moved to a line
    back = jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-c, a], -1)], axis=-2) / far[:, None, None]
    return jnp.einsum("bij,btjk->btik", back, maps.at[..., 2].add(-first[:, None, :, 2]))


class Generator(nn.Module):
    """(batch, content_dim + frames * motion_dim) -> videos (batch, frames, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    def setup(self) -> None:
        """The recurrent network, and the frames' generator."""
        self.codes = Codes(self.config, self.dtype)
        self.frame = Synthesis(self.config, self.dtype, self.axis_name)

    @property
    def content_dim(self) -> int:
        """Numbers of z before the frames' noise."""
        return self.config.content_dim

    @property
    def motion_dim(self) -> int:
        """Numbers of z for each frame."""
        return self.config.motion_dim

    @property
    def frames(self) -> int:
        """Of a video in training."""
        return (self.config.image_shape or ())[0]

    def mapping(
        self, z: jax.Array, condition: Condition = None, train: bool = False, truncation: float | jax.Array = 1.0
    ) -> jax.Array:
        """Latents -> styles (batch, 1 + frames, style_dim), of z times `truncation`: content first, then motion."""
        styles: jax.Array = self.codes(z * truncation, condition)
        return styles

    def synthesis(self, styles: jax.Array, keys: jax.Array | None = None, train: bool = False) -> Output:
        """Styles -> videos, and the activations of each stage; it draws nothing with `keys`."""
        made: Output = self.frame(styles, train)
        return made

    @property
    def extends(self) -> bool:
        """Whether it moves pictures that are given as well as its own."""
        return self.config.frames == "moved"

    def extend(self, z: jax.Array, images: jax.Array, condition: Condition = None) -> jax.Array:
        """Videos that begin with `images` (batch, frames, height, width, channels) and go on from the last of these."""
        _, aux = self.synthesis(self.mapping(z, condition))
        given, maps = images.shape[1], aux["maps"]
        made = _moved(images[:, -1], _from(maps[:, given - 1], maps[:, given:]))
        return jnp.concatenate([images, made], axis=1)

    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """As many frames as z has noise for. Also returns the styles and the activations of each stage."""
        styles = self.mapping(z, condition)
        videos, aux = self.synthesis(styles, None, train)
        return videos, {"styles": styles, **aux}


def in_time(x: jax.Array) -> jax.Array:
    """(batch, frames, height, width, channels) -> (batch, half as many, height, width, four times as many channels).

    Windows of four frames with stride 2, side by side as channels: a 2-D convolution of these is a 3-D one of four
    frames that halves their number. Its gradient took an eighth of the time on a CPU. Two frames are one window of two,
    and one frame stays as it is.
    """
    frames = x.shape[1]
    if frames == 1:
        return x
    if frames > 2:
        x = jnp.pad(x, [(0, 0), (1, 1 + frames % 2), *[(0, 0)] * 3])
    out = (frames + 1) // 2
    return jnp.concatenate([x[:, i : i + 2 * out - 1 : 2] for i in range(2 if frames == 2 else 4)], axis=-1)


class Critic(nn.Module):
    """Videos (batch, frames, height, width, channels) -> scores before any sigmoid, of a frame and of the clip:
    {"frame": (batch,), "clip": (batch,)}.

    With the stream "dropout" among the random numbers of `apply`, as in training, each example's frame is drawn; else
    it is the middle one.
    """

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> tuple[Scores, Aux]:
        """Also returns the activations of each stage, the clip's last."""
        batch, frames = images.shape[:2]
        if self.has_rng("dropout"):
            keys = random.example_keys(self.make_rng("dropout"), batch, self.axis_name)
            chosen = jax.nn.one_hot(random.randint(keys, frames), frames, dtype=images.dtype)
            frame = jnp.einsum("bt,bthwc->bhwc", chosen, images)  # whose derivative is a product too
        else:
            frame = images[:, frames // 2]
        aux: Aux = {}
        scores = {
            "frame": self._score("frame", frame, condition, train, aux),
            "clip": self._score("clip", images, condition, train, aux),
        }
        if self.config.patches:
            places = aux["frame_stage_1"].astype(jnp.float32)
            scores["patches"] = Conv(1, (1, 1), kernel_init=he, name="patches")(places)[..., 0]
        return scores, aux

    def _score(self, name: str, x: jax.Array, condition: Condition, train: bool, aux: Aux) -> jax.Array:
        """The score of pictures or of clips; stages are named by `name` and added to `aux`."""
        c = self.config
        x, width = x.astype(self.dtype), (name == "clip" and c.clip_width) or c.critic_width
        for i in range(halvings("video_gan", (c.image_shape or ())[1:])[0]):
            x = in_time(x) if x.ndim == 5 else x
            x = Conv(width * 2**i, (4, 4), (2, 2), kernel_init=he, dtype=self.dtype, name=f"{name}_down_{i}")(x)
            aux[f"{name}_stage_{i}"] = x = checkpoint_name(nn.leaky_relu(x, 0.2), "stage")
        x = x.astype(jnp.float32)  # a bfloat16 score has three digits
        pooled = jnp.sum(x, axis=tuple(range(1, x.ndim - 1)))
        if name == "clip" and c.clip_places:
            pooled = x.reshape(x.shape[0], -1)
        if c.minibatch_group > 1:
            x = minibatch_deviation(x, c.minibatch_group, self.axis_name, check=train and not self.is_initializing())
        score = nn.Dense(1, kernel_init=he, name=f"{name}_out")(x.reshape(x.shape[0], -1))[:, 0]
        embed = ConditionEmbed(classes_of(c.conditions), pooled.shape[-1], stddev=0.02, name=f"{name}_embed")
        return projected(score, pooled, embed(condition, x.shape[0]))


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the data is no videos, their shape does not fit, or a number is out of range.
    """
    shape = config.image_shape or ()
    if len(shape) != 4 or shape[0] < 2:
        raise UserError(
            f"video_gan: image_shape {tuple(shape)}: wanted videos, (frames, height, width, channels) with at least two"
            " frames; --data moving, clips or videos:DIR have them"
        )
    halvings("video_gan", shape[1:])
    for name in (
        "content_dim",
        "motion_dim",
        "hidden",
        "width",
        "embed_dim",
        "style_dim",
        "critic_width",
        "minibatch_group",
    ):
        if getattr(config, name) < 1:
            raise UserError(f"video_gan: {name} must be at least 1")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *shape)), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images, group=config.minibatch_group),
    }


_GAN = Gan(loss="relativistic", critic_terms=("r1=1@8",))
_ADAM = Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9, schedule="linear")
_TRAIN = Train(steps=8000, batch=16, sample_every=1000, save_every=1000, samples=16, steps_per_dispatch=10)

PRESETS = {
    "default": Run(
        Config(frames="moved", width=32, clip_width=16, clip_places=True, minibatch_group=4, patches=True),
        _GAN,
        _ADAM,
        Data(),
        _TRAIN,
    ),
    "drawn": Run(Config(clip_places=True, minibatch_group=4, patches=True), _GAN, _ADAM, Data(), _TRAIN),
    "tiny": Run(
        Config(content_dim=4, motion_dim=2, hidden=4, width=4, embed_dim=4, style_dim=8, critic_width=4),
        Gan(critic_terms=("r1=0.5@2",)),
        Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
