"""Samplers of the small models in NumPy alone, to read and to check against. `genart export` copies this file.

`SAMPLERS[name](weights, config, latents, condition)` gives images (batch, height, width, channels) in [-1, 1]:
`weights` as `read` gives them, `config` the "run" of config.json, `latents` (batch, latent_dim) float32, `condition`
integers (batch,) by name. -1, or a name left out, hides a condition, if the model was trained with condition_dropout.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
Weights = dict[str, Array]
Config = dict[str, Any]  # the "run" of config.json


def read(path: str) -> Weights:
    """A safetensors file of float32 arrays: path of a parameter -> array."""
    with Path(path).open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"])
        for name, entry in header.items()
    }


def _dense(w: Weights, name: str, x: Array) -> Array:
    y = x @ w[f"{name}/kernel"]
    return y + w[f"{name}/bias"] if f"{name}/bias" in w else y


def _batch_norm(w: Weights, statistics: Weights, name: str, x: Array) -> Array:
    scale = w[f"{name}/scale"] / np.sqrt(statistics[f"{name}/var"] + 1e-5)
    return (x - statistics[f"{name}/mean"]) * scale + w[f"{name}/bias"]


def _conv_transpose(w: Weights, name: str, x: Array) -> Array:
    """4x4, stride 2, twice the size: zeros between the pixels, two around them, then a correlation."""
    kernel = w[f"{name}/kernel"]
    n, height, width, channels = x.shape
    wide = np.zeros((n, 2 * height + 3, 2 * width + 3, channels), np.float32)
    wide[:, 2 : 2 * height + 2 : 2, 2 : 2 * width + 2 : 2] = x
    y = np.zeros((n, 2 * height, 2 * width, kernel.shape[-1]), np.float32)
    for i in range(4):
        for j in range(4):
            y += wide[:, i : i + 2 * height, j : j + 2 * width] @ kernel[i, j]
    return y + w[f"{name}/bias"] if f"{name}/bias" in w else y


def _joined(w: Weights, config: Config, z: Array, condition: dict[str, Array]) -> Array:
    """Z and the vector of each condition; a hidden one has the last row of its table.

    Raises:
      ValueError: a number that is no class, or a hidden condition that the model has not learnt to do without.
    """
    parts = [z]
    for name, classes in config["model"]["conditions"]:
        index = np.asarray(condition.get(name, np.full(len(z), -1)))
        lowest = -1 if config["step"].get("condition_dropout", 0) > 0 else 0
        if index.min(initial=0) < lowest or index.max(initial=0) >= classes:
            raise ValueError(f"condition {name}: wanted {lowest} to {classes - 1}, got {condition.get(name)}")
        parts.append(w[f"embed/{name}"][np.where(index < 0, classes, index)])
    return np.concatenate(parts, -1)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _part(weights: Weights, prefix: str) -> Weights:
    return {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}


def dcgan(weights: Weights, config: Config, latents: Array, condition: dict[str, Array]) -> Array:
    """The generator of Radford et al. 2015, with the statistics of its BatchNorms as training left them."""
    w, statistics = _part(weights, "generator/params/"), _part(weights, "generator/batch_stats/")
    height, width, _ = config["model"]["image_shape"]
    count = sum(f"norm_{i}/scale" in w for i in range(8))
    x = _dense(w, "in", _joined(w, config, latents, condition))
    x = x.reshape(len(x), height >> count, width >> count, -1)
    x = _relu(_batch_norm(w, statistics, "norm_0", x))
    for i in range(1, count):
        x = _relu(_batch_norm(w, statistics, f"norm_{i}", _conv_transpose(w, f"up_{i}", x)))
    return np.tanh(_conv_transpose(w, "out", x))


def _pixels(config: Config, x: Array) -> Array:
    """What is drawn of numbers (..., outputs), in [-1, 1]: the mean, of a mixture that of its parts' means."""
    likelihood, channels = config["step"]["likelihood"], config["model"]["image_shape"][-1]
    if likelihood == "bernoulli":
        return np.tanh(0.5 * x)
    if likelihood == "logistic_mixture":
        parts = x.reshape(*x.shape[:-1], config["step"]["mixtures"], -1)
        found: list[Array] = []
        for i in range(channels):  # the means of a channel follow those before it
            factors = np.tanh(parts[..., 1 + 2 * channels + i * (i - 1) // 2 :])
            found.append(parts[..., 1 + i] + sum(factors[..., j] * y for j, y in enumerate(found)))
        shares = np.exp(parts[..., 0] - parts[..., 0].max(-1, keepdims=True))
        means = np.clip(np.stack(found, axis=-1), -1.0, 1.0)
        x = np.sum((shares / shares.sum(-1, keepdims=True))[..., None] * means, axis=-2)
    return np.clip(x[..., :channels], -1.0, 1.0)


def conv_vae(weights: Weights, config: Config, latents: Array, condition: dict[str, Array]) -> Array:
    """The decoder of Kingma & Welling 2013 with transposed convolutions."""
    w, stages = _part(weights, "decoder/params/"), config["model"]["stages"]
    height, width, _ = config["model"]["image_shape"]
    x = _relu(_dense(w, "hidden", _joined(w, config, latents, condition)))
    x = _relu(_dense(w, "in", x)).reshape(len(x), height >> stages, width >> stages, -1)
    for i in range(1, stages):
        x = _relu(_conv_transpose(w, f"up_{i}", x))
    return _pixels(config, _conv_transpose(w, "out", x))


def mlp_vae(weights: Weights, config: Config, latents: Array, condition: dict[str, Array]) -> Array:
    """The decoder of Kingma & Welling 2013, appendix C."""
    w = _part(weights, "decoder/params/")
    x = np.tanh(_dense(w, "hidden", _joined(w, config, latents, condition)))
    return _pixels(config, _dense(w, "out", x).reshape(len(x), *config["model"]["image_shape"][:-1], -1))


SAMPLERS = {"dcgan": dcgan, "conv_vae": conv_vae, "mlp_vae": mlp_vae}
