"""`genart evaluate RUN`: figures on the test split, and scores of a model's pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genart_jax.app.arguments import checkpoint_word, parse, peel, wants_help
from genart_jax.app.extractor import default_extractor, note, tell
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs

if TYPE_CHECKING:
    from genart_jax.evaluate.extractors import Extractor
    from genart_jax.evaluate.scores import Score
    from genart_jax.runtime.values import Json
    from genart_jax.train.checkpoint import Model, Saved

USAGE = "evaluate RUN [--extractor NAME] ..."
SUMMARY = "figures, and scores of a run's pictures"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart evaluate`."""

    data: str | None = None
    """Another source of test pictures than the run's own, for the model's own figures."""
    classifier: str | None = None
    """A run of a classifier that judges the model's own pictures: do they show the condition they were made for? On a
    run over stacked:DIR, a classifier of the grey pictures counts modes. On a run of videos, a classifier of single
    frames says whether their content is kept."""
    extractor: str | None = None
    """Features for scores: lite0[:SIZE], vgg19[:SIZE], inception:FILE, dinov2:FILE, classifier:RUN, pixels[:SIZE], or
    none. None: lite0 where its weights are."""
    reference: Path | None = None
    """A file STATS.npz of mu and sigma over the same features, such as those that are published or that genart fid
    --save writes: there is a Frechet distance to it besides."""
    also: tuple[Literal["memorisation", "perceptual", "disentanglement"], ...] = ()
    """Scores that take longer: memorisation (the MiFID, over the whole training split), and perceptual (how different
    two generated pictures look over VGG19; of a model from pictures to pictures, how far from what is wanted), and
    disentanglement (MIG and DCI of a VAE's latents, by the classes of the data that it is not told)."""
    num: int | None = None
    """Generated pictures. None: 2,000 for scores, 1,000 for a classifier, 10,000 for modes."""
    split: str = "train"
    """Real pictures for scores: train or test."""
    condition: tuple[str, ...] = ()
    """Words such as style=noto for scores; the others are drawn as in the training data."""
    truncation: float | None = None
    """Of GANs: pictures for scores are drawn with it, as in genart sample; the scores say so."""
    temperature: float | None = None
    """Of priors over codes, likewise."""
    guidance: float | None = None
    """Of priors over codes, likewise."""
    ema: bool = True
    """Sample with the moving averages of the parameters, where there are any."""
    step: str = ""
    """Which checkpoint: its step, or best (by train.best); empty: the newest. Scores keep the step that they are of."""
    member: int | None = None
    """Which member of a sweep; its scores are written into its own directory, RUN/members/N."""
    seed: int = 0
    """Seed of what is drawn."""
    draws: int = 0
    """Of a VAE, a bound by so many draws of the latents of 1,000 test pictures (Burda et al. 2016), besides."""
    json: bool = False
    """As JSON."""

    @property
    def numbers(self) -> dict[str, float]:
        """What pictures are drawn with, by name."""
        said = {name: getattr(self, name) for name in ("truncation", "temperature", "guidance")}
        return {name: value for name, value in said.items() if value is not None}


def _check(options: Options, from_pictures: bool, features: bool, without_target: bool) -> None:
    """Raises UserError where scores are asked for that such a model has not."""
    if from_pictures and (set(options.also) - {"perceptual"} or options.reference):
        raise UserError("this model makes pictures of pictures: of --also, it has perceptual alone, and no --reference")
    if without_target and features and options.also:
        raise UserError("--also perceptual: there is nothing that each picture should become; leave it out")
    if options.split not in ("train", "test"):
        raise UserError(f"--split {options.split}: there are train and test")
    if options.num is not None and options.num < 1:
        raise UserError(f"--num {options.num}: wanted at least 1")
    if options.draws < 0:
        raise UserError(f"--draws {options.draws}: wanted 0 or more")
    if not features and not from_pictures and (options.reference or set(options.also) - {"disentanglement"}):
        raise UserError("--reference and --also need pictures and an --extractor, such as lite0")


def _check_numbers(numbers: Mapping[str, float], model: Model, saved: Saved) -> None:
    """Raises UserError where pictures cannot be drawn with them."""
    from genart_jax.data.media import is_video
    from genart_jax.use.sample import chosen_numbers

    if numbers and is_video(model.algorithm.batch_spec.image_shape):
        raise UserError(f"--{min(numbers)}: of videos, scores are of those that are drawn without it")
    chosen_numbers(model, saved, numbers)


def _by_classifier(run: Model, options: Options, source: str) -> list[Score]:
    """Modes of stacked digits, or the share of pictures that show what they were made for."""
    from genart_jax.evaluate import accuracy_score
    from genart_jax.evaluate.modes import stacked_modes

    assert options.classifier is not None
    if source.startswith("stacked:"):
        return stacked_modes(run, options.classifier, options.num or 10_000, options.seed, options.ema, options.numbers)
    return [accuracy_score(run, options.classifier, options.num or 1000, options.seed, options.ema, options.numbers)]


def _of_videos(run: Model, options: Options) -> list[Score]:
    """What videos have besides; a classifier of videos judges them whole, and one of pictures frame by frame."""
    from genart_jax.evaluate.videos import score_videos

    frames = options.classifier is not None and _of_frames(options.classifier)
    scores = [] if frames or options.classifier is None else _by_classifier(run, options, "")
    judge = options.classifier if frames else None
    return scores + score_videos(run, min(512, options.num or 512), options.seed, options.ema, judge, tell)


