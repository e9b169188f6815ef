"""The C library keeps a step's memory."""

import os
import platform
import subprocess
import sys

import pytest

from genart_jax import heap

# A program with a block of temporary memory above glibc's 32 MiB, and its page faults (4 KiB each) in five runs.
PROGRAM = """
import resource, sys
import jax, jax.numpy as jnp
from genart_jax import heap
kept = heap.keep() if sys.argv[1] == "keep" else False
square = jax.jit(lambda x: jnp.sum(jnp.sin(x @ x) @ x))
x = jnp.ones((2400, 2400))
for _ in range(3):
    square(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    square(x).block_until_ready()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[str, int]:
    clean = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES" and not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        capture_output=True,
        text=True,
        check=True,
        env={**clean, "JAX_PLATFORMS": "cpu"},
    )
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: keep() leaves it alone")
def test_a_step_finds_its_memory_again() -> None:
    kept, few = faults("keep")
    assert kept == "True"
    _, many = faults("leave")
    assert few < 0.2 * many, f"{few} page faults with the heap kept, {many} without"


def test_whoever_has_chosen_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not heap.keep()
