"""What the tests compile with, and where compiled programs are kept."""

import os
import stat

import pytest

from tests import compiled


@pytest.mark.parametrize(("version", "known"), [("0.10.2", True), ("0.11.0", False), ("0.12.0.1", False)])
def test_a_jaxlib_gets_no_flag_that_it_does_not_know(version, known):
    assert compiled.knows_cheap_emitters(version) == known


def test_programs_are_kept_in_a_private_place(tmp_path, monkeypatch):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    assert stat.S_IMODE(compiled.directory().stat().st_mode) == 0o700
    compiled.directory().chmod(0o777)
    assert compiled.directory() is None


def test_files_are_in_memory_where_there_is_enough(tmp_path):
    assert compiled.memory_disk(str(tmp_path), needed=0) == str(tmp_path)
    assert compiled.memory_disk(str(tmp_path), needed=1 << 60) is None
    assert compiled.memory_disk(str(tmp_path / "none"), needed=0) is None


def test_the_programs_that_were_not_used_for_longest_go_first(tmp_path):
    for age in (3, 1, 2):
        path = tmp_path / f"{age}"
        path.write_bytes(bytes(10))
        os.utime(path, (1000 - age, 1000 - age))
    compiled.prune(tmp_path, limit=25)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}
