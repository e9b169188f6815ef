"""`genart explain`: each method on real runs, and what is refused."""

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.data import provenance


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of a classifier and one of a GAN, of one step each, and two pictures."""
    folder = tmp_path_factory.mktemp("explained")
    quick = {"steps": 1, "batch": 8, "sample_every": 0}
    ga.fit(ga.configure("simple_cnn", preset="tiny", label="style", train=quick), folder / "cnn")
    ga.fit(ga.configure("mlp_gan", preset="tiny", train=quick), folder / "gan")
    for i, grey in enumerate((40, 200)):
        Image.fromarray(np.full((20, 30, 3), grey, np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    ("run", "method", "pictures", "words"),
    [
        ("cnn", "integrated_gradients", 2, ["--what", "noto"]),
        ("cnn", "grad_cam++", 1, []),
        ("cnn", "neighbours", 1, ["--num", "3"]),
        ("cnn", "map", 0, []),
        ("cnn", "filters", 0, []),
        ("cnn", "visualise", 0, ["--stage", "stage_0", "--channels", "1"]),
        ("cnn", "dream", 1, ["--stage", "stage_1"]),
        ("cnn", "sanity", 1, []),
        ("gan", "saliency", 1, ["--condition", "style=noto"]),
    ],
)
def test_a_picture_is_drawn(runs, run, method, pictures, words, capsys):
    call = ["explain", str(runs / run), *(str(runs / f"{i}.png") for i in range(pictures)), "--method", method, *words]
    assert main(call) == 0
    printed = capsys.readouterr().out.splitlines()
    path = runs / run / "explain" / f"{method}.png"
    assert printed[-1] == str(path)
    assert len(printed) > 1
    with Image.open(path) as picture:
        assert min(picture.size) > 16
    generated = method in ("dream", "visualise")
    assert provenance.read(path) == (ga.load(runs / run).provenance if generated else None)
    if method in ("visualise", "filters"):  # a seed changes the one, and not the other
        before = path.read_bytes()
        assert main([*call, "--seed", "5"]) == 0
        assert path.read_bytes() == before


def test_where_a_picture_comes_from_can_be_left_out(runs, tmp_path):
    out = tmp_path / "plain.png"
    words = ["--method", "visualise", "--stage", "stage_0", "--channels", "1", "--out", str(out), "--no-provenance"]
    assert main(["explain", str(runs / "cnn"), *words]) == 0
    assert provenance.read(out) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["cnn", "--method", "saliency"], "takes a picture"),
        (["cnn", "0.png", "--method", "filters"], "takes no picture"),
        (["cnn", "0.png", "--what", "nothing"], "nothing"),
        (["cnn", "0.png", "--method", "grad_cam", "--stage", "stage_9"], "no intermediate 'stage_9'"),
        (["cnn", "--method", "ablate"], "ablate needs a generator; there are classifier"),
        (["cnn", "none.png"], "none.png"),
        (["gan", "0.png", "--role", "generator"], "no network of pictures"),
        (["cnn", "0.png", "--stage", "stage_0"], "--stage is for grad_cam"),
        (["cnn", "0.png", "--channels", "3"], "--channels is for --method visualise"),
        (["cnn", "0.png", "--num", "0"], "--num 0: wanted at least 1"),
        (["cnn", "0.png", "--out", "x.jpg"], "name FILE.png"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(runs, words, says, capsys):
    run, *rest = words
    rest = [str(runs / word) if word.endswith(".png") else word for word in rest]
    assert main(["explain", str(runs / run), *rest]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
