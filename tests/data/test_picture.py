"""Single pictures: every odd kind of file with what it must give, in pixels or in words."""

import io
import logging
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from genart_jax.config import Data, UserError
from genart_jax.data import picture, reader
from genart_jax.data.source import open_source
from tests.data import odd_pictures as odd

SIZE = (odd.H, odd.W)


def decoded(data, size=SIZE, channels=3):
    """(pixels, notes)."""
    notes = []
    return picture.decode(data, size, channels, notes), notes


@pytest.mark.parametrize("name", odd.SOUND)
def test_sound_pictures_are_read_without_a_word(name):
    data, expected, tolerance = odd.SOUND[name]
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        pixels, notes = decoded(data)
    assert not notes
    assert not raised
    assert pixels.shape == (*SIZE, 3)
    off = np.abs(pixels.astype(int) - expected)
    assert off.max() <= tolerance
    assert off.mean() <= max(tolerance / 10, 0.5 * bool(tolerance))


@pytest.mark.parametrize("name", odd.NOTED)
def test_odd_pictures_are_read_with_a_word(name):
    data, expected, tolerance, words = odd.NOTED[name]
    pixels, notes = decoded(data)
    assert len(notes) == 1
    assert words in notes[0]
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("name", odd.BAD)
def test_bad_pictures_are_refused_with_a_reason(name):
    data, words = odd.BAD[name]
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        with pytest.raises(picture.BadPictureError, match=words):
            decoded(data)
    assert not raised


@pytest.mark.parametrize("name", odd.SIZES)
def test_any_size_becomes_the_wanted_one(name):
    data, color = odd.SIZES[name]
    np.testing.assert_array_equal(decoded(data)[0], np.broadcast_to(color, (*SIZE, 3)))


