"""Augmentations on the device: pure, batched, one key per example, so that the device layout changes nothing.

`pictures` holds what leaves a picture's labels alone (options of `config.Data`, for every model). `diffaugment` is for
a critic, which sees real and generated pictures through it, with a probability that `probability` sets (`config.Gan`);
it is differentiable with respect to the pictures.
"""

from genart_jax.data.augment.diffaugment import diffaugment
from genart_jax.data.augment.pictures import crop, flip

__all__ = ["crop", "diffaugment", "flip"]
