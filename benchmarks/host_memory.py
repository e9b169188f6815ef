"""Memory on the host while large pictures are restored and painted, as parts of the decoded picture.

    python -m benchmarks.host_memory [--megapixels 25 100] [--kinds .png .jpg] [--ways enhance multistyle masks]
        [--out FILE.md]

`enhance` is `genart transform` with that network in its tiny form, so that what counts is the picture; `multistyle` is
`genart stylize` with the network that comes with the package, in one style; `masks` the same in two, each where a mask
of the picture's size says. A process of its own for each picture works on a small one first (programs are compiled
then) and says how far its resident memory rises above that while it reads, works on and writes the large one, looked at
each 5 ms. The device holds one tile, whose size does not depend on the picture; on a CPU its memory is among what is
measured. Linux alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import machine


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def painted(path: Path, side: tuple[int, int]) -> None:
    """A picture of so many (width, height) pixels, smooth with some noise."""
    small = np.random.default_rng(0).integers(0, 256, (side[1] // 16 + 1, side[0] // 16 + 1, 3), np.uint8)
    Image.fromarray(small).resize(side, Image.Resampling.BICUBIC).save(path)


def given(folder: Path, kind: str, side: tuple[int, int], masks: bool) -> None:
    """The pictures that a process works on, `small` and `large`, with their masks."""
    for name, size in {"small": (1536, 1024), "large": side}.items():
        painted(folder / f"{name}{kind}", size)
        for i in range(2 if masks else 0):
            half = Image.new("L", size, 255 * (1 - i))
            half.paste(255 * i, (size[0] // 2, 0, *size))
            half.save(folder / f"mask-{name}-{i}.png")


def enhancing(folder: Path, kind: str) -> Callable[[str], None]:
    """What restores a picture of the folder."""
    import jax

    import genart_jax as ga
    from genart_jax.train.checkpoint import Model
    from genart_jax.use.transform import Job, transform_files

    run = ga.configure(ga.get_config("enhance", "tiny"), image_shape=(32, 32, 3), step={"perceptual_weight": 0.0})
    alg = ga.build(run)
    batch = {"image": np.zeros((2, 32, 32, 3), np.float32), "condition": {}}
    model = Model(alg, jax.jit(alg.init)(jax.random.key(0), batch))

    def restore(name: str) -> None:
        (made,) = transform_files(model, "enhance", [f"{folder / name}{kind}"], folder / f"{name}-out{kind}", Job())
        assert made.out is not None, made.notes

    return restore


def painting(folder: Path, kind: str, masks: bool) -> Callable[[str], None]:
    """What paints a picture of the folder, in two styles with masks, else in one."""
    from genart_jax.use import several

    def paint(name: str) -> None:
        places = tuple(folder / f"mask-{name}-{i}.png" for i in range(2)) if masks else ()
        order = several.Order("multistyle", ("0", "1") if masks else ("0",), mask=places)
        content = folder / f"{name}{kind}"
        (made,) = several.run(order, [content], [folder / f"{name}-out{kind}"])
        assert not made.problem, made

    return paint


def measured(folder: str, way: str, kind: str, side: tuple[int, int]) -> dict[str, float]:
    """In a process of its own: megabytes of the decoded picture, of the rise, and the seconds."""
    place = Path(folder)
    work = enhancing(place, kind) if way == "enhance" else painting(place, kind, way == "masks")
    seen = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            seen.append(resident())

    work("small")
    before, start = resident(), time.perf_counter()
    thread = threading.Thread(target=watch)
    thread.start()
    work("large")
    done.set()
    thread.join()
    return {
        "decoded": 3 * side[0] * side[1] / 1e6,
        "rise": (max(seen) - before) / 1e6,
        "seconds": time.perf_counter() - start,
    }


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=int, nargs="+", default=[25, 100])
    parser.add_argument("--kinds", nargs="+", default=[".png", ".jpg"])
    parser.add_argument("--ways", nargs="+", default=["enhance", "multistyle", "masks"])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "# Memory of the host while large pictures are restored and painted",
        "",
        f"`python -m benchmarks.host_memory`: `enhance` tiny, `multistyle` as it comes with the package, in one style"
        f" and in two with masks. {machine.about()}.",
        "",
        "| way | picture | decoded, MB | memory rises by, MB | of the decoded picture | seconds |",
        "|---|---|---|---|---|---|",
    ]
    spawn = multiprocessing.get_context("spawn")
    for millions in args.megapixels:
        height = round((millions * 1e6 / 1.5) ** 0.5)
        side = int(millions * 1e6 / height), height
        for way, kind in itertools.product(args.ways, args.kinds):
            with tempfile.TemporaryDirectory() as folder:
                given(Path(folder), kind, side, masks=way == "masks")
                with spawn.Pool(1) as pool:
                    got = pool.apply(measured, (folder, way, kind, side))
            row = (
                f"{got['decoded']:.0f} | {got['rise']:.0f} | {got['rise'] / got['decoded']:.2f} | {got['seconds']:.0f}"
            )
            lines.append(f"| {way} | {side[0]}x{side[1]}{kind} | {row} |")
            print(json.dumps(got), lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
