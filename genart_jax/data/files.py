"""The picture files of a folder or of a zip archive, which is read where it lies: nothing is unpacked to the disk."""

from __future__ import annotations

import dataclasses
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from genart_jax.config import UserError
from genart_jax.data import picture

_DEEPEST = 50  # folders below one another: links can make endless trees of them
_JUNK = "__MACOSX"  # what macOS puts into archives beside the files
_SWELLS = 200  # times: pictures hardly ever shrink so much
_SMALL = 2**24  # bytes, which may
JSON = "dataset.json"


def in_one_line(name: object) -> str:
    """A file's name as a line of a log may hold it."""
    text = str(name)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a set: `parts` are the names on its way from the set's folder, its own last."""

    path: Path
    parts: tuple[str, ...]
    archive: zipfile.ZipFile | None = None
    member: zipfile.ZipInfo | None = None

    def __str__(self) -> str:
        """Its path in one line."""
        return in_one_line(self.path)

    @property
    def name(self) -> str:
        """Its path from the set's folder, in one line."""
        return in_one_line("/".join(self.parts))

    def read(self) -> bytes:
        """Its bytes; any number of threads may ask.

        Raises:
          OSError: it cannot be read.
          BadPictureError: it is larger than any picture should be, or damaged in its archive.
        """
        if self.archive is None or self.member is None:
            return picture.read(self.path)
        size = self.member.file_size
        if size > picture.MAX_BYTES:
            raise picture.BadPictureError(f"{size >> 20} MiB, more than {picture.MAX_BYTES >> 20}")
        if size > _SMALL and size > _SWELLS * self.member.compress_size:
            raise picture.BadPictureError(f"unpacks to {size >> 20} MiB, {_SWELLS} times its size or more")
        if self.member.flag_bits & 1:
            raise picture.BadPictureError("encrypted: unpack the archive first")
        try:
            return self.archive.read(self.member)  # never more bytes than `file_size`
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
            raise picture.BadPictureError(f"cannot be unpacked: {error}") from error


class Found(NamedTuple):
    """What lies in a set.

    `pictures` are sorted by their names. `unread` are pictures of formats that are not read, `tables` files named
    dataset.json, `odd` the paths of what is no ordinary file, each with the reason, `others` how many more there are.
    """

    pictures: list[File]
    unread: list[File]
    tables: list[File]
    odd: list[tuple[str, str]]
    others: int


def find(place: Path, kind: str = "folder") -> Found:
    """The files of a folder or zip archive; hidden ones are left out.

    Links that lead back up or nowhere, folders that cannot be listed and members of an archive whose names lead out of
    it are `odd`. Where all of an archive is in one folder, that is the set's folder.

    Raises:
      UserError: there is neither, or it cannot be listed.
    """
    found = Found([], [], [], [], 0)
    if place.is_dir():
        try:
            sorted(place.iterdir())
        except OSError as error:
            raise UserError(f"{kind}:{place}: cannot be listed: {error}") from error
        files = _walk(place, (), (), found.odd)
    elif place.is_file():
        files = _members(place, found.odd)
    else:
        raise UserError(f"{kind}:{place}: there is no such folder")
    others = 0
    for file in files:
        suffix = PurePosixPath(file.parts[-1].lower()).suffix
        if suffix in picture.SUFFIXES:
            found.pictures.append(file)
        elif suffix in picture.UNREAD_SUFFIXES:
            found.unread.append(file)
        elif file.parts[-1] == JSON:
            found.tables.append(file)
        else:
            others += 1
    return found._replace(others=others)


def _walk(folder: Path, parts: tuple[str, ...], above: tuple[Path, ...], odd: list[tuple[str, str]]) -> list[File]:
    """Files below `folder`, sorted; what is neither file nor folder is added to `odd`."""
    try:
        here, entries = folder.resolve(), sorted(folder.iterdir(), key=lambda path: path.name)
    except (OSError, RuntimeError) as error:
        odd.append((in_one_line(folder), str(getattr(error, "strerror", None) or error)))
        return []
    if here in above or len(above) > _DEEPEST:
        odd.append((in_one_line(folder), "a link that leads back up" if here in above else "too deep"))
        return []
    files = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            files += _walk(entry, (*parts, entry.name), (*above, here), odd)
        elif entry.is_file():
            files.append(File(entry, (*parts, entry.name)))
        elif entry.is_symlink() or entry.suffix.lower() in picture.SUFFIXES:
            odd.append((in_one_line(entry), "a link that leads nowhere" if entry.is_symlink() else "no file"))
    return files


def _members(place: Path, odd: list[tuple[str, str]]) -> list[File]:
    """Files of an archive, in the order that a folder's would have."""
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise UserError(f"folder:{place}: neither a folder nor a zip archive that can be read: {error}") from None
    chosen: dict[tuple[str, ...], zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if member.is_dir() or not parts or parts[0] == _JUNK or any(p.startswith(".") and p != ".." for p in parts):
            continue
        if ".." in parts or name.startswith("/") or ":" in parts[0]:
            odd.append((in_one_line(place / name.lstrip("/")), "a name that leads out of the archive"))
        elif stat.S_ISLNK(member.external_attr >> 16):
            odd.append((in_one_line(place / name), "a link in an archive"))
        elif parts in chosen:
            odd.append((in_one_line(place / name), "twice in the archive: the last one is taken"))
            chosen[parts] = member
        else:
            chosen[parts] = member
    tops = {parts[0] for parts in chosen}
    skip = 1 if len(tops) == 1 and all(len(parts) > 1 for parts in chosen) else 0
    return [File(place.joinpath(*parts), parts[skip:], archive, chosen[parts]) for parts in sorted(chosen)]
