"""What the steps share: reductions over an axis name, moving averages, views of a batch, norms."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import BatchSpec, Field, Optimizer, Run, UserError
from genart_jax.nn import random, spectral
from genart_jax.steps import schedules
from genart_jax.steps.optim import make_optimizer
from genart_jax.types import HIDDEN, TO_HIDE, Batch, Condition, Metrics, State, Sums, Told, Tree, check_images

T = TypeVar("T")
_whole: contextvars.ContextVar[Callable[[Tree], Tree]] = contextvars.ContextVar("whole", default=lambda tree: tree)


@contextlib.contextmanager
def whole_by(constrain: Callable[[Tree], Tree]) -> Iterator[None]:
    """What is traced inside passes parameters before they are used, and means over devices, through `constrain`.

    Without it the layout of a state that lies in parts spreads to the activations, by way of the gradients.
    """
    token = _whole.set(constrain)
    try:
        yield
    finally:
        _whole.reset(token)


def pmean(tree: T, axis_name: str | None) -> T:
    """The mean over devices; without an axis name the tree itself, which `jit` has averaged, whole on each device."""
    return _whole.get()(tree) if axis_name is None else jax.lax.pmean(tree, axis_name)


def pmax(tree: Tree, axis_name: str | None) -> Tree:
    """The largest of all devices; the tree itself without an axis name."""
    return tree if axis_name is None else jax.lax.pmax(tree, axis_name)


def of_all(tree: T, axis_name: str | None) -> T:
    """The examples of all devices, in their order; without an axis name the tree itself, which has them."""
    return tree if axis_name is None else jax.tree.map(lambda x: jax.lax.all_gather(x, axis_name, tiled=True), tree)


def varying(tree: Tree, axis_name: str | None) -> Tree:
    """Marks replicated parameters as one device's own before they are differentiated.

    Otherwise `shard_map` sums their gradients over the devices by itself, and the mean that follows counts them as
    often as there are devices. Without an axis name: the parameters, whole on each device.
    """
    if axis_name is None:
        return _whole.get()(tree)

    def cast(x: jax.Array) -> jax.Array:
        if axis_name in getattr(jax.typeof(x), "vma", ()):
            return x
        return jax.lax.pcast(x, axis_name, to="varying")

    return jax.tree.map(cast, tree)


def ema_start(state: State, roles: tuple[str, ...], decay: float) -> State:
    """The state with moving averages that start as copies (never the same buffers: donation forbids that)."""
    if not decay:
        return state
    copy = lambda tree: jax.tree.map(jnp.copy, tree)
    return state.replace(ema={r: {"params": copy(state.params[r]), **copy(state.mutable[r])} for r in roles})


def ema_decay(decay: float, age: jax.Array) -> jax.Array:
    """The decay of averages of an age in steps; it warms up as min(decay, (1 + age) / (10 + age)), to forget the
    initialisation.
    """
    return jnp.minimum(decay, (1.0 + age) / (10.0 + age))


def half_life_decay(half_life: float | jax.Array, ramp: float, images: int, step: jax.Array) -> jax.Array:
    """The decay of a step of so many `images` that halves a weight over `half_life` images.

    Karras et al. 2020b, appendix C: early in training the half-life is at most `ramp` times the images seen so far.
    """
    ramped = ramp * images * step.astype(jnp.float32) if ramp else half_life
    return jnp.exp2(-images / jnp.clip(ramped, 1e-8, half_life))


def ema_update(
    ema: Mapping[str, Tree], params: Mapping[str, Tree], mutable: Mapping[str, Tree], decay: jax.Array
) -> dict[str, Tree]:
    """Moving averages of the given roles' parameters and statistics.

    Spectral normalisation's u is taken as it is: a mean of unit vectors is shorter than one, and what is divided by the
    sigma that it gives would be too large. Behind a barrier its old value counts as read, and is freed when donated.
    """
    live = {role: {"params": params[role], **mutable[role]} for role in ema}
    kept = jax.lax.optimization_barrier
    fixed = {
        role: {k: kept((v, ema[role][k]))[0] for k, v in tree.items() if k == spectral.COLLECTION}
        for role, tree in live.items()
    }
    averaged = optax.incremental_update(live, ema, 1.0 - decay)
    return {role: {**averaged[role], **fixed[role]} for role in ema}


def sampling_variables(state: State, role: str) -> tuple[Tree, Tree]:
    """Parameters and collections to sample with: the moving average where there is one."""
    if role in state.ema:
        variables = dict(state.ema[role])
        return variables.pop("params"), variables
    return state.params.get(role, {}), state.mutable[role]


def lend(state: State) -> dict[str, Tree]:
    """What sampling uses of a state, to be another's frozen parameters: role -> {"params": ..., **mutable}."""
    pairs = {role: sampling_variables(state, role) for role in state.mutable}
    return {role: {"params": params, **mutable} for role, (params, mutable) in pairs.items()}


def borrow(lent: Mapping[str, Tree]) -> State:
    """The state that `lend` was given, as far as encoding, decoding and sampling need it."""
    return State(
        step=jnp.zeros((), jnp.int32),
        params={role: variables["params"] for role, variables in lent.items()},
        mutable={role: {k: v for k, v in variables.items() if k != "params"} for role, variables in lent.items()},
        opt={},
        ema={},
        extra={},
    )


