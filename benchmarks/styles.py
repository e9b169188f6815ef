"""Contents in styles by three methods side by side, and seconds a picture next to PyTorch.

    python -m benchmarks.styles [--adain RUN] [--multistyle RUN] [--contents FILE ...] [--styles FILE ...]
        [--size 512] [--descent 128] [--steps 60] [--out benchmarks/results/styles]

Without files: four photographs that nothing was trained on, which anybody may use, and four paintings, of the sets
`photos:256` and `paintings:256` (`genart data build NAME --size 256`). Without runs: the networks that come with the
package. `gatys` descends at the size --descent, in a picture a minute or so; 0 leaves it out. The page is OUT.jpg, the
table OUT.md.
The PyTorch copies have the same parameters and are checked to give the same pictures; where PyTorch is not installed,
there is no ratio.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageOps

import genart_jax as ga
from benchmarks import machine
from genart_jax.data.built import open_stored
from genart_jax.models import adain
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.values import Array
from genart_jax.steps import networks
from genart_jax.use import trained
from genart_jax.use.given import pixels_of
from genart_jax.use.painters import Adaptive, Brush, Learnt, Painter

PHOTOGRAPHS = "arles", "Chambord", "gatewayofIndia", "statueofLiberty"
PAINTINGS = "Great_Wave", "Composition_VIII", "Auvers", "Poppies"
_ROUNDS = 5


def main() -> None:
    """Makes the page and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contents", nargs="+", default=[])
    parser.add_argument("--styles", nargs="+", default=[])
    parser.add_argument("--adain")
    parser.add_argument("--multistyle")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--descent", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--cell", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/styles"))
    args = parser.parse_args()
    keep_programs()
    contents, styles = args.contents or _photographs(), args.styles or _paintings()
    methods: dict[str, dict[str, Any]] = {"adain": {"network": args.adain}, "multistyle": {"network": args.multistyle}}
    if args.descent:
        methods = {"gatys": {"size": args.descent, "steps": args.steps}, **methods}
    made: dict[tuple[str, int, int], Array] = {}
    for method, options in methods.items():
        for j, style in enumerate(styles):
            wanted = _learnt(args.multistyle, style) if method == "multistyle" else style
            if wanted is None:
                continue
            start = time.perf_counter()
            given = {"size": args.size, "method": method, **options}
            done = [np.asarray(ga.stylize(content, wanted, **given)) for content in contents]
            made |= {(method, i, j): picture for i, picture in enumerate(done)}
            print(method, Path(style).stem, f"{time.perf_counter() - start:.0f} s", flush=True)
            _page(args, list(methods), contents, styles, made).save(args.out.with_suffix(".jpg"), quality=80)
    args.out.with_suffix(".md").write_text("\n".join(_table(args, contents, styles)) + "\n")


def _photographs() -> list[str]:
    found = open_stored("photos:256").whole["test"]
    return [str(next(path for path in found if word in path.stem)) for word in PHOTOGRAPHS]


def _paintings() -> list[str]:
    whole = open_stored("paintings:256").whole
    found = [path for split in ("train", "test") for path in whole[split]]
    return [str(next(path for path in found if word in path.stem)) for word in PAINTINGS]


def _learnt(network: str | None, style: str) -> int | None:
    """The number of the style whose name is that of the file, but for what is no letter; None: it is not learnt."""
    plain = lambda text: "".join(filter(str.isalnum, text))
    known = [plain(name) for name in trained.find("multistyle", network).styles]
    return known.index(plain(Path(style).stem)) if plain(Path(style).stem) in known else None


def _page(
    args: argparse.Namespace, methods: list[str], contents: list[str], styles: list[str],
    made: dict[tuple[str, int, int], Array],
) -> Image.Image:  # fmt: skip
    """A row a content: the content, then each style by each method; above them the styles."""
    side, gap = args.cell, 4
    columns = 1 + len(styles) * len(methods)
    page = Image.new("RGB", (columns * (side + gap), 14 + (len(contents) + 1) * (side + gap)), "white")
    draw = ImageDraw.Draw(page)
    put = lambda image, column, row: page.paste(
        ImageOps.pad(image, (side, side), color="white"), (column * (side + gap), 14 + row * (side + gap))
    )
    for i, content in enumerate(contents):
        put(Image.fromarray(pixels_of(content, args.size)), 0, i + 1)
    for j, style in enumerate(styles):
        for m, method in enumerate(methods):
            column = 1 + j * len(methods) + m
            draw.text((column * (side + gap), 1), method, "black")
            if not m:
                put(Image.fromarray(pixels_of(style, args.size)), column, 0)
            for i in range(len(contents)):
                if (method, i, j) in made:
                    put(Image.fromarray(made[method, i, j]), column, i + 1)
    return page


