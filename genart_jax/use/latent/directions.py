"""Directions in a latent space along which pictures change: of the weights, of activations, of labels.

- SeFa: the eigenvectors of A^T A, A the weights that latents meet first (Shen & Zhou 2021, arXiv:2007.06600, eq. 6).
- GANSpace: the principal components of w; or of the first activations, taken back to z by least squares (Harkonen et
  al. 2020, arXiv:2004.02546, section 3.1 and 3.2).
- A label's: the normal of a hyperplane that parts latents with it from those without (Shen et al. 2020,
  arXiv:1907.10786, section 3.1), by logistic regression, or the difference of their means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.use.latent.labels import Labelled
from genart_jax.use.latent.space import Codes, Space
from genart_jax.use.latent.weights import first_weights

Method = Literal["logistic", "mean"]
_RIDGE = 1e-2  # of a logistic regression, of the mean loss over standardised latents
_LEAST = 8  # of each kind, to part them by


class Direction(NamedTuple):
    """A direction.

    Attributes:
      name: such as "sefa:0" or "style=noto".
      vector: float32, of the space's shape; of length 1 in each layer that it moves, 0 in the others.
      spread: standard deviation of drawn latents along it.
      note: what is known of it, in words.
    """

    name: str
    vector: Array
    spread: float
    note: str = ""


def move(codes: Codes, direction: Direction, amounts: Sequence[float]) -> Codes:
    """One code, moved by so many spreads along a direction: as many codes.

    Raises:
      UserError: a direction of another space.
    """
    if direction.vector.shape != codes.values.shape[1:]:
        raise UserError(f"direction {direction.name} is of {direction.vector.shape}, not of {codes.values.shape[1:]}")
    moved = codes.take([0] * len(amounts))
    steps = np.asarray(amounts, np.float32).reshape(-1, *[1] * direction.vector.ndim)
    words = tuple(f"{direction.name} {amount:+.3g}" for amount in amounts)
    return moved._replace(values=moved.values + steps * direction.spread * direction.vector, words=words)


def sefa(space: Space, count: int, layers: Sequence[int] | None = None) -> list[Direction]:
    """The `count` directions that change most what the first layers make of latents, the strongest first.

    `layers`: those that are looked at and moved, where the model has styles; None: all.

    Raises:
      UserError: more directions than the space has, or see `first_weights`.
    """
    _check(space, count)
    weights = first_weights(space, layers)
    values, vectors = np.linalg.eigh(weights.T @ weights)
    order = np.argsort(-values)[:count]
    spread, share = _spreads(space), values / values.sum()
    return [
        _direction(space, f"sefa:{n}", vectors[:, i], spread, f"{share[i]:.1%} of the weights' square", layers)
        for n, i in enumerate(order)
    ]


def ganspace(
    space: Space, count: int, num: int = 2000, seed: int = 0, given: Mapping[str, int] | None = None,
    layers: Sequence[int] | None = None,
) -> list[Direction]:  # fmt: skip
    """The `count` directions along which w, or the first activations, vary most over `num` drawn latents.

    Activations hold the conditions, too: so give one of each, as `given`.

    Raises:
      UserError: more directions than the space has, or than can be told from so few.
    """
    _check(space, count)
    if num <= count:
        raise UserError(f"{num} latents do not tell {count} directions apart; draw more")
    latents, core, condition = space.core(num, seed, given)
    seen = core if space.name == "w" else _activations(space, latents, condition)
    centred = seen - seen.mean(axis=0)
    left, size, right = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    variance = np.square(size) / len(seen)
    share, spread = variance / variance.sum(), _spreads(space, core)
    # Coordinates are uncorrelated, so least squares is one product (section 3.2).
    vectors = right if space.name == "w" else left.T @ (latents - latents.mean(axis=0))
    note = "of the variance of " + ("w" if space.name == "w" else "the first activations")
    return [
        _direction(space, f"ganspace:{n}", vectors[n], spread, f"{share[n]:.1%} {note}", layers) for n in range(count)
    ]


def dimensions(
    space: Space, count: int, num: int = 16, seed: int = 0, given: Mapping[str, int] | None = None,
    layers: Sequence[int] | None = None,
) -> list[Direction]:  # fmt: skip
    """The `count` single dimensions that change pictures most: the mean change from -2 to +2 spreads, of `num`.

    In a VAE most may change nothing: those that carry nothing.

    Raises:
      UserError: more directions than the space has.
    """
    _check(space, count)
    codes = space.draw([(seed, i) for i in range(num)], given)
    everything = [axis(space, i, layers) for i in range(space.length)]
    changes = []
    for direction in everything:
        step = 2 * direction.spread * direction.vector
        low, high = (space.show(codes._replace(values=codes.values + sign * step)) for sign in (-1, 1))
        changes.append(float(np.mean(np.abs(high.astype(np.float32) - low))) / 127.5)
    order = np.argsort(-np.asarray(changes), kind="stable")[:count]
    return [everything[i]._replace(note=f"changes a pixel by {changes[i]:.3f} of [-1, 1]") for i in order]


def axis(space: Space, index: int, layers: Sequence[int] | None = None) -> Direction:
    """One dimension of the latents as a direction, named dim:INDEX.

    Raises:
      UserError: there is no such dimension.
    """
    if not 0 <= index < space.length:
        raise UserError(f"there is no dim:{index}; the latents have dim:0 to dim:{space.length - 1}")
    return _direction(space, f"dim:{index}", np.eye(space.length)[index], _spreads(space), "", layers)


def separating(
    space: Space, found: Labelled, name: str, method: Method = "logistic", layers: Sequence[int] | None = None
) -> Direction:
    """The direction towards latents with a label, with how well it parts the fifth of them that it was not made of.

    Raises:
      UserError: too few with the label, or without it.
    """
    values, labels = np.asarray(found.values, np.float64), np.asarray(found.labels, bool)
    if min(labels.sum(), (~labels).sum()) < _LEAST:
        raise UserError(
            f"{name}: {labels.sum()} of {len(labels)} {found.what} have it; wanted {_LEAST} or more of each kind"
        )
    order = np.random.default_rng(0).permutation(len(labels))
    kept = np.zeros(len(labels), bool)
    for kind in (True, False):  # a fifth of each
        own = order[labels[order] == kind]
        kept[own[: max(1, len(own) // 5)]] = True
    mean, deviation = values[~kept].mean(axis=0), values[~kept].std(axis=0) + 1e-8
    x = (values - mean) / deviation
    fit = _logistic if method == "logistic" else _means
    normal, offset = fit(x[~kept], labels[~kept])
    right = (x[kept] @ normal + offset > 0) == labels[kept]
    accuracy = 0.5 * (right[labels[kept]].mean() + right[~labels[kept]].mean())
    # Of a plane over standardised latents, the normal in their own units; of means, the way between them.
    vector = normal / deviation if method == "logistic" else normal * deviation
    note = f"parts held-out {found.what} with a balanced accuracy of {accuracy:.0%}"
    note += "; the latents hardly hold it" if accuracy < 0.6 else ""
    return _direction(space, name, vector, _spreads(space), note, layers, signed=True)


def _means(x: Array, labels: Array) -> tuple[Array, float]:
    """The difference of means, and the offset of the plane in the middle between them."""
    yes, no = x[labels].mean(axis=0), x[~labels].mean(axis=0)
    return yes - no, float(-(yes - no) @ (yes + no) / 2)


def _logistic(x: Array, labels: Array) -> tuple[Array, float]:
    """The plane of logistic regression with a ridge, both kinds counting alike."""
    from scipy.optimize import minimize

    sign = np.where(labels, 1.0, -1.0)
    weight = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())

    def loss(theta: Array) -> tuple[float, Array]:
        margin = sign * (x @ theta[:-1] + theta[-1])
        slope = -weight * sign / (1.0 + np.exp(np.clip(margin, -500, 500)))
        value = weight @ np.logaddexp(0.0, -margin) + 0.5 * _RIDGE * theta[:-1] @ theta[:-1]
        return float(value), np.append(slope @ x + _RIDGE * theta[:-1], slope.sum())

    theta = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return theta[:-1], float(theta[-1])


def _activations(space: Space, latents: Array, condition: Mapping[str, Array]) -> Array:
    use: Callable[..., Any] = space.model.algorithm.use("activate", space.saved.run.name).function
    activate = compiler.jit(lambda state, z, told: use(state, z, told or None))
    return np.asarray(activate(space.state, latents, dict(condition)))


def _check(space: Space, count: int) -> None:
    if not 1 <= count <= space.length:
        raise UserError(f"{count} directions: the latents have 1 to {space.length}")


def _spreads(space: Space, core: Array | None = None) -> Array:
    """The covariance of drawn latents: of z that of a standard normal."""
    if space.name == "z":
        return np.eye(space.length)
    core = space.core(512, 0)[1] if core is None else core
    return np.atleast_2d(np.cov(np.asarray(core, np.float64), rowvar=False))


def _direction(
    space: Space, name: str, vector: Array, covariance: Array, note: str, layers: Sequence[int] | None,
    signed: bool = False,
) -> Direction:  # fmt: skip
    """A direction of length 1; its sign is that of its largest entry, unless it is known."""
    unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
    if not signed:
        unit = unit * (1.0 if unit[int(np.argmax(np.abs(unit)))] >= 0 else -1.0)
    spread = max(float(unit @ covariance @ unit), 0.0) ** 0.5
    if layers is not None and not space.layers:
        raise UserError(f"{space.saved.run.name} in space {space.name} has no layers to choose from")
    if space.layers:
        moved = np.zeros((space.layers, 1))
        moved[np.arange(space.layers) if layers is None else list(layers)] = 1.0
        unit = moved * unit
    return Direction(name, np.asarray(unit, np.float32), spread, note)
