"""The recipes of `benchmarks.classifiers` as PyTorch trains the same network; see `--against torch` there.

The same batches in the same order, crops and flips of its own draws, the same optimizer, schedule, smoothing and moving
averages (the network's, with its statistics), CutMix of its own draws, channels-last, not compiled. CPU minutes are
those of the process.
"""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import genart_jax as ga
from benchmarks.peers import simple_cnn
from benchmarks.peers.common import Context
from genart_jax.data.open import Dataset, Part

_TOGETHER = 500  # pictures of an evaluation's batch


def trained(run: ga.Run, data: Dataset, test: Part) -> dict[str, Any]:
    """The curve on the test split of `data`, and the figures of `test`.

    Args:
      run: a resolved configuration of `simple_cnn`.
      data: what it is trained on, and evaluated on every `train.eval_every` steps.
      test: what it is tested on in the end.
    """
    torch.manual_seed(run.train.seed)
    unmixed = dataclasses.replace(run, step=dataclasses.replace(run.step, cutmix=0.0))  # it is mixed here
    context = Context(dataclasses.asdict(unmixed), "cpu", "channels_last")
    torch.manual_seed(run.train.seed)
    step, begun = simple_cnn.Step(context), _cpu()
    names, curve = [name for name, _ in run.model.conditions], []
    rng = np.random.default_rng(run.train.seed)
    for count, batch in zip(range(1, run.train.steps + 1), data.batches(run.train.batch, run.train.seed), strict=False):
        images, step.labels = _moved(_images(batch["image"]), run.data, rng), _labels(batch["condition"], names)
        if run.step.cutmix:
            images, step.labels = _mixed(images, step.labels, step.classes, run.step.cutmix, rng)
        context.images = context.layout(images)
        step(count - 1)
        if count % run.train.eval_every == 0:
            curve.append(((_cpu() - begun) / 60, _figures(step, data.test, names)))
    return {"curve": curve, "test": _figures(step, test, names)}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _images(images: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(images, np.float32)).permute(0, 3, 1, 2)


def _labels(columns: Mapping[str, Any], names: list[str]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(columns[name], np.int64) for name in names]))


def _moved(images: torch.Tensor, data: ga.Data, rng: np.random.Generator) -> torch.Tensor:
    """Each picture mirrored or not, and moved by at most `data.crop` pixels, with what is at its edge beyond."""
    count, _, height, width = images.shape
    if data.flip:
        mirrored = torch.from_numpy(rng.random(count) < 0.5)[:, None, None, None]
        images = torch.where(mirrored, images.flip(-1), images)
    if not data.crop:
        return images
    wide = functional.pad(images, (data.crop,) * 4, mode="replicate")
    places = rng.integers(0, 2 * data.crop + 1, (count, 2))
    return torch.stack([one[:, y : y + height, x : x + width] for one, (y, x) in zip(wide, places, strict=True)])


def _mixed(
    images: torch.Tensor, labels: torch.Tensor, classes: Sequence[int], alpha: float, rng: np.random.Generator
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """CutMix of neighbours: pictures with a box of another, and of each condition (batch, classes) by area."""
    count, _, height, width = images.shape
    share, inside = rng.beta(alpha, alpha, count), []
    for side, centre in zip((height, width), rng.random((2, count)), strict=True):
        half = 0.5 * side * np.sqrt(1 - share)
        low, high = (np.round(centre * side + d)[:, None] for d in (-half, half))
        inside.append(torch.from_numpy((np.arange(side) >= low) & (np.arange(side) < high)))
    box = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    kept = 1 - box.float().mean((1, 2, 3))[:, None]
    other = torch.arange(count) ^ 1
    named = [functional.one_hot(own, number).float() for own, number in zip(labels, classes, strict=True)]
    return torch.where(box, images[other], images), [kept * own + (1 - kept) * own[other] for own in named]


def _figures(step: simple_cnn.Step, split: Part, names: list[str]) -> dict[str, float]:
    """Accuracies of the moving averages, under the names of `genart evaluate`."""
    network, right = step.modules["classifier"].eval(), []
    with step.ema.applied():
        for first in range(0, len(split), _TOGETHER):
            part = {name: values[first : first + _TOGETHER] for name, values in split.arrays.items()}
            images = step.context.layout(_images(part["image"]) / 127.5 - 1)
            views = [images, images.flip(-1)] if step.options.mirror else [images]
            seen = [
                torch.cat([head.softmax(1) for head in network(x).split(step.classes, dim=1)], dim=1) for x in views
            ]
            each = zip(sum(seen).split(step.classes, dim=1), _labels(part, names), strict=True)
            right.append(torch.stack([scores.argmax(1) == wanted for scores, wanted in each]).numpy())
    network.train()
    found, figures = np.concatenate(right, axis=1), {}
    truth = _labels(split.arrays, names).numpy()
    for name, own, true in zip(names, found, truth, strict=True):
        end = f"_{name}" if len(names) > 1 else ""
        figures[f"accuracy{end}"] = float(own.mean())
        figures[f"balanced_accuracy{end}"] = float(np.mean([own[true == each].mean() for each in np.unique(true)]))
    if len(names) > 1:
        figures |= {"accuracy": float(found.mean()), "joint_accuracy": float(found.all(0).mean())}
    return figures
