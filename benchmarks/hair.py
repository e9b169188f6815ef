"""How well the hair of `avatars` can be told at all: faces drawn once more with every other kind of hair.

    python -m benchmarks.hair [--faces 1000] [--size 64]

Needs what `genart data build avatars` needs: Node, resvg_py, and the package facesjs, which is fetched. Each face is
drawn with all kinds of hair that its generator gives to a face of its gender, all else equal. Kinds whose pictures are
the same, pixel by pixel, cannot be told apart by anything: who is right as often as can be names one of them (were all
kinds of a gender as frequent as each other, which they are but roughly). The means go into the notes of
`benchmarks.classifiers`.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genart_jax.data.build import avatars, draw
from genart_jax.data.build.packages import fetch
from genart_jax.data.build.recipe import Workshop
from genart_jax.runtime.values import Array, Json

AT_ONCE = 50  # identities
LINE = (
    "  console.log(JSON.stringify({ svg: faceToSvgString(face), identity, skin, hair_color: hair, ...parts(face) }));"
)
KINDS = """if (i % job.each) continue;  // the first face of each identity: the others have its hair
  const own = face.hair.id;
  for (const kind of job.kinds ? job.kinds[gender] : [own]) {
    face.hair.id = kind;
    const svg = job.kinds ? faceToSvgString(face) : "";
    console.log(JSON.stringify({ svg, i, gender, kind, own }));
  }
"""


def faces(folder: Path, first: int, last: int, kinds: Json | None) -> Iterator[Json]:
    """The first face of each identity from `first` to `last`, with each kind of hair; None: its own kind, undrawn."""
    assert LINE in avatars._FACES, "the set is drawn in another way now"
    job = avatars.job()
    job |= {"first": job["each"] * first, "last": job["each"] * last, "kinds": kinds}
    return avatars._drawn(folder, avatars._FACES.replace(LINE, KINDS), job)


def known(folder: Path, number: int) -> dict[str, list[str]]:
    """Kinds of hair by gender, of the set's first faces."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in faces(folder, 0, number, None):
        found[row["gender"]].add(row["own"])
    return {gender: sorted(kinds) for gender, kinds in found.items()}


def alike(pictures: dict[str, Array], own: str, most: int) -> int:
    """How many kinds, its own among them, have the picture of its own: no level differs by more than `most`."""
    wanted = pictures[own].astype(int)
    return sum(int(np.abs(picture.astype(int) - wanted).max()) <= most for picture in pictures.values())


def main() -> None:
    """Prints what could be reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        packages = avatars.RECIPES[0].packages
        archives = {package.name: fetch(package, folder, {}, "avatars", print) for package in packages}
        avatars._modules(Workshop(folder, archives, print), packages)
        kinds = known(folder, 3000)
        print({gender: len(names) for gender, names in kinds.items()}, "kinds of hair", flush=True)
        groups: dict[int, list[int]] = {0: [], 8: [], 16: []}
        for first in range(0, args.faces, AT_ONCE):
            rows = faces(folder, first, min(args.faces, first + AT_ONCE), kinds)
            for _, face in itertools.groupby(rows, lambda row: row["i"]):
                drawn = list(face)
                pictures = {r["kind"]: draw.vector(avatars._sized(r["svg"], args.size), args.size) for r in drawn}
                for most, found in groups.items():
                    found.append(alike(pictures, drawn[0]["own"], most))
    for most, found in groups.items():
        sizes = np.array(found)
        print(
            f"levels that differ by {most} or less count as equal: {np.mean(sizes > 1):.1%} of {len(sizes)} faces look "
            f"as with another hair; right at most in {np.mean(1 / sizes):.1%}"
        )


if __name__ == "__main__":
    main()
