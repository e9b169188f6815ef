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
# # Repair a photograph
#
# Enlarge a picture, fill what is lost, lift a haze, undo bad light. Each is a network from pictures to pictures, trained on
# damage that is made on purpose, so that what was there before is known. Each is held here against what is done without any
# learning, on one photograph. All four networks come with the package (`genart list --trained`), and were trained on photographs
# that anybody may use.

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
# ## A photograph
#
# Matplotlib comes with one: Grace Hopper in 1984, by the US Navy, in the public domain. None of the networks has seen it.

# %%
import numpy as np
from matplotlib import cbook
from PIL import Image

with cbook.get_sample_data("grace_hopper.jpg") as file:
    photo = np.asarray(Image.open(file).convert("RGB").resize((256, 300), Image.Resampling.LANCZOS))[8:264]
Image.fromarray(photo)

# %% [markdown]
# Decibels say how near two pictures are, pixel by pixel: 6 more is half the error. They do not say whether a picture is
# beautiful.

# %%
from genart_jax.evaluate.restoration import measures


def decibels(what, **made):
    """PSNR on RGB of each way against the photograph, and the pictures in that order, the photograph last."""
    found = {name: float(measures(what[None], one[None], 0)["psnr_rgb"][0]) for name, one in made.items()}
    print(", ".join(f"{name.replace('_', ' ')} {value:.2f} dB" for name, value in found.items()))
    return ga.make_grid(np.stack([*made.values(), what]), columns=len(made) + 1)


# %% [markdown]
# ## Twice as large
#
# Somebody has kept half of the pixels. Bicubic interpolation lays a smooth surface through them; the network adds what edges
# usually look like.

# %%
small = np.asarray(Image.fromarray(photo).resize((128, 128), Image.Resampling.BICUBIC))
bicubic = np.asarray(Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC))
decibels(photo, bicubic=bicubic, network=ga.transform("super_resolution", small))

# %% [markdown]
# ## What is lost
#
# A brush went over it. Without learning one lets the colours flow in from the edge of each hole until nothing changes any more.

# %%
keys = jax.random.split(jax.random.key(5), 1)
damaged, parameters = ga.degrade.free_form(ga.to_float(photo[None]), keys, strokes=8, thickness=(0.012, 0.03))
damaged, mask = ga.to_uint8(damaged)[0], np.asarray(parameters["mask"])[0, ..., 0] > 0


def flowed(picture, mask, rounds=600):
    x = np.where(mask[..., None], picture[~mask].mean(0), picture).astype(np.float32)
    for _ in range(rounds):
        around = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (around[2:, 1:-1] + around[:-2, 1:-1] + around[1:-1, 2:] + around[1:-1, :-2]) / 4
        x = np.where(mask[..., None], mean, x)
    return np.rint(x).astype(np.uint8)


filled = ga.transform("inpaint", damaged, mask=mask)
decibels(photo, damaged=damaged, flowed=flowed(damaged, mask), network=filled)

# %% [markdown]
# In decibels a smooth filling is hard to beat: where nothing is known, a mean is the safest guess. Look at edges instead, at the
# frame of the glasses and the gold of the cap.
#
# ## Haze
#
# Haze adds the colour of the air, more of it where things are far. The dark channel prior (He et al. 2009) holds that in any
# small square something is dark in one colour, so what is not dark there is air.

# %%
from scipy import ndimage

hazy = ga.to_uint8(ga.degrade.haze(ga.to_float(photo[None]), keys, beta=(1.0, 1.0), airlight=(0.9, 0.9)).image)[0]


def dark_channel(picture, side=15):
    x = picture / 255.0
    dark = ndimage.minimum_filter(x.min(-1), side)
    air = x.reshape(-1, 3)[np.argsort(dark.ravel())[-dark.size // 1000 :]].max(0)
    clear = 1 - 0.95 * ndimage.minimum_filter((x / air).min(-1), side)
    clear = np.maximum(ndimage.uniform_filter(clear, 2 * side), 0.1)[..., None]
    return np.rint(255 * np.clip((x - air) / clear + air, 0, 1)).astype(np.uint8)


decibels(photo, hazy=hazy, dark_channel=dark_channel(hazy), network=ga.transform("dehaze", hazy))

# %% [markdown]
# ## Bad light
#
# Dark, of the wrong colour, noisy. Without learning: each channel by a power that brings its mean to the middle.

# %%
from functools import partial

night = ga.degrade.chain(
    light=partial(ga.degrade.low_light, gain=(0.8, 0.8), exponent=(1.6, 1.6), exposure=(1.0, 1.0)),
    cast=partial(ga.degrade.color_cast, gain=(0.8, 1.2)),
    noise=partial(ga.degrade.gaussian_noise, sigma=(0.03, 0.03)),
)
poor = ga.to_uint8(night(ga.to_float(photo[None]), keys).image)[0]
shares = np.clip(poor / 255.0, 1e-6, 1)
power = np.rint(255 * shares ** (np.log(0.5) / np.log(shares.mean((0, 1))))).astype(np.uint8)
decibels(photo, poor=poor, by_a_power=power, network=ga.transform("enhance", poor))

# %% [markdown]
# A whole folder: `genart transform enhance holiday/ --out better/`, pictures of any size and mode, in tiles where they are large.
# Networks of your own, with your pictures and your damage: [From picture to picture](../docs/restoration.md).
