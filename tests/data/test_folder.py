"""The folder source and the reading of single pictures, on files written with Pillow."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from genart_jax.config import Data, UserError
from genart_jax.data import files, folder, picture, reader
from genart_jax.data.conditions import condition_table, same_data
from genart_jax.data.source import absolute, fingerprint, held_out, open_source

RED = (255, 0, 0)


def save(path, color=None, size=(20, 16), **options):
    """A picture of one color, or of noise that the path's name decides; `size` is Pillow's (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if color is None:
        rng = np.random.default_rng(list(str(path.name).encode()))
        image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))
    else:
        image = Image.new("RGB", size, color)
    image.save(path, **options)
    return path


def opened(path, **options):
    options.setdefault("image_size", (8,))
    return open_source(Data(source=f"folder:{path}", **options))


def decoded(image, size=(8, 8), channels=3, fmt="PNG", **options):
    file = io.BytesIO()
    image.save(file, fmt, **options)
    return picture.decode(file.getvalue(), size, channels)


def test_labels_are_the_first_folders(tmp_path):
    for i in range(6):
        save(tmp_path / "cats" / f"{i}.png")
        save(tmp_path / "dogs" / "deep" / "deeper" / f"{i}.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    save(tmp_path / ".hidden" / "x.png")
    save(tmp_path / "cats" / ".x.png")
    (tmp_path / "cats" / "notes.txt").write_text("no picture")
    source = opened(tmp_path)
    assert source.class_names == {"label": ("cats", "dogs")}
    assert source.train.size + source.test.size == 12
    labels = np.concatenate([source.train.arrays["label"], source.test.arrays["label"]])
    assert np.bincount(labels).tolist() == [6, 6]
    train, test = (np.bincount(s.arrays["label"], minlength=2) for s in (source.train, source.test))
    assert f"label (train + test): cats {train[0]} + {test[0]}, dogs {train[1]} + {test[1]}" in source.report
    assert "1 other files ignored" in source.report
    assert not any("cannot be read" in line for line in source.warnings)


def test_no_folders_no_condition(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.PNG")
    source = opened(tmp_path, image_size=())
    assert source.class_names == {}
    assert [*source.train.arrays] == ["image"]
    assert source.image_shape == (64, 64, 3)
    assert any("64x64 (the default" in line for line in source.report)
    assert source.report[0].endswith("64x64x3, no conditions")


def test_loose_pictures_are_left_out_and_named(tmp_path):
    save(tmp_path / "loose.png")
    for i in range(3):
        save(tmp_path / "a" / f"{i}.png")
    source = opened(tmp_path)
    assert source.train.size + source.test.size == 3
    assert any("1 pictures lie beside" in w and "loose.png" in w for w in source.warnings)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (9, 9), 1), (255, 255, 255)),
        (Image.new("L", (9, 9), 77), (77, 77, 77)),
        (Image.new("LA", (9, 9), (0, 0)), (255, 255, 255)),
        (Image.new("LA", (9, 9), (0, 128)), (127, 127, 127)),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 255)), RED),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 128)), (255, 127, 127)),
        (Image.new("RGB", (9, 9), RED).convert("P"), RED),
        (Image.new("I;16", (9, 9), 65535), (255, 255, 255)),
        (Image.new("I;16", (9, 9), 32768), (128, 128, 128)),
        (Image.new("I;16", (9, 9), 300), (1, 1, 1)),
        (Image.new("RGB", (9, 9), (10, 20, 30)), (10, 20, 30)),
    ],
)
def test_modes(image, expected):
    got = decoded(image)
    assert got.shape == (8, 8, 3)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, np.broadcast_to(expected, (8, 8, 3)))


def test_palette_with_transparency_goes_over_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (0, 0, 8, 4))
    got = decoded(image, transparency=0)
    assert (got[0, 0] == RED).all()
    assert (got[7, 7] == 255).all()


def test_cmyk_and_16_bit_netpbm():
    got = decoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), fmt="TIFF")
    np.testing.assert_array_equal(got, np.broadcast_to(RED, (8, 8, 3)))
    data = b"P5 2 2 65535\n" + np.array([0, 65535, 32768, 257], ">u2").tobytes()
    assert picture.decode(data, (2, 2), 1)[..., 0].tolist() == [[0, 255], [128, 1]]


