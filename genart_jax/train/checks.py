"""What is looked at before a run begins or goes on: its options, its place, and the run that is there already."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from genart_jax.config import BatchSpec, Run, UserError
from genart_jax.data import pipeline
from genart_jax.data.conditions import condition_table, same_data
from genart_jax.data.source import Source
from genart_jax.runtime.values import Json
from genart_jax.steps import stages, sweep
from genart_jax.train import checkpoint
from genart_jax.train.about import difference, leaves_of, read_about
from genart_jax.train.checkpoint import Saved
from genart_jax.train.manifest import DamageError
from genart_jax.train.store import Checkpoints
from genart_jax.types import Algorithm, State


def check_place(directory: Path) -> None:
    """Raises UserError unless files can be written into the directory, or it can be made."""
    try:
        str(directory.absolute()).encode()
        there = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    except UnicodeEncodeError:
        raise UserError(f"--run {str(directory)!r}: not UTF-8 in this locale; set LC_ALL=C.UTF-8") from None
    except (OSError, ValueError) as error:
        raise UserError(f"--run {directory}: {error}; choose another --run") from None
    if not there.is_dir():
        raise UserError(f"--run {directory}: {there} is a file, not a folder; choose another --run")
    if not os.access(there, os.W_OK | os.X_OK) or there.parts[:2] == ("/", "proc"):
        raise UserError(f"--run {directory}: cannot write into {there}; choose another --run")


def check_fields(run: Run, spec: BatchSpec) -> None:
    """Raises UserError where the options of the data do not suit what the model takes."""
    if run.data.other and pipeline.OTHER not in spec.fields:
        raise UserError(f"--data.other {run.data.other}: {run.name} takes one set of pictures; leave it out")
    pipeline.check_augmentation(run.data, spec.fields)


def check_sweep(run: Run, source: Source, init_from: str | None) -> None:
    """Raises UserError where a sweep is asked for what it cannot do."""
    if not sweep.runs(run):
        return
    if source.train.order == "as given":
        raise UserError(f"sweep: {run.name} on {source.name} works on given pictures alone; leave out --sweep")
    if run.train.best:
        raise UserError("train.best: a sweep's members share their checkpoints, so none is the best; leave it out")
    if init_from is not None:
        raise UserError(
            "--init-from begins one run; a sweep's members begin from their seeds, so leave one of them out"
        )


def compare_tokenizer(run: Run, source: Source, note: Callable[[str], None]) -> None:
    """Notes where a model of codes is trained on other pictures than its tokenizer, if that one's run is there."""
    tokenizer = run.model.tokenizer if stages.second(run) else None
    if not tokenizer or not (Path(tokenizer) / "config.json").is_file():
        return
    there = checkpoint.read_config(tokenizer).data
    if not same_data(source, there):
        note(
            f"warning: the tokenizer {tokenizer} was trained on {there['source']}, and this is on {source.name}: its"
            " codes may not suit these pictures; leave --data out to take the tokenizer's"
        )


def check_best(best: str, algorithm: Algorithm, abstract: State) -> None:
    """Raises UserError unless `best` names a figure of the algorithm's evaluation and says which way is better."""
    if not best:
        return
    name, _, sense = best.partition(":")
    figures = checkpoint.figure_names(algorithm, abstract)
    if name not in figures or sense not in ("min", "max"):
        words = ", ".join(f"{figure}:min or {figure}:max" for figure in figures)
        raise UserError(f"train.best {best!r}: wanted one of {words}")


def data_facts(source: Source, algorithm: Algorithm) -> Json:
    """What a run remembers of its data; see `checkpoint.Saved`."""
    names = [name for name, _ in algorithm.batch_spec.conditions]
    return {
        "source": source.name,
        "fingerprint": source.fingerprint,
        "sizes": [source.train.size, source.test.size],
        "class_names": {name: list(source.class_names[name]) for name in names},
        "condition_table": condition_table(source.train, names),
    }


