"""Do pictures of a GAN help a classifier that has few? N real pictures a class, five ways to train on them.

    python -m benchmarks.gan_augmentation --runs DIR [--sets icons avatars fashion_mnist] [--pictures 10 30 100]
        [--seeds 5] [--gan-steps 1500] [--steps 1000] [--semi-steps 600] [--ways none plain gan both semi samples]

- none: the classifier on the N pictures alone. plain: with shifts, flips, cutout.
- gan: with as many pictures again of a conditional GAN that was trained on the same N. both: the two together.
- samples: on the GAN's pictures alone, which is its classification accuracy score (Ravuri & Vinyals 2019,
  arXiv:1905.10887).
- semi: a semi-supervised GAN of K + 1 classes (Salimans et al. 2016; `benchmarks.semi_gan`), which sees the pictures of
  the rest of the training split too, without their labels. Half of its batches are labelled pictures.

The classifier, its steps and its batches of 32 are the same for all but `semi`. Figures are test accuracy: the mean
over seeds with a 95 % interval by Student's t, and the difference to `plain`, seed by seed. The options above are the
full experiment; a miniature is `--sets icons --pictures 10 --seeds 2 --gan-steps 300 --steps 150 --semi-steps 300`.
What is in DIR is not done again. Faces are halved to 32 pixels. The table goes to results/gan_augmentation.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import stats

import genart_jax as ga
from benchmarks import machine
from benchmarks.own_pictures import few
from genart_jax.data.open import Dataset
from genart_jax.runtime import cache
from genart_jax.runtime.values import Array
from genart_jax.use.sample import draw_samples

RESULTS = Path(__file__).parent / "results" / "gan_augmentation.md"
SETS = {"icons": ("emoji", "style"), "avatars": ("avatars", "glasses"), "fashion_mnist": ("fashion_mnist", "label")}
WAYS = ("none", "plain", "gan", "both", "semi", "samples")
PLAIN: Mapping[str, Any] = {"flip": True, "crop": 3, "cutout": 6}
BATCH = 32


def opened(source: str, label: str) -> Dataset:
    """A set with one condition; pictures of 64 pixels a side are halved, so that so many trainings can be paid for."""
    whole = ga.open_data(source)
    parts = {"train": whole.train, "test": whole.test}
    arrays = {name: {key: np.asarray(part.arrays[key]) for key in ("image", label)} for name, part in parts.items()}
    for own in arrays.values():
        if own["image"].shape[1] == 64:
            blocks = own["image"].reshape(-1, 32, 2, 32, 2, own["image"].shape[-1])
            own["image"] = np.round(blocks.mean((2, 4))).astype(np.uint8)
    return ga.open_data(arrays, {label: whole.class_names[label]})


def mixed(data: Dataset, label: str, made: tuple[Array, Array], real: bool) -> Dataset:
    """The training pictures, repeated to be as many as the made ones, and these; or these alone."""
    own = {name: np.asarray(data.train.arrays[name]) for name in ("image", label)}
    times = -(-len(made[1]) // len(own[label])) if real else 0
    train = {
        name: np.concatenate([*[own[name]] * times, extra]) for name, extra in zip(("image", label), made, strict=True)
    }
    return _opened(train, data, label)


def unlabelled(data: Dataset, whole: Dataset, label: str) -> Dataset:
    """The labelled pictures, as often as all others together, and the others without their labels."""
    own = {name: np.asarray(data.train.arrays[name]) for name in ("image", label)}
    rest = np.asarray(whole.train.arrays["image"])
    times = max(1, len(rest) // len(own[label]))
    labels = np.concatenate([*[own[label]] * times, np.full(len(rest), -1, np.int32)])
    return _opened({"image": np.concatenate([*[own["image"]] * times, rest]), label: labels}, data, label)


def _opened(train: Mapping[str, Array], data: Dataset, label: str) -> Dataset:
    test = {name: np.asarray(data.test.arrays[name]) for name in ("image", label)}
    return ga.open_data({"train": dict(train), "test": test})


def generated(data: Dataset, label: str, number: int, seed: int, steps: int, directory: Path) -> tuple[Array, Array]:
    """Ten times as many pictures as there are, of a conditional GAN that was trained on these."""
    train = {"steps": steps, "batch": BATCH, "seed": seed, "sample_every": 0, "save_every": 0, "watch_every": 0}
    step = {"augment": "diffaugment"} if data.train.arrays["image"].shape[-1] == 3 else {}
    run = ga.configure("dcgan", conditions=(label,), train=train, step=step, data={"flip": True})
    ga.fit(run, directory, data=data)
    finished(directory)
    saved, model = ga.read_config(directory), ga.load(directory)
    samples = draw_samples(model, saved, 10 * number * len(saved.data["class_names"][label]), seed)
    return samples.images, samples.condition[label]


def finished(directory: Path) -> dict[str, float]:
    """A run's figures of its test split; one that was stopped ends all."""
    summary = json.loads((directory / "summary.json").read_text())
    if summary["interrupted"] or "test" not in summary:
        sys.exit(f"{directory} was interrupted; call again to go on")
    found: dict[str, float] = summary["test"]
    return found


