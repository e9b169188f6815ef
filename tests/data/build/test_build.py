"""Making a set: what is fetched and how it is checked, what is kept, and what goes wrong. No network."""

import dataclasses
import errno
import hashlib
import json
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.config import Field
from genart_jax.data.build import catalogue, packages, recipe, run, store
from genart_jax.data.build.packages import Package, members
from tests.data.build import packages as fake

sha = lambda content: hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))


def make(shop, size):
    """Ten grey pictures from the numbers in the package's file."""
    ((_, content),) = shop.files("toy", "usr/share/toy/numbers")
    numbers = np.frombuffer(content, np.uint8)
    made = shop.piece("pictures", lambda: {"x": np.tile(numbers[:, None, None, None], (1, size, size, 1))})
    arrays = {"image": made["x"], "target": 255 - made["x"], "kind": (numbers % 2).astype(np.int32)}
    splits = recipe.split_rows(arrays, np.arange(len(numbers)) < 3)
    return recipe.Made(splits, {"kind": ("even", "odd")}, "Made by nobody.", ("a note",), {"train": {"a.png": b"png"}})


CONTENT = fake.deb(
    {"usr/share/toy/numbers": bytes(range(10)), "usr/share/doc/toy/copyright": b"free", "usr/share/other": b"no"}
)


