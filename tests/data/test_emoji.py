import importlib.util
import io
import shutil
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from genart_jax.config import Data, UserError
from genart_jax.data import emoji
from genart_jax.data.color import dominant_color
from genart_jax.data.source import open_source

ROOT = Path(emoji.__file__).parents[2]
FINGERPRINT = "779badb4c22f054276cbc2c2a06de059191dd519a6453c3a97cfe4bd16006101"
COUNTS = {
    "style": ([1535, 1136, 1440, 1440, 1440], [168, 124, 154, 154, 154]),
    "shape": ([359, 673, 39, 549, 1119, 1493, 732, 1063, 964], [44, 70, 10, 61, 127, 155, 75, 102, 110]),
    "color": ([479, 669, 1676, 256, 45, 1050, 268, 208, 189, 2151], [46, 77, 196, 36, 11, 116, 25, 16, 22, 209]),
}


@pytest.fixture(scope="module")
def art():
    return emoji.read()


@pytest.fixture(scope="module")
def source():
    return emoji.load()


@pytest.fixture(scope="module")
def script():
    file = ROOT / "scripts" / "build_art_set.py"
    if not file.exists():
        pytest.skip("not a checkout")
    spec = importlib.util.spec_from_file_location("build_art_set", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_art_set"] = module
    spec.loader.exec_module(module)
    return module


def save(art, file):
    with file.open("wb") as out:
        np.savez(out, **art._asdict())
    return file


def test_arrays_are_the_published_ones(art):
    sums = emoji.digests(art)
    assert sums == {key: emoji.SHA256[key] for key in sums}
    assert set(emoji.SHA256) == {*sums, "x64", "x128"}
    assert sha256(art.x.tobytes()).hexdigest() == emoji.SHA256["x32"]
    assert art.x.shape == (7745, 32, 32, 3)


def test_digests_see_every_array(art):
    before = emoji.digests(art)
    for key in emoji.Art._fields:
        changed = getattr(art, key).copy()
        changed[100] = "x" if key == "name" else changed[100] == 0
        after = emoji.digests(art._replace(**{key: changed}))
        assert [k for k in before if before[k] != after[k]] == ["x32" if key == "x" else key]


def test_the_source(source, art):
    assert source.name == "emoji"
    assert source.image_shape == (32, 32, 3)
    assert source.spec.conditions == (("style", 5), ("shape", 9), ("color", 10))
    assert source.fingerprint == FINGERPRINT
    assert source.warnings == ()
    for split, rows in ((source.train, ~art.test), (source.test, art.test)):
        assert split.size == len(split.arrays["image"]) == rows.sum()
        assert split.arrays["image"].dtype == np.uint8
        np.testing.assert_array_equal(split.arrays["image"], art.x[rows])
        for name, values in [*split.arrays.items()][1:]:
            assert values.dtype == np.int32
            np.testing.assert_array_equal(values, getattr(art, name)[rows])
    assert (source.train.size, source.test.size) == (6991, 754)


def test_the_pictures_of_one_style(source, art):
    """For translations from style to style; the style is then no condition."""
    noto = open_source(Data(source="emoji:noto"))
    assert noto.spec.conditions == (("shape", 9), ("color", 10))
    rows = (art.style == emoji.STYLES.index("noto")) & ~art.test
    np.testing.assert_array_equal(noto.train.arrays["image"], art.x[rows])
    assert noto.name == "emoji:noto"
    assert noto.fingerprint != source.fingerprint
    with pytest.raises(UserError, match=r"emoji:nota: wanted emoji\[:STYLE\]\[:SIZE\].*styles: noto, noto-v1"):
        open_source(Data(source="emoji:nota"))
    with pytest.raises(UserError, match="make it with: genart data build emoji:64"):
        emoji.load(64, path="/nowhere.npz", style="noto")


def test_class_counts(source):
    for name, expected in COUNTS.items():
        classes = len(source.class_names[name])
        for split, counts in zip((source.train, source.test), expected, strict=True):
            np.testing.assert_array_equal(np.bincount(split.arrays[name], minlength=classes), counts)
    assert any(line.startswith("shape (train + test): activities 359 + 44, animals 673 + 70") for line in source.report)


def test_the_readme_has_these_numbers(source):
    readme = (Path(emoji.__file__).parent / "embedded" / "README.md").read_text()
    for name, (train, test) in COUNTS.items():
        for label, a, b in zip(source.class_names[name], train, test, strict=True):
            assert f"| {label} | {a} | {b} | {a + b} |" in readme
    for key, value in emoji.SHA256.items():
        assert f"| `{key}` | `{value}` |" in readme


def test_nothing_is_on_both_sides(art):
    names = [set(art.name[rows].tolist()) for rows in (art.test, ~art.test)]
    stems = [{name.removesuffix("-facing-right") for name in side} for side in names]
    pixels = [{picture.tobytes() for picture in art.x[rows]} for rows in (art.test, ~art.test)]
    flipped = {np.ascontiguousarray(picture[:, ::-1]).tobytes() for picture in art.x[art.test]}
    assert not names[0] & names[1]
    assert not stems[0] & stems[1]
    assert not pixels[0] & pixels[1]
    assert not flipped & pixels[1]


def test_split_and_colors_follow_their_rules(art):
    np.testing.assert_array_equal(emoji.rows_to_test(art.x, art.shape, art.name), art.test)
    np.testing.assert_array_equal(dominant_color(art.x), art.color)


def test_the_split_keeps_chains_together_and_ignores_order():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60, 2, 2, 3), np.uint8)
    name = np.array([f"icon-{i:02d}" for i in range(60)])
    shape = np.repeat([0, 1, 2], 20).astype(np.uint8)
    name[1], x[2], name[3] = name[0], x[1], f"{name[2]}-facing-right"  # 0 -name- 1 -pixels- 2 -mirrored name- 3
    test = emoji.rows_to_test(x, shape, name)
    assert len(set(test[:4])) == 1
    assert [1 <= test[shape == value].sum() <= 5 for value in range(3)] == [True] * 3
    order = np.concatenate([rng.permutation(20) + 20 * value for value in range(3)])
    np.testing.assert_array_equal(emoji.rows_to_test(x[order], shape[order], name[order]), test[order])


