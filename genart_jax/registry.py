"""The models by name. No jax here: `genart list` answers at once.

A module named here has a `Config` (the architecture), `networks(config, dtype, axis_name)` and `PRESETS`, a dict of
`config.Run` with at least `default` and `tiny`. Users add their own with `register`, or name one as `module:Config`.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import sys
from pathlib import Path
from types import ModuleType

from genart_jax.config import Run, UserError


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model: name, family ("gan", "drift", ...), module path, the step that trains it, and its paper."""

    name: str
    family: str
    module: str
    step: str
    paper: str


def _entries(*rows: tuple[str, str, str, str, str]) -> dict[str, Entry]:
    return {row[0]: Entry(*row) for row in rows}


_MODELS = _entries(
    ("mlp_gan", "gan", "genart_jax.models.mlp_gan", "genart_jax.steps.gan", "Goodfellow et al. 2014, arXiv:1406.2661"),
    ("dcgan", "gan", "genart_jax.models.dcgan", "genart_jax.steps.gan", "Radford et al. 2015, arXiv:1511.06434"),
    ("modgan", "gan", "genart_jax.models.modgan", "genart_jax.steps.gan", "Chen et al. 2019, arXiv:1810.01365"),
    ("sngan", "gan", "genart_jax.models.sngan", "genart_jax.steps.gan", "Miyato et al. 2018, arXiv:1802.05957"),
    ("wgan_gp", "gan", "genart_jax.models.wgan_gp", "genart_jax.steps.gan", "Gulrajani et al. 2017, arXiv:1704.00028"),
    ("sagan", "gan", "genart_jax.models.sagan", "genart_jax.steps.gan", "Zhang et al. 2019, arXiv:1805.08318"),
    ("biggan", "gan", "genart_jax.models.biggan", "genart_jax.steps.gan", "Brock et al. 2019, arXiv:1809.11096"),
    ("stylegan2", "gan", "genart_jax.models.stylegan2", "genart_jax.steps.gan", "Karras et al. 2020, arXiv:1912.04958"),
    ("r3gan", "gan", "genart_jax.models.r3gan", "genart_jax.steps.gan", "Huang et al. 2024, arXiv:2501.05441"),
    ("gan3d", "gan", "genart_jax.models.gan3d", "genart_jax.steps.gan", "Wu et al. 2016, arXiv:1610.07584"),
    ("fastgan", "gan", "genart_jax.models.fastgan", "genart_jax.steps.gan", "Liu et al. 2021, arXiv:2101.04775"),
    (
        *("projected_gan", "gan", "genart_jax.models.projected_gan", "genart_jax.steps.gan"),
        "Sauer et al. 2021, arXiv:2111.01007",
    ),
    (
        *("video_gan", "gan", "genart_jax.models.video_gan", "genart_jax.steps.gan"),
        "Tulyakov et al. 2018, arXiv:1707.04993",
    ),
    ("drift", "drift", "genart_jax.models.drift", "genart_jax.steps.drift", "Deng et al. 2026, arXiv:2602.04770"),
    ("conv_vae", "vae", "genart_jax.models.conv_vae", "genart_jax.steps.vae", "Kingma & Welling 2013, arXiv:1312.6114"),
    ("mlp_vae", "vae", "genart_jax.models.mlp_vae", "genart_jax.steps.vae", "Kingma & Welling 2013, arXiv:1312.6114"),
    ("frame_rnn", "vae", "genart_jax.models.frame_rnn", "genart_jax.steps.vae", "Denton & Fergus 2018"),
    ("hvae", "vae", "genart_jax.models.hvae", "genart_jax.steps.vae", "Child 2021, arXiv:2011.10650"),
    (
        *("kl_autoencoder", "vae", "genart_jax.models.kl_autoencoder", "genart_jax.steps.vae"),
        "Rombach et al. 2022, arXiv:2112.10752",
    ),
    ("vae_gan", "vae", "genart_jax.models.vae_gan", "genart_jax.steps.vae", "Larsen et al. 2016, arXiv:1512.09300"),
    ("vqgan", "vae", "genart_jax.models.vqgan", "genart_jax.steps.vq", "Esser et al. 2021, arXiv:2012.09841"),
    ("vqvae", "vae", "genart_jax.models.vqvae", "genart_jax.steps.vq", "van den Oord et al. 2017, arXiv:1711.00937"),
    ("latent_gan", "prior", "genart_jax.models.latent_gan", "genart_jax.steps.latent_gan", "Goodfellow et al. 2014"),
    (
        "code_prior",
        "prior",
        "genart_jax.models.code_prior",
        "genart_jax.steps.autoregressive",
        "van den Oord et al. 2017",
    ),
    ("simple_cnn", "cnn", "genart_jax.models.simple_cnn", "genart_jax.steps.classifier", "LeCun et al. 1998"),
    ("resnet", "cnn", "genart_jax.models.resnet", "genart_jax.steps.classifier", "He et al. 2016, arXiv:1512.03385"),
    ("gatys", "style", "genart_jax.models.gatys", "genart_jax.steps.pixels", "Gatys et al. 2016, CVPR"),
    (
        *("super_resolution", "restoration", "genart_jax.models.super_resolution", "genart_jax.steps.translate"),
        "Lim et al. 2017, arXiv:1707.02921",
    ),
    (
        *("inpaint", "restoration", "genart_jax.models.inpaint", "genart_jax.steps.translate"),
        "Yu et al. 2019, arXiv:1806.03589",
    ),
    ("dehaze", "restoration", "genart_jax.models.dehaze", "genart_jax.steps.translate", "He et al. 2009, CVPR"),
    (
        *("enhance", "restoration", "genart_jax.models.enhance", "genart_jax.steps.translate"),
        "Perez et al. 2018, arXiv:1709.07871",
    ),
    (
        *("pix2pix", "translation", "genart_jax.models.pix2pix", "genart_jax.steps.translate"),
        "Isola et al. 2017, arXiv:1611.07004",
    ),
    (
        *("cyclegan", "translation", "genart_jax.models.cyclegan", "genart_jax.steps.cycle"),
        "Zhu et al. 2017, arXiv:1703.10593",
    ),
    (
        *("adain", "style", "genart_jax.models.adain", "genart_jax.steps.stylize"),
        "Huang & Belongie 2017, arXiv:1703.06868",
    ),
    (
        *("multistyle", "style", "genart_jax.models.multistyle", "genart_jax.steps.stylize"),
        "Dumoulin et al. 2017, arXiv:1610.07629",
    ),
    (
        *("vgg", "cnn", "genart_jax.models.vgg", "genart_jax.steps.classifier"),
        "Simonyan & Zisserman 2015, arXiv:1409.1556",
    ),
    (
        *("efficientnet_lite0", "cnn", "genart_jax.models.efficientnet_lite0", "genart_jax.steps.classifier"),
        "Tan & Le 2019, arXiv:1905.11946",
    ),
)


