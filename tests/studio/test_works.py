"""What the worker does, with real models: those that come with the package, and untrained ones."""

import io
import json
import zipfile
import zlib
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from genart_jax import assets, get_config
from genart_jax.app.studio import create, edit, forms, steer, stylise, taste, works
from genart_jax.app.studio.limits import Limits
from genart_jax.app.studio.opened import CancelledError, Task, tiles
from genart_jax.config import UserError
from genart_jax.data import provenance
from genart_jax.train.checkpoint import Model, load
from genart_jax.types import to_float
from genart_jax.use.sample import draw_samples
from tests import zoo


class Desk:
    def __init__(self):
        self.cancelled, self.said = set(), []

    def tell(self, **message):
        self.said.append(message)


@pytest.fixture(scope="module")
def icons():
    return works.opened("icons")


@pytest.fixture(scope="module")
def style():
    return works.opened("icons_style")


def task(tmp_path, model, kind, desk=None, files=None, form=None, **given):
    """A task as the server sends it: what is given, or all of `form`, is checked against the form."""
    given = given if form is None else dict(form)
    form = forms.find(model.forms(), kind, model.name)
    paths = {}
    for name, content in (files or {}).items():
        paths[name] = str(tmp_path / f"upload-{name}")
        (tmp_path / f"upload-{name}").write_bytes(content)
        given.setdefault(name, {"upload": "0" * 32})
    inputs = forms.checked(form["fields"], {k: v for k, v in given.items() if "." not in k})
    return Task("1" * 32, kind, inputs, paths, tmp_path / "out", desk or Desk())


def done(tmp_path, model, kind, **given):
    """(result, pictures as arrays)."""
    result = works.do(model, task(tmp_path, model, kind, **given))
    files = [tmp_path / "out" / one["file"] for one in result["pictures"]]
    return result, [np.asarray(Image.open(file).convert("RGB")) for file in files]


def png(size=(40, 30), **options):
    content = io.BytesIO()
    gradient = np.linspace(0, 255, size[0] * size[1] * 3).reshape(size[1], size[0], 3).astype(np.uint8)
    Image.fromarray(gradient).save(content, "PNG", **options)
    return content.getvalue()


def place(icons, index, **inputs):
    return {"model": "icons", "inputs": inputs, "index": index}


def test_forms_are_the_uses(icons, style):
    kinds = {form["kind"] for form in icons.forms()}
    assert {"create", "taste", "vary", "change", "mix", "between", "move", "project", "nearest"} == kinds
    assert [form["kind"] for form in style.forms()] == ["explain"]
    fields = {field["name"]: field for field in icons.forms()[0]["fields"]}
    assert list(fields) == ["style", "shape", "color", "truncation", "seed", "count"]
    assert fields["style"]["choices"][0] == "noto"
    assert json.loads(json.dumps(icons.forms())) == icons.forms()


def test_create_is_what_sample_draws(tmp_path, icons):
    result, pictures = done(tmp_path, icons, "create", seed=3, count=5, style="noto")
    model = load("icons")
    wanted = draw_samples(model, model.saved, 5, 3, {"style": 0}).images
    assert np.abs(np.stack(pictures).astype(int) - tiles(wanted)).max() <= 1
    assert all(one["words"].startswith("noto, ") for one in result["pictures"])
    file = tmp_path / "out" / "4.png"
    assert provenance.read(file).model == "modgan"
    recipe = forms.recipe_of(file.read_bytes(), icons.forms())
    assert recipe["index"] == 4
    assert recipe["inputs"] == {
        "style": "noto", "shape": "any", "color": "any", "truncation": 1.0, "seed": 3, "count": 5,
    }  # fmt: skip


def test_truncation(tmp_path, icons):
    spread = lambda t: np.std(np.stack(done(tmp_path, icons, "create", truncation=t, style="noto")[1]), axis=0).mean()
    assert spread(0.0) < spread(1.0)


