"""What is held out of the training split, and the table of what classifiers reach."""

import numpy as np
import pytest

import genart_jax as ga
from benchmarks import classifiers
from genart_jax.data import emoji


def test_no_drawing_is_trained_on_and_held_out():
    data, art = ga.open_data("emoji"), emoji.read(32)
    out = classifiers.held_out(data)
    names = np.char.replace(art.name[~art.test], "-facing-right", "")
    assert len(out) == len(data.train) == len(names)
    assert 0.08 < out.mean() < 0.12
    assert not set(names[out]) & set(names[~out])
    opened = classifiers.parted(data)
    parted = opened.source
    assert len(opened.train) == (~out).sum()  # what PyTorch's copy reads
    np.testing.assert_array_equal(opened.test.arrays["image"], data.train.arrays["image"][out])
    assert (parted.train.size, parted.test.size) == ((~out).sum(), out.sum())
    assert parted.fingerprint != data.source.fingerprint


def test_the_table_says_one_accuracy_or_several(tmp_path):
    one = {"accuracy": 0.9, "balanced_accuracy": 0.8}
    several = {"accuracy": 0.9, "joint_accuracy": 0.6} | {
        f"{kind}_{head}": 0.7 for kind in ("accuracy", "balanced_accuracy") for head in ("hair", "glasses")
    }
    out = tmp_path / "page.md"
    classifiers.known(out, "avatars", "1", {"curve": [(2.0, several)], "test": several, "measured": "one machine"})
    trained = {"curve": [(0.5, one), (1.0, one)], "test": one, "measured": "another"}
    page = classifiers.table(classifiers.known(out, "fashion", "0", trained))
    assert page.index("| fashion |") < page.index("| avatars |")
    assert "Measured on another.\nMeasured on one machine." in page
    assert "| fashion | 0 | 1.0 | 90.00 (80.00) | 90.00 (80.00) | 90.0 at 0.5, 90.0 at 1.0 |" in page
    assert "hair 70.0 (70.0), glasses 70.0 (70.0), all 90.00, together 60.00" in page


@pytest.mark.parametrize("mixed", [False, True])
def test_pytorch_trains_the_same_network(mixed):
    """Two heads: as many parameters, and away from chance where one picture says all, by its moving averages."""
    pytest.importorskip("torch")
    from benchmarks import classifiers_torch

    rng = np.random.default_rng(0)
    style, shape = rng.integers(0, 2, 64), rng.integers(0, 3, 64)
    images = np.zeros((64, 16, 16, 3), np.uint8)
    images[..., 0], images[..., 1] = (255 * style)[:, None, None], (120 * shape)[:, None, None]
    data = ga.open_data({"train": {"image": images, "style": style, "shape": shape}} | {
        "test": {"image": images[:20], "style": style[:20], "shape": shape[:20]}})  # fmt: skip
    train = {"steps": 60, "batch": 32, "eval_every": 30}
    step = {"cutmix": 1.0, "mirror": True} if mixed else {}
    run = ga.configure(
        "simple_cnn", preset="normed", features=(4, 4), conditions=(("style", 2), ("shape", 3)),
        image_shape=(16, 16, 3), data={"flip": True, "crop": 1}, train=train, optimizer={"warmup_steps": 5}, step=step,
    )  # fmt: skip
    found = classifiers_torch.trained(run, data, data.test)
    assert [set(figures) >= {"accuracy_style", "balanced_accuracy_shape"} for _, figures in found["curve"]] == [
        True
    ] * 2
    assert found["test"]["accuracy"] > 0.9
    assert found["test"]["joint_accuracy"] <= found["test"]["accuracy_shape"]


def test_pytorchs_boxes_of_a_neighbour_count_by_their_area():
    torch = pytest.importorskip("torch")
    from benchmarks import classifiers_torch

    images = torch.arange(8.0)[:, None, None, None].expand(8, 3, 10, 12)
    labels = torch.tensor([list(range(8)), [0, 1] * 4])
    mixed, targets = classifiers_torch._mixed(images, labels, [8, 2], 1.0, np.random.default_rng(0))
    for i in range(8):
        shares = torch.stack([(mixed[i] == j).float().mean() for j in range(8)])
        torch.testing.assert_close(targets[0][i], shares)
        torch.testing.assert_close(targets[1][i], torch.stack([shares[::2].sum(), shares[1::2].sum()]))
    assert 0.2 < targets[0].max(1).values.mean() < 1


def test_a_recipe_from_training_to_its_row(tmp_path, monkeypatch):
    recipe = {"source": "emoji", "preset": "tiny", "conditions": ("style", "shape")}
    monkeypatch.setitem(classifiers.RECIPES, "few_steps", recipe)
    page = tmp_path / "page.md"
    words = ["--runs", str(tmp_path / "runs"), "--recipes", "few_steps", "--seeds", "0", "--out", str(page)]
    classifiers.main(words)
    first = page.read_text()
    assert first.count("together") == 3  # what the page says, held out, test
    monkeypatch.setitem(classifiers.RECIPES, "few_steps", recipe | {"step": {"mirror": True}})
    classifiers.main([*words, "--again"])
    rows = [text.splitlines()[6].split("|") for text in (first, page.read_text())]
    assert rows[0][1:4] == rows[1][1:4]  # the training is as it was
    assert rows[0][4:6] != rows[1][4:6]  # what is seen is not
