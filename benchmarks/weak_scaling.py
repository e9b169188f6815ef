"""Weak scaling over processes of this machine: the same work a process, in 1, 2 and 4 of them over loopback.

    python -m benchmarks.weak_scaling [MODEL ...] [--steps N] [--batch N] [--out benchmarks/results/scaling]

Runs `genart train` at the default preset, each process bound to one core, and adds a table to the page that
`benchmarks.scaling` writes. Images a second are the run's own, over its last 50 steps.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import machine, scaling


def images_per_second(model: str, processes: int, batch: int, steps: int) -> float:
    """What a run of several processes reaches, `batch` pictures each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        options = {"steps": steps, "batch": batch * processes, "sample-every": 0, "save-every": 0}
        command = [sys.executable, "-m", "genart_jax", "train", model, "--run", f"{folder}/run"]
        command += [word for name, value in options.items() for word in (f"--train.{name}", str(value))]
        if processes > 1:
            command += ["--parallel.coordinator", f"127.0.0.1:{port}", "--parallel.processes", str(processes)]
        started = [
            subprocess.Popen(
                ["taskset", "-c", str(cores[i % len(cores)]), *command,
                 *(["--parallel.process", str(i)] if processes > 1 else [])],
                env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}, stdout=subprocess.DEVNULL,
            )
            for i in range(processes)
        ]  # fmt: skip
        if codes := [code for process in started if (code := process.wait())]:
            raise RuntimeError(f"{model} in {processes} processes ended with {codes}")
        return float(json.loads((Path(folder) / "run" / "summary.json").read_text())["images_per_second"])


def main() -> None:
    """Measures, and writes the page again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, default=scaling.OUT)
    args = parser.parse_args()
    results = scaling.load(args.out)
    weak = results.setdefault("weak", {"rows": []})
    weak.pop("note", None)  # it is of what was measured before
    weak |= {"command": "python -m benchmarks.weak_scaling", "processor": machine.processor()}
    weak |= {"cores": machine.cores(), "date": str(datetime.datetime.now(datetime.UTC).date()), "steps": args.steps}
    for model in args.models or ["dcgan", "conv_vae"]:
        for processes in args.processes:
            rate = images_per_second(model, processes, args.batch, args.steps)
            row = {"model": model, "batch": args.batch, "processes": processes, "images_per_second": rate}
            same = [r for r in weak["rows"] if (r["model"], r["processes"]) == (model, processes)]
            weak["rows"] = [r for r in weak["rows"] if r not in same] + [row]
            print(row, flush=True)
            scaling.write(results, args.out)


if __name__ == "__main__":
    main()
