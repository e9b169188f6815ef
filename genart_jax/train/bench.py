"""Speed and memory of a model's training step: what `genart bench` prints and `benchmarks/` compares with others.

A step is timed as users run it: compiled, state donated, one fixed batch on the device, steps dispatched one after
another and waited for at the end. Lazy terms are timed in their true mixture, over whole periods (R1 every 8 steps:
eight steps, each with the terms that are due).

FLOPs are counted over the traced program, before any rewrite: 2 for each multiplication of a matrix product or a
convolution (taps on padding included), the body of a `scan` as often as it runs, the dearer branch of a `cond`, the
body of a `while` once. Left out is all work element by element: activations, normalisation, optimizers, random numbers.
`compiled_flops` is XLA's own count, `compiled.cost_analysis()`: it has the work element by element and what a rewrite
adds, but it counts the body of *every* loop once, leaves out taps on padding and knows nothing of library calls, so
convolutions in chunks come out too low. "Bytes accessed" is from there too, with the same gaps.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, jaxprs_in_params
from jax.sharding import NamedSharding

from genart_jax.api import build, configure
from genart_jax.config import BatchSpec, Field, Parallel, Run, UserError, override, resolve
from genart_jax.config.batch import class_fields
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array, Json
from genart_jax.steps import stages
from genart_jax.train import parallel
from genart_jax.types import Batch, batch_of

CONDITIONS = (("style", 5), ("shape", 9), ("color", 10))
"""Those of the embedded art set, for which the presets are made."""
SHAPES = {
    "mlp_vae": (28, 28, 1), "simple_cnn": (28, 28, 1), "gan3d": (32, 32, 32, 1), "video_gan": (8, 32, 32, 3),
    "frame_rnn": (8, 32, 32, 3), "super_resolution": (64, 64, 3), "inpaint": (64, 64, 3), "enhance": (64, 64, 3),
    "dehaze": (64, 64, 3),
}  # fmt: skip
"""Usual image shapes of models that are known for another than 32x32x3, or cut squares out that are larger."""
TOKENIZER, LATENTS = "untrained:vqvae", "untrained:conv_vae"
"""Of a model of codes, or of latents, where none is named: what is learned does not change what a step costs."""
_AT_LEAST = 0.3  # seconds of a round: far above the clock's grain and a scheduler's slice


def resolved(
    name: str,
    preset: str = "default",
    image_shape: Sequence[int] | None = None,
    batch: int | None = None,
    precision: str | None = None,
    devices: int = 1,
    options: Json | None = None,
) -> Run:
    """The whole configuration of what is measured. `options` are those of `configure`, sections by their dot:
    {"width": 64, "step.r1_every": 4}.

    Raises:
      UserError: no such model, preset or option.
    """
    given: Json = {}
    for key, value in (options or {}).items():
        section, dot, field = key.partition(".")
        if dot:
            given.setdefault(section, {})[field] = value
        else:
            given[key] = value
    run = configure(name, preset=preset, **given)
    if stages.second(run) and run.model.tokenizer is None:
        run = override(run, model={"tokenizer": LATENTS if stages.numbers(run) else TOKENIZER})
    train = {key: value for key, value in (("batch", batch), ("precision", precision)) if value is not None}
    run = override(run, train=train, parallel=Parallel(data=devices))
    shape = tuple(image_shape or run.model.image_shape or SHAPES.get(name, (32, 32, 3)))
    own = [c for c in getattr(run.model, "conditions", None) or () if not isinstance(c, str)]
    known = dict((*CONDITIONS, *own))
    same = {name: getattr(run.model, f"{name}_shape", None) or shape for name in ("target", "other")}
    mask = getattr(run.model, "mask_shape", None) or (*shape[:-1], 1)
    fields = {"image": Field(shape), **{name: Field(tuple(given)) for name, given in same.items()}}
    return resolve(run, BatchSpec(fields={**fields, "mask": Field(tuple(mask), "mask"), **class_fields(known)}))


class Subject:
    """A model's step, compiled and ready to be timed round by round.

    Attributes:
      facts: what does not change from round to round, as JSON values.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.algorithm = run, build(run)
        mesh = parallel.make_mesh(run.parallel, run.train.batch)
        whole, split = parallel.replicated(mesh), parallel.batch_sharding(mesh)
        self._key = jax.device_put(jax.random.key(run.train.seed), whole)
        self._batch = parallel.put(random_batch(self.algorithm.batch_spec, self.images), split)
        self._state = compiler.jit(self.algorithm.init, once=True, out_shardings=whole)(self._key, self._batch)
        if self.algorithm.begin is not None:
            self._state = compiler.jit(self.algorithm.begin, once=True, out_shardings=whole)(self._state, self._batch)
        period = math.lcm(*(every for _, every in self.algorithm.lazy))
        self._period = [self.algorithm.due(i) for i in range(period)]
        self.facts: Json = {
            "model": run.name,
            "run": dataclasses.asdict(run),
            "platform": jax.default_backend(),
            "device": jax.devices()[0].device_kind,
            "images_per_step": self.images,
            "parameters": {r: sum(x.size for x in jax.tree.leaves(p)) for r, p in self._state.params.items()},
        }
        self._programs: dict[tuple[str, ...], jax.stages.Compiled] = {}
        self.facts |= self._compile(whole)
        self.facts["host_seconds"] = self._host_seconds()
        self._repeats = self._calibrate()
        self.facts["steps_per_round"] = self._repeats * period

    @property
    def images(self) -> int:
        """Real pictures that a step sees."""
        return self.run.train.batch * self.algorithm.batches_per_step

    def _compile(self, whole: NamedSharding) -> Json:
        """Compiles the program of each set of due terms: sums of their times, means over a period of their costs."""
        times, costs, memory = np.zeros(2), np.zeros(3), [0] * 4
        for due in sorted(set(self._period), key=len):
            step = functools.partial(self.algorithm.step, due=due)
            # Each program has a name of its own, or a trace could not tell their operations apart.
            named = functools.wraps(self.algorithm.step)(lambda *args, step=step: step(*args))
            named.__name__ = "_".join(("step", *due))
            start = time.perf_counter()
            jitted = compiler.jit(named, donate_argnums=0, out_shardings=(whole, whole))
            traced = jitted.trace(self._state, self._batch, self._key)
            lowered = traced.lower()
            middle = time.perf_counter()
            program = lowered.compile()
            times += middle - start, time.perf_counter() - middle
            self._programs[due] = program
            found: Json = program.cost_analysis() or {}
            share = self._period.count(due) / len(self._period)
            cost = count_flops(traced.jaxpr.jaxpr), found.get("flops", 0.0), found.get("bytes accessed", 0.0)
            costs += share * np.array(cost)
            if (m := program.memory_analysis()) is not None:
                arguments, outputs = m.argument_size_in_bytes, m.output_size_in_bytes - m.alias_size_in_bytes
                total = arguments + outputs + m.temp_size_in_bytes
                memory = max(memory, [total, arguments, outputs, m.temp_size_in_bytes])
        names = ("peak_bytes", "argument_bytes", "new_output_bytes", "temporary_bytes")
        return {
            "trace_seconds": float(times[0]),
            "compile_seconds": float(times[1]),
            "flops": float(costs[0]),
            "compiled_flops": float(costs[1]),
            "bytes_accessed": float(costs[2]),
            "memory": dict(zip(names, map(int, memory), strict=True)),
        }

    def _run(self, steps: int) -> None:
        for i in range(steps):
            program = self._programs[self._period[i % len(self._period)]]
            self._state, self._metrics = program(self._state, self._batch, self._key)
        jax.block_until_ready((self._state, self._metrics))

    def _host_seconds(self) -> float:
        """Host time of one step: that of a program with a step's arguments, donation and results, which does nothing.

        What the host does between two steps cannot be seen from outside a real one, as it runs ahead of the device.
        """
        self._run(1)
        metrics = jax.eval_shape(lambda: self._metrics)
        empty = lambda: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), metrics)
        nothing = jax.jit(lambda state, batch, key: (state.replace(step=state.step + 1), empty()), donate_argnums=0)
        program = nothing.lower(self._state, self._batch, self._key).compile()
        times: list[float] = []
        while 20 * sum(times) < _AT_LEAST:
            start = time.perf_counter()
            for _ in range(20):
                self._state, out = program(self._state, self._batch, self._key)
            jax.block_until_ready(out)
            times.append((time.perf_counter() - start) / 20)
        return statistics.median(times)

    def _calibrate(self) -> int:
        """Periods that make up a round."""
        self._run(len(self._period))
        start = time.perf_counter()
        self._run(len(self._period))
        return max(1, math.ceil(_AT_LEAST / (time.perf_counter() - start)))

    def round(self) -> float:
        """Seconds of a step, over whole periods, after a step that is not timed (another may have had the caches)."""
        self._run(1)
        steps = self._repeats * len(self._period)
        start = time.perf_counter()
        self._run(steps)
        return (time.perf_counter() - start) / steps

    def profile(self, directory: str | Path) -> int:
        """Writes a trace that TensorBoard and Perfetto open; returns its steps, in whole periods and at least ten."""
        steps = len(self._period) * math.ceil(10 / len(self._period))
        self._run(1)
        with jax.profiler.trace(str(directory), create_perfetto_trace=True):
            self._run(steps)
        return steps

    def hlo(self) -> str:
        """The compiled programs, which name the layer of each operation."""
        return "\n".join(program.as_text() or "" for program in self._programs.values())


