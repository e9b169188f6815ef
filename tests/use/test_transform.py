"""`genart transform`: any picture through a model, in tiles without a seam, with what belongs to the picture kept."""

import functools
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageCms

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.data import provenance, whole
from genart_jax.train.checkpoint import Model
from genart_jax.types import Translation
from genart_jax.use import anysize
from genart_jax.use.transform import Job, transform, transform_files
from tests import zoo
from tests.data.odd_pictures import RGB, encoded, png

KEY = jax.random.key(2)


@functools.cache
def model(name, moved=False):
    """An untrained model, which changes nothing, or one whose every parameter is moved."""
    algorithm = zoo.tiny(name)
    state = zoo.start(algorithm, KEY, zoo.batch(algorithm.batch_spec, 4))
    if moved:
        rng = np.random.default_rng(1)
        noise = lambda x: x + jnp.asarray(0.1 * rng.standard_normal(x.shape), jnp.float32)
        state = state.replace(params=jax.tree.map(noise, state.params), ema={})
    return Model(algorithm, state)


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 5), np.cos(y / 7), np.sin((x + y) / 9)], -1)
    return (127.5 + 100 * waves).astype(np.uint8)


def test_tiles_keep_everything_once_at_least():
    for about in (Translation(reach=5), Translation(reach=24, multiple=8), Translation(scale=2, reach=3)):
        for length in (1, 63, 64, 65, 100, 157, 300):
            side, spans = anysize.spans(length, about, core=40)
            kept = np.zeros(length, int)
            for start, low, high in spans:
                assert start % about.multiple == 0
                assert side % about.multiple == 0
                assert low == 0 or low >= about.reach or start == 0
                assert start + side >= length or high <= side - about.reach
                kept[start + low : start + high] += 1
            assert kept.all(), (about, length)


@pytest.mark.parametrize("name", ["super_resolution", "inpaint", "dehaze", "enhance", "cyclegan"])
def test_tiled_equals_whole(name):
    """Away from the lower and the right border, where small pictures are filled up."""
    algorithm, state = model(name, moved=True)
    colors, mask = smooth(150, 138), np.zeros((150, 138), bool)
    mask[60:75, 40:90] = True
    takes_mask = name == "inpaint"
    use = "back" if name == "cyclegan" else "transform"  # of its two maps, the one that is not tested elsewhere
    tiled = anysize.Tiled(model(name, moved=True), core=32, use=use)
    got = tiled(colors, mask if takes_mask else None)
    given = {"mask": jnp.asarray(mask[None, ..., None], jnp.float32)} if takes_mask else {}
    if "overview" in algorithm.uses:
        small = ga.to_float(anysize._small(colors)[None])
        given["overview"] = algorithm.uses["overview"].function(state, small)
    whole_by = jax.jit(algorithm.uses[use].function)
    all_of_it = ga.to_uint8(whole_by(state, ga.to_float(colors[None]), KEY, **given))[0]
    scale = algorithm.uses[use].translation.scale
    assert got.shape == (150 * scale, 138 * scale, 3)
    inner = np.s_[: 120 * scale, : 108 * scale]
    difference = np.abs(got[inner].astype(int) - all_of_it[inner])
    assert difference.max() <= 1  # where rounding falls the other way
    assert (difference > 0).mean() < 0.001
    assert np.abs(all_of_it[::scale, ::scale].astype(int) - colors).max() > 3, "nothing was changed"


def saved(folder, name, **how):
    path = folder / name
    Image.fromarray(RGB).save(path, **how)
    return path


def run(name, words, out=None, **job):
    return list(transform_files(model(name), name, [str(w) for w in words], out, Job(**job)))


def test_transparency_profile_and_orientation_are_kept(tmp_path):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgba = Image.fromarray(np.dstack([RGB, np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) % 256]).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a slope"
    rgba.save(tmp_path / "a.png", icc_profile=icc, exif=exif)
    ((path, out, notes),) = run("enhance", [tmp_path / "a.png"])
    assert (path, out, notes) == (tmp_path / "a.png", tmp_path / "a-enhance.png", ())
    with Image.open(out) as made:
        assert made.mode == "RGBA"
        assert made.info["icc_profile"] == icc
        assert made.getexif().get(0x0112, 1) == 1
        assert made.getexif()[0x010E] == "a slope"
        expected = np.asarray(rgba.transpose(Image.Transpose.ROTATE_270)).astype(int)
        assert np.abs(np.asarray(made).astype(int) - expected).max() <= 1
    ((_, larger, _),) = run("super_resolution", [tmp_path / "a.png"], tmp_path / "large.png")
    with Image.open(larger) as made:
        assert (made.mode, made.size) == ("RGBA", (120, 160))


def test_every_orientation_is_upright():
    from genart_jax.data.reader.convert import TURNS

    for turn in TURNS.values():
        expected = np.asarray(Image.fromarray(RGB).transpose(turn))
        np.testing.assert_array_equal(whole._turned(RGB, turn), expected)


