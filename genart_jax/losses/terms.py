"""Regularisers as data: each a `types.Term`, with its equation, its weight and how often it is computed.

A critic's term is a function of the critic where it stands (`CriticAt`), a generator's of the generator
(`GeneratorAt`), and of the round's scene: real pictures in `scene.batch["image"]`, generated ones in
`scene.made["fake"]`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.data.augment import diffaugment, flip
from genart_jax.losses.penalties import path_lengths, squared_gradient
from genart_jax.nn import random
from genart_jax.types import Batch, Keys, Scene, Term, Tree

Carried = dict[str, jax.Array]
Values = tuple[jax.Array, Carried]


class Score(Protocol):
    """A critic's score of pictures."""

    def __call__(self, images: jax.Array, role: str = "real", /) -> jax.Array:
        """(batch, ...) pictures, augmented as real or as fake ones are -> (batch,), the mean over its scores."""


class CriticAt(NamedTuple):
    """A critic with the parameters that a term is differentiated by."""

    params: Tree
    score: Score
    make: Callable[[Mapping[str, jax.Array], Batch], jax.Array]
    """(drawn, batch) -> generated pictures; no gradient is wanted of it."""
    rebuilt: Callable[[jax.Array, jax.Array], Mapping[str, tuple[jax.Array, jax.Array]]] | None = None
    """(real pictures, keys) -> what its own decoders make of them and what they should, by name, where it has any."""
    mistold: Callable[[jax.Array, Mapping[str, jax.Array]], jax.Array] | None = None
    """(real pictures, condition -> (batch,) shares in [0, 1)) -> (batch,) scores under the classes that lie at these
    shares of all; what is hidden stays so. None without conditions."""


class GeneratorAt(NamedTuple):
    """A generator with the parameters that a term is differentiated by."""

    params: Tree
    make: Callable[[Mapping[str, jax.Array], Batch], jax.Array]
    """(drawn, batch) -> pictures."""
    styles: Callable[[Mapping[str, jax.Array], Batch], jax.Array] | None = None
    """(drawn, batch) -> styles (batch, layers, features), where it has a mapping network."""
    synthesis: Callable[[jax.Array, Mapping[str, jax.Array]], jax.Array] | None = None
    """(styles, drawn) -> pictures."""


def r1(weight: float, every: int = 0) -> Term:
    """|grad D(x)|^2 at real x (Mescheder et al. 2018, eq. 9: weight gamma/2). Summed over pixels and channels."""
    return Term("r1", lambda critic, scene: (squared_gradient(critic.score, scene.batch["image"]), {}), weight, every)


def r2(weight: float, every: int = 0) -> Term:
    """|grad D(x)|^2 at generated x (Mescheder et al. 2018, eq. 10: weight gamma/2)."""

    def value(critic: CriticAt, scene: Scene) -> Values:
        return squared_gradient(lambda x: critic.score(x, "fake"), scene.made["fake"]), {}

    return Term("r2", value, weight, every)


def _between(name: str, center: float, weight: float, every: int) -> Term:
    """(|grad D(x)| - center)^2 at x between a real and a generated picture, a uniform share of each."""

    def prepare(keys: Keys, scene: Scene) -> Scene:
        return scene._replace(drawn={**scene.drawn, "share": random.uniform(keys("share"))})

    def value(critic: CriticAt, scene: Scene) -> Values:
        real, fake = scene.batch["image"], scene.made["fake"]
        share = scene.drawn["share"].reshape(-1, *[1] * (real.ndim - 1))
        squares = squared_gradient(critic.score, share * real + (1.0 - share) * fake)
        if not center:
            return squares, {}
        # At zero the root has no slope: the smallest number under it keeps the gradient finite.
        return jnp.square(jnp.sqrt(squares + 1e-12) - center), {}

    return Term(name, value, weight, every, prepare=prepare)


def gp(weight: float, every: int = 0) -> Term:
    """The gradient penalty of WGAN-GP: (|grad D(x)| - 1)^2 between pairs (Gulrajani et al. 2017, eq. 3: weight 10)."""
    return _between("gp", 1.0, weight, every)


def zero_gp(weight: float, every: int = 0) -> Term:
    """|grad D(x)|^2 between pairs, centred at zero (Thanh-Tung et al. 2019)."""
    return _between("zero_gp", 0.0, weight, every)


