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
# # A VAE's latent space
#
# A VAE has an encoder, so one can ask where a picture is, walk from there, do arithmetic, and draw it in another style. The
# conditions are given to encoder and decoder, so the latent need not hold them.

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
import jax.numpy as jnp

run = ga.configure(
    "conv_vae", width=16, hidden=128, latent_dim=32, conditions=("style",), optimizer={"learning_rate": 2e-3},
    train={"steps": 700, "batch": 64, "log_every": 100, "sample_every": 0, "save_every": 0},
)  # fmt: skip
directory = ga.fit(run, "runs/vae")
alg, state = ga.load(directory)
data = ga.open_data("emoji")
print(alg.networks.keys(), {name: [one.name for one in use.inputs] for name, use in alg.uses.items()})

# %% [markdown]
# ## There and back
#
# Held-out icons above, what the decoder makes of their latents below.

# %%
test = data.test.arrays
images = ga.to_float(test["image"])
styles = jnp.asarray(test["style"], jnp.int32)
key = jax.random.key(0)
encode, decode = ga.jit(alg.encode), ga.jit(alg.decode)
latents = encode(state, images, key, {"style": styles})
rebuilt = decode(state, latents[:12], {"style": styles[:12]})
ga.make_grid(jnp.concatenate([images[:12], rebuilt]), columns=12, scale=2)

# %% [markdown]
# ## Which coordinates say something?
#
# A coordinate that the decoder does not use stays at its prior: its mean is 0 for every picture. The divergence of each:

# %%
import matplotlib.pyplot as plt
import numpy as np

plt.rcParams |= {"figure.dpi": 60, "font.size": 9}
(mean, log_variance), _ = ga.run(alg, state, "encoder", images, {"style": styles})
divergence = np.asarray(0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).mean(0))
order = np.argsort(-divergence)
figure, ax = plt.subplots(figsize=(7, 2), layout="constrained")
ax.bar(range(len(order)), divergence[order], color="#0072B2")
_ = ax.set(xlabel="coordinate, sorted", ylabel="KL, nats")

# %% [markdown]
# ## Traversal
#
# One icon, its three busiest coordinates moved from -3 to 3.

# %%
steps = jnp.linspace(-3, 3, 12)
rows = [jnp.tile(latents[4], (12, 1)).at[:, int(order[i])].set(steps) for i in range(3)]
ga.make_grid(decode(state, jnp.concatenate(rows), {"style": styles[4]}), columns=12, scale=2)

# %% [markdown]
# ## Arithmetic
#
# The mean of all yellow icons less the mean of all blue ones is a direction. Added to others:

# %%
names = data.class_names["color"]
train = data.train.arrays
some = slice(0, 3000)
known = encode(state, ga.to_float(train["image"][some]), key, {"style": jnp.asarray(train["style"][some], jnp.int32)})
colors = train["color"][some]
yellow, blue = (known[colors == names.index(name)].mean(0) for name in ("yellow", "blue"))
chosen = np.flatnonzero(test["color"] == names.index("yellow"))[:12]
moved = latents[chosen] + (blue - yellow)
shown = [images[chosen], decode(state, moved, {"style": styles[chosen]})]
ga.make_grid(jnp.concatenate(shown), columns=12, scale=2)

# %% [markdown]
# ## Another style
#
# The latent of an icon, decoded with the condition changed: the icons, then all five styles of each. This wants a decoder that has
# learnt what a style is, and so more steps than the one above had. One that was trained with a critic and with the features of
# a frozen network beside its bound (`vae_gan`) comes with the package.

# %%
icons = ga.load("icons_vae")
chosen = jnp.arange(12, 24)
told = {name: jnp.asarray(test[name][chosen], jnp.int32) for name in ("style", "shape", "color")}
some = ga.jit(icons.algorithm.encode)(icons.state, images[chosen], key, told)
decode = ga.jit(icons.algorithm.decode)
rows = [images[chosen], *(decode(icons.state, some, told | {"style": jnp.full(12, i)}) for i in range(5))]
print(", ".join(icons.class_names["style"]), "from the second row on")
ga.make_grid(jnp.concatenate(rows), columns=12, scale=2)

# %% [markdown]
# The last style, black lines and strong contrast, shows; the first four differ in strokes that are finer than what is drawn here.
# The icons above are blurred, as an average is what a Gaussian decoder is asked for; with the critic lines are lines. What is drawn
# of the prior instead of an icon is textures still: a GAN in the latent space (`latent_gan`), or codes and a prior over them
# (`vqvae`, `code_prior`), are better at that.
