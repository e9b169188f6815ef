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
# # What a CNN sees
#
# Two classifiers come with the package: one tells the style of an icon, one what it shows. Here they are opened: which pixels
# speak for an answer, whether such a map can be believed, what the network looks for, and how it lays pictures out.

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
# ## Answers
#
# Twelve icons that neither has been trained on.

# %%
import jax.numpy as jnp
import numpy as np

style, shape = ga.load("icons_style"), ga.load("icons_shape")
test = ga.open_data("emoji").test.arrays
chosen = np.random.default_rng(8).permutation(len(test["image"]))[:12]
images = ga.to_float(test["image"][chosen])
for model, label in ((style, "style"), (shape, "shape")):
    names, logits = model.class_names[label], ga.jit(model.algorithm.predict)(model.state, images)
    right = np.asarray(logits.argmax(1)) == test[label][chosen]
    print(label, ", ".join(f"{names[i]}{'' if ok else ' (no)'}" for i, ok in zip(logits.argmax(1), right)))
ga.make_grid(images, columns=12, scale=2)

# %% [markdown]
# ## Which pixels?
#
# Four answers, for the likeliest class of each icon by the classifier of what it shows. The *gradient* says which pixels would
# change the score most, here smoothed over noisy copies. *Integrated gradients* share the score out among the pixels, red for
# and blue against. *Occlusion* covers a square at a time and looks at the score. *Grad-CAM* asks a stage of the network.

# %%
from genart_jax.use.explain.draw import heat, laid_over

pixels = np.asarray(ga.to_uint8(images))
METHODS = ("smooth_grad", "integrated_gradients", "occlusion", "grad_cam")
maps = {name: ga.explain(shape, images, name) for name in METHODS}
rows = [pixels, *(laid_over(pixels, heat(maps[name], signed=name in METHODS[1:3])) for name in METHODS)]
print("rows: the icons, then", ", ".join(METHODS))
ga.make_grid(np.concatenate(rows), columns=12, scale=2)

# %% [markdown]
# Integrated gradients are complete: a map's sum is the score of the picture less that of a white one, and with more steps
# on the way the rest goes to nothing. That is a promise that can be checked.

# %%
from genart_jax.use.explain.attribution import integrated_gradients
from genart_jax.use.explain.seen import see

seen = see(shape, what=2)  # the score of flags
for steps in (4, 16, 64):
    _, rest = integrated_gradients(seen, images, steps=steps)
    print(f"{steps:3d} steps: what is left is {float(jnp.abs(rest).mean()):.4f} on average")

# %% [markdown]
# ## Can a map be believed?
#
# A map that looks the same when the weights are random shows edges of the picture, and nothing of what was learnt (Adebayo et
# al. 2018). The rank correlation of each method's maps with those of the same network whose weights are drawn anew:

# %%
from genart_jax.use.explain import MAPS, sanity

answers = ga.jit(shape.algorithm.predict)(shape.state, images).argmax(1)  # the questions stay, whatever the weights
for name in ("saliency", "integrated_gradients", "grad_cam"):

    def explanation(model, name=name):
        return MAPS[name](see(model, what=answers), images, jax.random.key(0), "")

    found = sanity.randomised(shape, "classifier", explanation, jax.random.key(1))
    print(f"{name:21s}", ", ".join(f"{module} {value:.2f}" for module, value in found.items()))

# %% [markdown]
# Near 0 a map depends on the weights, near 1 it does not. The gradient passes, Grad-CAM more or less. Integrated gradients do not: they
# multiply by how far a pixel is from white, so that an icon's outline is in the map of any network, and only the signs within
# are of this one. Their colours are worth a look, their shape is not.
#
# ## What does it look for?
#
# Pictures that raise the score of each of the five styles, by ascent from noise, with a price on differences of neighbours; and
# the kernels of the first convolution.
# The networks have five small convolutions: there are no drawings to be found, but the gratings and edges that they go by.

# %%
from genart_jax.use.explain import channels, dream

key = jax.random.key(0)
asked = [dream.visualise(see(style, what=i), key, steps=64, smooth=2.0, jitter=3)[0] for i in range(5)]
print(", ".join(style.class_names["style"]))
ga.make_grid(jnp.stack(asked), columns=5, scale=3)

