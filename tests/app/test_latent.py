"""`genart latent` and what `genart sample` has to do with latents, as a user types them."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genart_jax.app.cli import main
from genart_jax.data import provenance

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A conditional GAN and a tokenizer that come with the tests; the VAE is one that comes with the package."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("dcgan", "vqvae"):
        with zipfile.ZipFile(GOLDEN / f"{name}.zip") as archive:
            archive.extractall(root)
    return root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))  # without weights: nothing perceptual


@pytest.fixture
def said(capsys):
    def call(*words, code=0):
        capsys.readouterr()
        assert main([str(word) for word in words]) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        if code:
            (line,) = err.splitlines()
            return line
        return out.splitlines()

    return call


def test_ways_between_pictures(runs, said, tmp_path):
    gan = runs / "dcgan"
    png, gif = map(Path, said("latent", gan, "interpolate", "--seeds", "0", "0:5", "3", "--frames", "4"))
    assert (png.parent, png.name) == (gan / "latent", "interpolate_0_0-5_3.png")
    with Image.open(gif) as moving:
        assert moving.n_frames == 2 * 7 - 2
    first = png.read_bytes()
    assert said("latent", gan, "interpolate", "--seeds", "0", "0:5", "3", "--frames", "4") == [str(png), str(gif)]
    again, _ = said("latent", gan, "interpolate", "--seeds", "0", "0:5", "3", "--frames", "4", "--way", "lerp")
    assert Path(again).name == "interpolate_0_0-5_3-2.png"
    assert png.read_bytes() == first
    out = said("latent", gan, "interpolate", "--frames", "3", "--out", "x.png", "--save", "x.npz")
    assert out == ["x.npz", "x.png", "x.gif"]
    with np.load("x.npz") as file:
        assert file["latents"].shape == (9, 8)
        assert file["condition_style"].shape == (9,)
    line = said("latent", gan, "interpolate", "--out", "x.png", code=2)
    assert line == "genart: x.png is there already; name another"


def test_directions_are_found_saved_and_gone_along(runs, said):
    gan = runs / "dcgan"
    lines = said("latent", gan, "directions", "--count", "2", "--frames", "3", "--save", "d.npz", "--out", "d.png")
    assert [line.split()[0] for line in lines] == ["sefa:0", "sefa:1", "d.npz", "d.png", "d.gif"]
    files = said("latent", gan, "traverse", "--along", "d.npz:1", "dim:3", "truncation", "--frames", "3")
    assert [Path(file).suffix for file in files] == [".png", ".gif"]
    with Image.open(files[1]) as moving:
        assert moving.n_frames == 2 * 3 - 2
    line = said("latent", gan, "traverse", "--along", "style=noto", code=2)
    assert "dcgan is given its conditions beside z" in line


def test_a_picture_s_latent_is_found_again(runs, said):
    gan = runs / "dcgan"
    said("sample", gan, "--num", "3", "--out", "pictures", "--save", "z.npz")
    said("sample", gan, "--from", "z.npz", "--out", "again.npz")
    with np.load("again.npz") as file:
        recalled = file["images"]
    pictures = sorted(Path("pictures").iterdir())
    drawn = np.stack([np.asarray(Image.open(path)) for path in pictures])
    assert np.abs(recalled.astype(int) - drawn).max() <= 1
    few = ["--steps", "3", "--candidates", "8", "--starts", "2"]
    lines = said("latent", gan, "project", pictures[1], *few, "--out", "p.png", "--save", "p.npz")
    assert [line.split()[0] for line in lines] == ["start", "start", "p.npz", "p.png"]
    assert "pixels 0." in lines[0]
    said("latent", gan, "interpolate", "--from", "p.npz", "--pick", "1", "0", "--frames", "2")
    assert "there is no latent 2; there are 0 to 1" in said(
        "latent", gan, "mix", "--from", "p.npz", "--pick", "2", code=2
    )
    assert said("sample", gan, "--num", "3", "--save", "z.npz", "--seed", "1", code=2).endswith("name another")


def test_pictures_say_that_they_are_generated(runs, said):
    for more, told in (((), "dcgan"), (("--no-provenance",), None)):
        (table,) = said("latent", runs / "dcgan", "mix", "--out", f"{told}.png", *more)
        png, _ = said("sample", runs / "dcgan", "--num", "2", "--sheet", "--out", f"sheet{told}.png", *more)
        for file in (table, png):
            about = provenance.read(file)
            assert (about and about.model) == told


def test_mixing(runs, said):
    (table,) = said("latent", runs / "dcgan", "mix", "--seeds", "0", "1", "--columns", "2", "3", "4")
    assert Path(table).name == "mix_0_1_2_3_4.png"
    assert Image.open(table).width > 4 * 64
    (sums,) = said("latent", runs / "dcgan", "mix", "--seeds", "0", "1", "--add", "2", "--subtract", "3:1")
    assert Path(sums).name.startswith("mix_+2-")
    words = "--add", "style=noto", "--subtract", "style=fluent-flat", "--num", "120"
    (rows,) = said("latent", "icons_vae", "mix", *words)
    assert Path(rows).parent == Path("icons_vae-results/latent")
    assert Path(rows).name.startswith("mix_+style=noto--style=fluent-flat")
    lines = said("latent", "icons_vae", "directions", "--by", "style=noto", "--num", "120", "--frames", "3")
    assert lines[0].startswith("style=noto")
    assert "parts held-out encoded training pictures" in lines[0]


def test_sprite_sheets(runs, said):
    gan = runs / "dcgan"
    png, text = map(Path, said("sample", gan, "--num", "5", "--sheet"))
    assert (png.name, text.name) == ("sheet_seed0.png", "sheet_seed0.json")
    found = json.loads(text.read_text(encoding="utf-8"))
    assert found["meta"]["image"] == "sheet_seed0.png"
    assert len(found["frames"]) == 5
    assert Image.open(png).mode == "RGBA"
    said("sample", gan, "--num", "4", "--sheet", "--frames", "array")
    other = json.loads((gan / "samples" / "sheet_seed0-2.json").read_text(encoding="utf-8"))
    assert other["meta"]["image"] == "sheet_seed0-2.png"
    assert [one["filename"][:6] for one in other["frames"]] == [f"{i:05d}_" for i in range(4)]
    assert said("sample", gan, "--num", "2", "--sheet", "--out", "s.png") == ["s.png", "s.json"]
    assert said("sample", gan, "--num", "3", "--sheet", "--out", "s.png", code=2).endswith("name another")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dcgan",), "say what to do, as in genart latent RUN interpolate: there are interpolate, traverse"),
        (("dcgan", "traverze"), "'traverze' is unknown; did you mean traverse?"),
        (("nowhere", "mix"), "nowhere is not a run, it has no config.json"),
        (("vqvae", "mix"), "the latents of vqvae are codes, whole numbers with nothing between them"),
        (("dcgan", "project"), "project needs a picture"),
        (("dcgan", "project", "none.png"), "none.png: No such file"),
        (("dcgan", "interpolate", "--seeds", "-1", "0"), "seed"),
        (("dcgan", "interpolate", "--seeds", "0"), "two latents or more"),
        (("dcgan", "interpolate", "--seeds", "0:x", "1"), "seed '0:x': write SEED, or SEED:INDEX"),
        (("dcgan", "traverse", "--along", "dim:8"), "there is no dim:8; the latents have dim:0 to dim:7"),
        (("dcgan", "traverse", "--layers", "0:2"), "has no layers with codes of their own"),
        (("dcgan", "traverse", "--space", "w"), "has no mapping network, and so no space w; it has z"),
        (("dcgan", "traverse", "--truncation", "2"), "truncation 2: wanted 0 to 1.5"),
        (("dcgan", "directions", "--count", "9"), "9 directions: the latents have 1 to 8"),
        (("dcgan", "mix", "--condition", "style=oil"), "condition style=oil is no class"),
        (("dcgan", "mix", "--from", "none.npz"), "none.npz: No such file"),
        (("dcgan", "mix", "--pick", "0"), "--pick chooses from the latents of --from"),
        (("dcgan", "mix", "--add", "style=noto"), "dcgan does not encode pictures"),
        (("dcgan", "mix", "--save", "z.txt"), "--save z.txt: name FILE.npz"),
        (("dcgan", "mix", "--out", "z.jpg"), "--out z.jpg: name FILE.png"),
    ],
)
def test_mistakes_get_a_line(runs, said, words, message):
    name, *rest = words
    line = said("latent", runs / name if (runs / name).exists() else name, *rest, code=2)
    assert message.replace("RUN", str(runs / "dcgan")) in line
