"""Small models and batches for tests."""

import functools

import jax
import jax.numpy as jnp

import genart_jax as ga

SHAPE = (16, 16, 3)
CONDITIONS = (("style", 5), ("shape", 9))
SGD = {"name": "sgd", "learning_rate": 0.05, "b1": 0.0, "schedule": "constant"}


@functools.cache
def _tiny(name, axis_name, options):
    return ga.build(name, preset="tiny", axis_name=axis_name, **dict(options))


def tiny(name, axis_name=None, **options):
    """The algorithm of a model's tiny preset for small pictures with two conditions (one for a classifier)."""
    config = ga.get_config(name, "tiny")
    if hasattr(config.model, "conditions"):
        one = hasattr(config.model, "label")
        options.setdefault("conditions", CONDITIONS[:1] if one else CONDITIONS)
    options.setdefault("image_shape", SHAPE)
    if any(isinstance(v, dict) for v in options.values()):
        return ga.build(name, preset="tiny", axis_name=axis_name, **options)
    return _tiny(name, axis_name, tuple(sorted(options.items())))


def batch(spec, size, seed=0):
    """A random batch, float32 in [-1, 1], smooth enough to be something like pictures."""
    keys = jax.random.split(jax.random.key(seed), 1 + len(spec.conditions))
    low = jax.random.uniform(keys[0], (size, 4, 4, spec.image_shape[-1]), minval=-1, maxval=1)
    image = jnp.clip(jax.image.resize(low, (size, *spec.image_shape), "linear"), -1, 1)
    condition = {
        name: jax.random.randint(key, (size,), 0, classes)
        for key, (name, classes) in zip(keys[1:], spec.conditions, strict=True)
    }
    return {"image": image, "condition": condition}


def full_batch(algorithm, size, seed=0):
    """A batch as long as one step of the algorithm needs for `size` examples."""
    return batch(algorithm.batch_spec, size * algorithm.batches_per_step, seed)


def start(algorithm, key, batch):
    """The first state; compiled, as running the initialisation operation by operation takes longer."""
    state = jax.jit(algorithm.init)(key, batch)
    return state if algorithm.begin is None else jax.jit(algorithm.begin)(state, batch)
