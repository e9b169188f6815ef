"""Names of types that are long to write: arrays of NumPy, and what JSON holds. No jax here."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
"""An array on the host. Its shape, dtype and range are said where it is named."""

Json = dict[str, Any]
"""An object of JSON. Which names it has, and of which types, says the function that makes or reads it."""
