"""The only training loop. It knows an Algorithm, never a model."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import math
import os
import platform
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax import stages
from genart_jax.api import build
from genart_jax.config import NotFiniteError, Run, UserError, resolve
from genart_jax.data.conditions import condition_table, draw_conditions
from genart_jax.data.pipeline import Loader, make_loader, prepare
from genart_jax.data.source import Source, absolute, example, open_source
from genart_jax.grid import save_grid
from genart_jax.nn import random
from genart_jax.train import checkpoint, frozen, parallel
from genart_jax.train.checkpoint import Checkpoints, Saved
from genart_jax.train.evaluation import make_evaluator
from genart_jax.train.log import RunLog
from genart_jax.types import Algorithm, Metrics, State, to_float

Callback = Callable[[str, dict[str, Any]], None]
"""Called as callback(event, values) with the events data, start, progress, log, evaluate, sample, save and end."""

_IN_FLIGHT = 2  # dispatches that the host may run ahead of the device: enough to hide it, few enough to stop quickly


class _Dispatched(NamedTuple):
    """Metrics under way: of the `steps` steps up to `end`."""

    end: int
    steps: int
    metrics: Metrics


def fit(run: Run, directory: str | Path, callback: Callback | None = None, init_from: str | Path | None = None) -> Path:
    """Trains a model, or goes on with what `directory` holds; returns the run directory.

    A run that is complete is left as it is. SIGINT and SIGTERM end it after the step in progress, with a checkpoint;
    its summary then says "interrupted".

    Args:
      run: the configuration; what it leaves None is filled from the data.
      directory: where config.json, metrics.jsonl, samples/, checkpoints/ and summary.json go.
      callback: told of everything that happens; see `Callback`.
      init_from: a run to take the parameters from, for a new run with a fresh optimizer.

    Raises:
      UserError: wrong options, or a directory that holds another run; says how to mend it.
      NotFiniteError: a loss became NaN or infinite.
    """
    trainer = Trainer(run, Path(directory), callback or (lambda event, values: None), init_from)
    trainer.check_resume()
    with Checkpoints(directory, trainer.run.train.keep) as checkpoints:
        return trainer.train(checkpoints)


class Trainer:
    """One run, from its configuration to its summary. Nothing is written before `train`."""

    checkpoints: Checkpoints
    state: State
    log: RunLog

    def __init__(self, run: Run, directory: Path, tell: Callback, init_from: str | Path | None = None) -> None:
        _check(run)
        _check_place(directory)
        self.directory, self.tell = directory, tell
        self.resumed = (directory / "config.json").exists()
        self.init_from = None if init_from is None else str(Path(init_from).resolve())
        run = dataclasses.replace(run, data=dataclasses.replace(run.data, source=absolute(run.data.source)))
        self.source = open_source(run.data)
        self.run = run = stages.complete(resolve(run, self.source.spec))
        if run.data.crop >= min(run.model.image_shape[:2]):
            raise UserError(f"data.crop {run.data.crop}: wanted less than the sides of the pictures")
        self.mesh = parallel.make_mesh(run.parallel, run.train.batch)
        self.algorithm = build(run)
        self.saved = Saved(run, _data_facts(self.source, self.algorithm) | {"init_from": self.init_from, "frozen": {}})
        self.replicated = parallel.replicated(self.mesh)
        self.key = jax.device_put(jax.random.key(run.train.seed), self.replicated)
        self.loader = make_loader(
            self.source.train,
            run.train.seed,
            run.train.batch * self.algorithm.batches_per_step,
            jax.process_index(),
            jax.process_count(),
            run.data.workers,
            place=lambda tree: parallel.put(tree, self.replicated),
        )
        abstract = checkpoint.abstract_state(self.algorithm)
        self.layout = parallel.state_sharding(self.mesh, abstract)
        self.abstract = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, self.layout
        )

    def check_resume(self) -> None:
        """Raises UserError where the directory holds a run that this one cannot go on with."""
        if not self.resumed:
            return
        there, here, directory = checkpoint.read_config(self.directory), self.saved, self.directory
        advice = "choose another --run, or repeat the options it was begun with"
        if there.run.name != here.run.name:
            raise UserError(f"{directory} is a run of {there.run.name}, not of {here.run.name}; choose another --run")
        if changed := checkpoint.differences(there.run, here.run):
            raise UserError(f"{directory} was begun with other options ({'; '.join(changed[:5])}); {advice}")
        if there.data["fingerprint"] != here.data["fingerprint"]:
            raise UserError(
                f"{directory} was trained on other data: {there.data['source']} has changed since; {advice}"
            )
        if self.init_from not in (None, there.data.get("init_from")):
            raise UserError(f"--init-from begins a new run, but {directory} holds one; choose another --run")
        self.saved.data["init_from"] = self.init_from = there.data.get("init_from")
        self.saved.data["frozen"] = there.data.get("frozen", {})
        for line in checkpoint.differences(there.run, here.run, free=True):
            self.tell("note", {"text": f"changed since the run was begun: {line}"})
        if there.run.train.steps != here.run.train.steps and here.run.optimizer.schedule != "constant":
            text = f"the {here.run.optimizer.schedule} schedule now spans {here.run.train.steps} steps: the rate jumps"
            self.tell("note", {"text": text})

    @property
    def step(self) -> int:
        """Finished steps."""
        return int(self.state.step)

    def first_state(self) -> State:
        """The newest checkpoint's state, or a fresh one."""
        if self.checkpoints.steps():
            state, position = self.checkpoints.load(self.abstract)
            self.loader.set_state(position)
            return self._with_frozen(state)
        shapes = checkpoint.batch_shapes(self.algorithm.batch_spec, 2 * self.algorithm.batches_per_step)

        def init(key: jax.Array) -> State:
            return self.algorithm.init(key, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))

        # Born sharded: nothing is ever whole on one device that need not be.
        fresh: State = jax.jit(init, out_shardings=self.layout)(self.key)
        if self.init_from is None:
            return self._with_frozen(fresh)
        taken, left = checkpoint.take_parameters(fresh, self.init_from)
        if left:
            text = f"not taken from {self.init_from}, as shapes differ: {', '.join(left)}; these start fresh"
            self.tell("note", {"text": text})
        return self._with_frozen(taken)

    def _with_frozen(self, state: State) -> State:
        """The state with the parameters that never train: those that the run keeps, or, at its start, the sources'."""
        facts = self.saved.data
        if facts["frozen"]:
            found = frozen.kept(self.directory, facts["frozen"], self.abstract.frozen)
        else:
            found = state.frozen | checkpoint.load_frozen(self.algorithm)
            facts["frozen"] = frozen.keep(self.directory, found)
        return state.replace(frozen=parallel.put(found, self.replicated))

    @functools.cached_property
    def _sample_condition(self) -> dict[str, Any]:
        """The conditions of the sample grids: the same all along."""
        conditions = self.algorithm.batch_spec.conditions
        return draw_conditions(
            conditions, self.saved.data["condition_table"], self.run.train.samples, self.run.train.seed
        )

    def train(self, checkpoints: Checkpoints) -> Path:
        """Runs the steps that are left, then evaluates, draws samples and writes the summary."""
        self.tell("data", {"source": self.source, "run": self.run, "devices": self.mesh.devices.size})
        self.checkpoints = checkpoints
        self.state = self.first_state()
        options, step = self.run.train, self.step
        if step < options.steps:  # a finished run keeps the length that it had
            checkpoint.write_config(self.directory, self.saved)
        self.log = RunLog(self.directory, step)
        self.tell("start", {"step": step, "steps": options.steps, "directory": self.directory})
        clock, last = _Clock(), {}
        interrupted = False
        if step < options.steps:
            dispatch = make_dispatch(self.algorithm, self.loader, self.run)
            pending: list[_Dispatched] = []
            with _stop_signals() as stop:
                while step < options.steps and not stop:
                    # Groups end at multiples of their length, so that a resumed run cuts them as the whole one does.
                    count = min(options.steps_per_dispatch - step % options.steps_per_dispatch, options.steps - step)
                    self.state, metrics = dispatch(self, step, count)
                    step += count
                    pending.append(_Dispatched(step, count, metrics))
                    clock.tick(metrics, count)
                    self.tell("progress", {"step": step, "rate": clock.rate() * self.images_per_step})
                    due = [act for every, act in self._rhythm if _crossed(step, count, every) and step < options.steps]
                    if due or _crossed(step, count, options.log_every):
                        last = self._flush(pending, clock)
                        pending = []
                    with clock.paused():
                        for act in due:
                            act(step)
                last = self._flush(pending, clock) if pending else last
                interrupted = step < options.steps
                self._save(step)
        return self._finish(last, clock, interrupted)

    @property
    def _rhythm(self) -> tuple[tuple[int, Callable[[int], Any]], ...]:
        """What is done every so many steps."""
        options = self.run.train
        return (
            (options.sample_every, self._samples),
            (options.eval_every, self._evaluate),
            (options.save_every, self._save),
        )

    @property
    def images_per_step(self) -> int:
        """Real pictures that a step sees."""
        return self.run.train.batch * self.algorithm.batches_per_step

    def _flush(self, pending: list[_Dispatched], clock: _Clock) -> dict[str, float]:
        """Brings metrics to the host, stops at one that is not finite, and writes their means as a row."""
        columns: dict[str, list[np.ndarray[Any, Any]]] = {}
        for (end, count, _), metrics in zip(pending, jax.device_get([p.metrics for p in pending]), strict=True):
            for name, value in metrics.items():
                values = np.atleast_1d(value)[:count]
                bad = np.flatnonzero(~np.isfinite(values))
                if len(bad):
                    raise NotFiniteError(self._not_finite(end - count + 1 + int(bad[0]), name, values[bad[0]]))
                columns.setdefault(name, []).append(values)
        means = {name: float(np.mean(np.concatenate(values))) for name, values in columns.items()}
        step, rate = pending[-1].end, clock.rate() * self.images_per_step
        self.log.write(step, means | {"images_per_second": rate, "seconds": clock.total})
        self.tell("log", {"step": step, "metrics": means, "rate": rate})
        return means

    def _not_finite(self, step: int, name: str, value: float) -> str:
        good = self.checkpoints.steps()
        where = f"the last good checkpoint is step {good[-1]} in {self.directory}" if good else "no checkpoint yet"
        return f"step {step}: {name} is {value}; {where}. Lower --optimizer.learning-rate, or set --optimizer.clip-norm"

    def _samples(self, step: int) -> None:
        num, key = self.run.train.samples, random.stream(self.key, "samples")
        columns = None
        if self.algorithm.sample is not None:
            images = jax.device_get(self._sample(self.state, key, num, self._sample_condition))
        elif self.algorithm.transform is not None:
            images, columns = self._transformed(key, max(1, num // 2)), 2 * math.ceil(math.sqrt(num / 2))
        else:
            return
        path = self.directory / "samples" / f"{step:06d}.png"
        if jax.process_index():
            return
        save_grid(path, images, columns, scale=max(1, 96 // images.shape[1]))
        self.tell("sample", {"step": step, "path": path})

    def _transformed(self, key: jax.Array, num: int) -> Any:
        """The first test pictures, each followed by what the model makes of it."""
        assert self.algorithm.transform is not None
        split = self.source.test if self.source.test.size else self.source.train
        examples = [example(split, i)["image"] for i in range(min(num, split.size))]
        images = parallel.put(to_float(np.stack(examples)), self.replicated)
        made = jax.jit(self.algorithm.transform, out_shardings=self.replicated)(self.state, images, key)
        both = np.stack(jax.device_get([images, made]), axis=1)
        return both.reshape(-1, *both.shape[2:])

    @functools.cached_property
    def _sample(self) -> Callable[..., jax.Array]:
        assert self.algorithm.sample is not None
        return jax.jit(self.algorithm.sample, static_argnums=2, out_shardings=self.replicated)

    @functools.cached_property
    def _evaluator(self) -> Callable[..., dict[str, float]]:
        return make_evaluator(self.algorithm, self.run.data, self.mesh)

    def _evaluate(self, step: int) -> dict[str, float]:
        figures = self._evaluator(self.state, self.source.test, self.key)
        self.log.write(step, {f"test/{name}": value for name, value in figures.items()})
        self.tell("evaluate", {"step": step, "metrics": figures})
        return figures

    def _save(self, step: int) -> None:
        self.checkpoints.save(self.state, self.loader.get_state())
        self.tell("save", {"step": step})

    def _finish(self, last: dict[str, float], clock: _Clock, interrupted: bool) -> Path:
        step, path = self.step, self.directory / "summary.json"
        summary: dict[str, Any] = {"model": self.run.name, "step": step, "interrupted": interrupted}
        there = json.loads(path.read_text()) if path.exists() else {}
        if there.get("step") == step and "test" in there:
            summary = there  # this very state has been summed up before
        else:
            summary |= {
                "metrics": last,
                "images_per_second": clock.rate() * self.images_per_step,
                "seconds": clock.total,
                "devices": [str(d.device_kind) for d in self.mesh.devices.flat],
                "versions": {"jax": jax.__version__, "python": platform.python_version()},
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            }
        if not interrupted and "test" not in summary:
            self._samples(step)
            summary["test"] = self._evaluate(step)
        if jax.process_index() == 0:
            path.write_text(json.dumps(summary, indent=2) + "\n")
        names = self.saved.data["class_names"]
        self.tell("end", {"step": step, "summary": summary, "directory": self.directory, "interrupted": interrupted,
                          "class_names": names, "samples": self.algorithm.sample is not None})  # fmt: skip
        return self.directory


def make_dispatch(
    algorithm: Algorithm, loader: Loader, run: Run
) -> Callable[[Trainer, int, int], tuple[State, Metrics]]:
    """One compiled form for the whole run: single steps with static `due`, or a loop over several.

    The two differ by rounding, so a run never mixes them.
    """

    def one(state: State, constants: Any, payload: Any, key: jax.Array, due: Any) -> tuple[State, Metrics]:
        raw = loader.materialize(constants, payload)
        stream = random.stream(key, "augment", state.step)
        batch = prepare(raw, random.example_keys(stream, len(raw["image"])), run.data)
        return algorithm.step(state, batch, key, due)

    group = run.train.steps_per_dispatch
    due = None if algorithm.lazy else ()

    def several(state: State, constants: Any, payloads: Any, key: jax.Array, count: Any) -> tuple[State, Metrics]:
        def body(i: jax.Array, carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
            state, metrics = one(carry[0], constants, jax.tree.map(lambda x: x[i], payloads), key, due)
            return state, jax.tree.map(lambda all_, new: all_.at[i].set(new), carry[1], metrics)

        first = jax.tree.map(lambda x: x[0], payloads)
        shapes = jax.eval_shape(lambda: one(state, constants, first, key, due)[1])
        metrics = jax.tree.map(lambda s: jnp.zeros((group, *s.shape), s.dtype), shapes)
        # A loop of a length that only the device knows: the last, shorter group runs the same program.
        return jax.lax.fori_loop(0, count, body, (state, metrics))

    single = jax.jit(one, donate_argnums=0, static_argnames="due")
    looped = jax.jit(several, donate_argnums=0)

    def dispatch(trainer: Trainer, step: int, count: int) -> tuple[State, Metrics]:
        if group == 1:
            payload = parallel.put(loader.next(step), parallel.batch_sharding(trainer.mesh))
            return single(trainer.state, loader.constants, payload, trainer.key, due=algorithm.due(step))
        payloads = [loader.next(s) for s in range(step, step + count)]
        payloads += payloads[-1:] * (group - count)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *payloads)
        placed = parallel.put(stacked, parallel.batch_sharding(trainer.mesh, axis=1))
        return looped(trainer.state, loader.constants, placed, trainer.key, np.int32(count))

    return dispatch


def _check(run: Run) -> None:
    options = run.train
    for name in ("steps", "batch", "log_every", "steps_per_dispatch", "samples"):
        if getattr(options, name) < 1:
            raise UserError(f"train.{name.replace('_', '-')} must be at least 1, not {getattr(options, name)}")
    for name in ("seed", "sample_every", "eval_every", "save_every"):
        if getattr(options, name) < 0:
            raise UserError(f"train.{name.replace('_', '-')} must not be negative, as {getattr(options, name)} is")
    if run.data.crop < 0:
        raise UserError(f"data.crop {run.data.crop} must not be negative")
    if run.parallel.model > 1 and not parallel.RULES:
        raise UserError("parallel.model above 1 needs sharding rules, and there are none yet; use parallel.data")


def _check_place(directory: Path) -> None:
    """Raises UserError unless files can be written into the directory, or it can be made."""
    there = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--run {directory}: {there} is a file, not a folder; choose another --run")
    if not os.access(there, os.W_OK | os.X_OK) or there.parts[:2] == ("/", "proc"):
        raise UserError(f"--run {directory}: cannot write into {there}; choose another --run")


def _data_facts(source: Source, algorithm: Algorithm) -> dict[str, Any]:
    names = [name for name, _ in algorithm.batch_spec.conditions]
    return {
        "source": source.name,
        "fingerprint": source.fingerprint,
        "class_names": {name: list(source.class_names[name]) for name in names},
        "condition_table": condition_table(source.train, names),
    }


def _crossed(step: int, count: int, every: int) -> bool:
    """Whether a multiple of `every` lies in the last `count` steps up to `step`."""
    return every > 0 and step // every > (step - count) // every


class _Clock:
    """Seconds of training, without compilation, evaluation and saving."""

    def __init__(self) -> None:
        self.total = 0.0
        self._window: deque[tuple[float, int]] = deque(maxlen=50)
        self._flight: deque[Metrics] = deque()
        self._last: float | None = None
        self._seen = 0

    def tick(self, metrics: Metrics, steps: int) -> None:
        """Counts a dispatch, and holds the host back while too many are under way."""
        self._flight.append(metrics)
        if len(self._flight) > _IN_FLIGHT:
            jax.block_until_ready(self._flight.popleft())
        now = time.perf_counter()
        self._seen += 1
        # The first dispatches wait for compilation.
        if self._last is not None and self._seen > _IN_FLIGHT + 2:
            self._window.append((now - self._last, steps))
            self.total += now - self._last
        self._last = now

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out what happens inside."""
        start = time.perf_counter()
        yield
        if self._last is not None:
            self._last += time.perf_counter() - start

    def rate(self) -> float:
        """Steps a second over the last dispatches; 0 before there are any."""
        seconds = sum(s for s, _ in self._window)
        return sum(n for _, n in self._window) / seconds if seconds else 0.0


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM comes; a second SIGINT is Python's own again."""
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread: signals go where the caller has sent them
        pass
    try:
        yield received
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
