"""From a model's name or configuration to its algorithm."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp

from genart_jax import registry
from genart_jax.config import BatchSpec, Run, UserError, check_ranges, classes_of, override, resolve
from genart_jax.runtime import heap
from genart_jax.runtime.cache import keep_programs
from genart_jax.steps import described, networks, stages, sweep, uses
from genart_jax.types import Algorithm, Module, Network, State, Tree

_SECTIONS = ("step", "optimizer", "data", "train", "parallel", "sweep")
P = ParamSpec("P")
T = TypeVar("T")


def configure(model: str | Run, *, preset: str = "default", **options: Any) -> Run:
    """A model's configuration with options changed.

    `options` are fields of the model's own Config (`width=32`), or sections of `Run` as a dataclass or as a dict of the
    fields to change (`optimizer={"learning_rate": 1e-3}`).

    Raises:
      UserError: no such model, preset or option.
    """
    run = registry.get_config(model, preset) if isinstance(model, str) else model
    sections = {name: options.pop(name) for name in _SECTIONS if name in options}
    return override(dataclasses.replace(run, model=override(run.model, **options)), **sections)


def build(
    model: str | Run,
    *,
    preset: str = "default",
    axis_name: str | None = None,
    spec: BatchSpec | None = None,
    class_names: Mapping[str, Sequence[str]] | None = None,
    **options: Any,
) -> Algorithm:
    """The algorithm of a model: pure functions to initialise, train, evaluate and use it.

    With a section `sweep`, it is that of all its members: see `sweep.members`. How the process uses memory on CPU is
    settled here (see `heap`), best before JAX makes its first array. Compiled programs are kept on the disk from here
    on (see `cache.keep_programs`).

    Args:
      model: a name in the registry, `my_module:Config`, or a whole configuration.
      preset: which of the model's presets to start from, where `model` is a name.
      axis_name: axis of `jax.pmap` or `shard_map` over which gradients, statistics and metrics are averaged; None under
        plain `jit`, sharded or not.
      spec: what the data offers, as `open_data(...).spec`; what the configuration leaves None is filled from it.
      class_names: condition -> names of its classes, which uses then take besides their numbers; None: those of `spec`.
      **options: see `configure`. Without `spec`, `image_shape` is needed, and conditions that are left None are none.

    Raises:
      UserError: no such model, preset or option, a number out of range, or a shape that the model cannot make.
    """
    heap.keep()
    heap.collect_less()
    keep_programs()
    run = configure(model, preset=preset, **options)
    check_ranges(run)
    run = run if spec is None else resolve(run, spec)
    if "conditions" in {field.name for field in dataclasses.fields(run.model)}:
        run = dataclasses.replace(run, model=override(run.model, conditions=classes_of(run.model.conditions)))
    run = stages.complete(run)
    if run.model.image_shape is None:
        raise UserError(f"{run.name}: image_shape is not set; pass image_shape=(height, width, channels)")
    alone = functools.partial(_build_alone, axis_name=axis_name)
    built = sweep.members(run, alone) if sweep.runs(run) else alone(run)
    return _named(built, class_names or (spec.class_names if spec is not None else {}))


def _named(algorithm: Algorithm, class_names: Mapping[str, Sequence[str]]) -> Algorithm:
    """The algorithm whose uses take names of classes."""
    spec = algorithm.batch_spec.named(class_names)
    named = {name: uses.named(use, spec.class_names) for name, use in algorithm.uses.items()}
    return algorithm._replace(batch_spec=spec, uses=named if spec.class_names else algorithm.uses)


def _build_alone(run: Run, axis_name: str | None) -> Algorithm:
    """The algorithm of a completed configuration without a sweep."""
    module, step = registry.model_module(run.name), registry.step_module(run.name)
    dtype = jnp.bfloat16 if run.train.precision == "bfloat16" else jnp.float32
    roles = networks.checked(module.networks(run.model, dtype=dtype, axis_name=axis_name), run.name)
    if run.train.remat:
        roles = rematerialized(roles)
    try:
        algorithm = step.build(roles, run, axis_name)
    except TypeError as error:
        if "Algorithm" not in str(error):
            raise
        raise UserError(f"{run.name}: its step is of an earlier version ({error}); see docs/extending.md") from error
    return _described(_with_precision(algorithm, run.train.precision))


def _described(algorithm: Algorithm) -> Algorithm:
    """The algorithm whose functions say, to `help`, what they take here. It must be the only one that has them."""
    for name, text in described.functions(algorithm).items():
        getattr(algorithm, name).__doc__ = text
    for name, use in algorithm.uses.items():
        use.function.__doc__ = described.use(name, use.inputs, use.function.__doc__ or "")
    return algorithm


def rematerialized(roles: Mapping[str, Network]) -> dict[str, Network]:
    """The networks with `Rematerialized` modules."""
    return {role: network._replace(module=Rematerialized(network.module)) for role, network in roles.items()}


class Rematerialized:
    """A linen module whose backward pass computes activations again, all but those that it named "stage"."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def apply(self, variables: Tree, *args: Tree, **kwargs: Tree) -> Tree:
        """As the module's own `apply`; what `kwargs` holds is not differentiated, and a bool among `args` stays one."""
        policy = jax.checkpoint_policies.save_only_these_names("stage")

        def forward(variables: Tree, *arrays: Tree) -> Tree:
            rest = iter(arrays)
            return self._module.apply(variables, *(a if isinstance(a, bool) else next(rest) for a in args), **kwargs)

        arrays = (a for a in args if not isinstance(a, bool))
        return jax.checkpoint(forward, policy=policy)(variables, *arrays)


def run(
    algorithm: Algorithm,
    state: State,
    role: str,
    *inputs: Tree,
    train: bool = False,
    average: bool = True,
    capture: tuple[str, ...] | None = (),
) -> tuple[Tree, dict[str, jax.Array]]:
    """Applies one of a model's networks; works under `jit`.

    Args:
      algorithm: whose `networks` has the role.
      state: a state of that algorithm, one run's.
      role: such as "generator" or "critic"; one that never trains too.
      *inputs: what the role's module takes, such as latents or images, and classes by name.
      train: as in training (statistics of the batch), changing nothing.
      average: with moving averages where the state has them.
      capture: names of the intermediates that are wanted; None: all.

    Returns:
      The module's output, and the wanted intermediates by name.

    Raises:
      UserError: no such role or intermediate, or a sweep's state.
    """
    if algorithm.members:
        raise UserError("run: this is the state of a sweep; load one of its members, or take it with sweep.member")
    at = networks.averaged(state) if average else state.variables
    with jax.default_matmul_precision(algorithm.precision):
        return networks.run(algorithm.networks, at, role, *inputs, train=train, capture=capture)


def _with_precision(algorithm: Algorithm, policy: str) -> Algorithm:
    """The algorithm with its products of float32 numbers computed in full, or in TensorFloat-32."""
    precision = "tensorfloat32" if policy == "tf32" else "float32"

    def wrap(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            with jax.default_matmul_precision(precision):
                return function(*args, **kwargs)

        return wrapped

    functions: Any = {name: wrap(value) for name, value in algorithm._asdict().items() if callable(value)}
    wrapped = {name: use._replace(function=wrap(use.function)) for name, use in algorithm.uses.items()}
    return algorithm._replace(**functions, uses=wrapped, precision=precision)
