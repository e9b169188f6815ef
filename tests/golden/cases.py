"""What the golden states are of, and how they are taken: five steps, remembered as sketches.

A sketch of a tree is its inner products with 64 fixed random signs, over 8: the norm of the difference of two sketches
is the norm of the difference of the trees to about a tenth, and a few numbers stand for thousands.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from genart_jax import registry
from genart_jax.config import Run, from_dict
from tests import zoo

STEPS, BATCH, SIGNS = 5, 8, 64
KEY = 11
SGD = {"name": "sgd", "learning_rate": 0.05, "b1": 0.0, "schedule": "constant"}
LAZY = {"r1_gamma": 2.0, "r1_every": 2}
PATH = {"path_weight": 0.5, "path_every": 2, "path_shrink": 2}
WAYS = {
    "joint": LAZY | {"lazy_updates": "joint"},
    "separate": LAZY | {"lazy_updates": "separate"},
    "microbatch": LAZY | {"microbatch": 4},
    "ada": {"augment": "ada", "augment_images": 500},
    "diffaugment": {"augment": "diffaugment"},
    "rounds": LAZY | {"d_steps": 3, "g_steps": 2},
    "hidden": {"condition_dropout": 0.5},
}
"""Name -> options of the adversarial step, and of the microbatch."""
NO_SIGN = ("ada",)  # reads the sign of the scores, which the relativistic loss does not have
WITH_BATCH_NORM = ("dcgan", "sngan")


def cases():
    """(name, configuration before it is resolved) of each case."""
    for name in registry.list_models():
        yield name, configure(name)
    for name in ("dcgan", "sngan", "stylegan2"):
        for way, step in WAYS.items():
            options = dict(step)
            microbatch = options.pop("microbatch", 0)
            if microbatch and name in WITH_BATCH_NORM:
                continue  # refused: a generator with statistics of the whole batch
            if way in NO_SIGN:
                options |= {"loss": "non_saturating"}
            if name == "stylegan2":
                options |= PATH | {"style_mixing": 0.5}
            yield f"{name} {way}", configure(name, step=options, microbatch=microbatch)
    for case, (name, step, model) in OTHERS.items():
        options = dict(step)
        yield case, configure(name, options, options.pop("microbatch", 0), **model)


OTHERS = {
    "dcgan batch norm": ("dcgan", {"critic_batch": "separate", "loss": "relativistic"}, {"critic_norm": True}),
    "dcgan half-life": ("dcgan", {"ema_images": 64.0, "loss": "hinge"}, {}),
    "conv_vae bernoulli": ("conv_vae", {"likelihood": "bernoulli", "free_bits": 0.1, "beta": 2.0}, {}),
    "mlp_vae microbatch": ("mlp_vae", {"microbatch": 4, "free_bits": 0.05}, {}),
    "simple_cnn microbatch": ("simple_cnn", {"microbatch": 4, "label_smoothing": 0.1}, {}),
    "simple_cnn mixed": ("simple_cnn", {"mixup": 0.4, "cutmix": 1.0}, {}),
    "code_prior microbatch": ("code_prior", {"microbatch": 4}, {}),
}
"""Name -> model, options of its step and microbatch, and of its Config."""


def configure(name, step=None, microbatch=0, **model):
    """A tiny model for small pictures, every option resolved."""
    config = ga.get_config(name, "tiny")
    options = model | {
        "image_shape": zoo.shape_of(name, zoo.SHAPE),
        "step": step or {},
        "train": {"batch": BATCH, "microbatch": microbatch},
    }
    if hasattr(config.model, "conditions"):
        options["conditions"] = zoo.CONDITIONS[:1] if hasattr(config.model, "label") else zoo.CONDITIONS
    return ga.configure(config, **options)


def restore(values):
    """The configuration that was written as a dict."""
    return from_dict(Run, values, registry.get_config(values["name"], "tiny"))


def take(run, optimizer=None):
    """What five steps come to: sketches of the first state, of each role's change, of averages; and the losses."""
    if optimizer is not None:
        run = ga.configure(run, optimizer=optimizer)
    algorithm = ga.build(run)
    key = jax.random.key(KEY)
    batches = [batch(algorithm.batch_spec, BATCH * algorithm.batches_per_step, seed=i) for i in range(STEPS)]
    first = state = zoo.start(algorithm, key, batches[0])
    step = jax.jit(algorithm.step)
    rows = []
    for one in batches:
        state, metrics = step(state, one, key)
        rows.append({name: float(value) for name, value in metrics.items()})
    trees = {f"params/{role}": (first.params[role], state.params[role]) for role in first.params}
    trees |= {f"ema/{role}": (first.ema[role], state.ema[role]) for role in first.ema}
    trees |= {f"mutable/{role}": (first.mutable[role], state.mutable[role]) for role in first.mutable}
    trees["extra"] = (first.extra, state.extra)
    trees = {name: pair for name, pair in trees.items() if jax.tree.leaves(pair)}
    return {
        "first": {name: sketch(a).tolist() for name, (a, _) in trees.items()},
        "change": {name: (sketch(b) - sketch(a)).tolist() for name, (a, b) in trees.items()},
        "metrics": rows,
    }


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _batch(shape, conditions, size, seed):
    keys = jax.random.split(jax.random.key(seed), 1 + len(conditions))
    low = jax.random.uniform(keys[0], (size, 4, 4, shape[-1]), minval=-1, maxval=1)
    image = jnp.clip(jax.image.resize(low, (size, *shape), "linear"), -1, 1)
    pairs = zip(keys[1:], conditions, strict=True)
    return {"image": image, "condition": {n: jax.random.randint(key, (size,), 0, c) for key, (n, c) in pairs}}


def batch(spec, size, seed):
    """The batch of a seed, as it was when the states were written; `zoo`'s may change."""
    return _batch(spec.image_shape, spec.conditions, size, seed)


def sketch(tree):
    """(64,) float64."""
    leaves, total = jax.tree_util.tree_leaves_with_path(tree), np.zeros(SIGNS)
    for path, leaf in sorted(leaves, key=lambda one: jax.tree_util.keystr(one[0])):
        values = np.asarray(leaf, np.float64).ravel()
        total += signs(jax.tree_util.keystr(path), len(values)) @ values
    return total / np.sqrt(SIGNS)


@functools.lru_cache(maxsize=256)
def signs(name, count):
    """Random signs (64, count) that depend on a leaf's path alone."""
    seed = int.from_bytes(name.encode(), "little") % (2**61 - 1)
    bits = np.random.Generator(np.random.PCG64(seed)).bytes(SIGNS * count // 8 + 1)
    unpacked = np.unpackbits(np.frombuffer(bits, np.uint8))[: SIGNS * count]
    return (2.0 * unpacked - 1.0).reshape(SIGNS, count)
