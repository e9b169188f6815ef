"""A prior over the codes of a picture: a causal transformer that draws them one after another.

van den Oord et al. 2017, arXiv:1711.00937, section 3.3 fits an autoregressive prior to the codes of a VQ-VAE, a
PixelCNN there. Here it is a transformer (Vaswani et al. 2017, arXiv:1706.03762, eq. 1 for the attention) with the
normalisation before each layer (Radford et al. 2019) and learned positions. Codes are read row by row; each condition's
vector is added at every position, and may be hidden.

It is the second stage: `genart train vqvae --run runs/vqvae`, then `genart train code_prior --model.tokenizer
runs/vqvae`.

Presets:

- `default`: `genart train code_prior --model.tokenizer runs/vqvae`. 10 minutes on one CPU core; over a `vqvae`
  that was trained with `--train.steps 5000 --train.batch 32`, 3.30 bits a code on the art set's test split, and the
  style that was asked for in 66 % of 1,000 samples (seed 0; benchmarks/results/guidance.md).
- `tiny`: for tests; its tokenizer is untrained.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Autoregressive, Data, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import random
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None
KeysValues = tuple[jax.Array, jax.Array]
Cache = tuple[KeysValues, ...]
"""Keys and values of each layer, (batch, length, heads, width / heads) each; zeros where no code has come yet."""
normal = nn.initializers.normal


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a prior over codes."""

    tokenizer: str | None = None
    """The run whose codes are learned, such as one of vqvae. Its parameters are copied once and never train."""
    tokenizer_config: str = ""
    """What the tokenizer is, as JSON; filled from its run."""
    image_shape: tuple[int, ...] | None = None
    """(height, width, channels), the tokenizer's."""
    grid: tuple[int, ...] | None = None
    """(height, width) of a picture in codes; filled from the tokenizer's run."""
    codes: int | None = None
    """How many different codes there are; filled from the tokenizer's run."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    width: int = 128
    """Length of a position's vector."""
    layers: int = 4
    """Blocks of attention and two dense layers."""
    heads: int = 4
    """Attention heads; they divide the width."""
    dropout: float = 0.1
    """Share of units dropped in training, after each part of a block."""


def attend(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array) -> jax.Array:
    """softmax(q k^T / sqrt(d)) v where `mask` (queries, keys) allows it; each is (batch, positions, heads, d)."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k).astype(jnp.float32) / math.sqrt(q.shape[-1])
    weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1).astype(v.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)


class Block(nn.Module):
    """Attention and two dense layers, each normalised before and added to its input."""

    config: Config
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        """Makes the layers."""
        c, near = self.config, normal(0.02 / math.sqrt(2 * self.config.layers))  # as many parts are added up
        self.norm_1, self.norm_2 = (nn.LayerNorm(epsilon=1e-5, dtype=self.dtype) for _ in range(2))
        # No bias: that of the keys would cancel in the softmax.
        self.qkv = nn.Dense(3 * c.width, use_bias=False, kernel_init=normal(0.02), dtype=self.dtype)
        self.project = nn.Dense(c.width, kernel_init=near, dtype=self.dtype)
        self.wide = nn.Dense(4 * c.width, kernel_init=normal(0.02), dtype=self.dtype)
        self.narrow = nn.Dense(c.width, kernel_init=near, dtype=self.dtype)
        self.dropout = random.Dropout(c.dropout)

    def _heads(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Queries, keys and values, (batch, positions, heads, width / heads) each."""
        x = self.qkv(self.norm_1(x))
        q, k, v = jnp.split(x.reshape(*x.shape[:-1], 3 * self.config.heads, -1), 3, axis=-2)
        return q, k, v

    def _finish(self, x: jax.Array, attended: jax.Array, keys: jax.Array | None) -> jax.Array:
        drop = lambda name, y: self.dropout(y, random.example_streams(keys, name))
        x = x + drop("attention", self.project(attended.reshape(x.shape)))
        return x + drop("dense", self.narrow(nn.gelu(self.wide(self.norm_2(x)))))

    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        """All positions (batch, length, width) at once, each seeing itself and those before it."""
        mask = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool))
        return self._finish(x, attend(*self._heads(x), mask), keys)

    def next(self, x: jax.Array, index: jax.Array, cache: KeysValues) -> tuple[jax.Array, KeysValues]:
        """The position `index` alone, (batch, 1, width), with keys and values of those before it."""
        q, *new = self._heads(x)
        k, v = (jax.lax.dynamic_update_slice_in_dim(old, y, index, 1) for old, y in zip(cache, new, strict=True))
        return self._finish(x, attend(q, k, v, jnp.arange(k.shape[1]) <= index), None), (k, v)


