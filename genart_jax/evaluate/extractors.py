"""Networks that turn pictures into features, by name.

    lite0[:SIZE]       EfficientNet-lite0's last features; the default
    vgg19[:SIZE]       the last convolution of VGG19, averaged over places
    inception:FILE     the FID's Inception network with weights of one's own (a PyTorch state dict)
    dinov2:FILE        DINOv2's class token, with weights of one's own (small, base or large; .safetensors or .pth)
    classifier:RUN     the last hidden layer of a classifier that was trained here
    pixels[:SIZE]      the pictures themselves

SIZE is the side that pictures are resized to: 224 for the first two, 16 for pixels. Another than these is part of the
extractor's name, as in lite0_112. Videos are seen whole by a classifier of videos, and by all others one frame of each
(`fitted`); volumes by a classifier of volumes alone.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax import assets, registry
from genart_jax.api import run as run_network
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.config import Classifier, UserError, override
from genart_jax.data.media import is_video
from genart_jax.nn import dinov2, inception
from genart_jax.runtime import compiler
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.runtime.watch import watched
from genart_jax.steps import common, networks
from genart_jax.train.checkpoint import load, read_config
from genart_jax.types import Network, Variables, to_float

KINDS = ("lite0", "vgg19", "inception", "dinov2", "classifier", "pixels")
CUBIC = "bicubic (a = -0.5), antialiased, in float32 without clipping"

Outputs = tuple[jax.Array, jax.Array | None]
"""Features (n, d), and logits or log probabilities (n, classes) where the network classifies."""


class Seer(Protocol):
    """What a score says of the network that it was made with."""

    @property
    def name(self) -> str:
        """Part of the score's name."""

    @property
    def weights(self) -> str:
        """SHA-256 of the weights."""

    @property
    def size(self) -> tuple[int, ...]:
        """(height, width) that it sees; with frames or depth in front, if it sees videos or volumes."""

    @property
    def resize(self) -> str:
        """How pictures are brought to that size."""


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
    """What makes features of pictures, with all that decides about their values.

    Attributes:
      name: as the user gave it, without paths: part of every score's name.
      weights: SHA-256 of the weights; "" for none.
      size: (height, width) that the network sees; of videos and volumes with frames or depth in front.
      resize: the filter that brings pictures to that size.
      apply: (variables, float32 images (n, height, width, channels) in [-1, 1] of that size) -> Outputs.
      variables: of the network.
      channels: of the pictures that `apply` takes.
      batch: pictures at a time.
      head: (variables, features) -> logits, on the host, where features are what the last layer takes; None: unknown.
      frames: it sees one frame of each video: of the i-th the (i mod frames)-th, so that all times count alike.
    """

    name: str
    weights: str
    size: tuple[int, ...]
    resize: str
    apply: Callable[[Any, jax.Array], Outputs]
    variables: Any = None
    channels: int = 3
    batch: int = 50
    head: Callable[[Any, Array], Array] | None = None
    frames: bool = False

    @functools.cached_property
    def _compiled(self) -> Callable[[Any, Any], Outputs]:
        return compiler.jit(lambda variables, images: self.apply(variables, self._prepare(images)))

    def _prepare(self, images: Any) -> jax.Array:
        x = to_float(images)
        if x.shape[-1] != self.channels:
            x = jnp.mean(x, axis=-1, keepdims=True) if self.channels == 1 else jnp.repeat(x, self.channels, axis=-1)
        if x.shape[1:-1] != self.size and self.resize == CUBIC:
            x = jax.image.resize(x, (len(x), *self.size, self.channels), "cubic", antialias=True)
        return x

    def __call__(self, images: Array) -> tuple[Array, Array | None]:
        """uint8 images (n, height, width, 1 or 3) -> features (n, d) and logits (n, classes) or None, on the host.

        Videos and volumes, (n, *size, 1 or 3), where the network sees them whole; videos, too, with `frames`.

        Raises:
          UserError: other images.
        """
        images = np.asarray(images)
        if self.frames and images.ndim == 5:
            images = images[np.arange(len(images)), np.arange(len(images)) % images.shape[1]]
        fits = images.ndim == len(self.size) + 2 and (len(self.size) == 2 or images.shape[1:-1] == self.size)
        if not fits or images.shape[-1] not in (1, 3) or images.dtype != np.uint8 or not len(images):
            wanted = "height, width" if len(self.size) == 2 else ", ".join(map(str, self.size))
            raise UserError(f"features are made of uint8 pictures (n, {wanted}, 1 or 3), not of {images.shape}")
        features, logits = [], []
        starts = range(0, len(images), self.batch)
        for start in watched(starts, len(images), f"pictures seen by {self.name}", self.batch):
            part = images[start : start + self.batch]
            short = self.batch - len(part)
            # Whole batches, so that one program serves for all.
            whole = np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short and start else part
            f, y = jax.device_get(self._compiled(self.variables, whole))
            features.append(f[: len(part)])
            if y is not None:
                logits.append(y[: len(part)])
        return np.concatenate(features), np.concatenate(logits) if logits else None


def fitted(extractor: Extractor, image_shape: tuple[int, ...]) -> Extractor:
    """The extractor for examples of this shape: of videos one that sees pictures is given a frame of each.

    Raises:
      UserError: it sees other videos or volumes than these.
    """
    if len(image_shape) == 3 if len(extractor.size) == 2 else extractor.size == image_shape[:-1]:
        return extractor
    if len(extractor.size) == 2 and is_video(image_shape):
        return dataclasses.replace(extractor, name=f"{extractor.name}_frames", frames=True)
    raise UserError(
        f"extractor {extractor.name} sees {'x'.join(map(str, extractor.size))}, this model makes"
        f" {'x'.join(map(str, image_shape[:-1]))}; train a classifier on the same data: genart train simple_cnn"
    )


