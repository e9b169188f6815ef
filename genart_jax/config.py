"""All options, as frozen dataclasses of JSON scalars, strings and tuples. No jax here.

A `Run` is one model's whole configuration: what a preset holds, what the command line is made from and what is saved
as config.json. The comment or docstring of a field is its help text.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from genart_jax.ranges import Count, Decay, Momentum, Natural, Positive, Range, Share, Weight, complaints


class UserError(ValueError):
    """The user's input is wrong. The message is one line that says what, and how to mend it."""


class NotFiniteError(ArithmeticError):
    """A loss became NaN or infinite. The message names step, metric and the last good checkpoint.

    Attributes:
      what: the message without advice.
      step: number of the step, from 1, in which it was seen.
    """

    def __init__(self, message: str, what: str = "", step: int = 0) -> None:
        super().__init__(message)
        self.what, self.step = what, step


class PeerLostError(RuntimeError):
    """Another process of a run on several hosts has ended. The message says how to go on."""


class NotSavedError(OSError):
    """A state could not be saved. The message says why, and from where the run can go on."""


@dataclasses.dataclass(frozen=True)
class BatchSpec:
    """What a batch of a model holds: enough to load and use a model without its data."""

    image_shape: tuple[int, ...] = (32, 32, 3)
    """(height, width, channels)."""
    conditions: tuple[tuple[str, int], ...] = ()
    """(name, number of classes) of each integer condition."""
    hidden: tuple[str, ...] = ()
    """The conditions that the model also learns without: of these, -1 (not told) can be asked for."""


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An Optax optimizer, its schedule, and what is done to gradients before it."""

    name: str = "adam"
    """Update rule: adam, adamw, sgd, lion, rmsprop or another of Optax's by its name there."""
    learning_rate: Weight = 2e-4
    """Peak learning rate."""
    b1: Momentum = 0.9
    """First-moment decay of adam, adamw and lion; momentum of sgd and rmsprop."""
    b2: Decay = 0.999
    """Second-moment decay of adam, adamw, lion and rmsprop."""
    eps: Weight = 1e-8
    """Added to the denominator of adam and adamw; of rmsprop, to the mean square under its root, as Optax does by
    default: there, 1e-8 keeps a denominator above 1e-4."""
    nesterov: bool = False
    """Nesterov momentum (adam, adamw, sgd, rmsprop)."""
    schedule: Literal["constant", "cosine", "linear", "exponential"] = "constant"
    """Shape of the learning rate after the warm-up, over train.steps."""
    warmup_steps: Natural = 0
    """Updates over which the learning rate rises linearly from 0."""
    final_fraction: Weight = 0.0
    """The schedule ends at this fraction of the peak (exponential needs more than 0)."""
    weight_decay: Weight = 0.0
    """Decoupled weight decay, for every optimizer (Loshchilov & Hutter 2019)."""
    decay_paths: str = r"kernel$"
    """Regular expression: the parameter paths that weight_decay, l1 and l2 touch."""
    l1: Weight = 0.0
    """L1 penalty; its gradient, l1 * sign(w), is added to the loss's."""
    l2: Weight = 0.0
    """L2 penalty (l2/2 * |w|^2); its gradient, l2 * w, is added to the loss's."""
    clip_norm: Weight = 0.0
    """Clip the global gradient norm to this (0: off)."""
    clip_value: Weight = 0.0
    """Clip each gradient entry to +- this (0: off)."""


