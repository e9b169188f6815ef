"""`ga.open_data`: arrays of one's own, the trainer's order, sheets, and training on what was given in Python."""

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.data.pipeline import make_loader
from genart_jax.data.source import open_source


def arrays(n=40, size=8, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (n, size, size, channels)).astype(np.uint8),
        "label": rng.integers(0, 3, n),
    }


def test_arrays_become_a_source_with_a_tenth_held_out_by_content():
    given = arrays(200)
    data = ga.open_data(given, class_names={"label": ("a", "b", "c")})
    assert data.train.size + data.test.size == 200
    assert 8 <= data.test.size <= 35
    assert data.class_names == {"label": ("a", "b", "c")}
    assert data.spec == ga.BatchSpec((8, 8, 3), (("label", 3),))
    # The same pictures are held out whatever their order.
    turned = ga.open_data({name: values[::-1] for name, values in given.items()})
    np.testing.assert_array_equal(turned.test.arrays["image"][::-1], data.test.arrays["image"])
    assert turned.class_names == {"label": ("0", "1", "2")}
    whole = ga.open_data({"train": given, "test": arrays(5, seed=1)})
    assert (whole.train.size, whole.test.size) == (200, 5)


def test_float_pictures_are_kept_as_bytes_and_come_back():
    images = np.asarray(ga.to_float(arrays(20)["image"]))
    data = ga.open_data(images, test_fraction=0.0)
    assert data.train.arrays["image"].dtype == np.uint8
    (batch,) = data.batches(data.train.size, epochs=1)
    np.testing.assert_allclose(np.sort(batch["image"].ravel()), np.sort(images[1:].ravel()), atol=0.2)
    assert batch["image"].dtype == np.float32


def test_batches_come_in_the_trainers_order():
    data = ga.open_data(arrays())
    split = data.source.train
    loader = make_loader(split, 3, 16)
    for step, batch in zip(range(7), data.batches(16, seed=3), strict=False):
        wanted = loader.materialize(loader.constants, loader.next(step))
        np.testing.assert_array_equal(batch["image"], ga.to_float(wanted["image"]))
        np.testing.assert_array_equal(batch["condition"]["label"], wanted["label"])
        assert batch["condition"]["label"].dtype == np.int32
    # Two epochs hold 2n // 16 batches, and show every example once each.
    n = data.train.size
    twice = list(data.batches(n, epochs=2))
    assert len(twice) == 2
    assert len(list(data.batches(16, epochs=2))) == 2 * n // 16
    for batch in twice:
        np.testing.assert_array_equal(np.sort(batch["image"].ravel()), np.sort(twice[0]["image"].ravel()))


def test_every_source_is_opened_and_shown(tmp_path):
    emoji = ga.open_data("emoji")
    assert emoji.train.size == 6991
    assert emoji.class_names["style"][0] == "noto"
    assert next(emoji.batches(4))["condition"].keys() == {"style", "shape", "color"}
    sheet = emoji.show(num=6, columns=3)
    assert sheet.size[0] > 3 * 64
    with pytest.raises(ga.UserError, match="no split 'validation'; there are train, test"):
        emoji.show("validation")
    assert ga.open_data(emoji) is emoji


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((4, 8, 8)), "got shape .4, 8, 8."),
        (np.full((4, 8, 8, 3), 3.0), r"in \[3.0, 3.0\], wanted uint8, or float in \[-1, 1\]"),
        (np.zeros((4, 8, 8, 3), np.int64), "got int64"),
        ({"label": np.zeros(4, int)}, "no 'image' among label"),
        ({"image": np.zeros((4, 8, 8, 3), np.uint8), "label": np.zeros(3, int)}, "wanted one class an example"),
        ({"image": np.zeros((4, 8, 8, 3), np.uint8), "label": np.zeros(4)}, "float64, wanted one class an example"),
        ({"train": arrays(4)}, "got train, wanted train and test"),
        ({"train": arrays(4), "test": arrays(4, size=9)}, "pictures of another shape"),
        ("no-such-set", "unknown data source"),
        ("emogi", "did you mean emoji"),
    ],
)
def test_wrong_data_is_one_line(data, words):
    with pytest.raises(ga.UserError, match=words) as error:
        ga.open_data(data)
    assert "\n" not in str(error.value)


def test_wrong_words_are_one_line():
    data = ga.open_data(arrays())
    with pytest.raises(ga.UserError, match="wanted 1 to"):
        data.batches(0)
    with pytest.raises(ga.UserError, match="wanted 1 to"):
        data.batches(1000, epochs=1)
    with pytest.raises(ga.UserError, match="2 names, but there is a class 2"):
        ga.open_data(arrays(), class_names={"label": ("a", "b")})
    with pytest.raises(ga.UserError, match="option 'sise' is unknown"):
        ga.open_data("emoji", sise=3)


def test_fit_trains_on_arrays_and_goes_on_with_them(tmp_path):
    given = arrays(64, size=16, channels=1)
    run = ga.configure("tests.train.toy:Config", train={"steps": 2, "batch": 8, "sample_every": 0})
    ga.fit(run, tmp_path / "run", data=given)
    model = ga.load(tmp_path / "run")
    assert int(model.state.step) == 2
    longer = ga.configure(run, train={"steps": 3})
    with pytest.raises(ga.UserError, match=r"data=|data"):
        ga.fit(longer, tmp_path / "run", data=arrays(64, size=16, channels=1, seed=9))
    ga.fit(longer, tmp_path / "run", data=ga.open_data(given))
    assert int(ga.load(tmp_path / "run").state.step) == 3
    with pytest.raises(ga.UserError, match="given its data in Python"):
        open_source(ga.configure(run, data={"source": "arrays"}).data)
