"""Scores of generated videos beside those over features: flicker, copies, what each of two codes changes, and whether
the content is kept.

Pixels are in shares of the range from black to white, and distances between videos are root mean squares of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.data.conditions import draw_conditions
from genart_jax.data.media import is_video
from genart_jax.evaluate import pictures
from genart_jax.evaluate.extractors import Extractor, make_extractor
from genart_jax.evaluate.measures import Measured
from genart_jax.evaluate.pictures import Trained, open_run
from genart_jax.evaluate.restoration import AsTheyAre
from genart_jax.evaluate.scores import Score, contract_of, make_scores, write_scores
from genart_jax.metrics import diversity
from genart_jax.metrics.features import error_of_mean
from genart_jax.metrics.image import psnr, ssim
from genart_jax.metrics.memorisation import three_sample
from genart_jax.metrics.neighbours import nearest
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.steps.generators import MovingModule
from genart_jax.steps.posteriors import ExtendingModule
from genart_jax.train.checkpoint import Model
from genart_jax.types import to_float, to_uint8

GROUPS, OF_EACH = 16, 8
"""Codes that are held, and drawn others that each is seen with."""
_SIDE = 8  # pixels: what copies are looked for at
_LEAST = 40  # videos
_PART = 32  # videos at a time
GIVEN = 2
"""First frames of a video that a prediction is given."""


def score_videos(
    directory: str | Path | Model,
    num: int = 512,
    seed: int = 0,
    ema: bool = True,
    judge: str | Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Score]:
    """Scores of a run that makes videos, also written to RUN/scores.json.

    flicker is the mean second difference of frames, nearest_clip the mean distance to the nearest training video. Where
    the generator has a code of the content and a path of motion, motion_diversity is the mean distance between videos
    of one content, and content_diversity of one motion. With `judge`, content_kept is the share of frames in which a
    classifier of pictures sees what it sees in most of their video, and content_found the share of frames that are
    known by its features: nearest to the middle frame of their own video among those of all. Of a model that predicts
    frames, psnr_predicted and ssim_predicted are of what it makes of the first two frames of test videos, beside the
    last of these and a line through both.

    Args:
      directory: the run, or its model as `ga.load(RUN, step)` gives it.
      num: generated videos, and real ones where the split has as many.
      seed: of the generated videos.
      ema: sample with the moving averages of the parameters, where there are any.
      judge: a run of a classifier of single frames.
      tell: called with a line of what is done.

    Raises:
      UserError: no videos, or too few; a judge of something else.
    """
    trained = open_run(directory, ema=ema)
    shape = trained.model.algorithm.batch_spec.image_shape
    if not is_video(shape) or trained.model.algorithm.sample is None:
        raise UserError(f"{trained.directory} makes no videos")
    if num < _LEAST:
        raise UserError(f"--num {num}: scores of videos need at least {_LEAST}")
    network = None if judge is None else _judge(judge, shape)
    test = trained.source.test
    tell(f"{num} generated videos, and up to as many real ones")
    fake = pictures.draw(trained, num, seed).images
    real = pictures.read_rows(test, pictures.choose_rows(test, min(num, test.size))).images
    plain = AsTheyAre(shape[:-1])
    contract = contract_of(trained, plain, "test", len(real), num, None)
    found = _flicker(real, fake) | _codes(trained, fake, seed)
    scores = make_scores(trained, contract, found, seed)
    small = plain._replace(size=_small(fake[:1]).shape[1:-1], resize="means of blocks")
    contract = contract_of(trained, small, "test", len(real), num, None)
    scores += make_scores(trained, contract, _copies(trained, real, fake), seed)
    decoder = trained.model.algorithm.networks.get("decoder")
    if decoder is not None and isinstance(decoder.module, ExtendingModule) and real.shape[1] > GIVEN:
        contract = contract_of(trained, plain, "test", len(real), len(real), None)
        scores += make_scores(trained, contract, predicted(trained, real, seed), seed)
    if network is not None:
        contract = contract_of(trained, network, "test", len(real), num, None)
        found = kept(network, real, fake) | found_again(network, real, fake)
        scores += make_scores(trained, contract, found, seed)
    write_scores(trained.directory, scores)
    return scores


def _judge(run: str | Path, shape: tuple[int, ...]) -> Extractor:
    network = make_extractor(f"classifier:{run}")
    if len(network.size) != 2:
        raise UserError(f"{run} sees whole videos; what is kept from frame to frame a classifier of pictures judges")
    return network


def _flicker(real: Array, fake: Array) -> dict[str, Measured]:
    """The mean second difference of frames; none of fewer than three frames."""
    if fake.shape[1] < 3:
        return {}

    def of(videos: Array) -> Array:
        parts = [np.diff(part.astype(np.float32) / 255, n=2, axis=1) for part in np.array_split(videos, 16)]
        return np.concatenate([np.abs(part).mean(axis=(1, 2, 3, 4)) for part in parts])

    values = of(fake)
    details = {"real": float(of(real).mean())}
    return {"flicker": Measured(float(values.mean()), error_of_mean(values), "over videos", details)}


def rows(videos: Array) -> Array:
    """uint8 videos as rows whose Euclidean distance is the root mean square of their pixels' differences, in [0, 1]."""
    flat = videos.reshape(len(videos), -1).astype(np.float32) / 255
    return flat / np.float32(np.sqrt(flat.shape[1]))


