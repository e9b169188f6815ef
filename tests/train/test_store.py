"""Checkpoints that are damaged, cut off, foreign or too large for the disk."""

import json
import os
import random
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import NotSavedError
from genart_jax.train import manifest, store
from genart_jax.train.store import Checkpoints
from genart_jax.types import State

ABOUT = {"id": "this", "run": {"name": "toy"}}


def state(step, value=None, shape=(20, 30)):
    value = float(step) if value is None else value
    return State(
        jnp.int32(step), {"net": {"w": jnp.full(shape, value)}}, {"net": {}}, {"net": (jnp.ones(3), ())}, {}, {}
    )


def abstract(**options):
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state(0, **options))


class Run:
    """A directory with checkpoints of the given steps, and what is said of them."""

    def __init__(self, path, steps=(), keep=9, **options):
        self.path, self.notes = path / "checkpoints", []
        self.open = lambda: Checkpoints(path, keep, about=ABOUT, note=self.notes.append, **options)
        self.save(*steps)

    def save(self, *steps):
        with self.open() as checkpoints:
            for step in steps:
                checkpoints.save(state(step), None)
            checkpoints.wait()
            return checkpoints.saved()

    def load(self, **options):
        self.notes.clear()
        with self.open() as checkpoints:
            loaded, _ = checkpoints.load(abstract(**options))
        np.testing.assert_array_equal(loaded.params["net"]["w"], np.float32(int(loaded.step)))
        return int(loaded.step)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, (5, 7))


def test_a_save_holds_what_it_was_given_although_the_state_is_donated(tmp_path):
    """The state goes to disk in the background, while the next steps already overwrite it."""
    change = jax.jit(
        lambda s: s.replace(step=s.step + 1, params=jax.tree.map(lambda x: x + 1, s.params)), donate_argnums=0
    )
    run, now = Run(tmp_path), state(1, shape=(500, 500))
    with run.open() as checkpoints:
        for _ in range(6):
            checkpoints.save(now, None)
            for _ in range(3):
                now = change(now)
        checkpoints.wait()
        assert checkpoints.saved() == [1, 4, 7, 10, 13, 16]
        for step in checkpoints.steps():
            loaded, _ = checkpoints.load(abstract(shape=(500, 500)), step)
            np.testing.assert_array_equal(loaded.params["net"]["w"], np.float32(step))


def test_what_a_checkpoint_says_of_itself(tmp_path):
    with Checkpoints(tmp_path, about=ABOUT) as checkpoints:
        checkpoints.save(state(3), b"\x00position", {"accuracy": 0.5}, {"data": {"fingerprint": "f"}})
        checkpoints.wait()
        about = checkpoints.check(3, abstract())
        assert checkpoints.load(abstract())[1] == b"\x00position"
    assert about["id"] == "this"
    assert about["data"] == {"fingerprint": "f"}
    assert about["figures"] == {"accuracy": 0.5}
    assert about["leaves"][".params['net']['w']"] == [[20, 30], "float32"]
    assert {"python", "jax", "orbax-checkpoint"} <= set(about["versions"])
    assert {p.name for p in (tmp_path / "checkpoints" / "3").iterdir()} == {"orbax", "about.json", "SHA256SUMS"}