# %%
ga.make_grid(channels.filters(style, "classifier")[:32], columns=16, scale=8)

# %% [markdown]
# More of what a stage sees in a picture, at several sizes: DeepDream, of a size that the network was never trained on.

# %%
picture = np.concatenate([np.concatenate(pixels[i : i + 3], axis=1) for i in (0, 3)], axis=0)
large = jax.image.resize(ga.to_float(picture), (2 * picture.shape[0], 2 * picture.shape[1], 3), "cubic")
dreamt = [dream.deep_dream(see(shape), jnp.clip(large, -1, 1), key, stage) for stage in ("stage_0", "stage_1")]
ga.make_grid(jnp.stack([jnp.clip(large, -1, 1), *dreamt]), columns=3)

# %% [markdown]
# ## Its features as a space
#
# The layer before the answer puts alike what is alike to the network. The nearest icons of the training data, by the cosine:

# %%
from genart_jax.use.explain import space

train = ga.open_data("emoji").train.arrays
some = np.random.default_rng(0).permutation(len(train["image"]))[:1500]
bank = space.features(see(shape), np.asarray(ga.to_float(train["image"][some])), "stage_2")
order, cosine = space.nearest(space.features(see(shape), np.asarray(images[:4]), "stage_2"), bank, num=9)
rows = [np.concatenate([pixels[i : i + 1], train["image"][some][order[i]]]) for i in range(4)]
ga.make_grid(np.concatenate(rows), columns=10, scale=2)

# %% [markdown]
# All of them on a plane, by two principal components, and the classes that it was trained to tell:

# %%
import matplotlib.pyplot as plt

plt.rcParams |= {"figure.dpi": 60, "font.size": 9}
places, names = space.embed(bank), shape.class_names["shape"]
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for i, name in enumerate(names):
    here = train["shape"][some] == i
    ax.plot(*places[here].T, ".", ms=4, color=plt.cm.tab10(i), label=name)
ax.set(xlabel="first component", ylabel="second")
_ = ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)

# %% [markdown]
# Is there a direction for a concept that it does not answer with, such as *yellow*? (Its training named styles and colours too; what
# is here is the head of shapes.) A linear classifier on a stage, averaged over places, says how well it can be read there; and the
# gradient along it says for how many pictures of a class the answer uses it (Kim et al. 2018).

# %%
color, within = ga.open_data("emoji").class_names["color"], "stage_1"
found = space.features(see(shape), np.asarray(ga.to_float(train["image"][some])), within)
for concept in ("yellow", "blue", "neutral"):
    has = train["color"][some] == color.index(concept)
    direction = space.concept(found[has], found[~has])
    used = []
    for name in ("smileys", "food", "symbols"):
        number = names.index(name)
        of_class = ga.to_float(test["image"][test["shape"] == number][:32])
        share = space.concept_score(see(shape, what=number), of_class, within, direction.direction)
        used.append(f"{name} in {share:.0%}")
    print(f"{concept:8s} read with {direction.accuracy:.0%}; speaks for", ", ".join(used))

# %% [markdown]
# ## And a generator?
#
# The same with the GAN that comes with the package: what is drawn without single channels of a stage (Bau et al. 2019), the
# most effective first. Above, all channels are there.

# %%
icons = ga.load("icons")
z = jax.random.normal(jax.random.key(4), (12, *icons.algorithm.uses["decode"].of_kind("latents")[0].shape))
told = {"style": jnp.full(12, 2), "shape": jnp.full(12, 6), "color": jnp.full(12, 2)}
found = channels.ablate(icons, z, told, most=3)
print("channels", found.channels, "change a pixel by", [round(effect, 3) for effect in found.effects])
ga.make_grid(np.concatenate([found.whole, *found.without]), columns=12, scale=2)

# %% [markdown]
# Colours can be read almost without mistakes, and yellow speaks for most smileys. So does blue: such a number is of a direction in a
# stage, and not of the colour alone. And single channels of a generator change a grin or a glance, not a whole face: none is
# *the* mouth.
#
# On the command line the same is `genart explain icons_shape cat.png --method grad_cam`; [what each method says](../docs/explain.md).
