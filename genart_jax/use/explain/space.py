"""A network's features as a space: nearest pictures, a map of them, and directions of concepts."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.use.explain.seen import Seen

_BATCH = 64


class Concept(NamedTuple):
    """A direction of features.

    Attributes:
      direction: (features,), of length 1, from what has the concept not to what has it.
      accuracy: share of held-out examples on the right side of it.
    """

    direction: Array
    accuracy: float


def features(seen: Seen, images: Array, stage: str) -> Array:
    """An intermediate, averaged over places: (batch, features)."""

    @compiler.jit
    def of(part: jax.Array) -> jax.Array:
        found = seen.stage(part, stage)
        return found.reshape(len(found), -1, found.shape[-1]).mean(1)

    parts = [np.asarray(of(jnp.asarray(images[i : i + _BATCH]))) for i in range(0, len(images), _BATCH)]
    return np.concatenate(parts)


def nearest(asked: Array, bank: Array, num: int = 8) -> tuple[Array, Array]:
    """The `num` most similar of a bank of features by the cosine: indices and cosines, (asked, num) each."""
    if not 1 <= num <= len(bank):
        raise UserError(f"nearest: num {num}: wanted 1 to {len(bank)}")
    unit = lambda x: x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    cosine = unit(asked) @ unit(bank).T
    order = np.argsort(-cosine, axis=1)[:, :num]
    return order, np.take_along_axis(cosine, order, 1)


def embed(values: Array, method: Literal["pca", "tsne"] = "pca", seed: int = 0) -> Array:
    """Features on a plane, (batch, 2): the first two principal components, or t-SNE by scikit-learn.

    Raises:
      UserError: scikit-learn is not installed, or there are fewer than three examples.
    """
    if len(values) < 3:
        raise UserError(f"embed: {len(values)} examples: wanted at least 3")
    if method == "pca":
        centred = values - values.mean(0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        on_axes: Array = centred @ axes[:2].T
        return on_axes
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise UserError("t-SNE needs scikit-learn: pip install scikit-learn; or choose pca") from None
    perplexity = min(30.0, (len(values) - 1) / 3)
    placed: Array = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)
    return placed


def concept(having: Array, lacking: Array, ridge: float = 1e-3) -> Concept:
    """The direction that tells features with a concept from those without (Kim et al. 2018, arXiv:1711.11279,
    section 3.2).

    A ridge regression on labels of 1 and -1, of standardised features; every fourth example is held out.

    Args:
      having: (examples, features).
      lacking: the same of examples without the concept.
      ridge: weight of the direction's square, as a share of the features' variance.

    Raises:
      UserError: fewer than eight examples of either.
    """
    if min(len(having), len(lacking)) < 8:
        raise UserError(f"concept: {len(having)} and {len(lacking)} examples: wanted at least 8 of each")
    x = np.concatenate([having, lacking]).astype(np.float64)
    y = np.concatenate([np.ones(len(having)), -np.ones(len(lacking))])
    held_out = np.arange(len(x)) % 4 == 3
    mean, spread = x[~held_out].mean(0), x[~held_out].std(0) + 1e-8
    known, labels = (x[~held_out] - mean) / spread, y[~held_out]
    middle = labels.mean()
    inner = known.T @ known + ridge * len(known) * np.eye(x.shape[1])
    weights = np.linalg.solve(inner, known.T @ (labels - middle)) / spread
    guess = np.sign((x[held_out] - mean) @ weights + middle)
    return Concept(weights / np.linalg.norm(weights), float(np.mean(guess == y[held_out])))


def concept_score(seen: Seen, images: jax.Array, stage: str, direction: Array) -> float:
    """The share of pictures whose number rises along a concept's direction (there, section 3.3, eq. 2)."""

    @compiler.jit
    def slopes(images: jax.Array) -> jax.Array:
        scores = seen.after(images, stage)
        slope = jax.grad(lambda v: jnp.sum(scores(v)))(seen.stage(images, stage))
        return slope.reshape(len(slope), -1, slope.shape[-1]).sum(1) @ jnp.asarray(direction, jnp.float32)

    return float(np.mean(np.asarray(slopes(images)) > 0))