def test_one_flipped_bit_a_hundred_times(run):
    rng, caught = random.Random(0), 0
    files = [f for f in (run.path / "7").rglob("*") if f.is_file() and f.stat().st_size]
    for _ in range(100):
        file = rng.choice(files)
        whole = file.read_bytes()
        broken = bytearray(whole)
        bit = rng.randrange(8 * len(whole))
        broken[bit // 8] ^= 1 << bit % 8
        file.write_bytes(broken)
        with run.open() as checkpoints, pytest.raises(manifest.DamageError):
            checkpoints.check(7, abstract())
        caught += 1
        file.write_bytes(whole)
    assert caught == 100
    assert run.load() == 7
    file.write_bytes(broken)
    assert run.load() == 5
    assert len(run.notes) == 1
    assert "checkpoint 7 is passed over" in run.notes[0]
    assert file.name in run.notes[0] or file.name == "SHA256SUMS"  # a sum that is wrong names the file it is of


def largest(folder):
    return max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


@pytest.mark.parametrize(
    ("break_", "words"),
    [
        (lambda p: os.truncate(largest(p / "7"), 9), "SHA-256 differs"),
        (lambda p: largest(p / "7").unlink(), "is missing"),
        (lambda p: (p / "7" / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
        (lambda p: (p / "7" / "about.json").write_text("{}"), "about.json is damaged"),
        (lambda p: shutil.rmtree(p / "7" / "orbax"), "is missing"),
        (lambda p: ((p / "9").mkdir(), shutil.rmtree(p / "7")), "checkpoint 9 .*SHA256SUMS is missing"),
        (lambda p: (p / "7").rename(p / "9"), "checkpoint 9 .*copy of step 7"),
    ],
)
def test_damage_is_named_and_passed_over(run, break_, words):
    break_(run.path)
    assert run.load() == 5
    assert len(run.notes) == 1
    assert re.search(words, run.notes[0])


def test_another_runs_checkpoint_is_passed_over(run, tmp_path):
    with Checkpoints(tmp_path / "other", about={"id": "that", "run": {"name": "dcgan"}}) as other:
        other.save(state(9), None)
    shutil.copytree(tmp_path / "other" / "checkpoints" / "9", run.path / "9")
    assert run.load() == 7
    assert "checkpoint 9 is passed over: it belongs to another run, of dcgan" in run.notes[0]


def test_a_model_that_does_not_fit_is_refused_with_the_difference(run):
    """Orbax itself casts another dtype in silence."""
    with pytest.raises(ga.UserError, match=r"\['w'\] is \(20, 30\) float32 there, \(9, 9\) float32 here"):
        run.load(shape=(9, 9))
    other = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16, sharding=x.sharding), abstract())
    with run.open() as checkpoints, pytest.raises(ga.UserError, match=r"float32 there, .* bfloat16 here"):
        checkpoints.load(other)


def test_nothing_good_is_an_error_that_names_all(run):
    for step in (5, 7):
        largest(run.path / str(step)).write_bytes(b"")
    with pytest.raises(ga.UserError, match=r"checkpoint 7 .*; checkpoint 5 .*repair"):
        run.load()


@pytest.mark.parametrize("where", ["about", "sums", "rename", "orbax"])
def test_a_save_that_stops_anywhere_leaves_the_step_before(run, monkeypatch, where):
    """As a kill would: whatever was on the disk by then is there, nothing else happens."""

    class Killed(BaseException):
        pass

    def die(*args, **kwargs):
        raise Killed

    target = {
        "about": (manifest, "write_file"),
        "sums": (manifest, "write"),
        "rename": (type(run.path), "rename"),
        "orbax": (store.ocp, "save_async"),
    }[where]
    monkeypatch.setattr(*target, die)
    with pytest.raises(Killed):
        run.save(8)
    monkeypatch.undo()
    assert not (run.path / "8").exists()
    assert run.load() == 7
    assert run.save(8, 9) == [8, 9]
    assert run.load() == 9
    assert not list(run.path.glob(".*"))


def test_a_full_disk_is_said_and_survived(run, monkeypatch):
    usage = shutil.disk_usage(run.path)
    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "disk_usage", lambda path: usage._replace(free=10_000))
        assert run.save(8) == []
    assert "checkpoint 8 could not be saved (4 MiB are needed, 0 MiB are free)" in run.notes[0]
    with monkeypatch.context() as patch:  # full in the middle of it

        def full(path):
            raise OSError(28, "No space left on device")

        patch.setattr(manifest, "write", full)
        with run.open() as checkpoints:
            checkpoints.save(state(8), None)
            with pytest.raises(NotSavedError, match=r"step 8 could not be saved .* step 7 is the newest"):
                checkpoints.require(8)
    assert "No space left" in run.notes[-1]
    assert not list(run.path.glob(".*")), "what did not fit must not fill the disk"
    assert run.save(8) == [8]
    assert run.load() == 8