def test_edits(tmp_path, icons):
    a, b = place(icons, 0, seed=1), place(icons, 2, seed=1)
    _, drawn = done(tmp_path, icons, "create", seed=1, count=3)
    same = lambda x, y: np.abs(x.astype(int) - y).max() <= 1
    _, varied = done(tmp_path, icons, "vary", picture=a, amount=0.0, count=2)
    assert same(varied[1], drawn[0])
    _, varied = done(tmp_path, icons, "vary", picture=a, amount=0.4, count=2)
    assert not same(varied[0], drawn[0])
    result, changed = done(tmp_path, icons, "change", picture=a, style="noto", shape="food")
    assert same(changed[0], drawn[0])
    assert result["pictures"][1]["words"].startswith("noto, food, ")
    assert len(changed) == 2 + 10  # with each colour
    _, mixed = done(tmp_path, icons, "mix", a=a, b=b)
    assert same(mixed[0], drawn[0])
    assert same(mixed[1], drawn[2])
    assert len(mixed) == 5
    result, between = done(tmp_path, icons, "between", a=a, b=b, frames=5)
    assert same(between[1], drawn[0])
    assert same(between[-1], drawn[2])
    assert Image.open(tmp_path / "out" / "moving.gif").n_frames == 8
    _, moved = done(tmp_path, icons, "move", picture=a, direction="sefa:1", reach=2.0)
    assert same(moved[3], drawn[0])
    assert not same(moved[0], moved[6])


def test_a_place_of_another_model_is_refused(icons):
    form = forms.find(icons.forms(), "vary", "icons")
    for wrong in (
        {"model": "icons_vae", "inputs": {}, "index": 0},
        {"model": "icons", "inputs": {"seed": -1}, "index": 0},
        {"model": "icons", "inputs": {}, "index": -1},
        {"model": "icons", "inputs": {"code": "x"}, "index": 0},
        {"upload": "0" * 32},
        None,
    ):
        with pytest.raises(UserError):
            forms.checked(form["fields"], {"picture": wrong})


def test_why_this_class(tmp_path, style):
    icons = load("icons")
    (drawn,) = draw_samples(icons, icons.saved, 1, 0, {"style": 4}).images
    content = io.BytesIO()
    Image.fromarray(drawn).save(content, "PNG")
    result, pictures = done(tmp_path, style, "explain", files={"picture": content.getvalue()}, method="saliency")
    assert np.array_equal(pictures[0], drawn)
    assert result["text"].startswith("fluent-high-contrast")
    assert pictures[1].std() > 0


def test_is_it_a_copy(tmp_path, icons):
    """A training picture is its own nearest, and nearer than what was never seen."""
    from genart_jax.data.source import open_source

    image = open_source(icons.saved.run.data).train.arrays["image"][5]
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    result, pictures = done(tmp_path, icons, "nearest", files={"picture": content.getvalue()})
    assert np.array_equal(pictures[1], image)
    assert result["percentile"] < 5
    assert len(pictures) == 6


def untrained(name):
    """A tiny model as if it had been loaded; from pictures to pictures, it changes next to nothing yet."""
    algorithm = zoo.tiny(name)
    state = zoo.start(algorithm, jax.random.key(0), zoo.batch(algorithm.batch_spec, 4))
    one = object.__new__(works.Opened)
    one.name, one.model, one.spec = name, Model(algorithm, state), algorithm.batch_spec
    one.saved = SimpleNamespace(run=SimpleNamespace(name=name))
    return one


@pytest.mark.parametrize(("shape", "views"), [((3, 16, 16, 3), 3), ((8, 8, 8, 1), 24)])
def test_videos_move_and_volumes_turn(tmp_path, monkeypatch, shape, views):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    monkeypatch.setattr(create, "_examples", lambda model, inputs: (images, ["a", "b"]))
    drawn = Task("1" * 32, "create", {"seed": 0, "count": 2}, {}, tmp_path / "out", Desk())
    result = create.do(SimpleNamespace(name="mine", shape=shape, about=None), drawn)
    assert result["pictures"] == [{"file": "0.gif", "words": "a"}, {"file": "1.gif", "words": "b"}]
    for one in result["pictures"]:
        opened = Image.open(tmp_path / "out" / one["file"])
        assert (opened.format, opened.n_frames) == ("GIF", views)


