"""Uses by name: what a family's functions are given, said once, and checked here and nowhere else."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim
from jax.typing import ArrayLike, DTypeLike

from genart_jax.config import BatchSpec, UserError
from genart_jax.data.conditions import numbered
from genart_jax.types import Input, State, Tree, Use, check_condition, check_images

Function = Callable[..., jax.Array]

KEY, NUM = Input("key", "key"), Input("num", "count")


def pictures(spec: BatchSpec) -> Input:
    """Pictures as a model is trained on."""
    return Input("images", "pictures", spec.image_shape)


def any_size(spec: BatchSpec) -> Input:
    """Pictures with the channels that a model is trained on, of any height and width."""
    return Input("images", "pictures", (0, 0, spec.image_shape[-1]))


def beginning(spec: BatchSpec) -> tuple[Input, Input]:
    """First frames of videos, of any number, and how long the videos are to be."""
    frames, *shape = spec.image_shape
    return Input("images", "pictures", (0, *shape)), Input(
        "frames", "number", low=1.0, high=256.0, default=float(frames)
    )


def number_of_frames(frames: float, given: int = 0) -> int:
    """How long a video is to be, that begins with so many given frames.

    Raises:
      UserError: no whole number, or no frame is left to make.
    """
    if frames != int(frames):
        raise UserError(f"frames {frames}: wanted a whole number")
    if frames <= given:
        raise UserError(f"frames {int(frames)}: {given} are given, so that none is left to make")
    return int(frames)


def condition(spec: BatchSpec) -> Input:
    """Classes by name."""
    return Input("condition", "condition", spec=spec)


def latents(*shape: int) -> Input:
    """Vectors (length,) or maps (height, width, channels) of a standard normal."""
    return Input("latents", "latents", shape)


def styles(shape: tuple[int, ...]) -> Input:
    """What a mapping network makes of latents."""
    return Input("styles", "styles", shape)


def table(**uses: tuple[Function, tuple[Input, ...]]) -> dict[str, Use]:
    """`Algorithm.uses`, of name -> (function(state, *inputs), inputs): the functions check what they are given.

    They raise UserError, with one line, for what is missing, unknown, of another kind or out of range. Under `jit`
    values are unknown, and kinds and shapes are checked.
    """
    return {name: Use(_checked(name, *use), use[1]) for name, use in uses.items()}


def _checked(use: str, function: Function, inputs: tuple[Input, ...]) -> Function:
    names, listed = [one.name for one in inputs], ", ".join(one.name for one in inputs)

    @functools.wraps(function)
    def call(state: State, *args: Tree, **options: Tree) -> jax.Array:
        if len(args) > len(names):
            raise UserError(f"{use} takes {listed}; got {len(args)} arguments")
        given = dict(zip(names, args, strict=False))
        for name, value in options.items():
            if name in given or name not in names:
                raise UserError(f"{use} takes {listed}; got {name}{' twice' if name in given else ''}")
            given[name] = value
        for one in inputs:
            if one.name in given:
                _check(f"{use}: {one.name}", one, given[one.name])
            elif one.kind not in ("condition", "number", "mask", "overview"):
                raise UserError(f"{use} takes {listed}; {one.name} is missing")
        return function(state, **given)

    return call


def named(use: Use, class_names: Mapping[str, Sequence[str]]) -> Use:
    """The use, which takes names of classes besides their numbers; see `conditions.numbered`."""
    places = {index: one.name for index, one in enumerate(use.inputs) if one.kind == "condition"}
    if not places:
        return use

    @functools.wraps(use.function)
    def call(state: State, *args: Tree, **options: Tree) -> jax.Array:
        args = tuple(numbered(arg, class_names) if i in places else arg for i, arg in enumerate(args))
        told = {name: numbered(options[name], class_names) for name in places.values() if name in options}
        return use.function(state, *args, **options | told)

    return use._replace(function=call)


def _check(where: str, one: Input, value: Tree) -> None:
    """Raises UserError unless a value is what an input wants."""
    known = not isinstance(value, jax.core.Tracer)
    if one.kind == "pictures":
        check_images(value, one.shape, where)
    elif one.kind == "mask":
        _check_mask(where, one, value)
    elif one.kind == "overview":
        if value is not None:
            _check_latents(where, one, value)
    elif one.kind in ("latents", "styles", "codes"):
        _check_latents(where, one, value)
    elif one.kind == "condition":
        if not (value is None or isinstance(value, Mapping)):
            raise UserError(f"{where}: got {type(value).__name__}, wanted classes by name, such as {{'style': 2}}")
        check_condition(value, one.spec or BatchSpec())
    elif one.kind == "key":
        shape, dtype = _form(value)
        if not (jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()) and (shape, dtype) != ((2,), jnp.uint32):
            raise UserError(f"{where}: got {shape} {dtype}, wanted one key, such as jax.random.key(0)")
    elif one.kind == "number":
        if (shape := _form(value)[0]) or (known and not one.low <= float(value) <= one.high):
            wanted = f"wanted a number from {one.low:g} to {one.high:g}"
            raise UserError(f"{where}: got {f'shape {shape}' if shape else value}, {wanted}")
    elif not is_symbolic_dim(value):  # as of a program that is exported for any number
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            hint = "" if known else ": make it static, as by jit(..., static_argnums=2)"
            raise UserError(f"{where}: got {type(value).__name__}, wanted an int{hint}")
        if value < 1:
            raise UserError(f"{where} {value}: wanted at least 1")


def _check_mask(where: str, one: Input, value: Tree) -> None:
    """Raises UserError unless `value` is None or (batch, *shape) float32 in [0, 1]."""
    if value is None:
        return
    check_images(value, one.shape, where)
    if not isinstance(value, jax.core.Tracer) and float(np.asarray(value).min()) < 0:
        raise UserError(f"{where}: got values below 0, wanted a mask in [0, 1]")


def _check_latents(where: str, one: Input, value: Tree) -> None:
    """Raises UserError unless `value` is (batch, *shape) of the right type, and codes are codes."""
    (shape, dtype), codes = _form(value), one.kind == "codes"
    words = f"integers from 0 to {one.classes - 1}" if codes else "floats"
    wanted = f"wanted (batch, {', '.join(map(str, one.shape))}) {words}"
    fits = jnp.issubdtype(dtype, jnp.integer if codes else jnp.floating)
    if not fits or len(shape) != 1 + len(one.shape) or tuple(shape[1:]) != tuple(one.shape):
        raise UserError(f"{where}: got {shape} {dtype}, {wanted}")
    if codes and not isinstance(value, jax.core.Tracer):
        array = np.asarray(value)
        if (wrong := array[(array < 0) | (array >= one.classes)]).size:
            raise UserError(f"{where}: got {wrong.flat[0]}, {wanted}")


def _form(value: ArrayLike) -> tuple[tuple[int, ...], DTypeLike]:
    """Its shape and its type."""
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    return array.shape, array.dtype
