"""A first state without the trainer: compiled, once, and kept on the disk."""

import json
import os
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import genart_jax as ga
from tests import zoo


def test_it_is_the_algorithms_own():
    algorithm = zoo.tiny("dcgan")
    key = jax.random.key(3)
    got, want = ga.init(algorithm, key), zoo.start(algorithm, key, zoo.full_batch(algorithm, 4))
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_another_key_needs_no_other_program():
    algorithm = zoo.tiny("dcgan")
    first = ga.init(algorithm, jax.random.key(0))
    start = time.perf_counter()
    other = ga.init(algorithm, jax.random.key(1))
    assert time.perf_counter() - start < 0.5
    assert zoo.norm(zoo.moved(first.params, other.params)) > 0.1


def test_what_is_taken_from_the_first_batch():
    begin = lambda state, batch: state.replace(step=state.step + len(batch["image"]))
    algorithm = zoo.tiny("mlp_vae")._replace(begin=begin)
    with pytest.raises(ga.UserError, match=r"give ga\.init"):
        ga.init(algorithm, jax.random.key(0))
    assert int(ga.init(algorithm, jax.random.key(0), zoo.full_batch(algorithm, 8)).step) == 8


def test_the_library_keeps_its_programs_too(tmp_path):
    """It took 20 seconds operation by operation, and 13 as one program with all of LLVM's optimisation."""
    code = (
        "import time, json, jax, genart_jax as ga\n"
        "alg = ga.build('dcgan', preset='tiny', image_shape=(16, 16, 3), conditions=(('style', 5),))\n"
        "start = time.process_time()\n"
        "ga.init(alg, jax.random.key(0))\n"
        "print(json.dumps(time.process_time() - start))"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    env |= {"GENART_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert json.loads(done.stdout) < 10
    assert any("init" in path.name for path in (tmp_path / "programs").iterdir())
