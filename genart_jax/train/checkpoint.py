"""Run directories: config.json, and a trained model read from them. The checkpoints themselves: `store`."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import html
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from genart_jax import assets
from genart_jax.api import build
from genart_jax.config import BatchSpec, Run, UserError, spec_of
from genart_jax.config.saved import VERSION
from genart_jax.config.saved import Saved as Saved
from genart_jax.config.saved import read_config as read_config
from genart_jax.data import provenance
from genart_jax.data.provenance import Provenance
from genart_jax.runtime import packaged
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Json
from genart_jax.steps import common, sweep
from genart_jax.train import frozen, hub, manifest, published
from genart_jax.train.store import Checkpoints
from genart_jax.types import Algorithm, Batch, State, Tree, batch_of

# Fields that a resumed run may change; all others are part of what it is.
_FREE = (
    *(
        f"train.{name}"
        for name in (
            *(
                "steps",
                "log_every",
                "sample_every",
                "eval_every",
                "save_every",
                "keep",
                "best",
                "rollbacks",
                "samples",
                "provenance",
                "ema_steps",
            ),
        )
    ),
    # Whether the data is the same is for its fingerprint to say, not for the name it is reached by.
    *("data.source", "data.other", "data.workers", "data.strict", "data.memory_limit_mb"),
    *(f"parallel.{name}" for name in ("data", "model", "rules", "coordinator", "process", "processes", "heartbeat")),
    # What a run that diverged is mended with.
    *("optimizer.learning_rate", "optimizer.clip_norm", "optimizer.clip_value", "step.critic_learning_rate"),
)


_log = logging.getLogger(__name__)


class _Pair(NamedTuple):
    algorithm: Algorithm
    state: State


class Model(_Pair):
    """A trained model, as the pair of its algorithm and its state: `algorithm, state = model`.

    Attributes:
      saved: its run's configuration, and what it knows of its data; None where it was put together by hand.
      run: the directory that it was loaded from, or None.
      sha256: of the sums of the saved state, "" where it was not saved.
    """

    saved: Saved | None = None
    run: Path | None = None
    sha256: str = ""

    def __new__(
        cls,
        algorithm: Algorithm,
        state: State,
        saved: Saved | None = None,
        run: Path | None = None,
        sha256: str = "",
    ) -> Model:
        """The pair, with what is known of its run."""
        model = super().__new__(cls, algorithm, state)
        model.saved, model.run, model.sha256 = saved, run, sha256
        return model

    @property
    def provenance(self) -> Provenance | None:
        """What its pictures are to say of themselves; None where it was put together by hand."""
        return None if self.saved is None else provenance_of(self.saved, int(self.state.step), self.sha256)

    @property
    def config(self) -> Run:
        """The resolved configuration.

        Raises:
          UserError: the model was put together by hand.
        """
        if self.saved is None:
            raise UserError("this model was put together by hand: it has no configuration; ga.load(RUN) gives one")
        return self.saved.run

    def __repr__(self) -> str:
        name = "" if self.saved is None else f" {self.saved.run.name}"
        place = "" if self.run is None else f" of {self.run}"
        return f"Model{name}{place}\n{self.algorithm}\n{self.state}"

    def _repr_html_(self) -> str:
        first, *_ = repr(self).partition("\n")
        return f"<b>{html.escape(first)}</b>{self.algorithm._repr_html_()}{self.state._repr_html_()}"

    @property
    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        """Condition -> the names of its classes, in the order of their integers."""
        return self.algorithm.batch_spec.class_names


def provenance_of(saved: Saved, step: int, sha256: str = "") -> Provenance:
    """What pictures of a run at a step are to say of themselves."""
    run, data = str(saved.data.get("id", "")), str(saved.data.get("source", "unknown"))
    return provenance.of_source(saved.run.name, run, sha256, step, data)


def write_config(directory: Path, saved: Saved) -> None:
    """Writes config.json, whole or not at all.

    Raises:
      UserError: it cannot be written there.
    """
    if jax.process_index():
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        manifest.write_file(directory / "config.json", text(content(saved)))
    except OSError as error:
        raise UserError(f"{directory / 'config.json'} cannot be written: {error.strerror or error}") from None


def content(saved: Saved) -> Json:
    """What config.json holds, and about.json of every checkpoint among the rest."""
    return {"version": VERSION, "run": dataclasses.asdict(saved.run), "data": saved.data}


def text(content: Json) -> str:
    """config.json, from what it holds or from an about.json."""
    return json.dumps({name: content[name] for name in ("version", "run", "data")}, indent=2) + "\n"


def identity(saved: Saved) -> str:
    """What tells the checkpoints of a run from another's: a hash of what a resumed run must not change."""
    options = {key: value for key, value in _flat(dataclasses.asdict(saved.run)).items() if key not in _FREE}
    facts = [saved.data["fingerprint"], saved.data.get("init_from")]
    return hashlib.sha256(json.dumps([options, facts], sort_keys=True).encode()).hexdigest()[:16]


