"""A run's whole configuration: how it is completed from data, changed, saved and read. No jax here."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Mapping
from typing import Any, Literal

from genart_jax.config.batch import BESIDE, BatchSpec, Field, class_fields, kind_of
from genart_jax.config.data import Data
from genart_jax.config.errors import UserError
from genart_jax.config.optimizer import Optimizer
from genart_jax.config.parallel import Parallel
from genart_jax.config.ranges import complaints
from genart_jax.config.sweep import Sweep
from genart_jax.config.train import Train

_hints = functools.cache(typing.get_type_hints)
"""Of a class, once: reading a configuration asks for each of its options."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One model's whole configuration."""

    model: Any
    """The model's own Config."""
    step: Any
    """Options of its step: Gan, Vae, Classifier or another."""
    optimizer: Optimizer = Optimizer()
    data: Data = Data()
    train: Train = Train()
    parallel: Parallel = Parallel()
    sweep: Sweep = Sweep()
    name: str = ""
    """The model's name in the registry."""


def check_ranges(run: Run) -> None:
    """Raises UserError, with one line, where numbers are out of the ranges that their types name."""
    if found := [*complaints(run)]:
        raise UserError("; ".join(found))


def classes_of(conditions: Any) -> tuple[tuple[str, int], ...]:
    """Conditions with their class counts, () for None.

    Raises:
      UserError: names alone, which only data can complete.
    """
    for condition in conditions or ():
        if isinstance(condition, str):
            raise UserError(f"conditions {conditions}: without data, give (name, number of classes) of each")
    return tuple((name, classes) for name, classes in conditions or ())


def heads_of(conditions: Any) -> dict[str, slice]:
    """Where each condition's classes lie in a classifier's scores (batch, classes of all): one after another.

    Raises:
      UserError: names alone.
    """
    ends, out = 0, {}
    for name, classes in classes_of(conditions):
        out[name], ends = slice(ends, ends + classes), ends + classes
    return out


def scores_of(conditions: Any) -> int:
    """How many scores a classifier of these conditions gives: one a class.

    Raises:
      UserError: there is nothing to classify, or there are names alone.
    """
    if not conditions:
        raise UserError(f"conditions {conditions}: a classifier wants one or more, such as (('style', 5),)")
    return sum(classes for _, classes in classes_of(conditions))


def spec_of(run: Run) -> BatchSpec:
    """The batch that a resolved configuration is trained on.

    Raises:
      UserError: a shape or `conditions` was left None and nothing has filled it.
    """
    shape, conditions = run.model.image_shape, getattr(run.model, "conditions", ())
    if shape is None:
        raise UserError(f"{run.name}: image_shape is not set; pass image_shape=(height, width, channels)")
    classes = classes_of(conditions)
    hides = any(getattr(run.step, name, 0.0) > 0 for name in ("condition_dropout", "unconditional"))
    hidden = tuple(name for name, _ in classes) if hides else ()
    beside = {name: getattr(run.model, f"{name}_shape") for name in _wanted(run.model)}
    for name, given in beside.items():
        if given is None:
            raise UserError(f"{run.name}: {name}_shape is not set; pass {name}_shape=(height, width, channels)")
    fields = {name: Field(tuple(given), kind_of(name)) for name, given in beside.items()}
    return BatchSpec(hidden=hidden, fields={"image": Field(tuple(shape)), **fields, **class_fields(classes)})


def _wanted(model: Any) -> list[str]:
    """The fields besides the image that a model's Config asks for."""
    there = {f.name for f in dataclasses.fields(model)}
    return [name for name in BESIDE if f"{name}_shape" in there]


def _beside(run: Run, spec: BatchSpec) -> dict[str, Any]:
    """The shapes of what a model needs besides the image, as its Config names them."""
    changes = {}
    for name in _wanted(run.model):
        given = getattr(run.model, f"{name}_shape")
        if name not in spec.fields:
            raise UserError(f"{run.name} needs {name!r}, which this data has not: {BESIDE[name]}")
        shape = spec.fields[name].shape
        if given is not None and tuple(given) != tuple(shape):
            raise UserError(f"{run.name} wants {name!r} of shape {tuple(given)}, the data has {tuple(shape)}")
        changes[f"{name}_shape"] = tuple(shape)
    return changes


