"""Compares two results of benchmarks.throughput, and fails where the newer is slower or larger beyond the noise.

    python -m benchmarks.regression OLD.json NEW.json [--threshold 0.05] [--subset] [--any-machine]

Cases are matched by their labels. Slower means: the median is worse by more than the threshold, and the quartiles do
not overlap. Where both files have a peer, its ratio is compared, as that leaves out how busy the machine was; else the
step time. Memory is that of the compiled program, which has no noise. A case that NEW lacks counts as a failure
unless --subset is given. Returns 0 where nothing got worse, 1 where something did, 2 for files that cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genart_jax.config import UserError


def read(path: Path) -> dict[str, Any]:
    """A result file.

    Raises:
      UserError: it is no such file.
    """
    try:
        content = json.loads(path.read_text())
        if content["version"] != 1:
            raise UserError(f"{path} has version {content['version']}, this program reads 1")
        for result in content["results"]:
            for figures in (result["step_seconds"], result.get("ratio") or [1.0, 1.0, 1.0]):
                low, middle, high = map(float, figures)
                if not 0 < low <= middle <= high:
                    raise ValueError(figures)
            float(result["memory"]["peak_bytes"])
            str(result["label"])
        content["machine"]["processor"], content["machine"]["cores"]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is not a result of benchmarks.throughput") from None
    if not content["results"]:
        raise UserError(f"{path} has no results")
    return content


def worse(old: list[float], new: list[float], threshold: float) -> bool:
    """Whether times (quartiles) grew beyond the noise."""
    return new[1] > (1 + threshold) * old[1] and new[0] > old[2]


def inverse(ratio: list[float]) -> list[float]:
    """Quartiles of 1/ratio: our time in units of the peer's."""
    return [1 / value for value in reversed(ratio)]


def compare(old: dict[str, Any], new: dict[str, Any], threshold: float) -> tuple[str, bool]:
    """What became of a case, and whether it got worse."""
    if old.get("ratio") and new.get("ratio"):
        what, before, after = "times the peer's speed", inverse(old["ratio"]), inverse(new["ratio"])
        text = f"{old['ratio'][1]:.2f} -> {new['ratio'][1]:.2f} {what}"
    else:
        before, after = old["step_seconds"], new["step_seconds"]
        text = f"{1e3 * before[1]:.4g} -> {1e3 * after[1]:.4g} ms a step"
    slower = worse(before, after, threshold)
    bytes_before, bytes_after = (float(r["memory"]["peak_bytes"]) for r in (old, new))
    larger = bytes_after > (1 + threshold) * bytes_before
    text += f", {bytes_before / 2**20:.1f} -> {bytes_after / 2**20:.1f} MiB"
    return text + slower * "; SLOWER" + larger * "; LARGER", slower or larger


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line a case; see the module's docstring for what it returns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--threshold", type=float, default=0.05, help="relative change that may be noise")
    parser.add_argument("--subset", action="store_true", help="NEW may lack cases")
    parser.add_argument("--any-machine", action="store_true", help="compare results of different machines")
    args = parser.parse_args(argv)
    try:
        old, new = read(args.old), read(args.new)
        if args.threshold < 0:
            raise UserError("--threshold must not be negative")
        if old["machine"] != new["machine"] and not args.any_machine:
            raise UserError("the files are of different machines; pass --any-machine to compare them nevertheless")
        found = {result["label"]: result for result in new["results"]}
        if not any(result["label"] in found for result in old["results"]):
            raise UserError(f"{args.old} and {args.new} have no case in common")
    except UserError as error:
        print(f"regression: {error}", file=sys.stderr)
        return 2
    failed = False
    for result in old["results"]:
        name = result["label"]
        text, bad = compare(result, found[name], args.threshold) if name in found else ("GONE", not args.subset)
        print(f"{name}: {text}")
        failed |= bad
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