def _small(videos: Array) -> Array:
    """Means of blocks, so that sides are about eight pixels."""
    n, frames, height, width, channels = videos.shape
    high, wide = max(1, height // _SIDE), max(1, width // _SIDE)
    cut = videos[:, :, : height // high * high, : width // wide * wide].astype(np.float32)
    return cut.reshape(n, frames, height // high, high, width // wide, wide, channels).mean(axis=(3, 5))


def _copies(trained: Trained, real: Array, fake: Array) -> dict[str, Measured]:
    """How near training videos the generated ones are; near is what is nearer than held-out ones."""
    split = trained.source.train
    chosen = pictures.choose_rows(split, split.size)
    train = np.concatenate([
        rows(_small(pictures.read_rows(split, chosen[i : i + 500]).images)) for i in range(0, len(chosen), 500)
    ])  # fmt: skip
    own, held_out = rows(_small(fake)), rows(_small(real))
    values = nearest(own, train)[0][:, 0]
    details = {"real": float(nearest(held_out, train)[0].mean()), "z": three_sample(train, held_out, own).z}
    return {"nearest_clip": Measured(float(values.mean()), error_of_mean(values), "over videos", details)}


def _codes(trained: Trained, fake: Array, seed: int) -> dict[str, Measured]:
    """What each code of a `MovingModule` changes while the other stays, beside videos with nothing in common."""
    algorithm = trained.model.algorithm
    network = algorithm.networks.get("generator")
    if network is None or not isinstance(network.module, MovingModule):
        return {}
    apart = diversity.pairwise(rows(fake[:256]))[0]
    out = {}
    for name, held in (("motion_diversity", True), ("content_diversity", False)):
        groups = recombined(trained, seed, hold_content=held)
        values = np.array([diversity.pairwise(rows(group))[0] for group in groups])
        by = f"over {GROUPS} {'contents' if held else 'motions'}"
        out[name] = Measured(float(values.mean()), error_of_mean(values), by, {"independent": apart})
    return out


def recombined(trained: Trained, seed: int, hold_content: bool) -> Array:
    """Videos (GROUPS, OF_EACH, frames, height, width, channels) uint8: of a group, one code and all conditions are one.

    Args:
      trained: a run whose generator is a `MovingModule`.
      seed: of codes and conditions.
      hold_content: the content's code is a group's own and motions differ; else the other way round.
    """
    (algorithm, state), saved = trained.model, trained.saved
    module = algorithm.networks["generator"].module
    assert isinstance(module, MovingModule)
    key = random.stream(jax.random.key(seed), "recombined")
    draw, decode = (algorithm.use(name, saved.run.name).function for name in ("draw", "decode"))
    one, other = (np.asarray(draw(state, random.stream(key, w), n)) for w, n in (("one", GROUPS), ("other", OF_EACH)))
    held, free = np.repeat(one, OF_EACH, axis=0), np.tile(other, (GROUPS, 1))
    content, motion = (held, free) if hold_content else (free, held)
    latents = np.concatenate([content[:, : module.content_dim], motion[:, module.content_dim :]], axis=1)
    drawn = draw_conditions(algorithm.batch_spec.conditions, saved.data["condition_table"], GROUPS, seed)
    told: Mapping[str, Array] = {name: np.repeat(value, OF_EACH) for name, value in drawn.items()}
    videos = to_uint8(compiler.jit(decode)(state, latents, told or None))
    return videos.reshape(GROUPS, OF_EACH, *videos.shape[1:])


def kept(network: Extractor, real: Array, fake: Array) -> dict[str, Measured]:
    """The share of frames in which a classifier of pictures sees what it sees in most frames of their video."""

    def of(videos: Array) -> Array:
        _, logits = network(videos.reshape(-1, *videos.shape[2:]))
        if logits is None:
            raise UserError(f"{network.name}: wanted a classifier of one condition")
        seen = logits.argmax(axis=1).reshape(videos.shape[:2])
        most = [np.bincount(one).max() for one in seen]
        return np.array(most) / videos.shape[1]

    values, own = of(fake), of(real)
    details = {"real": float(own.mean()), "all_frames": float(np.mean(values == 1))}
    return {
        f"content_kept_{network.name}": Measured(float(values.mean()), error_of_mean(values), "over videos", details)
    }


def found_again(network: Extractor, real: Array, fake: Array) -> dict[str, Measured]:
    """The share of frames whose features are nearest to the middle frame of their own video, among those of all.

    The middle frames themselves are left out. Two videos of one thing are told apart only by luck.
    """

    def of(videos: Array) -> Array:
        features, _ = network(videos.reshape(-1, *videos.shape[2:]))
        features = features.reshape(*videos.shape[:2], -1)
        features = features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
        middle = videos.shape[1] // 2
        others = np.delete(features, middle, axis=1)
        likest = np.einsum("ntf,mf->ntm", others, features[:, middle]).argmax(axis=-1)
        share: Array = np.mean(likest == np.arange(len(videos))[:, None], axis=1)
        return share

    values, own = of(fake), of(real)
    details = {"real": float(own.mean()), "videos": len(fake)}
    return {
        f"content_found_{network.name}": Measured(float(values.mean()), error_of_mean(values), "over videos", details)
    }


def guesses(given: Array, frames: int) -> dict[str, Array]:
    """What needs no model: float videos (n, frames, ...) from their first two frames (n, 2, ...), in [-1, 1].

    "last": the second stays. "line": each pixel goes on as from the first to the second.
    """
    times = np.arange(frames - 1, dtype=np.float32)[None, :, None, None, None]
    change = given[:, 1:] - given[:, :1]
    line = np.clip(given[:, :1] + change * np.concatenate([times[:, :1] * 0, times + 1], axis=1), -1, 1)
    last = np.concatenate([given, np.repeat(given[:, 1:], frames - 2, axis=1)], axis=1)
    return {"last": last, "line": line}


def predicted(trained: Trained, real: Array, seed: int) -> dict[str, Measured]:
    """PSNR and SSIM of each frame that follows the first two of real videos, uint8, averaged over them and frames.

    Details say it of each frame, and of `guesses`.
    """
    (algorithm, state), saved = trained.model, trained.saved
    truth, frames = to_float(real), real.shape[1]
    extend = compiler.jit(algorithm.use("extend", saved.run.name).function)
    rows_ = np.arange(-(-len(real) // _PART) * _PART) % len(real)  # whole parts, so that one program serves for all
    key = random.stream(jax.random.key(seed), "predicted")
    parts = [
        np.asarray(extend(state, truth[rows_[i : i + _PART], :GIVEN], random.stream(key, "part", i)))
        for i in range(0, len(rows_), _PART)
    ]
    made = {"": np.concatenate(parts)[: len(real)], **guesses(np.asarray(truth[:, :GIVEN]), frames)}
    out = {}
    for name, measure in (("psnr", _psnr), ("ssim", ssim)):
        compare = compiler.jit(measure)
        figures = {
            label: np.stack([compare(videos[:, t], truth[:, t]) for t in range(GIVEN, frames)], axis=1)
            for label, videos in made.items()
        }
        own = figures.pop("")
        details = {f"frame_{GIVEN + i}": float(value) for i, value in enumerate(own.mean(axis=0))}
        for label, values in figures.items():
            details[label] = float(values.mean())
            details |= {f"{label}_frame_{GIVEN + i}": float(value) for i, value in enumerate(values.mean(axis=0))}
        each = own.mean(axis=1)
        out[f"{name}_predicted"] = Measured(float(each.mean()), error_of_mean(each), "over videos", details)
    return out


def _psnr(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.minimum(psnr(a, b), 100.0)  # of equal frames, such as white ones, it is infinite