_PRESETS = {"vgg19": ("vgg", "19")}
"""Names that stand for a model's preset: what they are called in older runs."""


def register(name: str, *, module: str, step: str, family: str = "user", paper: str = "") -> None:
    """Adds a model from outside the package.

    `module` is an importable path with `Config`, `networks` and `PRESETS`; `step` is the path of a module with
    `build(networks, config, axis_name)`, such as "genart_jax.steps.gan".

    Raises:
      UserError: the name is taken.
    """
    if name in _MODELS:
        raise UserError(f"model {name!r} is already registered; choose another name")
    _MODELS[name] = Entry(name, family, module, step, paper)


def list_models(family: str | None = None) -> list[str]:
    """The names of all models, or of one family, sorted.

    Raises:
      UserError: there is no such family.
    """
    families = sorted({e.family for e in _MODELS.values()})
    if family is not None and family not in families:
        raise UserError(f"family {family!r} is unknown; there are {', '.join(families)}")
    return sorted(e.name for e in _MODELS.values() if family in (None, e.family))


def find(name: str) -> Entry:
    """The entry of a registered model, or of the user's own as `module:Config`.

    A user's module that is not registered names its step in a constant `STEP`, such as "genart_jax.steps.gan".

    Raises:
      UserError: nothing of that name; says which names are near.
    """
    if name in _MODELS:
        return _MODELS[name]
    if name in _PRESETS:
        return dataclasses.replace(_MODELS[_PRESETS[name][0]], name=name)
    if ":" in name:
        path, _, attribute = name.partition(":")
        look_here()
        module = _import(path, name)
        for wanted in (attribute, "networks", "PRESETS", "STEP"):
            if not hasattr(module, wanted):
                raise UserError(f"model {name!r}: module {path} has no {wanted!r}")
        if type(module.PRESETS["default"].model) is not getattr(module, attribute):
            raise UserError(f"model {name!r}: the default preset of {path} is not made with {attribute}")
        return Entry(name, getattr(module, "FAMILY", "user"), path, module.STEP, "")
    near = difflib.get_close_matches(name, _MODELS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(list_models())}"
    raise UserError(f"model {name!r} is unknown; {hint}")


def look_here() -> None:
    """Has Python look for modules in the working directory too, last: a model of the user's own lies there."""
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))


def _import(path: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(error.name + ".")):
            where = f"in {Path.cwd()} or on the Python path"
            raise UserError(f"model {name!r}: there is no module {path!r} {where}") from None
        raise


def model_module(name: str) -> ModuleType:
    """The model's module, imported."""
    return _import(find(name).module, name)


def step_module(name: str) -> ModuleType:
    """The module of the step that trains the model, imported."""
    return _import(find(name).step, name)


def get_config(name: str, preset: str = "default") -> Run:
    """The whole configuration of a model's preset.

    Raises:
      UserError: no such model or preset.
    """
    presets: dict[str, Run] = model_module(name).PRESETS
    if name in _PRESETS and preset == "default":
        preset = _PRESETS[name][1]
    if preset not in presets:
        raise UserError(f"model {name!r} has no preset {preset!r}; there are {', '.join(presets)}")
    return dataclasses.replace(presets[preset], name=name)