def trained(way: str, case: tuple[str, str, int, int], args: argparse.Namespace, folder: Path) -> float:
    """The test accuracy of one training."""
    source, label, number, seed = case
    result = folder / f"{way}.json"
    if result.is_file():
        return float(json.loads(result.read_text()))
    whole = opened(source, label)
    data = few(whole, label, number, seed)
    train = {"steps": args.steps, "batch": BATCH, "seed": seed, "sample_every": 0, "save_every": 0}
    if way == "semi":
        run = ga.configure(
            _semi(), label=label, train=train | {"steps": args.semi_steps}, data={"flip": True, "crop": 2}
        )
        ga.fit(run, folder / way, data=unlabelled(data, whole, label))
    else:
        if way in ("gan", "both", "samples"):
            made = generated(data, label, number, seed, args.gan_steps, folder / "dcgan")
            data = mixed(data, label, made, real=way != "samples")
        augmented = PLAIN if way in ("plain", "both") else {}
        run = ga.configure(
            "simple_cnn", label=label, norm=True, features=(32, 64, 128), hidden=0, train=train, data=dict(augmented)
        )
        ga.fit(run, folder / way, data=data)
    figure = float(finished(folder / way)["accuracy"])
    result.write_text(json.dumps(figure))
    return figure


def _semi() -> ga.Run:
    return ga.get_config("benchmarks.semi_gan:Config")


def interval(values: Sequence[float]) -> str:
    """Mean and 95 % interval by Student's t, in %."""
    x = 100 * np.asarray(values)
    if len(x) < 2:
        return f"{x.mean():.1f}"
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return f"{x.mean():.1f} +- {half:.1f}"


def table(found: Mapping[tuple[str, int, str], list[float]], args: argparse.Namespace) -> str:
    """The page."""
    lines = [
        "# Pictures of a GAN as training pictures\n",
        f"`python -m benchmarks.gan_augmentation --runs DIR`, {args.seeds} seeds, {args.gan_steps} steps of the GAN, "
        f"{args.steps} of the classifier, {args.semi_steps} of the semi-supervised one. Test accuracy in %, "
        f"with a 95 % interval over seeds; in the last column the difference to `plain`. {machine.about()}.\n",
        "| set | pictures a class | way | accuracy | to plain |\n|---|---|---|---|---|",
    ]
    for (name, number, way), values in found.items():
        plain = found.get((name, number, "plain"))
        paired = interval([a - b for a, b in zip(values, plain, strict=True)]) if plain and way != "plain" else ""
        lines.append(f"| {name} | {number} | {way} | {interval(values)} | {paired} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--pictures", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--gan-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--semi-steps", type=int, default=600)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    cache.keep_programs()  # the same few of them for every seed
    found: dict[tuple[str, int, str], list[float]] = {}
    for name in args.sets:
        source, label = SETS[name]
        for number in args.pictures:
            for seed in range(args.seeds):
                folder = args.runs / f"{name}-{number}-{seed}"
                folder.mkdir(parents=True, exist_ok=True)
                for way in args.ways:
                    figure = trained(way, (source, label, number, seed), args, folder)
                    found.setdefault((name, number, way), []).append(figure)
                    sys.stderr.write(f"{name}, {number} a class, seed {seed}, {way}: {100 * figure:.1f} %\n")
                jax.clear_caches()
                args.out.write_text(table(found, args), encoding="utf-8")


if __name__ == "__main__":
    main()
