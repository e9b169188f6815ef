"""A network as explanations see it: one number, what it depends on, and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp

from genart_jax.api import run
from genart_jax.config import UserError
from genart_jax.train.checkpoint import Model
from genart_jax.types import Network, Tree

Outputs = tuple[jax.Array, dict[str, jax.Array]]
Looking = Callable[[jax.Array], Outputs]
ROLES = ("classifier", "critic", "encoder", "features")
"""What is looked into where nothing is said, the first that a model has."""


class Seen(NamedTuple):
    """A bound network of pictures, and the number of each picture that is asked about.

    Attributes:
      network: images (batch, height, width, channels) in [-1, 1] -> (scores (batch,), intermediates by name).
      shape: (height, width, channels) of its pictures.
      says: what the score is, for a caption.
      logits: of a classifier, images -> (batch, classes of its first condition).
      alone: whether each picture must be a batch of its own, as for a critic that compares neighbours.
    """

    network: Looking
    shape: tuple[int, ...]
    says: str
    logits: Callable[[jax.Array], jax.Array] | None = None
    alone: bool = False

    def outputs(self, images: jax.Array) -> Outputs:
        """(scores (batch,), intermediates by name)."""
        if not self.alone:
            return self.network(images)
        return jax.vmap(lambda image: jax.tree.map(lambda leaf: leaf[0], self.network(image[None])))(images)

    def after(self, images: jax.Array, name: str) -> Callable[[jax.Array], jax.Array]:
        """What the scores would be if an intermediate had other values; see `replaced`."""
        if not self.alone:
            return replaced(self.network, images, name)
        one = lambda image, value: replaced(self.network, image[None], name)(value[None])[0]
        return lambda values: jax.vmap(one)(images, values)

    def score(self, images: jax.Array) -> jax.Array:
        """(batch,)."""
        return self.outputs(images)[0]

    def stage(self, images: jax.Array, name: str) -> jax.Array:
        """An intermediate by its name.

        Raises:
          UserError: there is none of that name.
        """
        return _named(self.outputs(images)[1], name, "this network")

    def stages(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the intermediates of one picture, from the first to the last."""
        names: list[str] = []  # in the network's own order, which a tree's is not

        def named(images: jax.Array) -> dict[str, jax.Array]:
            found = self.network(images)[1]
            names[:] = found
            return found

        shapes = jax.eval_shape(named, jax.ShapeDtypeStruct((1, *self.shape), jnp.float32))
        return {name: tuple(shapes[name].shape[1:]) for name in names}

    def last_map(self) -> str:
        """The last intermediate that has places.

        Raises:
          UserError: none has.
        """
        maps = [name for name, shape in self.stages().items() if len(shape) == 3 and min(shape[:2]) > 1]
        if not maps:
            raise UserError(f"{self.says}: no intermediate has places; choose a method that needs none, as saliency")
        return maps[-1]


def see(
    model: Model,
    what: jax.Array | int | None = None,
    role: str = "",
    condition: Mapping[str, jax.Array] | None = None,
    says: str = "",
) -> Seen:
    """A model's network of pictures, and which of its numbers is meant.

    Args:
      model: the model, as `genart_jax.load` gives it.
      what: of a classifier its class (of one with several conditions, the place among all its scores), of an encoder a
        dimension of the posterior's mean; an int, or (batch,) of them. None: of a classifier the likeliest class of
        each picture (of its first condition), of an encoder its mean's squared norm. A critic's score is one number
        (where it scores places or by several heads, their mean).
      role: which network; "": the classifier, critic, encoder or features that it has.
      condition: classes by name, one each, which a critic or encoder is told.
      says: a name for the number.

    Raises:
      UserError: no such network, or it does not take pictures alone.
    """
    algorithm, state = model
    shape = tuple(algorithm.batch_spec.image_shape)
    role = role or next((name for name in ROLES if name in algorithm.networks), "")
    network = algorithm.networks.get(role)
    if network is None or tuple(_first(network).shape[1:]) != shape:
        raise UserError(
            f"{role or 'no role'}: no network of pictures of {shape}; it has {', '.join(algorithm.networks)}"
        )

    first = algorithm.batch_spec.conditions[0][1] if role == "classifier" else 0  # its classes, of several conditions

    def outputs(images: jax.Array) -> Outputs:
        told = {name: jnp.full(len(images), value) for name, value in (condition or {}).items()}
        given = (images, told) if told else (images,)
        output, aux = run(algorithm, state, role, *given, capture=None)
        output = output if what is not None or role != "classifier" else output[:, :first]
        maps = {name: leaf for name, leaf in aux.items() if isinstance(leaf, jax.Array)}
        return _number(role, output, what), maps

    logits = (lambda images: run(algorithm, state, role, images)[0][:, :first]) if role == "classifier" else None
    return Seen(outputs, shape, says or _words(role, what), logits, network.group > 1)


