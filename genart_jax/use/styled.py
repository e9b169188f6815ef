"""Style transfer as one call: what `genart stylize` does, for a notebook."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import picture
from genart_jax.runtime.paths import expanded
from genart_jax.train.trainer import Callback
from genart_jax.use import styles
from genart_jax.use import stylize as scales_of
from genart_jax.use.given import Picture, pixels_of

Style = Picture | int
Made = Image.Image | None


def stylize(
    content: Picture | list[Picture] | tuple[Picture, ...],
    style: Style | list[Style] | tuple[Style, ...],
    size: int | None = None,
    steps: int = 100,
    strength: float = 1.0,
    keep_color: bool = False,
    scales: int = 3,
    optimizer: Literal["lbfgs", "adam"] = "lbfgs",
    seed: int = 0,
    run: str | Path | None = None,
    callback: Callback | None = None,
    *,
    method: str = "gatys",
    mix: Sequence[float] = (),
    masks: Sequence[Picture] = (),
    network: str | Path | None = None,
) -> Made | list[Made]:
    """Pictures in others' style: pictures that show themselves in a notebook, a list of them for a list of contents.

    Args:
      content: a file, an image of Pillow or uint8 (height, width, 3); or a list of them.
      style: the picture whose style is wanted, or a list of several; of `multistyle`, names or numbers of its styles.
      size: longer side of the result in pixels; its proportions are the content's. None: 256 for `gatys`, else its own.
      steps: at each scale.
      strength: weight of the style: 0 gives the content back, 10 little of it. But for `gatys`: 0 to 1.
      keep_color: change luminance alone.
      scales: sizes gone through, each twice the one before.
      optimizer: what descends.
      seed: of the noise that the picture starts with.
      run: a directory that keeps the work, to go on with; None: nothing is kept.
      callback: told how far it is; see `Callback`.
      method: "gatys" descends on the pixels, coarse to fine (Gatys et al. 2016); "adain", in any pictures' style, and
        "multistyle", in learnt ones, make one pass of a network.
      mix: of these two, weights of several styles; () takes equal parts.
      masks: a picture for each style, white where it is; elsewhere the content stays.
      network: of these two, a run, or `multistyle26`; None: the model that is called as the method.

    Returns:
      The picture; or None where it was stopped, and goes on when it is called again with the same `run`.

    Raises:
      UserError: a picture that cannot be read, an option out of range, no weights, or `run` holds another.
    """
    contents = list(content) if isinstance(content, list | tuple) else [content]
    chosen = list(style) if isinstance(style, list | tuple) else [style]
    if method != "gatys":
        if run is not None or callback is not None:
            raise UserError(f"method {method} makes one pass: it has no run and no callback")
        made: list[Made] = [*_painted(contents, chosen, method, size, strength, keep_color, mix, masks, network)]
        return made if isinstance(content, list | tuple) else made[0]
    if len(contents) != 1 or len(chosen) != 1 or len(mix) or network is not None:
        raise UserError("method gatys takes one content and one style, no mix and no network; see adain, multistyle")

    options = (256 if size is None else size, steps, strength, keep_color, optimizer, scales, 0, seed)
    descended = _descended(contents[0], chosen[0], options, masks, run, callback)
    return [descended] if isinstance(content, list | tuple) else descended


def _descended(
    content: Picture, style: Style, options: tuple[Any, ...], masks: Sequence[Picture], run: str | Path | None,
    callback: Callback | None,
) -> Made:  # fmt: skip
    """By descent on the pixels."""
    styles.shares(1, masks=masks)  # what is wrong with them is said before minutes are spent

    def tell(event: str, values: dict[str, Any]) -> None:
        if callback is not None:
            callback(event, values)

    with tempfile.TemporaryDirectory() as directory:
        files = [_file(one, Path(directory) / f"{i}.png") for i, one in enumerate((content, style))]
        plan = scales_of.plan(files[0], files[1], *options)
        pixels = scales_of.stylize(plan, Path(directory) / "run" if run is None else expanded(run), tell)
        if pixels is None:
            return None
        return Image.fromarray(styles.within(masks, picture.read_file(files[0], pixels.shape[:2], 3), pixels))


def _painted(
    contents: list[Picture], chosen: list[Style], method: str, size: int | None, strength: float, keep_color: bool,
    mix: Sequence[float], masks: Sequence[Picture], network: str | Path | None,
) -> list[Image.Image]:  # fmt: skip
    """By one pass of a network."""
    from genart_jax.use import trained

    styles.check_strength(strength)
    painter, given = trained.painter(method, chosen, network, keep_color), styles.shares(len(chosen), mix, masks)
    return [Image.fromarray(styles.paint(painter, pixels_of(one, size), given, strength)) for one in contents]


def _file(given: Style, place: Path) -> Path:
    """The file of a picture, which is written where it has none."""
    if isinstance(given, int):
        raise UserError(f"style {given}: method gatys takes a picture")
    if isinstance(given, str | Path):
        return expanded(given)
    Image.fromarray(pixels_of(given, least=1)).save(place)
    return place
