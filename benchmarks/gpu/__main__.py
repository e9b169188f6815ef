"""What a GPU can do, in one command that fits a short time.

    python -m benchmarks.gpu [--minutes 12] [--out runs/gpu] [--parts throughput alike ...]
    python -m benchmarks.gpu --miniature --out DIR                  # a rehearsal on a CPU, in minutes
    python -m benchmarks.gpu_report runs/gpu/results.jsonl          # tables and plots of what is there

It writes OUT/results.jsonl, a line for each result as soon as it is there, the most valuable first: training steps in
bfloat16 over batch sizes, with their share of the device's peak, next to PyTorch (torch.compile, channels last,
bfloat16 by autocast, TensorFloat-32 for the rest); that jit, shard_map and pmap give the same numbers; how soon the
demo's pictures show the style that they were asked for; rematerialisation; precisions. Peaks of memory are in every
line.

Nothing begins that would not end in time, by what such things took so far, and what takes far longer than was thought
is stopped. What fails is a line with the error, and the rest goes on. Begun again with the same folder, it goes on with
what is not there yet, then with what failed; compiled programs are kept in its folder `cache`. Each framework has a
process of its own, one at a time on the device; the next one starts meanwhile.

Needs jax, flax, optax, orbax, torch, numpy, scipy and pillow; without torch its side is a line with the error.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.compare import environment
from benchmarks.gpu.cells import OURS, PARTS, PEERS, TORCH, WORK, Cell, cells
from benchmarks.gpu.peaks import peak
from benchmarks.gpu.results import Results
from benchmarks.gpu.workers import Spares, Started
from benchmarks.worker import Worker, WorkerError
from genart_jax.config import UserError

_ROUNDS = 3
_SPARE = 12.0  # seconds that are left for processes to end


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=12.0, help="all that it may take")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--cache", type=Path, help="where compiled programs are kept; without it, in OUT/cache")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--miniature", action="store_true", help="a rehearsal on a CPU: small networks, few pictures")
    return parser.parse_args(argv)


def time_ours(worker: Worker, cell: Cell, results: Results) -> Iterator[dict[str, Any]]:
    """A step's figures, of `bench.summary`, with peaks of memory and the share of the device's own peak."""
    from genart_jax.train import bench

    facts = worker.ask("prepare", **cell.values)
    times, rates = zip(*[(worker.ask("round"), worker.ask("matmul")) for _ in range(_ROUNDS)], strict=True)
    row = bench.summary(facts, times, rates) | {"device_memory_bytes": worker.ask("device_memory")}
    most = peak(facts["device"], facts["run"]["train"]["precision"])
    yield row | worker.ask("end") | {"peak_flops": most, "of_peak": most and row["flops_per_second"] / most}


def time_torch(worker: Worker, cell: Cell, results: Results) -> Iterator[dict[str, Any]]:
    """The same of PyTorch, built from our side's configuration."""
    ours = results.row((cell.part, cell.name, OURS))
    assert ours is not None  # see `run`
    facts = worker.ask("prepare", **cell.values, run=ours["run"], platform=ours["platform"])
    if facts["parameters"] != ours["parameters"]:
        raise WorkerError(f"parameters {facts['parameters']}, ours {ours['parameters']}: another network")
    times = [worker.ask("round") for _ in range(_ROUNDS)]
    middle = statistics.median(times)
    yield facts | worker.ask("end") | {
        "rounds": times, "images_per_second": ours["images_per_step"] / middle, "variant": cell.values["variant"],
        "device_memory_bytes": worker.ask("device_memory"), "flops_per_second": ours["flops"] / middle,
        "of_peak": ours["peak_flops"] and ours["flops"] / middle / ours["peak_flops"],
        "mfu": ours["flops"] / middle / ours["matmul_flops_per_second"],
    }  # fmt: skip


def quality(worker: Worker, cell: Cell, results: Results) -> Iterator[dict[str, Any]]:
    """The judge's accuracy at seconds of training that double."""
    facts, at, row = worker.ask("prepare", **cell.values), cell.values["seconds"] / 32, dict[str, Any]()
    while at <= cell.values["seconds"] and not row.get("ended"):
        row = worker.ask("until", seconds=at)
        at *= 2
        yield facts | row | {"done": at > cell.values["seconds"] or row["ended"]}


def alike(worker: Worker, cell: Cell, results: Results) -> Iterator[dict[str, Any]]:
    """See `work.alike`."""
    yield worker.ask("alike", **cell.values)


def measure(cell: Cell, worker: Started, results: Results, deadline: float) -> None:
    """Writes the lines of a cell. What goes wrong is a line too."""
    ways = {"alike": alike, "quality": quality}
    way = time_torch if cell.side == TORCH else ways.get(cell.part, time_ours)
    start = time.monotonic()
    worker.deadline = min(deadline, start + cell.cap)
    try:
        worker.ready()
        for row in way(worker, cell, results):
            results.add(cell, {"done": True} | row | {"seconds": time.monotonic() - start})
    except (WorkerError, UserError, AssertionError) as error:
        tail = getattr(error, "log", "").strip().splitlines()[-1:]
        results.add(cell, {"error": str(error), "log": tail, "seconds": time.monotonic() - start})


def caches(folder: Path) -> dict[str, str]:
    """What has both frameworks keep compiled programs in a folder."""
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRITON_CACHE_DIR": str(folder / "triton"),
    }


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Measures what there is time for; returns how many cells are left."""
    deadline = time.monotonic() + 60 * args.minutes - _SPARE
    if args.minutes <= 0:
        raise UserError(f"--minutes must be above 0, not {args.minutes:g}")
    results = Results(args.out / "results.jsonl")
    env = environment(1) | caches((args.cache or args.out / "cache").absolute())
    wanted = [cell for cell in cells(args.miniature) if cell.part in args.parts]
    with Spares(env) as spares:
        about = spares.first(WORK, deadline)
        if about["platform"] == "cpu" and not args.miniature:
            raise UserError("JAX finds no accelerator; on a CPU these steps take hours, and --miniature rehearses")
        results.begin({**machine.conditions(argv, "benchmarks.gpu"), **about, "miniature": args.miniature,
                       "minutes": args.minutes})  # fmt: skip
        print(f"{about['devices']} x {about['device']}: {args.out / 'results.jsonl'}", flush=True)
        left = 0
        for cell in results.in_order(wanted):
            if cell.side == TORCH and results.row((cell.part, cell.name, OURS)) is None:
                continue  # it is built from our side's configuration
            seconds = cell.seconds * results.pace(wanted)
            if time.monotonic() + seconds > deadline:
                print(f"left out: {' / '.join(cell.key)} takes about {seconds:.0f} s", flush=True)
                left += 1
                continue
            module = PEERS if cell.side == TORCH else WORK
            with spares.take(module, cell.devices) as worker:
                measure(cell, worker, results, deadline)
    return left


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 done, or as much as there was time for; 2 the command is wrong."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        args = parse(argv)
        left = run(args, argv)
    except UserError as error:
        print(f"gpu: {error}", file=sys.stderr)
        return 2
    except WorkerError as error:
        print(f"{error.log}\ngpu: JAX does not start: {error}", file=sys.stderr)
        return 1
    if left:
        print(f"{left} not begun for want of time; the same command goes on with them", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
