"""The weights that a latent meets first in a network: SeFa factorises them (Shen & Zhou 2021, arXiv:2007.06600)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime.values import Array
from genart_jax.use.latent.space import Space

_LARGEST = 255  # of the integers that tell a latent's entries: exact in bfloat16 as well

Path = tuple[str, ...]


def first_weights(space: Space, layers: Sequence[int] | None = None) -> Array:
    """The weights of all layers that are fed latents as they are, one below the other: (features, length).

    A layer is fed latents if its input is made of entries of the latents alone, in any order, beside others that do not
    depend on them (a condition's vector). What it makes of them is affine, and its derivative is its weights, whatever
    the module is called and however it scales them. Where each layer of the model has a code, `layers` says whose.

    Raises:
      UserError: no layer is fed latents, or only by way of something that is not linear.
    """
    rng = np.random.default_rng(0)
    places = jnp.asarray(rng.standard_normal((2, 1, *space.shape)), jnp.float32)
    tags = jnp.asarray(rng.integers(1, _LARGEST, (1, *space.shape)), jnp.float32)
    # The gradients are of one example with the first class of everything: weights do not depend on it.
    told = {name: jnp.zeros(1, jnp.int32) for name, _ in space.model.algorithm.batch_spec.conditions}
    named = space.make

    def fed(state: Any, values: jax.Array) -> dict[Path, jax.Array]:
        def inputs(values: jax.Array) -> dict[Path, list[jax.Array]]:
            return {path: given for path, (given, _) in _calls(lambda: named(state, values, told)).items()}

        _, moved = jax.jvp(inputs, (values,), (tags,))
        return {path: jnp.any(jnp.stack([_selected(x) for x in given])) for path, given in moved.items() if given}

    paths = [path for path, chosen in jax.device_get(jax.jit(fed)(space.state, places[0])).items() if chosen]
    inner = [path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)]

    def slopes(state: Any, values: jax.Array) -> dict[Path, jax.Array]:
        def outputs(values: jax.Array) -> dict[Path, jax.Array]:
            called = _calls(lambda: named(state, values, told))
            return {path: called[path][1].astype(jnp.float32).reshape(-1) for path in inner}

        return jax.jacfwd(outputs)(values)

    compiled = jax.jit(slopes)
    first, again = (jax.device_get(compiled(space.state, place)) for place in places)
    affine = [path for path in inner if np.allclose(first[path], again[path], rtol=1e-3, atol=1e-5)]
    if not affine:
        raise UserError(
            f"{space.saved.run.name}: no layer is fed latents as they are, so there is nothing to factorise"
        )
    parts = [np.asarray(first[path], np.float64)[:, 0] for path in affine]  # (features, *shape)
    if not space.layers:
        return np.concatenate(parts)
    whole = np.concatenate(parts)
    wanted = range(space.layers) if layers is None else layers
    chosen = np.concatenate([whole[:, layer] for layer in wanted])
    return np.asarray(chosen[np.any(chosen != 0, axis=1)])  # a layer's features are not made of another's code


def _calls(function: Callable[[], Any]) -> dict[Path, tuple[list[jax.Array], jax.Array]]:
    """Path -> inputs and first output of each module that `function` applies; of one called again, the first time."""
    found: dict[Path, tuple[list[jax.Array], jax.Array]] = {}

    def see(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], context: Any) -> Any:
        made = call(*args, **kwargs)
        if context.module.scope is None:  # a function of its configuration alone, not of parameters
            return made
        arrays = [x for x in args if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)]
        floats = [x for x in arrays if x.ndim > 1 and x.size == x.shape[-1]]  # maps with places are no latents
        leaves = [x for x in jax.tree.leaves(made) if isinstance(x, jax.Array)]
        if floats and leaves:
            found.setdefault(tuple(context.module.path), (floats, leaves[0]))
        return made

    with nn.intercept_methods(see):
        function()
    return found


def _selected(moved: jax.Array) -> jax.Array:
    """Whether an input's derivative along the tags is tags and zeros: whether it holds entries of the latents."""
    x = moved.astype(jnp.float32)
    return jnp.all((x == jnp.round(x)) & (x >= 0) & (x <= _LARGEST)) & jnp.any(x > 0)
