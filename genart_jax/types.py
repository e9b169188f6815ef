"""The floor that every module stands on: batches, states, algorithms and the image contract.

Images are NHWC float32 in [-1, 1] inside the package and uint8 at rest and at its edges; volumes are NDHWC and
videos NTHWC with the same range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genart_jax.config import BatchSpec, Field, UserError, classes_of
from genart_jax.runtime import shown

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

Scalar = float | jax.Array | Callable[[jax.Array | float], jax.Array]
"""A number, or one of the step."""

Batch = dict[str, Any]
"""Arrays with a leading batch axis, as a `BatchSpec` names them: `image`, optionally `target`, `other` and `mask`;
under `condition` a dict of integer arrays; and maybe `weight` (1 for a real example, 0 for padding)."""

Output = tuple[jax.Array, dict[str, jax.Array]]
"""Of a network: its output, and named intermediates."""

Metrics = dict[str, jax.Array]
"""Plain scalars by name."""

Tree = Any
"""Nested containers of arrays, as `jax.tree` knows them."""

Sums = dict[str, tuple[jax.Array, jax.Array]]
"""Mergeable evaluation results: name -> (weighted sum, weight). Where both are vectors, the ratio is taken per entry
and averaged over the entries that have weight (balanced accuracy over classes, say); of a name that begins with
`least_` the smallest is taken instead. Where the sum is a vector and the weight is not, the ratio is a distribution,
and the figure is its perplexity, exp(-sum p log p)."""


Condition = Mapping[str, jax.Array]
"""Classes by name, integers (batch,)."""

Classes = ArrayLike | str | Sequence[str]
"""Of a condition, one for all examples or (batch,): integers, or words."""

Told = Mapping[str, Classes] | None
"""Classes by name as a user gives them; words where the model knows the names of its classes. What is left out is for
the use to fill."""

_COMMANDS = ("sample", "predict", "transform")
"""Uses that have a command of their own name."""

HIDDEN = -1
"""In place of a class: not told."""
TO_HIDE = "or train with step.condition-dropout above 0 to hide it"


class Module(Protocol):
    """A Flax linen module, or what looks like one: parameters are made by `init` and given to `apply`."""

    def init(self, rngs: Any, /, *args: Any, **kwargs: Any) -> Any:
        """The variables: collection -> nested dicts of arrays, parameters in "params"."""

    def apply(self, variables: Any, /, *args: Any, **kwargs: Any) -> Any:
        """(output, dict of named intermediates); with `mutable=`, changed collections beside that."""

    def __hash__(self) -> int:
        """The same for modules of one form."""
        ...


class Translation(NamedTuple):
    """What a network from pictures to pictures says of itself: what it takes besides, and what a pixel depends on.

    Attributes:
      takes: the inputs after the pictures, in order: "mask" (batch, height, width, 1), "overview" (batch, n) of a role
        of that name, "keys" (batch,) of what is drawn for each example, "condition". Of a critic: "input", which the
        pictures are then joined with along their channels.
      scale: how many times longer and wider the pictures that it makes are.
      reach: how many pixels of the input away what matters to a pixel may lie; None where all of the picture does. A
        picture may be cut in tiles that overlap by so much.
      multiple: sides and places of such tiles are multiples of it.
    """

    takes: tuple[str, ...] = ()
    scale: int = 1
    reach: int | None = None
    multiple: int = 1


class Network(NamedTuple):
    """A role's module, and all that is to be known to give it parameters.

    Attributes:
      module: takes `train=True` where it is trained, and without it is as in evaluation.
      inputs: what it is initialised with, in order: zeros for two examples; or a function of nothing that makes them.
      frozen: where its parameters come from if they never train, and "" if they do. "asset:NAME" is what
        `assets.load(NAME)` returns. "run:DIR" is what that run samples with: of its only role, or of the one that is
        called as here. "random": they stay as they are initialised.
      group: on how many neighbours of the batch what it says of an example depends.
      translation: of a network from pictures to pictures.
    """

    module: Module
    inputs: tuple[Tree, ...] | Callable[[], tuple[Tree, ...]]
    frozen: str = ""
    group: int = 1
    translation: Translation | None = None


def untold(conditions: Any, num: int = 2) -> dict[str, jax.Array]:
    """A resolved Config's conditions, all hidden, of `num` examples: to initialise networks with."""
    return {name: jnp.full((num,), HIDDEN) for name, _ in classes_of(conditions)}