def update(
    player: str, optimizer: optax.GradientTransformationExtraArgs, grads: Tree, opt: Tree, params: Tree, **extra: Any
) -> tuple[Tree, Tree, Metrics]:
    """A player's parameters and optimizer state after an update, and the global norms that go into the log.

    `extra` is what the optimizer wants besides, such as a line search's value.
    """
    # The barrier keeps the squares of gradients, which norms and moments have in common, from being written out.
    updates, opt = optimizer.update(jax.lax.optimization_barrier(grads), opt, params, **extra)
    trees = {"grad": grads, "update": updates, "param": params}
    norms = {f"{player}_{name}_norm": global_norm(tree) for name, tree in trees.items()}
    return optax.apply_updates(params, updates), opt, norms


def global_norm(tree: Tree) -> jax.Array:
    """The root of the sum of the squares of all leaves, float32."""
    squares = (jnp.sum(jax.lax.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree))
    return jnp.sqrt(jnp.float32(sum(squares)))


def check_batch(batch: Batch, spec: BatchSpec) -> None:
    """Raises UserError unless the batch has the fields of `spec`, as their kinds say."""
    if missing := [name for name, field in spec.fields.items() if field.kind != "class" and name not in batch]:
        raise UserError(f"batch: has no {missing[0]!r}, only {', '.join(batch) or 'nothing'}")
    checks = {"pixels": _check_pixels, "mask": _check_mask, "class": _check_class}
    for name, field in spec.fields.items():
        checks[field.kind](name, field, batch)


def _check_pixels(name: str, field: Field, batch: Batch) -> None:
    check_images(batch[name], field.shape, name)


def _check_mask(name: str, field: Field, batch: Batch) -> None:
    check_images(batch[name], field.shape, name)
    if not isinstance(batch[name], jax.core.Tracer) and float(jnp.min(batch[name])) < 0:
        raise UserError(f"{name}: got values below 0, wanted a mask in [0, 1]")


def _check_class(name: str, field: Field, batch: Batch) -> None:
    given, size = batch.get("condition", {}), len(batch["image"])
    if name not in given:
        raise UserError(f"batch: condition {name!r} is missing; pass integers (batch,) in batch['condition']")
    value = given[name]
    if jnp.shape(value) != (size,) or not jnp.issubdtype(value.dtype, jnp.integer):
        raise UserError(f"batch: condition {name!r} is {jnp.shape(value)} {value.dtype}, wanted integers ({size},)")
    if not isinstance(value, jax.core.Tracer) and bool(jnp.any((value < HIDDEN) | (value >= field.classes))):
        raise UserError(f"batch: condition {name!r} has values outside 0 to {field.classes - 1} (-1: hidden)")


SCHEDULED = ("learning_rate", "b1", "b2")
"""What `train.schedules` may name for every step."""