def differences(saved: Run, wanted: Run, free: bool = False) -> list[str]:
    """Lines "section.field: saved -> wanted" of what a resumed run must not change, or of what it may (`free`)."""
    old, new = _flat(dataclasses.asdict(saved)), _flat(dataclasses.asdict(wanted))
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key) and (key in _FREE) == free]
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in changed]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Json:
    out: Json = {}
    for name, value in tree.items():
        out |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return out


def batch_shapes(spec: BatchSpec, batch: int) -> Batch:
    """Shapes and dtypes of a training batch."""
    dtypes = {"pixels": jax.numpy.float32, "mask": jax.numpy.float32, "class": jax.numpy.int32}
    return batch_of(spec.fields, lambda _, field: jax.ShapeDtypeStruct((batch, *field.shape), dtypes[field.kind]))


def abstract_state(algorithm: Algorithm) -> State:
    """Shapes and dtypes of an algorithm's state."""
    shapes = batch_shapes(algorithm.batch_spec, 2 * algorithm.batches_per_step)
    state: State = jax.eval_shape(algorithm.init, jax.random.key(0), shapes)
    return state


def figure_names(algorithm: Algorithm, abstract: State) -> list[str]:
    """The names of the figures that the algorithm's evaluation gives."""
    batch = batch_shapes(algorithm.batch_spec, 2)
    return sorted(jax.eval_shape(algorithm.evaluate, abstract, batch, jax.random.key(0)))


def member_directory(directory: str | Path, member: int | None) -> Path:
    """The directory of a sweep's member, a run that most commands take; `directory` itself for None.

    Raises:
      UserError: it is no sweep, or has no such member.
    """
    if member is None:
        return packaged.place(directory)
    count = len(sweep.runs(read_config(directory).run))
    if not 0 <= member < count:
        there = f"members 0 to {count - 1}" if count else "no members, it is no sweep"
        raise UserError(f"{directory}: there is no member {member}; it has {there}")
    return expanded(directory) / "members" / str(member)


def _home(directory: str | Path, saved: Saved) -> Path:
    """Where the checkpoints of a run are: a member's in its sweep."""
    directory = expanded(directory)
    return directory.absolute().parents[1] if "member" in saved.data else directory


def open_checkpoints(directory: str | Path, saved: Saved) -> Checkpoints:
    """The checkpoints of a run, to read."""
    directory = _home(directory, saved)
    return Checkpoints(directory, best=saved.run.train.best, about={"id": saved.data.get("id")})


def seals(directory: str | Path) -> dict[int, str]:
    """Step -> what tells its saved state from any other, of a run's checkpoints; {} where there is no run."""
    if not (expanded(directory) / "config.json").is_file():
        return {}
    with open_checkpoints(directory, read_config(directory)) as checkpoints:
        return {step: checkpoints.seal(step) for step in checkpoints.steps()}