class Prior(nn.Module):
    """Codes (batch, length) -> logits of each position's code given those before it, (batch, length, codes)."""

    config: Config
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        """Makes the layers."""
        c = self.config
        self.tokens = self.param("tokens", normal(0.02), ((c.codes or 0) + 1, c.width))  # the last begins a picture
        self.positions = self.param("positions", normal(0.02), (math.prod(c.grid or ()), c.width))
        self.embed = ConditionEmbed(classes_of(c.conditions), c.width, stddev=0.02, dtype=self.dtype)
        self.blocks = [Block(c, self.dtype) for _ in range(c.layers)]
        self.norm = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype)
        self.out = nn.Dense(c.codes or 0, kernel_init=normal(0.02))
        self.dropout = random.Dropout(c.dropout)

    def _embed(self, last: jax.Array, positions: jax.Array, condition: Condition) -> jax.Array:
        """The code before each position (batch, n), those positions' own vectors (n, width), and the conditions."""
        x = (self.tokens[last] + positions).astype(self.dtype)
        for vector in self.embed(condition, last.shape[0]):
            x = x + vector[:, None]
        return x

    def _logits(self, x: jax.Array) -> jax.Array:
        logits: jax.Array = self.out(self.norm(x).astype(jnp.float32))
        return logits

    def __call__(
        self, codes: jax.Array, condition: Condition = None, train: bool = False, keys: jax.Array | None = None
    ) -> Output:
        """`keys` (batch,) for dropout in training. Also returns what each block gives."""
        begin = jnp.full((codes.shape[0], 1), self.config.codes or 0, codes.dtype)
        x = self._embed(jnp.concatenate([begin, codes[:, :-1]], axis=1), self.positions, condition)
        keys = keys if train else None
        x, aux = self.dropout(x, random.example_streams(keys, "embedding")), {}
        for i, block in enumerate(self.blocks):
            aux[f"block_{i}"] = x = checkpoint_name(block(x, random.example_streams(keys, f"block_{i}")), "stage")
        return self._logits(x), aux

    def next(
        self, last: jax.Array, index: jax.Array, cache: Cache, condition: Condition = None
    ) -> tuple[jax.Array, Cache]:
        """Logits (batch, codes) of the position `index`, given the code before it, and the cache with it added."""
        x = self._embed(last[:, None], jax.lax.dynamic_slice_in_dim(self.positions, index, 1), condition)
        new = []
        for block, old in zip(self.blocks, cache, strict=True):
            x, kept = block.next(x, index, old)
            new.append(kept)
        return self._logits(x)[:, 0], tuple(new)

    @nn.nowrap
    def empty_cache(self, batch: int) -> Cache:
        """The cache before the first code."""
        c = self.config
        shape = batch, math.prod(c.grid or ()), c.heads, c.width // c.heads
        return tuple((jnp.zeros(shape, self.dtype), jnp.zeros(shape, self.dtype)) for _ in range(c.layers))


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: an option out of range.
    """
    c = config
    if min(c.width, c.layers, c.heads) < 1 or c.width % c.heads:
        raise UserError(f"code_prior: width {c.width} must be a multiple of heads {c.heads}, layers at least 1")
    if not 0 <= c.dropout < 1:
        raise UserError(f"code_prior: dropout {c.dropout}: wanted 0 to below 1")
    codes = lambda: jnp.zeros((2, math.prod(c.grid or ())), jnp.int32)
    return {"prior": Network(Prior(c, dtype), lambda: (codes(), untold(c.conditions)))}


PRESETS = {
    "default": Run(
        Config(),
        Autoregressive(unconditional=0.1, guidance=2.0),
        Optimizer(name="adamw", learning_rate=1e-3, b2=0.99, schedule="cosine", warmup_steps=100, weight_decay=0.05,
                  clip_norm=1.0),
        Data(flip=True),
        Train(steps=2500, batch=64, save_every=500, log_every=100),
    ),
    "tiny": Run(
        Config(tokenizer="untrained:vqvae/tiny", width=16, layers=2, heads=2),
        Autoregressive(),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}  # fmt: skip