def check_resume(
    directory: Path, here: Saved, source: Source, abstract: State, force: bool, note: Callable[[str], None]
) -> None:
    """Compares a run with the one that its directory holds, and takes over what that one remembers.

    `force` goes on in spite of other options or other data, as long as the state and the classes are the same.

    Raises:
      UserError: the directory holds another run; shows the differences.
    """
    if not (directory / "config.json").exists():
        if found := Checkpoints(directory).entries():
            raise UserError(
                f"{directory} holds checkpoints ({', '.join(map(str, found))}) but no config.json; get it back with"
                f" genart checkpoint repair {directory}, or choose another --run"
            )
        return
    there = checkpoint.read_config(directory)
    if "member" in there.data:
        raise UserError(f"{directory} is a member of a sweep, which goes on as a whole; or begin with --init-from")
    if there.run.name != here.run.name:
        raise UserError(f"{directory} is a run of {there.run.name}, not of {here.run.name}; choose another --run")
    if here.data["init_from"] not in (None, there.data.get("init_from")):
        raise UserError(f"--init-from begins a new run, but {directory} holds one; choose another --run")
    changed = checkpoint.differences(there.run, here.run)
    data = [] if same_data(source, there.data) else _data_differences(there.data, here.data)
    unfit = _unfit(directory, abstract) if changed or data else ""
    same_classes = here.data["class_names"] == there.data["class_names"]
    if data and not (force and not unfit and same_classes):
        raise UserError(_other_data(directory, [*data, *changed]))
    if changed and not (force and not unfit):
        advice = "choose another --run, or repeat the options it was begun with"
        advice += "" if unfit else "; its state fits, so --resume.force goes on all the same"
        raise UserError(f"{directory} was begun with other options ({'; '.join(changed[:5])}); {advice}")
    if unfit:
        raise UserError(f"{directory} holds a state of another kind ({unfit}); choose another --run")
    here.data.update(
        {name: there.data[name] for name in ("init_from", "frozen", "rollbacks", "left_out") if name in there.data}
    )
    here.data["id"] = there.data.get("id") or checkpoint.identity(there)
    for line in [*changed, *data, *checkpoint.differences(there.run, here.run, free=True)]:
        note(f"changed since the run was begun: {line}")
    if there.run.train.steps != here.run.train.steps and here.run.optimizer.schedule != "constant":
        note(f"the {here.run.optimizer.schedule} schedule now spans {here.run.train.steps} steps: the rate jumps")


def _other_data(directory: Path, differences: Sequence[str]) -> str:
    """That a run is there already, on other data: the source first."""
    advice = f"choose another --run; with --init-from {directory} it begins from these parameters"
    return f"{directory} holds a run on other data ({'; '.join(differences[:5])}); {advice}"


@contextlib.contextmanager
def beside_other_data(directory: Path, source: str) -> Iterator[None]:
    """Where a source cannot be had, or does not fit, and the directory holds a run on another one, that is said first.

    That run's options, which the command line starts from, may be why.
    """
    try:
        yield
    except UserError as error:
        there = checkpoint.read_config(directory).run.data.source if (directory / "config.json").exists() else source
        if there == source:
            raise
        raise UserError(f"{directory} holds a run on {there}; for {source} choose another --run ({error})") from None


def _data_differences(there: Json, here: Json) -> list[str]:
    lines = [f"source: {there['source']} -> {here['source']}"] if there["source"] != here["source"] else []
    if "sizes" in there and there["sizes"] != here["sizes"]:
        a, b = (" + ".join(map(str, facts["sizes"])) for facts in (there, here))
        lines.append(f"pictures to train and test: {a} -> {b}")
    for name in sorted({*there["class_names"], *here["class_names"]}):
        a, b = (", ".join(facts["class_names"].get(name, ())) or "none" for facts in (there, here))
        if a != b:
            lines.append(f"classes of {name}: {a} -> {b}")
    return [*lines, f"SHA-256 of {here['source']}: {there['fingerprint'][:12]} -> {here['fingerprint'][:12]}"]


def _unfit(directory: Path, abstract: State) -> str:
    """How the newest checkpoint's leaves differ from those of `abstract`, where it says what they are."""
    checkpoints = Checkpoints(directory)
    for step in reversed(checkpoints.steps()):
        try:
            leaves = read_about(checkpoints.path / str(step))["leaves"]
        except DamageError:
            continue
        return difference(leaves, leaves_of(abstract.replace(frozen={})))
    return ""
