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
# # From one device to eight
#
# The same step on one device and on eight: by hand with `shard_map`, by XLA with a sharded batch, and with parameters that no
# device holds whole. A CPU can pretend to be eight devices, so nothing else is needed to try it.

# %%
import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"  # before JAX is imported

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("genart_jax") is None:  # from the checkout; a JAX that is good enough is left alone
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "..[plots]"], check=True)

import jax

import genart_jax as ga

print(
    f"Python {sys.version.split()[0]}, jax {jax.__version__}, genart_jax {ga.__version__}, {len(jax.devices())} devices"
)

# %% [markdown]
# ## One device

# %%
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

OPTIONS = {
    "image_shape": (32, 32, 3), "hidden": 128, "latent_dim": 16,
    "optimizer": {"name": "sgd", "learning_rate": 1e-5, "b1": 0.0},
}  # fmt: skip
alg = ga.build("mlp_vae", **OPTIONS)
batch = next(ga.open_data("emoji").batches(64, seed=0))
batch = {"image": batch["image"], "condition": {}}
key = jax.random.key(0)
state = ga.jit(alg.init)(key, batch)
one, metrics = ga.jit(alg.step)(state, batch, key)
print({name: round(float(value), 3) for name, value in metrics.items()})


def farthest(a, b):
    """The largest difference of two states' parameters, relative to the largest update."""
    moved = max(jax.tree.leaves(jax.tree.map(lambda x, y: float(abs(x - y).max()), one.params, state.params)))
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: float(abs(x - np.asarray(y)).max()), a, b))) / moved


# %% [markdown]
# ## Eight, by hand
#
# `axis_name` tells the step over which axis to average gradients, statistics and metrics. Under `shard_map` each device
# runs it on its eighth of the batch. What is drawn for an example comes from its own key, so that the result is the same.

# %%
mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
shared = ga.build("mlp_vae", **OPTIONS, axis_name="data")
mapped = jax.shard_map(shared.step, mesh=mesh, in_specs=(P(), P("data"), P()), out_specs=(P(), P()))
eight, _ = ga.jit(mapped)(state, batch, key)
print(f"difference: {farthest(eight.params, one.params):.1e} of an update")

# %% [markdown]
# ## Eight, by XLA
#
# With a batch that lies on eight devices the plain step is divided by the compiler. Nothing is told to the model.

# %%
split = jax.device_put(batch, NamedSharding(mesh, P("data")))
auto, _ = ga.jit(alg.step)(jax.device_put(state, NamedSharding(mesh, P())), split, key)
print(f"difference: {farthest(auto.params, one.params):.1e} of an update")
jax.debug.visualize_array_sharding(split["image"].reshape(64, -1))

# %% [markdown]
# ## Parameters in parts
#
# With many parameters one keeps on each device only a part of them and of the optimizer's moments (FSDP, ZeRO). The mesh
# has two axes then: rows of the batch, and neighbours that share a state. This is `--parallel.data 2 --parallel.model 4`.

# %%
from genart_jax.config import Parallel
from genart_jax.train import parallel

large = ga.build("mlp_vae", **OPTIONS | {"optimizer": {"name": "adam"}, "hidden": 512})
grid = parallel.make_mesh(Parallel(data=2, model=4), batch=64)
shapes = jax.eval_shape(large.init, key, batch)
layout = parallel.state_sharding(grid, shapes)
everything = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes))
print(f"{everything / 1e6:.1f} MB in all, {parallel.bytes_per_device(shapes, layout) / 1e6:.1f} MB a device")
for path, where in list(jax.tree.leaves_with_path(layout.params))[:4]:
    print(jax.tree_util.keystr(path), where.spec)

# %% [markdown]
# The state is born in parts, and the compiler gathers a layer where it is used.

# %%
born = ga.jit(large.init, out_shardings=layout)(key, batch)
step = ga.jit(lambda state, batch: parallel.partitioned(lambda s: large.step(s, batch, key), grid, layout)(state))
after, metrics = step(born, jax.device_put(batch, parallel.batch_sharding(grid)))
leaf = after.params["encoder"]
kernel = max(jax.tree.leaves(leaf), key=lambda x: x.size)
print(kernel.shape, "of which a device has", kernel.sharding.shard_shape(kernel.shape))

# %% [markdown]
# `genart train mlp_vae --parallel.data 2 --parallel.model 4` does this, with checkpoints that any number of devices can go
# on from. On several machines the same command runs on each: [docs/clusters.md](../docs/clusters.md). On fake devices
# nothing becomes faster: they share two cores.