class Matmul:
    """The machine's rate of matrix products, in a step's own precision: what a step's rate is measured against."""

    def __init__(self, precision: str) -> None:
        size = 2048 if jax.default_backend() == "cpu" else 8192
        dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
        rule = {"tf32": "tensorfloat32", "float32": "float32"}.get(precision)
        self._a = jax.random.normal(jax.random.key(0), (size, size), dtype)
        self._product = jax.jit(lambda a: jnp.matmul(a, a, precision=rule))
        self._flops = 2.0 * size**3
        self.rate()  # compiles

    def rate(self) -> float:
        """FLOP/s over a tenth of a second."""
        start, count = time.perf_counter(), 0
        while (seconds := time.perf_counter() - start) < 0.1:
            out = [self._product(self._a) for _ in range(4)]
            jax.block_until_ready(out)
            count += len(out)
        return count * self._flops / seconds


def random_batch(spec: BatchSpec, size: int, seed: int = 0) -> Batch:
    """A batch of noise in [-1, 1], masks of zeros and ones, and classes drawn uniformly, as numpy arrays."""
    rng = np.random.default_rng(seed)
    draw: dict[str, Callable[[Field], Array]] = {
        "pixels": lambda field: rng.uniform(-1, 1, (size, *field.shape)).astype(np.float32),
        "mask": lambda field: rng.integers(0, 2, (size, *field.shape)).astype(np.float32),
        "class": lambda field: rng.integers(0, field.classes, size).astype(np.int32),
    }
    return batch_of(spec.fields, lambda _, field: draw[field.kind](field))