def lecam(weight: float, every: int = 0, decay: float = 0.99) -> Term:
    """(D(x) - a_fake)^2 + (D(G(z)) - a_real)^2, with moving averages a of the scores (Tseng et al. 2021, section 3)."""

    def value(critic: CriticAt, scene: Scene) -> Values:
        real, fake = critic.score(scene.batch["image"]), critic.score(scene.made["fake"], "fake")
        old = scene.carried
        move = lambda name, scores: decay * old[name] + (1.0 - decay) * jnp.mean(jax.lax.stop_gradient(scores))
        carried = {"lecam_real": move("lecam_real", real), "lecam_fake": move("lecam_fake", fake)}
        return jnp.square(real - old["lecam_fake"]) + jnp.square(fake - old["lecam_real"]), carried

    return Term("lecam", value, weight, every, start={"lecam_real": 0.0, "lecam_fake": 0.0})


def consistency(weight: float, every: int = 0) -> Term:
    """(D(x) - D(T(x)))^2 of real and of generated pictures, T a flip and a shift (Zhao et al. 2021, algorithm 1)."""

    def prepare(keys: Keys, scene: Scene) -> Scene:
        return scene._replace(drawn={**scene.drawn, "moves": keys("moves")})

    def value(critic: CriticAt, scene: Scene) -> Values:
        def change(images: jax.Array, role: str) -> jax.Array:
            moved = diffaugment(flip(images, scene.drawn["moves"]), scene.drawn["moves"], ops=("translation",))
            return jnp.square(critic.score(images, role) - critic.score(moved, role))

        return change(scene.batch["image"], "real") + change(scene.made["fake"], "fake"), {}

    return Term("consistency", value, weight, every, prepare=prepare)


def _nearby(keys: Keys, scene: Scene, sigma: float) -> Scene:
    """The scene with a latent near each of its own, for which nothing else is drawn anew."""
    z = scene.drawn["z"]
    return scene._replace(drawn={**scene.drawn, "near": z + sigma * random.normal(keys("near"), z.shape[1:])})


def latent_consistency(weight: float, every: int = 0, sigma: float = 0.05) -> Term:
    """(D(G(z)) - D(G(z + e)))^2, e normal with deviation sigma: the critic's part (Zhao et al. 2021, algorithm 2)."""

    def value(critic: CriticAt, scene: Scene) -> Values:
        near = jax.lax.stop_gradient(critic.make({**scene.drawn, "z": scene.drawn["near"]}, scene.batch))
        return jnp.square(critic.score(scene.made["fake"], "fake") - critic.score(near, "fake")), {}

    return Term("latent_consistency", value, weight, every, prepare=lambda keys, s: _nearby(keys, s, sigma))


def latent_spread(weight: float, every: int = 0, sigma: float = 0.05) -> Term:
    """-|G(z) - G(z + e)|^2, a mean over pixels: the generator's part (Zhao et al. 2021, algorithm 2)."""

    def value(generator: GeneratorAt, scene: Scene) -> Values:
        here = generator.make(scene.drawn, scene.batch)
        near = generator.make({**scene.drawn, "z": scene.drawn["near"]}, scene.batch)
        return -jnp.mean(jnp.square(here - near), axis=tuple(range(1, here.ndim))), {}

    return Term("latent_spread", value, weight, every, prepare=lambda keys, s: _nearby(keys, s, sigma))


def pixel_mse(weight: float, every: int = 0) -> Term:
    """|G(z) - x|^2 / |pixels|: the mean over pixels and channels, of generated and real pictures paired by position.

    As the pairs are independent but for their condition c, its mean is E |G(z) - E[x|c]|^2 + E |x - E[x|c]|^2 over
    pixels: it pulls every picture towards the mean of its condition, against the variety of both.
    """

    def value(generator: GeneratorAt, scene: Scene) -> Values:
        squares = jnp.square(generator.make(scene.drawn, scene.batch) - scene.batch["image"])
        return jnp.mean(squares, axis=tuple(range(1, squares.ndim))), {}

    return Term("pixel_mse", value, weight, every)


def reconstruction(weight: float, every: int = 0) -> Term:
    """Sum over the critic's decoders of |G(f) - T(x)|, a mean over pixels, at real x (Liu et al. 2021, eq. 2)."""

    def prepare(keys: Keys, scene: Scene) -> Scene:
        return scene._replace(drawn={**scene.drawn, "decoders": keys("decoders")})

    def value(critic: CriticAt, scene: Scene) -> Values:
        assert critic.rebuilt is not None
        pairs = critic.rebuilt(scene.batch["image"], scene.drawn["decoders"]).values()
        losses = [jnp.mean(jnp.abs(made - wanted), axis=tuple(range(1, made.ndim))) for made, wanted in pairs]
        return sum(losses[1:], losses[0]), {}

    return Term("reconstruction", value, weight, every, prepare=prepare)