def test_longer_videos_are_drawn_anew(monkeypatch):
    """Latents of the space are of the usual length; a slider's number of frames is rounded."""
    number = SimpleNamespace(name="frames", default=8.0)
    use = SimpleNamespace(of_kind=lambda kind: [number])
    codes = SimpleNamespace(condition={})
    space = SimpleNamespace(draw=lambda seeds, given: codes, show=lambda codes, truncation: "usual")
    model = SimpleNamespace(
        given=lambda inputs: {}, model=SimpleNamespace(algorithm=SimpleNamespace(use=lambda name: use)), space=space,
        saved=None, words=lambda condition, i: "",
    )  # fmt: skip
    monkeypatch.setattr(create, "draw_samples", lambda *args: (args[-1]["frames"], {}))
    drawn = lambda frames: create._examples(model, {"seed": 0, "count": 1, "frames": frames})[0]
    assert [drawn(8.2), drawn(11.6)] == ["usual", 12.0]


def test_restoring(tmp_path):
    """What a use takes is in its form; a picture of any size goes through, and holes are where the mask is white."""
    inpaint = untrained("inpaint")
    (form,) = inpaint.forms()
    assert (form["kind"], form["group"]) == ("transform", "restore")
    assert [field["kind"] for field in form["fields"]][:2] == ["picture", "mask"]
    mask = np.zeros((30, 40), np.uint8)
    mask[5:15, 10:20] = 255
    masked = lambda pixels: (content := io.BytesIO(), Image.fromarray(pixels).save(content, "PNG"))[0].getvalue()
    result, (after, before) = done(tmp_path, inpaint, "transform", files={"picture": png(), "mask": masked(mask)})
    assert result["slider"]
    assert after.shape == before.shape == (30, 40, 3)
    assert np.array_equal(after[mask == 0], before[mask == 0])
    assert not np.array_equal(after[mask > 0], before[mask > 0])
    with pytest.raises(UserError, match="paint over"):
        done(tmp_path, inpaint, "transform", files={"picture": png(), "mask": masked(0 * mask)})
    larger = untrained("super_resolution")
    fields = {field["name"]: field for field in larger.forms()[0]["fields"]}
    assert list(fields) == ["picture", "strength", "scale"]
    _, (after, before) = done(tmp_path, larger, "transform", files={"picture": png()})
    times = int(fields["scale"]["choices"][0])
    assert after.shape == before.shape == (30 * times, 40 * times, 3)


def test_beautify_has_a_slider(tmp_path):
    """0 leaves the picture as it is, 1 is what the network makes of it, and between them lies a half."""
    enhance = untrained("enhance")
    moved = jax.tree.map(lambda x: x + 0.05, enhance.model.state.params)  # it begins as the identity
    enhance.model = enhance.model._replace(state=enhance.model.state.replace(params=moved, ema={}))
    (form,) = enhance.forms()
    fields = {field["name"]: field for field in form["fields"]}
    assert form["group"] == "restore"
    assert (fields["strength"]["low"], fields["strength"]["high"]) == (0.0, 1.0)
    files = {"picture": png()}
    at = lambda strength: done(tmp_path, enhance, "transform", files=files, strength=strength)[1]
    (none, before), (half, _), (whole, _) = at(0.0), at(0.5), at(1.0)
    assert np.array_equal(none, before)
    assert np.abs(whole.astype(int) - before).max() > 0
    assert np.abs(half.astype(float) - (whole.astype(float) + before) / 2).max() <= 1


def likes(images):
    """A simulated user, who likes what is rather red: about one picture in seven."""
    x = images.astype(int)
    return x[..., 0].mean((1, 2)) - x[..., 2].mean((1, 2)) > 45