def _table(args: argparse.Namespace, contents: list[str], styles: list[str]) -> list[str]:
    rows = [
        "# Contents in styles by three methods",
        "",
        f"`python -m benchmarks.styles --size {args.size} --descent {args.descent} --steps {args.steps}`",
        "",
        f"{machine.about()}.",
        "",
        f"Seconds of one picture of {args.size}x{args.size}, the median of {_ROUNDS} by turns, styles known before:",
        "",
        "| method | parameters | JAX | PyTorch, the same network | ratio of time | largest difference |",
        "|---|---|---|---|---|---|",
    ]
    content = pixels_of(contents[0])
    side = min(content.shape[:2])
    pixels = np.asarray(Image.fromarray(content[:side, :side]).resize((args.size, args.size), Image.Resampling.LANCZOS))
    for method, network in (("adain", args.adain), ("multistyle", args.multistyle)):
        found = trained.find(method, network)
        painter = trained.painter(method, [styles[0] if method == "adain" else 0], network)
        rows.append(f"| {method} | {_count(found):,} | " + " | ".join(_timed(found, painter, pixels)) + " |")
    names = lambda paths: ", ".join(Path(path).stem.replace("_", " ") for path in paths)
    return [*rows, "", f"![pictures]({args.out.name}.jpg)", "", f"*Rows: {names(contents)}. Columns: {names(styles)}.*"]


def _count(found: trained.Found) -> int:
    import jax

    return sum(leaf.size for leaf in jax.tree.leaves(found.model.state.params))


def _timed(found: trained.Found, painter: Painter, pixels: Array) -> list[str]:
    """Seconds here, seconds in PyTorch, their ratio, and the largest difference of 255 levels."""
    images, share = ga.to_float(pixels[None]), jnp.ones((1, 1))
    brush = Brush(painter.styles(images))
    ours = lambda: np.asarray(painter.paint(images, share, 1.0, brush))
    try:
        import torch
    except ImportError:
        ours()
        return [f"{_seconds([ours])[0]:.2f}", "not installed", "", ""]
    torch.set_num_threads(machine.cores())
    theirs = _peer(found, painter, brush, np.asarray(images))
    difference = float(np.abs(ours() - theirs()).max() * 127.5)
    here, there = _seconds([ours, theirs])
    return [f"{here:.2f}", f"{there:.2f}", f"{here / there:.2f}", f"{difference:.2f}"]


def _peer(found: trained.Found, painter: Painter, brush: Brush, images: Array) -> Callable[[], Array]:
    """The same network in PyTorch."""
    import torch

    from benchmarks.peers import styles as peers

    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=torch.channels_last)
    at, config = networks.averaged(found.model.state), found.run.model
    if isinstance(painter, Adaptive):
        run = peers.adain(at.frozen["features"], at.params["decoder"], adain.layers(config), config.scale)
        given = [torch.from_numpy(np.array(one[:1]).transpose(0, 3, 1, 2)) for one in brush.styles]
        call: Callable[[], Any] = lambda: run(x, *given)
    else:
        assert isinstance(painter, Learnt)
        paint = peers.multistyle(at.params["painter"], config.blocks)
        call = lambda: paint(x, int(np.argmax(np.asarray(brush.styles)[0])))

    def painted() -> Array:
        with torch.inference_mode():
            return call().permute(0, 2, 3, 1).numpy()

    return painted


def _seconds(functions: list[Callable[[], Array]]) -> list[float]:
    """The median time of each, taken by turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(_ROUNDS):
        for kept, function in zip(times, functions, strict=True):
            start = time.perf_counter()
            function()
            kept.append(time.perf_counter() - start)
    return [sorted(kept)[len(kept) // 2] for kept in times]


if __name__ == "__main__":
    main()
