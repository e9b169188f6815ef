"""Prints the versions that a test ran with, in one line."""

from __future__ import annotations

import importlib.metadata
import platform

NAMES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")

if __name__ == "__main__":
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in NAMES)
    print(f"Python {platform.python_version()}, {versions}")