def load(directory: str | Path, step: int | Literal["best"] | None = None, member: int | None = None) -> Model:
    """The model of a run directory on the default device, at its newest good checkpoint, or at `step`.

    In place of a run it may be a model that comes with the package ("icons"), a folder of `genart export --hub`, one of
    the hub's (hf://OWNER/NAME), or a `.safetensors` file of StyleGAN2's published networks (docs/gans.md): states
    without an optimizer.

    "best" is the checkpoint with the best figure, where the run was trained with `train.best`. What is damaged is
    passed over, with a line in the log. Of a sweep, `member` says which; `load(f"{directory}/members/3")` does so too.

    Raises:
      UserError: no run there, or no checkpoint that can be read; a sweep without `member`, or a member that
        has diverged.
    """
    if published.is_file(directory):
        if step is not None or member is not None:
            raise UserError(f"{directory} is a file of weights; it has no steps and no members")
        return Model(*published.model(directory), published.described(directory), expanded(directory))
    directory = member_directory(directory, member)
    if hub.is_folder(directory):
        if step is not None:
            raise UserError(f"{directory} holds one state; leave the step out")
        return _load_folder(directory)
    saved = read_config(directory)
    home, index = _home(directory, saved), saved.data.get("member")
    if index is not None:
        saved = read_config(home)
    elif members := sweep.runs(saved.run):
        name = f"{directory}/members/0 to {len(members) - 1}"
        raise UserError(f"{directory} is a sweep; name one of its members, {name} (sample, evaluate: --member)")
    spec_of(saved.run)
    algorithm = build(saved.run, class_names=_names(saved))
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), abstract_state(algorithm)
    )
    with open_checkpoints(home, saved) as checkpoints:
        if step == "best" and (step := checkpoints.best()) is None:
            raise UserError(f"{directory}: no checkpoint has a figure to be the best by; train it with --train.best")
        state, _ = checkpoints.load(abstract, step)
        sha256 = checkpoints.seal(int(state.step))
    kept = frozen.kept(home, saved.data.get("frozen", {}), abstract.frozen)
    state = state.replace(frozen=jax.device_put(kept, sharding))
    if index is None:
        return Model(algorithm, state, saved, directory, sha256)
    if lost := int(state.extra[sweep.DIVERGED][index]):
        raise UserError(f"{directory} diverged in step {lost}; name an earlier checkpoint, or another member")
    own = build(sweep.runs(saved.run)[index], class_names=_names(saved))
    return Model(own, sweep.member(state, index), read_config(directory), directory, sha256)


def _load_folder(directory: Path) -> Model:
    """The model of a folder of the hub's layout."""
    saved = read_config(directory)
    spec_of(saved.run)
    algorithm = build(saved.run, class_names=_names(saved))
    elsewhere = {role: source for role, source in algorithm.frozen if source.startswith("asset:")}
    state = hub.read(directory, abstract_state(algorithm), elsewhere)
    if elsewhere:
        try:
            state = state.replace(frozen=load_frozen(algorithm) | state.frozen)
        except UserError as error:  # what asks for them says so; mostly that is training alone
            _log.debug("%s: without %s (%s)", directory, ", ".join(elsewhere), error)
    return Model(
        algorithm, jax.device_put(state, jax.local_devices()[0]), saved, directory, hub.about(directory)["sha256"]
    )


def _names(saved: Saved) -> Mapping[str, Sequence[str]]:
    names: Mapping[str, Sequence[str]] = saved.data["class_names"]
    return names


def described(directory: str | Path) -> Saved:
    """What there is to know of what `load` loads: a run's config.json, or what a file of published weights says."""
    return published.described(directory) if published.is_file(directory) else read_config(directory)


def load_frozen(algorithm: Algorithm) -> dict[str, Tree]:
    """The parameters that never train, from where the algorithm says they are: role -> nested dict of numpy arrays.

    The trainer calls this once for a run. Without it: `state.replace(frozen=ga.load_frozen(algorithm))`.

    Raises:
      UserError: a run or an asset is not there, or does not fit.
    """
    wanted = abstract_state(algorithm).frozen
    out = {}
    for role, source in algorithm.frozen:
        there, here = _read(source), wanted.get(role)
        if source.startswith("run:") and here is not None and "params" in here:  # of one network, not of a whole model
            there = there[_role_of(there, role, source)]
        out[role] = frozen.fit(role, there, here, source)
    return out


def _read(source: str) -> dict[str, Tree]:
    """The arrays of "asset:NAME", or of "run:DIR": role -> what the run samples with, {"params": ..., **mutable}."""
    kind, _, name = source.partition(":")
    if kind == "asset":
        return assets.load(name)
    if kind != "run":
        raise UserError(f"{source!r} holds no parameters; name run:DIR or asset:NAME")
    return common.lend(load(name).state)


def _role_of(there: Mapping[str, Tree], role: str, source: str) -> str:
    """Which of a run's roles another run's `role` is taken from."""
    if len(there) == 1:
        return next(iter(there))
    if role not in there:
        raise UserError(f"{role} of {source}: that run has {', '.join(there)}; call the role here as one of them")
    return role


def pretrained(name: str, algorithm: Algorithm) -> State:
    """A first state with the published weights `name`, whose model has one network; what they lack is left out.

    It has no optimizer: it is to be used, or to take parameters from.

    Raises:
      UserError: the weights are not in the cache, or lack something that the model needs.
    """
    variables = assets.load(name)
    ((role, wanted),) = abstract_state(algorithm).params.items()
    mutable = {key: value for key, value in variables.items() if key != "params"}
    missing = sorted(wanted.keys() - variables["params"].keys())
    if missing:
        file = f"; bring a file that has them: genart assets fetch {name} --from FILE"
        raise UserError(f"{name} of {assets.origin(name)} has no layers {', '.join(missing)}{file}")
    params = frozen.fit(name, variables["params"], wanted, assets.origin(name))
    state = State(jax.numpy.zeros((), jax.numpy.int32), {role: params}, {role: mutable}, {}, {}, {})
    return jax.device_put(state, jax.devices()[0])


