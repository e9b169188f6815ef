"""Latents and directions in files, as arrays of NumPy."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.types import check_condition
from genart_jax.use.latent.directions import Direction
from genart_jax.use.latent.space import Codes, Space

_CONDITION = "condition_"


def codes_bytes(space: Space, codes: Codes) -> bytes:
    """A file of codes, .npz: latents (n, *shape), the name of their space and of the model, words, condition_NAME."""
    told = {f"{_CONDITION}{name}": value for name, value in codes.condition.items()}
    about = {"space": np.array(space.name), "model": np.array(space.saved.run.name), "words": np.array(codes.words)}
    return _packed({"latents": codes.values, **about, **told})


def read_codes(path: str | Path, space: Space) -> Codes:
    """Codes of a file. What is z in it, and is looked at in w, is mapped.

    Raises:
      UserError: no such file, not one of codes, or of another model.
    """
    found = _unpacked(path, ("latents", "space", "words"))
    values, name = np.asarray(found["latents"], np.float32), str(found["space"])
    spec = space.model.algorithm.batch_spec
    condition = {key: found.get(f"{_CONDITION}{key}") for key, _ in spec.conditions}
    if missing := [key for key, value in condition.items() if value is None or value.shape != values.shape[:1]]:
        raise UserError(f"{path} does not say which {missing[0]} each latent has; it is of another model")
    told = {key: np.asarray(value, np.int32) for key, value in condition.items()}
    check_condition(told, spec)
    codes = Codes(values, told, tuple(map(str, found["words"])))
    wanted = space.decode.inputs[0].shape if name == "z" else space.shape
    if name == "w" and space.name == "z":
        raise UserError(f"{path} holds codes of space w, which there is no way back from to z; say --space w")
    if values.ndim == 0 or values.shape[1:] != wanted or len(codes.words) != len(values) or not len(values):
        raise UserError(f"{path} holds latents of {values.shape[1:]}; this model's {name} has {wanted}")
    return codes._replace(values=space.of_latents(values, told)) if name != space.name else codes


def directions_bytes(space: Space, found: Sequence[Direction]) -> bytes:
    """A file of directions, .npz: vectors (n, *shape), spreads (n,), names, notes, and the space's name."""
    return _packed(
        {
            "vectors": np.stack([one.vector for one in found]),
            "spreads": np.array([one.spread for one in found]),
            "names": np.array([one.name for one in found]),
            "notes": np.array([one.note for one in found]),
            "space": np.array(space.name),
        }
    )


def read_directions(path: str | Path, space: Space) -> list[Direction]:
    """Directions of a file.

    Raises:
      UserError: no such file, not one of directions, or of another model or space.
    """
    found = _unpacked(path, ("vectors", "spreads", "names", "notes", "space"))
    vectors = np.asarray(found["vectors"], np.float32)
    if str(found["space"]) != space.name or vectors.shape[1:] != space.shape:
        there = f"{found['space']} of {vectors.shape[1:]}"
        raise UserError(f"{path} holds directions in {there}; this is {space.name} of {space.shape}")
    rows = zip(found["names"], vectors, found["spreads"], found["notes"], strict=True)
    return [Direction(str(name), vector, float(spread), str(note)) for name, vector, spread, note in rows]


def _packed(arrays: Mapping[str, Array]) -> bytes:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **dict(arrays))
    return content.getvalue()


def _unpacked(path: str | Path, wanted: Sequence[str]) -> dict[str, Array]:
    try:
        with np.load(expanded(path), allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (ValueError, AttributeError, EOFError, zipfile.BadZipFile):  # pickled, a single array, or no zip
        found = {}
    if missing := [name for name in wanted if name not in found]:
        raise UserError(f"{path} is no file of {wanted[0]} that --save wrote: it has no {missing[0]}")
    return found
