"""How the tests compile: nearly all of their time is that, so programs are compiled cheaply, and once on a machine."""

import hashlib
import os
import platform
import re
import shutil
from pathlib import Path

import jaxlib

from genart_jax.assets import cache_directory, private

LIMIT = 2 << 30  # bytes of compiled programs that are kept
FLAGS = (
    "--xla_force_host_platform_device_count=8",
    # Little programs gain nothing from the last of the compiler's work.
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    # The workers share the cores: a program that is cut up to be compiled by several threads takes a fifth more.
    "--xla_cpu_parallel_codegen_split_count=1",
)
CHEAP_EMITTERS = "--xla_cpu_use_fusion_emitters=false"
"""The former way to make code for fused operations: half the work. jaxlib 0.11 gave it up."""


def knows_cheap_emitters(version=jaxlib.__version__):
    """Whether this jaxlib knows the flag: XLA ends the process at one that it does not know."""
    return tuple(map(int, version.split(".")[:2])) < (0, 11)


def flags():
    """XLA's flags for the tests."""
    return " ".join([*FLAGS, CHEAP_EMITTERS] if knows_cheap_emitters() else FLAGS)


def directory():
    """Where programs are kept for all workers and for later runs, or None where nothing can be kept.

    JAX names a program by what it computes, the versions and the flags, but not by the processor it was made for.
    """
    features = Path("/proc/cpuinfo")
    lines = features.read_text().splitlines() if features.exists() else []
    processor = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    name = hashlib.sha256("\n".join([platform.machine(), *processor]).encode()).hexdigest()[:12]
    try:
        return private(private(cache_directory()) / f"tests-{name}")
    except OSError:
        return None


def memory_disk(place="/dev/shm", needed=4 << 30):
    """A place in memory for the files that tests write, or None where there is none, or too little memory to spare.

    Runs are many small files, each synced: on a disk, that is a sixth of the time of a test that trains.
    """
    try:
        usable = os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= needed
        available = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        return None
    return place if usable and available and int(available[1]) << 10 >= 2 * needed else None


def prune(folder, limit=LIMIT):
    """Deletes the programs that were not used for longest, until the rest are no more than `limit` bytes."""
    found = [(path, path.stat()) for path in folder.iterdir() if path.is_file()]
    total = sum(stat.st_size for _, stat in found)
    for path, stat in sorted(found, key=lambda pair: max(pair[1].st_atime, pair[1].st_mtime)):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size