def test_taste_doubles_the_hits(tmp_path, icons):
    """Ten that are liked, ten that are not: of what comes next at least twice as many are hits."""
    everything = {"truncation": 1.0, "count": 256}
    images, _ = create.draw(icons, {**everything, "seed": 11})
    liked, others = np.flatnonzero(likes(images))[:10], np.flatnonzero(~likes(images))[:10]
    new, _ = create.draw(icons, {**everything, "seed": 12})
    before = likes(new).mean()
    assert 0.05 < before < 0.35
    files = {}
    for word, chosen in (("liked", liked), ("disliked", others)):
        for i, one in enumerate(chosen):
            content = io.BytesIO()
            Image.fromarray(images[one]).save(content, "PNG")
            files[f"{word}.{i}"] = content.getvalue()
    result, shown = done(tmp_path, icons, "taste", files=files, seed=12, count=16)
    after = likes(np.stack(shown)).mean()
    assert after >= 2 * before, (before, after)
    recipe = result["pictures"][0]["recipe"]
    assert np.array_equal(shown[0], new[recipe["index"]])
    with pytest.raises(UserError, match="3"):
        works.do(icons, task(tmp_path, icons, "taste"))


def test_steering(tmp_path, icons):
    """Towards a colour, and towards a classifier's label: pictures come nearer than any that was drawn."""
    assert steer.fields(icons) is None  # it was told all of them
    cost = steer.cost_of("color=blue", icons.shape)
    desk = Desk()
    given = Task("1" * 32, "steer", {"towards": "color=blue", "seed": 0, "count": 4}, {}, tmp_path / "out", desk)
    steer.do(icons, given)
    shown = np.stack([np.asarray(Image.open(tmp_path / "out" / f"{i}.png").convert("RGB")) for i in range(4)])
    drawn, _ = create.draw(icons, {"truncation": 1.0, "count": 16, "seed": 0})
    assert cost(to_float(shown)).mean() < 0.8 * np.sort(np.asarray(cost(to_float(drawn))))[:4].mean()
    assert len(desk.said) == 60
    seen = steer.cost_of("style=noto", icons.shape)
    noto, flat = (
        create.draw(icons, {"truncation": 1.0, "count": 8, "seed": 0, "style": s})[0] for s in ("noto", "fluent-flat")
    )
    assert seen(to_float(noto)).mean() < seen(to_float(flat)).mean()
    with pytest.raises(UserError, match="no classifier"):
        steer.cost_of("mood=blue", icons.shape)


def test_directions_have_names(tmp_path, icons, monkeypatch):
    """Where a model was not told of a label, a classifier of the package names directions; and the form says what it
    lacks."""
    assert icons.forms()[0]["lacks"] == []
    spec = icons.spec
    alone = SimpleNamespace(conditions=spec.conditions[:1], hidden=spec.hidden, image_shape=spec.image_shape)
    monkeypatch.setattr(icons, "spec", alone)
    assert icons.forms()[0]["lacks"] == ["shape", "color"]
    (field,) = [one for one in edit.move_fields(icons) if one["name"] == "direction"]
    assert {"sefa:0", "icons_shape=food"} <= set(field["choices"])
    assert "icons_style=noto" not in field["choices"]
    monkeypatch.undo()
    given = {"picture": place(icons, 0, seed=1), "direction": "icons_shape=smileys", "reach": 3.0}
    drawn = Task("1" * 32, "move", given, {}, tmp_path / "out", Desk())
    result = edit.move(icons, drawn)
    assert [one["words"] for one in result["pictures"]][::3] == ["-3.0", "+0.0", "+3.0"]


def test_the_probe_does_not_see_what_is_not_there():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (40, 16, 16, 3)).astype(np.uint8)
    scores = taste.probe(*(taste.features(part) for part in (x[:10], x[10:20], x)))(taste.features(x[20:]))
    assert np.abs(scores).max() < 1


def test_who_cancels_is_heard(tmp_path, icons):
    desk = Desk()
    desk.cancelled.add("1" * 32)
    with pytest.raises(CancelledError):
        works.do(icons, task(tmp_path, icons, "create", desk))


