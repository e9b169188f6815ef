"""`genart checkpoint ls|verify|repair RUN`: what a run has on the disk, whether it is whole, and mending it."""

from __future__ import annotations

from pathlib import Path

from genart_jax.config import UserError
from genart_jax.runtime import packaged
from genart_jax.train import checkpoint, manifest
from genart_jax.train.about import read_about
from genart_jax.train.manifest import DamageError
from genart_jax.train.owner import owning
from genart_jax.train.store import Checkpoints


def ls(run: Path) -> bool:
    """Prints a line a step, without reading the states."""
    checkpoints = _open(run)
    for step in checkpoints.entries():
        folder = checkpoints.path / str(step)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
        try:
            about = read_about(folder)
            said = f"{about['date']}  " + "  ".join(f"{k} {v:.4f}" for k, v in about["figures"].items())
        except (DamageError, KeyError, TypeError, ValueError, AttributeError):
            said = "old layout, without sums" if step in checkpoints.steps() else "no checkpoint, or not a whole one"
        best = "  (best)" if step == checkpoints.best() else ""
        print(f"{step:>9}  {size:9.1f} MiB  {said}{best}".rstrip())
    return True


def verify(run: Path) -> bool:
    """Reads everything and prints what is whole; returns whether all is."""
    checkpoints, good = _open(run), True
    for step in checkpoints.entries():
        try:
            old = "leaves" not in checkpoints.check(step)
            print(f"{step:>9}  {'old layout, without sums: not verified' if old else 'whole'}")
        except DamageError as error:
            print(f"{step:>9}  {error}")
            good = False
    try:
        for role, sha in checkpoint.read_config(run).data.get("frozen", {}).items():
            file = run / "frozen" / f"{role}.safetensors"
            whole = file.is_file() and manifest.digest(file) == sha
            print(f"{file.relative_to(run)}  {'whole' if whole else 'is damaged or missing'}")
            good = good and whole
    except UserError as error:
        print(error)
        good = False
    return good


def repair(run: Path) -> bool:
    """Sets aside what is not whole, removes what saves that were cut off have left, and mends config.json.

    Nothing is deleted but unfinished saves: damaged steps lie in checkpoints/damaged/ afterwards.

    Raises:
      UserError: config.json is damaged, and no checkpoint holds it; or the run is being trained.
    """
    checkpoints = _open(run)
    with owning(checkpoints.path.parent):  # a sweep's, where `run` is a member
        _repair(run, checkpoints)
    return True


def _repair(run: Path, checkpoints: Checkpoints) -> None:
    for name in checkpoints.clear():
        print(f"removed checkpoints/{name}, a save that was cut off")
    found = {}
    for step in checkpoints.entries():
        try:
            found[step] = checkpoints.check(step)
        except DamageError as error:
            print(f"set aside {checkpoints.set_aside(step).relative_to(run.absolute())}: {error}")
    try:
        checkpoint.read_config(run)
    except UserError as error:
        about = next((found[step] for step in sorted(found, reverse=True) if "run" in found[step]), None)
        if about is None:
            raise UserError(f"{error} (no whole checkpoint holds it)") from None
        manifest.write_file(run / "config.json", checkpoint.text(about))
        checkpoint.read_config(run)
        print(f"restored config.json from step {about['step']}")
    newest = max(found, default=None)
    print("no checkpoint is left; the run begins anew" if newest is None else f"{run} goes on from step {newest}")


def _open(run: Path) -> Checkpoints:
    """The checkpoints of a run, whose config.json may be damaged.

    Raises:
      UserError: there is no run, or it is a trained model, which has no checkpoints.
    """
    if (packaged.place(run) / packaged.WEIGHTS).is_file():
        raise UserError(f"{run} is a trained model, not a run: it has no checkpoints")
    try:
        return checkpoint.open_checkpoints(run, checkpoint.read_config(run))
    except UserError as error:
        checkpoints = Checkpoints(run)
        if not checkpoints.entries():
            raise error from None
        return checkpoints


ACTIONS = {"ls": ls, "verify": verify, "repair": repair}
