"""Damaged, hostile and odd files: no uncaught exception, bounded memory, and every bad file named.

In full: benchmarks.faults.
"""

import os
import random
import resource

import numpy as np
import pytest

from benchmarks import fuzz
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.config import Data, UserError
from genart_jax.data import emoji, idx
from genart_jax.data.source import open_source


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB


def attempt(function, path):
    """(what it gave, ""), or (None, its message)."""
    try:
        return function(path), ""
    except UserError as error:
        return None, str(error)


def test_pictures(tmp_path):
    """Each file is read whole, or named with its reason."""
    made = fuzz.write_pictures(tmp_path / "set", 80)
    before = peak()
    source = open_source(Data(source=f"folder:{tmp_path / 'set'}", image_size=(16,)))
    assert peak() - before < 1500
    read = source.train.size + source.test.size
    files = [p for p in (tmp_path / "set").rglob("*") if p.is_file()]
    # What is no ordinary file: three links in circles, one to nowhere, a pipe, and the folder's link up.
    assert len(source.unreadable) == len(files) - read + 6
    named = {line.partition(": ")[0] for line in source.unreadable}
    assert len(named) == len(source.unreadable)
    bad = [str(p) for p in made if p.name.startswith("bomb ") or not p.is_file()]
    assert set(bad) - {str(tmp_path / "set" / "bomb text.png")} <= named
    assert read >= 20
    for split in (source.train, source.test):
        assert split.arrays["image"].dtype == np.uint8
        assert split.arrays["image"].shape[1:] == (16, 16, 3)
    with pytest.raises(UserError, match="remove it"):
        open_source(Data(source=f"folder:{tmp_path / 'set'}", image_size=(16,), strict=True))


@pytest.mark.skipif(os.getuid() == 0 and not hasattr(os, "seteuid"), reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path):
    fuzz.write_pictures(tmp_path / "set", 0)
    closed = tmp_path / "set" / "closed.png"
    closed.write_bytes(fuzz.picture(random.Random(0), "png"))
    (tmp_path / "set" / "locked").mkdir()
    closed.chmod(0)
    (tmp_path / "set" / "locked").chmod(0)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.getuid() and path != path.parent and "pytest" in str(path):
            path.chmod(0o755)
    open_source(Data(source=f"folder:{tmp_path / 'set'}", image_size=(8,)))  # imports what another user may not
    euid = os.geteuid()
    if euid == 0:
        os.seteuid(65534)
    try:
        source = open_source(Data(source=f"folder:{tmp_path / 'set'}", image_size=(8,)))
    finally:
        os.seteuid(euid)
        (tmp_path / "set" / "locked").chmod(0o755)
    text = "\n".join(source.unreadable)
    assert f"{closed}: " in text
    assert f"{tmp_path / 'set' / 'locked'}: Permission denied" in text


def test_idx(tmp_path):
    refused, before = 0, peak()
    for number, files in enumerate(fuzz.idx_sets(60)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        source, message = attempt(idx.load, folder)
        refused += source is None
        assert str(folder) in message if source is None else source.train.arrays["image"].dtype == np.uint8
    assert refused >= 40
    assert peak() - before < 300


def test_archives(tmp_path):
    whole = emoji.file_of(32).read_bytes()
    before = peak()
    for content in fuzz.archives(whole[:3000] + whole[-3000:], 40):
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(UserError, match="damaged or not an art set"):
            emoji.read(32, tmp_path / "x.npz")
    assert peak() - before < 300


def test_files_of_tensors(tmp_path):
    before = peak()
    for suffix, content in fuzz.tensor_files(60):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(content)
        tensors, message = attempt(read_tensors, path)
        assert str(path) in message if tensors is None else sum(t.nbytes for t in tensors.values()) <= len(content)
    assert peak() - before < 300
