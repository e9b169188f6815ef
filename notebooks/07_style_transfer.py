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
# # Style transfer
#
# Gatys, Ecker and Bethge (2016): the pixels are the parameters. A picture is wanted whose deep activations are those of the
# content, and whose statistics of activations are those of the style. `genart stylize` does it coarse to fine; here is one
# scale, step by step. Networks that paint in one pass are on the [models' pages](../models/index.md) as they come.

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
# ## A content and a style
#
# Icons for the content; for the style a painting by numbers, so that nothing has to be downloaded.

# %%
import numpy as np
from PIL import Image

data = ga.open_data("emoji")
icons = data.test.arrays["image"]
content = np.concatenate([np.concatenate(icons[i : i + 2], axis=1) for i in (12, 40)], axis=0)
content = np.asarray(Image.fromarray(content).resize((96, 96), Image.Resampling.BICUBIC))

rng = np.random.default_rng(3)
y, x = np.mgrid[0:96, 0:96] / 96
waves = sum(
    np.sin(2 * np.pi * (a * x + b * y) + 3 * np.sin(2 * np.pi * (b * x - a * y)) + p)
    for a, b, p in rng.uniform([-3, -3, 0], [3, 3, 6.3], (4, 3))
)
colors = np.array([[20, 40, 110], [60, 130, 200], [240, 230, 200], [230, 160, 40], [150, 40, 30]])
style = colors[np.clip((waves + 2.5).astype(int), 0, 4)].astype(np.uint8)
both = [Image.fromarray(one) for one in (content, style)]
both[0].save("content.png")
both[1].save("style.png")
ga.make_grid(np.stack([content, style]), scale=2)

# %% [markdown]
# ## The network
#
# VGG19 with its published weights where it was fetched (`genart assets fetch vgg19`), and else one with random kernels:
# textures are caught by those too (Ustyuzhaninov et al. 2017), contents less.

# %%
from genart_jax import assets

try:
    assets.verify("vgg19")
    options = {}
    print("VGG19")
except ga.UserError as error:
    print(error)
    options = {
        "features": "", "widths": (32, 64, 128), "depths": (2, 2, 2),
        "content_layers": ("relu2_2",), "style_layers": ("relu1_1", "relu2_1", "relu3_1"),
    }  # fmt: skip


def paint(directory, weight=1.0, steps=40, **more):
    """One scale: a run of `gatys`, whose data is the content and the style."""
    run = ga.configure(
        "gatys", **options, **more, step={"style_weight": base.step.style_weight * weight},
        data={"source": "pictures:content.png:style.png", "image_size": (96, 96)},
        train={"steps": steps, "log_every": 10, "sample_every": 0, "save_every": 0}, parallel={"data": 1},
    )  # fmt: skip
    ga.fit(run, directory)
    alg, state = ga.load(directory)
    return ga.jit(alg.transform)(state, ga.to_float(content[None]), jax.random.key(0))[0]


base = ga.configure("gatys")
pictures = [paint(f"runs/style_{weight:g}", weight) for weight in (0.1, 1.0, 10.0)]
ga.make_grid(np.stack(pictures), columns=3, scale=2)

# %% [markdown]
# From left to right the style weighs a tenth, as the preset says, and ten times as much. What the descent did:

# %%
from pathlib import Path

from genart_jax.train.log import read_rows

for row in read_rows(Path("runs/style_1") / "metrics.jsonl"):
    print({name: round(value, 4) for name, value in row.items() if "loss" in name or name == "step"})

# %% [markdown]
# On the command line: `genart stylize photo.jpg painting.jpg --out new.jpg`, with scales, and `--keep-color`.
