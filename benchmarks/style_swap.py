"""Icons of held-out names in each of the five styles: what a VAE makes of one style's drawing, beside the true one.

    genart train conv_vae --model.conditions style shape --step.likelihood logistic_mixture --run runs/swap
    python -m benchmarks.style_swap runs/swap [--num 300] [--out swap.png]

A test picture is encoded with its own style and decoded with another (all other conditions as they are), and held
against the true drawing of that name in that style. The nearest neighbour has the same test: of all training pictures
in the first style whose name is drawn in the second too, the nearest in pixels, and then that name in the second style.
PSNR in decibels, SSIM, and a distance over VGG19 as LPIPS has it (lower is better; left out without its weights).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import genart_jax as ga
from genart_jax.config import UserError
from genart_jax.data import emoji
from genart_jax.evaluate.perceptual import make_perceptual
from genart_jax.metrics import image as scores
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model

_BATCH = 100


class Pairs(NamedTuple):
    """Rows of the art set: a drawing, the same name in another style, and what the nearest neighbour says."""

    given: Array
    wanted: Array
    nearest: Array


def by_name(art: emoji.Art) -> dict[tuple[str, int], int]:
    """(name, style) -> a row, the first of each."""
    out: dict[tuple[str, int], int] = {}
    for row, key in enumerate(zip(art.name.tolist(), art.style.tolist(), strict=True)):
        out.setdefault(key, row)
    return out


def pairs(art: emoji.Art, num: int, seed: int = 0) -> Pairs:
    """`num` pairs of test pictures of one name in two styles, drawn by the seed."""
    rows, styles = by_name(art), range(len(emoji.STYLES))
    found = [
        (rows[name, a], rows[name, b])
        for (name, a) in sorted(rows)
        for b in styles
        if a != b and (name, b) in rows and art.test[rows[name, a]] and art.test[rows[name, b]]
    ]
    chosen = np.random.default_rng(seed).permutation(len(found))[:num]
    given, wanted = (np.array([found[i][side] for i in chosen]) for side in (0, 1))
    flat = art.x.reshape(len(art.x), -1).astype(np.float32)
    nearest = np.zeros_like(given)
    for a in styles:
        for b in styles:
            there = [row for (name, s), row in rows.items() if s == a and not art.test[row] and (name, b) in rows]
            here = np.flatnonzero((art.style[given] == a) & (art.style[wanted] == b))
            if a == b or not there or not len(here):
                continue
            near = flat[there]
            apart = np.sum(near**2, axis=1) - 2 * flat[given[here]] @ near.T  # without what is the same for all
            best = np.array(there)[apart.argmin(axis=1)]
            nearest[here] = [rows[art.name[row], b] for row in best]
    return Pairs(given, wanted, nearest)


def swapped(model: Model, art: emoji.Art, given: Array, style: Array) -> Array:
    """uint8 pictures: rows of the art set encoded as they are, decoded in other styles (n,)."""
    algorithm, state = model
    if "weigh" not in algorithm.uses or "style" not in dict(algorithm.batch_spec.conditions):
        raise UserError("style_swap needs a VAE that is told the style: --model.conditions style")
    encode, decode = (compiler.jit(algorithm.use(name).function) for name in ("encode", "decode"))
    names, out = [name for name, _ in algorithm.batch_spec.conditions], []
    for start in range(0, len(given), _BATCH):
        rows = np.resize(given[start : start + _BATCH], _BATCH)
        told = {name: getattr(art, name)[rows].astype(np.int32) for name in names}
        other = told | {"style": np.resize(style[start : start + _BATCH], _BATCH).astype(np.int32)}
        z = encode(state, ga.to_float(art.x[rows]), jax.random.key(0), told)
        out.append(np.asarray(ga.to_uint8(decode(state, z, other))))
    return np.concatenate(out)[: len(given)]


def figures(made: Array, wanted: Array, distance: Any) -> dict[str, tuple[float, float]]:
    """Name -> mean and its standard error, of uint8 pictures."""
    a, b = ga.to_float(made), ga.to_float(wanted)
    values = {"psnr": np.minimum(scores.psnr(a, b), 100.0), "ssim": scores.ssim(a, b)}
    if distance is not None:
        values[distance.name] = distance(made, wanted)
    return {name: (float(np.mean(v)), float(np.std(v) / len(v) ** 0.5)) for name, v in values.items()}


def sheet(model: Model, art: emoji.Art, num: int = 8) -> Array:
    """Names of test pictures that are drawn in all styles: a row of true drawings above what is made of the first."""
    rows, styles = by_name(art), range(len(emoji.STYLES))
    whole = [n for n in sorted({n for n, _ in rows}) if all((n, s) in rows for s in styles)]
    names = [n for n in whole if art.test[rows[n, 0]]]
    names = [names[i] for i in np.random.default_rng(1).permutation(len(names))[:num]]
    lines = []
    for name in names:
        given = np.full(len(styles), rows[name, 0])
        lines += [art.x[[rows[name, s] for s in styles]], swapped(model, art, given, np.arange(len(styles)))]
    return np.concatenate(lines)


def main(argv: list[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--num", type=int, default=300, help="pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a picture of eight names")
    options = parser.parse_args(argv)
    art, model = emoji.read(), ga.load(options.run)
    chosen = pairs(art, options.num, options.seed)
    try:
        distance = make_perceptual("vgg19")
    except UserError as error:
        print(error, file=sys.stderr)
        distance = None
    wanted = art.x[chosen.wanted]
    rows = {
        options.run: swapped(model, art, chosen.given, art.style[chosen.wanted]),
        "nearest neighbour": art.x[chosen.nearest],
        "the drawing as it is": art.x[chosen.given],
    }
    for name, made in rows.items():
        print(json.dumps({"by": name, "pairs": len(wanted), **figures(made, wanted, distance)}))
    if options.out:
        ga.save_grid(options.out, sheet(model, art), columns=len(emoji.STYLES), scale=2)


if __name__ == "__main__":
    main(sys.argv[1:])