def quartiles(values: Sequence[float]) -> list[float]:
    """First quartile, median, third quartile."""
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3


def summary(facts: Json, times: Sequence[float], rates: Sequence[float]) -> Json:
    """The figures of one model: its facts, and what rounds of step times and of matmul rates say.

    A fraction of the matmul rate is taken round by round, so that a busy machine slows both alike.
    """
    devices = facts["run"]["parallel"]["data"] if facts["platform"] != "cpu" else 1  # CPU devices share the cores
    middle = statistics.median(times)
    return facts | {
        "step_seconds": quartiles(times),
        "rounds": list(times),
        "images_per_second": facts["images_per_step"] / middle,
        "flops_per_second": facts["flops"] / middle,
        "matmul_flops_per_second": statistics.median(rates) * devices,
        "mfu": statistics.median(facts["flops"] / t / (rate * devices) for t, rate in zip(times, rates, strict=True)),
        "host_fraction": facts["host_seconds"] / middle,
    }


def measure(run: Run, rounds: int = 5) -> Json:
    """Times one model in this process; see `summary`.

    Raises:
      UserError: fewer than one round, or a configuration that cannot be built.
    """
    if rounds < 1:
        raise UserError(f"rounds must be at least 1, not {rounds}")
    subject, matmul = Subject(run), Matmul(run.train.precision)  # `build` comes before any work: see `heap.keep`
    pairs = [(subject.round(), matmul.rate()) for _ in range(rounds)]
    return summary(subject.facts, *map(list, zip(*pairs, strict=True)))


def count_flops(jaxpr: Jaxpr) -> float:
    """FLOPs of the matrix products and convolutions of a jaxpr; see the module's docstring."""
    total = 0.0
    for eqn in jaxpr.eqns:
        name, shapes = eqn.primitive.name, [getattr(v.aval, "shape", ()) for v in eqn.invars]
        result = getattr(eqn.outvars[0].aval, "shape", ()) if eqn.outvars else ()
        inner = [count_flops(sub) for sub in jaxprs_in_params(eqn.params)]
        if name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            total += 2.0 * math.prod(result) * math.prod(shapes[0][i] for i in contracted)
        elif name == "conv_general_dilated":
            spec, dilation = eqn.params["dimension_numbers"].rhs_spec, eqn.params["lhs_dilation"]
            taps = math.prod(shapes[1][i] for i in spec[1:])  # kernel sides and input channels of a group
            total += 2.0 * math.prod(result) * taps / math.prod(dilation)
        elif name in ("genart_conv", "genart_transpose", "genart_weight"):
            # (x, w) -> y, (y, w) -> x and (x, y) -> w multiply the same pairs; w is (*kernel, inputs, outputs).
            y, w = {"conv": (result, shapes[1]), "transpose": shapes[:2], "weight": (shapes[-1], result)}[name[7:]]
            total += 2.0 * math.prod(y) * math.prod(w[:-1])
        elif name == "cond":
            total += max(inner, default=0.0)
        else:
            total += sum(inner) * (eqn.params["length"] if name == "scan" else 1)
    return total