@dataclasses.dataclass(frozen=True)
class Gan:
    """Options of the adversarial step."""

    loss: str = "non_saturating"
    """Adversarial loss of both players: non_saturating, minimax, hinge, least_squares, wasserstein or relativistic."""
    d_steps: Count = 1
    """Critic updates a step, each on its own real batch."""
    g_steps: Count = 1
    """Generator updates a step."""
    critic_learning_rate: Weight | None = None
    """The critic's peak learning rate; None: the generator's."""
    critic_batch: Literal["joint", "separate"] = "joint"
    """The critic sees real and generated pictures in one batch, or each in its own (for BatchNorm in the critic)."""
    r1_gamma: Weight = 0.0
    """Weight of the R1 penalty, gamma/2 * |grad D(real)|^2 (0: off)."""
    r1_every: Count = 16
    """R1 is computed every so many steps, and its weight multiplied by the critic updates in between."""
    path_weight: Weight = 0.0
    """Weight of the path length penalty (0: off; Karras et al. 2020: 2). Needs a mapping network."""
    path_every: Count = 4
    """The path length penalty is computed every so many steps, and its weight multiplied by them."""
    path_shrink: Count = 2
    """The path length penalty is computed for a batch that is so many times smaller."""
    path_decay: Share = 0.01
    """Share of the newest in the running mean of path lengths."""
    lazy_updates: Literal["joint", "separate"] = "joint"
    """R1 and path length join the next update, or get one of their own and learning rate and moments that allow it."""
    critic_terms: tuple[str, ...] = ()
    """Regularisers of the critic, as NAME=WEIGHT, or NAME=WEIGHT@PERIOD for a lazy one, such as r1=0.5@8 r2=0.5@8 gp=10
    (r1, r2, gp, zero_gp, lecam, consistency, latent_consistency, orthogonal)."""
    generator_terms: tuple[str, ...] = ()
    """Regularisers of the generator, likewise (latent_spread, orthogonal; path length has options of its own)."""
    style_mixing: Share = 0.0
    """Probability that the styles of an example's later layers come from another z. Needs a mapping network."""
    ema_decay: Share = 0.999
    """Decay of the generator's moving average, after its warm-up (0: off)."""
    ema_images: Weight = 0.0
    """Half-life of that average in images, in place of ema_decay (0: ema_decay)."""
    ema_ramp: Weight = 0.05
    """The half-life in images is at most this times the images seen (0: no ramp)."""
    condition_dropout: Share = 0.0
    """Probability with which each condition of an example is hidden from both players in training; above 0, samples
    may hide it too."""
    augment: Literal["none", "diffaugment", "ada"] = "none"
    """How the critic's pictures are augmented, real and generated alike: DiffAugment (Zhao et al. 2020), or the
    pipeline of adaptive discriminator augmentation (Karras et al. 2020b)."""
    augment_ops: tuple[str, ...] = ()
    """Which parts of it: color, translation, cutout of diffaugment (empty: all); blit, geometric, color, filter, noise,
    cutout of ada (empty: the first three)."""
    augment_schedule: Literal["auto", "constant", "adaptive", "cosine"] = "auto"
    """Its probability: constant, by the critic's overfitting, or a rise; auto: adaptive for ada, else constant."""
    augment_p: Share = 1.0
    """That probability where it is constant, the end of its rise, and the most that adaptive may reach."""
    augment_target: Annotated[float, Range(-1, 1)] = 0.6
    """Adaptive: the probability rises while the mean sign of the critic's scores of real pictures is above this."""
    augment_images: Count = 500_000
    """Real pictures in which the probability can go from 0 to 1 (adaptive), or rises to augment-p (cosine)."""


@dataclasses.dataclass(frozen=True)
class Vae:
    """Options of the variational step."""

    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    """Decoder's distribution of a pixel."""
    beta: Weight = 1.0
    """Weight of the KL divergence (Higgins et al. 2017)."""
    free_bits: Weight = 0.0
    """Nats a latent dimension may cost for free, over the batch's mean (Kingma et al. 2016)."""
    scale: Literal["optimal", "fixed"] = "optimal"
    """Gaussian's standard deviation: the optimum for the batch (Rybkin et al. 2021), or fixed_scale."""
    fixed_scale: Positive = 0.1
    """Standard deviation in units of [-1, 1], where scale is fixed."""
    binarize: Literal["none", "threshold", "stochastic"] = "none"
    """How pixels become 0 or 1 for the Bernoulli likelihood (none: grey values as probabilities)."""
    condition_dropout: Decay = 0.0
    """Probability with which each condition of an example is hidden in training; above 0, samples may hide it too."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the parameters, after its warm-up (0: off)."""


@dataclasses.dataclass(frozen=True)
class VectorQuantized:
    """Options of the vector-quantised step."""

    beta: Weight = 0.25
    """Weight of the commitment loss, which keeps encodings near their codes; fixed levels need none."""


