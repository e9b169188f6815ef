"""Prepared TFDS data without TensorFlow: a tiny builder is prepared here as array_record, and read with no network."""

import importlib
import json
import socket
import sys

import numpy as np
import pytest

from genart_jax.config import Data, UserError
from genart_jax.data import pipeline, tfds
from genart_jax.data.source import open_source

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record")

BUILDER = '''
import io
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


class GenartTiny(tfds.core.GeneratorBasedBuilder):
    """Twenty pictures to train on and five to test on; pixel values are the row."""

    VERSION = tfds.core.Version("1.2.0")
    SPLITS = {"train": range(20), "test": range(20, 25), "unlabelled": range(25, 29)}

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({
                "thumbnail": tfds.features.Image(shape=(None, None, 3)),
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["even", "odd"]),
                "group": tfds.features.ClassLabel(num_classes=3),
                "note": tfds.features.Text(),
            })
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(rows, name) for name, rows in self.SPLITS.items()}

    def _generate_examples(self, rows, name):
        for i in rows:
            file = io.BytesIO()
            Image.fromarray(np.full((10, 12, 3), i, np.uint8)).save(file, "PNG")
            data = file.getvalue()
            label = -1 if name == "unlabelled" else i % 2
            yield i, {"thumbnail": io.BytesIO(data), "image": io.BytesIO(data), "label": label, "group": i % 3,
                      "note": f"picture {i}"}


class GenartMute(GenartTiny):
    """Its test split has no labels."""

    SPLITS = {"train": range(20), "test": range(20, 25)}

    def _generate_examples(self, rows, name):
        return super()._generate_examples(rows, "unlabelled" if name == "test" else name)


class GenartPart(GenartTiny):
    """The first picture to test on has no label, the others do; no picture has a group, but one to test on."""

    SPLITS = {"train": range(20), "test": range(20, 25)}

    def _generate_examples(self, rows, name):
        for i, one in super()._generate_examples(rows, name):
            yield i, one | {"label": -1 if i == 20 else i % 2, "group": 1 if i == 24 else -1}


class GenartLate(GenartTiny):
    """Of the pictures to test on, only the first has a label."""

    SPLITS = {"train": range(20), "test": range(20, 25)}

    def _generate_examples(self, rows, name):
        for i, one in super()._generate_examples(rows, name):
            yield i, one | {"label": -1 if i > 20 else i % 2}


class GenartWords(tfds.core.GeneratorBasedBuilder):
    """No image."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({"note": tfds.features.Text()}))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"note": "a"}
'''


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    package = root / "genart_test_builders"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tiny.py").write_text(BUILDER)
    sys.path.insert(0, str(root))
    try:
        module = importlib.import_module("genart_test_builders.tiny")
        for cls in (module.GenartTiny, module.GenartMute, module.GenartWords, module.GenartPart, module.GenartLate):
            cls(data_dir=str(root / "data"), file_format="array_record").download_and_prepare()
    finally:
        sys.path.remove(str(root))
    return root / "data"


@pytest.fixture(autouse=True)
def offline(prepared, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))


def opened(name, **options):
    return open_source(Data(source=f"tfds:{name}", **options))


def rows(split):
    return [int(image[0, 0, 0]) for image in split.arrays["image"]]


def test_train_and_test(prepared):
    source = opened("genart_tiny", image_size=(8, 6))
    assert source.image_shape == (8, 6, 3)
    assert sorted(rows(source.train)) == list(range(20))
    assert sorted(rows(source.test)) == list(range(20, 25))
    assert source.class_names == {"label": ("even", "odd"), "group": ("0", "1", "2")}
    for split in (source.train, source.test):
        assert split.arrays["image"].dtype == np.uint8
        assert split.arrays["label"].tolist() == [i % 2 for i in rows(split)]
        assert split.arrays["group"].tolist() == [i % 3 for i in rows(split)]
    assert source.report[0].endswith("20 train, 5 test, 8x6x3, conditions label (2), group (3)")
    assert "label (train + test): even 10 + 3, odd 10 + 2" in source.report
    assert source.fingerprint == opened("genart_tiny", image_size=(8, 6)).fingerprint
    assert "tensorflow" not in sys.modules


def test_channels_and_default_size():
    assert opened("genart_tiny", channels=1).image_shape == (64, 64, 1)


@pytest.mark.parametrize("limit", [2048, 0])
def test_held_out_share_of_the_test_split(limit):
    source = opened("genart_tiny:test", image_size=(4,), memory_limit_mb=limit)
    read = [[int(x["image"][0, 0, 0]) for x in examples(s)] for s in (source.train, source.test)]
    assert sorted(read[0] + read[1]) == list(range(20, 25))
    assert read[1]
    assert any("held out" in line for line in source.report)


def examples(split):
    if split.read is not None:
        return [split.read(i) for i in range(split.size)]
    return [{"image": image} for image in split.arrays["image"]]