_MAY_DIFFER = re.compile(r"\['(embed|\w+_embed|offsets|out)'\]|\['painter'\]\['\w+_norm'\]")
"""Parts that a fine-tuned model may begin anew: what belongs to classes of conditions (or styles), and last layers."""

_NEW_CLASSES = re.compile(r"\['classifier'\].*\['out'\]")
"""A classifier's last layer for other classes begins at zero: what it draws at random would stay there as noise, where
few pictures leave most directions of the features untrained."""

_PICTURES = re.compile(r"\['pixels'\]")
"""Parameters (height, width, ...) that are themselves a picture: taken from another size by resizing."""


def _placed(value: Tree, like: jax.Array) -> jax.Array:
    """`value` laid out over the devices as `like` is; each process puts its own parts."""
    host = np.asarray(value)
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: host[index])


def take_parameters(state: State, init_from: str, name: str = "") -> tuple[State, list[str]]:
    """`state` with parameters, statistics and averages of another run, and the paths of what was not taken.

    Where that run has no moving averages, they begin as its parameters. Optimizer and step stay fresh, and so do what
    belongs to classes of conditions and last layers, where their shapes differ (a classifier's then begins at zero),
    and a network that the same model has not there (published weights may come without a critic). `name` is this
    model's, for the error.

    Raises:
      UserError: no run there, or one of another model, or anything else has another shape.
    """
    there, other = described(init_from).run.name, load(init_from).state
    live = {role: {"params": params, **other.mutable.get(role, {})} for role, params in other.params.items()}
    averages = {role: own | other.ema.get(role, {}) for role, own in live.items()}
    taken, left = {}, []

    def take(path: Any, leaf: jax.Array, found: dict[str, Tree], part: str) -> jax.Array:
        where = jax.tree_util.keystr(path)
        shape = getattr(found.get(where), "shape", None)
        if shape == leaf.shape:
            return _placed(found[where], leaf)
        if shape and _PICTURES.match(where) and (len(shape), shape[2:]) == (leaf.ndim, leaf.shape[2:]):
            return _placed(jax.image.resize(found[where], leaf.shape, "linear"), leaf)
        if _MAY_DIFFER.search(where) or (there == name and path[0].key not in other.params):
            left.extend([where] if part == "params" else [])
            return _placed(np.zeros(leaf.shape, leaf.dtype), leaf) if _NEW_CLASSES.match(where) else leaf
        model = f"--init-from {init_from}: that is a run of {there}"
        if name and there != name:
            raise UserError(f"{model}, not of {name}")
        differs = f"{part}{where} has shape {shape} there and {leaf.shape} here"
        options = f": {published.words(init_from)}" if published.is_file(init_from) else ""
        raise UserError(f"{model}; {differs}; give the same --model options{options}")

    for part, theirs in (("params", other.params), ("mutable", other.mutable), ("ema", averages)):
        found = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(theirs)}
        one = functools.partial(take, found=found, part=part)
        taken[part] = jax.tree_util.tree_map_with_path(one, getattr(state, part))
    return state.replace(**taken), left


def with_age(run: Run, directory: Path, init_from: str | None) -> Run:
    """The configuration with the age of its moving averages at its start: `train.ema_steps`.

    It is what the run in `directory` remembers, or, for a new one, what those of `init_from` have behind them.
    """
    age = run.train.ema_steps
    if (directory / "config.json").is_file():
        age = read_config(directory).run.train.ema_steps
    elif init_from is not None and not age and published.is_file(init_from):
        age = published.AGE
    elif init_from is not None and not age:
        saved = read_config(init_from)
        age = saved.run.train.ema_steps + _newest(packaged.place(init_from), saved)
    return dataclasses.replace(run, train=dataclasses.replace(run.train, ema_steps=age))


def _newest(directory: Path, saved: Saved) -> int:
    """The step of a run's newest state, or of a folder's only one."""
    if hub.is_folder(directory):
        return int(hub.about(directory)["step"])
    with open_checkpoints(directory, saved) as checkpoints:
        return max(checkpoints.steps(), default=0)
