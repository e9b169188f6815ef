"""The user's cache of this package: where it is, and the compiled programs in it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from genart_jax.runtime.paths import expanded


def cache_directory() -> Path:
    """The user's cache of this package: $GENART_CACHE, or genart_jax in $XDG_CACHE_HOME or ~/.cache.

    Where there is no home, a folder of the system's temporary one. Who writes there makes it private with `private`.
    """
    if own := os.environ.get("GENART_CACHE"):
        return expanded(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return expanded(base) / "genart_jax"
    try:
        return Path.home() / ".cache" / "genart_jax"
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir()) / f"genart_jax-{os.getuid()}"


def private(directory: Path) -> Path:
    """Makes a folder that only its user may enter, unless it is there.

    Raises:
      OSError: it cannot be made, or others may write into it and so put something there for the user to run.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        raise PermissionError(f"{directory} can be written by other users")
    return directory


def keep_programs() -> None:
    """Keeps compiled programs in the user's cache directory, so that the next start need not compile again."""
    import jax

    if jax.config.values["jax_compilation_cache_dir"] or not jax.config.values["jax_enable_compilation_cache"]:
        return  # the user's own choice
    try:
        private(cache_directory())
        directory = private(cache_directory() / "programs")
    except OSError:  # a cache that cannot be written, or not trusted, is none
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