def test_modes_and_depths(tmp_path):
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (60, 80), np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    (tmp_path / "deep_rgb.png").write_bytes(png(rng.integers(0, 65536, (20, 30, 3), np.uint16), 2))
    Image.fromarray(RGB).convert("L").save(tmp_path / "grey.jpg", quality=95)
    Image.fromarray(RGB).quantize(16).save(tmp_path / "palette.gif")
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    found = {done.path.name: done for done in run("enhance", [tmp_path], tmp_path / "out")}
    opened = {name: Image.open(done.out) for name, done in found.items()}
    np.testing.assert_array_equal(np.asarray(opened["deep.png"]), deep)
    assert opened["grey.jpg"].mode == "L"
    assert found["palette.gif"].out.suffix == ".png"
    assert opened["palette.gif"].mode == opened["cmyk.jpg"].mode == "RGB"
    assert "written with 8" in found["deep_rgb.png"].notes[0]
    assert not any(done.notes for name, done in found.items() if name != "deep_rgb.png")
    ((_, out, notes),) = run("enhance", [tmp_path / "deep.png"], tmp_path / "deep.jpg")
    assert out == tmp_path / "deep.jpg"
    assert "written with 8" in notes[0]


def test_a_bad_file_is_named_and_passed_over(tmp_path):
    (tmp_path / "b.png").write_bytes(b"no picture")
    good = saved(tmp_path, "c.png")
    bad, done, missing = run("enhance", [tmp_path / "b.png", good, tmp_path / "none.png"])
    assert bad.out is None
    assert bad.notes
    assert done.out.exists()
    assert missing.notes == ("No such file or directory",)


def test_what_a_model_of_one_size_does_not_take_is_passed_over(tmp_path):
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((20, 20), 999, np.uint16)).save(deep)
    first, second = run("pix2pix", [deep, saved(tmp_path, "c.png")])
    assert first.out is None
    assert "8 bits alone" in first.notes[0]
    assert second.out.exists()
    with pytest.raises(ga.UserError, match="8 bits alone"):
        transform(model("pix2pix"), deep)


def test_pictures_of_pillow_are_what_they_look_like():
    image = Image.fromarray(RGB)
    for mode, near in (("P", 60), ("CMYK", 1), ("RGBA", 1), ("L", 1)):
        one = image.quantize(16) if mode == "P" else image.convert(mode)
        made = transform(model("enhance"), one)
        wanted = np.asarray(one.convert("RGB") if mode in ("P", "CMYK") else one)
        assert np.abs(made.reshape(wanted.shape).astype(int) - wanted).max() <= near, mode


