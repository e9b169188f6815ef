"""What a result was measured on: machine, versions, commit, date and command."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """The commit, with "+changes" where tracked files other than results differ from it; "" outside a checkout."""
    git = lambda *args: subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    try:
        changes = git("diff", "HEAD", "--stat", "--", ".", ":!benchmarks/results")
        return git("rev-parse", "--short", "HEAD").strip() + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions(names: Sequence[str]) -> dict[str, str]:
    """The versions of the named distributions that are installed."""
    out = {"python": platform.python_version()}
    for name in names:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out


def about() -> str:
    """One line for a page of results: the device, versions, the commit and the date. It starts JAX."""
    import jax

    device = jax.devices()[0]
    name = (
        f"{processor()}, {cores()} cores"
        if device.platform == "cpu"
        else f"{jax.device_count()} x {device.device_kind}"
    )
    made = ", ".join(f"{name} {version}" for name, version in versions(("jax",)).items())
    return f"{name}; {made}; commit {commit() or 'unknown'}; {datetime.datetime.now(datetime.UTC).date()}"


def conditions(args: Sequence[str], module: str = "benchmarks.throughput") -> dict[str, Any]:
    """Everything that a file of results must say of where it comes from. It starts no framework."""
    # Of a path only its name: where files lie on one machine tells another nothing.
    words = [Path(arg).name if Path(arg).is_absolute() else arg for arg in args]
    return {
        "machine": {"processor": processor(), "cores": cores(), "system": platform.system()},
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": versions(("jax", "jaxlib", "flax", "optax", "numpy", "torch")),
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "-m", module, *words]),
    }