def replaced(function: Looking, images: jax.Array, name: str) -> Callable[[jax.Array], jax.Array]:
    """What `function`'s scores would be if the intermediate `name` had other values: values -> scores.

    The function is traced, and what follows the intermediate is computed anew from the values, so that it can be
    differentiated by them; no module needs to know. Values have the intermediate's shape.

    Raises:
      UserError: no such intermediate, or nothing that the scores depend on is made of it.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(images)
    _named(shapes[1], name, "this network")
    jaxpr, place = closed.jaxpr, 1 + sorted(shapes[1]).index(name)
    target = jaxpr.outvars[place]
    used = any(target is var for eqn in jaxpr.eqns for var in eqn.invars)
    if isinstance(target, jex.Literal) or not used:
        raise UserError(f"nothing is made of the intermediate {name}; choose another of {', '.join(shapes[1])}")

    rest = []
    for eqn in jaxpr.eqns:
        left = [jex.DropVar(var.aval) if var is target else var for var in eqn.outvars]
        if not all(var is target for var in eqn.outvars):
            rest.append(eqn.replace(outvars=left))
    invars, debug = [*jaxpr.invars, target], jaxpr.debug_info.with_unknown_names()
    after = jaxpr.replace(invars=invars, eqns=rest, outvars=jaxpr.outvars[:1], debug_info=debug)
    finish = jex.jaxpr_as_fun(jex.ClosedJaxpr(after, closed.consts))

    def scores(values: jax.Array) -> jax.Array:
        found: jax.Array = finish(images, values.astype(target.aval.dtype))[0]
        return found

    return scores


def _first(network: Network) -> jax.Array:
    given = network.inputs() if callable(network.inputs) else network.inputs
    return jnp.asarray(jax.tree.leaves(given)[0])


def _number(role: str, output: Tree, what: jax.Array | int | None) -> jax.Array:
    """One number a picture of what a network returns."""
    leaves = jax.tree.leaves(output)
    if role == "critic":  # of places and heads, the mean
        return sum(leaf.reshape(len(leaf), -1).mean(-1) for leaf in leaves) / len(leaves)
    flat = leaves[0].reshape(len(leaves[0]), -1)
    if what is None:
        return jnp.max(flat, axis=-1) if role == "classifier" else jnp.sum(jnp.square(flat), axis=-1)
    chosen = jnp.resize(jnp.asarray(what), (len(flat),))  # shapes are asked for with a picture alone
    number: jax.Array = jnp.take_along_axis(flat, chosen[:, None], axis=1)[:, 0]
    return number


def _words(role: str, what: jax.Array | int | None) -> str:
    if role == "critic":
        return "the critic's score"
    if what is None:
        return "the likeliest class" if role == "classifier" else f"the squared norm of the {role}'s output"
    return f"number {what} of the {role}"


def _named(stages: Mapping[str, Tree], name: str, where: str) -> Tree:
    if name not in stages:
        raise UserError(f"{where} has no intermediate {name!r}; there are {', '.join(stages) or 'none'}")
    return stages[name]
