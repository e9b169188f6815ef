"""Models from pictures to pictures as they come with a package: small, alone, and asked for by name."""

import shutil

import jax
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.config.saved import Saved
from genart_jax.runtime import packaged
from genart_jax.train.checkpoint import Model
from genart_jax.use import hub, transform
from tests import zoo

DATA = {"fingerprint": "f", "sizes": [8, 8], "class_names": {}, "condition_table": [], "id": "0123"}
FREE = "photos:free:128"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of models, exported from states as they are initialised."""
    place = tmp_path_factory.mktemp("trained")

    def share(name, model, source=FREE, other="", names=None, **options):
        options = {"image_shape": zoo.SHAPE, **options}
        run = ga.configure(ga.get_config(model, "tiny"), data={"source": source, "other": other}, **options)
        alg = ga.build(run, class_names=names or {})
        state = zoo.start(alg, jax.random.key(0), zoo.full_batch(alg, 2))
        made = Model(alg, state, Saved(run, DATA | {"source": source, "class_names": names or {}}), None, "5e")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hub, "load", lambda run: made)
            hub.export_folder("run", place / name)

    alone = {"step": {"perceptual_weight": 0.0, "adversarial_weight": 0.0}}
    share("enlarge", "super_resolution", **alone)
    share("enlarge_x4", "super_resolution", scale=4, **alone)
    shape = {"other_shape": zoo.SHAPE, "features": "asset:vgg19"}
    share("adain", "adain", "paintings:all:128", FREE, **shape)
    names = {"painting": ("wave", "poppies")}
    share("multistyle", "multistyle", "paintings:all:128", FREE, names, label="painting",
          conditions=(("painting", 2),), **shape)  # fmt: skip
    return place


@pytest.fixture(autouse=True)
def here(root, tmp_path, monkeypatch):
    """In an empty folder, with nothing fetched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packaged, "root", lambda: root)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save("photo.png")


def size(file):
    with Image.open(file) as image:
        return image.size


def test_a_sister_enlarges_by_what_is_asked_for(root, monkeypatch):
    assert packaged.at_scale("enlarge", 4) == "enlarge_x4"
    assert packaged.at_scale("enlarge", 2) == packaged.at_scale("enlarge", 0) == "enlarge"
    assert packaged.at_scale(str(root / "enlarge"), 4) == str(root / "enlarge")
    assert main(["transform", "enlarge", "photo.png", "--scale", "4", "--out", "large.png"]) == 0
    assert size("large.png") == (96, 80)
    taken = []
    monkeypatch.setattr(transform, "load", lambda name: taken.append(name) or ga.load(name))
    assert ga.transform("enlarge", "photo.png", scale=4).shape == (80, 96, 3)
    assert taken == ["enlarge_x4"]


def test_a_folder_of_ones_own_comes_first(root):
    """It has the name of a model of the package: its scale is its own, in two goes."""
    shutil.copytree(root / "enlarge", "enlarge")
    assert packaged.at_scale("enlarge", 4) == "enlarge"


def test_cards_say_what_is_not_in_there_and_whose_the_data_was(root):
    card = (root / "enlarge" / "README.md").read_text()
    assert "license: apache-2.0\n" in card
    assert "photos:free:128: public domain and CC0, per file." in card
    assert 'ga.transform("enlarge", "photo.jpg")' in card
    card = (root / "adain" / "README.md").read_text()
    assert "license: other\n" in card
    assert "reproductions: GPL-3+; photos:free:128: public domain and CC0, per file." in card
    assert "Not in here: features, which is vgg19 (`genart assets fetch vgg19`)." in card
    assert 'ga.stylize("photo.jpg", "style.jpg", method="adain", network="adain")' in card
    card = (root / "multistyle" / "README.md").read_text()
    assert 'ga.stylize("photo.jpg", "wave", method="multistyle", network="multistyle")' in card


def test_what_needs_no_published_weights_does_without(caplog, capsys):
    """`multistyle` is trained by VGG19 and paints without it; nothing is said of what is not needed."""
    assert main(["stylize", "photo.png", "poppies", "--method", "multistyle", "--out", "painted.png"]) == 0
    assert size("painted.png") == (24, 20)
    assert capsys.readouterr().err == ""
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_what_needs_published_weights_says_which(capsys):
    assert main(["stylize", "photo.png", "photo.png", "--method", "adain"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "'features' is vgg19, whose weights are not at hand: genart assets fetch vgg19" in line
    alg, state = ga.load("adain")
    with pytest.raises(ga.UserError, match="whose weights are not at hand"):
        alg.uses["stylize"].function(state, *[np.zeros((1, *zoo.SHAPE), np.float32)] * 2)
