"""Files of statistics: the mean and the covariance of a set's features, as sets' authors publish them for the FID.

An .npz file with `mu` (d,) and `sigma` (d, d). Those that are written here also say what they are of, as JSON in
`about`; files of others seldom do.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.evaluate.extractors import Extractor
from genart_jax.metrics import frechet
from genart_jax.metrics.frechet import Moments
from genart_jax.runtime.paths import expanded

Floats = np.ndarray[Any, Any]


class Statistics(NamedTuple):
    """What a file holds.

    Attributes:
      mu, sigma: the mean (d,) and the covariance (d, d) of features, float64.
      about: extractor, weights, image_size, resize and pictures, as far as the file says; {} where it says nothing.
      name: of the file.
      digest: SHA-256 of mu and sigma.
    """

    mu: Floats
    sigma: Floats
    about: Mapping[str, Any]
    name: str
    digest: str

    @property
    def moments(self) -> Moments:
        """The state for `metrics.frechet`."""
        return frechet.of_statistics(self.mu, self.sigma, max(2, int(self.about.get("pictures", 2))))

    def check(self, extractor: Extractor, dimensions: int) -> None:
        """Raises UserError unless it fits features (n, dimensions) of this extractor."""
        if len(self.mu) != dimensions:
            raise UserError(
                f"{self.name} has statistics of {len(self.mu)} numbers a picture, {extractor.name} makes {dimensions}"
            )
        for key, here in facts(extractor).items():
            if key in self.about and self.about[key] != here:
                raise UserError(f"{self.name} was made with {key} {self.about[key]}, not {here}; choose the same")

    @property
    def caveat(self) -> str:
        """What is not known of it; "" where all is."""
        if {"extractor", "weights", "resize"} <= set(self.about):
            return ""
        return f"{self.name} does not say by which network and resize filter it was made: another makes other distances"


def facts(extractor: Extractor) -> dict[str, Any]:
    """What decides about an extractor's features."""
    return {"extractor": extractor.name, "weights": extractor.weights, "image_size": list(extractor.size),
            "resize": extractor.resize}  # fmt: skip


def read_statistics(path: str | Path) -> Statistics:
    """The statistics in a file.

    Raises:
      UserError: no such file, or it holds none: says what it holds.
    """
    path = expanded(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            names = list(file)
            arrays = {name: file[name] for name in ("mu", "sigma", "about") if name in names}
            about = json.loads(str(arrays.pop("about", "{}")))
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
        raise UserError(f"{path} cannot be read as an .npz file of mu and sigma") from None
    if len(arrays) < 2:
        raise UserError(f"{path} holds {', '.join(names) or 'nothing'}, and no mu and sigma")
    return _checked(arrays["mu"], arrays["sigma"], about if isinstance(about, dict) else {}, path)


def _checked(mu: Floats, sigma: Floats, about: Mapping[str, Any], path: Path) -> Statistics:
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)) or not len(mu):
        raise UserError(f"{path}: mu of {mu.shape} and sigma of {sigma.shape}; wanted (d,) and (d, d)")
    if not all(x.dtype.kind == "f" and np.isfinite(x).all() for x in (mu, sigma)):
        raise UserError(f"{path}: mu and sigma must be finite real numbers")
    mu, sigma = mu.astype(np.float64), sigma.astype(np.float64)
    if not np.allclose(sigma, sigma.T, rtol=1e-3, atol=1e-6 * float(np.abs(sigma).max())):
        raise UserError(f"{path}: sigma is no covariance: it is not symmetric")
    digest = hashlib.sha256(mu.tobytes() + sigma.tobytes()).hexdigest()
    return Statistics(mu, sigma, about, path.name, digest)


def save_statistics(path: str | Path, moments: Moments, about: Mapping[str, Any]) -> Path:
    """Writes `mu`, `sigma` and `about` to FILE.npz, whole or not at all.

    Raises:
      UserError: the file is there already, is not to end in .npz, or cannot be written.
    """
    path = expanded(path)
    check_new(path)
    mu, sigma = frechet.compute(moments)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, mu=mu, sigma=sigma, about=np.array(json.dumps(dict(about))))
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def check_new(path: Path) -> None:
    """Raises UserError unless statistics may be written there."""
    if path.suffix != ".npz":
        raise UserError(f"{path}: name a file that ends in .npz")
    if path.exists():
        raise UserError(f"{path} is there already; name another")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: there is no such folder")
