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
# # A sweep: learning rates and seeds as an axis
#
# Is a rate of 1e-3 better than 3e-4? One run of each does not tell. Members of a sweep are trained side by side in one
# program, each as if it had been trained alone; here five rates with six seeds each.

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
import json
from pathlib import Path

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
run = ga.configure(
    "mlp_vae", hidden=64, latent_dim=16,
    sweep={"seeds": 6, "optimizer": {"learning_rate": RATES}},
    train={"steps": 400, "batch": 32, "log_every": 50, "sample_every": 0, "save_every": 0},
)  # fmt: skip
directory = Path(ga.fit(run, "runs/sweep"))
summary = json.loads((directory / "summary.json").read_text())["sweep"]
print(len(summary["members"]), "members;", summary["members"][0].keys())

# %% [markdown]
# ## Intervals
#
# The mean over seeds with a 95 % interval by Student's t; every seed is drawn, as six numbers can be looked at.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

plt.rcParams |= {"figure.dpi": 60, "font.size": 9}
NAME = "bits_per_dim"
values = np.array(
    [[m["test"][NAME] for m in summary["members"] if m["learning_rate"] == rate] for rate in RATES], float
)
mean, error = values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1])
reach = stats.t.ppf(0.975, values.shape[1] - 1) * error
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
axes[0].plot(RATES, values, ".", color="#999999")
axes[0].errorbar(RATES, mean, reach, color="#0072B2", marker="o", capsize=3)
axes[0].set(xscale="log", xlabel="learning rate", ylabel=f"test {NAME}, lower is better")
for i, rate in enumerate(RATES):
    curves = []
    for m in summary["members"]:
        if m["learning_rate"] == rate:
            lines = (directory / "members" / str(m["member"]) / "metrics.jsonl").read_text().splitlines()
            rows = [json.loads(line) for line in lines]
            curves.append([(row["step"], row["loss"]) for row in rows if "loss" in row])
    curves = np.array(curves, float)
    axes[1].fill_between(curves[0, :, 0], curves[..., 1].min(0), curves[..., 1].max(0), alpha=0.3, color=f"C{i}")
    axes[1].plot(curves[0, :, 0], curves[..., 1].mean(0), color=f"C{i}", label=f"{rate:g}")
axes[1].set(xlabel="step", ylabel="training loss; bands: all seeds")
axes[1].legend(title="rate")
for rate, m, r in zip(RATES, mean, reach):
    print(f"{rate:g}: {m:.3f} +- {r:.3f}")

# %% [markdown]
# ## Which one?
#
# All members of one seed start alike and see the same pictures. So differences are taken seed by seed, which removes what
# seeds have in common; four comparisons with the best share the error of 5 % (Bonferroni).

# %%
best = int(mean.argmin())
for i, rate in enumerate(RATES):
    if i != best:
        difference = values[i] - values[best]
        reach = stats.t.ppf(1 - 0.025 / 4, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference))
        verdict = "worse" if difference.mean() > reach else "not to be told from it"
        print(f"{rate:g} against {RATES[best]:g}: {difference.mean():+.3f} +- {reach:.3f}, {verdict}")

# %% [markdown]
# What to keep in mind:
#
# - A choice by the test split makes the test split a part of training: the number of the chosen one is too good. Choose on
#   a validation split (`data.validation`), or on seeds that you do not report.
# - The best rate for 400 steps is not that for 40,000.
# - The members that collapsed are counted in `summary["settings"]`, and `genart plot runs/sweep` draws them all.
