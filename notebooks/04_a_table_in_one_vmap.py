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
# # Any loss, any term, any network: a table in one `vmap`
#
# Which loss is best? The answer depends on the regulariser, on the network and on the seed, so one wants the whole table.
# As everything is a pure function, a choice can be a number, and `jax.vmap` trains all combinations in one program.

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
# Losses and the gradient's square are the package's. A choice of loss is a weight for each of them; a choice of activation
# likewise. So 6 losses x 4 regularisers x 2 networks x 3 seeds are 144 GANs with one program.

# %%
import itertools
import time

import jax.numpy as jnp
import numpy as np
import optax

from genart_jax.losses.adversarial import LOSSES
from genart_jax.losses.penalties import squared_gradient

SIZES = (24, 24)
TERMS = {"none": (0, 0, 0), "R1": (0.1, 0, 0), "R1 and R2": (0.1, 0.1, 0), "GP": (0, 0, 1.0)}
NETWORKS = {"leaky ReLU": (1.0, 0.0), "tanh": (0.0, 1.0)}
SEEDS = 3


def heaps(key, num):
    """Points around eight centres on a ring."""
    which, noise = jax.random.split(key)
    angle = jax.random.randint(which, (num,), 0, 8) * (jnp.pi / 4)
    return 2 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1) + 0.1 * jax.random.normal(noise, (num, 2))


def start(key, inputs, outputs):
    sizes = (inputs, *SIZES, outputs)
    keys = jax.random.split(key, len(sizes) - 1)
    layer = lambda k, a, b: (jax.random.normal(k, (a, b)) * jnp.sqrt(2 / a), jnp.zeros(b))
    return [layer(*one) for one in zip(keys, sizes, sizes[1:])]


def network(params, x, kind):
    for w, b in params[:-1]:
        x = x @ w + b
        x = kind[0] * jax.nn.leaky_relu(x, 0.2) + kind[1] * jnp.tanh(x)
    return x @ params[-1][0] + params[-1][1]


def train(choice, key, steps=1500, batch=64):
    """One GAN by its choices; returns 1,000 generated points."""
    rule = optax.adam(optax.cosine_decay_schedule(3e-3, steps), b1=0.0, b2=0.9)
    loss, term, kind = choice["loss"], choice["term"], choice["network"]
    mixed = lambda player, real, fake: sum(
        w * jnp.mean(getattr(one, player)(real, fake)) for w, one in zip(loss, LOSSES.values())
    )
    score = lambda critic, x: network(critic, x, kind)[:, 0]

    def critic_loss(critic, real, fake, share):
        at = lambda x: score(critic, x)
        between = share * real + (1 - share) * fake
        slope = jnp.sqrt(squared_gradient(at, between) + 1e-12)
        values = term[0] * squared_gradient(at, real) + term[1] * squared_gradient(at, fake)
        return mixed("critic", at(real), at(fake)) + jnp.mean(values + term[2] * jnp.square(slope - 1))

    def step(carry, key):
        (generator, critic), moments = carry
        keys = jax.random.split(key, 3)
        real, z = heaps(keys[0], batch), jax.random.normal(keys[1], (batch, 4))
        fake = network(generator, z, kind)
        down = jax.grad(critic_loss)(critic, real, fake, jax.random.uniform(keys[2], (batch, 1)))
        made = lambda g: mixed("generator", score(critic, real), score(critic, network(g, z, kind)))
        updates, moments = rule.update((jax.grad(made)(generator), down), moments)
        return (optax.apply_updates((generator, critic), updates), moments), None

    keys = jax.random.split(key, 4)
    players = start(keys[0], 4, 2), start(keys[1], 2, 1)
    (players, _), _ = jax.lax.scan(step, (players, rule.init(players)), jax.random.split(keys[2], steps))
    return network(players[0], jax.random.normal(keys[3], (1000, 4)), kind)


# %%
rows = list(itertools.product(range(len(LOSSES)), TERMS, NETWORKS, range(SEEDS)))
choices = {
    "loss": jnp.eye(len(LOSSES))[np.array([row[0] for row in rows])],
    "term": jnp.array([TERMS[row[1]] for row in rows], jnp.float32),
    "network": jnp.array([NETWORKS[row[2]] for row in rows], jnp.float32),
}
keys = jax.vmap(jax.random.key)(jnp.array([row[3] for row in rows]))
begun = time.perf_counter()
points = np.asarray(ga.jit(jax.vmap(train))(choices, keys))
print(f"{len(rows)} GANs in {time.perf_counter() - begun:.0f} s")

# %% [markdown]
# A point is good within 0.3, three standard deviations, of a centre. A figure of a GAN: how many of the eight heaps have at
# least 20 of its 1,000 points, times the share of good points.

# %%
angle = np.arange(8) * np.pi / 4
centres = 2 * np.stack([np.cos(angle), np.sin(angle)], 1)
distance = np.linalg.norm(points[:, :, None] - centres, axis=-1)
good = distance.min(-1) < 0.3
counts = np.stack([np.sum((distance.argmin(-1) == i) & good, axis=1) for i in range(8)], 1)
figures = (np.sum(counts >= 20, axis=1) * good.mean(1)).reshape(len(LOSSES), len(TERMS), len(NETWORKS), SEEDS)
figures = np.nan_to_num(figures)

import matplotlib.pyplot as plt

plt.rcParams |= {"figure.dpi": 60, "font.size": 9}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
figure.suptitle(f"heaps reached times the share of good points; mean (sd) of {SEEDS} seeds; at best 8")
for k, (ax, name) in enumerate(zip(axes, NETWORKS)):
    mean, sd = figures[:, :, k].mean(-1), figures[:, :, k].std(-1, ddof=1)
    ax.imshow(mean, vmin=0, vmax=8, cmap="viridis", aspect="auto")
    for i, j in itertools.product(*map(range, mean.shape)):
        ax.text(
            j, i, f"{mean[i, j]:.1f} ({sd[i, j]:.1f})", ha="center", va="center", color="w" if mean[i, j] < 5 else "k"
        )
    ax.set_xticks(range(len(TERMS)), TERMS)
    ax.set_yticks(range(len(LOSSES)), LOSSES)
    ax.set_title(name)

# %% [markdown]
# Here the activation decides most and the regulariser next; but for the Wasserstein loss, which needs one, the losses
# differ by little more than seeds do. What such a table is not good for: to say which loss is best for pictures, or for
# other rates.
#
# The points of the first seed, leaky ReLU: losses from above to below, terms from left to right.

# %%
shown = points.reshape(len(LOSSES), len(TERMS), len(NETWORKS), SEEDS, 1000, 2)[:, :, 0, 0]
figure, axes = plt.subplots(len(LOSSES), len(TERMS), figsize=(5, 7.5), layout="constrained")
for (i, loss), (j, term) in itertools.product(enumerate(LOSSES), enumerate(TERMS)):
    ax = axes[i, j]
    ax.plot(*shown[i, j, ::2].T, ".", ms=1, color="#D55E00")
    ax.plot(*centres.T, "+", color="#0072B2")
    ax.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
    if j == 0:
        ax.set_ylabel(loss, fontsize=7)
    if i == 0:
        ax.set_title(term, fontsize=9)

# %% [markdown]
# With models of the package the same is an axis of seeds: `jax.vmap(alg.step, in_axes=(axes, None, 0))`, where `axes` is 0
# for every leaf of the state but `step`; the page [From Python](../docs/python.md) has the lines. Learning rates and seeds
# together are a [sweep](09_a_sweep.ipynb).