class State(flax.struct.PyTreeNode):
    """Everything that training changes, as one pytree: one donation, one checkpoint, one sharding rule set.

    Attributes:
      step: int32 scalar, the number of finished steps.
      params: role -> parameters ("generator", "critic", "encoder", ...).
      mutable: role -> mutable collections of the role's module ({"batch_stats": ...}); {} where it has none.
      opt: player -> Optax state.
      ema: role -> {"params": ..., **mutable}, the moving averages that sampling uses; {} where switched off.
      extra: what else the algorithm carries from step to step.
      frozen: role -> parameters that never train (a tokenizer's, a feature network's); see `Algorithm.frozen`. A run
        keeps them once, with their SHA-256, and not in its checkpoints.
    """

    step: jax.Array
    params: dict[str, Tree]
    mutable: dict[str, Tree]
    opt: dict[str, Tree]
    ema: dict[str, Tree]
    extra: dict[str, Tree]
    frozen: dict[str, Tree] = flax.struct.field(default_factory=dict)

    @property
    def variables(self) -> Variables:
        """Where the networks stand in training."""
        return Variables(self.params, self.mutable, self.frozen)

    def _rows(self) -> list[shown.Row]:
        parts = {name: getattr(self, name) for name in ("params", "mutable", "opt", "ema", "frozen")}
        return shown.parts_of(parts | {"extra": {"": self.extra}})

    def _title(self) -> str:
        step = "" if isinstance(self.step, jax.core.Tracer | jax.ShapeDtypeStruct) else f" after step {self.step}"
        return f"State{step}, {shown.size_of(self)}"

    def __repr__(self) -> str:
        return shown.text(self._title(), self._rows())

    def _repr_html_(self) -> str:
        return shown.page(self._title(), self._rows(), shown.leaves_of(self))


Kind = Literal[
    "pictures", "mask", "latents", "styles", "codes", "overview", "key", "count", "condition", "number"
]  # fmt: skip


