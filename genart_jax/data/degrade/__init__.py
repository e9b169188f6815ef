"""Degradations, what restoration learns to undo: pure, batched, differentiable where the physics is, one key each.

Each takes float32 images (B, height, width, channels) in [-1, 1] and (B,) typed keys (`nn.random.example_keys`), and
gives `Degraded(image, parameters)`: the degraded picture and what was drawn, masks among it under "mask". What happens
to an example depends on its own key alone, so neither the batch nor the devices that share it change anything.
"""

from genart_jax.data.degrade.base import Degraded
from genart_jax.data.degrade.chain import camera, chain
from genart_jax.data.degrade.jpeg import jpeg
from genart_jax.data.degrade.light import color_cast, gamma, haze, low_light
from genart_jax.data.degrade.masks import boxes, free_form, scratches
from genart_jax.data.degrade.named import named
from genart_jax.data.degrade.noise import blur, gaussian_noise, poisson_noise
from genart_jax.data.degrade.old import old_photograph
from genart_jax.data.degrade.resample import downsample

__all__ = [
    "Degraded", "blur", "boxes", "camera", "chain", "color_cast", "downsample", "free_form", "gamma", "gaussian_noise",
    "haze", "jpeg", "low_light", "named", "old_photograph", "poisson_noise", "scratches",
]  # fmt: skip
