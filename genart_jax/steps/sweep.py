"""Several runs as one: an algorithm whose state holds many members, which one program trains side by side.

Members differ by their seed, or by options of the optimizer, and by nothing else: each is what a run of its own with
that seed and those options would be, data order and all. They share no number, so one that diverges harms no other.

The values of swept options are traced, not compiled in: the algorithm is built anew inside `jax.vmap`, around them.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import Run, Sweep, override
from genart_jax.types import Algorithm, Batch, Metrics, State, Sums, Tree, Use

DIVERGED = "diverged"
"""Entry of `State.extra`: int32 (members,), the first step in which a member was not finite, 0 where there is none."""

_AXES: Any = State(step=None, params=0, mutable=0, opt=0, ema=0, extra=0, frozen=None)  # type: ignore[arg-type]


def runs(run: Run) -> tuple[Run, ...]:
    """The configurations of a sweep's members, each as it would be trained alone; () where nothing is swept.

    In the order of the options' values, the option that is named last in `SweepOptimizer` changing fastest, and for
    each of these settings the seeds `train.seed`, `train.seed` + 1, and so on.
    """
    names, seeds = swept(run), run.sweep.seeds
    if not names and not seeds:
        return ()
    alone = dataclasses.replace(run, sweep=Sweep())
    return tuple(
        override(
            alone,
            optimizer=dict(zip(names, values, strict=True)),
            train={"seed": run.train.seed + i},
        )
        for values in itertools.product(*(getattr(run.sweep.optimizer, name) for name in names))
        for i in range(max(1, seeds))
    )


def swept(run: Run) -> list[str]:
    """The options of the optimizer that members differ by."""
    return [f.name for f in dataclasses.fields(run.sweep.optimizer) if getattr(run.sweep.optimizer, f.name)]


def keys(run: Run) -> jax.Array:
    """The key of a run, or those of a sweep's members (members,)."""
    members = runs(run)
    if not members:
        return jax.random.key(run.train.seed)
    return jnp.stack([jax.random.key(one.train.seed) for one in members])


def members(run: Run, build: Callable[[Run], Algorithm]) -> Algorithm:
    """The algorithm of a sweep, of the algorithms that `build` makes for each of `runs`.

    Leaves of its state have a leading axis of members, but for `step` and `frozen`, which all share: lazy terms stay
    lazy. Metrics, figures and pictures have that axis too. Where it takes a key, it takes one a member (members,), see
    `keys`; a single key is folded with the member's number. A batch is one for all, or each example has an axis of
    members, (batch, members, ...).

    A member has diverged from the first step in which one of its metrics or statistics is not finite: its metrics are
    NaN from then on, and `State.extra` says which step it was. The others never see it. (To keep its last finite state
    would cost all of them another reading of the old state and of the new one in each step.)

    Raises:
      UserError: what `build` raises for one of the members.
    """
    made = _Members(run, build)
    first = made.first
    return first._replace(
        init=made.init,
        step=made.step,
        evaluate=made.evaluate,
        begin=None if first.begin is None else made.begin,
        show=None if first.show is None else made.show,
        uses={name: use._replace(function=made.use(use)) for name, use in first.uses.items()},
        members=made.count,
    )