class Input(NamedTuple):
    """One argument of a use.

    Attributes:
      name: by which the function takes it.
      kind: "pictures": (batch, *shape) float32 in [-1, 1]. "mask": likewise in [0, 1], 1 where a picture is lost; None
        where nothing is. "overview": (batch, *shape) float32, what the use of that name makes of whole pictures; None
        for the use to make it of these. "latents": (batch, *shape) float32, a standard normal's.
        "styles": (batch, *shape) float32, as "map" makes them.
        "codes": (batch, *shape) int32 from 0 to below `classes`. "key": of `jax.random`. "count": how many, an int that
        is 1 or more. "condition": classes by name, an int or (batch,) of each; None or a name left out is for the use
        to fill. "number": from `low` to `high`, and `default` where it is left out: a slider.
      shape: of one example; a length of 0 stands for any.
      spec: of a "condition": which names and classes there are, and which can be hidden.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...] = ()
    classes: int = 0
    low: float = 0.0
    high: float = 1.0
    default: float = 1.0
    spec: BatchSpec | None = None


class Use(NamedTuple):
    """What a trained model is for: function(state, *inputs) -> array, with inputs in this order or by name."""

    function: Callable[..., jax.Array]
    inputs: tuple[Input, ...]
    translation: Translation | None = None
    """Of a use from pictures to pictures, if pictures may have any size."""

    def of_kind(self, kind: Kind) -> tuple[Input, ...]:
        """Its inputs of a kind."""
        return tuple(one for one in self.inputs if one.kind == kind)


class Algorithm(NamedTuple):
    """A model with its training and its uses, as pure functions; needs nothing but JAX.

    `step(state, batch, key, due=None)`: `key` is the run's key and the same in every step; the step folds `state.step`
    into it. `due` names the lazy terms to compute: None decides by `lax.cond` on `state.step`, a static tuple decides
    at trace time. `lazy` lists them as (name, every how many steps).

    `uses` is what the model is for, by name, as `steps.uses.table` makes it: "sample" draws pictures, "decode" makes
    them of latents or codes, "encode" is the way back, "transform" makes pictures of pictures, "predict" gives log
    probabilities of classes. `algorithm.sample` and its like are these functions, or None. For those who look inside,
    "draw" gives the latents that "sample" draws with the same key, "activate" what a network's first named intermediate
    is for latents, (batch, features); and where there is a mapping network, "map" makes styles of latents, and
    "synthesize" pictures of styles.

    `order` is for a NaN, which spreads to all that follows: it is blamed on the first of these that has one.

    `begin` is called once, between `init` and the first step, with the first real batch and `state.frozen` in place:
    for what must be taken from data. None where there is nothing to take.

    `show` makes of test examples what a run draws of itself, by label and in this order: "input", "output", "target".
    Where it is None, samples are drawn, or what `transform` makes.

    `frozen` names where the parameters in `State.frozen` come from, as (role, source); see `Network.frozen`. `init`
    fills a role at random, or leaves it out where its shapes are the source's to say. The trainer and `load` then put
    the source's in; without them: `state.replace(frozen=ga.load_frozen(algorithm))`. A step returns `frozen` as it got
    it, and whoever donates a state gives its `frozen` away too.
    """

    batch_spec: BatchSpec
    batches_per_step: int
    init: Callable[..., State]  # init(key, batch) -> State
    step: Callable[..., tuple[State, Metrics]]  # step(state, batch, key, due=None)
    evaluate: Callable[..., Sums]  # evaluate(state, batch, key)
    networks: Mapping[str, Network] = {}  # by role, for `run` and all that looks inside
    uses: Mapping[str, Use] = {}
    lazy: tuple[tuple[str, int], ...] = ()
    begin: Callable[..., State] | None = None  # begin(state, batch) -> State
    show: Callable[..., Mapping[str, jax.Array]] | None = None  # show(state, batch, key) -> {label: pictures}
    order: tuple[str, ...] = ()  # metrics in the order in which a step computes them, as far as it matters
    members: int = 0  # of a sweep, see `sweep.members`; 0: none, the state is one run's
    precision: str | None = None  # of products of float32 numbers, as `jax.default_matmul_precision` takes it

    def _rows(self) -> list[shown.Row]:
        spec = self.batch_spec
        fields = [f"{name} {field.shape}" for name, field in spec.fields.items() if field.kind != "class"]
        networks = [f"{role} ({network.frozen})" if network.frozen else role for role, network in self.networks.items()]
        takes = [f"{name}({', '.join(one.name for one in use.inputs)})" for name, use in self.uses.items()]
        rows = {
            "takes": ", ".join([*fields, *(f"{name} ({count} classes)" for name, count in spec.conditions)]),
            "networks": ", ".join(networks),
            "uses": ", ".join(takes),
            "lazy terms": ", ".join(f"{name} every {every} steps" for name, every in self.lazy),
            "members": str(self.members or ""),
        }
        return [(name, said) for name, said in rows.items() if said]

    def __repr__(self) -> str:
        return shown.text("Algorithm", self._rows())

    def _repr_html_(self) -> str:
        return shown.page("Algorithm", self._rows())

    def use(self, name: str, model: str = "this model") -> Use:
        """A use by its name.

        Raises:
          UserError: the model has none of that name.
        """
        if name not in self.uses:
            commands = " or ".join(f"genart {use}" for use in _COMMANDS if use in self.uses)
            hint = f" (by {commands})" if commands else ""
            raise UserError(f"{model} has no use {name!r}; it has {', '.join(self.uses) or 'none'}{hint}")
        return self.uses[name]

    def _function(self, name: str) -> Callable[..., jax.Array] | None:
        return self.uses[name].function if name in self.uses else None

    @property
    def decode(self) -> Callable[..., jax.Array] | None:
        """The use: (state, latents or codes, condition=None) -> images."""
        return self._function("decode")

    @property
    def sample(self) -> Callable[..., jax.Array] | None:
        """The use: (state, key, num, condition=None) -> images."""
        return self._function("sample")

    @property
    def encode(self) -> Callable[..., jax.Array] | None:
        """The use: (state, images, key, condition=None) -> latents or codes."""
        return self._function("encode")

    @property
    def predict(self) -> Callable[..., jax.Array] | None:
        """The use: (state, images) -> log probabilities (batch, classes)."""
        return self._function("predict")

    @property
    def transform(self) -> Callable[..., jax.Array] | None:
        """The use: (state, images, key) -> images; `uses["transform"].inputs` has what it may take besides."""
        return self._function("transform")

    @property
    def frozen(self) -> tuple[tuple[str, str], ...]:
        """(role, source) of what never trains and is not as it was initialised."""
        kept = {role: network.frozen for role, network in self.networks.items()}
        return tuple((role, source) for role, source in kept.items() if source not in ("", "random"))

    def due(self, step: int) -> tuple[str, ...]:
        """The lazy terms that are due at `step` (an int on the host): the static `due` to pass to `step`."""
        return tuple(name for name, every in self.lazy if step % every == 0)


class Variables(NamedTuple):
    """Where all networks stand: role -> parameters, mutable collections, and parameters that never train."""

    params: Mapping[str, Tree]
    mutable: Mapping[str, Tree]
    frozen: Mapping[str, Tree]


class Scene(NamedTuple):
    """What one round is about.

    The leaves of `batch`, `drawn`, `made` and `view` have the batch as leading axis, and are cut for microbatches. The
    rest is the same for all examples.

    Attributes:
      batch: real examples, with what is hidden or mixed in them.
      drawn: random latents, noise, weights, by name.
      made: what the maker's networks made of it; None where there is no maker.
      view: how pictures are augmented for critics.
      carried: `State.extra`.
      key: the round's, for what is drawn for the batch as a whole.
      means: what `Player.measure` found of the whole batch; None where the loss sees the whole batch itself.
    """

    batch: Batch
    drawn: Mapping[str, Tree]
    made: Tree = None
    view: Tree = None
    carried: Mapping[str, Tree] = {}
    key: Any = None
    means: Tree = None


class Outcome(NamedTuple):
    """What a loss says of a scene.

    Attributes:
      value: of each example (batch,), or their mean.
      metrics: means over the examples, for the log.
      mutable: role -> its collections afterwards, where they change.
      found: other means over the examples, for `Player.after`.
    """

    value: jax.Array
    metrics: Metrics
    mutable: Mapping[str, Tree] = {}
    found: Mapping[str, Tree] = {}


class Loss(Protocol):
    """What a player plays for."""

    def __call__(self, at: Variables, scene: Scene, /) -> Outcome:
        """The loss with all networks where `at` says."""


Subject = Tree
"""What a player's terms regularise: `losses.terms.CriticAt`, `GeneratorAt`, or what a family likes."""

