"""Splits, classes and labels of a folder of pictures."""

import json

import pytest

from genart_jax.config import UserError
from genart_jax.data import picture
from tests.data.test_folder import opened, save


def pictures_of(split):
    """Bytes of a picture -> its label's number."""
    rows = zip(split.arrays["image"], split.arrays["label"], strict=True)
    return {image.tobytes(): int(label) for image, label in rows}


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Train", "VAL"), ("TRAIN", "valid"), ("train", "Validation")]
)
def test_a_folder_with_train_and_test_is_a_split_data_set(tmp_path, train, test):
    for i in range(6):
        save(tmp_path / train / "ab"[i % 2] / f"{i}.png")
    for i in range(3):
        save(tmp_path / test / "bc"[i % 2] / f"t{i}.png")
    save(tmp_path / "loose.png")
    source = opened(tmp_path)
    assert (source.train.size, source.test.size) == (6, 3)
    assert source.class_names == {"label": ("a", "b", "c")}
    assert source.train.arrays["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert source.test.arrays["label"].tolist() == [1, 1, 2]
    assert f"splits as the folder has them: {train} and {test}" in source.report
    text = " | ".join(source.warnings)
    assert "1 pictures lie beside the splits and are left out, loose.png first" in text
    assert "no training pictures of c" in text
    streamed = opened(tmp_path, memory_limit_mb=0)
    assert (streamed.train.size, streamed.fingerprint) == (6, source.fingerprint)
    assert opened(tmp_path, test_fraction=0.5).test.size == 3


def test_split_folders_without_classes_and_with_a_third_split(tmp_path):
    for i in range(4):
        save(tmp_path / "train" / f"{i}.png")
        save(tmp_path / "val" / f"v{i}.png")
    (tmp_path / "val" / "leak.png").write_bytes((tmp_path / "train" / "0.png").read_bytes())
    source = opened(tmp_path)
    assert (source.train.size, source.test.size, source.class_names) == (4, 5, {})
    assert "1 of the 5 test pictures are training pictures too" in source.warnings
    before = source.fingerprint
    save(tmp_path / "test" / "t.png")
    source = opened(tmp_path)
    assert (source.train.size, source.test.size) == (4, 1)
    assert source.fingerprint != before
    assert any("beside train and test lie val, which are left out" in w for w in source.warnings)
    (tmp_path / "test" / "t.png").write_bytes(b"x")
    source = opened(tmp_path)
    assert source.train.size + source.test.size == 4
    assert any("splits are chosen anew" in w for w in source.warnings)


def test_a_split_that_lacks_the_classes_is_left_out(tmp_path):
    for i in range(6):
        save(tmp_path / "train" / "ab"[i % 2] / f"{i}.png")
        save(tmp_path / "test" / f"t{i}.png")
    source = opened(tmp_path)
    assert source.train.size + source.test.size == 6
    assert any("test has no classes, the other split has: its 6 pictures are left out" in w for w in source.warnings)


def test_a_class_without_pictures_is_no_class_and_one_alone_is_said(tmp_path):
    for i in range(4):
        save(tmp_path / "cats" / "deep" / f"{i}.png")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.png").write_bytes(b"x")
    source = opened(tmp_path)
    assert source.class_names == {"label": ("cats",)}
    assert source.spec.conditions == (("label", 1),)
    (line,) = [w for w in source.warnings if "only one class" in w]
    assert "cats" in line
    assert line.endswith(f"say folder:{tmp_path / 'cats'}")


def table(path, labels):
    path.write_text(json.dumps({"labels": labels}))


def test_labels_of_a_table(tmp_path):
    for i in range(8):
        save(tmp_path / "00000" / f"{i}.png")
    rows = [[f"00000/{i}.png", [10, 2][i % 2]] for i in range(6)]
    table(tmp_path / "dataset.json", [*rows, ["00000/gone.png", 3]])
    source = opened(tmp_path)
    assert source.class_names == {"label": ("2", "10")}
    assert source.train.size + source.test.size == 6
    seen = pictures_of(source.train) | pictures_of(source.test)
    for path, label in rows:
        assert seen[picture.decode((tmp_path / path).read_bytes(), (8, 8), 3).tobytes()] == {10: 1, 2: 0}[label]
    text = " | ".join(source.warnings)
    assert "2 pictures are not in dataset.json and are left out, 6.png first" in text
    assert "1 pictures of dataset.json are not there, 00000/gone.png first" in text
    assert "labels from dataset.json" in source.report
    table(tmp_path / "dataset.json", None)
    assert opened(tmp_path).class_names == {}
    (tmp_path / "dataset.json").write_text('{"name": "of another program"}')
    assert opened(tmp_path).class_names == {"label": ("00000",)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"labels": [["a.png", 0.5]]}', "numbers from 0"),
        ('{"labels": [["a.png", -1]]}', "numbers from 0"),
        ('{"labels": {"a.png": 1}}', "numbers from 0"),
        ('{"labels": [["b.png", 0]]}', "no pictures left: 1 pictures are not in dataset.json"),
    ],
)
def test_tables_that_are_wrong(tmp_path, text, words):
    save(tmp_path / "a.png")
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(UserError, match=words):
        opened(tmp_path)


def test_tables_in_split_folders(tmp_path):
    for split in ("train", "val"):
        for i in range(3):
            save(tmp_path / split / "00" / f"{split}{i}.png")
    rows = {split: [[f"00/{split}{i}.png", i % 2] for i in range(3)] for split in ("train", "val")}
    for split, labels in rows.items():
        table(tmp_path / split / "dataset.json", labels)
    own = opened(tmp_path)
    assert own.train.arrays["label"].tolist() == own.test.arrays["label"].tolist() == [0, 1, 0]
    for split in rows:
        (tmp_path / split / "dataset.json").unlink()
    table(tmp_path / "dataset.json", [[f"{split}/{path}", n] for split, labels in rows.items() for path, n in labels])
    above = opened(tmp_path)
    assert (above.fingerprint, above.warnings) == (own.fingerprint, own.warnings)
