"""A file of published weights in the place of a run: to sample from, and to take parameters from.

Nothing says which data its networks have seen, so what needs that (evaluation, say) asks for a run.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from genart_jax import assets, registry
from genart_jax.api import build
from genart_jax.assets import kl_autoencoder, ncnn, resnet, stylegan2, upscaler, vgg
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.config import Run, UserError, Vae
from genart_jax.config.saved import Saved
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.types import Algorithm, State, Tree

_SIZE = 224  # of pictures, for published classifiers
_LARGE = 96  # that networks for super-resolution are built for; they take any size
_CODED = 256  # of pictures that published autoencoders were trained on; they take any

AGE = 1_000_000
"""Steps that such networks are taken to have behind them, so that a moving average does not forget them."""


ASSET = "asset:"
"""How published weights in the user's cache are named in the place of a run, as in asset:efficientnet_lite0."""


def is_file(path: str | Path) -> bool:
    """Whether a path is a file of weights, or names an asset, rather than a run directory."""
    return str(path).startswith(ASSET) or expanded(path).is_file()


def read(path: str | Path) -> tuple[Run, State]:
    """The configuration that a file of published weights says, and its state without an optimizer.

    An asset that is a classifier's (asset:efficientnet_lite0). StyleGAN2's as `.safetensors` (docs/gans.md), KL
    autoencoders in diffusers' layout (docs/latents.md), and residual networks and VGGs of torchvision or timm
    (docs/pictures.md) also as `.pth`, and networks for super-resolution as `model.json` of TensorFlow.js
    or `.param` of ncnn (docs/restoration.md).

    Raises:
      UserError: another file; says what is wrong with it.
    """
    if str(path).startswith(ASSET):
        return _asset(str(path).removeprefix(ASSET))
    path = expanded(path)
    if path.suffix in (".json", ".param"):
        return _upscaler(path)
    if path.suffix not in (".safetensors", ".pth"):
        raise UserError(f"{path}: wanted a run directory, or published weights as .safetensors (docs/gans.md)")
    tensors = read_tensors(path)
    if kl_autoencoder.MARK in tensors:
        return _autoencoder(tensors, str(path))
    for name, reader in (("resnet", resnet), ("vgg", vgg)):
        if reader.MARK in tensors:
            return _classifier(name, reader.read(tensors, str(path)))
    return _stylegan2(tensors, str(path))


def _stylegan2(tensors: dict[str, Array], origin: str) -> tuple[Run, State]:
    found = stylegan2.read(tensors, origin)
    live = {"generator": dict(found.generator)} | ({"critic": dict(found.critic)} if found.critic else {})
    return _configured("stylegan2", found.options), _state(live, {"generator": dict(found.average)})


def _asset(name: str) -> tuple[Run, State]:
    """A classifier's published weights in the user's cache."""
    if not (names := assets.class_names(name)):
        raise UserError(f"{ASSET}{name}: these are no weights of a classifier")
    variables = assets.load(name)
    if "out" not in variables["params"]:
        raise UserError(f"{ASSET}{name}: these weights come without dense layers; bring a file that has them")
    options = {"image_shape": (_SIZE, _SIZE, 3), "conditions": (("imagenet", len(names)),)}
    return _configured(name, options), _state({"classifier": dict(variables)}, {})


def _classifier(name: str, found: resnet.Published) -> tuple[Run, State]:
    options = {"image_shape": (_SIZE, _SIZE, 3)} | found.options
    return _configured(name, options), _state({"classifier": dict(found.variables)}, {})


def _upscaler(path: Path) -> tuple[Run, State]:
    found = (ncnn if path.suffix == ".param" else upscaler).read(path)
    options = found.options | {"image_shape": (_LARGE, _LARGE, 3)}
    return _configured("super_resolution", options), _state({"generator": dict(found.variables)}, {})


def _autoencoder(tensors: dict[str, Array], origin: str) -> tuple[Run, State]:
    found = kl_autoencoder.read(tensors, origin)
    options = found.options | {"image_shape": (_CODED, _CODED, found.channels)}
    # The bound's scale is of no use to a network that was trained otherwise.
    run = dataclasses.replace(_configured("kl_autoencoder", options), step=Vae(scale="fixed", ema_decay=0.0))
    return run, _state({role: dict(tree) for role, tree in found.variables.items()}, {})


def _configured(name: str, options: dict[str, Any]) -> Run:
    run = registry.get_config(name)
    return dataclasses.replace(run, model=dataclasses.replace(run.model, **options))


def _state(live: dict[str, Tree], ema: dict[str, Tree]) -> State:
    params = {role: variables.pop("params") for role, variables in live.items()}
    return State(jnp.zeros((), jnp.int32), params, live, {}, ema, {})


def model(path: str | Path) -> tuple[Algorithm, State]:
    """The algorithm of a file's networks and their state, on the default device."""
    run, state = read(path)
    return build(run), jax.device_put(state, jax.devices()[0])


def words(path: str | Path) -> str:
    """The options of `genart train` that build a file's networks."""
    run = read(path)[0]
    plain, found = registry.get_config(run.name).model, dict[str, object]()
    for field in dataclasses.fields(plain):
        value = getattr(run.model, field.name)
        if field.name not in ("image_shape", "conditions") and value != getattr(plain, field.name):
            found[field.name.replace("_", "-")] = value
    return " ".join(_word(name, value) for name, value in found.items())


def _word(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--model.{name}" if value else f"--model.no-{name}"
    return f"--model.{name} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"


def described(path: str | Path) -> Saved:
    """What config.json would hold, were the file a run."""
    run, _ = read(path)
    conditions = getattr(run.model, "conditions", None) or ()
    names = {name: [str(i) for i in range(classes)] for name, classes in conditions}
    names = {name: [str(i) for i in range(classes)] for name, classes in build(run).batch_spec.conditions}
    return Saved(run, {"class_names": names, "condition_table": []})
