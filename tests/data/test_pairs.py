"""`pairs:DIR`: two aligned folders or halves, from the files to the batch; and a second set beside another."""

import jax
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.config import Data
from genart_jax.data.pipeline import make_loader, prepare
from genart_jax.data.source import absolute, example, open_source

SIZE = 12


def pictures(number, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (number, SIZE, SIZE, 3)).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def negative(pixels):
    return 255 - pixels


def write(folder, layout, number=24):
    """Pairs of a picture and its negative; the last six are for testing where the layout has splits."""
    for i, pixels in enumerate(pictures(number)):
        split, name = ("test" if i >= number - 6 else "train"), f"{i:02d}"
        if layout == "halves":
            save(folder / f"{name}.png", np.concatenate([pixels, negative(pixels)], axis=1))
        elif layout == "split halves":
            save(folder / split / f"{name}.png", np.concatenate([pixels, negative(pixels)], axis=1))
        else:
            first, second = {
                "a and b": ("a", "b"),
                "input and target": ("Input", "target"),
                "splits above": (f"{split}/a", f"{split}/b"),
                "splits below": (f"a/{split}", f"b/{split}"),
                "trainA": (f"{split}A", f"{split}B"),
            }[layout]
            save(folder / first / f"{name}.png", pixels)
            save(folder / second / f"{name}.bmp", negative(pixels))
    return folder


def opened(folder, **options):
    return open_source(Data(source=f"pairs:{folder}", image_size=(SIZE,), **options))


def rows(split):
    examples = [example(split, i) for i in range(split.size)]
    return {name: np.stack([one[name] for one in examples]) for name in examples[0]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "layout", ["a and b", "input and target", "splits above", "splits below", "trainA", "halves", "split halves"]
)
def test_every_layout_gives_the_same_pairs(tmp_path, layout, stream):
    source = opened(write(tmp_path / "set", layout), **({"memory_limit_mb": 0} if stream else {}))
    assert source.train.streamed == stream
    assert source.spec.fields["target"].shape == source.image_shape == (SIZE, SIZE, 3)
    train, test = rows(source.train), rows(source.test)
    whole = pictures(24)
    if "split" in layout or layout == "trainA":
        np.testing.assert_array_equal(train["image"], whole[:18])
        np.testing.assert_array_equal(test["image"], whole[18:])
    found = np.concatenate([train["image"], test["image"]])
    assert sorted(x.tobytes() for x in found) == sorted(x.tobytes() for x in whole)
    for part in (train, test):
        np.testing.assert_array_equal(part["target"], negative(part["image"]))


@pytest.mark.parametrize("layout", ["a and b", "halves"])
def test_both_of_a_pair_are_flipped_and_cropped_alike(tmp_path, layout):
    """To the pixel, from the files to the batch: the target stays the negative of its picture."""
    source = opened(write(tmp_path, layout))
    fields = source.spec.fields
    loader = make_loader(source.train.only(fields), 0, 16)
    raw = loader.materialize(loader.constants, loader.next(0))
    keys = jax.random.split(jax.random.key(0), 16)
    ready = jax.jit(lambda raw: prepare(raw, keys, Data(flip=True, crop=3), fields))(raw)
    plain = np.asarray(ga.to_float(raw["image"]))
    assert (np.asarray(ready["image"]) != plain).any((1, 2, 3)).sum() > 10
    np.testing.assert_allclose(ready["target"], -np.asarray(ready["image"]), atol=1e-6)


def test_pictures_of_other_sizes_are_cut_half_by_half(tmp_path):
    """A wide picture is cut before it is cropped, so that both halves lose the same."""
    wide = np.zeros((20, 120, 3), np.uint8)
    wide[:, 10:20] = wide[:, 70:80] = 200  # the same bar in both halves
    save(tmp_path / "0.png", wide)
    save(tmp_path / "1.png", wide[::-1] // 2)
    pair = example(opened(tmp_path).train, 0)
    np.testing.assert_array_equal(pair["image"], pair["target"])


def test_what_is_not_whole_is_named(tmp_path):
    write(tmp_path, "a and b")
    save(tmp_path / "a" / "alone.png", pictures(1)[0])
    save(tmp_path / "notes.png", pictures(1)[0])
    (tmp_path / "b" / "03.bmp").write_bytes(b"no picture")
    source = opened(tmp_path)
    assert source.train.size + source.test.size == 23
    text = "\n".join(source.warnings)
    assert "1 pictures have no partner of the same name and are left out: a/alone.png" in text
    assert "left out, beside the pairs or of the same name as another: notes.png" in text
    assert "1 of 24 pairs cannot be read and are left out" in text
    with pytest.raises(ga.UserError, match=r"notes\.png; mend it, or read without"):
        opened(tmp_path, strict=True)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "there are no pairs in it; wanted folders a and b"),
        (["a/0.png", "b/1.png"], "there are no pairs in it"),
        (["left/0.png", "right/0.png"], "left and right hold pictures of the same names; call the folder"),
    ],
)
def test_folders_without_pairs_are_one_line(tmp_path, names, words):
    for name in names:
        save(tmp_path / name, pictures(1)[0])
    with pytest.raises(ga.UserError, match=words) as error:
        opened(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(ga.UserError, match=r"pairs:.*nowhere: there is no such folder"):
        opened(tmp_path / "nowhere")


def test_fingerprints_know_both_pictures(tmp_path):
    first = opened(write(tmp_path / "x", "a and b")).fingerprint
    assert opened(write(tmp_path / "y", "input and target")).fingerprint == first
    save(tmp_path / "x" / "b" / "05.bmp", pictures(1, seed=9)[0])
    assert opened(tmp_path / "x").fingerprint != first
    assert absolute("pairs:x").startswith("pairs:/")


def test_a_second_set_is_a_field_and_counts_in_the_fingerprint(tmp_path):
    write(tmp_path / "pairs", "a and b")
    for i, pixels in enumerate(pictures(40, seed=5)):
        save(tmp_path / "others" / f"{i}.png", pixels)
    data = Data(source=f"pairs:{tmp_path / 'pairs'}", other=f"folder:{tmp_path / 'others'}", image_size=(SIZE,))
    source = open_source(data)
    alone = opened(tmp_path / "pairs")
    assert [*source.spec.fields] == ["image", "target", "other"]
    assert source.fingerprint != alone.fingerprint
    assert source.train.other.size > source.train.size
    assert any(line.startswith("other: folder:") for line in source.report)
    save(tmp_path / "others" / "0.png", pictures(1, seed=6)[0])
    assert open_source(data).fingerprint != source.fingerprint
    batch = next(ga.open_data(data).batches(8))
    loader = make_loader(source.train, 0, 8)
    raw = loader.materialize(loader.constants, loader.next(0))
    assert batch["other"].shape == (8, SIZE, SIZE, 3)
    np.testing.assert_allclose(batch["target"], ga.to_float(raw["target"]))
    with pytest.raises(ga.UserError, match="no such folder"):
        open_source(Data(source="emoji", other=f"folder:{tmp_path / 'nowhere'}"))
