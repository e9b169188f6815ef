"""Where files that are not part of the package are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """The user's cache of this package: $GENART_CACHE, or genart_jax in $XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("GENART_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genart_jax"