def _of_frames(run: str) -> bool:
    """Whether a classifier sees single pictures."""
    from genart_jax.train.checkpoint import load

    return len(load(run).algorithm.batch_spec.image_shape) == 3


def _print(figures: Json, scores: list[Score], files: Mapping[str, Path], as_json: bool) -> None:
    """Figures, scores and the files that were written."""
    from genart_jax.app import tables

    if as_json:
        print(json.dumps(figures | {"scores": [dataclasses.asdict(s) for s in scores]}, indent=2))
        return
    print(tables.figures(figures))
    if scores:
        print(f"\n{tables.scores(scores)}")
    for file in files.values():
        print(file)


def _of_pictures(run: Model, options: Options, network: Extractor | None, without_target: bool) -> list[Score]:
    """Of a model from pictures to pictures: against what is wanted of each, or, over features, of all of them."""
    from genart_jax.evaluate.perceptual import make_perceptual
    from genart_jax.evaluate.restoration import score_translation
    from genart_jax.evaluate.unpaired import score_unpaired

    if network is not None and without_target:
        return score_unpaired(run, network, options.num or 2000, options.seed, options.split, options.ema, tell)
    distance = make_perceptual("vgg19") if "perceptual" in options.also else None
    return score_translation(run, options.num or 256, options.seed, options.ema, distance, tell, network)


def _of_sets(run: Model, options: Options, network: Extractor, given: Mapping[str, int]) -> list[Score]:
    """Of pictures that a model draws, as a set."""
    from genart_jax.evaluate.scores import score_run
    from genart_jax.evaluate.statistics import read_statistics

    reference = None if options.reference is None else read_statistics(options.reference)
    num, seed, split = options.num or 2000, options.seed, options.split
    return score_run(run, network, num, seed, split, options.ema, given, tell, reference, options.also, options.numbers)


def _of_latents(run: Model, options: Options, figures: Json) -> list[Score]:
    """What a VAE's latents say of known factors, if it is asked for; a bound by draws of them goes to the figures."""
    from genart_jax.evaluate.bounds import importance_bound
    from genart_jax.evaluate.disentangled import score_latents

    if options.draws:
        figures |= importance_bound(run, options.draws, seed=options.seed)
    if "disentanglement" not in options.also:
        return []
    return score_latents(run, seed=options.seed, ema=options.ema, tell=tell)


def run(args: Sequence[str]) -> None:
    """The command."""
    prog, text = "genart evaluate RUN", "Figures on the test split, and scores of pictures with what made them."
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    run, rest = peel(args, "evaluate", "run")
    options: Options = parse(Options, rest, prog, text)

    from genart_jax.data.conditions import parse_conditions
    from genart_jax.data.media import is_video, is_volume
    from genart_jax.evaluate import evaluate_run
    from genart_jax.evaluate.classified import score_classifier
    from genart_jax.evaluate.extractors import make_extractor
    from genart_jax.evaluate.restoration import translates, unpaired
    from genart_jax.evaluate.statistics import read_statistics
    from genart_jax.train import parallel
    from genart_jax.train.checkpoint import load, member_directory, read_config
    from genart_jax.types import check_condition

    keep_programs()
    run = str(member_directory(run, options.member))
    saved, model = read_config(run), load(run, checkpoint_word(options.step))
    algorithm = model.algorithm
    # What is wrong is said before the work begins.
    if options.classifier is not None:
        make_extractor(f"classifier:{options.classifier}")
    without_target = unpaired(algorithm)
    sets = algorithm.sample is not None or without_target
    shape = algorithm.batch_spec.image_shape
    if sets and is_volume(shape) and options.extractor is None:
        tell("no scores over features: volumes are seen by --extractor classifier:RUN alone, of one trained on them")
        sets = False
    from_pictures = translates(algorithm)
    # Of a translation with targets, distances between sets are asked for by name.
    word = default_extractor(options.extractor, "lite0") if sets else options.extractor if from_pictures else None
    network = None if word is None else make_extractor(word)
    if options.reference is not None:
        read_statistics(options.reference)
    _check(options, from_pictures, network is not None, without_target)
    given = parse_conditions(options.condition, saved.data["class_names"])
    check_condition(given, algorithm.batch_spec)
    _check_numbers(options.numbers, model, saved)
    tell(f"on {parallel.describe(parallel.all_devices()[:1])}: figures on the test split")
    figures = evaluate_run(model, options.data, options.seed)
    scores = _of_latents(model, options, figures)
    if algorithm.sample is not None and is_video(shape):
        scores += _of_videos(model, options)
    elif options.classifier is not None:
        scores += _by_classifier(model, options, saved.run.data.source)
    files: dict[str, Path] = {}
    if algorithm.predict is not None and options.data is None:
        classified = score_classifier(model, options.ema, tell)
        scores, files = classified.scores, classified.files
    if from_pictures and (network is not None or not sets):
        scores += _of_pictures(model, options, network, without_target)
    elif network is not None:
        scores = [*_of_sets(model, options, network, given), *scores]
    _print(figures, scores, files, options.json)
    if sets and not options.json:
        note(options.extractor, word)
