"""Compiled programs are kept, in a private place, and a second start finds them."""

import json
import os
import stat
import subprocess
import sys


def first_step(directory, run):
    """Seconds from the start to the first step, and what the cache holds then."""
    code = (
        "import sys, time, json; t = time.perf_counter()\n"
        "import genart_jax.app.progress as p\n"
        "from genart_jax.app.cli import main\n"
        "first = []\n"
        "p.Progress._on_progress = lambda self, values: first.append(time.perf_counter() - t)\n"
        f"assert main(['train', 'mlp_vae', '--preset', 'tiny', '--steps', '1', '--run', {str(run)!r}]) == 0\n"
        "print(json.dumps(first[0]))"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    env |= {"GENART_CACHE": str(directory), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), {p.name for p in (directory / "programs").iterdir()}


def test_the_second_start_finds_the_programs_of_the_first(tmp_path):
    cold, programs = first_step(tmp_path / "cache", tmp_path / "a")
    assert any("step" in name or "one" in name for name in programs)
    assert stat.S_IMODE((tmp_path / "cache" / "programs").stat().st_mode) == 0o700
    warm, again = first_step(tmp_path / "cache", tmp_path / "b")
    assert programs <= again  # a program near the limit of half a second may join them
    assert warm < cold