def test_the_newest_and_the_best_are_kept_and_no_stranger_is_removed(tmp_path):
    run = Run(tmp_path, keep=2, best="loss:min")
    (run.path / "1").mkdir(parents=True)
    with run.open() as checkpoints:
        for step, loss in ((2, 0.5), (3, 0.1), (4, 0.3), (5, 0.4), (6, 0.2)):
            checkpoints.save(state(step), None, {"loss": loss})
        checkpoints.wait()
        assert checkpoints.steps() == [3, 5, 6]
        assert checkpoints.entries() == [1, 3, 5, 6]
        assert checkpoints.best() == 3
    with Checkpoints(tmp_path, best="loss:max") as checkpoints:
        assert checkpoints.best() == 5
    with Checkpoints(tmp_path, best="accuracy:max") as checkpoints:
        assert checkpoints.best() is None


def whole(run):
    with run.open() as checkpoints:
        return [step for step in checkpoints.entries() if not raises(checkpoints.check, step)]


def raises(function, *args):
    try:
        function(*args)
    except manifest.DamageError:
        return True
    return False


@pytest.mark.parametrize("damaged", [(1000,), (400, 1000), (1000, 1100)])
def test_damaged_checkpoints_do_not_count_among_those_that_are_kept(tmp_path, damaged):
    """They may be newer than those that the run goes on with: these would be deleted around them."""
    run = Run(tmp_path, (400, 500, 1000, 1100), keep=9)
    for step in damaged:
        broken = bytearray(largest(run.path / str(step)).read_bytes())
        broken[len(broken) // 2] ^= 1
        largest(run.path / str(step)).write_bytes(broken)
    begun = max({400, 500, 1000, 1100} - {*damaged})
    run = Run(tmp_path, keep=2)
    with run.open() as checkpoints:
        assert int(checkpoints.load(abstract())[0].step) == begun
        checkpoints.save(state(begun + 10), None)
        checkpoints.wait()
        assert {begun, begun + 10} <= {*checkpoints.entries()}
        largest(run.path / str(begun + 10)).write_bytes(b"lost")  # also one that was saved here
        for step in (begun + 20, begun + 30):
            checkpoints.save(state(step), None)
        checkpoints.wait()
    assert whole(run) == [begun + 20, begun + 30]


def test_a_damaged_checkpoint_is_not_the_best(tmp_path):
    run = Run(tmp_path, keep=1, best="loss:min")
    with run.open() as checkpoints:
        for step, loss in ((1, 0.1), (2, 0.2), (3, 0.3)):
            checkpoints.save(state(step), None, {"loss": loss})
            checkpoints.wait()
            if step == 2:
                assert checkpoints.entries() == [1, 2]
                largest(run.path / "1").write_bytes(b"lost")
        assert 2 in checkpoints.entries()


def test_a_damaged_step_that_is_reached_again_is_set_aside(run):
    largest(run.path / "7").write_bytes(b"x")
    with run.open() as checkpoints:
        checkpoints.load(abstract())
        checkpoints.save(state(7), None)
    assert run.load() == 7
    assert (run.path / "damaged" / "7" / "SHA256SUMS").exists()


def test_the_layout_before_there_were_sums_still_loads(run):
    """Orbax's own sequence of checkpoints, as the first version of this package wrote it."""
    with store.ocp.training.Checkpointer(run.path) as orbax:
        for step in (8, 9):
            orbax.save(step, state(step), custom_metadata={"position": "AHg="})
    with run.open() as checkpoints:
        loaded, position = checkpoints.load(abstract())
        assert (int(loaded.step), position) == (9, b"\x00x")
        assert checkpoints.save(loaded, position)  # it is there
    (run.path / "9" / "_CHECKPOINT_METADATA").write_text("{")
    assert run.load() == 8
    with Checkpoints(run.path.parent, keep=1, about=ABOUT) as checkpoints:
        checkpoints.load(abstract())
        checkpoints.save(state(10), None)
    assert run.load() == 10


def test_about_of_another_layout_is_refused(run):
    file = run.path / "7" / "about.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"layout": 3}))
    manifest.write(run.path / "7")
    assert run.load() == 5
    assert "layout 3, this program reads 2" in run.notes[0]
