"""What a run's config.json holds, and how it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from genart_jax import registry
from genart_jax.config import Run, UserError, from_dict

VERSION = 1


class Saved(NamedTuple):
    """What config.json holds: the resolved configuration, and what a model must know of its data.

    `data` has the keys source, fingerprint, class_names and condition_table; init_from: the run that the parameters
    were taken from, or None; and frozen: role -> SHA-256 of the file that keeps its parameters.
    """

    run: Run
    data: dict[str, Any]


def read_config(directory: str | Path) -> Saved:
    """Reads config.json.

    Raises:
      UserError: there is no such run, or another version wrote it.
    """
    path = Path(directory) / "config.json"
    if not path.is_file():
        raise UserError(f"{directory} is not a run, it has no config.json; train one with genart train NAME --run DIR")
    try:
        content = json.loads(path.read_text())
        version, values, data = content["version"], content["run"], content["data"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{path} is damaged; restore it from a copy, or train into another --run") from None
    if version != VERSION:
        raise UserError(f"{path} has version {version}, this program reads {VERSION}")
    return Saved(from_dict(Run, values, registry.get_config(values["name"])), data)