def resolve(run: Run, spec: BatchSpec) -> Run:
    """Fills what the model's Config leaves None from what the data offers.

    `conditions` may also be given as names alone, or as one name; the class counts are then the data's.

    Raises:
      UserError: the Config asks for a shape or a condition that the data does not have.
    """
    changes: dict[str, Any] = _beside(run, spec)
    fields = {f.name for f in dataclasses.fields(run.model)}
    offered = dict(spec.conditions)
    if run.model.image_shape is None:
        changes["image_shape"] = tuple(spec.image_shape)
    elif tuple(run.model.image_shape) != tuple(spec.image_shape):
        raise UserError(f"the model wants pictures of shape {run.model.image_shape}, the data has {spec.image_shape}")
    if "conditions" in fields:
        wanted = run.model.conditions
        names = list(offered) if wanted is None else [c if isinstance(c, str) else c[0] for c in wanted]
        for name in names:
            if name not in offered:
                raise UserError(f"the data has no condition {name!r}; it has {', '.join(offered) or 'none'}")
        resolved = tuple((name, offered[name]) for name in names)
        for given in wanted or ():
            if not isinstance(given, str) and tuple(given) not in resolved:
                here = offered[given[0]]
                raise UserError(f"condition {given[0]!r}: the model has {given[1]} classes, the data {here}")
        changes["conditions"] = resolved
    if "label" in fields:
        label, given = run.model.label, [c if isinstance(c, str) else c[0] for c in run.model.conditions or ()]
        if label is not None and given not in ([], [label]):
            raise UserError(
                f"model.label {label!r} is one condition to classify, and model.conditions has {', '.join(given)}; name"
                " several in model.conditions alone"
            )
        if not offered:
            raise UserError("the data has no labels, so there is nothing to classify")
        if label is not None and label not in offered:
            raise UserError(f"the data has no condition {label!r} to classify; it has {', '.join(offered)}")
        chosen = [label] if label else given or [next(iter(offered))]
        several = tuple((name, offered[name]) for name in chosen)
        changes |= {"label": chosen[0] if len(chosen) == 1 else None, "conditions": several}
    return dataclasses.replace(run, model=dataclasses.replace(run.model, **changes))


def to_json(config: Any) -> str:
    """A configuration as JSON, indented."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_dict(cls: type, values: Mapping[str, Any], template: Any = None) -> Any:
    """The dataclass `cls` from what `json.loads` gave; the classes of `Any` fields are taken from `template`.

    Raises:
      UserError: an unknown field, as a file of another version has.
    """
    hints = _hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - known):
        raise UserError(f"{cls.__name__} has no option {unknown[0]!r}: saved by another version?")
    out: dict[str, Any] = {}
    for name, value in values.items():
        sub = getattr(template, name, None)
        hint = type(sub) if dataclasses.is_dataclass(sub) else hints[name]
        if isinstance(value, Mapping) and isinstance(hint, type) and dataclasses.is_dataclass(hint):
            out[name] = from_dict(hint, value, sub)
        else:
            out[name] = _checked(cls, name, _tuples(value))
    return cls(**out)


def _checked(cls: type, name: str, value: Any) -> Any:
    """`value`, if the field `name` of the dataclass `cls` may hold it; only plain types and choices are checked."""
    hint = _hints(cls)[name]
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    plain: Any = {bool: bool, int: int, float: (int, float), str: str}.get(hint)
    if choices and value not in choices:
        raise UserError(f"{cls.__name__}.{name}: got {value!r}, wanted one of {', '.join(map(str, choices))}")
    if plain is not None and (not isinstance(value, plain) or (hint in (int, float) and isinstance(value, bool))):
        raise UserError(f"{cls.__name__}.{name}: got {value!r}, wanted {hint.__name__}")
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _several(cls: type, name: str, value: Any) -> Any:
    """A list as a tuple, and one number or word as a tuple of it, where the field `name` of `cls` holds any number."""
    hint = _hints(cls)[name]
    if not any(typing.get_args(one)[-1:] == (Ellipsis,) for one in (hint, *typing.get_args(hint))):
        return value
    return (value,) if isinstance(value, int | float | str) else _tuples(value)


def override(config: Any, **changes: Any) -> Any:
    """`dataclasses.replace` that names a field that does not exist.

    A dict given for a field that is itself a dataclass changes just the named parts of it. One thing for a field that
    holds any number of them is a tuple of it, and a list is a tuple: `image_size=64`, `conditions=["style"]`.

    Raises:
      UserError: no such field, or something else where a field is a dataclass.
    """
    names = [f.name for f in dataclasses.fields(config)]
    for name, value in changes.items():
        if name not in names:
            raise UserError(f"{type(config).__name__} has no option {name!r}; it has {', '.join(names)}")
        part = dataclasses.is_dataclass(getattr(config, name))
        if part and isinstance(value, Mapping):
            changes[name] = override(getattr(config, name), **value)
        elif part and not dataclasses.is_dataclass(value):
            raise UserError(f"{name}: wanted a dict of its options, got {value!r}")
        else:
            changes[name] = _checked(type(config), name, _several(type(config), name, value))
    return dataclasses.replace(config, **changes)
