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
# Train a small GAN on the icons that come with the package, look at what it draws, ask for a style, look inside.
# The settings are for a minute on a CPU; `make demo` trains a larger one of the same kind for eight.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("genart_jax") is None:  # an installed JAX that is good enough is left alone
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "genart_jax[plots]"], check=True)

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
# `ga.load` gives the algorithm, a set of pure functions, and the state that training has left. Conditions are integers in
# the order of `class_names`; after so few steps they show in colours and outlines.

# %%
alg, state = ga.load(directory)
print({name: [one.name for one in use.inputs] for name, use in alg.uses.items()})
key = jax.random.key(0)
sample = ga.jit(alg.sample, static_argnums=2)
images = sample(state, key, 24, {"style": 0})
ga.make_grid(images, columns=12, scale=2)

# %% [markdown]
# The way from one latent to another, in two styles:

# %%
import jax.numpy as jnp

z = jax.random.normal(jax.random.key(3), (2, *alg.uses["decode"].of_kind("latents")[0].shape))
share = jnp.linspace(0, 1, 12)[:, None]
between = jnp.sqrt(1 - share) * z[0] + jnp.sqrt(share) * z[1]  # as long as a normal vector is
decode = ga.jit(alg.decode)
rows = [decode(state, between, {"style": style, "shape": 5, "color": 0}) for style in (0, 2)]
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
