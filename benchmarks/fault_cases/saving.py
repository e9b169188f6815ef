"""Faults 1 to 4: what happens to checkpoints on the disk."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import genart_jax as ga
from benchmarks.fault_cases.common import COMMAND, TINY, Count, abstract, fit, folder
from genart_jax.train import manifest
from genart_jax.train.store import Checkpoints


def kills(times: int = 20) -> Count:
    """SIGKILL while a run saves after every step: what was whole before is whole, and the run goes on from it."""
    rng, survived, resumed = random.Random(0), 0, []
    with folder() as root:
        run = root / "run"
        command = [*COMMAND, "train", "mlp_vae", "--run", str(run), "--steps", "1000000", *TINY]
        command += ["--train.save-every", "1", "--train.log-every", "1"]
        for _ in range(times):
            before = max(Checkpoints(run).steps(), default=0)
            env = os.environ | {"PYTHONUNBUFFERED": "1"}
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
            while process.poll() is None and max(Checkpoints(run).steps(), default=0) < before + 3:
                time.sleep(0.01)
            time.sleep(rng.random())
            whole = max(Checkpoints(run).steps())
            process.kill()
            out = process.communicate()[0]
            began = re.search(r"goes on from step (\d+)", out)
            notes: list[str] = []
            with Checkpoints(run, note=notes.append) as checkpoints:
                state, _ = checkpoints.load(abstract(run))
            survived += int(state.step) >= whole and not notes and (not before or began is not None)
            resumed.append(int(state.step))
    return Count(times, survived, f"0 saved steps lost; each start went on from the newest, the last at {resumed[-1]}")


def bits(times: int = 100) -> Count:
    """One bit flipped anywhere in the newest checkpoint."""
    rng, caught, fell_back = random.Random(0), 0, 0
    with folder() as root:
        run = fit("dcgan", root / "run", steps=4, save_every=2)
        wanted = abstract(run)
        files = [f for f in (run / "checkpoints" / "4").rglob("*") if f.is_file() and f.stat().st_size]
        sizes = [f.stat().st_size for f in files]
        for i in range(times):
            # Half of them by size, as chance would have it, and half in any file, for the small ones.
            file = rng.choices(files, sizes)[0] if i % 2 else rng.choice(files)
            whole = file.read_bytes()
            broken, bit = bytearray(whole), rng.randrange(8 * len(whole))
            broken[bit // 8] ^= 1 << bit % 8
            file.write_bytes(broken)
            notes: list[str] = []
            with Checkpoints(run, note=notes.append) as checkpoints:
                state, _ = checkpoints.load(wanted)
            caught += len(notes) == 1 and notes[0].startswith("checkpoint 4 is passed over")
            fell_back += int(state.step) == 2
            file.write_bytes(whole)
        assert int(ga.load(run).state.step) == 4
    return Count(
        times, min(caught, fell_back), f"{caught} caught and named, {fell_back} times the step before was used"
    )


def losses(times: int = 10) -> Count:
    """Truncated files, missing files, no sums, stray folders."""
    rng, tries, survived = random.Random(0), 0, 0

    def truncate(step: Path, files: list[Path]) -> None:
        file = rng.choice(files)
        os.truncate(file, rng.randrange(file.stat().st_size))

    kinds: dict[str, Callable[[Path, list[Path]], Any]] = {
        "truncated": truncate,
        "missing": lambda step, files: rng.choice(files).unlink(),
        "no sums": lambda step, files: (step / manifest.NAME).unlink(),
        "stray empty 9/": lambda step, files: (step.parent / "9").mkdir(),
        "stray copy 9/": lambda step, files: shutil.copytree(step, step.parent / "9"),
    }
    with folder() as root:
        original = fit("mlp_vae", root / "run", steps=4, save_every=2)
        wanted = abstract(original)
        for words, break_ in kinds.items():
            for _ in range(times):
                run = shutil.copytree(original, root / "copy")
                step = run / "checkpoints" / "4"
                break_(step, [f for f in step.rglob("*") if f.is_file() and f.stat().st_size])
                notes: list[str] = []
                with Checkpoints(run, note=notes.append) as checkpoints:
                    state, _ = checkpoints.load(wanted)
                tries += 1
                survived += int(state.step) == (4 if "stray" in words else 2) and len(notes) == 1
                shutil.rmtree(run)
    return Count(
        tries, survived, f"{times} times each: {', '.join(kinds)}; passed over and named, the newest good used"
    )


def full_disk() -> Count:
    """A tmpfs that is filled in the middle of a run and emptied again, with and without the check of free space."""
    survived, said = 0, []
    for checked in (True, False):
        with folder() as root:
            try:
                subprocess.run(
                    ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", root], check=True, capture_output=True
                )
            except (OSError, subprocess.CalledProcessError) as error:
                return Count(0, 0, f"not run: {error}")
            try:
                good, words = _run_on_a_full_disk(root, checked)
            finally:
                subprocess.run(["umount", root], check=True)
        survived += good
        said.append(f"{'free space checked' if checked else 'full in the middle of a save'}: {words}")
    return Count(2, survived, f"60 steps run to the end; {'; '.join(said)}")


def _run_on_a_full_disk(root: Path, checked: bool) -> tuple[bool, str]:
    notes: list[str] = []
    saved: list[int] = []
    usage = shutil.disk_usage

    def callback(event: str, values: dict[str, Any]) -> None:
        if event == "progress" and values["step"] == 12:
            with contextlib.suppress(OSError), (root / "filler").open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        if event == "progress" and values["step"] == 42:
            (root / "filler").unlink()
        if event == "note":
            notes.append(values["text"])
        if event == "save":
            saved.append(values["step"])

    blind = usage(root)._replace(free=2**40)
    with mock.patch(
        "genart_jax.train.store.shutil.disk_usage", side_effect=lambda path: usage(path) if checked else blind
    ):
        run = fit("dcgan", root / "run", callback, steps=60, save_every=5, sample_every=10, log_every=1)
    failed = sum("could not be saved" in note for note in notes)
    good = int(ga.load(run).state.step) == 60 and failed >= 5 and {5, 45, 60} <= set(saved)
    # The save of step 10 may still be under way when the disk fills.
    return good, f"{failed} saves failed and were said, those of steps {sorted(saved)} came through"
