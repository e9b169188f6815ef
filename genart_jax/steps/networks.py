"""Bound networks: a role's module initialised from its `Network`, and applied where `Variables` say that it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from genart_jax.config import UserError
from genart_jax.nn import random, spectral
from genart_jax.steps import common
from genart_jax.types import Module, Network, State, Tree, Variables

Networks = Mapping[str, Network]
Keys = Callable[[str], jax.Array]
"""role -> the key that it is initialised with."""


def checked(networks: object, name: str) -> dict[str, Network]:
    """What a model's `networks` returned, role -> Network.

    Bare modules do not say what they are initialised with, so they are refused rather than guessed at.

    Raises:
      UserError: anything else.
    """
    if isinstance(networks, Mapping) and all(isinstance(network, Network) for network in networks.values()):
        return dict(networks)
    form = "{role: genart_jax.Network(module, inputs)}, as in docs/extending.md"
    raise UserError(f"model {name!r}: networks() returned {type(networks).__name__}; wanted {form}")


def init(networks: Networks, key: Keys | jax.Array, train: bool = False) -> tuple[dict[str, tuple[Tree, Tree]], Tree]:
    """Of what trains, role -> (parameters, other collections); of what never does, role -> variables.

    A single key gives each role a stream by its name.
    """
    keys = key if callable(key) else lambda role: random.stream(key, role)
    made, frozen = {}, {}
    for role, (module, inputs, source, *_) in networks.items():
        given = inputs() if callable(inputs) else inputs
        if source:
            frozen[role] = dict(module.init(keys(role), *given))
        else:
            made[role] = init_module(module, keys(role), *given, **({"train": True} if train else {}))
    return made, frozen


def init_module(module: Module, key: jax.Array, *args: Tree, **kwargs: bool) -> tuple[Tree, Tree]:
    """Initialises a module: its parameters, and its other collections."""
    variables = dict(module.init(key, *args, **kwargs))
    return variables.pop("params", {}), variables


def apply(
    networks: Networks,
    at: Variables,
    role: str,
    *inputs: Tree,
    train: bool = False,
    advance: bool = True,
    **options: Any,
) -> tuple[Tree, Tree]:
    """Applies a role's module: what it returns, and its collections as they are after it (changed only in training).

    What never trains is applied as in evaluation. What follows the parameters instead of the data (spectral
    normalisation's u) must change once an update of them, however often the module runs: it does so only with
    `advance`. `options` go to the module, `method` among them.
    """
    network, mutable = networks[role], at.mutable.get(role, {})
    if network.frozen:
        return network.module.apply(frozen_of(networks, at, role), *inputs, **options), mutable
    variables = {"params": at.params.get(role, {}), **mutable}
    if not train:
        return network.module.apply(variables, *inputs, **options), mutable
    changing = [name for name in mutable if advance or name != spectral.COLLECTION]
    if not changing:
        return network.module.apply(variables, *inputs, train=True, **options), mutable
    output, changed = network.module.apply(variables, *inputs, train=True, mutable=changing, **options)
    return output, {**mutable, **changed}


def frozen_of(networks: Networks, at: Variables | State, role: str) -> Tree:
    """The variables of a role that never trains.

    Raises:
      UserError: they are not at hand: a shared model comes without published weights.
    """
    if role not in at.frozen:
        kind, _, name = networks[role].frozen.partition(":")
        how = f"genart assets fetch {name}, once" if kind == "asset" else "state.replace(frozen=ga.load_frozen(alg))"
        raise UserError(f"the network {role!r} is {name or kind}, whose weights are not at hand: {how}")
    return at.frozen[role]


def run(
    networks: Networks,
    at: Variables,
    role: str,
    *inputs: Tree,
    train: bool = False,
    capture: tuple[str, ...] | None = (),
) -> tuple[Tree, dict[str, jax.Array]]:
    """A role's output, and those of its named intermediates that `capture` asks for (None: all).

    By this a loss or a critic takes the features of a network that never trains, and `genart_jax.run` those of any.

    Raises:
      UserError: no such role, or no such intermediate.
    """
    if role not in networks:
        raise UserError(f"there is no network {role!r}; there are {', '.join(networks) or 'none'}")
    (output, found), _ = apply(networks, at, role, *inputs, train=train)
    for name in capture or ():
        if name not in found:
            raise UserError(f"{role} names no intermediate {name!r}; there are {', '.join(found) or 'none'}")
    return output, {name: found[name] for name in (found if capture is None else capture)}


def activations(networks: Networks, at: Variables, role: str, *inputs: Tree) -> jax.Array:
    """A role's first named intermediate, or its output where it names none: (batch, features)."""
    output, found = run(networks, at, role, *inputs, capture=None)
    first: jax.Array = next(iter(found.values()), output)
    return first.reshape(len(first), -1)


def averaged(state: State) -> Variables:
    """Where the networks of a state stand to be used: at moving averages where there are any."""
    pairs = {role: common.sampling_variables(state, role) for role in state.mutable}
    params, mutable = ({role: pair[i] for role, pair in pairs.items()} for i in (0, 1))
    return Variables(params, mutable, state.frozen)