def make_extractor(word: str) -> Extractor:
    """The extractor that a word names; see this module's head.

    Raises:
      UserError: an unknown name, or weights that are not here; says how to bring them.
    """
    kind, _, rest = word.partition(":")
    if kind not in KINDS:
        there = "lite0, vgg19, inception:FILE, dinov2:FILE, classifier:RUN, pixels"
        raise UserError(f"extractor {word!r} is unknown; there are {there}")
    if kind in _OF_ONES_OWN:
        what, make = _OF_ONES_OWN[kind]
        if not rest:
            raise UserError(f"extractor {kind} needs a {what}: {kind}:...")
        return make(expanded(rest))
    default = 16 if kind == "pixels" else 224
    if rest and not (rest.isdecimal() and int(rest) > 0):
        raise UserError(f"extractor {word!r}: the size is a number of pixels, as in {kind}:{default // 2}")
    size = int(rest or default)
    name = kind if size == default else f"{kind}_{size}"
    if kind == "pixels":
        return Extractor(name, "", (size, size), CUBIC, lambda _, x: (x.reshape(len(x), -1), None), batch=500)
    asset = {"lite0": "efficientnet_lite0", "vgg19": "vgg19"}[kind]
    variables = jax.tree.map(jnp.asarray, assets.load(asset))
    apply, digest = _published(asset, size), assets.sha256(asset)
    if kind == "vgg19":
        return Extractor(name, digest, (size, size), CUBIC, apply, variables)
    # What its convolutions of single channels read and write then stays in a CPU's cache: a fifth of the time.
    few = max(1, 4 * default**2 // size**2) if jax.default_backend() == "cpu" else 50
    return Extractor(name, digest, (size, size), CUBIC, apply, variables, batch=min(few, 50), head=_last_layer)


def _last_layer(variables: Any, features: Array) -> Array:
    """EfficientNet's logits of its features, (n, classes)."""
    last = jax.device_get(variables["params"]["out"])
    logits: Array = features @ last["kernel"] + last["bias"]
    return logits


def _published(asset: str, size: int) -> Callable[[Any, jax.Array], Outputs]:
    """(variables, images) -> the outputs of a network that never trains."""
    if asset == "vgg19":
        from genart_jax.nn.vgg import VGG

        network, capture = Network(VGG(until="relu5_4"), (), f"asset:{asset}"), "relu5_4"
    else:
        classes = (("class", len(assets.class_names(asset))),)
        config = override(registry.get_config(asset).model, image_shape=(size, size, 3), conditions=classes)
        network = registry.model_module(asset).networks(config)["classifier"]._replace(frozen=f"asset:{asset}")
        capture = "pooled"

    def apply(variables: Any, x: jax.Array) -> Outputs:
        at = Variables({}, {}, {"features": variables})
        output, found = networks.run({"features": network}, at, "features", x, capture=(capture,))
        features = found[capture]
        if features.ndim == 4:
            return jnp.mean(features, axis=(1, 2)), None
        return features, output

    return apply


def _inception(file: Path) -> Extractor:
    variables = jax.tree.map(jnp.asarray, inception.variables(read_tensors(file)))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    network = inception.Inception()

    def apply(variables: Any, images: jax.Array) -> Outputs:
        out: Any = network.apply(variables, images)
        return out[0], out[1]

    side = inception.SIZE
    resize = "bilinear of TensorFlow 1, not antialiased"
    return Extractor("inception", digest, (side, side), resize, apply, variables, batch=20)


def _dinov2(file: Path) -> Extractor:
    network, tensors = dinov2.variables(read_tensors(file))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    side = dinov2.SIZE
    apply: Callable[[Any, jax.Array], Outputs] = lambda variables, x: (network.apply(variables, x)[0], None)
    name = f"dinov2_{dinov2.NAMES[network.width]}"
    return Extractor(name, digest, (side, side), CUBIC, apply, jax.tree.map(jnp.asarray, tensors), batch=20)


def _classifier(run: Path) -> Extractor:
    """The last of the activations that the classifier names, averaged over places."""
    saved, (algorithm, state) = read_config(run), load(run)
    predict = algorithm.use("predict", f"{run}, a run of {saved.run.name},").function
    *size, channels = algorithm.batch_spec.image_shape
    resize = CUBIC if len(size) == 2 else "as they are"

    def apply(state: Any, images: jax.Array) -> Outputs:
        logits, found = run_network(algorithm, state, "classifier", images, capture=None)
        features = list(found.values())[-1] if found else logits
        single = predict(state, images) if len(algorithm.batch_spec.conditions) == 1 else None
        return jnp.mean(features, axis=range(1, features.ndim - 1)), single

    params, mutable = common.sampling_variables(state, "classifier")
    leaves = jax.tree.leaves(jax.device_get((params, mutable)))
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in leaves)).hexdigest()
    if isinstance(saved.run.step, Classifier) and saved.run.step.mirror:  # another judge than the same weights without
        digest = hashlib.sha256(f"{digest} mirror".encode()).hexdigest()
    name = f"{saved.run.name}_{'+'.join(label for label, _ in algorithm.batch_spec.conditions)}"
    return Extractor(name, digest, tuple(size), resize, apply, state.replace(opt={}), channels, batch=250)


_OF_ONES_OWN: Mapping[str, tuple[str, Callable[[Path], Extractor]]] = {
    "inception": ("file", _inception),
    "dinov2": ("file", _dinov2),
    "classifier": ("run", _classifier),
}
