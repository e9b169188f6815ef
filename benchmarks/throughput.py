"""Times training steps, alone or against a peer.

    python -m benchmarks.throughput                                    # every model at its default preset
    python -m benchmarks.throughput dcgan simple_cnn --against torch --json FILE
    python -m benchmarks.throughput dcgan,size=64,width=64,batch=64 simple_cnn,size=64x64x3,batch=128

A MODEL is a name of the registry, with KEY=VALUE after commas for what is its own: size (64, 64x48 or 64x64x3), batch,
precision, preset, devices, and any option of its configuration (width=64, step.r1_every=4). See
`genart_jax.train.bench` for what a step is, what FLOPs leave out and what host time means.

Every framework has its own process, and they take turns (A B A B ...); ratios are taken round by round, so that a
machine that slows down slows both. Other work on it is another matter: PyTorch's threads wait for one another at every
operation and lose far more by it than ours, so compare on a machine that does nothing else (a line warns). Against
torch the best of eager, channels-last and torch.compile counts; a variant that is 1.5 times slower than the best after
two rounds takes no part in the others. Memory is what the compiled program asks for, and the most that its process
held. `--first-step` starts Python twice a model: with an empty compilation cache, and with what the first left there.
Beside a table of `--markdown` the same is written as data, in files whose names say under which contract the figures
may be held together: see `benchmarks.records`, and `benchmarks.history` for what they were at each commit.

Needs the packages that training needs; --against torch and --chart need the `bench` extra.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, records, report
from benchmarks.compare import Settings, compare, peer_module
from benchmarks.worker import WorkerError
from genart_jax import registry
from genart_jax.config import UserError

_BUSY = 0.5  # runnable processes, on average over a minute
_OWN = ("batch", "precision", "preset", "devices")


def parse_case(text: str, args: argparse.Namespace) -> dict[str, Any]:
    """A MODEL argument with the command's options as its defaults: the arguments of `bench.resolved`.

    Raises:
      UserError: no such model, or a word that is no KEY=VALUE.
    """
    name, *words = text.split(",")
    registry.find(name)
    case: dict[str, Any] = {
        "name": name, "preset": args.preset, "image_shape": None, "batch": args.batch, "precision": args.precision,
        "devices": args.devices, "options": {},
    }  # fmt: skip
    size = "x".join(map(str, args.image_size or ()))
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"{text}: write KEY=VALUE after a comma, such as width=64")
        if key == "size":
            size = value
        elif key in _OWN:
            case[key] = _value(value)
        else:
            case["options"][key] = _value(value)
    if size:
        if not re.fullmatch(r"\d+(x\d+){0,3}", size):
            raise UserError(f"{text}: size {size!r} is none; write 64, 64x48, 64x64x3 or 32x32x32x1")
        case["image_shape"] = _shape(name, [int(part) for part in size.split("x")])
    return case


def _shape(name: str, sides: list[int]) -> list[int]:
    """(height, width, channels) from one to three numbers, or four with the depth in front; channels are else usual."""
    from genart_jax.train.bench import SHAPES

    if len(sides) == 4:
        return sides
    channels = sides[2] if len(sides) == 3 else SHAPES.get(name, (0, 0, 3))[2]
    return [sides[0], sides[min(1, len(sides) - 1)], channels]


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="NAME[,KEY=VALUE...]; none: every model")
    parser.add_argument("--against", metavar="PEER", help="torch, or a module like benchmarks.peers")
    parser.add_argument("--batch", type=int, help="examples a step (else: the preset's)")
    parser.add_argument("--image-size", type=int, nargs="+", metavar="H", help="height [width [channels]]")
    parser.add_argument("--precision", choices=["float32", "tf32", "bfloat16"])
    parser.add_argument("--devices", type=int, default=1, help="share the batch; on CPU this many are pretended")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--first-step", action="store_true", help="also time the start of Python to the first step")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write a trace of a period of steps")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--chart", type=Path, metavar="FILE.png")
    return parser.parse_args(argv)


def run(args: argparse.Namespace, argv: Sequence[str]) -> dict[str, Any]:
    """Measures every case and writes what was asked for.

    Raises:
      UserError: the command is wrong; nothing has been measured yet where that can be known.
    """
    if args.rounds < 1:
        raise UserError(f"--rounds must be at least 1, not {args.rounds}")
    cases = [parse_case(text, args) for text in args.models or registry.list_models()]
    if args.against:
        peer_module(args.against)
        if any(case["devices"] != 1 for case in cases):
            raise UserError("--against: peers run on one device; leave --devices out")
    if args.chart:
        report.check_chart()
    settings = Settings(args.rounds, args.against, args.first_step, args.profile)
    say = lambda text: print(text, flush=True)
    content: dict[str, Any] = {"version": 1, **machine.conditions(argv), "rounds": args.rounds, "results": []}
    if (content["load"] or 0) > _BUSY:
        say(f"the machine is busy (load {content['load']:.1f}): the figures will be off, a peer's most of all")
    for case in cases:
        content["results"].append(result := compare(case, settings, say))
        say("\n".join(report.lines_of(result)))
        if args.json:  # after each case, as a long table may be cut short
            args.json.write_text(json.dumps(content, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(report.markdown(content))
        say("\n".join(map(str, records.write(args.markdown.parent, content))))
    if args.chart:
        report.chart(content, args.chart)
    return content


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 done, 1 a measurement failed, 2 the command is wrong."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        run(parse(argv), argv)
    except UserError as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 2
    except WorkerError as error:
        print(f"{error.log}\nthroughput: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
