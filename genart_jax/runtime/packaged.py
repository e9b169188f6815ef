"""Trained models in folders of the Hugging Face layout: those that come with the package, and those of the hub.

A folder has model.safetensors, config.json and README.md; `train.hub` reads it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded

WEIGHTS = "model.safetensors"
_FILES = [WEIGHTS, "config.json", "README.md"]
_HUB = "hf://"


def root() -> Path:
    """Where the models are that come with the package."""
    return Path(__file__).parents[1] / "assets" / "trained"


def names() -> list[str]:
    """The models that come with the package."""
    return sorted(path.parent.name for path in root().glob(f"*/{WEIGHTS}"))


def longer(model: str, source: str, steps: int) -> list[str]:
    """The models that come with the package, of one of the zoo's, on the same data, and trained for more steps."""
    found = []
    for name in names():
        run = json.loads((root() / name / "config.json").read_text(encoding="utf-8"))["run"]
        if (run["name"], run["data"]["source"]) == (model, source) and run["train"]["steps"] > steps:
            found.append(name)
    return found


def results(run: str | Path, make: bool = True) -> Path:
    """Where what is made of a model is written: its directory; of one of the package, the folder NAME-results here,
    which is made where it is to be written to.
    """
    path = place(run)
    if path.absolute().parent != root():
        return path
    here = Path(f"{path.name}-results")
    if make:
        here.mkdir(exist_ok=True)
    return here


def place(name: str | Path) -> Path:
    """The directory that a user names a trained model by: a directory, hf://OWNER/NAME, or a model of the package.

    A run or a file of that name comes first. What is none of these is returned as it is.

    Raises:
      UserError: the hub's model is not to be had.
    """
    if str(name).startswith(_HUB):
        return _downloaded(str(name))
    path = expanded(name)
    if str(name) in names() and not path.is_file() and not (path / "config.json").is_file():
        return root() / str(name)
    return path


def at_scale(name: str, scale: int) -> str:
    """NAME_xSCALE of the package, where `name` is one of its models and has such a sister; else the name itself."""
    other = f"{name}_x{scale}"
    return other if other in names() and place(name) == root() / name else name


def _downloaded(name: str) -> Path:
    """The hub's model in the cache of huggingface_hub."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name[len(_HUB) :]):
        raise UserError(f"{name}: write hf://OWNER/NAME, or hf://OWNER/NAME@REVISION")
    try:
        import huggingface_hub
    except ImportError:
        raise UserError(f"{name} needs the package huggingface_hub: pip install 'genart_jax[hub]'") from None
    repository, _, revision = name[len(_HUB) :].partition("@")
    try:
        folder = Path(huggingface_hub.snapshot_download(repository, revision=revision or None, allow_patterns=_FILES))
    except Exception as error:  # of its own kinds, which change, and of the network below
        said = str(error).strip() or repr(error)
        raise UserError(f"{name} cannot be fetched: {said.splitlines()[0]}") from None
    _refuse_code(folder, name)
    return folder


def _refuse_code(folder: Path, name: str) -> None:
    """Raises UserError where a fetched folder is no model of the zoo's: none of anybody's code is run for it."""
    try:
        model = str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["run"]["name"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise UserError(f"{name} is no model of genart_jax: its config.json names none") from None
    if not re.fullmatch(r"\w+", model):
        raise UserError(f"{name} is of {model!r}, a model of somebody's own; fetch it yourself and load its folder")
