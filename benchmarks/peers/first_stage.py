"""Which model's codes or latents a second stage learns: its configuration, as nested namespaces."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from benchmarks.peers.common import namespace
from genart_jax import registry
from genart_jax.config import UserError
from genart_jax.steps.stages import UNTRAINED


def first_stage(c: Any, name: str) -> Any:
    """The Config of an untrained `name`, which is what timings have; `c` is the second stage's.

    Raises:
      UserError: the first stage is another model.
    """
    if c.tokenizer_config:
        run = json.loads(c.tokenizer_config)
    else:
        given = c.tokenizer or ""
        source, _, preset = given.removeprefix(UNTRAINED).partition("/")
        if source != name or not given.startswith(UNTRAINED):
            raise UserError(f"--against torch: only with --model.tokenizer {UNTRAINED}{name}")
        run = {"name": source, "model": dataclasses.asdict(registry.get_config(source, preset or "default").model)}
    if run["name"] != name:
        raise UserError(f"--against torch: only with a first stage {name}, not {run['name']}")
    model = namespace(run["model"])
    model.image_shape = list(c.image_shape)
    return model
