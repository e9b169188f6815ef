"""Builds a wheel and an sdist into build/dist, installs each into a fresh environment, and tries it: `make package`.

What is tried runs in an empty folder, with nothing of the checkout on Python's path: lists, help, a model that comes
with the package, and a short training.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRIED = (
    ["list", "--trained"],
    ["sample", "icons", "--num", "4", "--condition", "style=noto", "--out", "icons.png"],
    ["originality", "icons.png"],
    ["predict", "icons_style", "icons.png"],
    ["transform", "super_resolution", "icons.png", "--scale", "4"],
    ["transform", "enhance", "icons.png"],
    ["transform", "beautify", "icons.png"],
    ["transform", "dehaze", "icons.png"],
    ["transform", "inpaint", "icons.png", "--mask", "icons.png"],
    ["stylize", "icons.png", "Great Wave", "--method", "multistyle", "--out", "painted.png"],
    ["train", "mlp_vae", "--preset", "tiny", "--steps", "2", "--run", "run"],
    ["export", "run", "shared", "--hub"],
    ["sample", "shared", "--num", "4"],
)
WANTED = (
    "genart_jax/py.typed",
    "genart_jax/data/embedded/emoji_32.npz",
    *(str(file.relative_to(ROOT)) for file in sorted((ROOT / "genart_jax/assets/trained").glob("*/*"))),
    "genart_jax/assets/features/22c1a63ce2fe526b590d35a093e8c654.npz",
)
"""Files that are no modules, and must be in both."""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Runs a program; what it prints is returned, and shown where it fails."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}")
    return done.stdout


def build(python: Path, out: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of a clean copy of the checkout, each checked for its files."""
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        files = run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        for name in files:
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "build")
        run(python, "-m", "build", "--outdir", out, copy)  # the sdist, and the wheel of that
    (wheel,), (sdist,) = list(out.glob("*.whl")), list(out.glob("*.tar.gz"))
    names = {"wheel": zipfile.ZipFile(wheel).namelist()}
    with tarfile.open(sdist) as archive:
        names["sdist"] = [name.partition("/")[2] for name in archive.getnames()]
    for kind, found in names.items():
        if missing := [name for name in WANTED if name not in found]:
            sys.exit(f"the {kind} has no {missing[0]}")
    if strange := [name for name in names["wheel"] if not name.startswith(("genart_jax/", "genart_jax-"))]:
        sys.exit(f"the wheel has {strange[0]}, which is not of the package")
    return wheel, sdist


def smoke(genart: Path) -> None:
    """Runs the commands of `TRIED` in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for words in TRIED:
            print(f"  genart {' '.join(words)}", flush=True)
            run(genart, *words, cwd=place)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "dist", help="where the files go")
    out = parser.parse_args().out.absolute()
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "fresh"
        run(sys.executable, "-m", "venv", environment)
        python = environment / "bin" / "python"
        wheel, sdist = build(python, out)
        for made, options in ((wheel, []), (sdist, ["--no-deps", "--force-reinstall"])):
            print(f"{made.name}, {made.stat().st_size / 1e6:.1f} MB", flush=True)
            run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, made)
            smoke(environment / "bin" / "genart")
    print("both install and run")


if __name__ == "__main__":
    main()
