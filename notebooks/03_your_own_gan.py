# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own GAN in 60 lines
#
# A model is a module with a frozen `Config`, `networks(config, dtype, axis_name)` and `PRESETS`. The trainer, checkpoints,
# conditions, scores, plots and the command line then work on it. The file below is all of it.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("genart_jax") is None:  # from the checkout; a JAX that is good enough is left alone
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "..[plots]"], check=True)

import jax

import genart_jax as ga

print(f"Python {sys.version.split()[0]}, jax {jax.__version__}, genart_jax {ga.__version__}, {jax.devices()}")

# %%
from pathlib import Path

SOURCE = """
import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from genart_jax import Network
from genart_jax.config import Data, Gan, Optimizer, Run, Train

STEP = "genart_jax.steps.gan"


@dataclasses.dataclass(frozen=True)
class Config:
    image_shape: tuple[int, ...] | None = None  # None: as the data has it
    conditions: tuple[tuple[str, int], ...] | None = None
    latent_dim: int = 32
    width: int = 16


class Generator(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, z, condition=None, train=False):
        c = self.config
        told = [nn.Embed(n, 16, name=name)(jnp.maximum(condition[name], 0)) for name, n in c.conditions]
        side, w = c.image_shape[0] // 8, c.width
        x = nn.relu(nn.Dense(side * side * 4 * w)(jnp.concatenate([z, *told], 1))).reshape(-1, side, side, 4 * w)
        for i in (2, 1, 0):
            x = x.repeat(2, axis=1).repeat(2, axis=2)  # twice as long sides, then a convolution: no checkerboard
            x = nn.relu(nn.GroupNorm(4)(nn.Conv(w * 2**i, (3, 3))(x)))
        return jnp.tanh(nn.Conv(c.image_shape[-1], (3, 3))(x)), {"last": x}


class Critic(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, images, condition=None, train=False):
        c, x = self.config, images
        for i in range(3):
            x = nn.leaky_relu(nn.Conv(c.width * 2**i, (4, 4), (2, 2))(x), 0.2)
        features = x.reshape(len(x), -1)
        score = nn.Dense(1)(features)[:, 0]
        for name, n in c.conditions:  # a projection on the conditions (Miyato & Koyama 2018)
            told = nn.Embed(n, 64, name=name)(jnp.maximum(condition[name], 0))
            score += jnp.sum(nn.Dense(64, name=f"to_{name}")(features) * told, 1) / 8
        return score, {"features": features}


def networks(config, dtype=jnp.float32, axis_name=None):
    told = {name: jnp.zeros(2, jnp.int32) for name, _ in config.conditions}
    return {
        "generator": Network(Generator(config), lambda: (jnp.zeros((2, config.latent_dim)), told)),
        "critic": Network(Critic(config), lambda: (jnp.zeros((2, *config.image_shape)), told)),
    }


GAME = Gan(loss="relativistic", critic_terms=("r1=0.5@8",), ema_decay=0.99)
ADAM = Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9)
PRESETS = {"default": Run(Config(), GAME, ADAM, Data(flip=True), Train(steps=500, batch=32))}
"""
Path("my_gan.py").write_text(SOURCE)
print(sum(1 for line in SOURCE.splitlines() if line.strip()), "lines")

# %% [markdown]
# `module:Config` names it, here and on the command line (`genart train my_gan:Config`).

# %%
run = ga.configure(
    "my_gan:Config", train={"steps": 500, "sample_every": 0, "save_every": 0, "samples": 24, "log_every": 100}
)
directory = ga.fit(run, "runs/mine")
alg, state = ga.load(directory)
print({role: sum(x.size for x in jax.tree.leaves(params)) for role, params in state.params.items()}, "parameters")

# %% [markdown]
# Half a thousand steps: colours and outlines, no more. The same latents in each of the five styles, one a row:

# %%
import jax.numpy as jnp

z = jax.random.normal(jax.random.key(1), (10, 32))
decode = ga.jit(alg.decode)
rows = [decode(state, z, {"style": style, "shape": 5, "color": 1}) for style in range(5)]
ga.make_grid(jnp.concatenate(rows), columns=10, scale=2)

# %% [markdown]
# What was logged, without a line of ours: losses, norms, how well the critic knows held-out pictures, how different
# samples are ([how to read it](../docs/gans.md)).

# %%
from genart_jax.train.log import read_rows

rows = read_rows(Path(directory) / "metrics.jsonl")
for row in rows[-3:]:
    print({name: round(value, 3) for name, value in row.items() if isinstance(value, float)})

# %% [markdown]
# Change the loss or add a term without touching the file: `step={"loss": "hinge", "critic_terms": ("gp=10",)}`. A loss, a
# term or a family of your own: [docs/extending.md](../docs/extending.md).