@pytest.mark.parametrize("profile", [odd.DISPLAY_P3, odd.ADOBE_RGB])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_are_those_of_the_profile(profile, alpha):
    to_other = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    muted = Image.fromarray((64 + odd.RGB // 2).astype(np.uint8))  # within both gamuts
    stored = ImageCms.profileToProfile(muted, ImageCms.createProfile("sRGB"), to_other)
    assert np.abs(np.asarray(stored).astype(int) - np.asarray(muted)).max() > 8
    if alpha:
        stored.putalpha(255)
    pixels, notes = decoded(odd.encoded(stored, "PNG", icc_profile=profile))
    assert not notes
    assert np.abs(pixels.astype(int) - np.asarray(muted)).max() <= 2


def test_the_red_of_display_p3_is_redder_than_srgbs():
    data = odd.encoded(Image.new("RGB", (8, 8), (200, 100, 100)), "PNG", icc_profile=odd.DISPLAY_P3)
    np.testing.assert_allclose(decoded(data)[0][0, 0], (214, 95, 97), atol=2)


def test_grey_and_cmyk_profiles_are_heeded_and_foreign_ones_are_not():
    linear = odd.encoded(Image.new("L", (8, 8), 55), "PNG", icc_profile=odd.grey_icc(1.0))
    assert abs(int(decoded(linear, channels=1)[0][0, 0, 0]) - 128) <= 1  # sRGB's 128 is 0.2159 in light
    for ink, level in (((255, 0, 0, 0), 255), ((0, 0, 0, 128), 119), ((9, 9, 9, 255), 0)):
        image = Image.new("CMYK", (8, 8), ink)
        for fmt in ("TIFF", "JPEG"):
            pixels, notes = decoded(odd.encoded(image, fmt, icc_profile=odd.black_ink_icc()))
            assert not notes
            assert np.abs(pixels.astype(int) - level).max() <= 3
    grey = Image.new("L", (8, 8), 55)
    assert (decoded(odd.encoded(grey, "PNG", icc_profile=odd.DISPLAY_P3))[0] == 55).all()


def test_photographs_over_the_limit_are_decoded_at_a_fraction(monkeypatch):
    """As 200 megapixels against 100, but small."""
    pixels = np.asarray(Image.fromarray(odd.RGB).resize((640, 480), Image.Resampling.BICUBIC))
    jpeg, progressive, png = (
        odd.encoded(Image.fromarray(pixels), fmt, **options)
        for fmt, options in (("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}))
    )
    whole = decoded(jpeg)[0]
    monkeypatch.setattr(reader.opening, "MAX_PIXELS", 100_000)
    np.testing.assert_array_equal(decoded(jpeg)[0], whole)
    assert picture.upright_size(jpeg) == (480, 640)
    with pytest.raises(picture.BadPictureError, match="too large, even decoded at a fraction"):
        decoded(jpeg, (480, 640))
    for data in (progressive, png):
        with pytest.raises(picture.BadPictureError, match="640x480 is more than"):
            decoded(data)


def test_a_photograph_of_over_180_megapixels():
    """More than Pillow opens at all; of one colour, so it takes a second."""
    tile = odd.encoded(Image.new("L", (16384, 8), 77), "JPEG")
    frame = odd.claiming(tile, 16384, 11200)
    start = frame.index(b"\xff\xda")
    body = start + 2 + int.from_bytes(frame[start + 2 : start + 4], "big")
    scan = odd.encoded(Image.new("L", (16384, 11200), 77), "JPEG")
    assert scan[:body] == frame[:body]
    assert (decoded(scan, (8, 8), 1)[0] == 77).all()


def test_files_on_disk_say_what_is_odd(tmp_path, caplog):
    (tmp_path / "a.png").write_bytes(odd.NOTED["rgba_all0.png"][0])
    picture.read_file(tmp_path / "a.png", (8, 8), 3)
    assert f"{tmp_path / 'a.png'}: wholly transparent" in caplog.text
    (tmp_path / "turned.jpg").write_bytes(odd.SOUND["exif6.jpg"][0])
    assert picture.size_of_file(tmp_path / "turned.jpg") == SIZE
    for name in ("gone.png", "b.png"):
        (tmp_path / "b.png").write_bytes(b"x")
        with pytest.raises(UserError, match=f"{name}: "):
            picture.size_of_file(tmp_path / name)


def test_pillows_warnings_are_kept_in_by_any_number_of_threads(caplog):
    data = odd.encoded(odd.IMAGE, "PNG")

    def look(_):
        with picture.opened(data) as opened:
            warnings.warn_explicit("of Pillow", UserWarning, "PIL/x.py", 1, module="PIL.x")
            logging.getLogger("PIL.x").error("of Pillow")
            return opened.size

    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(look, range(40))) == {(odd.W, odd.H)}
        assert warnings.filters == before
        assert not raised
        assert not caplog.records
        warnings.warn_explicit("of Pillow", UserWarning, "PIL/x.py", 1, module="PIL.x")
        logging.getLogger("PIL.x").error("of Pillow")
        assert len(raised) == len(caplog.records) == 1


def test_a_folder_of_them_all(tmp_path):
    """Each is read, or named once with its reason; hidden files are neither."""
    sound = {**odd.SOUND, **odd.NOTED, **odd.SIZES}
    bad = {f"bad {name}": value for name, value in odd.BAD.items()}
    for name, value in {**sound, **bad}.items():
        (tmp_path / name).write_bytes(value[0])
    for i, name in enumerate(odd.NAMES):
        (tmp_path / name).write_bytes(odd.encoded(Image.fromarray(odd.base(i + 1)), "PNG"))
    for name in (*odd.HIDDEN, *odd.NO_PICTURES):
        (tmp_path / name).write_bytes(b"x" * 100)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "prog.jpg")
    (tmp_path / "dead.jpg").symlink_to("/nonexistent")
    (tmp_path / "loop").symlink_to(tmp_path)
    source = open_source(Data(source=f"folder:{tmp_path}", image_size=(16,)))
    assert source.train.size + source.test.size == len(sound) + len(odd.NAMES) + 1
    named = {line.partition(": ")[0] for line in source.unreadable}
    assert named == {str(tmp_path / name) for name in [*bad, "dead.jpg", "loop"]}
    assert f"{len(odd.NO_PICTURES)} other files ignored" in source.report
