"""Style transfer as one call: what `genart stylize` does, for a notebook."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from genart_jax.runtime.paths import expanded
from genart_jax.train.trainer import Callback
from genart_jax.use import stylize as scales_of


def stylize(
    content: str | Path,
    style: str | Path,
    size: int = 256,
    steps: int = 100,
    strength: float = 1.0,
    keep_color: bool = False,
    scales: int = 3,
    optimizer: Literal["lbfgs", "adam"] = "lbfgs",
    seed: int = 0,
    run: str | Path | None = None,
    callback: Callback | None = None,
) -> Image.Image | None:
    """One picture in another's style (Gatys et al. 2016), coarse to fine: a picture that shows itself in a notebook.

    Args:
      content: a picture's file.
      style: the file of the picture whose style is wanted.
      size: longer side of the result in pixels; its proportions are the content's.
      steps: at each scale.
      strength: weight of the style: 0 gives the content back, 10 little of it.
      keep_color: change luminance alone.
      scales: sizes gone through, each twice the one before.
      optimizer: what descends.
      seed: of the noise that the picture starts with.
      run: a directory that keeps the work, to go on with; None: nothing is kept.
      callback: told how far it is; see `Callback`.

    Returns:
      The picture; or None where it was stopped, and goes on when it is called again with the same `run`.

    Raises:
      UserError: a picture that cannot be read, an option out of range, no weights of VGG19, or `run` holds another.
    """
    plan = scales_of.plan(
        expanded(content), expanded(style), size, steps, strength, keep_color, optimizer, scales, 0, seed
    )

    def tell(event: str, values: dict[str, Any]) -> None:
        if callback is not None:
            callback(event, values)

    if run is not None:
        pixels = scales_of.stylize(plan, expanded(run), tell)
    else:
        with tempfile.TemporaryDirectory() as directory:
            pixels = scales_of.stylize(plan, Path(directory) / "run", tell)
    return None if pixels is None else Image.fromarray(pixels)
