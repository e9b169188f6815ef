"""Our side of `benchmarks.gpu`, in a process of its own: see `benchmarks.worker`."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import genart_jax as ga
from benchmarks.ours import Ours, peak_memory
from genart_jax.api import build
from genart_jax.config import override, resolve
from genart_jax.data.pipeline import make_loader
from genart_jax.nn.vgg import VGG
from genart_jax.runtime import compiler, packaged
from genart_jax.train import bench, dispatch, parallel
from genart_jax.types import State, Tree

JUDGE = "icons_style"
_AT_LEAST = 0.3  # seconds of a round, as in genart_jax.train.bench


def warm() -> dict[str, Any]:
    """Starts JAX, before there is anything to do; says on what."""
    device = jax.local_devices()[0]
    jax.block_until_ready(jnp.zeros(1))
    memory = (device.memory_stats() or {}).get("bytes_limit")
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.local_device_count(),
        "memory_bytes": memory,
    }


def prepare(kind: str, **values: Any) -> Any:
    """The subject of a cell."""
    return {"step": Ours, "features": Features, "quality": Quality}[kind](**values)


class Features:
    """A pass of a classifier's convolutions over pictures, as perceptual losses and distances take it."""

    def __init__(self, **case: Any) -> None:
        run = bench.resolved(**case)
        size, c, bf16 = run.train.batch, run.model, run.train.precision == "bfloat16"
        module = VGG(c.widths, c.depths, c.pooling, dtype=jnp.bfloat16 if bf16 else jnp.float32)
        images = np.random.default_rng(0).uniform(-1, 1, (size, *c.image_shape)).astype(np.float32)
        variables = compiler.jit(module.init, once=True)(jax.random.key(0), images[:1])
        self._images, self._variables = jax.device_put((images, variables))
        jitted = compiler.jit(lambda variables, images: module.apply(variables, images)[0])
        traced = jitted.trace(self._variables, self._images)
        start = time.perf_counter()
        self._program = traced.lower().compile()
        memory = self._program.memory_analysis()
        self.facts: dict[str, Any] = {
            "model": run.name, "run": dataclasses.asdict(run), "platform": jax.default_backend(),
            "device": jax.devices()[0].device_kind, "images_per_step": size, "host_seconds": 0.0,
            "parameters": {"features": sum(x.size for x in jax.tree.leaves(variables["params"]))},
            "flops": bench.count_flops(traced.jaxpr.jaxpr), "compile_seconds": time.perf_counter() - start,
            "memory": {"peak_bytes": memory.temp_size_in_bytes + memory.argument_size_in_bytes if memory else 0},
        }  # fmt: skip
        self._run(1)
        start = time.perf_counter()
        self._run(1)
        self._repeats = max(1, math.ceil(_AT_LEAST / (time.perf_counter() - start)))
        self._peak = peak_memory()
        self._matmul = bench.Matmul(run.train.precision)

    def _run(self, times: int) -> None:
        for _ in range(times):
            out = self._program(self._variables, self._images)
        jax.block_until_ready(out)

    def round(self) -> float:
        """Seconds of a pass."""
        start = time.perf_counter()
        self._run(self._repeats)
        return (time.perf_counter() - start) / self._repeats

    def matmul(self) -> float:
        """FLOP/s of a matrix product in the same precision."""
        return self._matmul.rate()

    def device_memory(self) -> int | None:
        """See `Ours`."""
        return self._peak


def alike(batch: int, steps: int = 3, **case: Any) -> dict[str, Any]:
    """How far parameters after a few steps of plain descent differ from those of `jit`: under `shard_map` and `pmap`,
    over all devices; each leaf relative to its largest entry.
    """
    descent = {"optimizer.name": "sgd", "optimizer.learning_rate": 0.05, "optimizer.b1": 0.0,
               "optimizer.schedule": "constant"}  # fmt: skip
    run = bench.resolved(**case | {"batch": batch, "options": case["options"] | descent})
    whole, shared, count = build(run), build(run, axis_name="data"), jax.local_device_count()
    key = jax.random.key(3)
    batches = [bench.random_batch(whole.batch_spec, batch * whole.batches_per_step, i) for i in range(steps)]
    first = compiler.jit(whole.init, once=True)(key, batches[0])
    mesh = jax.make_mesh((count,), ("data",), (AxisType.Auto,))
    one = functools.partial(shared.step, due=whole.due(0))
    mapped = jax.shard_map(one, mesh=mesh, in_specs=(P(), P("data"), P()), out_specs=P())
    under = {
        "jit": compiler.jit(functools.partial(whole.step, due=whole.due(0))),
        "shard_map": compiler.jit(mapped),
        "pmap": _pmapped(one, count),
    }
    ends = {name: _steps(step, first, batches, key) for name, step in under.items()}
    apart = {name: _apart(ends["jit"], end) for name, end in ends.items() if name != "jit"}
    moved = _moved(jax.device_get(first.params), ends["jit"])
    return {"devices": count, "apart": apart, "moved": moved, "limit": 1e-5, "alike": max(apart.values()) < 1e-5}


