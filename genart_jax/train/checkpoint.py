"""Run directories: config.json and the checkpoints beside it, written and read."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from orbax.checkpoint import v1 as ocp

from genart_jax import assets
from genart_jax.api import build
from genart_jax.config import BatchSpec, Run, UserError, spec_of
from genart_jax.saved import VERSION
from genart_jax.saved import Saved as Saved
from genart_jax.saved import read_config as read_config
from genart_jax.steps import common
from genart_jax.train import frozen
from genart_jax.types import Algorithm, Batch, State

# Fields that a resumed run may change; all others are part of what it is.
_FREE = (
    *(
        f"train.{name}"
        for name in ("steps", "log_every", "sample_every", "eval_every", "save_every", "keep", "samples")
    ),
    # Whether the data is the same is for its fingerprint to say, not for the name it is reached by.
    *("data.source", "data.workers", "data.strict", "data.memory_limit_mb", "parallel.data", "parallel.model"),
    # What a run that diverged is mended with.
    *("optimizer.learning_rate", "optimizer.clip_norm", "optimizer.clip_value", "step.critic_learning_rate"),
)


class Model(NamedTuple):
    """A trained model: its algorithm and its state."""

    algorithm: Algorithm
    state: State


def write_config(directory: Path, saved: Saved) -> None:
    """Writes config.json, whole or not at all."""
    if jax.process_index():
        return
    directory.mkdir(parents=True, exist_ok=True)
    content = {"version": VERSION, "run": dataclasses.asdict(saved.run), "data": saved.data}
    temporary = directory / "config.json.tmp"
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(directory / "config.json")


def differences(saved: Run, wanted: Run, free: bool = False) -> list[str]:
    """Lines "section.field: saved -> wanted" of what a resumed run must not change, or of what it may (`free`)."""
    old, new = _flat(dataclasses.asdict(saved)), _flat(dataclasses.asdict(wanted))
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key) and (key in _FREE) == free]
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in changed]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in tree.items():
        out |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return out


class Checkpoints:
    """The checkpoints of a run: `checkpoints/STEP`, the newest `keep` of them."""

    def __init__(self, directory: str | Path, keep: int = 2) -> None:
        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax warns of every normal save
        policy = ocp.training.preservation_policies.LatestN(max(1, keep))
        path = Path(directory).absolute() / "checkpoints"
        self._orbax = ocp.training.Checkpointer(path, preservation_policy=policy)

    def steps(self) -> list[int]:
        """The steps that there are checkpoints of, ascending."""
        return sorted(c.step for c in self._orbax.checkpoints)

    def save(self, state: State, position: bytes | None) -> None:
        """Saves a state (its frozen part excepted) and the position of streamed data.

        Raises:
          OSError: it could not be written.
        """
        step = int(state.step)
        if step in self.steps():
            return
        metadata = {"position": None if position is None else base64.b64encode(position).decode()}
        if not self._orbax.save(step, state.replace(frozen={}), custom_metadata=metadata):
            raise OSError(f"checkpoint of step {step} was not written")

    def load(self, abstract: State) -> tuple[State, bytes | None]:
        """The newest state that can be read, and its data position; `abstract` has shapes, dtypes and shardings.

        Raises:
          UserError: there is none, or none that fits; says why for each.
        """
        reasons = []
        for step in reversed(self.steps()):
            try:
                state = self._orbax.load(step, abstract.replace(frozen={}))
                metadata = self._orbax.metadata(step).custom_metadata
            except Exception as error:  # whatever Orbax or the file system raised: an older one may be whole
                reasons.append(f"step {step}: {str(error).strip().splitlines()[0][:200]}")
                continue
            position = (metadata or {}).get("position")
            return state.replace(frozen=abstract.frozen), None if position is None else base64.b64decode(position)
        why = "; ".join(reasons) or "there is none"
        raise UserError(f"no checkpoint can be read in {self._orbax.directory}: {why}")

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *error: object) -> None:
        self._orbax.close()


def batch_shapes(spec: BatchSpec, batch: int) -> Batch:
    """Shapes and dtypes of a training batch."""
    struct = jax.ShapeDtypeStruct
    condition = {name: struct((batch,), jax.numpy.int32) for name, _ in spec.conditions}
    return {"image": struct((batch, *spec.image_shape), jax.numpy.float32), "condition": condition}


def abstract_state(algorithm: Algorithm) -> State:
    """Shapes and dtypes of an algorithm's state."""
    shapes = batch_shapes(algorithm.batch_spec, 2 * algorithm.batches_per_step)
    state: State = jax.eval_shape(algorithm.init, jax.random.key(0), shapes)
    return state


def load(directory: str | Path) -> Model:
    """The model of a run directory at its newest good checkpoint, on the default device.

    Raises:
      UserError: no run there, or no checkpoint that can be read.
    """
    saved = read_config(directory)
    spec_of(saved.run)
    algorithm = build(saved.run)
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), abstract_state(algorithm)
    )
    with Checkpoints(directory) as checkpoints:
        state, _ = checkpoints.load(abstract)
    kept = frozen.kept(directory, saved.data.get("frozen", {}), abstract.frozen)
    return Model(algorithm, state.replace(frozen=jax.device_put(kept, sharding)))


def load_frozen(algorithm: Algorithm) -> dict[str, Any]:
    """The parameters that never train, from where the algorithm says they are: role -> nested dict of numpy arrays.

    The trainer calls this once for a run. Without it: `state.replace(frozen=ga.load_frozen(algorithm))`.

    Raises:
      UserError: a run or an asset is not there, or does not fit.
    """
    wanted = abstract_state(algorithm).frozen
    return {role: frozen.fit(role, _read(source), wanted.get(role), source) for role, source in algorithm.frozen}


def _read(source: str) -> dict[str, Any]:
    """The arrays of "asset:NAME", or of "run:DIR": role -> what the run samples with, {"params": ..., **mutable}."""
    kind, _, name = source.partition(":")
    if kind == "asset":
        return assets.load(name)
    if kind != "run":
        raise UserError(f"{source!r} holds no parameters; name run:DIR or asset:NAME")
    return common.lend(load(name).state)


_MAY_DIFFER = re.compile(r"\['(embed|out)'\]")
"""Parts that a fine-tuned model may begin anew: embeddings of conditions, and last layers."""


def take_parameters(state: State, init_from: str) -> tuple[State, list[str]]:
    """`state` with parameters, statistics and averages of another run, and the paths of what was not taken.

    Optimizer and step stay fresh. Embeddings of conditions and last layers of another shape stay fresh, too.

    Raises:
      UserError: no run there, or anything else has another shape.
    """
    other = load(init_from).state
    parts, left = {}, []
    for part in ("params", "mutable", "ema"):
        mine, theirs = getattr(state, part), getattr(other, part)
        if part == "ema" and not (mine and theirs):
            continue
        found = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(theirs)}

        def take(path: Any, leaf: jax.Array, found: dict[str, Any] = found, part: str = part) -> jax.Array:
            name = jax.tree_util.keystr(path)
            there = getattr(found.get(name), "shape", None)
            if there == leaf.shape:
                return jax.device_put(found[name], leaf.sharding)
            if not _MAY_DIFFER.search(name):
                raise UserError(
                    f"--init-from {init_from}: {part}{name} has shape {there} there and {leaf.shape} here;"
                    " give the same --model options"
                )
            if part == "params":
                left.append(name)
            return leaf

        parts[part] = jax.tree_util.tree_map_with_path(take, mine)
    return state.replace(**parts), left
