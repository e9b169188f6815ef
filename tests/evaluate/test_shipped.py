"""Features of real icons that come with the package."""

import hashlib

import numpy as np
import pytest

import genart_jax as ga
from genart_jax import assets
from genart_jax.assets.catalogue import find
from genart_jax.evaluate import pictures, shipped
from genart_jax.evaluate.extractors import CUBIC, Extractor, make_extractor

ASSET = "efficientnet_lite0"
SETS = {("train", 2000, 0), ("train", 2000, 2000), ("test", 754, 0)}


@pytest.fixture(scope="module")
def source():
    return ga.open_data("emoji").source_for_training()


@pytest.fixture
def lite0():
    """With the weights' own SHA-256, and nothing that could be applied."""

    def apply(variables, images):
        raise AssertionError("the pictures are looked at")

    digests = "".join(digest for _, (_, digest) in sorted(find(ASSET).files.items()))
    weights = hashlib.sha256(digests.encode()).hexdigest()
    head = lambda variables, features: features[:, :10]
    return Extractor("lite0", weights, (224, 224), CUBIC, apply, head=head)


def test_what_is_written_is_read_to_float16(tmp_path):
    values = np.random.default_rng(0).uniform(0, 6, (7, 5)).astype(np.float32)
    path = shipped.write("name", values, tmp_path)
    np.testing.assert_array_equal(shipped.read("name", tmp_path), values.astype(np.float16).astype(np.float32))
    content = path.read_bytes()
    shipped.write("name", values, tmp_path)
    assert path.read_bytes() == content
    path.write_bytes(content[: len(content) // 2])
    assert shipped.read("name", tmp_path) is None
    assert shipped.read("none", tmp_path) is None


@pytest.mark.parametrize(("split", "num", "skip"), sorted(SETS))
def test_evaluation_of_the_art_set_begins_with_them(source, lite0, split, num, skip):
    rows = pictures.choose_rows(pictures.split_of(source, split), num, skip)
    found = pictures.real_features(lite0, source, split, rows)
    assert found.values.shape == (num, 1280)
    assert found.values.dtype == np.float32
    assert found.logits.shape == (num, 10)
    np.testing.assert_array_equal(found.condition["style"], pictures.split_of(source, split).arrays["style"][rows])
    assert 0 <= found.values.min() < 1 < found.values.max() < 20
    other = Extractor("lite0", "other weights", (224, 224), CUBIC, lambda variables, images: None)
    assert shipped.read(pictures.digest_of(other, source, split, rows)) is None


def test_nothing_is_left_to_make(source, lite0, monkeypatch, tmp_path):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path))
    assert pictures.unseen(lite0, source, "train", 2000, 2) == 0
    assert pictures.unseen(lite0, source, "train", 1000, 2) == 2000


def test_files_are_small_and_all_of_use():
    files = sorted(shipped.FOLDER.glob("*"))
    assert len(files) == len(SETS)
    assert all(path.stat().st_size < 4e6 for path in files)


def test_they_are_the_networks_own(source, full):
    if not (full and assets.available(ASSET)):
        pytest.skip("with --full, where lite0's weights are")
    extractor = make_extractor("lite0")
    rows = pictures.choose_rows(source.train, 2000)
    found = pictures.real_features(extractor, source, "train", rows)
    values, logits = extractor(pictures.read_rows(source.train, rows[:8]).images)
    np.testing.assert_allclose(found.values[:8], values, atol=3e-3)
    np.testing.assert_allclose(found.logits[:8], logits, atol=0.05)
