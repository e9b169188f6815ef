"""Decoded sets that are kept, and found again."""

import os

import numpy as np
import pytest
from PIL import Image

from genart_jax.config import Data
from genart_jax.data import cache, folder, picture
from genart_jax.data.source import open_source


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of 12 pictures, one of them no picture and one cut off, and a cache that keeps whatever is decoded."""
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(folder, "_WORTH_KEEPING", -1.0)
    for i in range(10):
        place = tmp_path / "set" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (9, 8, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{i}.png")
    (tmp_path / "set" / "a" / "x.png").write_bytes(b"no picture")
    Image.fromarray(pixels).save(tmp_path / "set" / "a" / "y.jpg")
    whole = (tmp_path / "set" / "a" / "y.jpg").read_bytes()
    (tmp_path / "set" / "a" / "y.jpg").write_bytes(whole.removesuffix(b"\xff\xd9"))
    return tmp_path / "set"


def opened(path, **options):
    return open_source(Data(source=f"folder:{path}", **({"image_size": (8,)} | options)))


def files(pictures):
    return sorted((pictures.parent / "cache" / "pictures").iterdir())


def no_decoding(monkeypatch):
    def decode(*args):
        raise AssertionError("decoded again")

    monkeypatch.setattr(picture, "decode", decode)


def test_a_set_is_not_decoded_twice(pictures, monkeypatch):
    first = opened(pictures)
    (file,) = files(pictures)
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0
    no_decoding(monkeypatch)
    again = opened(pictures)
    for name in ("fingerprint", "report", "warnings", "unreadable", "class_names"):
        assert getattr(first, name) == getattr(again, name)
    assert any("cannot be read" in line for line in again.warnings)
    for a, b in ((first.train, again.train), (first.test, again.test)):
        np.testing.assert_array_equal(a.arrays["image"], b.arrays["image"])
        np.testing.assert_array_equal(a.arrays["label"], b.arrays["label"])


def test_what_changes_a_pixel_or_a_label_is_another_set(pictures, monkeypatch):
    first = opened(pictures)
    opened(pictures, image_size=(4,))
    opened(pictures, channels=1)
    assert len(files(pictures)) == 3
    (pictures / "a" / "0.png").rename(pictures / "b" / "0.png")
    moved = opened(pictures)
    assert sorted(moved.train.arrays["label"]) != sorted(first.train.arrays["label"])
    Image.new("RGB", (9, 8)).save(pictures / "b" / "1.png")
    changed = opened(pictures)
    assert changed.fingerprint != moved.fingerprint
    assert any((x == 0).all() for split in (changed.train, changed.test) for x in split.arrays["image"])
    monkeypatch.setattr(cache, "_code", lambda: "another decoder")
    no_decoding(monkeypatch)
    with pytest.raises(AssertionError, match="decoded again"):
        opened(pictures)


def test_a_damaged_file_is_made_anew(pictures):
    first = opened(pictures)
    (file,) = files(pictures)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1  # in the middle of the pixels
    file.write_bytes(content)
    np.testing.assert_array_equal(opened(pictures).train.arrays["image"], first.train.arrays["image"])
    file.write_bytes(b"")
    np.testing.assert_array_equal(opened(pictures).train.arrays["image"], first.train.arrays["image"])


def test_there_is_a_bound(pictures, monkeypatch):
    opened(pictures)
    (old,) = files(pictures)
    os.utime(old, (0, 0))
    size = old.stat().st_size
    monkeypatch.setattr(cache, "LIMIT", 2 * size)
    opened(pictures, channels=1)
    assert len(files(pictures)) == 2
    opened(pictures, image_size=(7,))
    assert old not in files(pictures)
    assert len(files(pictures)) == 2
    monkeypatch.setattr(cache, "LIMIT", 100)  # smaller than the set
    before = files(pictures)
    opened(pictures, image_size=(8, 9))
    assert files(pictures) == before


def test_a_cache_that_cannot_be_written_is_none(pictures, monkeypatch):
    (pictures.parent / "file").write_text("")
    monkeypatch.setenv("GENART_CACHE", str(pictures.parent / "file"))
    assert opened(pictures).train.size
