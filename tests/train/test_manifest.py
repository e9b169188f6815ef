"""SHA256SUMS: every bit of a folder is covered, its own included, and coreutils reads it too."""

import random
import shutil
import subprocess

import pytest

from genart_jax.train import manifest


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "a step"
    (folder / "d").mkdir(parents=True)
    for i in range(3):
        (folder / "d" / f"{i:032x}").write_bytes(random.Random(i).randbytes(500))
    (folder / "empty").write_bytes(b"")
    assert manifest.write(folder) == 1500
    return folder


def test_whole(folder):
    manifest.verify(folder)
    assert not list(folder.rglob(".*")), "no temporary file may stay"
    (folder / ".DS_Store").write_text("what others put there is no damage")
    manifest.verify(folder)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no coreutils here")
def test_coreutils_agree(folder):
    assert subprocess.run(["sha256sum", "-c", "--strict", "--quiet", manifest.NAME], cwd=folder).returncode == 0


def test_every_single_bit_counts(folder):
    """All bits of the sums themselves, and of one file."""
    for file in (folder / manifest.NAME, folder / "d" / f"{1:032x}"):
        whole = file.read_bytes()
        for bit in range(8 * len(whole)):
            broken = bytearray(whole)
            broken[bit // 8] ^= 1 << bit % 8
            file.write_bytes(broken)
            with pytest.raises(manifest.DamageError):
                manifest.verify(folder)
        file.write_bytes(whole)
    manifest.verify(folder)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 90])
def test_truncated_sums(folder, length):
    file = folder / manifest.NAME
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(manifest.DamageError):
        manifest.verify(folder)


def test_missing_and_foreign(folder, tmp_path):
    (folder / "d" / f"{2:032x}").unlink()
    with pytest.raises(manifest.DamageError, match=f"{2:032x} is missing"):
        manifest.verify(folder)
    (folder / manifest.NAME).unlink()
    with pytest.raises(manifest.DamageError, match="SHA256SUMS is missing"):
        manifest.verify(folder)
    (tmp_path / "secret").write_text("x")
    (folder / manifest.NAME).write_text(f"{manifest.digest(tmp_path / 'secret')}  ../secret\n")
    with pytest.raises(manifest.DamageError, match="outside"):
        manifest.verify(folder)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    manifest.write_file(tmp_path / "x", "old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        manifest.write_file(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"
