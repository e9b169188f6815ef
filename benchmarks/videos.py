"""Trains `video_gan` on icons in motion and writes what it reaches, with pictures.

    python -m benchmarks.videos [--out FILE.md] [--runs DIR] [--seeds N ...] [--data SOURCE] [--gan PRESET ...]
        [--no-predictor] [--num N] [--minutes M]

There are two judges, both `simple_cnn` trained on real clips alone, which have to be right on 95 % of held-out ones:
of clips, which of the motions is seen; and of single frames, which icon this is, trained on those with three clips or
more. Over the features of the second, frames are looked for among 120 middle frames of clips: it is right where the
nearest is of its own clip, and is tested on clips of icons that it has never seen. Of `video_gan`, each preset named:
the share of samples with the motion asked for, the share of frames that the second judge finds again (the content is
kept); Frechet distances over features of single frames (EfficientNet-lite0) and of clips (the first judge's: this is no
FVD); flicker; how far clips of one content or of one motion are apart; and how near they are to training clips. Beside
FILE.md go FILE_GAN.png, in which each row is a motion and each column of clips a content, and the same moving as a GIF.
Of `frame_rnn`, PSNR and SSIM of the frames that follow two given ones, beside those of the last given frame and of a
line through both; FILE_frame_rnn.png has a real clip in each row, then what the model makes of its first two frames.

FILE.json keeps the figures of each seed, so that seeds can be measured one at a time. Runs that are there already are
not trained again, and one that was interrupted goes on. With --minutes, trainings stop
after so many, and the next call goes on. Meant for at most 30 minutes a seed and model on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import genart_jax as ga
from benchmarks.quality import images_per_second, minutes
from benchmarks.volumes import Figures, gather, table, train
from genart_jax.config import UserError
from genart_jax.data import media
from genart_jax.data.conditions import draw_conditions
from genart_jax.data.grid import make_grid
from genart_jax.evaluate import accuracy_score, evaluate_run
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.evaluate.pictures import choose_rows, draw, open_run, read_rows
from genart_jax.evaluate.scores import Score, score_run
from genart_jax.evaluate.videos import GIVEN, found_again, score_videos
from genart_jax.nn import random
from genart_jax.runtime.values import Array
from genart_jax.types import to_float, to_uint8

LABEL, CONTENT = "motion", "icon"
CONDITIONS = LABEL, "style", "shape"
_LEAST = 0.95  # of a judge on held-out real clips
_GALLERY = 120  # clips, among whose middle frames others are looked for
_CLIPS = 3  # of an icon that the second judge is to know
_FRAMES = 512  # videos, of which the distance over frames sees one each
HEAD = (
    "Videos: icons that move, turn and grow, eight frames of 32 pixels",
    "The judges were trained on real clips alone; distances over the first one's features compare models on this data"
    " and are no FVD. Distances between clips are root mean squares of pixels in shares of their range; of two contents"
    " or motions larger is more varied. Flicker is the mean second difference of frames.",
)


def judge_of_motion(runs: Path, seed: int, source: str, **options: Any) -> tuple[Path, float]:
    """The classifier of clips, and how often it is right on real clips of icons that it has not seen."""
    steps = {"steps": 400, "batch": 32, "save_every": 200} | options.pop("train", {})
    shape: dict[str, Any] = {"features": (8, 16, 32), "hidden": 0, "norm": True} | options
    directory = train("simple_cnn", runs / f"motions_{seed}", seed, source, label=LABEL, train=steps, **shape)
    return directory, evaluate_run(directory)["accuracy"]


def known_frames(source: str, clips: int = _CLIPS) -> dict[str, dict[str, Array]]:
    """Frames of the icons with so many clips, by split: all clips of each but its last are to train on."""
    arrays = ga.open_data(source).train.arrays
    icons = np.asarray(arrays[CONTENT])
    number = np.bincount(icons)
    chosen = np.flatnonzero(number >= clips)
    if not len(chosen):
        raise UserError(f"{source}: no {CONTENT} has {clips} clips")
    rows = [np.flatnonzero(icons == icon) for icon in chosen]
    parts = {"train": [own[:-1] for own in rows], "test": [own[-1:] for own in rows]}
    return {split: _frames(arrays["image"], own) for split, own in parts.items()}


def _frames(videos: Array, rows: Sequence[Array]) -> dict[str, Array]:
    """All frames of these rows of each class."""
    images = np.concatenate([np.asarray(videos[own]).reshape(-1, *videos.shape[2:]) for own in rows])
    return {"image": images, CONTENT: np.repeat(np.arange(len(rows)), [len(own) * videos.shape[1] for own in rows])}


def distinct(source: str, num: int = _GALLERY) -> Array:
    """Held-out clips, each of another icon, uint8."""
    arrays = ga.open_data(source).test.arrays
    _, first = np.unique(np.asarray(arrays[CONTENT]), return_index=True)
    return np.asarray(arrays["image"])[first[:num]]


def judge_of_content(runs: Path, seed: int, source: str, **options: Any) -> tuple[Path, float]:
    """The classifier of frames, and the share of frames of clips of other icons that it finds again."""
    frames = known_frames(source, options.pop("clips", _CLIPS))
    steps = {"steps": 800, "batch": 64, "seed": seed, "save_every": 400} | options.pop("train", {})
    directory = runs / f"contents_{seed}"
    print(f"{directory} ...", flush=True)
    ga.fit(ga.configure("simple_cnn", preset="normed", label=CONTENT, train=steps, **options), directory, data=frames)
    return directory, found(directory, distinct(source))


def found(contents: Path, clips: Array) -> float:
    """The share of frames that are found among the middle frames of all clips; see `found_again`."""
    (one,) = found_again(make_extractor(f"classifier:{contents}"), clips[:1], clips).values()
    return one.value


def judges(runs: Path, seed: int, source: str) -> tuple[Path, Path, dict[str, float]]:
    """Both judges and what they are right on; those that are none are named."""
    (motions, right), (contents, same) = (of(runs, seed, source) for of in (judge_of_motion, judge_of_content))
    rows = {"motion of held-out real clips": right, "frames of held-out real clips found again": same}
    for what, accuracy in rows.items():
        if accuracy < _LEAST:
            print(f"the judge of the {what} is right on {accuracy:.1%} alone: it is none", file=sys.stderr)
    return motions, contents, rows


def of_gan(directory: Path, motions: Path, contents: Path, num: int, seed: int) -> dict[str, float]:
    """What a GAN reaches; beside some figures those of real clips."""
    scores = score_run(directory, f"classifier:{motions}", num, seed)
    scores += score_run(directory, "lite0", min(num, _FRAMES), seed)
    scores += score_videos(directory, num, seed)
    own = {score.name: score for score in scores}
    right = accuracy_score(directory, motions, num, seed)
    clips = draw(open_run(directory), _GALLERY, seed).images
    rows = {f"motion accuracy of {num} clips": right.value, "content kept: frames found again": found(contents, clips)}
    for name, words in (
        (f"fd_simple_cnn_{LABEL}", "Frechet distance over the motion judge's features of clips"),
        (f"precision_simple_cnn_{LABEL}", "precision over these"),
        (f"recall_simple_cnn_{LABEL}", "recall over these"),
        ("fd_lite0_frames", "Frechet distance over lite0's features of frames"),
        ("flicker", "flicker"),
        ("motion_diversity", "distance between motions of one content"),
        ("content_diversity", "distance between contents of one motion"),
        ("nearest_clip", "distance to the nearest training clip"),
    ):
        if name in own:
            rows |= _with_real(words, own[name])
    return rows | {"clips/s": images_per_second(directory), "minutes of training": minutes(directory)}


def of_predictor(directory: Path, num: int, seed: int) -> dict[str, float]:
    """What a predictor reaches, and its baselines."""
    scores = {score.name: score for score in score_videos(directory, num, seed)}
    rows: dict[str, float] = {}
    for name in ("psnr", "ssim"):
        score = scores[f"{name}_predicted"]
        rows[f"{name.upper()} of frames after two"] = score.value
        rows |= {f"{name.upper()} of these, by the {label}": score.details[label] for label in ("last", "line")}
        for frame in (key for key in score.details if key.startswith("frame_")):
            rows[f"{name.upper()} of {frame.replace('_', ' ')}"] = score.details[frame]
            rows[f"{name.upper()} of {frame.replace('_', ' ')}, by the last"] = score.details[f"last_{frame}"]
    return rows | {"clips/s": images_per_second(directory), "minutes of training": minutes(directory)}


def _with_real(words: str, score: Score) -> dict[str, float]:
    real = {f"{words}: real clips": score.details["real"]} if "real" in score.details else {}
    return {words: score.value} | real


def grid(directory: Path, columns: int, seed: int) -> Array:
    """Clips (motions, columns, frames, height, width, channels) uint8: a motion each row, a content each column."""
    trained = open_run(directory)
    (algorithm, state), name = trained.model, trained.saved.run.name
    latents_of, decode = (algorithm.use(use, name).function for use in ("draw", "decode"))
    spec, table = algorithm.batch_spec.conditions, trained.saved.data["condition_table"]
    classes = dict(spec)[LABEL]
    latents = latents_of(state, random.stream(jax.random.key(seed), "grid"), columns)
    told = {name: np.tile(value, classes) for name, value in draw_conditions(spec, table, columns, seed).items()}
    told[LABEL] = np.repeat(np.arange(classes, dtype=np.int32), columns)
    clips = to_uint8(jax.jit(decode)(state, np.tile(latents, (classes, 1)), told))
    return clips.reshape(classes, columns, *clips.shape[1:])


def pictures(out: Path, runs: Path, gans: Sequence[str], seed: int, columns: int = 4) -> list[Path]:
    """Of a seed, beside the table: clips as strips, and more of them moving."""
    made = []
    for preset in gans:
        clips = grid(runs / f"video_gan_{preset}_{seed}", 3 * columns, 0)
        path = out.with_name(f"{out.stem}_{preset}.png")
        make_grid(clips[:, :columns].reshape(-1, *clips.shape[2:]), columns=columns).save(path)
        all_of = lambda one: make_grid(one[""], columns=3 * columns)
        made += [path, media.animate(path.with_suffix(".gif"), {"": clips.reshape(-1, *clips.shape[2:])}, all_of)]
    return made


def predictions(directory: Path, num: int, seed: int) -> dict[str, Array]:
    """Held-out clips, and what a predictor makes of their first two frames: uint8, by label."""
    trained = open_run(directory)
    (algorithm, state), name = trained.model, trained.saved.run.name
    real = read_rows(trained.source.test, choose_rows(trained.source.test, num)).images
    extend = jax.jit(algorithm.use("extend", name).function)
    return {"clip": real, "predicted": to_uint8(extend(state, to_float(real[:, :GIVEN]), jax.random.key(seed)))}


def finished(directory: Path) -> Path:
    """The run, if its training has come to its end.

    Raises:
      UserError: it was interrupted.
    """
    if json.loads((directory / "summary.json").read_text())["interrupted"]:
        raise UserError(f"{directory} was interrupted; call again to go on")
    return directory


def measure(
    runs: Path, seed: int, source: str, gans: Sequence[str], num: int, predictor: bool = True, **options: Any
) -> Figures:
    """All figures of a seed, by the names of rows. `options`: of the trainings but the judges'."""
    rows: Figures = {}
    if gans:
        motions, contents, rows["judges"] = judges(runs, seed, source)
    for preset in gans:
        directory, told = runs / f"video_gan_{preset}_{seed}", {"conditions": CONDITIONS}
        finished(train("video_gan", directory, seed, source, preset, **told, **options))
        rows[f"video_gan {preset}"] = of_gan(directory, motions, contents, num, seed)
    if predictor:
        directory = finished(train("frame_rnn", runs / f"frame_rnn_{seed}", seed, source, **options))
        rows["frame_rnn"] = of_predictor(directory, num, seed)
    return rows


