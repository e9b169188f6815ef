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
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import emoji
from genart_jax.data.color import dominant_color

RENDERER = "0.5.0"  # of resvg-py: another version may round pixels in another way


class Package(NamedTuple):
    """One npm package of the scope @iconify-json."""

    name: str
    version: str
    license: str
    sha256: str  # of the tarball

    @property
    def tarball(self) -> str:
        """The name that `npm pack` gives it."""
        return f"iconify-json-{self.name}-{self.version}.tgz"


PACKAGES = (  # in the order of emoji.STYLES
    Package("noto", "1.2.9", "Apache-2.0", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    Package("noto-v1", "1.2.5", "Apache-2.0", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"),
    Package("fluent-emoji", "1.2.7", "MIT", "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b"),
    Package("fluent-emoji-flat", "1.2.6", "MIT", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"),
    Package(
        "fluent-emoji-high-contrast",
        "1.2.6",
        "MIT",
        "0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0",
    ),
)


class Icon(NamedTuple):
    """One icon to draw."""

    style: int
    shape: int
    name: str
    svg: str


def fetch(folder: Path) -> list[dict[str, dict[str, Any]]]:
    """The JSON files of each package by name; tarballs already in `folder` are used, others are fetched into it."""
    contents = []
    for package in PACKAGES:
        tarball = folder / package.tarball
        if not tarball.exists():
            spec = f"@iconify-json/{package.name}@{package.version}"
            subprocess.run(["npm", "pack", "--ignore-scripts", "--silent", spec], cwd=folder, check=True, stdout=2)
        if sha256(tarball.read_bytes()).hexdigest() != package.sha256:
            raise UserError(f"{tarball} is not the pinned package: its SHA-256 differs")
        files = {}
        with tarfile.open(tarball) as tar:
            for file in ("package.json", "info.json", "icons.json", "metadata.json"):
                member = tar.extractfile(f"package/{file}")
                assert member is not None
                files[file] = json.load(member)
        declared = {files["package.json"]["license"], files["info.json"]["license"]["spdx"]}
        if declared != {package.license}:
            raise UserError(f"{package.tarball} declares {sorted(declared)}, not {package.license}")
        contents.append(files)
    return contents


def icons(contents: list[dict[str, dict[str, Any]]], size: int) -> Iterator[Icon]:
    """The icons to draw at `size` pixels, style by style in each package's order."""
    category: dict[str, str] = {}
    for files in contents:
        for title, names in files["metadata.json"].get("categories", {}).items():
            for name in names:
                category.setdefault(name, title)  # packages agree, but for a few: the first one names it
    order = list(emoji.CATEGORIES)
    high_contrast = contents[-1]["icons.json"]["icons"]
    for style, (package, files) in enumerate(zip(PACKAGES, contents, strict=True)):
        pack = files["icons.json"]
        for name, icon in pack["icons"].items():
            if "skin-tone" in name or name not in category:
                continue
            if package.name.startswith("fluent") and name not in high_contrast:
                continue
            width, height = (icon.get(side, pack.get(side, 16)) for side in ("width", "height"))
            svg = (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'width="{size}" height="{size}" '  # a square viewport: an oblong viewBox keeps its proportions
                f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>'
            )
            yield Icon(style, order.index(category[name]), name, svg)


def render(svg: str, size: int) -> np.ndarray[Any, Any]:
    """An SVG document on white: uint8 (size, size, 3)."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as image:
        canvas = Image.new("RGBA", (size, size), "white")
        canvas.alpha_composite(image.convert("RGBA"))
    return np.asarray(canvas.convert("RGB"))


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