@dataclasses.dataclass(frozen=True)
class Autoregressive:
    """Options of the autoregressive step."""

    condition_dropout: Decay = 0.1
    """Probability with which each condition of an example is hidden in training; above 0, samples may hide it too."""
    temperature: Positive = 1.0
    """Logits are divided by this when codes are drawn: below 1 the likelier ones are drawn more often still."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the parameters, after its warm-up (0: off)."""


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Options of the classification step."""

    label_smoothing: Decay = 0.0
    """Mass that the target distribution spreads over all classes."""
    mixup: Weight = 0.0
    """Blend examples and their labels by a share from Beta(mixup, mixup) (Zhang et al. 2018; 0: off)."""
    cutmix: Weight = 0.0
    """Paste a box of one example into another and mix labels by area, a share from Beta(cutmix, cutmix) (Yun et al.
    2019; 0: off). With mixup, each example takes one of the two."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the parameters, after its warm-up (0: off)."""


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Options of the step that trains pixels."""

    content_weight: Weight = 1.0
    """Weight of the content loss."""
    style_weight: Weight = 1.0
    """Weight of the style loss."""
    tv_weight: Weight = 1.0
    """Weight of the total variation."""
    keep_color: bool = False
    """Change luminance alone, and compare luminance alone (Gatys et al. 2017, section 5.2)."""
    noise: Weight = 0.01
    """Standard deviation of the noise that the picture starts with, in units of [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class Data:
    """Where pictures come from and what is done to them."""

    source: str = ""
    """emoji[:SIZE], idx:DIR, stacked:DIR, folder:DIR, pictures:FILE:FILE..., tfds:NAME[:SPLIT], or a set that
    `genart data build` made, by its name or as built:DIR. Empty: emoji, or, for a model of another's codes, what that
    one was trained on."""
    image_size: tuple[Count, ...] = ()
    """One number, or height and width, to resize folder and tfds pictures to; empty: 64 for a folder, else its own."""
    channels: Count = 3
    """3 for colour, 1 for grey (folder and tfds)."""
    test_fraction: Share = 0.1
    """Share held out for evaluation where the source has no test split."""
    strict: bool = False
    """A picture that cannot be read is an error, instead of being skipped and counted."""
    flip: bool = False
    """Mirror each training picture left to right with probability one half."""
    crop: Natural = 0
    """Pad training pictures by so many edge pixels and crop back at a random place."""
    jitter: tuple[Weight, ...] = ()
    """Change brightness, contrast, saturation and hue of training pictures, each by up to these four fractions, such as
    0.4 0.4 0.4 0.1 (empty: off)."""
    cutout: Natural = 0
    """Fill a square of so many pixels of each training picture with grey."""
    limit: Natural = 0
    """Train on so many examples only, a fixed choice from the whole training split (0: all)."""
    memory_limit_mb: Natural = 2048
    """Sets larger than this (decoded) are streamed by grain instead of held in device memory."""
    workers: Natural = 4
    """Threads that decode streamed pictures."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Length, rhythm and reporting of a run."""

    steps: Count = 1000
    """Steps in all; a larger number continues a finished run."""
    batch: Count = 64
    """Examples a step, over all devices (of the generator; a critic with d_steps = n sees n times as many)."""
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    """Seed of initialisation, data order and every random draw."""
    log_every: Count = 50
    """Steps between rows of metrics.jsonl."""
    sample_every: Natural = 500
    """Steps between sample grids (0: only at the end)."""
    eval_every: Natural = 0
    """Steps between evaluations on the test split (0: only at the end)."""
    save_every: Natural = 500
    """Steps between checkpoints (0: only at the end)."""
    keep: Count = 2
    """How many checkpoints to keep, the newest."""
    best: str = ""
    """Figure of the evaluation whose best checkpoint is kept as well, as in accuracy:max (empty: none)."""
    rollbacks: Natural = 1
    """How often a run that is no longer finite goes back to its last checkpoint, at 0.3 of its learning rate."""
    ema_steps: Natural = 0
    """Steps that the moving average has behind it, so that its warm-up goes on; --init-from sets it."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Precision of products and activations; parameters, losses and optimizers stay float32. tf32: NVIDIA GPUs only."""
    remat: bool = False
    """Keep only the activations between stages for the backward pass, and compute the others again, to save memory of
    accelerators; on CPU it saves none."""
    microbatch: Natural = 0
    """Examples computed at a time, over all devices; gradients add up to those of the whole batch (0: all at once)."""
    steps_per_dispatch: Count = 1
    """Steps run on the device at a time, in a loop there: pays for steps of a few milliseconds."""
    samples: Count = 64
    """Pictures in a sample grid."""
    schedules: tuple[str, ...] = ()
    """Numbers that change over the run, as NAME=FROM..TO[:cosine|:linear][@STEPS], such as b2=0.9..0.99:cosine: of the
    optimizer learning_rate, b1, b2, and of a GAN ema_images, augment_p and its regularisers by name (their weights)."""


@dataclasses.dataclass(frozen=True)
class Parallel:
    """The mesh of devices."""

    data: Natural = 0
    """Rows of devices, each with a copy of the parameters (0: as many as there are devices for)."""
    model: Count = 1
    """Devices a row: each keeps its part of the large parameters, moments and averages. A batch is split over all."""
    rules: tuple[tuple[str, str], ...] = ()
    """Pairs of a regular expression over a parameter's path and its layout: whole, largest, or an axis's number."""
    coordinator: str = ""
    """host:port of process 0, for several processes; empty: as SLURM, Kubernetes or a TPU pod says; none: only one."""
    process: Natural | None = None
    """This process's number, from 0."""
    processes: Count | None = None
    """How many processes there are."""
    heartbeat: Count = 60
    """Seconds without a sign of life after which a process counts as lost, and the others end."""


@dataclasses.dataclass(frozen=True)
class SweepOptimizer:
    """Options of the optimizer that a sweep's members differ by: values with commas in between. Each is combined with
    each of the others.
    """

    learning_rate: tuple[Weight, ...] = ()
    """Peak learning rates, such as 1e-4,2e-4 (step.critic-learning-rate, where it is set, stays)."""
    b1: tuple[Momentum, ...] = ()
    """First-moment decays or momenta."""
    b2: tuple[Decay, ...] = ()
    """Second-moment decays."""
    eps: tuple[Weight, ...] = ()
    """What is added to the denominator, or, of rmsprop, under its root."""
    weight_decay: tuple[Weight, ...] = ()
    """Decoupled weight decays."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Several runs trained as one program, which differ by their seed and by options of the optimizer."""

    seeds: Natural = 0
    """How many seeds, from train.seed on, for each setting of the options (0: no sweep, or one seed of each)."""
    optimizer: SweepOptimizer = SweepOptimizer()


@dataclasses.dataclass(frozen=True)
class Run:
    """One model's whole configuration."""

    model: Any
    """The model's own Config."""
    step: Any
    """Options of its step: Gan, Vae, Classifier and the others above."""
    optimizer: Optimizer = Optimizer()
    data: Data = Data()
    train: Train = Train()
    parallel: Parallel = Parallel()
    sweep: Sweep = Sweep()
    name: str = ""
    """The model's name in the registry."""


def check_ranges(run: Run) -> None:
    """Raises UserError, with one line, where numbers are out of the ranges that their types name."""
    if found := [*complaints(run)]:
        raise UserError("; ".join(found))


def classes_of(conditions: Any) -> tuple[tuple[str, int], ...]:
    """Conditions with their class counts, () for None.

    Raises:
      UserError: names alone, which only data can complete.
    """
    for condition in conditions or ():
        if isinstance(condition, str):
            raise UserError(f"conditions {conditions}: without data, give (name, number of classes) of each")
    return tuple((name, classes) for name, classes in conditions or ())


def spec_of(run: Run) -> BatchSpec:
    """The batch that a resolved configuration is trained on.

    Raises:
      UserError: `image_shape` or `conditions` was left None and nothing has filled it.
    """
    shape, conditions = run.model.image_shape, getattr(run.model, "conditions", ())
    if shape is None:
        raise UserError(f"{run.name}: image_shape is not set; pass image_shape=(height, width, channels)")
    classes = classes_of(conditions)
    hidden = tuple(name for name, _ in classes) if getattr(run.step, "condition_dropout", 0.0) > 0 else ()
    return BatchSpec(tuple(shape), classes, hidden)


def resolve(run: Run, spec: BatchSpec) -> Run:
    """Fills what the model's Config leaves None from what the data offers.

    `conditions` may also be given as names alone, or as one name; the class counts are then the data's.

    Raises:
      UserError: the Config asks for a shape or a condition that the data does not have.
    """
    changes: dict[str, Any] = {}
    fields = {f.name for f in dataclasses.fields(run.model)}
    offered = dict(spec.conditions)
    if run.model.image_shape is None:
        changes["image_shape"] = tuple(spec.image_shape)
    elif tuple(run.model.image_shape) != tuple(spec.image_shape):
        raise UserError(f"the model wants pictures of shape {run.model.image_shape}, the data has {spec.image_shape}")
    if "conditions" in fields:
        wanted = run.model.conditions
        names = list(offered) if wanted is None else [c if isinstance(c, str) else c[0] for c in wanted]
        for name in names:
            if name not in offered:
                raise UserError(f"the data has no condition {name!r}; it has {', '.join(offered) or 'none'}")
        resolved = tuple((name, offered[name]) for name in names)
        for given in wanted or ():
            if not isinstance(given, str) and tuple(given) not in resolved:
                here = offered[given[0]]
                raise UserError(f"condition {given[0]!r}: the model has {given[1]} classes, the data {here}")
        changes["conditions"] = resolved
    if "label" in fields:
        label, given = run.model.label, [c if isinstance(c, str) else c[0] for c in run.model.conditions or ()]
        if len(given) > 1 or (label is not None and given not in ([], [label])):
            raise UserError(f"model.conditions {given}: a classifier has one condition; set model.label alone")
        label = label or (given[0] if given else None)
        if not offered:
            raise UserError("the data has no labels, so there is nothing to classify")
        if label is not None and label not in offered:
            raise UserError(f"the data has no condition {label!r} to classify; it has {', '.join(offered)}")
        label = label or next(iter(offered))
        changes |= {"label": label, "conditions": ((label, offered[label]),)}
    return dataclasses.replace(run, model=dataclasses.replace(run.model, **changes))


def to_json(config: Any) -> str:
    """A configuration as JSON, indented."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_dict(cls: type, values: Mapping[str, Any], template: Any = None) -> Any:
    """The dataclass `cls` from what `json.loads` gave; the classes of `Any` fields are taken from `template`.

    Raises:
      UserError: an unknown field, as a file of another version has.
    """
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - known):
        raise UserError(f"{cls.__name__} has no option {unknown[0]!r}: saved by another version?")
    out: dict[str, Any] = {}
    for name, value in values.items():
        sub = getattr(template, name, None)
        hint = type(sub) if dataclasses.is_dataclass(sub) else hints[name]
        if isinstance(value, Mapping) and isinstance(hint, type) and dataclasses.is_dataclass(hint):
            out[name] = from_dict(hint, value, sub)
        else:
            out[name] = _checked(cls, name, _tuples(value))
    return cls(**out)


def _checked(cls: type, name: str, value: Any) -> Any:
    """`value`, if the field `name` of the dataclass `cls` may hold it; only plain types and choices are checked."""
    hint = typing.get_type_hints(cls)[name]
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    plain: Any = {bool: bool, int: int, float: (int, float), str: str}.get(hint)
    if choices and value not in choices:
        raise UserError(f"{cls.__name__}.{name}: got {value!r}, wanted one of {', '.join(map(str, choices))}")
    if plain is not None and (not isinstance(value, plain) or (hint in (int, float) and isinstance(value, bool))):
        raise UserError(f"{cls.__name__}.{name}: got {value!r}, wanted {hint.__name__}")
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def override(config: Any, **changes: Any) -> Any:
    """`dataclasses.replace` that names a field that does not exist.

    A dict given for a field that is itself a dataclass changes just the named parts of it.

    Raises:
      UserError: no such field.
    """
    names = [f.name for f in dataclasses.fields(config)]
    for name, value in changes.items():
        if name not in names:
            raise UserError(f"{type(config).__name__} has no option {name!r}; it has {', '.join(names)}")
        if isinstance(value, Mapping) and dataclasses.is_dataclass(getattr(config, name)):
            changes[name] = override(getattr(config, name), **value)
        else:
            _checked(type(config), name, value)
    return dataclasses.replace(config, **changes)