def test_unbounded_pixels_are_refused():
    with pytest.raises(picture.BadPictureError, match="floating-point"):
        decoded(Image.new("F", (8, 8), 0.5), fmt="TIFF")
    with pytest.raises(picture.BadPictureError, match="32-bit"):
        decoded(Image.new("I", (8, 8), 2**20), fmt="TIFF")


def test_grey_channel():
    assert decoded(Image.new("RGB", (8, 8), (0, 255, 0)), channels=1).tolist() == [[[150]] * 8] * 8


def test_orientation_is_applied():
    image = Image.new("RGB", (16, 16), RED)
    image.paste((0, 0, 255), (0, 0, 16, 8))  # blue above
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned: a quarter turn clockwise shows it
    for fmt in ("PNG", "JPEG"):
        got = decoded(image, fmt=fmt, exif=exif).astype(int)
        assert got[4, 0, 0] > 200, "red lies on the left"
        assert got[4, 7, 2] > 200, "blue lies on the right"


def test_crop_keeps_the_middle_and_rectangles_work():
    image = Image.new("RGB", (30, 10), RED)
    image.paste((0, 255, 0), (10, 0, 20, 10))
    np.testing.assert_array_equal(decoded(image, (10, 10)), np.broadcast_to((0, 255, 0), (10, 10, 3)))
    assert decoded(image, (6, 12)).shape == (6, 12, 3)
    assert decoded(image, (12, 6)).shape == (12, 6, 3)


def test_exact_size_is_untouched_and_shrinking_averages():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(Image.fromarray(pixels), (12, 8)), pixels)
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = decoded(Image.fromarray(stripes), (16, 16)).astype(int)
    assert np.abs(shrunk - 127.5).max() < 12  # without antialiasing: 0 or 255
    ramp = np.broadcast_to(np.linspace(0, 255, 512).astype(np.uint8)[:, None, None], (512, 512, 3))
    fast, slow = (decoded(Image.fromarray(ramp), (32, 32), fmt=fmt).astype(int) for fmt in ("JPEG", "PNG"))
    assert np.abs(fast - slow).max() <= 4  # the JPEG is decoded at an eighth of its size


@pytest.mark.parametrize(("size", "expected"), [((), (64, 64)), ((8,), (8, 8)), ((8, 12), (8, 12))])
def test_picture_size(size, expected):
    assert picture.picture_size(size) == expected


@pytest.mark.parametrize("options", [{"image_size": (1, 2, 3)}, {"image_size": (0,)}, {"channels": 4}])
def test_options_are_checked(tmp_path, options):
    save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"data\.(image_size|channels): got"):
        opened(tmp_path, **options)


def test_bad_files_are_named_or_an_error(tmp_path):
    for i in range(5):
        save(tmp_path / f"{i}.png")
    whole = save(tmp_path / "2cut.png", size=(64, 64)).read_bytes()
    (tmp_path / "2cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.webp").write_text("hello")
    source = opened(tmp_path)
    assert source.train.size + source.test.size == 5
    wanted = {picture.decode((tmp_path / f"{i}.png").read_bytes(), (8, 8), 3).tobytes() for i in range(5)}
    assert {image.tobytes() for split in (source.train, source.test) for image in split.arrays["image"]} == wanted
    (line,) = [w for w in source.warnings if "cannot be read" in w]
    assert line.startswith("3 of 8 pictures")
    assert all(name in line for name in ("2cut.png", "empty.jpg", "text.webp"))
    with pytest.raises(UserError, match=r"cut\.png.*data\.strict"):
        opened(tmp_path, strict=True)


def test_huge_and_foreign_pictures_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reader.opening, "MAX_PIXELS", 2_000_000)
    save(tmp_path / "ok.png")
    save(tmp_path / "huge.png", RED, size=(2000, 1001))
    Image.new("RGB", (8, 8)).save(tmp_path / "pcx.png", "PCX")
    (line,) = [w for w in opened(tmp_path).warnings if "cannot be read" in w]
    assert "huge.png (2000x1001 is more than 2 megapixels)" in line
    assert "pcx.png (not a picture)" in line