BOMB = b"\x89PNG\r\n\x1a\n"
for kind, body in (
    (b"IHDR", b"\0\1\0\0\0\1\0\0\x08\x02\0\0\0"),
    (b"IDAT", zlib.compress(bytes(10**6))),
    (b"IEND", b""),
):
    BOMB += len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "megapixels"),
        (b"", "picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "picture"),
        (b"\x80\x04\x95\x10cos\nsystem\n", "picture"),
        (b"PK\x03\x04" + bytes(100), "picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run", "picture"),
        (png()[:60], "picture"),
        (png(size=(4100, 4000)), "megapixels"),
    ],
    ids=["bomb", "empty", "svg", "pickle", "zip", "postscript", "cut", "large"],
)
def test_uploads_that_are_no_pictures(tmp_path, style, content, said):
    """Decoded in the worker, under limits; one line comes of it."""
    with pytest.raises(UserError, match=said) as error:
        works.do(style, task(tmp_path, style, "explain", files={"picture": content}))
    assert len(str(error.value).splitlines()) == 1
    assert Limits().pixels < 4100 * 4000


def test_metadata_goes(tmp_path, style):
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.new("RGB", (32, 32), "red").save(content, "JPEG", exif=exif, comment="taken at home")
    done(tmp_path, style, "explain", files={"picture": content.getvalue()}, method="saliency")
    for file in (tmp_path / "out").iterdir():
        assert b"at home" not in file.read_bytes()


