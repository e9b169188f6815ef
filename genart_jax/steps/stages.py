"""Models that are trained on what another makes of pictures: what they take from its configuration.

The second stage's Config has the fields `tokenizer`, `tokenizer_config`, and `grid` and `codes`, or, for a first stage
of numbers in place of codes, `latent_shape`. The first stage has the uses `encode` and `decode`, and what it decodes
are "codes" or "latents" (see `types.Input`).
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

from genart_jax import registry
from genart_jax.config import Data, Run, UserError, Vae, from_dict
from genart_jax.config.saved import read_config
from genart_jax.losses import elbo
from genart_jax.runtime.paths import expanded
from genart_jax.steps import networks
from genart_jax.types import Algorithm, Input

UNTRAINED = "untrained:"
"""untrained:NAME[/PRESET] is a tokenizer with random parameters, for tests and timings."""


def complete(run: Run) -> Run:
    """Fills what a Config takes from its step, and from the run of its tokenizer, so that it is saved and that run is
    not needed again.

    Raises:
      UserError: no tokenizer is named, there is none, or it does not fit.
    """
    run = _with_outputs(run)
    model = run.model
    if not second(run):
        return run
    if not model.tokenizer:
        what = "latents" if numbers(run) else "codes"
        raise UserError(f"{run.name} needs the run of a model that makes {what}; name it with --model.tokenizer RUN")
    source, text = model.tokenizer, model.tokenizer_config
    if not source.startswith(UNTRAINED):
        source = str(expanded(source).resolve())
    if not text:
        text = _describe(source, model.image_shape)
    tokenizer = first_stage(text)
    shape = tokenizer.model.image_shape
    if shape is None:
        raise UserError(f"{run.name}: image_shape is not set; pass image_shape=(height, width, channels)")
    if model.image_shape is not None and tuple(model.image_shape) != tuple(shape):
        raise UserError(f"the tokenizer {source} is for pictures of {shape}, these have {tuple(model.image_shape)}")
    code = codes_of(algorithm_of(tokenizer), f"{source}: {tokenizer.name}", "latents" if numbers(run) else "codes")
    filled = {"latent_shape": code.shape} if numbers(run) else {"grid": code.shape, "codes": code.classes}
    for name, there in filled.items():
        given = getattr(model, name)
        if given is not None and (tuple(given) if isinstance(there, tuple) else given) != there:
            raise UserError(f"model.{name} {given}: the tokenizer {source} has {there}; leave it out")
    changes = {"tokenizer": source, "tokenizer_config": text, "image_shape": shape, **filled}
    return dataclasses.replace(run, model=dataclasses.replace(model, **changes))


def _with_outputs(run: Run) -> Run:
    """The numbers of a pixel that a decoder gives, as its likelihood takes them."""
    model = run.model
    if not isinstance(run.step, Vae) or "outputs" not in {field.name for field in dataclasses.fields(model)}:
        return run
    if model.image_shape is None:
        return run
    wanted = elbo.outputs(run.step.likelihood, model.image_shape[-1], run.step.mixtures)
    if model.outputs not in (None, wanted):
        raise UserError(f"model.outputs {model.outputs}: {run.step.likelihood} takes {wanted} a pixel; leave it out")
    return dataclasses.replace(run, model=dataclasses.replace(model, outputs=wanted))


def second(run: Run) -> bool:
    """Whether a model is trained on another's codes."""
    return "tokenizer" in {field.name for field in dataclasses.fields(run.model)}


def numbers(run: Run) -> bool:
    """Whether such a model is trained on latents that are numbers, not codes."""
    return "latent_shape" in {field.name for field in dataclasses.fields(run.model)}


def algorithm_of(tokenizer: Run) -> Algorithm:
    """The algorithm of a first stage, whole on every device."""
    roles = networks.checked(registry.model_module(tokenizer.name).networks(tokenizer.model), tokenizer.name)
    algorithm: Algorithm = registry.step_module(tokenizer.name).build(roles, tokenizer)
    return algorithm


def codes_of(algorithm: Algorithm, name: str = "the tokenizer", kind: Literal["codes", "latents"] = "codes") -> Input:
    """What a first stage makes of pictures.

    Raises:
      UserError: nothing of this kind.
    """
    found = algorithm.uses["decode"].of_kind(kind) if {"encode", "decode"} <= algorithm.uses.keys() else ()
    if not found:
        raise UserError(f"{name} makes no {kind}; name the run of another --model.tokenizer")
    return found[0]


def with_data(run: Run) -> Run:
    """Names the source of data where none is given: that of the tokenizer's run, cut and split as there, or emoji.

    Raises:
      UserError: there is no such run.
    """
    tokenizer = run.model.tokenizer if second(run) else None
    if run.data.source:
        return run
    if not tokenizer or tokenizer.startswith(UNTRAINED):
        return dataclasses.replace(run, data=dataclasses.replace(run.data, source="emoji"))
    there, default = read_config(tokenizer).run.data, Data()
    # What makes the same set of pictures; what is given here stays.
    names = ("image_size", "channels", "test_fraction", "limit")
    taken = {name: getattr(there, name) for name in names if getattr(run.data, name) == getattr(default, name)}
    return dataclasses.replace(run, data=dataclasses.replace(run.data, source=there.source, **taken))


def first_stage(tokenizer_config: str) -> Run:
    """The configuration of a completed Config's tokenizer."""
    values = json.loads(tokenizer_config)
    run: Run = from_dict(Run, values, registry.get_config(values["name"]))
    return run


def frozen(config: Any) -> str:
    """`Network.frozen` of a completed Config's tokenizer."""
    return "random" if config.tokenizer.startswith(UNTRAINED) else f"run:{config.tokenizer}"


def _describe(source: str, image_shape: tuple[int, ...] | None) -> str:
    """What `first_stage` reads: the name, architecture and step of the model that `source` names."""
    if source.startswith(UNTRAINED):
        name, _, preset = source.removeprefix(UNTRAINED).partition("/")
        run = registry.get_config(name, preset or "default")
        run = dataclasses.replace(run, model=dataclasses.replace(run.model, image_shape=image_shape))
    else:
        run = read_config(source).run
    values = {"name": run.name, "model": dataclasses.asdict(run.model), "step": dataclasses.asdict(run.step)}
    return json.dumps(values)