def test_a_claimed_size_costs_nothing(tmp_path):
    data = b"P6 20000 20000 255\n" + b"\0" * 30
    for size in (b"20000 20000", b"11000 9000"):
        with pytest.raises(picture.BadPictureError):
            picture.decode(data.replace(b"20000 20000", size), (8, 8), 3)


def test_folders_without_pictures(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no pictures in it"):
        opened(tmp_path)
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"none of its 1 pictures can be read: .*a\.png: not a picture"):
        opened(tmp_path)


def test_links_are_followed_but_not_in_circles(tmp_path):
    for i in range(3):
        save(tmp_path / "real" / f"{i}.png")
    root = tmp_path / "set"
    (root / "a" / "b").mkdir(parents=True)
    save(root / "a" / "x.png")
    (root / "a" / "b" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "a" / "dangling.png").symlink_to(tmp_path / "gone.png")
    (root / "linked").symlink_to(tmp_path / "real")
    source = opened(root)
    assert source.class_names == {"label": ("a", "linked")}
    assert source.train.size + source.test.size == 4


def test_warnings(tmp_path):
    for i in range(11):
        save(tmp_path / "many" / f"{i}.png")
    save(tmp_path / "few" / "one.png")
    save(tmp_path / "many" / "0.png").rename(tmp_path / "many" / "a.png")
    save(tmp_path / "many" / "0.png", compress_level=1)  # other bytes, equal pixels
    text = " | ".join(opened(tmp_path).warnings)
    assert "only 13 pictures" in text
    assert "many has 12 pictures, few 1" in text
    assert "1 of 13 pictures are copies" in text


def test_a_good_folder_has_no_warnings(tmp_path):
    for i in range(100):
        save(tmp_path / "ab"[i % 2] / f"{i}.png", size=(9, 8) if i else (8, 10))
    source = opened(tmp_path, image_size=(8, 8))
    assert source.warnings == ()
    assert any("2 sizes, 8x9 to 10x8, brought to 8x8" in line for line in source.report)
    assert 2 <= source.test.size <= 25


