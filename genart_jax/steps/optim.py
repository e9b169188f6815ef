"""Optax optimizers from the options of `config.Optimizer`.

On the shared floor, not in `train`: steps build their optimizers, and imports point left.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Optimizer, UserError
from genart_jax.steps.schedules import Schedule
from genart_jax.types import Tree


def schedule(config: Optimizer, steps: int, peak: float | None = None) -> optax.Schedule:
    """Learning rate by update: a linear warm-up from 0, then the schedule over what is left of `steps`."""
    peak = config.learning_rate if peak is None else peak
    rest = max(1, steps - config.warmup_steps)
    final = config.final_fraction
    if config.schedule == "cosine":
        main = optax.cosine_decay_schedule(peak, rest, alpha=final)
    elif config.schedule == "linear":
        main = optax.linear_schedule(peak, peak * final, rest)
    elif config.schedule == "exponential":
        if final <= 0:
            raise UserError("optimizer.schedule exponential needs optimizer.final-fraction above 0")
        main = optax.exponential_decay(peak, rest, final, end_value=peak * final)
    else:
        main = optax.constant_schedule(peak)
    if not config.warmup_steps:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, peak, config.warmup_steps), main], [config.warmup_steps])


def lazy_correction(
    config: Optimizer, every: int | Fraction, learning_rate: float | None = None
) -> tuple[Optimizer, float | None]:
    """The options for a player that makes one more update, by a penalty alone, after each `every` updates.

    Karras et al. 2020, appendix B: with c = every / (every + 1), the learning rate becomes c times, and the decays of
    moments b^c, so that over `every` + 1 updates they are what they were over `every`.

    Raises:
      UserError: a negative momentum, which has no such power.
    """
    if _known(config.b1) and config.b1 < 0:
        raise UserError(f"optimizer.b1 {config.b1}: a negative momentum cannot be corrected; use lazy-updates joint")
    c = float(every / (every + 1))
    rate = None if learning_rate is None else c * learning_rate
    return replace(config, learning_rate=c * config.learning_rate, b1=config.b1**c, b2=config.b2**c), rate


def make_optimizer(
    config: Optimizer,
    steps: int,
    learning_rate: float | None = None,
    line_search: bool = False,
    schedules: Mapping[str, Schedule] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The optimizer of one player.

    `schedules`, of learning_rate, b1 and b2, count updates; that of the learning rate takes the place of the options'.
    With `line_search` the caller hands over value, grad and value_fn at each update, and L-BFGS may be chosen.

    In order: clipping, the gradients of the L1 and L2 penalties, the update rule, decoupled weight decay, and the
    learning rate (of `steps` updates; `learning_rate` replaces the peak). The options that a sweep may have values of
    may be traced.

    Raises:
      UserError: an unknown rule, or a decay-paths that is no regular expression.
    """
    try:
        pattern = re.compile(config.decay_paths)
    except re.error as error:
        raise UserError(f"optimizer.decay-paths {config.decay_paths!r} is no regular expression: {error}") from None
    mask = lambda params: path_mask(params, pattern)
    rule, off = _rule(config, line_search, schedules or {}), optax.identity()
    rate = (schedules or {}).get("learning_rate") or schedule(config, steps, learning_rate)
    # As many parts whatever is switched on: a resumed run may change clipping, and its state must still fit.
    return optax.chain(
        optax.clip(config.clip_value) if config.clip_value else off,
        optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else off,
        optax.masked(_add_sign(config.l1), mask) if config.l1 else off,
        optax.add_decayed_weights(config.l2, mask) if config.l2 else off,
        rule,
        # The rule's output already points downhill, hence the sign.
        optax.add_decayed_weights(-config.weight_decay, mask) if _on(config.weight_decay) else off,
        optax.scale_by_schedule(rate),
    )


def _rule(config: Optimizer, line_search: bool, schedules: Mapping[str, Schedule]) -> optax.GradientTransformation:
    """Optax's own optimizer at learning rate 1 and without its weight decay, which `make_optimizer` adds."""
    factory = getattr(optax, config.name, None)
    parameters = _parameters(factory)
    if factory is None or "learning_rate" not in parameters:
        known = [n for n in vars(optax) if "learning_rate" in _parameters(getattr(optax, n))]
        near = difflib.get_close_matches(config.name, known, n=3, cutoff=0.4)
        hint = ", ".join(near or known)
        raise UserError(f"optimizer.name {config.name!r} is not an optimizer of Optax; near are {hint}")
    momentum = {"momentum": config.b1 if _on(config.b1) else None, "decay": config.b2} if "b1" not in parameters else {}
    options: dict[str, float | bool | None] = {
        "b1": config.b1,
        "b2": config.b2,
        "eps": config.eps,
        "nesterov": config.nesterov,
    }
    options |= {"learning_rate": 1.0, "weight_decay": 0.0, **momentum}
    options = {k: v for k, v in options.items() if k in parameters}
    moving = {name: schedules[name] for name in ("b1", "b2") if name in schedules}
    if unused := [name for name in moving if name not in options]:
        raise UserError(f"train.schedules: optimizer {config.name} has no {unused[0]}")
    rule: optax.GradientTransformation = (
        optax.inject_hyperparams(factory)(**options | moving) if moving else factory(**options)
    )
    example = {"w": jnp.zeros((2, 2))}
    try:
        search: dict[str, Tree] = {"value": 0.0, "grad": example, "value_fn": lambda p: jnp.sum(p["w"])}
        extra = search if line_search and isinstance(rule, optax.GradientTransformationExtraArgs) else {}
        jax.eval_shape(lambda: rule.update(example, rule.init(example), example, **extra))
    except Exception as error:  # whatever it lacks: the loss's value, a line search, ...
        raise UserError(f"optimizer.name {config.name!r} needs more than gradients; choose another ({error})") from None
    return rule


def _known(value: float | jax.Array) -> bool:
    """Whether an option is a number here, and not one of a sweep's, which only the device knows."""
    return not isinstance(value, jax.core.Tracer)


def _on(value: float | jax.Array) -> bool:
    """Whether an option is switched on; a sweep's is."""
    return bool(value) if _known(value) else True


def _parameters(thing: object) -> Mapping[str, inspect.Parameter]:
    """The options of an Optax function. Optax has no list of its optimizers or of their options, so signatures say."""
    return inspect.signature(thing).parameters if inspect.isfunction(thing) else {}


def path_mask(params: Tree, pattern: re.Pattern[str]) -> Tree:
    """True for each parameter whose path, such as "in/kernel", matches somewhere."""
    path = lambda keys: jax.tree_util.keystr(keys, simple=True, separator="/")
    return jax.tree_util.tree_map_with_path(lambda keys, _: bool(pattern.search(path(keys))), params)


def _add_sign(weight: float) -> optax.GradientTransformation:
    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        return jax.tree.map(lambda g, p: g + weight * jnp.sign(p), updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