Keys = Callable[[str], jax.Array]
"""name -> keys (batch,), one an example, of a stream of a term's own."""


class Term(NamedTuple):
    """A regulariser as data: what is added to a player's loss besides.

    Attributes:
      name: in the log, in `State.extra`, in `due`, and of its random stream.
      value: (subject, scene) -> values (batch,) and new entries of `State.extra`, each linear in means over examples.
        `subject` is what `Player.subject` makes: a critic's is its score of pictures.
      weight: of the mean of these values.
      every: 0: joins every update. n: lazy, computed in every n-th step, with n times its weight.
      start: what it carries in `State.extra`, at first.
      prepare: (keys, scene) -> the scene that it is computed on, with what it draws for itself.
    """

    name: str
    value: Callable[[Subject, Scene], tuple[jax.Array, Mapping[str, jax.Array]]]
    weight: Scalar
    every: int = 0
    start: Mapping[str, float] = {}
    prepare: Callable[[Keys, Scene], Scene] = lambda keys, scene: scene


def batch_of(fields: Mapping[str, Field], leaf: Callable[[str, Field], Tree]) -> Batch:
    """A batch with `leaf(name, field)` in the place of each field."""
    batch: Batch = {name: leaf(name, field) for name, field in fields.items() if field.kind != "class"}
    condition = {name: leaf(name, field) for name, field in fields.items() if field.kind == "class"}
    return batch | {"condition": condition}


