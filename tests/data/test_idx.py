"""The IDX reader, on small files written here."""

import gzip
import struct

import numpy as np
import pytest

from genart_jax.config import Data, UserError
from genart_jax.data import idx
from genart_jax.data.source import open_source


def encode(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(folder, suffix="", joint="-", size=(28, 28), classes=10):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = {}
    for prefix, n in (("train", 30), ("t10k", 12)):
        images = rng.integers(0, 256, (n, *size)).astype(np.uint8)
        labels = (np.arange(n) % classes).astype(np.uint8)
        arrays[prefix] = images, labels
        for kind, array in (("images", images), ("labels", labels)):
            data = encode(array)
            axes = 3 if kind == "images" else 1
            name = f"{prefix}-{kind}{joint}idx{axes}-ubyte{suffix}"
            (folder / name).write_bytes(gzip.compress(data) if suffix else data)
    return arrays


@pytest.mark.parametrize(("suffix", "joint"), [("", "-"), (".gz", "-"), ("", "."), (".gz", ".")])
def test_reads_all_namings(tmp_path, suffix, joint):
    arrays = write(tmp_path / "mnist", suffix, joint)
    source = open_source(Data(source=f"idx:{tmp_path / 'mnist'}"))
    for split, prefix in ((source.train, "train"), (source.test, "t10k")):
        assert split.arrays["image"].dtype == np.uint8
        np.testing.assert_array_equal(split.arrays["image"], arrays[prefix][0][..., None])
        np.testing.assert_array_equal(split.arrays["label"], arrays[prefix][1])
        assert split.size == len(split.arrays["image"])
        assert split.arrays["label"].dtype == np.int32
    assert source.image_shape == (28, 28, 1)
    assert source.class_names == {"label": tuple("0123456789")}
    assert source.spec.conditions == (("label", 10),)
    assert source.report[0].endswith("30 train, 12 test, 28x28x1, conditions label (10)")
    assert source.report[1].startswith("label (train + test): 0 3 + 2, 1 3 + 2, 2 3 + 1,")


def test_content_decides_on_gzip_not_the_name(tmp_path):
    write(tmp_path)
    for file in tmp_path.iterdir():
        file.rename(file.with_name(file.name + ".gz"))
    assert idx.load(tmp_path).train.size == 30


def test_rectangles_and_fingerprint(tmp_path):
    write(tmp_path / "a", size=(5, 9))
    write(tmp_path / "b", size=(5, 9))
    a, b = idx.load(tmp_path / "a"), idx.load(tmp_path / "b")
    assert a.image_shape == (5, 9, 1)
    assert a.fingerprint == b.fingerprint
    file = tmp_path / "b" / "t10k-images-idx3-ubyte"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert idx.load(tmp_path / "b").fingerprint != a.fingerprint


def test_class_names(tmp_path):
    write(tmp_path / "fashion_mnist")
    assert idx.load(tmp_path / "fashion_mnist").class_names["label"][9] == "Ankle boot"
    file = tmp_path / "fashion_mnist" / "labels.txt"
    file.write_text("".join(f"class {i}\n" for i in range(10)) + "\n")
    assert idx.load(tmp_path / "fashion_mnist").class_names["label"] == tuple(f"class {i}" for i in range(10))
    file.write_text("a\nb\n")
    with pytest.raises(UserError, match=r"labels\.txt: names 2 classes, but the labels go up to 9"):
        idx.load(tmp_path / "fashion_mnist")
    file.write_text("a\n" * 10)
    with pytest.raises(UserError, match="names a class twice"):
        idx.load(tmp_path / "fashion_mnist")


def test_missing(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        idx.load(tmp_path / "nowhere")
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte.*is missing"):
        idx.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"\x89PNG" + data[4:], "not an IDX file"),
        (lambda data: b"", "not an IDX file"),
        (lambda data: data[:3] + b"\x01" + data[4:], "not an IDX file"),
        (lambda data: data[:9], "cut off inside its header"),
        (lambda data: data[:-1], "cut off"),
        (lambda data: data + b"x", "holds"),
        (lambda data: gzip.compress(data)[:-20], "cannot be read"),
        (lambda data: b"\x1f\x8b" + data, "cannot be read"),
        (lambda data: encode(np.zeros((0, 28, 28), np.uint8)), "0 pictures"),
        (lambda data: encode(np.zeros((7, 28, 28), np.uint8)), "7 pictures, but train-labels-idx1-ubyte 30 labels"),
        (lambda data: encode(np.zeros((30, 20, 20), np.uint8)), r"\(20, 20, 1\), test pictures \(28, 28, 1\)"),
    ],
)
def test_damaged(tmp_path, change, message):
    write(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        idx.load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("fodler:x", "did you mean folder?"),
        ("emojis", "did you mean emoji?"),
        ("zzz", r"choose emoji\[:STYLE\]\[:SIZE\]"),
        ("idx", "idx:DIR"),
        ("folder:", "folder:DIR"),
        ("tfds:", "tfds:NAME"),
        ("emoji:big", "emoji:64"),
    ],
)
def test_open_source_names_what_is_wrong(source, message):
    with pytest.raises(UserError, match=message):
        open_source(Data(source=source))


def test_open_source_hints_at_the_kind_of_a_bare_path(tmp_path):
    with pytest.raises(UserError, match=f"folder:{tmp_path}"):
        open_source(Data(source=str(tmp_path)))
