"""Contents in styles by one pass, with tiny networks as they are initialised; and the command."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.steps.pixels import luminance
from genart_jax.train.checkpoint import Model
from genart_jax.use import several, styles, tiles, trained
from genart_jax.use.painters import Brush
from tests import zoo

RNG = np.random.default_rng(0)
NAMES = "great wave", "poppies", "wave, small"


@functools.cache
def found(method):
    options = {} if method == "adain" else {"conditions": (("style", 3),)}
    algorithm = zoo.tiny(method, **options)
    state = zoo.start(algorithm, jax.random.key(1), zoo.full_batch(algorithm, 2))
    if method == "multistyle":  # with styles of their own
        keys = iter(jax.random.split(jax.random.key(2), 100))
        tables = lambda path, x: x + 0.3 * jax.random.normal(next(keys), x.shape) if "norm" in str(path) else x
        state = state.replace(params=jax.tree_util.tree_map_with_path(tables, state.params))
    run = ga.configure(ga.get_config(method, "tiny"), image_shape=zoo.SHAPE, other_shape=zoo.SHAPE, **options)
    return trained.Found(Model(algorithm, state), run, () if method == "adain" else NAMES)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(trained, "find", lambda method, network=None: found(method))
    monkeypatch.setattr(trained, "_STYLE", 16)


def picture(height, width):
    """Smooth enough to be something like a picture."""
    blocks = RNG.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))


CONTENT, STYLES = picture(24, 32), [picture(16, 16), picture(20, 30)]
CHOSEN = {"adain": STYLES, "multistyle": ["poppies", 2]}
METHODS = ["adain", "multistyle"]


def made(method, style, content=CONTENT, **options):
    painted = ga.stylize(content, style, method=method, **options)
    return [*map(np.asarray, painted)] if isinstance(painted, list) else np.asarray(painted)


def differ(a, b):
    return np.abs(a.astype(int) - b).mean()


@pytest.mark.parametrize("method", METHODS)
def test_styles_are_mixed_by_weights_and_by_masks(method):
    one, two = (made(method, style) for style in CHOSEN[method])
    assert one.shape == CONTENT.shape
    assert one.dtype == np.uint8
    assert differ(one, two) > 1
    np.testing.assert_array_equal(made(method, CHOSEN[method], mix=[1, 0]), one)
    np.testing.assert_array_equal(made(method, CHOSEN[method], mix=[0, 3]), two)
    half = made(method, CHOSEN[method])
    assert min(differ(half, one), differ(half, two)) > 0.3
    left = np.zeros((12, 16), np.uint8)
    left[:, :8] = 255
    everywhere, nowhere = np.full_like(left, 255), np.zeros_like(left)
    np.testing.assert_array_equal(made(method, CHOSEN[method], masks=[everywhere, nowhere]), one)
    np.testing.assert_array_equal(made(method, CHOSEN[method], masks=[nowhere, nowhere]), CONTENT)
    apart = made(method, CHOSEN[method], masks=[left, 255 - left])
    assert differ(apart[:, :4], one[:, :4]) < differ(apart[:, :4], two[:, :4])
    assert differ(apart[:, -4:], two[:, -4:]) < differ(apart[:, -4:], one[:, -4:])
    alone = made(method, CHOSEN[method][0], masks=[left])
    np.testing.assert_array_equal(alone[:, -12:], CONTENT[:, -12:])
    assert differ(alone[:, :12], CONTENT[:, :12]) > 1


@pytest.mark.parametrize("method", METHODS)
def test_colours_are_kept(method):
    kept = made(method, CHOSEN[method][0], keep_color=True)
    change = kept.astype(int) - CONTENT
    inside = ((kept > 0) & (kept < 255)).all(-1)
    assert np.ptp(change, axis=-1)[inside].max() <= 1  # one number for red, green and blue
    assert np.abs(change).mean() > 1
    grey = luminance(ga.to_float(CONTENT))
    np.testing.assert_allclose(grey[..., 0], grey[..., 2])


def test_a_strength_of_nothing():
    np.testing.assert_array_equal(made("multistyle", 1, strength=0.0), CONTENT)
    algorithm, state = found("adain").model
    code = ga.run(algorithm, state, "features", ga.to_float(CONTENT[None]))[0]
    rebuilt = ga.to_uint8(ga.run(algorithm, state, "decoder", code)[0][0])
    np.testing.assert_allclose(made("adain", STYLES[0], strength=0.0).astype(int), rebuilt, atol=1)


@pytest.mark.parametrize("method", METHODS)
def test_tiled_equals_the_whole(method):
    """Away from the borders, where a piece sees the padding of the network: given the moments of the whole."""
    painter = trained.painter(method, CHOSEN[method][:1])
    content, share = ga.to_float(picture(48, 112)[None]), jnp.ones((1, 1))
    brush = Brush(painter.styles(content), painter.measure(content, share))
    pixels = ga.to_uint8(content[0])
    piece = lambda part, place: ga.to_uint8(painter.paint(ga.to_float(part[None]), share, 1.0, brush))[0]
    tiled = tiles.tiled(piece, pixels, 64, painter.reach, painter.multiple)
    whole = ga.to_uint8(painter.paint(content, share, 1.0, brush))[0]
    assert painter.reach < 32
    np.testing.assert_allclose(tiled.astype(int), whole, atol=1)
    np.testing.assert_allclose(whole.astype(int), made(method, CHOSEN[method][0], pixels), atol=1)


@pytest.mark.parametrize("method", METHODS)
def test_large_pictures_are_painted_in_pieces(method, monkeypatch):
    large = picture(50, 90)
    whole = made(method, CHOSEN[method][0], large)
    monkeypatch.setattr(styles, "_WHOLE", 64)
    monkeypatch.setattr(styles, "_PIECE", 64)
    pieces = made(method, CHOSEN[method][0], large)
    assert pieces.shape == large.shape
    # Moments of a reduced picture are near those of the picture.
    assert differ(pieces, whole) < 0.5 * differ(whole, large)


def test_sizes_lists_and_forms_of_pictures(tmp_path):
    grey = Image.fromarray(CONTENT).convert("L")
    grey.getexif()[0x0112] = 6
    grey.save(tmp_path / "turned.png", exif=grey.getexif())
    several = made("multistyle", 1, [tmp_path / "turned.png", Image.fromarray(CONTENT), CONTENT], size=16 * 2)
    assert [one.shape for one in several] == [(32, 24, 3), (24, 32, 3), (24, 32, 3)]
    np.testing.assert_array_equal(several[1], several[2])
    assert made("multistyle", 1, CONTENT, size=24).shape == (18, 24, 3)
    for content, words in ((CONTENT[:8], "too small"), (CONTENT / 2, "wanted uint8"), ("none.png", "No such file")):
        with pytest.raises(ga.UserError, match=words):
            made("multistyle", 1, content)


@pytest.mark.parametrize(
    ("method", "style", "options", "words"),
    [
        ("adain", STYLES, {"mix": [1.0]}, "wanted 2 numbers"),
        ("adain", STYLES, {"mix": [0.0, 0.0]}, "of 0 and more"),
        ("adain", STYLES, {"masks": [CONTENT]}, "1 masks for 2 styles"),
        ("adain", STYLES[0], {"strength": 1.5}, "wanted 0 to 1"),
        ("adain", 3, {}, "takes pictures"),
        ("multistyle", "wave", {}, "several are so named: 0 great wave; 2 wave, small"),
        ("multistyle", "rose", {}, "none is so named: 0 great wave; 1 poppies; 2 wave, small"),
        ("multistyle", 3, {}, "none is so named"),
        ("cubist", STYLES[0], {}, "there are gatys, adain, multistyle"),
        ("gatys", STYLES, {}, "takes one content and one style"),
    ],
)
def test_mistakes_are_one_line(method, style, options, words):
    with pytest.raises(ga.UserError, match=words) as error:
        made(method, style, **options)
    assert "\n" not in str(error.value)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, pixels in {"content.png": CONTENT, "style.png": STYLES[0], "other.png": STYLES[1]}.items():
        Image.fromarray(pixels).save(name)
    return tmp_path


def test_the_command_paints_a_picture_and_writes_over_none(files, capsys):
    before = (files / "content.png").read_bytes()
    words = ["stylize", "content.png", "style.png", "--method", "adain"]
    assert main(words) == 0
    assert capsys.readouterr().out == "content-style.png\n"
    np.testing.assert_array_equal(np.asarray(Image.open("content-style.png")), made("adain", STYLES[0]))
    assert main(words) == 0
    assert capsys.readouterr().out == "content-style-2.png\n"
    for out, said in (("content.png", "is there already"), ("no/x.png", "no folder"), ("x.xyz", "FILE.png")):
        assert main([*words, "--out", out]) == 2
        assert said in capsys.readouterr().err
    assert (files / "content.png").read_bytes() == before
    more = ["content.png", "style.png", "other.png", "--mix", "1", "3", "--keep-color", "--out", "mixed.png"]
    assert main(["stylize", *more, "--method", "adain"]) == 0
    wanted = made("adain", STYLES, mix=[1, 3], keep_color=True)
    np.testing.assert_array_equal(np.asarray(Image.open("mixed.png")), wanted)
    assert main(["stylize", "content.png", "poppies", "--method", "multistyle"]) == 0
    assert (files / "content-poppies.png").exists()


def test_the_command_paints_a_folder_and_passes_over_what_is_bad(files, capsys):
    folder = files / "photos"
    folder.mkdir()
    for name in ("a.png", "c.jpg", "c.png"):
        Image.fromarray(CONTENT).save(folder / name)
    (folder / "b.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not asked for")
    words = ["stylize", "photos", "1", "--method", "multistyle"]
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert sorted(p.name for p in (files / "photos-1").iterdir()) == ["a.png", "c.jpg.png", "c.png.png"]
    assert "b.png: not a picture: passed over" in said[1]
    assert main([*words, "--out", "photos-1"]) == 2  # all are there, but for the one that cannot be read
    said = capsys.readouterr()
    assert said.out.count("is there already: passed over") == 3
    assert "no picture was made" in said.err
    assert main([*words, "--out", "photos"]) == 2
    assert "where the contents are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["content.png", "--method", "adain"], "needs a content and a style"),
        (["content.png", "style.png", "--method", "adain", "--steps", "3"], "--steps is no option of --method adain"),
        (["content.png", "style.png", "--mix", "1"], "--mix is no option of --method gatys"),
        (["content.png", "style.png", "other.png"], "several styles: --method adain"),
        (["content.png", "style.png", "--out", "style.png"], "is one of the pictures that are given"),
        (["content.png", "style.png", "--method", "cubist"], "--method"),
        (["none.png", "style.png", "--method", "adain"], "No such file"),
        (["content.png", "none.png", "--method", "adain"], "No such file"),
        (["content.png", "style.png", "--method", "adain", "--strength", "2"], "wanted 0 to 1"),
    ],
)
def test_mistakes_of_the_command(files, words, message, capsys):
    assert main(["stylize", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_networks_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.undo()
    for method, network, words in (
        ("adain", "nowhere", r"--network nowhere is no run of adain: name a run as --network \(genart train adain\)$"),
        ("multistyle", "nowhere", "or multistyle26 after: genart assets fetch multistyle26$"),
    ):
        with pytest.raises(ga.UserError, match=words):
            trained.find(method, network)
    monkeypatch.setenv("GENART_CACHE", str(tmp_path))
    with pytest.raises(ga.UserError, match="genart assets fetch multistyle26"):
        trained.find("multistyle", "multistyle26")


def test_what_belongs_to_a_content_is_kept(tmp_path):
    rgba = np.dstack([CONTENT, np.arange(CONTENT[..., 0].size).reshape(CONTENT.shape[:2]) % 256]).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010E] = "a slope"
    Image.fromarray(rgba).save(tmp_path / "a.png", exif=exif)
    made, notes = np.full((20, 24, 3), 7, np.uint8), []
    several.save(tmp_path / "b.png", tmp_path / "a.png", made, notes, compare=True)
    with Image.open(tmp_path / "b.png") as out:
        assert (out.mode, out.size) == ("RGBA", (24, 20))
        assert out.getexif()[0x010E] == "a slope"
        np.testing.assert_array_equal(np.asarray(out)[..., :3], made)
    assert (tmp_path / "b-compare.png").exists()
    assert not notes
    Image.fromarray(np.full((20, 24), 999, np.uint16)).save(tmp_path / "deep.png")
    several.save(tmp_path / "c.jpg", tmp_path / "deep.png", made, notes)
    assert "painted with 8" in notes[0]