def to_float(images: ArrayLike) -> Float[jax.Array, "..."]:
    """uint8 images (any shape) -> float32 in [-1, 1]."""
    return jnp.asarray(images).astype(jnp.float32) / 127.5 - 1.0


def to_uint8(images: ArrayLike) -> UInt8[np.ndarray, "..."]:
    """Float images in [-1, 1] (any shape) -> uint8 on the host, rounded; values outside are clipped."""
    scaled = (np.asarray(images, np.float32) + 1.0) * 127.5
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def fits(shape: tuple[Any, ...], wanted: tuple[int, ...]) -> bool:
    """Whether lengths are the wanted ones, of which 0 stands for any."""
    return len(shape) == len(wanted) and all(n in (0, m) for m, n in zip(shape, wanted, strict=True))


def check_images(images: ArrayLike, shape: tuple[int, ...], name: str = "image") -> None:
    """Raises UserError unless `images` is a float32 batch of `shape` images in [-1, 1].

    Under `jit` the values are unknown, and only shape and dtype are checked.
    """
    got = getattr(images, "shape", None), getattr(images, "dtype", None)
    wanted = f"({', '.join(['batch', *(str(n or 'any') for n in shape)])}) float32 in [-1, 1]"
    if got[0] is None or len(got[0]) != len(shape) + 1 or not fits(got[0][1:], shape):
        raise UserError(f"{name}: got shape {got[0]} {got[1]}, wanted {wanted}")
    if got[1] != jnp.float32:
        hint = "; scale uint8 pixels with genart_jax.to_float" if got[1] == jnp.uint8 else ""
        raise UserError(f"{name}: got {got[0]} {got[1]}, wanted {wanted}{hint}")
    if not isinstance(images, jax.core.Tracer):
        array = np.asarray(images)
        low, high = float(array.min()), float(array.max())
        if not (low >= -1.0001 and high <= 1.0001):
            raise UserError(f"{name}: got {got[0]} {got[1]} in [{low:g}, {high:g}], wanted {wanted}")


def check_condition(condition: Told, spec: BatchSpec) -> None:
    """Raises UserError where `condition` has a name or a class that the model does not know.

    -1, for a hidden one, is known only where the model was trained so. Under `jit` the classes cannot be checked.
    """
    known = dict(spec.conditions)
    for name, value in (condition or {}).items():
        if name not in known:
            raise UserError(f"condition {name!r} is unknown; this model has {', '.join(known) or 'none'}")
        if isinstance(value, jax.core.Tracer):
            continue
        wanted = f"wanted 0 to {known[name] - 1}{', or -1 to hide it' if name in spec.hidden else ''}"
        value = np.asarray(value)
        if not np.issubdtype(value.dtype, np.integer):
            names = "; ga.load knows names, and ga.build with spec= or class_names=" if value.dtype.kind in "US" else ""
            raise UserError(f"condition {name}: got {value}, {wanted}{names}")
        if (value == HIDDEN).any() and name not in spec.hidden:
            raise UserError(f"condition {name}: this model has not learnt to do without it; {wanted}, {TO_HIDE}")
        if (wrong := value[(value < HIDDEN) | (value >= known[name])]).size:
            raise UserError(f"condition {name}: {wrong.flat[0]} is no class; {wanted}")
