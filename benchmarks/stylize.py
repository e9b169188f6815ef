"""A page of photographs in the style of paintings, and the time for each.

    python -m benchmarks.stylize --photographs FILE ... --paintings FILE ... [--size 192] [--steps 60] --out PAGE.jpg

Each picture is what `genart stylize` makes (default weights, L-BFGS, two scales). The seconds are from start to end,
with the compilation of what is not in the cache of programs yet: the first picture of each size pays for the others.
A table is written beside the page, as PAGE.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks import machine
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.use import stylize


def main() -> None:
    """Makes the pictures, the page and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, nargs="+", required=True)
    parser.add_argument("--paintings", type=Path, nargs="+", required=True)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep-color", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    keep_programs()
    side = args.size
    page = Image.new("RGB", ((side + 4) * (1 + len(args.paintings)), (side + 4) * (1 + len(args.photographs))), "white")
    thumbnail = lambda path: ImageOps.pad(Image.open(path).convert("RGB"), (side, side), color="white")
    for j, style in enumerate(args.paintings):
        page.paste(thumbnail(style), ((side + 4) * (j + 1), 0))
    lines = [
        "# Photographs in the style of paintings",
        "",
        f"`python -m benchmarks.stylize --photographs DIR --paintings DIR --out DIR --size {side} --steps "
        f"{args.steps}`,",
        f"seed {args.seed}: seconds for a picture, default weights of the losses, L-BFGS, two scales. "
        f"{machine.about()}.",
        "",
        "| photograph | painting | size | seconds | style loss | content loss |",
        "|---|---|---|---|---|---|",
    ]
    for i, content in enumerate(args.photographs):
        page.paste(thumbnail(content), (0, (side + 4) * (i + 1)))
        for j, style in enumerate(args.paintings):
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as run:
                plan = stylize.plan(
                    content, style, side, args.steps, 1.0, args.keep_color, "lbfgs", 2, 0, args.seed
                )  # fmt: skip
                pixels = stylize.stylize(plan, Path(run), lambda event, values: None)
                losses = json.loads(next(Path(run).glob("*/summary.json")).read_text())["test"]
            if pixels is None:
                raise UserError("stopped")
            seconds = time.perf_counter() - start
            height, width = pixels.shape[:2]
            corner = (side + 4) * (j + 1) + (side - width) // 2, (side + 4) * (i + 1) + (side - height) // 2
            page.paste(Image.fromarray(np.asarray(pixels)), corner)
            shown = f"{losses['style_loss']:.3f} | {losses['content_loss']:.3f}"
            lines.append(f"| {content.stem} | {style.stem} | {width}x{height} | {seconds:.0f} | {shown} |")
            print(lines[-1], flush=True)
            page.save(args.out, quality=85)
            args.out.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
