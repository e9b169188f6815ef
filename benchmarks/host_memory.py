"""Memory on the host while `genart transform` works on large pictures, as parts of the decoded picture.

    python -m benchmarks.host_memory [--megapixels 25 100] [--kinds .png .jpg] [--out FILE.md]

The tiny network of `enhance`, so that what counts is the picture. A process of its own for each picture restores a
small one first (programs are compiled then) and says how far its resident memory rises above that while it reads,
restores and writes the large one, looked at each 5 ms. The device holds one tile, whose size does not depend on the
picture; on a CPU its memory is among what is measured. Linux alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
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


def measured(folder: str, kind: str, side: tuple[int, int]) -> dict[str, float]:
    """In a process of its own: megabytes of the decoded picture, of the rise, and the seconds."""
    import jax

    import genart_jax as ga
    from genart_jax.train.checkpoint import Model
    from genart_jax.use.transform import Job, transform_files

    run = ga.configure(ga.get_config("enhance", "tiny"), image_shape=(32, 32, 3), step={"perceptual_weight": 0.0})
    alg = ga.build(run)
    batch = {"image": np.zeros((2, 32, 32, 3), np.float32), "condition": {}}
    model = Model(alg, jax.jit(alg.init)(jax.random.key(0), batch))
    seen = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            seen.append(resident())

    def restore(name: str) -> None:
        (made,) = transform_files(model, "enhance", [f"{folder}/{name}"], Path(folder) / f"out{kind}", Job())
        assert made.out is not None, made.notes

    painted(Path(folder) / f"small{kind}", (700, 700))
    restore(f"small{kind}")
    before, start = resident(), time.perf_counter()
    thread = threading.Thread(target=watch)
    thread.start()
    restore(f"large{kind}")
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
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "# Memory of the host while large pictures are restored",
        "",
        f"`python -m benchmarks.host_memory`: the tiny `enhance`. {machine.about()}.",
        "",
        "| picture | decoded, MB | memory rises by, MB | of the decoded picture | seconds |",
        "|---|---|---|---|---|",
    ]
    spawn = multiprocessing.get_context("spawn")
    for millions in args.megapixels:
        height = round((millions * 1e6 / 1.5) ** 0.5)
        side = int(millions * 1e6 / height), height
        for kind in args.kinds:
            with tempfile.TemporaryDirectory() as folder:
                painted(Path(folder) / f"large{kind}", side)
                with spawn.Pool(1) as pool:
                    got = pool.apply(measured, (folder, kind, side))
            row = (
                f"{got['decoded']:.0f} | {got['rise']:.0f} | {got['rise'] / got['decoded']:.2f} | {got['seconds']:.0f}"
            )
            lines.append(f"| {side[0]}x{side[1]}{kind} | {row} |")
            print(json.dumps(got), lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
