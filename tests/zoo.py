"""Small models and batches for tests.

Compiling is what tests spend their time on, so all of them get a model from `tiny`, which returns the same algorithm
for the same options: `jax.jit(algorithm.step)` is then compiled once in a process. Arrays are made and compared by
NumPy: each operation of `jax.numpy` outside of `jit` is compiled for each shape.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from genart_jax.data import media
from genart_jax.types import batch_of

SHAPE = (16, 16, 3)
SHAPES = {"stylegan2": (8, 8, 3), "video_gan": (3, 16, 16, 3), "frame_rnn": (3, 16, 16, 3), "gan3d": (8, 8, 8, 1)}
"""Of others: where each doubling of the side is many more layers to compile, where pictures move, and volumes."""
CONDITIONS = (("style", 5), ("shape", 9))
OF_PARTS = {"diversity", "spread"}
"""Metrics of pairs within each part of a batch: over microbatches or devices, no mean of the whole batch."""
SGD = {"name": "sgd", "learning_rate": 0.05, "b1": 0.0, "schedule": "constant"}


def shape_of(name, shape=None):
    """Of a model's examples: its small one, or pictures' `shape` with frames in front where the model takes videos.

    Volumes are cubes, whatever the shape.
    """
    own = SHAPES.get(name, SHAPE)
    if media.is_volume(own):
        return own
    beside = len(own) - len(SHAPE)  # frames of a video, which a size does not say
    return own if shape is None else (*own[:beside], *shape)


def _frozen(value):
    return tuple(sorted((k, _frozen(v)) for k, v in value.items())) if isinstance(value, dict) else value


@functools.cache
def _tiny(name, axis_name, frozen):
    """`frozen`: the options, whose sections are tuples of pairs here."""
    sections = ("step", "optimizer", "data", "train", "parallel")
    options = {k: dict(v) if k in sections else v for k, v in frozen}
    return ga.build(name, preset="tiny", axis_name=axis_name, **options)


def tiny(name, axis_name=None, **options):
    """The algorithm of a model's tiny preset for small pictures with two conditions (one for a classifier)."""
    config = ga.get_config(name, "tiny")
    if hasattr(config.model, "conditions"):
        one = hasattr(config.model, "label")
        options.setdefault("conditions", CONDITIONS[:1] if one else CONDITIONS)
    options["image_shape"] = shape_of(name, options.get("image_shape"))
    for beside in ("target_shape", "other_shape"):
        if hasattr(config.model, beside):
            options.setdefault(beside, options["image_shape"])
    return _tiny(name, axis_name, _frozen(options))


def networks(run, group=1, **modules):
    """A test's own modules as the networks of a model: a generator takes latents, all others pictures."""
    inputs = lambda role: (2, run.model.latent_dim) if role == "generator" else (2, *run.model.image_shape)
    return {
        role: ga.Network(module, lambda role=role: (jnp.zeros(inputs(role)),), group=group if role == "critic" else 1)
        for role, module in modules.items()
    }


def _enlarge(n):
    """(n, 4): linear interpolation of four values, half a pixel from the edges."""
    at = np.clip((np.arange(n) + 0.5) * 4 / n - 0.5, 0, 3)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(4)))


def batch(spec, size, seed=0):
    """A random batch of all fields: pixels in [-1, 1], smooth enough to be something like pictures, of any rank."""
    rng = np.random.default_rng(seed)

    def pixels(shape):
        *lead, height, width, channels = (size, *shape)
        low = rng.uniform(-1, 1, (math.prod(lead), 4, 4, channels))
        smooth = np.einsum("hi,bijc,wj->bhwc", _enlarge(height), low, _enlarge(width))
        return jnp.asarray(smooth.reshape(size, *shape), jnp.float32)

    draw = {
        "pixels": lambda field: pixels(field.shape),
        "mask": lambda field: jnp.asarray(rng.integers(0, 2, (size, *field.shape)), jnp.float32),
        "class": lambda field: jnp.asarray(rng.integers(0, field.classes, size, np.int32)),
    }
    return batch_of(spec.fields, lambda _, field: draw[field.kind](field))


def full_batch(algorithm, size, seed=0):
    """A batch as long as one step of the algorithm needs for `size` examples."""
    return batch(algorithm.batch_spec, size * algorithm.batches_per_step, seed)


def moved(old, new):
    """new - old, leaf by leaf, by NumPy."""
    return jax.tree.map(lambda a, b: np.asarray(b) - np.asarray(a), old, new)


def norm(tree):
    """Of all entries together, as `optax.global_norm`, by NumPy."""
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(leaf, "float64"))) for leaf in jax.tree.leaves(tree))))


def relative(a, b, least=1e-12):
    """The largest difference of any leaf, relative to the largest entry of that leaf (or to `least`)."""
    pairs = ((np.asarray(x), np.asarray(y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    return max(float(np.max(np.abs(x - y)) / (np.max(np.abs(x)) + least)) for x, y in pairs)


def start(algorithm, key, batch):
    """The first state; compiled, as running the initialisation operation by operation takes longer."""
    state = jax.jit(algorithm.init)(key, batch)
    return state if algorithm.begin is None else jax.jit(algorithm.begin)(state, batch)
