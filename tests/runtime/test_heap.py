"""The C library keeps a step's memory, and Python seldom looks for garbage."""

import gc
import os
import platform
import subprocess
import sys

import pytest

from genart_jax.runtime import heap

# Where the C library puts a block of 64 MiB, twice: in its heap, which it keeps, or in a mapping of its own.
PROGRAM = """
import ctypes, pathlib, sys
from genart_jax.runtime import heap
kept = heap.keep() if sys.argv[1] == "keep" else False
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
places = []
for _ in range(2):
    places.append(libc.malloc(2**26))
    libc.free(places[-1])
lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
low, high = (int(x, 16) for x in next(line for line in lines if "[heap]" in line).split()[0].split("-"))
print(kept, places[0] == places[1] and low <= places[0] < high)
"""

# Pages (4 KiB) that the system hands out in the third run of a program with more than 128 MiB of temporary memory.
FAULTS = """
import resource, sys
import jax, jax.numpy as jnp
from genart_jax.runtime import heap
if sys.argv[1] == "keep":
    heap.keep()
program = jax.jit(lambda x: jnp.tanh(x @ x.T)[::7, ::7]).lower(jnp.ones((6000, 2))).compile()
assert program.memory_analysis().temp_size_in_bytes > 2**27
x = jnp.ones((6000, 2))
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(program(x))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def still_there(how: str, program: str = PROGRAM) -> list[str]:
    clean = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES" and not k.startswith("MALLOC_")}
    command = [sys.executable, "-c", program, how]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=clean).stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: keep() leaves it alone")
def test_a_step_finds_its_memory_again() -> None:
    assert still_there("keep") == ["True", "True"]
    assert still_there("leave") == ["False", "False"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: keep() leaves it alone")
def test_a_program_of_xla_finds_its_memory_again() -> None:
    assert int(still_there("keep", FAULTS)[0]) < 1000
    assert int(still_there("leave", FAULTS)[0]) > 10_000


def test_whoever_has_chosen_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not heap.keep()


@pytest.mark.parametrize(("before", "after"), [(700, 100_000), (200_000, 200_000), (0, 0)])
def test_garbage_is_looked_for_less_often(before, after):
    thresholds = gc.get_threshold()
    try:
        gc.set_threshold(before, 7, 8)
        heap.collect_less()
        assert gc.get_threshold() == (after, 7, 8)
    finally:
        gc.set_threshold(*thresholds)