@pytest.fixture
def toy(monkeypatch):
    """A set "toy" from a package that `apt-get` is played to bring: the calls of it."""
    package = packages.debian("toy", "1.0-1", sha(CONTENT), 0.1, "MIT")
    views = {
        "odd": recipe.View("odd ones", keep=("kind", 1)),
        "negative": recipe.View("negatives", image="target"),
        "all": recipe.View("all in both splits", joined=True),
    }
    one = recipe.Recipe("toy", "numbers", "MIT", (package,), (8, 16), make, views=views)
    monkeypatch.setitem(catalogue.RECIPES, "toy", one)
    calls = Calls()

    def tool(command, cwd, **options):
        calls.append(command)
        if calls.content:
            (Path(cwd) / "toy_1.0-1_all.deb").write_bytes(calls.content)
        return subprocess.CompletedProcess(command, 0 if calls.content else 100, "", calls.words)

    monkeypatch.setattr(packages.subprocess, "run", tool)
    monkeypatch.setattr(packages.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    return calls


class Calls(list):
    content = CONTENT
    words = ""


def test_a_set_is_built_kept_private_and_opened_by_its_name(toy, capsys):
    assert main(["data", "build", "toy"]) == 0
    assert toy == [["apt-get", "-q", *toy[0][2:-2], "download", "toy=1.0-1"]]
    out = capsys.readouterr().out
    assert "toy: fetching toy 1.0-1 (Debian 12), 0.1 MB" in out
    assert "classes of kind: even 5, odd 5" in out
    folder = store.folder_of(catalogue.RECIPES["toy"], 8)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(p.name for p in store.root().iterdir()) == [".packages", "toy-8"]
    assert not list((store.root() / ".packages").iterdir())  # the package is not kept
    assert "Made by nobody" in (folder / "CREDITS.md").read_text()
    assert (folder / "licences" / "toy.txt").read_bytes() == b"free"
    card = json.loads((folder / "card.json").read_text())
    assert card["splits"] == {"train": 7, "test": 3}
    assert card["fields"]["image"] == {"shape": [8, 8, 1], "kind": "pixels", "classes": 0, "dtype": "|u1"}
    assert card["fields"]["kind"] == {"shape": [], "kind": "class", "classes": 2, "dtype": "<i4"}
    assert card["counts"]["kind"] == {"train": [3, 4], "test": [2, 1]}
    assert card["sha256"]["train/image.npy"] == sha((folder / "train" / "image.npy").read_bytes())
    data = ga.open_data("toy")
    np.testing.assert_array_equal(data.train.arrays["image"][:, 0, 0, 0], range(3, 10))
    np.testing.assert_array_equal(data.test.arrays["target"][:, 0, 0, 0], [255, 254, 253])
    assert data.train.whole[0].name == "a.png"
    picture = Field((8, 8, 1))
    assert data.spec == ga.BatchSpec(fields={"image": picture, "target": picture, "kind": Field((), "class", 2)})
    assert data.card["licence"] == "MIT"
    # Built again: nothing is done.
    assert main(["data", "build", "toy"]) == 0
    assert "is there already" in capsys.readouterr().out
    assert len(toy) == 1


def test_views_and_sizes(toy):
    run.build("toy:16")
    odd, negative = ga.open_data("toy:odd:16"), ga.open_data("toy:negative:16")
    np.testing.assert_array_equal(odd.train.arrays["image"][:, 0, 0, 0], [3, 5, 7, 9])
    np.testing.assert_array_equal(negative.train.arrays["image"][:, 0, 0, 0], 255 - np.arange(3, 10))
    assert "target" not in negative.train.arrays
    both = ga.open_data("toy:all:16")
    for part in (both.train, both.test):
        assert sorted(part.arrays["image"][:, 0, 0, 0]) == list(range(10))
        np.testing.assert_array_equal(part.arrays["kind"], part.arrays["image"][:, 0, 0, 0] % 2)
    assert both.source_for_training().train.size == both.test.size == 10
    with pytest.raises(ga.UserError, match=r"genart data build toy$"):
        ga.open_data("toy")
    with pytest.raises(ga.UserError, match="no size 12; it can be made in 8, 16"):
        run.build("toy", 12)
    with pytest.raises(ga.UserError, match="did you mean toy"):
        run.build("toys")


def test_an_archive_of_ones_own_needs_no_network(toy, tmp_path):
    toy.content = b""
    (tmp_path / "mine.deb").write_bytes(CONTENT)
    run.build("toy", own=(tmp_path / "mine.deb",))
    assert ga.open_data("toy").train.size == 7
    assert not toy
    assert (tmp_path / "mine.deb").exists()


def test_an_archive_of_another_version_is_refused(toy, tmp_path, capsys):
    (tmp_path / "old.deb").write_bytes(CONTENT + b"x")
    assert main(["data", "build", "toy", "--from", str(tmp_path / "old.deb")]) == 2
    error = capsys.readouterr().err
    assert "or another version" in error
    assert f"wanted toy 1.0-1 (Debian 12), {sha(CONTENT)}" in error
    assert error.count("\n") == 1
    assert main(["data", "build", "toy", "--from", str(tmp_path / "none.deb")]) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (
            b"",
            "W: unsandboxed\nE: Could not resolve host\n",
            "cannot be fetched with apt-get: Could not resolve host; or",
        ),
        (b"", "E: Version '1.0-1' for 'toy' was not found\n", "Version '1.0-1' for 'toy' was not found; or bring"),
        (
            b"",
            "npm error code ECONNREFUSED\nnpm error request failed, reason: no route\nnpm error If a proxy\n",
            "cannot be fetched with apt-get: request failed, reason: no route; or",
        ),
        (b"", "", "it says nothing; is there a network?; or"),
        (b"other", "", "not the file that was published: its SHA-256 is"),
    ],
)
def test_no_network_and_a_wrong_hash_are_one_line(toy, capsys, content, words, message):
    toy.content, toy.words = content, words
    assert main(["data", "build", "toy"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "genart data build toy --from FILE" in error
    assert error.count("\n") == 1
    assert not list((store.root() / ".packages").iterdir())


def test_a_missing_tool_is_named_with_the_way_without(toy, monkeypatch, capsys):
    monkeypatch.setattr(packages.shutil, "which", lambda tool: None)
    assert main(["data", "build", "toy"]) == 2
    assert "fetched with apt-get, which is not here; install it, or bring the file yourself" in capsys.readouterr().err


def test_a_missing_program_or_module_is_named_before_anything_is_fetched(toy, monkeypatch, capsys):
    for need, words in (("no-such-program", "which is not here"), ("resvg_py", "genart_jax[build]")):
        needy = dataclasses.replace(catalogue.RECIPES["toy"], needs=(need,))
        monkeypatch.setitem(catalogue.RECIPES, "toy", needy)
        monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(run.shutil, "which", lambda program: None)
        assert main(["data", "build", "toy"]) == 2
        assert words in capsys.readouterr().err
    assert not toy


def test_a_full_disk_is_one_line_and_what_was_fetched_stays(toy, monkeypatch, capsys):
    whole = np.save

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.np, "save", full)
    assert main(["data", "build", "toy"]) == 2
    error = capsys.readouterr().err
    assert "toy cannot be written: No space left on device; what was fetched is kept" in error
    assert not store.folder_of(catalogue.RECIPES["toy"], 8).exists()
    monkeypatch.setattr(store.np, "save", whole)
    assert main(["data", "build", "toy"]) == 0
    assert len(toy) == 1


def test_killed_in_the_middle_it_goes_on_where_it_was(toy, monkeypatch):
    pieces = []

    def killed(shop, size):
        made = shop.piece("first", lambda: pieces.append(1) or {"x": np.arange(3)})
        if len(pieces) == 1 and not killed.again:
            raise KeyboardInterrupt
        np.testing.assert_array_equal(made["x"], range(3))
        return make(shop, size)

    killed.again = False
    monkeypatch.setitem(catalogue.RECIPES, "toy", dataclasses.replace(catalogue.RECIPES["toy"], make=killed))
    with pytest.raises(KeyboardInterrupt):
        run.build("toy")
    with pytest.raises(ga.UserError, match="is not built"):
        ga.open_data("toy")
    killed.again = True
    run.build("toy")
    assert pieces == [1]
    assert len(toy) == 1
    assert ga.open_data("toy").train.size == 7


def test_a_damaged_set_is_named_and_built_anew(toy):
    folder = run.build("toy")
    path = folder / "train" / "image.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ga.UserError, match=r"image.npy is damaged; build it anew: genart data build toy"):
        ga.open_data("toy")
    run.build("toy")
    assert ga.open_data("toy").train.size == 7
    (folder / "card.json").write_text("{")
    with pytest.raises(ga.UserError, match=r"card.json is damaged"):
        ga.open_data("toy")


def test_out_is_a_folder_of_ones_own_and_nothing_is_written_over(toy, tmp_path, capsys):
    out = tmp_path / "sets" / "mine"
    assert main(["data", "build", "toy", "--out", str(out)]) == 0
    assert ga.open_data(f"built:{out}").train.size == 7
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    assert main(["data", "build", "toy", "--out", str(tmp_path / "full")]) == 2
    assert "holds something else already" in capsys.readouterr().err
    assert (tmp_path / "full" / "letter").read_text() == "dear"


def test_two_builds_at_once(toy):
    with run._work_folder(catalogue.RECIPES["toy"], 8, None), pytest.raises(ga.UserError, match="by another process"):
        run.build("toy")


def test_packages_of_every_kind_are_read_without_unpacking(tmp_path):
    files = {"package/a.txt": b"a", "package/sub/b.txt": b"b" * 1000, "package/c.png": b"c", "../evil.txt": b"e"}
    for kind in (fake.deb, fake.tgz, fake.wheel):
        path = tmp_path / kind.__name__
        path.write_bytes(kind(files))
        assert dict(members(path, "package/*.txt")) == {"package/a.txt": b"a", "package/sub/b.txt": b"b" * 1000}
        path.write_bytes(kind(files)[:-40])
        if kind is not fake.deb:  # xz may have given all that is wanted before the end
            with pytest.raises(ga.UserError, match="damaged"):
                list(members(path, "*"))
    (tmp_path / "no").write_bytes(b"nonsense")
    with pytest.raises(ga.UserError, match="damaged, or no package"):
        list(members(tmp_path / "no", "*"))
    assert not (tmp_path.parent / "evil.txt").exists()


def test_how_each_tool_is_called():
    npm = Package("npm", "@a/b", "1.0", "", 1, "MIT")
    assert packages._command(npm)[:2] == ["npm", "pack"]
    assert "--ignore-scripts" in packages._command(npm)
    assert packages._command(npm)[-1] == "@a/b@1.0"
    pip = Package("pip", "c", "2.0", "", 1, "MIT", platform=("--python-version=3.11",))
    assert packages._command(pip)[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--python-version=3.11"} <= set(packages._command(pip))
    assert packages._command(pip)[-1] == "c==2.0"


def test_the_list_and_the_sheet(toy, tmp_path, capsys):
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert "genart data build toy" in out
    assert "toy:odd" in out
    run.build("toy")
    assert main(["data", "list", "--json"]) == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row["name"] == "toy")
    assert row["here"] == [8]
    sheet = tmp_path / "sheet.png"
    assert main(["data", "show", "toy", "--out", str(sheet), "--num", "4"]) == 0
    assert sheet.stat().st_size > 0
    assert main(["data", "show", "toy", "--out", str(sheet)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["data", "fly"]) == 2
    assert {"toy", "toy:odd", "emoji"} <= set(ga.list_data())


def test_every_recipe_is_pinned_and_says_its_licence():
    for one in catalogue.RECIPES.values():
        assert one.licence
        assert one.text
        assert one.sizes
        for package in one.packages:
            assert len(bytes.fromhex(package.sha256)) == 32
            assert package.version
            assert package.licence