def test_statistics(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", (255, 51, 0))
    source = opened(tmp_path)
    assert any("mean 1.000 0.200 0.000, std 0.000 0.000 0.000" in line for line in source.report)
    assert source.test.size == source.train.size == 3  # all are one picture
    assert any("the test split is the training split" in w for w in source.warnings)


def test_copies_stay_on_one_side_and_the_split_is_stable(tmp_path):
    for i in range(40):
        path = save(tmp_path / f"{i:02}.png")
        (tmp_path / f"copy {i:02}.png").write_bytes(path.read_bytes())
    first = opened(tmp_path, test_fraction=0.3)
    train, test = ({image.tobytes() for image in s.arrays["image"]} for s in (first.train, first.test))
    assert not train & test
    assert len(train) * 2 == first.train.size
    assert len(test) * 2 == first.test.size > 8
    again = opened(tmp_path, test_fraction=0.3)
    np.testing.assert_array_equal(first.train.arrays["image"], again.train.arrays["image"])
    assert first.fingerprint == again.fingerprint
    save(tmp_path / "new.png")
    more = opened(tmp_path, test_fraction=0.3)
    assert more.fingerprint != first.fingerprint
    assert test <= {image.tobytes() for image in more.test.arrays["image"]}  # nothing moves when pictures come


def test_the_fingerprint_sees_one_changed_pixel(tmp_path):
    """In as many pictures, of as many bytes."""
    for name, color in (("a", "red"), ("b", "green"), ("c", "blue")):
        save(tmp_path / f"{name}.bmp", color)
    before, length = opened(tmp_path).fingerprint, (tmp_path / "b.bmp").stat().st_size
    with Image.open(tmp_path / "b.bmp") as image:
        image.putpixel((3, 4), RED)
        image.save(tmp_path / "b.bmp")
    assert (tmp_path / "b.bmp").stat().st_size == length
    assert opened(tmp_path).fingerprint != before
    parts = [(b"ab", b"c"), (b"a", b"bc"), (b"ba", b"c"), (b"abc",)]  # and where each part ends
    assert len({fingerprint(*part) for part in parts}) == 4


def test_the_fingerprint_sees_a_picture_moved_to_another_class(tmp_path):
    """Order and bytes of the files stay the same; what was trained with a former fingerprint is still known."""
    for name in ("a/1", "a/2", "a/3", "a/4", "b/5", "b/6"):
        save(tmp_path / f"{name}.png")
    before = opened(tmp_path, test_fraction=0.0)
    for old, new in (("3", "0"), ("4", "00")):
        (tmp_path / "a" / f"{old}.png").rename(tmp_path / "b" / f"{new}.png")
    after = opened(tmp_path, test_fraction=0.0)
    assert after.fingerprint != before.fingerprint
    assert after.former == before.former
    facts = {"class_names": {"label": ["a", "b"]}, "condition_table": condition_table(after.train, ["label"])}
    for known, now in ((after.fingerprint, after), (*after.former, after), (before.fingerprint, before)):
        assert same_data(now, facts | {"fingerprint": known})
    assert not same_data(before, facts | {"fingerprint": after.fingerprint})
    assert not same_data(before, facts | {"fingerprint": before.former[0]})


def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch):
    """No shell sees to it behind a colon or a sign, nor does Python."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for i in range(3):
        save(tmp_path / "pictures" / f"{i}.png")
    files = os.pathsep.join(("~/pictures/0.png", "~/pictures/1.png"))
    for name in ("folder:~/pictures", f"pictures:{files}"):
        found = open_source(Data(source=name, image_size=(8,)))
        same = open_source(Data(source=absolute(name), image_size=(8,)))
        assert found.fingerprint == same.fingerprint
    assert folder.load("~/pictures", Data()).train.size == 2
    assert picture.read_file("~/pictures/0.png", (8, 8), 3).shape == (8, 8, 3)
    with pytest.raises(UserError, match="write the whole path"):
        open_source(Data(source="folder:~nobody-of-this-name/x"))


def test_order_is_that_of_the_names(tmp_path):
    colors = {"b/1.png": 10, "a/9.png": 20, "a/10.png": 30, "B/0.png": 40}
    for name, value in colors.items():
        save(tmp_path / name, (value,) * 3)
    source = opened(tmp_path)
    seen = {int(image[0, 0, 0]) for image in source.test.arrays["image"]}
    expected = [colors[name] for name in sorted(colors) if colors[name] not in seen]
    assert source.train.arrays["image"][:, 0, 0, 0].tolist() == expected
    assert source.class_names["label"] == ("B", "a", "b")


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.999])
def test_held_out_leaves_one_on_either_side(fraction):
    for n in (2, 3, 50):
        digests = [hashlib.sha256(bytes([i])).digest() for i in range(n)]
        test = held_out(digests, fraction)
        assert 1 <= test.sum() <= n - 1
    assert not held_out(digests[:1] * 4, fraction).any()


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_held_out_checks_its_fraction(fraction):
    with pytest.raises(UserError, match="test_fraction"):
        held_out([b"x" * 32, b"y" * 32], fraction)


def half_of(jpeg):
    """As libjpeg decodes it at half its size."""
    half = Image.open(io.BytesIO(jpeg))
    half.draft("RGB", (half.width // 2, half.height // 2))
    return half


def test_fast_resizing_takes_the_least_half_that_is_large_enough():
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype(np.uint8))
    file = io.BytesIO()
    coarse.resize((256, 192), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    content = file.getvalue()

    np.testing.assert_array_equal(picture.decode(content, (96, 128), 3, fast=True), np.asarray(half_of(content)))
    for size in ((96, 128), (60, 80), (96, 64), (300, 400)):  # a half, between, another aspect, larger than it is
        fast, slow = (picture.decode(content, size, 3, fast=fast).astype(int) for fast in (True, False))
        assert fast.shape == slow.shape == (*size, 3)
        assert np.abs(fast - slow).mean() < 4
        assert (fast != slow).any()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned = io.BytesIO()
    Image.open(io.BytesIO(content)).save(turned, "JPEG", quality="keep", exif=exif)
    upright = np.asarray(half_of(turned.getvalue()).transpose(Image.Transpose.ROTATE_270))
    np.testing.assert_array_equal(picture.decode(turned.getvalue(), (128, 96), 3, fast=True), upright)


def test_fast_resizing_of_a_folder(tmp_path):
    for i in range(20):
        save(tmp_path / f"{i}.jpg", size=(40 + i, 40))
    slow, memory, stream = (
        opened(tmp_path, **options) for options in ({}, {"resize": "fast"}, {"resize": "fast", "memory_limit_mb": 0})
    )
    assert stream.fingerprint == memory.fingerprint != slow.fingerprint
    images = np.stack([stream.train.read(i)["image"] for i in range(stream.train.size)])
    np.testing.assert_array_equal(images, memory.train.arrays["image"])
    assert (images != slow.train.arrays["image"]).any()


def test_streamed_equals_in_memory(tmp_path):
    for i in range(30):
        save(tmp_path / "ab"[i % 2] / f"{i}.png", size=(20 + i, 16))
    memory, stream = opened(tmp_path), opened(tmp_path, memory_limit_mb=0)
    assert stream.fingerprint == memory.fingerprint
    assert any("streamed" in line for line in stream.report)
    for a, b in ((memory.train, stream.train), (memory.test, stream.test)):
        assert "image" not in b.arrays
        assert a.size == b.size
        np.testing.assert_array_equal(a.arrays["label"], b.arrays["label"])
        with ThreadPoolExecutor(4) as pool:
            examples = list(pool.map(b.read, range(b.size)))
        np.testing.assert_array_equal(np.stack([e["image"] for e in examples]), a.arrays["image"])
        assert [e["label"] for e in examples] == a.arrays["label"].tolist()


def test_streamed_picture_that_breaks_later(tmp_path, caplog):
    for i in range(6):
        save(tmp_path / f"{i}.png")
    source, strict = (opened(tmp_path, memory_limit_mb=0, strict=strict) for strict in (False, True))
    path = source.train.read.files[1].path
    path.write_bytes(path.read_bytes()[:-40])
    got = [source.train.read(i % 3)["image"] for i in range(9)]
    np.testing.assert_array_equal(got[1], got[2])
    assert (got[0] != got[1]).any()
    assert [path.name in r.getMessage() for r in caplog.records] == [True]
    with pytest.raises(UserError, match=path.name):
        strict.train.read(1)
    for file in source.train.read.files:
        file.path.unlink()
    with pytest.raises(UserError, match="neither this nor any other"):
        source.train.read(0)


def test_folder_load_takes_a_string(tmp_path):
    save(tmp_path / "a.png")
    assert folder.load(str(tmp_path), Data(image_size=(4, 6), channels=1)).image_shape == (4, 6, 1)


def test_what_is_odd_is_said_once_a_kind(tmp_path):
    for i in range(7):
        clear = Image.new("RGBA", (9, 9 + i), (i, 0, 0, 0))
        clear.save(tmp_path / f"{i}.png")
    (line,) = [w for w in opened(tmp_path).warnings if "transparent" in w]
    assert line == "7 pictures: wholly transparent, so all white: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more"


def test_streamed_folders_say_it_once_a_file(tmp_path, caplog):
    for i in range(3):
        Image.new("RGBA", (9, 9 + i), (0, 0, 0, 0)).save(tmp_path / f"{i}.png")
        save(tmp_path / f"broken{i}.png", size=(64, 64))
    source = opened(tmp_path, memory_limit_mb=0)
    for i in range(3):
        path = tmp_path / f"broken{i}.png"
        path.write_bytes(path.read_bytes()[:-100])
    for split in (source.train, source.test):
        for i in range(40):
            split.read(i % split.size)
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == len(set(lines)) == 6
    caplog.clear()
    told = folder._Told(2)
    for i in range(5):
        told.warn(files.File(tmp_path / str(i), (str(i),)), "odd", "odd")
    assert [r.getMessage().partition(": ")[2] for r in caplog.records] == [
        "odd",
        "odd; further files of this kind are not named",
    ]