def optimizer_of(
    config: Run,
    updates: int = 1,
    more: int = 0,
    options: Optimizer | None = None,
    learning_rate: float | None = None,
    searches: bool = False,
    known: tuple[str, ...] = SCHEDULED,
) -> optax.GradientTransformationExtraArgs:
    """The optimizer of a player that makes so many updates a step, and `more` in the whole run; see `make_optimizer`.

    Raises:
      UserError: an option out of range, or a schedule that is not of the `known` ones.
    """
    steps = config.train.steps
    total = steps * updates + more
    found = schedules.parse(config.train.schedules, steps, known)
    in_updates = lambda s: dataclasses.replace(s, steps=max(1, s.steps * total // max(1, steps)))
    moving = {name: in_updates(found[name]) for name in SCHEDULED if name in found}
    return make_optimizer(options or config.optimizer, total, learning_rate, searches, moving)


def select(batch: Batch, index: int | jax.Array, count: int) -> Batch:
    """The index-th of `count` batches that lie example-major in one.

    Raises:
      UserError: they would not be equally long.
    """
    if count == 1:
        return batch
    if bad := [len(x) for x in jax.tree.leaves(batch) if len(x) % count]:
        raise UserError(f"batch: {bad[0]} examples do not divide into the {count} batches that a step takes here")
    return jax.tree.map(lambda x: x.reshape(x.shape[0] // count, count, *x.shape[1:])[:, index], batch)


def chunks_of(config: Run) -> int:
    """Into how many parts `train.microbatch` cuts a batch.

    Raises:
      UserError: the parts would not be equal.
    """
    batch, part = config.train.batch, config.train.microbatch
    if part < 0 or (part and batch % part):
        raise UserError(f"train.microbatch {part} does not divide train.batch {batch}; choose a divisor")
    return batch // part if part else 1


def accumulate(function: Callable[..., T], chunks: int, *trees: Tree, group: int = 1) -> T:
    """The mean of `function(*parts)` over the parts of a batch; one part is in memory at a time.

    The trees' leaves have the batch as leading axis. A part takes every `chunks`-th example, so that a batch which is
    split over devices is cut on each of them alone; or every `chunks`-th `group` of neighbours, which stay together.
    """
    if chunks == 1:
        return function(*trees)
    if bad := [len(x) for x in jax.tree.leaves(trees) if len(x) % (chunks * group)]:
        of = f" of groups of {group}" if group > 1 else ""
        raise UserError(
            f"a batch of {bad[0]} here does not divide into {chunks} microbatches{of}; change train.microbatch"
        )

    def cut(x: jax.Array) -> jax.Array:
        blocks = x.reshape(-1, chunks, group, *x.shape[1:])
        return jnp.moveaxis(blocks, 1, 0).reshape(chunks, -1, *x.shape[1:])

    parts = jax.tree.map(cut, trees)

    def body(total: Tree, part: Tree) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, function(*part)), None

    first = function(*jax.tree.map(lambda x: x[0], parts))
    total, _ = jax.lax.scan(body, first, jax.tree.map(lambda x: x[1:], parts))
    return jax.tree.map(lambda x: x / chunks, total)


def refuse_joint(mutable: Mapping[str, Tree]) -> None:
    """Raises UserError where a critic's BatchNorm would be over real and generated pictures together."""
    if "batch_stats" in mutable:
        raise UserError(
            "step.critic-batch joint: the critic has BatchNorm, whose statistics would be those of real and generated"
            " pictures together; set it to separate"
        )


def refuse_statistics(mutable: Mapping[str, Tree], chunks: int) -> None:
    """Raises UserError where a network's statistics of the whole batch would become those of a part."""
    if chunks > 1 and any({"batch_stats", "codebook"} & {*role} for role in mutable.values()):
        raise UserError(
            "train.microbatch: this model has statistics of the whole batch (BatchNorm, a codebook); set it to 0"
        )


def conditions_of(batch: Batch, spec: BatchSpec) -> dict[str, jax.Array]:
    """The batch's conditions that the model knows."""
    return {name: batch["condition"][name] for name, _ in spec.conditions}


def weights_of(batch: Batch, spec: BatchSpec) -> jax.Array:
    """The batch's weights, ones where it has none: (batch,).

    An example without a class that the model needs to be told (-1) has weight 0: it counts in no figure.
    """
    weight: jax.Array = batch.get("weight", jnp.ones(len(batch["image"])))
    for name, value in conditions_of(batch, spec).items():
        if name not in spec.hidden:
            weight = jnp.where(value == HIDDEN, 0.0, weight)
    return weight


def per_example(values: Tree) -> jax.Array:
    """The mean of each example, (batch,), over the leaves of a tree and all their axes but the batch."""
    means = [jnp.mean(x, axis=tuple(range(1, x.ndim))) if x.ndim > 1 else x for x in jax.tree.leaves(values)]
    return sum(means[1:], means[0]) / len(means)


def weighted(values: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(weighted sum, weight) of one value an example."""
    return jnp.sum(values * weight), jnp.sum(weight)


def by_class(values: jax.Array, labels: jax.Array, classes: int, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(weighted sums, weights), both (classes,), of one value an example; labels below 0 are no class."""
    shown = jax.nn.one_hot(labels, classes) * weight[:, None]
    return jnp.sum(values[:, None] * shown, axis=0), jnp.sum(shown, axis=0)


def all_sums(sums: Sums, axis_name: str | None) -> Sums:
    """Sums over all devices."""
    return sums if axis_name is None else jax.lax.psum(sums, axis_name)


def hide(condition: Condition, key: jax.Array, rate: float, axis_name: str | None) -> dict[str, jax.Array]:
    """Hides each condition of each example with probability `rate`."""
    if not rate:
        return dict(condition)
    out = {}
    for name, value in condition.items():
        keys = random.example_keys(random.stream(key, name), len(value), axis_name)
        out[name] = jnp.where(random.uniform(keys) < rate, HIDDEN, value)
    return out


def wanted_condition(spec: BatchSpec, condition: Told, num: int, key: jax.Array | None) -> dict[str, jax.Array]:
    """Conditions of `num` examples: those given, as scalars or (num,); the others drawn, or hidden without a key.

    What is given is what `check_condition` lets through. Under `jit` a class is not known: for one that does not exist,
    or was not learnt, networks give NaN.

    Raises:
      UserError: as many classes as there are no examples, or a missing condition that was not learnt to do without.
    """
    out = {}
    for name, classes in spec.conditions:
        value = (condition or {}).get(name)
        if value is not None:
            value = jnp.asarray(value)
            if value.shape not in ((), (num,)):
                raise UserError(f"condition {name}: got shape {value.shape}, wanted one integer, or ({num},)")
            if isinstance(value, jax.core.Tracer) and name not in spec.hidden:
                value = jnp.where(value == HIDDEN, classes, value)  # no class: NaN
            out[name] = jnp.broadcast_to(value, (num,))
        elif key is not None:
            out[name] = random.randint(random.example_keys(random.stream(key, name), num), classes)
        elif name in spec.hidden:
            out[name] = jnp.full((num,), HIDDEN)
        else:
            raise UserError(f"condition {name!r} is missing; give 0 to {classes - 1}, {TO_HIDE}")
    return out
