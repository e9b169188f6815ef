"""Augmentations on the device: pure, batched, one key per example, so that the device layout changes nothing.

`pictures` and `randaugment` hold what leaves a picture's labels alone (options of `config.Data`, for every model),
`mix` what changes them too (`config.Classifier`). `diffaugment` and `ada` are for a critic, which sees real and
generated pictures through them, with a probability that `probability` sets (`config.Gan`); they are differentiable with
respect to the pictures.
"""

from genart_jax.data.augment.ada import ada
from genart_jax.data.augment.diffaugment import diffaugment
from genart_jax.data.augment.mix import cutmix, mix, mixup
from genart_jax.data.augment.pictures import check_jitter, crop, cutout, flip, jitter
from genart_jax.data.augment.randaugment import check_randaugment, randaugment

__all__ = [
    "ada", "check_jitter", "check_randaugment", "crop", "cutmix", "cutout", "diffaugment", "flip", "jitter", "mix",
    "mixup", "randaugment",
]  # fmt: skip
