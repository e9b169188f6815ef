"""Training steps compiled for several devices, for what they compute and send: `scaling` starts it in a child process.

    python -m benchmarks.partitioned '{"name": "dcgan", "preset": "paper", "batch": 16, "data": 8, "model": 1}'

Prints one line of JSON; of a model's name alone its largest preset, batch, parameters and image shape. Needs as many
devices; on a CPU XLA makes them up (see `ENVIRONMENT`).
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections import Counter, defaultdict
from typing import Any

import jax

from benchmarks import hlo
from genart_jax import registry
from genart_jax.api import build
from genart_jax.config import Parallel, Run, override
from genart_jax.nn import conv
from genart_jax.train import bench, checkpoint, parallel
from genart_jax.types import Algorithm

DEVICES = 8
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    # Only the text is wanted: the machine code may be as slow as it likes.
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES} --xla_backend_optimization_level=0"
    " --xla_llvm_disable_expensive_passes=true",
}


def largest(name: str) -> tuple[str, Run]:
    """The preset of a model with the largest pictures and, of those, the most parameters; resolved."""
    runs = {preset: bench.resolved(name, preset) for preset in registry.model_module(name).PRESETS}
    size = lambda run: (math.prod(run.model.image_shape[:2]), sum(parameters(build(run)).values()))
    preset = max(runs, key=lambda p: size(runs[p]))
    return preset, runs[preset]


def parameters(algorithm: Algorithm) -> dict[str, int]:
    """Entries of the parameters of each role."""
    state = checkpoint.abstract_state(algorithm)
    return {role: sum(x.size for x in jax.tree.leaves(tree)) for role, tree in state.params.items()}


def compiled(run: Run, due: tuple[str, ...] | None = None, accelerator: bool = True) -> str:
    """The optimised HLO of the trainer's step on the mesh of `run.parallel`.

    `accelerator`: with the convolutions that GPU and TPU run, in place of the CPU's forms.
    """
    algorithm, mesh = build(run), parallel.make_mesh(run.parallel, run.train.batch)
    abstract = checkpoint.abstract_state(algorithm)
    layout = parallel.state_sharding(mesh, abstract, run.parallel.rules)
    place = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
    shapes = checkpoint.batch_shapes(algorithm.batch_spec, run.train.batch * algorithm.batches_per_step)
    batch = jax.tree.map(lambda x: place(x, parallel.batch_sharding(mesh)), shapes)
    key = place(jax.eval_shape(lambda: jax.random.key(0)), parallel.replicated(mesh))
    due = algorithm.due(0) if due is None else due

    @jax.jit
    def step(state: Any, batch: Any, key: Any) -> Any:
        return parallel.partitioned(lambda s: algorithm.step(s, batch, key, due), mesh, layout)(state)

    forms = dict.fromkeys(("conv", "transpose", "weight"), "lax") if accelerator else {}
    with conv.forms(**forms):
        lowered = step.lower(jax.tree.map(place, abstract, layout), batch, key)
    return str(lowered.compile().as_text())


def costs(name: str, preset: str, batch: int, data: int, model: int) -> dict[str, Any]:
    """FLOPs of a device and the collectives of a mean step, the sets of due terms in their true mixture."""
    run = override(bench.resolved(name, preset, batch=batch * data * model), parallel=Parallel(data=data, model=model))
    algorithm, flops, sent = build(run), 0.0, defaultdict[hlo.Collective, float](float)
    period = math.lcm(*(every for _, every in algorithm.lazy))
    start = time.perf_counter()
    for due, count in Counter(algorithm.due(i) for i in range(period)).items():
        cost = hlo.read(compiled(run, due))
        flops += cost.flops * count / period
        for collective, times in cost.collectives.items():
            sent[collective] += times * count / period
    seconds = round(time.perf_counter() - start)
    return {"flops": flops, "seconds": seconds, "collectives": [(*dataclasses.astuple(c), n) for c, n in sent.items()]}


if __name__ == "__main__":
    if sys.argv[1].startswith("{"):
        print(json.dumps(costs(**json.loads(sys.argv[1]))))
    else:
        preset, run = largest(sys.argv[1])
        print(json.dumps([preset, run.train.batch, parameters(build(run)), run.model.image_shape]))