def _steps(step: Callable[..., Any], state: State, batches: list[Tree], key: jax.Array) -> Tree:
    for batch in batches:
        state, _ = step(state, batch, key)
    return jax.device_get(state.params)


def _pmapped(step: Callable[..., Any], count: int) -> Callable[..., Any]:
    mapped = jax.pmap(step, axis_name="data")

    def run(state: State, batch: Tree, key: jax.Array) -> Any:
        stack = lambda tree: jax.tree.map(lambda x: np.stack([x] * count), jax.device_get(tree))
        split = jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), batch)
        out = jax.device_get(mapped(stack(state), split, jnp.stack([key] * count)))
        return jax.tree.map(lambda x: x[0], out)

    return run


def _apart(a: Tree, b: Tree) -> float:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.max(np.abs(x - y)) / (np.max(np.abs(x)) + 1e-4)) for x, y in pairs)


def _moved(a: Tree, b: Tree) -> float:
    """The length of a change, relative to where it began."""
    length = lambda leaves: math.sqrt(sum(float(np.sum(np.square(x))) for x in leaves))
    leaves = jax.tree.leaves(a)
    return length([x - y for x, y in zip(leaves, jax.tree.leaves(b), strict=True)]) / length(leaves)


class Quality:
    """The demo's recipe in training, and a judge of the styles that its pictures were asked for.

    The judge is a classifier that comes with the package and saw real icons alone.
    """

    def __init__(self, miniature: bool, seconds: float, num: int = 1000) -> None:
        small: dict[str, Any] = {"preset": "tiny", "train": {"steps": 3000}}
        self._num, options = (100, small) if miniature else (num, {})
        data, run = ga.open_data("emoji"), ga.configure("modgan", **options)
        source = data.source_for_training()
        run = override(resolve(run, data.spec), train={"steps_per_dispatch": 10})
        self._algorithm, self._run = build(run, spec=data.spec), run
        key, mesh = jax.random.key(run.train.seed), parallel.make_mesh(run.parallel, run.train.batch)
        loader = make_loader(source.train, run.train.seed, run.train.batch)
        rows = np.random.default_rng(1).permutation(source.train.size)[: self._num]
        self._told = {name: np.asarray(source.train.arrays[name])[rows] for name, _ in data.spec.conditions}
        batch = bench.random_batch(self._algorithm.batch_spec, run.train.batch)
        state = compiler.jit(self._algorithm.init, once=True)(key, batch)
        self._trainer = SimpleNamespace(state=state, key=key, mesh=mesh)
        self._dispatch = dispatch.make_dispatch(self._algorithm, loader, run)
        judge = ga.load(JUDGE)
        style = lambda images: ga.run(judge.algorithm, judge.state, "classifier", images)[0]
        draw = self._algorithm.sample
        assert draw is not None
        sample = lambda state, key, told: draw(state, key, self._num, told)
        self._styles = compiler.jit(lambda state, key, told: jnp.argmax(style(sample(state, key, told)), axis=-1))
        self._step, self._seconds = 0, 0.0
        self._go()  # compiles
        self._seconds = 0.0
        self.facts = {"model": run.name, "parameters": sum(x.size for x in jax.tree.leaves(state.params)),
                      "judge": JUDGE, "judge_sha256": _digest(), "pictures": self._num}  # fmt: skip

    def _go(self) -> None:
        start = time.perf_counter()
        count = self._run.train.steps_per_dispatch
        self._trainer.state, metrics = self._dispatch(self._trainer, self._step, count)
        jax.block_until_ready(metrics)
        self._step += count
        self._seconds += time.perf_counter() - start

    def until(self, seconds: float) -> dict[str, Any]:
        """Trains up to so many seconds of training, or to the recipe's end, and judges."""
        while self._seconds < seconds and self._step < self._run.train.steps:
            self._go()
        seen = np.asarray(self._styles(self._trainer.state, jax.random.key(0), self._told))
        accuracy = float(np.mean(seen == self._told["style"]))
        ended = self._step >= self._run.train.steps
        return {"training_seconds": self._seconds, "steps": self._step, "style_accuracy": accuracy, "ended": ended}


def _digest() -> str:
    import hashlib

    return hashlib.sha256((packaged.root() / JUDGE / packaged.WEIGHTS).read_bytes()).hexdigest()[:12]