def limit(seconds: float) -> threading.Timer:
    """Ends the training that runs after so many seconds, with a checkpoint; where none runs, nothing is lost."""

    def end() -> None:
        if callable(signal.getsignal(signal.SIGTERM)):  # the trainer listens
            signal.raise_signal(signal.SIGTERM)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/videos.md"))
    parser.add_argument("--runs", type=Path, default=Path("runs/videos"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--data", default="moving:32")
    parser.add_argument("--no-predictor", action="store_true", help="leave frame_rnn out")
    parser.add_argument("--gan", nargs="*", default=["default"], metavar="PRESET")
    parser.add_argument("--num", type=int, default=1000, help="samples that are scored")
    parser.add_argument("--minutes", type=float, help="trainings stop after so many; call again to go on")
    args = parser.parse_args(argv)
    timer = limit(60 * args.minutes) if args.minutes else None
    try:
        predictor = not args.no_predictor
        found = {seed: measure(args.runs, seed, args.data, args.gan, args.num, predictor) for seed in args.seeds}
    except UserError as error:
        print(f"videos: {error}", file=sys.stderr)
        return 2
    finally:
        if timer:
            timer.cancel()
    command = " ".join(["python -m benchmarks.videos", *(sys.argv[1:] if argv is None else argv)])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(table(gather(args.out, found), command, HEAD), encoding="utf-8")
    made = pictures(args.out, args.runs, args.gan, args.seeds[0])
    if predictor:
        path = args.out.with_name(f"{args.out.stem}_frame_rnn.png")
        columns = predictions(args.runs / f"frame_rnn_{args.seeds[0]}", 8, 0)
        made += media.save(path, columns, lambda one: media.sheet(one, per_row=1))
    for path in [args.out, *made]:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