def test_other_sizes_come_from_the_cache(art, monkeypatch, tmp_path):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"no art set of 64 pixels.*make it with: genart data build emoji:64$"):
        emoji.load(64)
    file = tmp_path / "cache" / "emoji_64.npz"
    file.parent.mkdir()
    big = art._replace(x=art.x[:, :, :1].repeat(2, 1).repeat(64, 2))
    save(big, file)
    source = emoji.load(64)
    assert source.name == "emoji:64"
    assert source.image_shape == (64, 64, 3)
    assert "differ from the published" in source.warnings[0]
    np.testing.assert_array_equal(source.test.arrays["image"], big.x[big.test])
    np.testing.assert_array_equal(source.test.arrays["color"], art.color[art.test])
    with pytest.raises(UserError, match="not pictures of 128 pixels"):
        emoji.load(128, file)
    with pytest.raises(UserError, match="no size 48"):
        emoji.load(48)


def test_a_built_set_is_the_embedded_one_in_larger_pictures(art, monkeypatch, tmp_path):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    from genart_jax.data.build import catalogue, icons, recipe, store

    monkeypatch.setattr(
        icons, "icons", lambda contents, size: [icons.Icon(0, 0, name, "") for name in art.name.tolist()]
    )
    monkeypatch.setattr(icons, "read", lambda found, package: found)
    drawn = iter(art.x[:, ::32, ::32].repeat(64, 1).repeat(64, 2) // 2 + np.arange(64, dtype=np.uint8)[:, None])
    monkeypatch.setattr(icons.draw, "vector", lambda svg, size: next(drawn))
    shop = recipe.Workshop(tmp_path, {}, lambda text: None)
    monkeypatch.setattr(shop, "files", lambda *names: iter(()))
    folder = store.root() / "emoji-64"
    folder.mkdir(parents=True)
    one = catalogue.RECIPES["emoji"]
    store.write(folder, one, 64, one.make(shop, 64), shop)
    source = emoji.load(64)
    assert source.image_shape == (64, 64, 3)
    np.testing.assert_array_equal(source.train.arrays["style"], emoji.load().train.arrays["style"])
    np.testing.assert_array_equal(source.test.arrays["image"][:, 0, 0], art.x[art.test][:, 0, 0] // 2)


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch):
    for name in ("GENART_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert emoji.file_of(128) == Path.home() / ".cache/genart_jax/emoji_128.npz"


def test_other_labels_are_refused(art, tmp_path):
    with pytest.raises(UserError, match="another test than the published set"):
        emoji.load(path=save(art._replace(test=~art.test), tmp_path / "a.npz"))


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "other"])
def test_a_damaged_file_is_one_line(damage, tmp_path):
    file = tmp_path / "emoji_32.npz"
    shutil.copy(emoji.file_of(32), file)
    raw = bytearray(file.read_bytes())
    if damage == "flipped":
        raw[len(raw) // 2] ^= 255
    file.write_bytes({"cut": raw[: len(raw) // 2], "empty": b"", "flipped": raw, "other": b"not a zip file"}[damage])
    with pytest.raises(UserError, match="damaged or not an art set") as error:
        emoji.load(path=file)
    assert "\n" not in str(error.value)


def test_licences_are_embedded_and_the_whole_is_small():
    folder = Path(emoji.__file__).parent / "embedded"
    assert "Apache License" in (folder / "LICENSE-noto.txt").read_text()
    assert "Copyright (c) Microsoft Corporation." in (folder / "LICENSE-fluent.txt").read_text()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 6e6


def test_an_oblong_icon_keeps_its_proportions(script):
    pytest.importorskip("resvg_py")
    body = '<rect width="32" height="16" fill="#f00"/>'
    contents = [
        {
            "icons.json": {"icons": {"bar": {"body": body, "width": 32, "height": 16}}, "height": 16},
            "metadata.json": {"categories": {"Objects": ["bar"]}},
        }
    ] * len(script.PACKAGES)
    drawn = list(script.icons(contents, 32))
    assert [icon.style for icon in drawn] == [0, 1, 2, 3, 4]
    assert {emoji.CLASS_NAMES["shape"][icon.shape] for icon in drawn} == {"objects"}
    picture = script.render(drawn[0].svg, 32)
    assert picture.shape == (32, 32, 3)
    assert (picture[8:24] == (255, 0, 0)).all()
    assert (picture[:8] == 255).all()
    assert (picture[24:] == 255).all()


def test_the_script_refuses_another_package(script, tmp_path):
    with tarfile.open(tmp_path / script.tarball(script.PACKAGES[0]), "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("package/package.json"), io.BytesIO())
    with pytest.raises(UserError, match="not the pinned package"):
        script.fetch(tmp_path)


def test_the_script_writes_what_the_loader_reads(script, art, tmp_path):
    small = emoji.Art(*(value[:10] for value in art))
    script.save(small, tmp_path / "deep" / "a.npz")
    script.save(small, tmp_path / "b.npz")
    again = emoji.read(path=tmp_path / "b.npz")
    assert all(np.array_equal(a, b) for a, b in zip(again, small, strict=True))
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "deep" / "a.npz").read_bytes()
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a.npz"]