def test_white_may_be_0_and_depth_is_the_declared_one(tmp_path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(values).save(tmp_path / "black.tif")
    image = Image.fromarray(values)
    image.save(tmp_path / "white.tif", tiffinfo={262: 0})
    black, white = (whole.read(tmp_path / name, []).colors[..., 0] for name in ("black.tif", "white.tif"))
    np.testing.assert_array_equal(black, values)
    np.testing.assert_array_equal(white, 65535 - values)


def test_a_jpeg_without_its_end_is_taken(tmp_path):
    data = encoded(Image.fromarray(RGB), "JPEG")
    (tmp_path / "short.jpg").write_bytes(data[:-2])
    ((_, out, notes),) = run("enhance", [tmp_path / "short.jpg"])
    assert out is not None
    assert "end" in notes[0]


def test_strips_and_results_overwrite_neither_pictures_nor_masks(tmp_path):
    first, second = saved(tmp_path, "a.png"), saved(tmp_path, "a-enhance-compare.png")
    before = second.read_bytes()
    for done in run("enhance", [first, second], None, compare=True):
        assert done.out.exists()
    assert second.read_bytes() == before
    assert (tmp_path / "a-enhance-compare-2.png").exists()
    (tmp_path / "masks").mkdir()
    saved(tmp_path / "masks", "a.png")
    with pytest.raises(ga.UserError, match="is an input"):
        run("inpaint", [first], tmp_path / "masks" / "a.png", mask=tmp_path / "masks")


def test_what_is_done_stays_when_it_is_stopped(tmp_path, monkeypatch):
    first, second = saved(tmp_path, "a.png"), saved(tmp_path, "b.png")
    done = transform_files(model("enhance"), "enhance", [str(first), str(second)], None, Job())
    assert next(done).out.exists()

    def stopped(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        next(done)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-enhance.png", "a.png", "b.png"]


def test_memory_on_the_host_is_bounded(tmp_path, monkeypatch):
    """Beside what Pillow holds: what is given and what is made, and tiles."""
    Image.fromarray(np.zeros((1500, 2000, 3), np.uint8)).save(tmp_path / "large.png")
    unchanged = lambda self: lambda state, images, key, told: images
    monkeypatch.setattr(anysize.Tiled, "_compiled", property(unchanged))
    tiled = anysize.Tiled(model("super_resolution"))
    tracemalloc.start()
    try:
        tiled.about = Translation(reach=8)
        given = whole.read(tmp_path / "large.png", [])
        tiled(given.colors)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * given.colors.nbytes


def test_nothing_that_is_there_is_overwritten(tmp_path):
    first = saved(tmp_path, "a.png")
    before = first.read_bytes()
    with pytest.raises(ga.UserError, match="is an input, and is not overwritten"):
        run("enhance", [first], first)
    (tmp_path / "link.png").symlink_to(first)
    with pytest.raises(ga.UserError, match="is an input"):
        run("enhance", [first], tmp_path / "link.png")
    outs = [run("enhance", [tmp_path / "a.png"])[0].out.name for _ in range(2)]
    assert outs == ["a-enhance.png", "a-enhance-2.png"]
    into = run("enhance", [first], tmp_path)  # the folder that it lies in
    assert into[0].out.name == "a-2.png"
    assert first.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_masks(tmp_path):
    first = saved(tmp_path, "a.png")
    mask = np.zeros((60, 80), np.uint8)
    mask[20:24, 30:36] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (done,) = run("inpaint", [first], tmp_path / "filled.png", mask=tmp_path / "mask.png", compare=True)
    made = np.asarray(Image.open(done.out))
    np.testing.assert_array_equal(made[mask == 0], RGB[mask == 0])
    assert (made[mask > 0] != RGB[mask > 0]).any()
    strip = Image.open(tmp_path / "filled-compare.png")
    assert strip.size == (168, 60)
    np.testing.assert_array_equal(np.asarray(strip)[:, :80], RGB)
    Image.fromarray(mask[:30]).save(tmp_path / "short.png")
    (bad,) = run("inpaint", [first], mask=tmp_path / "short.png")
    assert "is of 30x80 pixels, the picture of 60x80" in bad.notes[0]


def test_arrays():
    np.testing.assert_allclose(transform(model("enhance"), RGB).astype(int), RGB, atol=1)
    larger = transform(model("super_resolution"), RGB[..., 0], scale=4)
    assert (larger.shape, larger.dtype) == ((240, 320), np.uint8)
    moved, still = (transform(model("enhance", moved=True), RGB, strength=s).astype(int) for s in (1.0, 0.0))
    np.testing.assert_allclose(still, RGB, atol=1)
    assert np.abs(moved - RGB).max() > 3
    half = transform(model("enhance", moved=True), RGB, strength=0.5).astype(int)
    assert np.abs(half - (moved + RGB) / 2).mean() < 1


@pytest.mark.parametrize(
    ("name", "job", "words"),
    [
        ("enhance", {"strength": 2.0}, "strength 2: wanted 0 to 1"),
        ("enhance", {"scale": 2}, "scale 2: this model enlarges by 1 alone"),
        ("super_resolution", {"scale": 3}, "scale 3: this model enlarges by 2, 4, 8"),
        ("inpaint", {}, "name a picture that is white where they are, --mask FILE"),
    ],
)
def test_jobs_that_cannot_be_done(name, job, words, tmp_path):
    with pytest.raises(ga.UserError, match=words):
        run(name, [saved(tmp_path, "a.png")], **job)


def test_a_mask_that_no_one_takes(tmp_path):
    path = saved(tmp_path, "a.png")
    with pytest.raises(ga.UserError, match="leave the mask out"):
        run("enhance", [path], mask=path)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "enhance", "--run", "r", "--preset", "tiny", "--steps", "1", "--parallel.data", "1"]) == 0
    saved(tmp_path, "a.png")
    (tmp_path / "b.jpg").write_bytes(encoded(Image.fromarray(RGB), "JPEG")[:300])
    capsys.readouterr()
    assert main(["transform", "r", "a.png", "b.jpg", "--strength", "0.5", "--compare"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'a-enhance.png'}\n" or told.out == "a-enhance.png\n"
    assert "b.jpg: passed over: " in told.err
    assert (tmp_path / "a-enhance-compare.png").exists()
    assert provenance.read("a-enhance.png").model == "enhance"
    assert provenance.read("a-enhance.png") == provenance.read("a-enhance-compare.png") == ga.load("r").provenance
    assert main(["transform", "r", "a.png", "--no-provenance", "--out", "plain.png"]) == 0
    assert provenance.read("plain.png") is None
    for words, message in (
        (["r"], "needs pictures"),
        (["r", "nothing.png"], "no picture could be read"),
        (["nowhere", "a.png"], "nowhere"),
        (["r", "a.png", "--out", "x.txt"], "name a picture file"),
        (["r", "a.png", "b.jpg", "--out", "x.png"], "name a folder, for 2 pictures"),
    ):
        assert main(["transform", *words]) == 2
        assert message in capsys.readouterr().err
