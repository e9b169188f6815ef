"""Zip archives in place of folders, formats that are not read, odd names."""

import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from genart_jax.config import Data, UserError
from genart_jax.data.source import example, open_source
from tests.data.test_folder import opened, save


@pytest.mark.parametrize("top", ["", "pets/"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_zip_of_pictures_is_a_folder(tmp_path, top, stream):
    for i in range(12):
        save(tmp_path / "set" / "ab"[i % 2] / f"{i}.png")
    (tmp_path / "set" / "a" / "bad.png").write_bytes(b"x")
    (tmp_path / "set" / "notes.txt").write_text("x")
    with zipfile.ZipFile(tmp_path / "set.ZIP", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._0.png", b"x")
        for path in sorted((tmp_path / "set").rglob("*"), reverse=True):
            archive.write(path, top + path.relative_to(tmp_path / "set").as_posix())
    options = {"memory_limit_mb": 0} if stream else {}
    plain, zipped = opened(tmp_path / "set", **options), opened(tmp_path / "set.ZIP", **options)
    assert zipped.fingerprint == plain.fingerprint
    assert zipped.class_names == plain.class_names
    assert zipped.warnings == plain.warnings
    assert zipped.report[1:] == plain.report[1:]
    assert zipped.unreadable == (f"{tmp_path / 'set.ZIP' / top / 'a' / 'bad.png'}: not a picture",)
    with ThreadPoolExecutor(4) as pool:
        rows = range(plain.train.size)
        for a, b in zip(*(list(pool.map(partial(example, s.train), rows)) for s in (plain, zipped)), strict=True):
            np.testing.assert_array_equal(a["image"], b["image"])
            assert a["label"] == b["label"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set", "set.ZIP"]


def test_zips_that_are_hostile_or_broken(tmp_path):
    good = save(tmp_path / "good.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("in/a.png", "in/b.png"):
            archive.writestr(name, good + name.encode())
        for name in ("../out.png", "in/../../out.png", "/etc/out.png", "C:/out.png"):
            archive.writestr(name, good)
        link = zipfile.ZipInfo("in/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("in/swells.bmp", bytes(2**25))
        archive.writestr("in/secret.png", good)
        archive.getinfo("in/secret.png").flag_bits |= 1
        archive.writestr("in/damaged.png", b"0123456789" * 50, zipfile.ZIP_STORED)
    whole = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(whole.replace(b"0123456789", b"012345678x", 1))
    source = opened(tmp_path / "x.zip")
    assert source.train.size + source.test.size == 2
    text = "\n".join(source.unreadable)
    assert text.count("leads out of the archive") == 4
    assert "link.png: a link in an archive" in text
    assert "swells.bmp: unpacks to 32 MiB" in text
    assert "secret.png: encrypted: unpack the archive first" in text
    assert "damaged.png: cannot be unpacked" in text
    for content in (b"", b"PK\3\4 no archive", whole[:-30]):
        (tmp_path / "x.zip").write_bytes(content)
        with pytest.raises(UserError, match="neither a folder nor a zip archive"):
            opened(tmp_path / "x.zip")
    with pytest.raises(UserError, match=r"say folder:.*x\.zip"):
        open_source(Data(source=str(tmp_path / "x.zip")))


def test_formats_that_are_not_read_are_named(tmp_path):
    (tmp_path / "a.CR2").write_bytes(b"x")
    (tmp_path / "b.svg").write_text("<svg/>")
    with pytest.raises(UserError, match=r"a\.CR2 \(a camera's raw file: develop it.*b\.svg \(a drawing"):
        opened(tmp_path)
    save(tmp_path / "a.jpg")
    source = opened(tmp_path, strict=True)  # they are no damaged pictures
    assert any(w.startswith("left out: 2 pictures of formats that are not read: a.CR2") for w in source.warnings)
    assert [line.partition(": ")[0] for line in source.unreadable] == [str(tmp_path / n) for n in ("a.CR2", "b.svg")]


def test_names_with_line_breaks_stay_on_one_line(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "new\nline.png").write_bytes(b"x")
    source = opened(tmp_path)
    assert all("\n" not in line for line in (*source.warnings, *source.unreadable))
