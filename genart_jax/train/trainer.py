"""The only training loop. It knows an Algorithm, never a model."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.api import build
from genart_jax.config import NotFiniteError, Run, check_ranges, resolve
from genart_jax.data.open import Dataset, open_data
from genart_jax.data.pipeline import make_loader, prepare
from genart_jax.data.source import Source, absolute, finished, open_source
from genart_jax.nn import random
from genart_jax.runtime import compiler, heap, packaged
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array, Json
from genart_jax.steps import stages, sweep
from genart_jax.train import checkpoint, cluster, frozen, guard, parallel, published
from genart_jax.train.about import versions
from genart_jax.train.checkpoint import Saved
from genart_jax.train.checks import (
    beside_other_data,
    check_best,
    check_fields,
    check_place,
    check_resume,
    check_sweep,
    compare_tokenizer,
    data_facts,
)
from genart_jax.train.clock import Clock
from genart_jax.train.dispatch import advance, crossed, make_dispatch, over_members
from genart_jax.train.evaluation import Figures, make_evaluator
from genart_jax.train.guard import StopSignals
from genart_jax.train.log import read_rows
from genart_jax.train.owner import Owner, owning
from genart_jax.train.records import Means, Records, mean_of_finite, name_unreadable
from genart_jax.train.show import Gallery
from genart_jax.train.store import Checkpoints
from genart_jax.train.summary import read_summary, summarize, write_summary
from genart_jax.train.watch import Watch, few_of, gamma_hint
from genart_jax.types import Algorithm, Batch, Metrics, State, Tree

Callback = Callable[[str, Json], None]
"""Called as callback(event, values) with the events devices, data, note, start, progress, log, evaluate, sample, save
(when a checkpoint is whole on the disk) and end."""

_MOST_LEFT_OUT = 10  # steps whose data is not finite, before a run ends for it


class _Dispatched(NamedTuple):
    """Metrics under way: of the `steps` steps up to `end`."""

    end: int
    steps: int
    metrics: Metrics


def fit(
    run: Run,
    directory: str | Path,
    callback: Callback | None = None,
    init_from: str | Path | None = None,
    force: bool = False,
    data: Dataset | Array | Mapping[str, Any] | None = None,
) -> Path:
    """Trains a model, or goes on with what `directory` holds; returns the run directory.

    A run that is complete is left as it is. SIGINT and SIGTERM end it after the step in progress, with a checkpoint;
    its summary then says "interrupted". Where a loss, a gradient or a parameter is no longer finite, the run goes back
    to its last good checkpoint: with a smaller learning rate, `train.rollbacks` times; or, where the data of a step is
    at fault, without that step. Of a sweep's members, such a one is lost, and the others go on.

    Args:
      run: the configuration; what it leaves None is filled from the data.
      directory: where config.json, metrics.jsonl, samples/, checkpoints/ and summary.json go.
      callback: told of everything that happens, in the first of several processes; see `Callback`.
      init_from: a run to take the parameters from, for a new run with a fresh optimizer; or a file, as `load` takes it.
      force: go on with a run that was begun with other options or other data, as long as its state fits.
      data: what to train on, in place of `run.data.source`: what `open_data` gives, or arrays as it takes them. Arrays
        are not kept with the run: who goes on with it gives them again.

    Raises:
      UserError: wrong options, or a directory that holds another run or is another process's; says how to mend it.
      NotFiniteError: a loss became NaN or infinite, and going back has not helped.
      NotSavedError: the last state could not be saved.
      PeerLostError: another process of the run has ended.
    """
    run = dataclasses.replace(run, parallel=cluster.join(run.parallel))
    heap.keep()  # while JAX has not used the CPU
    silent: Callback = lambda event, values: None
    tell = silent if callback is None or jax.process_index() else callback
    directory = expanded(directory)
    check_ranges(run)
    check_place(directory)
    given = None if data is None else open_data(data).source_for_training()
    with owning(directory, lambda text: tell("note", {"text": text})) as owner:
        trainer = Trainer(run, directory, tell, init_from, owner, given)
        trainer.check_resume(force)
        cluster.meet()  # before the first writes what the others look for
        with trainer.open_checkpoints() as checkpoints, cluster.peers():
            return trainer.train(checkpoints)


class Trainer:
    """One run, from its configuration to its summary. Nothing is written before `train`."""

    checkpoints: Checkpoints
    state: State
    log: Records
    stop: StopSignals
    _evaluated: tuple[int, Figures] = -1, {}

    def __init__(
        self,
        run: Run,
        directory: Path,
        tell: Callback,
        init_from: str | Path | None = None,
        owner: Owner | None = None,
        given: Source | None = None,
    ) -> None:
        self.directory, self.tell, self.owner = directory, tell, owner or Owner(directory, self._note)
        self.means = Means()
        self.init_from = None if init_from is None else str(init_from)
        if self.init_from is not None and not self.init_from.startswith(published.ASSET):
            self.init_from = str(packaged.place(self.init_from).resolve())
        if given is not None:
            run = dataclasses.replace(run, data=dataclasses.replace(run.data, source=given.name))
        run = stages.with_data(run)
        options = run.data
        options = dataclasses.replace(options, source=absolute(options.source), other=absolute(options.other))
        run = dataclasses.replace(run, data=options)
        self.mesh = parallel.make_mesh(run.parallel, run.train.batch)
        tell("devices", {"text": parallel.describe(list(self.mesh.devices.flat))})
        with beside_other_data(directory, run.data.source):
            self.source = open_source(run.data) if given is None else finished(given, run.data)
            run = stages.complete(resolve(run, self.source.spec))
        compare_tokenizer(run, self.source, self._note)
        self.run = run = checkpoint.with_age(run, directory, self.init_from)
        check_sweep(run, self.source, self.init_from)
        self.algorithm = build(run)
        check_fields(run, self.algorithm.batch_spec)
        facts = data_facts(self.source, self.algorithm) | {"init_from": self.init_from, "frozen": {}}
        self.saved = Saved(run, facts)
        facts |= {"id": checkpoint.identity(self.saved), "rollbacks": [], "left_out": []}
        self.replicated = parallel.replicated(self.mesh)
        self.key = jax.jit(lambda: sweep.keys(run), out_shardings=self.replicated)()
        self.loader = make_loader(
            self.source.train.only(self.algorithm.batch_spec.fields),
            [one.train.seed for one in sweep.runs(run)] or run.train.seed,
            run.train.batch * self.algorithm.batches_per_step,
            jax.process_index(),
            jax.process_count(),
            run.data.workers,
            place=lambda tree: parallel.put(tree, self.replicated),
        )
        self.gallery = Gallery(self.saved, self.algorithm, self.source, self.mesh, self.key)
        abstract = checkpoint.abstract_state(self.algorithm)
        check_best(run.train.best, self.algorithm, abstract)
        self.layout = parallel.state_sharding(self.mesh, abstract, run.parallel.rules)
        self.abstract = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, self.layout
        )

    def check_resume(self, force: bool = False) -> None:
        """Raises UserError where the directory holds a run that this one cannot go on with; see `checks`."""
        check_resume(self.directory, self.saved, self.source, self.abstract, force, self._note)
        self.init_from = self.saved.data["init_from"]

    def open_checkpoints(self) -> Checkpoints:
        """The run's checkpoints, to load and to save."""
        options = self.run.train
        return Checkpoints(self.directory, options.keep, options.best, {"id": self.saved.data["id"]}, self._note)

    def _note(self, text: str) -> None:
        self.tell("note", {"text": text})

    @property
    def step(self) -> int:
        """Finished steps."""
        return int(self.state.step)

    def first_state(self) -> State:
        """The newest checkpoint's state, or a fresh one."""
        if cluster.first_says(self.checkpoints.entries):
            state, position = self.checkpoints.load(self.abstract)
            self.loader.set_state(position)
            self.means = Means(self.checkpoints.about.get("pending"))
            return self._with_frozen(state)
        shapes = checkpoint.batch_shapes(self.algorithm.batch_spec, 2 * self.algorithm.batches_per_step)
        self.means = Means()

        def init(key: jax.Array) -> State:
            return self.algorithm.init(key, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))

        # Born sharded: nothing is ever whole on one device that need not be.
        fresh: State = compiler.jit(init, once=True, out_shardings=self.layout)(self.key)
        if self.init_from is None:
            return self._begun(self._with_frozen(fresh))
        taken, left = checkpoint.take_parameters(fresh, self.init_from, self.run.name)
        if left:
            names = ", ".join("/".join(re.findall(r"'(\w+)'", path)) for path in left)
            self._note(f"other classes, or another last layer, than {self.init_from} has; these start fresh: {names}")
        return self._begun(self._with_frozen(taken))

    def _begun(self, state: State) -> State:
        """The first state, after the algorithm has seen the first batch, if it wants to."""
        if self.algorithm.begin is None:
            return state
        payload = parallel.put(self.loader.next(0), parallel.batch_sharding(self.mesh))

        def begin(state: State, constants: Tree, payload: Tree) -> State:
            ready: Callable[..., Batch] = lambda raw, key: prepare(
                raw, None, self.run.data, self.algorithm.batch_spec.fields
            )
            batch = over_members(ready, self.algorithm)(self.loader.materialize(constants, payload), self.key)
            assert self.algorithm.begin is not None
            return self.algorithm.begin(state, batch).replace(frozen={})

        layout = self.layout.replace(frozen={})
        begun: State = compiler.jit(begin, once=True, out_shardings=layout)(state, self.loader.constants, payload)
        return begun.replace(frozen=state.frozen)

    def _with_frozen(self, state: State) -> State:
        """The state with the parameters that never train: those that the run keeps, or, at its start, the sources'."""
        facts = self.saved.data
        if facts["frozen"]:
            found = frozen.kept(self.directory, facts["frozen"], self.abstract.frozen)
        else:
            found = state.frozen | checkpoint.load_frozen(self.algorithm)
            facts["frozen"] = frozen.keep(self.directory, found)
        return state.replace(frozen=parallel.put(found, self.replicated))

    def train(self, checkpoints: Checkpoints) -> Path:
        """Runs the steps that are left, then evaluates, draws samples and writes the summary."""
        self.tell("data", {"source": self.source, "run": self.run, "devices": self.mesh.devices.size})
        self.checkpoints = checkpoints
        with StopSignals() as self.stop:
            self.state = self.first_state()
            options, step = self.run.train, self.step
            if step < options.steps:  # a finished run keeps the length that it had
                checkpoint.write_config(self.directory, self.saved)
            name_unreadable(self.directory, self.source.unreadable, self._note)
            clock, done = Clock(self._open_log()), step >= options.steps
            self.tell("start", {"step": step, "steps": options.steps, "directory": self.directory})
            if step == 0 and (hint := gamma_hint(self.run)):
                self._note(hint)
            while not done:
                try:
                    self._run(clock)
                    done = True
                except NotFiniteError as error:
                    self._roll_back(error)
            return self._finish()

    def _open_log(self) -> float:
        """Opens the log where the state is; returns the seconds that training has taken up to there."""
        unfinished = bool(self.means.content()) and self.step < self.run.train.steps
        self.log = Records(self.directory, self.saved, self.step, self._note, unfinished)
        self.watch = Watch(self.run, self.algorithm.members, read_rows(self.directory / "metrics.jsonl"))
        return float(self.log.newest.get("seconds", 0.0))

    def _run(self, clock: Clock) -> None:
        """Runs steps until the last, or until told to stop, and saves."""
        options, step = self.run.train, self.step
        left_out = self.saved.data["left_out"]
        dispatch = make_dispatch(self._algorithm_now(), self.loader, self.run, (self.mesh, self.layout))
        pending: list[_Dispatched] = []
        while step < options.steps and not self.stop.before_step():
            # Groups end at multiples of their length, so that a resumed run cuts them as the whole one does.
            count = min(options.steps_per_dispatch - step % options.steps_per_dispatch, options.steps - step)
            count = min([count, *(other - step for other in left_out if other > step)])
            metrics: Metrics
            if step in left_out:
                self.state, metrics, count = advance(self.state), {}, 1
            else:
                self.state, metrics = dispatch(self, step, count)
            step += count
            pending.append(_Dispatched(step, count, metrics))
            clock.tick(metrics, count)
            rate = clock.rate()
            left = (options.steps - step) / rate if rate else None
            now = {"rate": rate * self.images_per_step, "left": left, "metrics": clock.finished}
            self.tell("progress", {"step": step} | now)
            self._tell_saved()
            due = [act for every, act in self._rhythm if crossed(step, count, every) and step < options.steps]
            if due or crossed(step, count, options.log_every):
                self._flush(pending, clock)
                pending = []
            if self.owner.lost:
                self.owner.check()
            with clock.paused():
                for act in due:
                    act(step)
        if pending:  # a longer run, or this one when it goes on, has no row here
            every = (options.log_every, *(every for every, _ in self._rhythm))
            self._flush(pending, clock, any(crossed(step, pending[-1].steps, n) for n in every))
        self._save(step)
        self.checkpoints.require(step)
        self._tell_saved()

    def _algorithm_now(self) -> Algorithm:
        """The algorithm at the learning rate that rollbacks have left; a rate that was changed since is taken as is."""
        run = self.run
        for _ in self._rollbacks():
            run = guard.slower(run)
        return self.algorithm if run is self.run else build(run)

    def _rollbacks(self) -> list[Json]:
        """What the run went back for, at the learning rate that it is given."""
        rate = self.run.optimizer.learning_rate
        return [entry for entry in self.saved.data["rollbacks"] if entry["learning_rate"] == rate]

    def _roll_back(self, error: NotFiniteError) -> None:
        """Goes back to the last good checkpoint, or to the start, and mends the run; or raises the error again."""
        data, failed = self.saved.data, error.step
        del self.state
        if names := guard.bad_batch(self.loader, failed - 1):
            if len(data["left_out"]) >= _MOST_LEFT_OUT:
                raise error
            data["left_out"].append(failed - 1)
            mended = f"without the batch of step {failed}, whose {', '.join(names)} is not finite"
        else:
            if self.algorithm.members or len(self._rollbacks()) >= self.run.train.rollbacks:
                raise error
            data["rollbacks"].append({"step": failed, "learning_rate": self.run.optimizer.learning_rate})
            mended = f"with {guard.SLOWER:g} of the learning rate"
        self.state, self._evaluated = self.first_state(), (-1, {})
        checkpoint.write_config(self.directory, self.saved)
        self._open_log()
        self._note(f"{error.what}: back to step {self.step}, and on {mended}")

    def _tell_saved(self) -> None:
        for step in self.checkpoints.saved():
            self.tell("save", {"step": step})

    @property
    def _rhythm(self) -> tuple[tuple[int, Callable[[int], object]], ...]:
        """What is done every so many steps."""
        options = self.run.train
        return (
            (options.sample_every, self._samples),
            (options.watch_every * self.watch.game, self._look),
            (options.eval_every, self._evaluate),
            (options.save_every, self._save),
        )

    @property
    def images_per_step(self) -> int:
        """Real pictures that a step sees, of a sweep all its members together."""
        return self.run.train.batch * self.algorithm.batches_per_step * max(1, self.algorithm.members)

    def _flush(self, pending: list[_Dispatched], clock: Clock, whole: bool = True) -> None:
        """Brings metrics to the host, stops at one that is finite in no member, and writes their means as a row.

        If that is not a `whole` one, the means go on.
        """
        columns: dict[str, list[Array]] = {}
        steps: dict[str, list[int]] = {}
        for (end, count, _), metrics in zip(pending, jax.device_get([p.metrics for p in pending]), strict=True):
            for name, value in metrics.items():
                columns.setdefault(name, []).append(np.reshape(value, (-1, max(1, self.algorithm.members)))[:count])
                steps.setdefault(name, []).extend(range(end - count + 1, end + 1))
        values = {name: np.concatenate(parts) for name, parts in columns.items()}  # (steps, members) each
        values = {name: values[name] for name in guard.in_order(values, self.algorithm.order)}
        bad = [(name, i) for name, all_ in values.items() for i in np.flatnonzero(~np.isfinite(all_).any(axis=1))]
        if bad:
            name, i = min(bad, key=lambda one: steps[one[0]][one[1]])
            raise self._not_finite(steps[name][i], f"{name} is {values[name][i, 0]}")
        self.means.add(values)
        means = self.means.take() if whole else self.means.peek()
        step, rate = pending[-1].end, clock.rate() * self.images_per_step
        row = self.log.write(step, means, {"images_per_second": rate, "seconds": clock.total})
        self.tell("log", {"step": step, "metrics": row, "rate": rate})
        self.watch.see(step, row if whole else {}, self._note)

    def _not_finite(self, step: int, what: str) -> NotFiniteError:
        self.checkpoints.wait()
        tried = "Going back with a smaller learning rate has not helped. " if self._rollbacks() else ""
        tried = "That was the last member to train. " if self.algorithm.members else tried
        return guard.not_finite_error(step, what, tried, self.checkpoints.steps(), self.directory)

    def _samples(self, step: int) -> Array | None:
        """Draws pictures into samples/, and returns what the model made (members, num, ...); None where it is none."""
        with self.stop.may_cut_off():
            if (made := self.gallery.draw(self.state)) is None or jax.process_index():
                return None
            for path in self.log.save_pictures(step, *made):
                self.tell("sample", {"step": step, "path": path})
            return made[0].get("sample", made[0].get("output"))
        return None

    @functools.cached_property
    def _evaluator(self) -> Callable[..., Figures]:
        return make_evaluator(self.algorithm, self.run.data, self.mesh)

    def _evaluate(self, step: int) -> Figures:
        """Figures on the test split, (members,) of a sweep; none where a signal has cut the evaluation off."""
        if self._evaluated[0] == step:
            return self._evaluated[1]
        with self.stop.may_cut_off():
            figures = self._evaluator(self.state, self.source.test, self.key)
            self._evaluated = step, figures
            row = self.log.write(step, {f"test/{name}": np.atleast_1d(value) for name, value in figures.items()})
            row = {name.removeprefix("test/"): value for name, value in row.items()}
            self.tell("evaluate", {"step": step, "metrics": row})
            return figures
        return {}

    def _look(self, step: int) -> None:
        """How the critic takes a few held-out pictures."""
        if few := few_of(self.source.test, self.run.train.batch):
            found = self._evaluator(self.state, few, random.stream(self.key, "watch"))
            row = self.log.write(step, {f"held_out/{name}": np.atleast_1d(value) for name, value in found.items()})
            self.watch.see(step, row, self._note)

    def _save(self, step: int) -> None:
        # A sweep's diverged members are no longer finite; that the last of them is lost, their metrics say.
        if not self.algorithm.members and (bad := guard.not_finite(self.state.replace(frozen={}))):
            raise self._not_finite(step, f"{bad[0]} is not finite")
        figures = self._evaluate(step) if self.run.train.best and not self.stop else {}
        self.owner.check()
        about = checkpoint.content(self.saved) | {"pending": self.means.content()}
        self.checkpoints.save(self.state, self.loader.get_state(), figures, about)
        self._tell_saved()

    def _finish(self) -> Path:
        step, path, stopped, data = self.step, self.directory / "summary.json", bool(self.stop), self.saved.data
        begun: Json = {"model": self.run.name, "step": step, "id": data["id"]}
        begun["state"] = cluster.first_says(lambda: self.checkpoints.seal(step))
        found = cluster.first_says(lambda: read_summary(path, begun))
        summary = found or begun | self.log.figures() | {
            "devices": [str(d.device_kind) for d in self.mesh.devices.flat],
            "versions": versions(), "warnings": self.watch.told,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        if step >= self.run.train.steps and not stopped and "test" not in summary:
            images = self._samples(step)
            if figures := self._evaluate(step):
                summary["test"] = {name: mean_of_finite(value) for name, value in figures.items()}
                if self.algorithm.members:
                    diverged = jax.device_get(self.state.extra[sweep.DIVERGED])
                    summary["sweep"] = summarize(self.run, self.log, begun, diverged, figures, images, self.source)
        summary["interrupted"] = interrupted = "test" not in summary
        self.owner.check()
        write_summary(path, summary)
        names = data["class_names"]
        self.tell("end", {"step": step, "summary": summary, "directory": self.directory, "interrupted": interrupted,
                          "class_names": names, "samples": self.algorithm.sample is not None})  # fmt: skip
        return self.directory
