"""SHA256SUMS, which says that a folder is whole: written last, in the format of coreutils' `sha256sum`.

Every byte below the folder is covered, this file's own included: it is read strictly, so that a flipped bit in it
makes a line that is no line, a name that is no file, or a sum that does not fit.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class DamageError(Exception):
    """A folder is not as it was written. The message names the first file that differs."""


def digest(file: Path) -> str:
    """SHA-256 (hex) of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write(folder: Path) -> int:
    """Brings all files below `folder` to the disk, then writes their sums; returns how many bytes they have.

    Raises:
      OSError: something could not be read or written.
    """
    lines, size = [], 0
    for file in files(folder):
        with file.open("rb") as opened:
            lines.append(f"{hashlib.file_digest(opened, 'sha256').hexdigest()}  {file.relative_to(folder).as_posix()}")
            size += opened.tell()
            os.fsync(opened.fileno())
    write_file(folder / NAME, "\n".join(lines) + "\n")
    return size


def verify(folder: Path) -> None:
    """Compares every file with its sum.

    Raises:
      DamageError: there are no sums, or a file is missing or differs.
    """
    try:
        text = (folder / NAME).read_bytes().decode("ascii")
    except FileNotFoundError:
        raise DamageError(f"{NAME} is missing: a save that was cut off, or no checkpoint") from None
    except (OSError, UnicodeDecodeError):
        raise DamageError(f"{NAME} cannot be read") from None
    found = [_LINE.fullmatch(line) for line in text.removesuffix("\n").split("\n")]
    if not text.endswith("\n") or None in found:
        raise DamageError(f"{NAME} is damaged")
    for match in found:
        assert match is not None
        name = match[2]
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise DamageError(f"{NAME} names {name}, which lies outside")
        try:
            same = digest(folder / name) == match[1]
        except FileNotFoundError:
            raise DamageError(f"{name} is missing") from None
        except (OSError, ValueError) as error:
            raise DamageError(f"{name} cannot be read: {error}") from None
        if not same:
            raise DamageError(f"{name} is damaged: its SHA-256 differs")


def files(folder: Path) -> list[Path]:
    """The files below a folder that sums are written of, sorted."""
    return sorted(f for f in folder.rglob("*") if f.is_file() and not f.is_symlink() and f != folder / NAME)


def write_file(path: Path, text: str) -> None:
    """Writes a file whole or not at all, also when the machine stops.

    Raises:
      OSError: it could not be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Brings the names in a folder to the disk, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError:  # nor can every file system
        pass
    finally:
        os.close(handle)
