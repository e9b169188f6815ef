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
# # Measuring honestly
#
# A score of generated pictures is a number with conditions: the network that sees them, the filter that resizes, the split,
# how many, which seed. Here they are looked at one by one, with a small classifier as the network, so that nothing has to be
# downloaded; `genart evaluate` takes EfficientNet-lite0, VGG19, Inception or DINOv2.

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
# ## Something to measure
#
# A classifier of styles, and a VAE stopped early and later.

# %%
import numpy as np

quiet = {"sample_every": 0, "save_every": 0, "log_every": 100}
ga.fit(
    ga.configure("simple_cnn", label="style", features=(16, 32), hidden=64, train={"steps": 150, "batch": 64, **quiet}),
    "runs/judge",
)
vae = lambda steps: ga.configure("mlp_vae", hidden=128, latent_dim=16, train={"steps": steps, "batch": 64, **quiet})
for name, steps in (("early", 40), ("later", 400)):
    ga.fit(vae(steps), f"runs/{name}")

# %% [markdown]
# ## A score, and its floor
#
# Two sets of *real* pictures have a distance too: the floor. A distance is to be read beside it.

# %%
from genart_jax.evaluate.scores import score_run

scores = {
    run: {s.name: s for s in score_run(f"runs/{run}", "classifier:runs/judge", num=800)} for run in ("early", "later")
}
for name, score in scores["later"].items():
    other = scores["early"][name]
    error = lambda s: "" if s.standard_error is None else f" +- {s.standard_error:.2g}"
    floor = f"   floor {score.details['floor']:.3g}" if "floor" in score.details else ""
    print(f"{name:34s} early {other.value:8.4g}{error(other):12s} later {score.value:8.4g}{error(score):12s}{floor}")

# %% [markdown]
# ## How many pictures?
#
# The Frechet distance falls with the number of pictures, though the model stays what it is: it has a bias. So numbers of 400 and
# of 4,000 pictures cannot be compared. The kernel distance has none: its mean over draws is the same at any number. But a
# single draw strays, the more so with few pictures, as a kernel of degree 3 weighs the few that lie far out. Points: the mean of
# 20 random draws; bars: from the second smallest to the second largest of them.

# %%
import matplotlib.pyplot as plt

from genart_jax.evaluate.extractors import make_extractor
from genart_jax.metrics import frechet, kernel

plt.rcParams |= {"figure.dpi": 60, "font.size": 9}
judge = make_extractor("classifier:runs/judge")
data = ga.open_data("emoji").train.arrays["image"]
data = data[np.random.default_rng(1).permutation(len(data))]  # they are sorted by style
alg, state = ga.load("runs/later")
made = ga.to_uint8(ga.jit(alg.sample, static_argnums=2)(state, jax.random.key(1), 1600))
features = {"real": judge(data[:1600])[0], "made": judge(made)[0], "others": judge(data[1600:3200])[0]}


# %%
def distance(a, b):
    moments = [frechet.update(frechet.empty(x.shape[1]), x) for x in (a, b)]
    return float(frechet.distance(*moments))


def draws(function, other, size, num=20):
    """The function of `num` random choices of so many pictures on each side, sorted."""
    rng = np.random.default_rng(size)
    choose = lambda x: x[rng.choice(len(x), size, replace=False)]
    return np.sort([function(choose(features["real"]), choose(features[other])) for _ in range(num)])


sizes = (50, 100, 200, 400, 800)
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
for ax, name, function in zip(axes, ("Frechet", "kernel"), (distance, lambda a, b: kernel.polynomial(a, b).value)):
    for what, label, color in (("made", "generated", "#D55E00"), ("others", "real: the floor", "#0072B2")):
        found = np.array([draws(function, what, n) for n in sizes])
        mean = found.mean(1)
        reach = np.maximum([mean - found[:, 1], found[:, -2] - mean], 0)
        ax.errorbar(sizes, mean, reach, fmt="o-", color=color, label=label, capsize=3)
    ax.set(xscale="log", xlabel="pictures on each side", ylabel=f"{name} distance, lower is better")
    ax.set_xticks(sizes, sizes)
    ax.minorticks_off()
    ax.legend()

# %% [markdown]
# ## Contracts
#
# Every score carries what it was made of, and scores of different contracts are refused.

# %%
from genart_jax.evaluate.compare import compare_runs, table

print(scores["later"]["fd_simple_cnn_style"].line())
print()
print(table(compare_runs(["runs/early", "runs/later"])))
score_run("runs/early", "classifier:runs/judge", num=400)
try:
    compare_runs(["runs/early", "runs/later"])
except ga.UserError as error:
    print("refused:", error)

# %% [markdown]
# ## A metric can be fooled
#
# Training pictures with a little noise are copies, and score better than any model. So look for copies as well:
# `genart originality` compares the distances of generated pictures to the training set with those of held-out pictures.

# %%
noisy = np.clip(data[:800].astype(float) + np.random.default_rng(0).normal(0, 4, (800, 32, 32, 3)), 0, 255)
copies = judge(noisy.astype(np.uint8))[0]
print(
    f"copies {distance(features['real'][:800], copies):.2f}, generated {distance(features['real'][:800], features['made'][:800]):.2f}"
)

from genart_jax.evaluate.originality import originality

report = originality("runs/later", extractor=None, num=100, shown=4)
print(report["findings"] or "nothing found")

# %%
from PIL import Image

Image.open("runs/later/originality.png")

# %% [markdown]
# In short: say the network, its weights, the filter, the split, the number and the seeds; give the floor and an error over
# seeds; look at the pictures; look for copies. [What each score says](../docs/metrics.md) and
# [the conventions behind them](../docs/conventions.md).
