"""Degradations one after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax

from genart_jax.config import UserError
from genart_jax.data.degrade.base import Degraded, Range
from genart_jax.data.degrade.jpeg import jpeg
from genart_jax.data.degrade.light import color_cast, low_light
from genart_jax.data.degrade.noise import blur, gaussian_noise, poisson_noise
from genart_jax.data.degrade.resample import downsample
from genart_jax.nn.random import stream

Degradation = Callable[[jax.Array, jax.Array], Degraded]


def chain(**stages: Degradation) -> Degradation:
    """The stages as one degradation, in the order in which they are given.

    A stage draws from a stream of its own name, so that leaving one out does not change what the others draw. Its
    parameters are called "STAGE/NAME".

        shaky = chain(blur=functools.partial(blur, sigma=(1, 2)), noise=gaussian_noise)

    Raises:
      UserError: there are no stages.
    """
    if not stages:
        raise UserError("chain: no stages; name them, chain(blur=degrade.blur, noise=degrade.gaussian_noise)")

    def degraded(images: jax.Array, keys: jax.Array) -> Degraded:
        drawn: dict[str, jax.Array] = {}
        for name, stage in stages.items():
            images, parameters = stage(images, stream(keys, name))
            drawn |= {f"{name}/{key}": value for key, value in parameters.items()}
        return Degraded(images, drawn)

    return degraded


def camera(
    images: jax.Array,
    keys: jax.Array,
    factor: int = 1,
    sigma: Range = (0.3, 1.5),
    exponent: Range = (1.0, 1.5),
    peak: Range = (60.0, 400.0),
    noise: Range = (0.0, 0.03),
    gain: Range = (0.9, 1.1),
    quality: Range = (50.0, 95.0),
) -> Degraded:
    """What happens to a picture on its way through a camera, in that order.

    Blur of the lens ("lens"), the sensor's coarser grid where `factor` is above 1 ("grid", by area), too little light
    ("light"), shot noise ("shot") and that of reading out ("readout"), white balance that is off ("balance", for
    colour alone), JPEG ("file"). Parameters: those of each stage, as "STAGE/NAME".
    """
    partial = functools.partial
    stages: dict[str, Degradation] = {"lens": partial(blur, sigma=sigma)}
    if factor > 1:
        stages["grid"] = lambda x, keys: downsample(x, factor, "area")
    stages["light"] = partial(low_light, gain=(0.8, 1.0), exponent=exponent)
    stages |= {"shot": partial(poisson_noise, peak=peak), "readout": partial(gaussian_noise, sigma=noise)}
    if images.shape[-1] == 3:
        stages["balance"] = partial(color_cast, gain=gain)
    stages["file"] = partial(jpeg, quality=quality)
    return chain(**stages)(images, keys)
