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
# # Benchmark your own model
#
# How fast is a training step, where does it stand against the machine, and is a change really faster? Timing JAX has three
# traps: programs are compiled at their first call, calls return before the work is done, and a shared machine is noisy.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("genart_jax") is None:  # from the checkout; a JAX that is good enough is left alone
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "..[plots]"], check=True)

import jax

import genart_jax as ga

print(f"Python {sys.version.split()[0]}, jax {jax.__version__}, genart_jax {ga.__version__}, {jax.devices()}")

# %% [markdown]
# ## The traps

# %%
import time

alg = ga.build("dcgan", preset="tiny", image_shape=(32, 32, 3), width=8, conditions=(("style", 5),))
batch = next(ga.open_data("emoji").batches(32, seed=0))
batch = {"image": batch["image"], "condition": {"style": batch["condition"]["style"]}}
key = jax.random.key(0)
state = ga.jit(alg.init)(key, batch)
step = ga.jit(alg.step)


def timed(what, function):
    begun = time.perf_counter()
    out = function()
    print(f"{what:38s} {1000 * (time.perf_counter() - begun):9.2f} ms")
    return out


timed("first call: it compiles", lambda: jax.block_until_ready(step(state, batch, key)))
timed("second call, not waited for", lambda: step(state, batch, key))
_ = timed("third call, waited for", lambda: jax.block_until_ready(step(state, batch, key)))

# %% [markdown]
# ## As the package measures
#
# `bench.measure` compiles a step for each set of lazy terms that are due, runs rounds of several hundred milliseconds over
# whole periods, and after each of them measures the machine's rate of matrix products, so that a busy neighbour slows both
# alike. On the command line: `genart bench dcgan`.

# %%
from genart_jax.train import bench

facts = bench.measure(bench.resolved("dcgan", "tiny", options={"width": 8}, batch=32), rounds=5)
low, middle, high = (1000 * t for t in facts["step_seconds"])
print(f"a step {middle:.2f} ms (quartiles {low:.2f} to {high:.2f}), {facts['images_per_second']:.0f} images/s")
print(f"{facts['flops'] / 1e9:.3f} GFLOP a step, {facts['mfu']:.0%} of the rate of matrix products")
print("parameters", facts["parameters"])

# %% [markdown]
# ## A model of your own
#
# Any `module:Config` is measured in the same way. Two variants of one, of which one has a wider kernel:

# %%
from pathlib import Path

Path("mine.py").write_text("""
import dataclasses
import flax.linen as nn
import jax.numpy as jnp
from genart_jax import Network
from genart_jax.config import Data, Gan, Optimizer, Run, Train

STEP = "genart_jax.steps.gan"


@dataclasses.dataclass(frozen=True)
class Config:
    image_shape: tuple[int, ...] | None = None
    latent_dim: int = 16
    kernel: int = 3


class Generator(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, z, condition=None, train=False):
        x = nn.relu(nn.Dense(8 * 8 * 32)(z)).reshape(-1, 8, 8, 32)
        for width in (16, 8):
            x = x.repeat(2, axis=1).repeat(2, axis=2)
            x = nn.relu(nn.Conv(width, (self.config.kernel,) * 2)(x))
        return jnp.tanh(nn.Conv(3, (3, 3))(x)), {}


class Critic(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, images, condition=None, train=False):
        x = images
        for width in (8, 16, 32):
            x = nn.leaky_relu(nn.Conv(width, (self.config.kernel,) * 2, (2, 2))(x))
        return nn.Dense(1)(x.reshape(len(x), -1))[:, 0], {}


def networks(config, dtype=jnp.float32, axis_name=None):
    return {
        "generator": Network(Generator(config), lambda: (jnp.zeros((2, config.latent_dim)),)),
        "critic": Network(Critic(config), lambda: (jnp.zeros((2, *config.image_shape)),)),
    }


PRESETS = {"default": Run(Config(), Gan(), Optimizer(), Data(), Train(batch=32))}
""")
subjects = {kernel: bench.Subject(bench.resolved("mine:Config", options={"kernel": kernel})) for kernel in (3, 5)}

# %% [markdown]
# ## Is one faster?
#
# Rounds of both alternate, and ratios are taken round by round: what slows the machine slows neighbours alike.

# %%
import numpy as np

rounds = np.array([[subject.round() for subject in subjects.values()] for _ in range(9)])
ratio = rounds[:, 1] / rounds[:, 0]
low, middle, high = np.quantile(ratio, (0.25, 0.5, 0.75))
print(f"kernel 5 takes {middle:.2f} times as long as kernel 3 (quartiles {low:.2f} to {high:.2f})")
flops = [subject.facts["flops"] for subject in subjects.values()]
print(f"it has {flops[1] / flops[0]:.2f} times the products")

# %% [markdown]
# What to write beside such a number: machine and cores, versions, precision, batch and shape, rounds and quartiles, what
# else was running. [The tables of this project](../benchmarks/results/throughput.md) do so.
