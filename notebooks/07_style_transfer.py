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
# # Style transfer, three ways
#
# A picture is wanted whose deep activations are those of a content, and whose statistics of activations are those of a style.
# Gatys et al. (2016) descend on the pixels. A network with a scale and a shift for each style (Dumoulin et al. 2017) paints in
# those that it has learnt, by one pass. Adaptive instance normalisation (Huang & Belongie 2017) does so in the style of any
# picture.

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
# ## A content and three styles
#
# Icons for the content; for the styles paintings by numbers, so that nothing has to be downloaded.

# %%
from pathlib import Path

import numpy as np
from PIL import Image

data = ga.open_data("emoji")
icons = data.test.arrays["image"]
content = np.concatenate([np.concatenate(icons[i : i + 2], axis=1) for i in (12, 40)], axis=0)
content = np.asarray(Image.fromarray(content).resize((96, 96), Image.Resampling.BICUBIC))


def painting(kind, rng, side):
    """Waves, dots or strokes, in five colours each."""
    y, x = np.mgrid[0:side, 0:side] / 96
    if kind == "waves":
        values = sum(
            np.sin(2 * np.pi * (a * x + b * y) + 3 * np.sin(2 * np.pi * (b * x - a * y)) + p)
            for a, b, p in rng.uniform([-3, -3, 0], [3, 3, 6.3], (4, 3))
        )
        colors = [[20, 40, 110], [60, 130, 200], [240, 230, 200], [230, 160, 40], [150, 40, 30]]
    elif kind == "dots":
        at = rng.uniform(0, side / 96, (side, 2))
        near = np.argmin((x[..., None] - at[:, 0]) ** 2 + (y[..., None] - at[:, 1]) ** 2, axis=-1)
        values = rng.uniform(-2.5, 2.5, side)[near]
        colors = [[250, 240, 225], [240, 120, 140], [90, 60, 140], [70, 170, 160], [250, 200, 80]]
    else:
        turn = rng.uniform(0.6, 0.9)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        rows = np.floor(24 * across).astype(int)
        shift = rng.uniform(0, 1, 400)[rows % 400]
        values = 2.4 * np.sin(2 * np.pi * (5 * along + 7 * shift)) + rng.uniform(-0.5, 0.5, 400)[rows % 400]
        colors = [[35, 35, 35], [120, 120, 115], [205, 200, 190], [245, 242, 235], [200, 60, 40]]
    return np.array(colors)[np.clip((values + 2.5).astype(int), 0, 4)].astype(np.uint8)


KINDS = ("dots", "strokes", "waves")
styles = {kind: painting(kind, np.random.default_rng(3), 96) for kind in KINDS}
ga.make_grid(np.stack([content, *styles.values()]), columns=4, scale=2)

# %% [markdown]
# ## 1. The pixels are the parameters
#
# `genart stylize` does it coarse to fine; here is one scale, step by step. The network that compares is VGG19 with its published
# weights where it was fetched (`genart assets fetch vgg19`), and else one with random kernels: textures are caught by those too
# (Ustyuzhaninov et al. 2017), contents less.

# %%
from genart_jax import assets

Image.fromarray(content).save("content.png")
Image.fromarray(styles["waves"]).save("style.png")
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


def paint(directory, weight=1.0, steps=30):
    """One scale: a run of `gatys`, whose data is the content and the style."""
    run = ga.configure(
        "gatys", **options, step={"style_weight": base.step.style_weight * weight},
        data={"source": "pictures:content.png:style.png", "image_size": 96},
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
for row in ga.read_rows(Path("runs/style_1") / "metrics.jsonl"):
    print({name: round(value, 4) for name, value in row.items() if "loss" in name or name == "step"})

# %% [markdown]
# ## 2. Many styles in one network
#
# A network is trained once, for hours, and then paints in a moment; each style is a few numbers of it. One of 26 styles is
# published (`genart assets fetch multistyle26`); `genart train multistyle` makes one of your paintings.

# %%
large = np.asarray(Image.fromarray(content).resize((192, 192), Image.Resampling.BICUBIC))
CHOSEN = (1, 7, 18)


def learnt(style, **more):
    return ga.stylize(large, style, method="multistyle", network="multistyle26", **more)


try:
    # Pictures, and mixtures of the numbers of the first two styles.
    rows = [*(learnt(one) for one in CHOSEN), *(learnt([*CHOSEN[:2]], mix=(1 - s, s)) for s in (0.25, 0.5, 0.75))]
except ga.UserError as error:
    print(error)
    rows = [large]
ga.make_grid(np.stack(rows), columns=3)

# %% [markdown]
# ## 3. Any style in one pass
#
# `adain` knows no style by name. The features of the content get the means and deviations of those of a picture, and a decoder
# makes a picture of them. Over VGG19 that wants a longer training ([how](../docs/styles.md)); here are two stages of random
# kernels, and a decoder that learns in a few seconds to rebuild pictures, icons and paintings, and nothing else.

# %%
for kind in ("paintings", "contents"):
    Path(kind).mkdir()
for i in range(48):
    Image.fromarray(painting(KINDS[i % 3], np.random.default_rng(100 + i), 32)).save(Path("paintings") / f"{i}.png")
for i in np.random.default_rng(0).permutation(data.train.size)[:300]:
    Image.fromarray(data.train.arrays["image"][i]).save(Path("contents") / f"{i}.png")
    Image.fromarray(painting(KINDS[i % 3], np.random.default_rng(i), 32)).save(Path("contents") / f"painting_{i}.png")

run = ga.configure(
    "adain", features="", widths=(32, 64), depths=(1, 1), layers=("relu1_1", "relu2_1"), decoder=32, scale=1.0,
    data={"source": "folder:paintings", "other": "folder:contents", "image_size": 32}, optimizer={"learning_rate": 3e-3},
    step={"pixel_weight": 1.0, "content_weight": 0.0, "style_weight": 0.0},
    train={"steps": 300, "batch": 16, "log_every": 100, "sample_every": 0, "save_every": 0},
)  # fmt: skip
ga.fit(run, "runs/adain")
negative = 255 - styles["waves"]  # a style that nobody has trained on
asked = [*styles.values(), negative]
painted = [ga.stylize(content, style, method="adain", network="runs/adain") for style in asked]
half = [ga.stylize(content, style, method="adain", network="runs/adain", strength=0.5) for style in asked]
ga.make_grid(np.stack([*asked, *half, *painted]), columns=4, scale=2)

# %% [markdown]
# Above the styles, below the content in them by half and wholly. So few and shallow features hold colours and contrasts, and
# hardly a stroke: what a texture is lies deeper, in the layers of VGG19 that the first way has looked at.
#
# What each costs and gives: Gatys' method needs a descent for each picture, and catches a style best; a network of learnt styles
# is small and fast, and knows only those; `adain` takes any. On the command line:
# `genart stylize photo.jpg painting.jpg --out new.jpg`, with `--method adain` or `multistyle`.