def test_split_expressions_and_versions():
    assert opened("genart_tiny:train[:50%]", image_size=(4,)).train.size == 10
    assert opened("genart_tiny:1.2.0", image_size=(4,)).train.size == 20
    assert opened("genart_tiny:1.2.0:train[:25%]", image_size=(4,)).train.size == 5
    assert opened("genart_tiny:train+test", image_size=(4,)).test.size < 25


def test_unlabelled_test_split_is_not_used():
    source = opened("genart_mute", image_size=(4,))
    assert source.train.size + source.test.size == 20
    assert source.test.arrays["label"].min() >= 0
    assert any("has no labels" in w for w in source.warnings)


@pytest.mark.parametrize("limit", [2048, 0])
def test_more_than_one_record_says_what_is_labelled(limit):
    """Neither the first alone nor any: what no picture has is no condition, what some lack is said."""
    source = opened("genart_part", image_size=(4,), memory_limit_mb=limit)
    assert source.class_names == {"label": ("even", "odd")}
    assert (source.train.size, source.test.size) == (20, 5)
    assert source.warnings == (
        "no picture of train has a group: it is no condition",
        "20.0% of test have no label: they count in none of its figures",
    )
    late = opened("genart_late", image_size=(4,), memory_limit_mb=limit)
    assert (late.train.size, late.test.size) == (20, 5)
    assert late.warnings == ("80.0% of test have no label: they count in none of its figures",)
    if not limit:
        return
    assert sorted(source.test.arrays["label"].tolist()) == [-1, 0, 0, 1, 1]
    assert any("label (train + test): even 10 + 2, odd 10 + 2; unlabelled 0 + 1" in line for line in source.report)


def test_a_split_without_labels_has_no_conditions():
    source = opened("genart_mute:test", image_size=(4,))
    assert source.class_names == {"group": ("0", "1", "2")}
    assert source.spec.conditions == (("group", 3),)


def test_streamed_equals_in_memory():
    memory, stream = (opened("genart_tiny", image_size=(8,), memory_limit_mb=m) for m in (2048, 0))
    assert stream.train.arrays == {}
    assert stream.spec == memory.spec
    loaders = [pipeline.make_loader(source.train, 3, 6) for source in (memory, stream)]
    for step in range(5):
        a, b = (loader.materialize(loader.constants, loader.next(step)) for loader in loaders)
        np.testing.assert_array_equal(a["image"], b["image"])
        assert sorted(a) == sorted(b) == ["group", "image", "label"]
        np.testing.assert_array_equal(a["group"], b["group"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("genart_tiny:vlaidation", "split 'vlaidation' is unknown or empty; there are train, test"),
        ("genart_tiny:train[3:", "unknown or empty"),
        ("genart_tiny:train[:0]", "unknown or empty"),
        ("genart_tiny:9.9.9", "there is 1.2.0"),
        ("genart_words", "has no image"),
        ("../elsewhere", "not a name"),
        ("a b", "not a name"),
    ],
)
def test_errors(name, message):
    with pytest.raises(UserError, match=message) as error:
        opened(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["mnist", "cifar10:train", "genart_tiny/config"])
def test_unprepared_fails_at_once(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # not even imported
    monkeypatch.setattr(tfds, "_installed", lambda module: True)
    with pytest.raises(UserError, match=r"not prepared in .*file_format='array_record'\)\.download_and_prepare") as e:
        opened(name)
    assert "\n" not in str(e.value)
    assert "array_record must be installed" in str(e.value)


def test_default_folder_is_in_the_home(monkeypatch, tmp_path):
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=str(tmp_path / "tensorflow_datasets")):
        opened("genart_tiny")


def test_other_formats_are_refused(prepared, tmp_path, monkeypatch):
    copy = tmp_path / "genart_tiny" / "1.2.0"
    copy.mkdir(parents=True)
    for file in (prepared / "genart_tiny" / "1.2.0").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    info = json.loads((copy / "dataset_info.json").read_text())
    (copy / "dataset_info.json").write_text(json.dumps(info | {"fileFormat": "tfrecord"}))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match="prepared as tfrecord, which needs TensorFlow"):
        opened("genart_tiny")


def test_configs(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    for config in ("big", "small"):
        copy = tmp_path / "genart_tiny" / config / "1.2.0"
        copy.mkdir(parents=True)
        for file in (prepared / "genart_tiny" / "1.2.0").iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        if config == "big":
            assert opened("genart_tiny", image_size=(4,)).train.size == 20
    with pytest.raises(UserError, match="choose one of tfds:genart_tiny/big, tfds:genart_tiny/small"):
        opened("genart_tiny")
    assert opened("genart_tiny/small", image_size=(4,)).train.size == 20


@pytest.mark.parametrize("module", ["tensorflow_datasets", "array_record", "importlib_resources"])
def test_missing_extra(module, monkeypatch):
    monkeypatch.setattr(tfds, "_installed", lambda name: name != module)
    with pytest.raises(UserError, match=rf'{module} is not installed: pip install "genart_jax\[data\]"'):
        opened("genart_tiny")
