# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quick start
#
# Train a small GAN on the icons that come with the package, look at what it draws, ask for a style, look inside. The settings
# are for a minute on a CPU; one of the same kind that was trained for longer comes with the package, and is shown beside it.

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
# ## Data
#
# 7,745 icons in five drawing styles. Any folder of pictures would do as well: `ga.open_data("folder:DIR")`.

# %%
data = ga.open_data("emoji")
print(data.train.size, "to train on,", data.test.size, "to test on;", data.spec.image_shape, data.class_names["style"])
ga.make_grid(data.train.arrays["image"][:24], columns=12, scale=2)

# %% [markdown]
# ## Training
#
# A configuration is a dataclass; `ga.fit` makes a run directory of it, and goes on with one that is there.

# %%
train = {"steps": 400, "log_every": 50, "sample_every": 200}
run = ga.configure("modgan", width=8, critic_width=16, train=train)


def tell(event, values):
    if event == "log":
        losses = [f"{name} {values['metrics'][f'{name}_loss']:.3f}" for name in ("critic", "generator")]
        print(f"step {values['step']:4d}: {', '.join(losses)}")


directory = ga.fit(run, "runs/quick", callback=tell)

# %% [markdown]
# ## Pictures
#
# `ga.load` gives the algorithm, a set of pure functions, and the state that training has left. Conditions are named, or are
# integers in the order of `class_names`.

# %%
alg, state = ga.load(directory)
print({name: [one.name for one in use.inputs] for name, use in alg.uses.items()})
key = jax.random.key(0)
images = ga.jit(alg.sample, static_argnums=2)(state, key, 24, {"style": 0})
ga.make_grid(images, columns=12, scale=2)

# %% [markdown]
# After 400 steps of a small network these are blots: colours are right, and something of an outline, and no more. That is what
# a quarter of a minute buys. A model of the same kind comes with the package; it is four times as wide and was trained for
# 18,000 steps. The same latents in each of the five styles, one a row:

# %%
import jax.numpy as jnp

icons = ga.load("icons")
z = jax.random.normal(jax.random.key(3), (12, *icons.algorithm.uses["decode"].of_kind("latents")[0].shape))
decode = ga.jit(icons.algorithm.decode)
shapes, colors = jnp.arange(12) % 9, jnp.arange(12) % 10
rows = [decode(icons.state, z, {"style": style, "shape": shapes, "color": colors}) for style in range(5)]
print(", ".join(icons.class_names["style"]), "from above;", ", ".join(icons.class_names["shape"]), "from the left")
ga.make_grid(jnp.concatenate(rows), columns=12, scale=2)

# %% [markdown]
# Colours are kept to, outlines are clean, and the last style is another one at a glance; the first four differ less, as they do in
# the data. Faces are faces; much else is a shape that nobody has drawn, the more so where subject and colour seldom go together,
# as here ([how far this is from real icons](../benchmarks/results/demo_tries.md)). The way from one latent to
# another, for a smiley in two styles:

# %%
share = jnp.linspace(0, 1, 12)[:, None]
between = jnp.sqrt(1 - share) * z[0] + jnp.sqrt(share) * z[1]  # as long as a normal vector is
rows = [decode(icons.state, between, {"style": style, "shape": 6, "color": 2}) for style in (0, 2)]
ga.make_grid(jnp.concatenate(rows), columns=12, scale=2)

# %% [markdown]
# ## Inside
#
# Any network is run by its role, with the intermediates that it names.

# %%
told = {name: jnp.zeros(24, jnp.int32) for name, _ in alg.batch_spec.conditions}
scores, seen = ga.run(alg, state, "critic", images, told, capture=None)
{name: value.shape for name, value in seen.items()}

# %% [markdown]
# On the command line the same is `genart train modgan`, `genart sample runs/modgan --condition style=noto` and
# `genart plot runs/modgan`.