class _Members:
    """The functions of a sweep's algorithm."""

    def __init__(self, run: Run, build: Callable[[Run], Algorithm]) -> None:
        alone, names = runs(run), swept(run)
        self.count, self.build, self.alone, self.first = len(alone), build, alone[0], build(alone[0])
        for one in alone[:: max(1, run.sweep.seeds)]:
            build(one)
        self.values = {name: np.array([getattr(one.optimizer, name) for one in alone], np.float32) for name in names}
        self.rank = len(self.first.batch_spec.image_shape)

    def of(self, values: Mapping[str, Tree]) -> Algorithm:
        """The algorithm of one member, with traced options."""
        if not values:
            return self.first
        optimizer = dataclasses.replace(self.alone.optimizer, **values)
        return self.build(dataclasses.replace(self.alone, optimizer=optimizer))

    def each(self, key: jax.Array) -> jax.Array:
        """A key a member."""
        return key if key.ndim else jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(self.count))

    def axis(self, batch: Batch) -> int | None:
        """That of the members in a batch."""
        return 1 if len(batch["image"].shape) == self.rank + 2 else None

    def init(self, key: jax.Array, batch: Batch) -> State:
        """See `types.Algorithm`, and so for the others."""
        one = jax.vmap(lambda values, key, batch: self.of(values).init(key, batch), in_axes=(0, 0, self.axis(batch)),
                       axis_size=self.count)  # fmt: skip
        state: State = one(self.values, self.each(key), batch)
        return state.replace(
            step=state.step[0],
            frozen=jax.tree.map(lambda x: x[0], state.frozen),
            extra=state.extra | {DIVERGED: jnp.zeros(self.count, jnp.int32)},
        )

    def step(
        self, state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None
    ) -> tuple[State, Metrics]:
        """One step of each member that has not diverged."""
        diverged = state.extra[DIVERGED]

        def one(
            values: Mapping[str, Tree], state: State, fine: jax.Array, batch: Batch, key: jax.Array
        ) -> tuple[State, Metrics, jax.Array]:
            new, metrics = self.of(values).step(state, batch, key, due)
            seen = [x for x in jax.tree.leaves((metrics, new.mutable)) if jnp.issubdtype(x.dtype, jnp.inexact)]
            fine = functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(x)) for x in seen], fine)
            return new, {name: jnp.where(fine, value, jnp.nan) for name, value in metrics.items()}, fine

        axes = (0, _AXES, 0, self.axis(batch), 0)
        mapped = jax.vmap(one, in_axes=axes, out_axes=(_AXES, 0, 0), axis_size=self.count)
        new, metrics, fine = mapped(self.values, _inner(state), diverged == 0, batch, self.each(key))
        diverged = jnp.where((diverged == 0) & ~fine, new.step, diverged)
        return new.replace(extra=new.extra | {DIVERGED: diverged}), metrics

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Each member's figures."""
        mapped = jax.vmap(self.first.evaluate, in_axes=(_AXES, self.axis(batch), 0), axis_size=self.count)
        sums: Sums = mapped(_inner(state), batch, self.each(key))
        return sums

    def begin(self, state: State, batch: Batch) -> State:
        """Each member's beginning."""
        assert self.first.begin is not None
        axes = (_AXES, self.axis(batch))
        mapped = jax.vmap(self.first.begin, in_axes=axes, out_axes=_AXES, axis_size=self.count)
        new: State = mapped(_inner(state), batch)
        return new.replace(extra=new.extra | {DIVERGED: state.extra[DIVERGED]})

    def use(self, use: Use) -> Callable[..., jax.Array]:
        """One of the algorithm's uses: keys are each member's own, and so are conditions (members, num); all else is
        the same for all.
        """
        keyed = {one.name for one in use.of_kind("key")}

        @functools.wraps(use.function)
        def used(state: State, *args: Tree, **options: Tree) -> jax.Array:
            given = dict(zip((one.name for one in use.inputs), args, strict=False)) | options
            own: dict[str, Tree] = {name: self.each(given[name]) for name in keyed}
            own |= {one.name: given[one.name] for one in use.of_kind("condition") if given.get(one.name)}
            axes = {
                name: 0 if name in keyed else jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) > 1 else None, x)
                for name, x in own.items()
            }
            made: jax.Array = jax.vmap(
                lambda state, own: use.function(state, **(given | own)), in_axes=(_AXES, axes), axis_size=self.count
            )(_inner(state), own)
            return made

        return used

    def show(self, state: State, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        """Each member's pictures of the same examples."""
        assert self.first.show is not None
        mapped = jax.vmap(self.first.show, in_axes=(_AXES, None, 0), axis_size=self.count)
        shown: Mapping[str, jax.Array] = mapped(_inner(state), batch, self.each(key))
        return shown


def member(state: State, index: int) -> State:
    """The state of one member, as its own algorithm takes it."""
    own: State = jax.tree.map(lambda x: x[index], _inner(state).replace(step=(), frozen={}))
    return own.replace(step=state.step, frozen=state.frozen)


def _inner(state: State) -> State:
    """The state as the members' algorithm knows it."""
    return state.replace(extra={name: value for name, value in state.extra.items() if name != DIVERGED})
