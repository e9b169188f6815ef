"""`genart fid FOLDER FOLDER|STATS.npz`: distances between any pictures, without a model."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from genart_jax.app.arguments import leading, parse, wants_help
from genart_jax.app.extractor import default_extractor, tell
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.paths import expanded

USAGE = "fid FOLDER FOLDER|STATS.npz [--features NAME]"
SUMMARY = "distances between any pictures"

_SHOWN = 5  # names of files that cannot be read


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart fid`."""

    features: str | None = None
    """The network that makes features: inception:FILE (only this one gives an FID), lite0[:SIZE], vgg19[:SIZE],
    dinov2:FILE, classifier:RUN or pixels[:SIZE]. None: lite0 where its weights are."""
    scores: tuple[Literal["fd", "kd", "md", "support"], ...] = ("fd",)
    """The Frechet, kernel and Monge distance, and precision, recall, density and coverage."""
    size: tuple[int, ...] = ()
    """Height and width, or one number, that pictures of several sizes are cropped and brought to first."""
    save: Path | None = None
    """FILE.npz to write the first folder's mu and sigma to; the second side may then be left out."""
    json: bool = False
    """As JSON."""


def run(args: Sequence[str]) -> None:
    """The command."""
    prog = "genart fid FOLDER FOLDER|STATS.npz"
    text = "Distances of a folder of generated pictures to a folder of real ones, or to statistics of them."
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    places, rest = leading(args)
    options: Options = parse(Options, rest, prog, text)
    if len(places) != 2 and not (len(places) == 1 and options.save):
        raise UserError(f"fid takes two places: {prog}; or one and --save STATS.npz")

    from genart_jax.evaluate.folders import compare_folders

    keep_programs()
    word = default_extractor(options.features, "lite0")
    if word is None:
        raise UserError("fid needs --features; the default's weights come with: genart assets fetch efficientnet_lite0")
    reference = places[1] if len(places) == 2 else None
    found = compare_folders(places[0], reference, word, options.scores, options.size, options.save, tell)
    for name, reason in found.left_out[:_SHOWN]:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if len(found.left_out) > _SHOWN:
        print(f"left out: {len(found.left_out)} files in all", file=sys.stderr)
    if options.json:
        left = [{"file": name, "reason": reason} for name, reason in found.left_out]
        print(json.dumps({"contract": found.contract, "scores": found.records(), "left_out": left}, indent=2))
        return
    print(_made_of(found.contract, len(found.left_out)))
    if options.save is not None:
        print(expanded(options.save))
    if found.scores:
        from genart_jax.app import tables

        print(tables.measured(found.scores))


def _made_of(contract: dict[str, Any], left_out: int) -> str:
    """What the scores were made of, in one line."""
    by = lambda key: "x".join(map(str, contract[key]))
    sides = [f"{contract['num_fake']} pictures of {contract['generated']} ({by('generated_size')})"]
    if "data" in contract:
        sides.append(f"{contract['num_real']} of {contract['data']} ({by('data_size')})")
    weights = f" {str(contract['weights'])[:8]}" if contract["weights"] else ""
    network = f"{contract['extractor']}{weights} at {by('image_size')}, {contract['resize']}"
    left = f"; {left_out} left out" if left_out else ""
    return f"{' vs '.join(sides)}{left}; {network}"
