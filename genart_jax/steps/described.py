"""What `help` says of an algorithm's functions: their arguments, as this model takes them."""

from __future__ import annotations

from collections.abc import Sequence

from genart_jax.config import BatchSpec
from genart_jax.types import Algorithm, Input

_KINDS = {
    "pictures": "pictures (batch, {shape}) float32 in [-1, 1]",
    "mask": "(batch, {shape}) float32 in [0, 1], 1 where a picture is lost; left out: nowhere",
    "overview": "(batch, {shape}) float32, as the use `overview` makes it of whole pictures; left out: of these",
    "styles": "(batch, {shape}) float32, as the use `map` makes them",
    "latents": "(batch, {shape}) float32, such as a standard normal's",
    "codes": "(batch, {shape}) integers from 0 to {last}",
    "key": "one key of `jax.random`",
    "count": "how many, an int of 1 or more; static under `jit`",
    "condition": "classes by name, one for all or (batch,): {classes}; what is left out, the model draws or hides",
    "number": "from {low:g} to {high:g}; left out: {default:g}",
}


def functions(algorithm: Algorithm) -> dict[str, str]:
    """The documentation of `init`, `step` and `evaluate`, by their names."""
    batch = f"batch: {_batch(algorithm.batch_spec, algorithm.batches_per_step)}"
    lazy = ", ".join(f"{name} (every {every} steps)" for name, every in algorithm.lazy) or "none here"
    key = "key: of `jax.random`"
    return {
        "init": f"""The first state of training. `ga.init` compiles it.

Args:
  {key}
  {batch}

Returns:
  A `State`.""",
        "step": f"""One training step: all updates of all players.

Args:
  state: of `init`, or of the step before; donate it under `jit`.
  {batch}
  {key}, the run's, and the same in every step: the number of the step is folded in.
  due: which lazy terms to compute, of: {lazy}. None: by the number of the step.

Returns:
  The new state, and metrics: name -> scalar.

Raises:
  UserError: a batch of another form.""",
        "evaluate": f"""Figures of test examples.

Args:
  state: of `init` or `step`.
  {batch.replace(f" times {algorithm.batches_per_step}", "")}
  {key}

Returns:
  name -> (weighted sum, weight), which can be added over batches; the figure is their quotient.""",
    }


def use(name: str, inputs: Sequence[Input], said: str) -> str:
    """The documentation of a use, under what its own function says."""
    lines = [f"  {one.name}: {_input(one)}." for one in inputs]
    arguments = "\n".join(["Args:", "  state: a trained `State`.", *lines])
    return f"{said.strip() or f'The use {name}.'}\n\n{arguments}\n\nRaises:\n  UserError: an argument is not like that."


def _input(one: Input) -> str:
    classes = _classes(one.spec) if one.spec is not None else ""
    shape = ", ".join(str(n or "any") for n in one.shape)
    words = _KINDS.get(one.kind, f"{one.kind} (batch, {{shape}})")  # a kind that has come since
    return words.format(
        shape=shape,
        last=one.classes - 1,
        classes=classes or "none here",
        low=one.low,
        high=one.high,
        default=one.default,
    )


def _classes(spec: BatchSpec) -> str:
    return ", ".join(f"{name} 0 to {count - 1}" for name, count in spec.conditions)


def _batch(spec: BatchSpec, batches: int) -> str:
    """A batch in words."""
    kinds = {"pixels": "float32 in [-1, 1]", "mask": "float32 in [0, 1]"}
    length = "batch" if batches == 1 else f"batch times {batches}"
    parts = [
        f"{name} ({', '.join([length, *map(str, field.shape)])}) {kinds[field.kind]}"
        for name, field in spec.fields.items()
        if field.kind != "class"
    ]
    if classes := _classes(spec):
        parts.append(f"under condition, integers ({length},): {classes}")
    return "; ".join(parts)
