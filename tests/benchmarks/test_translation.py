"""What translated icons are held against, and the table."""

import numpy as np

from benchmarks import translation


def fields(seed, number):
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, 256, (number, 8, 8, 3), np.uint8) for name in ("image", "target")}


def test_baselines():
    train, test = fields(0, 12), fields(1, 5)
    test["image"][2] = train["image"][7] ^ 1  # all but one of the training set
    found = translation.baselines(train, test)
    assert all(x.shape == (5, 8, 8, 3) and x.dtype == np.uint8 for x in found.values())
    squares = [[np.sum((a.astype(int) - b) ** 2) for b in train["image"]] for a in test["image"]]
    np.testing.assert_array_equal(translation.nearest(test["image"], train["image"]), np.argmin(squares, axis=1))
    np.testing.assert_array_equal(found["nearest flat icon's relief"][2], train["target"][7])
    np.testing.assert_allclose(
        found["one colour, of the training set"][0, 0, 0], train["target"].mean((0, 1, 2)), atol=0.5
    )
    np.testing.assert_allclose(found["one colour, of the flat icon"][3, 4, 4], test["image"][3].mean((0, 1)), atol=0.5)


def test_the_table():
    values = {"lpips": np.array([0.1, 0.3]), "ssim_rgb": np.array([0.5, 0.7]), "psnr_rgb": np.array([20.0, 22.0])}
    assert translation.row("ours", values) == "| ours | 0.2000 ± 0.1000 | 0.6000 ± 0.1000 | 21.00 ± 1.00 |"


def test_the_page():
    pictures = fields(0, 4)
    page = translation.page({"in": pictures["image"], "wanted": pictures["target"]}, [0, 3], scale=1, gap=2)
    assert page.size == (18, 18)
    np.testing.assert_array_equal(np.asarray(page)[10:, 10:], pictures["target"][3])
