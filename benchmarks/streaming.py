"""How fast a folder of JPEGs that is too large for memory is streamed, next to PyTorch's DataLoader.

    python -m benchmarks.streaming [--pictures 20000] [--side 256] [--size 128] [--batch 64] [--against torch]

Crops of the photographs of `photos` are written as JPEGs into a temporary folder. What is timed is the loader that
training takes: files in, batches of uint8 pictures out, brought to `--size`. PyTorch's DataLoader does the same with
torchvision (`decode_image`, `v2.Resize`), in as many processes as ours has threads. They take turns, each for a second
and a half a round, and the ratio is of the medians. Ours resizes in two ways, of which `fast` has JPEGs decoded at half
their size where that is enough, as libjpeg can.

Whether a device would wait is shown by simulation: a device is busy for so long with each batch, while the host brings
the next ones, two steps ahead at most, as calls are handed over; what is counted is how long it has nothing to do. A
step of `x` times the loader's own time for a batch is what a machine with enough cores has in front of it: the last
line says how many such cores 2,500 pictures a second (a ResNet-50 on a large GPU) need.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

import genart_jax as ga
from benchmarks import machine
from genart_jax.config import Data
from genart_jax.data import folder
from genart_jax.data.pipeline import StreamLoader
from genart_jax.data.source import Split

RESULTS = Path(__file__).parent / "results" / "streaming.md"
SECONDS = 1.5
"""Of a turn."""
STEPS = (1.1, 1.5, 3.0)
"""Lengths of simulated steps, in times that the loader takes for a batch."""
OURS, FAST, TORCHS = "genart_jax", "genart_jax, `--data.resize fast`", "DataLoader"
_GPU = 2500  # pictures a second
_AHEAD = 2  # steps that are handed over before the device has done them

Next = Callable[[], Any]


def write_pictures(directory: Path, count: int, side: int, source: str = "photos") -> None:
    """`count` JPEGs of quality 90, squares of photographs, each its own."""
    photos = ga.open_data(source).train.arrays["image"]
    rng = np.random.default_rng(0)
    for i in range(count):
        one = Image.fromarray(photos[rng.integers(len(photos))]).resize((side, side), Image.Resampling.BICUBIC)
        one = one.rotate(float(rng.uniform(0, 360)), Image.Resampling.BILINEAR)
        one.save(directory / f"{i:06}.jpg", quality=90)


def opened(directory: Path, size: int, resize: Literal["lanczos", "fast"]) -> tuple[Split, float]:
    """The streamed training split, and the seconds that opening took."""
    start = time.perf_counter()
    split = folder.load(directory, Data(image_size=(size,), memory_limit_mb=1, resize=resize)).train
    return split, time.perf_counter() - start


def ours(split: Split, batch: int, threads: int) -> Next:
    """The next batch of training's loader."""
    loader, steps = StreamLoader(split, 0, batch, slice(0, batch), threads), iter(range(2**31))
    return lambda: loader.next(next(steps))


class Files:
    """A dataset of PyTorch: JPEG i, decoded and resized by torchvision."""

    def __init__(self, directory: Path, size: int) -> None:
        self.files, self.size = sorted(map(str, directory.glob("*.jpg"))), size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        from torchvision.io import decode_image
        from torchvision.transforms.v2 import functional

        return functional.resize(decode_image(self.files[index]), [self.size, self.size], antialias=True)


def torchs(directory: Path, size: int, batch: int, processes: int) -> Next:
    """The next batch of a shuffling DataLoader."""
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        Files(directory, size), batch, shuffle=True, drop_last=True, num_workers=processes, persistent_workers=True
    )

    def endless() -> Iterator[Any]:
        while True:
            yield from loader

    batches = endless()
    return lambda: next(batches)


def rate(following: Next, batch: int, seconds: float = SECONDS) -> float:
    """Pictures a second, over so many seconds, after a batch that is not counted."""
    following()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        following()
        count += batch
    return count / (time.perf_counter() - start)


def waiting(following: Next, step: float, steps: int = 30) -> float:
    """The share of the time that a device would wait, whose step takes so many seconds."""
    following()
    free = begun = time.perf_counter()
    waited = 0.0
    for _ in range(steps):
        following()
        here = time.perf_counter()
        waited += max(0.0, here - free)
        free = max(here, free) + step
        time.sleep(max(0.0, free - here - _AHEAD * step))
    return waited / (free - begun)


def measure(directory: Path, args: argparse.Namespace) -> list[str]:
    """The page's lines."""
    (split, seconds), (fast, _) = (opened(directory, args.size, resize) for resize in ("lanczos", "fast"))
    loaders = {(OURS, n): ours(split, args.batch, n) for n in args.workers}
    loaders |= {(FAST, n): ours(fast, args.batch, n) for n in args.workers}
    if args.against:
        loaders |= {(TORCHS, n): torchs(directory, args.size, args.batch, n) for n in args.workers}
    rates: dict[tuple[str, int], list[float]] = {key: [] for key in loaders}
    for _ in range(args.rounds):
        for key, following in loaders.items():
            rates[key].append(rate(following, args.batch))
    best = max((key for key in rates if key[0] != TORCHS), key=lambda key: statistics.median(rates[key]))
    lines = [f"Opening the folder took {seconds:.1f} s: every file is looked at once.\n", "| loader | threads or"]
    lines[-1] += " processes | pictures/s | least to most | of the best here |\n|---|---|---|---|---|"
    most = statistics.median(rates[best])
    for (name, n), found in rates.items():
        middle = statistics.median(found)
        lines.append(f"| {name} | {n} | {middle:,.0f} | {min(found):,.0f} to {max(found):,.0f} | {middle / most:.2f} |")
    lines += ["\n| a step takes, ms | of the loader's time | the device waits |\n|---|---|---|"]
    for times in STEPS:
        step = times * args.batch / most
        lines.append(f"| {1e3 * step:.0f} | {times} | {waiting(loaders[best], step):.1%} |")
    each = most / machine.cores()
    lines += [
        f"\n{each:,.0f} pictures/s a core: a GPU that takes {_GPU:,} a second needs {_GPU / each:.1f} such cores."
    ]
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--data", default="photos", help="what they are of")
    parser.add_argument("--side", type=int, default=256, help="of the JPEGs")
    parser.add_argument("--size", type=int, default=128, help="that they are brought to")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", choices=["torch"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as directory:
        write_pictures(Path(directory), args.pictures, args.side, args.data)
        lines = measure(Path(directory), args)
    command = " ".join(["python -m benchmarks.streaming", *(sys.argv[1:] if argv is None else argv)])
    head = f"# A folder of JPEGs, streamed\n\n`{command}`: {args.pictures:,} JPEGs of {args.side} px, brought to"
    head += f" {args.size} px, batches of {args.batch}. {machine.about()}.\n"
    args.out.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
