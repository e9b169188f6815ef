"""The codes that an autoencoder makes of a picture of any size, and the picture of codes.

A large picture goes through the networks in pieces that overlap, one on the device at a time. As a normalisation sees
only its piece, neighbours differ a little where both know something; there they are blended, from all of the one to all
of the other, so that no edge shows. The outermost of a piece, which padding reaches, is left to its neighbour.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from genart_jax.api import run
from genart_jax.config import UserError
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model


def encode_picture(model: Model, picture: Array, longest: int = 512, overlap: int = 128) -> Array:
    """The means of a picture's codes, (height / k, width / k, channels) float32.

    Args:
      model: with codes that are maps, such as `kl_autoencoder`: of `ga.load`, a run or a file of published weights.
      picture: (height, width, channels), float in [-1, 1] or uint8; sides are multiples of k.
      longest: pixels of a piece's sides at most; a multiple of k.
      overlap: pixels that two pieces share.

    Raises:
      UserError: a model without such codes, or a size that does not divide.
    """
    times, channels = _sizes(model)
    pixels = np.asarray(picture)
    pixels = pixels / np.float32(127.5) - 1 if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    if pixels.ndim != 3 or pixels.shape[-1] != channels or pixels.shape[0] % times or pixels.shape[1] % times:
        raise UserError(f"a picture of {pixels.shape}: wanted {channels} channels, and sides in multiples of {times}")
    _check(longest, overlap, times)
    apply = _applied(model, "encoder", lambda output: output[0])
    return _blended(apply, pixels, longest, overlap, times, 1)


def decode_codes(model: Model, codes: Array, longest: int = 512, overlap: int = 128) -> Array:
    """The picture of codes (height, width, channels): (height * k, width * k, channels) float32 in [-1, 1].

    `model`, `longest` and `overlap` as in `encode_picture`, in pixels.

    Raises:
      UserError: a model without such codes, or codes of another number of channels.
    """
    times, _ = _sizes(model)
    wanted = model.algorithm.uses["decode"].inputs[0].shape[-1]
    given = np.asarray(codes, np.float32)
    if given.ndim != 3 or given.shape[-1] != wanted:
        raise UserError(f"codes of {given.shape}: wanted (height, width, {wanted})")
    _check(longest, overlap, times)
    apply = _applied(model, "decoder", lambda output: output)
    return np.clip(_blended(apply, given, longest // times, overlap // times, 1, times), -1.0, 1.0)


def _sizes(model: Model) -> tuple[int, int]:
    """How many pixels a code's side covers, and the pictures' channels."""
    uses = model.algorithm.uses
    shape = uses["decode"].inputs[0].shape if {"encode", "decode"} <= uses.keys() else ()
    if len(shape) != 3:
        raise UserError("this model's codes are no maps (height, width, channels); kl_autoencoder's are")
    height, _, channels = model.algorithm.batch_spec.image_shape
    return height // shape[0], channels


def _check(longest: int, overlap: int, times: int) -> None:
    if longest % times or overlap % times or not 0 <= 2 * overlap <= longest or longest < 1:
        raise UserError(
            f"longest {longest} and overlap {overlap}: wanted multiples of {times}, the overlap half of longest at most"
        )


def _applied(model: Model, role: str, part: Callable[..., jax.Array]) -> Callable[[Array], Array]:
    """A role's network, on one array (height, width, channels)."""
    algorithm, state = model
    call = compiler.jit(lambda at, x: part(run(algorithm, at, role, x)[0])[0])
    return lambda x: np.asarray(call(state, x[None]), np.float32)


def _blended(apply: Callable[[Array], Array], x: Array, longest: int, overlap: int, down: int, up: int) -> Array:
    """`apply` on pieces of x, whose sides it divides by `down` and multiplies by `up`, put together again."""
    total: Array = np.zeros(())
    weights: Array = np.zeros(())
    for top, tall in _pieces(x.shape[0], longest, overlap, down):
        for left, wide in _pieces(x.shape[1], longest, overlap, down):
            made = apply(x[top : top + tall, left : left + wide])
            if not total.shape:
                total = np.zeros((x.shape[0] * up // down, x.shape[1] * up // down, made.shape[-1]), np.float32)
                weights = np.zeros((*total.shape[:2], 1), np.float32)
            place = tuple(
                slice(begin * up // down, (begin + size) * up // down) for begin, size in ((top, tall), (left, wide))
            )
            ramps = [_ramp(n, overlap * up // down) for n in made.shape[:2]]
            weight = np.minimum(ramps[0][:, None], ramps[1][None])[..., None]
            total[place] += weight * made
            weights[place] += weight
    return total / weights


def _pieces(length: int, longest: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    """(begin, length) of equally long pieces that cover a line, with at least `overlap` in common."""
    if length <= longest:
        return [(0, length)]
    count = -(-(length - overlap) // (longest - overlap))
    begins = [round(i * (length - longest) / (count - 1) / multiple) * multiple for i in range(count)]
    return [(begin, longest) for begin in begins]


def _ramp(length: int, overlap: int) -> Array:
    """Weights of a line of a piece: at both ends next to nothing over a quarter of the overlap, where padding is near,
    then rising over a half of it.
    """
    far = np.minimum(np.arange(length) + 0.5, length - 0.5 - np.arange(length))
    return np.clip((far - overlap / 4) / max(overlap / 2, 1), 1e-6, 1.0).astype(np.float32)