def archive():
    """A zip with pictures in two folders, and with what such files are known to try."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as out:
        for i in range(24):
            picture = io.BytesIO()
            Image.new("RGB", (32, 32), (10 * i, 99, 255 - 10 * i)).save(picture, "PNG")
            out.writestr(f"{'ab'[i % 2]}/{i}.png", picture.getvalue())
        out.writestr("../../slipped.png", picture.getvalue())
        out.writestr("/slipped.png", picture.getvalue())
        out.writestr("..\\slipped.png", picture.getvalue())
        out.writestr("a/bomb.png", bytes(2**25))
        link = zipfile.ZipInfo("a/link.png")
        link.external_attr = 0o120777 << 16
        out.writestr(link, "/etc/passwd")
        out.writestr("model.pkl", b"\x80\x04cos\nsystem\n")
    return content.getvalue()


class Impatient(Desk):
    """Cancels as soon as there is something to see."""

    def tell(self, **message):
        super().tell(**message)
        if "live" in message:
            self.cancelled.add("1" * 32)


def test_a_training(tmp_path):
    """On a zip that is read where it lies; what is stopped keeps what there is; the new model draws."""
    runs = tmp_path / "runs"
    trainer, desk = works.opened("new", runs), Impatient()
    form = {"model": "mlp_vae", "size": "32", "steps": 2000}
    asked = {"files": {"pictures": archive()}, "form": form}
    result = works.do(trainer, task(tmp_path, trainer, "train", desk, **asked))
    assert result["opens"] == "mine-1"
    assert json.loads((runs / "mine-1" / "summary.json").read_text())["interrupted"]
    assert Image.open(tmp_path / "out" / "0.png").size > (32, 32)
    curves = [one["curve"] for one in desk.said if "curve" in one]
    assert not curves or curves[0].keys() >= {"loss", "bits_per_dim"}
    assert [one for one in desk.said if "live" in one]
    assert not list(tmp_path.rglob("slipped.png"))
    mine = works.opened("mine-1", runs)
    _, pictures = done(tmp_path, mine, "create", count=2)
    assert len(pictures) == 2
    result, pictures = done(tmp_path, mine, "history")
    assert len(result["curves"]) >= 1
    assert pictures
    with pytest.raises(UserError, match="zip"):
        works.do(trainer, task(tmp_path, trainer, "train", **{**asked, "files": {"pictures": b"no zip"}}))
    assert works.trained(runs).keys() == {"mine-1"}


def test_two_styles_where_it_is_painted(tmp_path, monkeypatch):
    """What the form says of styles, shares and place comes to the painter."""
    seen = {}

    def painter(method, chosen, network, grey):
        seen.update(method=method, chosen=chosen, network=network, grey=grey)

    def paint(painter, given, shares, strength):
        seen.update(shares=shares, strength=strength)
        return 255 - given

    monkeypatch.setattr(stylise.trained, "find", lambda *args: SimpleNamespace(styles=("cubes", "waves")))
    monkeypatch.setattr(stylise.trained, "painter", painter)
    monkeypatch.setattr(stylise.styles, "paint", paint)
    model = stylise.Painter("multistyle26")
    mask = Image.new("L", (128, 96))
    mask.paste(255, (0, 0, 64, 96))
    content = io.BytesIO()
    mask.save(content, "PNG")
    files = {"picture": png(size=(128, 96)), "where": content.getvalue()}
    given = {"painter": "waves", "second": "cubes", "share": 0.25, "strength": 0.5, "size": 64, "keep_color": True}
    result, (after, before) = done(tmp_path, model, "stylize", files=files, **given)
    assert result["slider"]
    assert after.shape == (48, 64, 3)
    assert np.array_equal(after, 255 - before)
    assert seen["chosen"] == ["waves", "cubes"]
    assert (seen["method"], seen["network"], seen["grey"]) == ("multistyle", "multistyle26", True)
    assert list(seen["shares"].weights) == [0.75, 0.25]
    assert min(mask[:, :24].min() for mask in seen["shares"].masks) == 255
    assert max(mask[:, 40:].max() for mask in seen["shares"].masks) == 0
    done(tmp_path, model, "stylize", files={"picture": png(size=(128, 96))}, painter="cubes", size=64)
    assert seen["chosen"] == ["cubes"]
    assert not seen["shares"].masks


def test_gatys_is_seen_as_it_goes_and_stops(tmp_path, monkeypatch):
    """By descent on a tiny network: what there is so far is shown every few steps, and who cancels is heard at once."""
    monkeypatch.setattr(stylise.stylize.plan, "__defaults__", (get_config("gatys", "tiny"),))
    monkeypatch.setattr(stylise, "_EVERY", 2)
    painter = stylise.Painter("gatys")
    files = {"picture": png(size=(80, 64)), "style": png(size=(40, 64))}
    desk, given = Desk(), {"files": files, "size": 64, "steps": 6}
    result = works.do(painter, task(tmp_path, painter, "stylize", desk, **given))
    assert result["slider"]
    assert [one["live"] for one in desk.said if "live" in one] == [2, 4, 6]
    shares = [one["share"] for one in desk.said]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    live = Image.open(tmp_path / "out" / "live.png")
    everywhere = np.asarray(Image.open(tmp_path / "out" / "after.png"))
    assert live.size >= everywhere.shape[1::-1] == (64, 51)
    half = io.BytesIO()
    Image.fromarray(np.repeat(np.uint8([[0, 255]]), 32, axis=1).repeat(51, axis=0)).save(half, "PNG")
    works.do(
        painter, task(tmp_path, painter, "stylize", Desk(), **given | {"files": files | {"where": half.getvalue()}})
    )
    before, made = (np.asarray(Image.open(tmp_path / "out" / f"{name}.png")) for name in ("before", "after"))
    np.testing.assert_array_equal(made[:, :31], before[:, :31])
    np.testing.assert_array_equal(made[:, 33:], everywhere[:, 33:])
    with pytest.raises(CancelledError):
        works.do(painter, task(tmp_path, painter, "stylize", desk := Impatient(), **given))
    assert [one["live"] for one in desk.said if "live" in one] == [2]


def test_an_upload_is_projected(tmp_path, icons, monkeypatch):
    """The nearest that the model can draw is nearer to a picture of its own than any other that it draws is."""
    monkeypatch.setattr(assets, "available", lambda name: False)  # by pixels alone, which is quick
    images, _ = create.draw(icons, {"truncation": 1.0, "count": 40, "seed": 5})
    content = io.BytesIO()
    Image.fromarray(images[0]).save(content, "PNG")
    result, (wanted, *found) = done(tmp_path, icons, "project", files={"picture": content.getvalue()}, steps=20)
    assert np.array_equal(wanted, images[0])
    assert result["pictures"][1]["words"].endswith("% off")
    off = lambda x: np.square(x.astype(float) - wanted).mean()
    assert min(map(off, found)) < min(map(off, images[1:]))
