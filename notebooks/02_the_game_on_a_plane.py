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
# # The game on a plane
#
# A GAN is a game, and its two players follow a field of gradients that is nobody's gradient: it may turn in circles. On a
# plane one can see it. First the smallest GAN there is, then a real one on points instead of pictures, animated.

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
# ## The smallest GAN
#
# All data is the number 0. The generator has one parameter, the number *g* that it makes; the critic too, its slope *c*:
# *D(x) = c x* (Mescheder et al. 2018, section 2). Each arrow is the step that both players want to take. The losses and
# their signs are those of the package, `genart_jax.losses.adversarial`. In an equilibrium both are 0.

# %%
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from genart_jax.losses.adversarial import LOSSES

plt.rcParams |= {"figure.dpi": 60, "font.size": 9}


def field(loss, r1=0.0):
    """(g, c) -> the direction in which each player goes."""

    def critic(c, g):
        return loss.critic(0.0, c * g) + r1 / 2 * c**2  # R1: the squared slope of D at real data, gamma/2 of it

    def generator(g, c):
        return loss.generator(0.0, c * g)

    return lambda g, c: (-jax.grad(generator)(g, c), -jax.grad(critic)(c, g))


def path(move, start=(1.0, 0.0), rate=0.1, steps=400):
    def step(at, _):
        dg, dc = move(*at)
        return (at[0] + rate * dg, at[1] + rate * dc), at

    return jnp.stack(jax.lax.scan(step, start, None, steps)[1])


lines = np.linspace(-1.6, 1.6, 15)
figure, axes = plt.subplots(2, 3, figsize=(9, 6), layout="constrained", sharex=True, sharey=True)
for row, r1 in zip(axes, (0.0, 1.0)):
    for ax, name in zip(row, ("non_saturating", "wasserstein", "hinge")):
        move = field(LOSSES[name], r1)
        g, c = np.meshgrid(lines, lines)
        dg, dc = jax.vmap(jax.vmap(move))(g, c)
        ax.quiver(g, c, dg, dc, color="#999999")
        ax.plot(*path(move), color="#0072B2")
        ax.plot(1.0, 0.0, "o", color="#D55E00")
        ax.set_title(f"{name}, R1 {r1:g}")
        ax.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), xlabel="g, generator", ylabel="c, critic")

# %% [markdown]
# Without a penalty the players circle around the equilibrium, and with steps of finite length they leave it. R1 bends every
# field inwards. That is why the presets of this package have it.
#
# ## A GAN on points
#
# The perceptrons of `mlp_gan` take pictures of any shape, a point (2,) among them. Data: eight heaps on a ring.


# %%
def heaps(key, num):
    which, noise = jax.random.split(key)
    angle = jax.random.randint(which, (num,), 0, 8) * (jnp.pi / 4)
    return 0.7 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1) + 0.03 * jax.random.normal(noise, (num, 2))


def game(frames=24, every=50, **step):
    """States at equal distances of a training on the ring."""
    options = {"d_steps": 1, "g_steps": 1, "r1_gamma": 0.0, "ema_decay": 0.0} | step
    optimizer = {"learning_rate": 1e-3, "b1": 0.0, "b2": 0.9}
    alg = ga.build(
        "mlp_gan", image_shape=(2,), latent_dim=2, hidden=(64, 64), conditions=(), step=options, optimizer=optimizer
    )
    key = jax.random.key(0)
    batch = lambda i: {"image": jnp.clip(heaps(jax.random.fold_in(key, i), 256), -1, 1), "condition": {}}
    state = ga.jit(alg.init)(key, batch(0))

    def advance(state):
        one = lambda state, _: (alg.step(state, batch(state.step), key, due=())[0], None)
        return jax.lax.scan(one, state, None, every)[0]

    advance = ga.jit(advance)
    states = [state]
    for _ in range(frames - 1):
        states.append(advance(states[-1]))
    return alg, states


plain = game()
penalised = game(critic_terms=("r1=0.1", "r2=0.1"))

# %% [markdown]
# The colour is the critic's score, the arrows its gradient at generated points: where each of them is told to go.

# %%
import io

from IPython.display import Image as Shown
from PIL import Image

across = np.linspace(-1, 1, 40)
places = jnp.stack(np.meshgrid(across, across), -1).reshape(-1, 2).astype(jnp.float32)
real, latents = heaps(jax.random.key(7), 200), jax.random.normal(jax.random.key(8), (200, 2))


def views(alg, states):
    """Scores everywhere, generated points and the arrows at them, of all states at once."""

    def one(state):
        score = lambda x: ga.run(alg, state, "critic", x, {}, average=False)[0]
        points = ga.run(alg, state, "generator", latents, {}, average=False)[0]
        return score(places), points, jax.grad(lambda x: score(x).sum())(points)

    return ga.jit(jax.vmap(one))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))


def draw(ax, seen, frame, title):
    score, points, arrows = (np.asarray(one[frame]) for one in seen)
    length = np.linalg.norm(arrows, axis=1, keepdims=True) + 1e-6
    ax.imshow(score.reshape(40, 40), extent=(-1, 1, -1, 1), origin="lower", cmap=plt.get_cmap("Greys", 8), alpha=0.6)
    ax.plot(*real.T, ".", ms=2, color="#0072B2")
    ax.quiver(*points.T, *(arrows / length * np.tanh(length)).T, color="#D55E00", scale=18, width=0.005)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), xticks=[], yticks=[], title=title)


both = {"no penalty": views(*plain), "R1 and R2": views(*penalised)}
drawn = []
for frame in range(24):
    figure, axes = plt.subplots(1, 2, figsize=(5.2, 2.8), layout="constrained", dpi=60)
    for ax, (name, seen) in zip(axes, both.items()):
        draw(ax, seen, frame, f"{name}, step {50 * frame}")
    buffer = io.BytesIO()
    figure.savefig(buffer)
    plt.close(figure)
    drawn.append(Image.open(buffer).convert("RGB").quantize(48))
buffer = io.BytesIO()
drawn[0].save(buffer, "GIF", save_all=True, append_images=drawn[1:], duration=200, loop=0, optimize=True)
Shown(buffer.getvalue(), format="gif")

# %% [markdown]
# Blue is data, orange is made. How many heaps does each reach in the end?

# %%
centres = 0.7 * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1)
for name, (_, points, _) in both.items():
    distance = np.linalg.norm(np.asarray(points[-1])[:, None] - centres, axis=2)
    near = distance.min(1) < 0.12
    reached = len(set(distance.argmin(1)[near]))
    print(f"{name}: {reached} of 8 heaps, {near.mean():.0%} of the points are near one")

# %% [markdown]
# One seed says little. [Notebook 4](04_a_table_in_one_vmap.ipynb) plays the game with every loss, with many seeds, at once.
