"""What a run's config.json holds, and how it is read."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from genart_jax import registry
from genart_jax.config import Run, UserError, from_dict
from genart_jax.runtime import packaged
from genart_jax.runtime.paths import expanded

VERSION = 1


class Saved(NamedTuple):
    """What config.json holds: the resolved configuration, and what a model must know of its data.

    `data` has the keys source, fingerprint, sizes, class_names and condition_table; init_from: the run that the
    parameters were taken from, or None; frozen: role -> SHA-256 of the file that keeps its parameters; id: what tells
    the run's checkpoints from others'; member: its number, if the run is a sweep's, whose directory is two above; and
    where it came to that, rollbacks: when the run went back to a checkpoint,
    and left_out: the steps whose data is not finite.
    """

    run: Run
    data: dict[str, Any]


def read_config(directory: str | Path) -> Saved:
    """Reads config.json of a run, or of a folder of the hub's layout, which `packaged.place` finds.

    Raises:
      UserError: there is no such run, or another version wrote it.
    """
    path = packaged.place(directory) / "config.json"
    if not path.is_file():
        known = f" ({', '.join(packaged.names())})" if packaged.names() else ""
        hint = f"train one with genart train NAME --run DIR, or name a model that comes with the package{known}"
        raise UserError(f"{directory} is not a run, it has no config.json; {hint}")
    try:
        there = json.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows begin it with a byte order mark
        version, values, data = there["version"], there["run"], there["data"]
        name, _ = values["name"], (data["fingerprint"], data["class_names"], data["condition_table"], data["source"])
        if version != VERSION:
            raise UserError(f"{path} has version {version}, this program reads {VERSION}")
        if not re.fullmatch(r"[\w.]+(:\w+)?", name):
            raise UserError(f"{path} names {name!r}, which is no model")
        _check_module(directory, name)
        return Saved(from_dict(Run, values, registry.get_config(name)), data)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        repair = f"genart checkpoint repair {directory} takes it from a checkpoint"
        raise UserError(f"{path} is damaged; {repair}, or train into another --run") from None


def _check_module(directory: str | Path, name: str) -> None:
    """Raises UserError where a run names a model of the user's own that lies inside the run: none of it is executed."""
    if ":" in name:
        registry.look_here()
    spec = importlib.util.find_spec(name.partition(":")[0].partition(".")[0]) if ":" in name else None
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    for place in filter(None, places):
        if Path(place).resolve().is_relative_to(expanded(directory).resolve()):
            raise UserError(f"{directory}: its model {name} is code inside the run, which is not executed; move it out")
