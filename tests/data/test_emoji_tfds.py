import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genart_jax.config import UserError
from genart_jax.data import emoji, emoji_tfds

needs_tfds = pytest.mark.skipif(emoji_tfds.tfds is None, reason="the extra data is not installed")


BLOCK = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] == {!r} else find(name, *rest)
"""


def without(module, code):
    """Runs `code` in a process in which `module` cannot be imported."""
    env = {**os.environ, "PYTHONPATH": str(Path(emoji.__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-c", BLOCK.format(module) + code], env=env, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The whole set at 32 pixels, prepared where TensorFlow cannot be imported."""
    folder = tmp_path_factory.mktemp("tfds")
    command = f"from genart_jax.data.emoji_tfds import main; sys.exit(main(['--data-dir', {str(folder)!r}]))"
    done = without("tensorflow", command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(folder / "genart_emoji" / "32px" / "1.0.0")
    return folder


@needs_tfds
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_example_comes_back(data_dir, split):
    import tensorflow_datasets as tfds

    art = emoji.read()
    rows = art.test if split == "test" else ~art.test
    read = tfds.data_source("genart_emoji/32px", split=split, data_dir=data_dir)
    assert len(read) == rows.sum()
    examples = list(read)
    key = {(int(s), str(n)): row for row, (s, n) in enumerate(zip(art.style, art.name, strict=True)) if rows[row]}
    order = [key.pop((example["style"], example["name"].decode())) for example in examples]
    assert not key  # each row once
    np.testing.assert_array_equal(np.stack([example["image"] for example in examples]), art.x[order])
    for condition in emoji.CLASS_NAMES:
        values = [example[condition] for example in examples]
        np.testing.assert_array_equal(values, getattr(art, condition)[order])


@needs_tfds
def test_features_and_class_names(data_dir):
    builder = emoji_tfds.GenartEmoji(config="32px", data_dir=data_dir)
    assert builder.info.features["image"].shape == (32, 32, 3)
    assert builder.info.features["image"].np_dtype == np.uint8
    for condition, names in emoji.CLASS_NAMES.items():
        assert tuple(builder.info.features[condition].names) == names
    assert set(emoji_tfds.GenartEmoji.builder_configs) == {"32px", "64px", "128px"}


@needs_tfds
def test_reading_needs_no_tensorflow(data_dir):
    done = without(
        "tensorflow",
        "import genart_jax.data.emoji_tfds, tensorflow_datasets as tfds\n"
        f"d = tfds.data_source('genart_emoji/32px', split='test', data_dir={str(data_dir)!r})\n"
        "print(len(d), d[0]['image'].shape)",
    )
    assert done.stdout == "754 (32, 32, 3)\n", done.stderr


@needs_tfds
def test_a_prepared_set_is_kept(data_dir):
    files = {file: file.stat().st_mtime_ns for file in data_dir.rglob("*.array_record*")}
    assert emoji_tfds.prepare(data_dir) == data_dir / "genart_emoji" / "32px" / "1.0.0"
    assert {file: file.stat().st_mtime_ns for file in data_dir.rglob("*.array_record*")} == files
    assert len(files) == 2


@needs_tfds
def test_a_missing_size_makes_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "none"))
    with pytest.raises(UserError, match="no art set of 64 pixels"):
        emoji_tfds.prepare(tmp_path / "tfds", 64)
    assert not (tmp_path / "tfds").exists()


@pytest.mark.parametrize("module", ["tensorflow_datasets", "array_record", "importlib_resources"])
def test_without_the_extra_there_is_one_line(module, tmp_path):
    done = without(
        module, f"from genart_jax.data.emoji_tfds import main; sys.exit(main(['--data-dir', {str(tmp_path)!r}]))"
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"error: {emoji_tfds._MISSING}"]
    assert 'pip install "genart_jax[data]"' in done.stderr