def matching(weight: float, every: int = 0) -> Term:
    """softplus(D(x, y') - D(x, y)) at real x of the conditions y, with y' drawn evenly: pictures that do not show what
    is said of them score less (Reed et al. 2016, arXiv:1605.05396, algorithm 1, as a difference of scores).
    """

    def prepare(keys: Keys, scene: Scene) -> Scene:
        shares = {name: random.uniform(keys(name)) for name in scene.batch["condition"]}
        return scene._replace(drawn={**scene.drawn, "shares": shares})

    def value(critic: CriticAt, scene: Scene) -> Values:
        assert critic.mistold is not None
        real = scene.batch["image"]
        return jax.nn.softplus(critic.mistold(real, scene.drawn["shares"]) - critic.score(real)), {}

    return Term("matching", value, weight, every, prepare=prepare)


def orthogonal(weight: float, every: int = 0) -> Term:
    """|W'W (1 - I)|^2 summed over all kernels, as matrices (rest, features) (Brock et al. 2019, section 3.1)."""

    def value(at: CriticAt | GeneratorAt, scene: Scene) -> Values:
        total = jnp.zeros(())
        for kernel in jax.tree.leaves(at.params):
            if kernel.ndim >= 2:
                matrix = kernel.reshape(-1, kernel.shape[-1])
                products = matrix.T @ matrix
                total += jnp.sum(jnp.square(products)) - jnp.sum(jnp.square(jnp.diagonal(products)))
        return total, {}

    return Term("orthogonal", value, weight, every)


def path_length(
    weight: float, every: int, draw: Callable[[Keys], Mapping[str, jax.Array]], shrink: int = 2, decay: float = 0.01
) -> Term:
    """(|J'y| - a)^2, a the running mean of path lengths (Karras et al. 2020, eq. 4), of each `shrink`-th example.

    `draw` is what the generator draws, anew for this term.
    """

    def prepare(keys: Keys, scene: Scene) -> Scene:
        shape = scene.batch["image"].shape[1:]
        drawn = {**draw(keys), "pixels": random.normal(keys("pixels"), shape)}
        thinned = jax.tree.map(lambda x: x[::shrink], (drawn, scene.batch))
        return scene._replace(drawn=thinned[0], batch=thinned[1], made=None, view=None)

    def value(generator: GeneratorAt, scene: Scene) -> Values:
        assert generator.styles is not None
        assert generator.synthesis is not None
        synthesis, mean = generator.synthesis, scene.carried["path_mean"]
        styles = generator.styles(scene.drawn, scene.batch)
        lengths = path_lengths(lambda s: synthesis(s, scene.drawn), styles, scene.drawn["pixels"])
        carried = {"path_mean": mean + decay * (jnp.mean(lengths) - mean)}
        return jnp.square(lengths - mean), carried

    return Term("path", value, weight, every, {"path_mean": 0.0}, prepare)


CRITIC_TERMS: Mapping[str, Callable[..., Term]] = {
    "r1": r1,
    "r2": r2,
    "gp": gp,
    "zero_gp": zero_gp,
    "lecam": lecam,
    "consistency": consistency,
    "latent_consistency": latent_consistency,
    "orthogonal": orthogonal,
    "reconstruction": reconstruction,
    "matching": matching,
}
"""What `step.critic-terms` may name."""

GENERATOR_TERMS: Mapping[str, Callable[..., Term]] = {
    "latent_spread": latent_spread,
    "pixel_mse": pixel_mse,
    "orthogonal": orthogonal,
}
"""What `step.generator-terms` may name; path length has options of its own."""


def parse(
    option: str,
    texts: tuple[str, ...],
    table: Mapping[str, Callable[..., Term]],
    updates: int,
    others: tuple[Term, ...] = (),
) -> tuple[Term, ...]:
    """Terms from texts such as "r1=0.5@8": a name, a weight, and of a lazy one its period in steps; `others` first.

    A lazy term's weight is multiplied by its period and by the player's `updates` in a step, as it is computed once in
    all of these.

    Raises:
      UserError: an unknown name, one that is there twice, or what is no weight or period.
    """
    out = list(others)
    for text in texts:
        name, _, rest = text.partition("=")
        weight, _, every = rest.partition("@")
        if name not in table:
            near = difflib.get_close_matches(name, table, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(table)}"
            raise UserError(f"{option}: {name!r} is unknown; {hint}")
        if name in [term.name for term in out]:
            raise UserError(f"{option}: {name} is there twice; it may be switched on by an option of its own")
        try:
            value, period = float(weight), int(every) if every else 0
        except ValueError:
            value, period = math.nan, 0
        if not 0 < value < math.inf or (every and period < 1):
            raise UserError(f"{option}: {text!r}; wanted NAME=WEIGHT or NAME=WEIGHT@PERIOD, such as r1=0.5@8")
        out.append(table[name](value * (updates if period else 1), period))
    return tuple(out)
