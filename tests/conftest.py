"""Eight fake devices, warnings as errors, and the fixtures that run over the registry."""

import gc
import itertools
import os
import shutil
from pathlib import Path

from tests import compiled, shapes

shapes.install()  # before anything of the package is imported that it looks at

if compiled.flags() not in os.environ.get("XLA_FLAGS", ""):  # workers inherit them
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {compiled.flags()}".strip()
os.environ["JAX_PLATFORMS"] = "cpu"
if kept := compiled.directory():  # for programs that tests start, too; who set another has chosen
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(kept))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
if place := compiled.memory_disk():  # whoever says `--basetemp`, or set another, has chosen
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", place)
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # where each operation was written: a tenth of lowering
os.environ["MALLOC_TRIM_THRESHOLD_"] = "131072"  # so that `heap.keep` leaves the heap alone: tests are short of memory

import jax
import pytest

import genart_jax as ga
from genart_jax import registry
from tests import art, zoo

art.install()

# Tracing makes many objects that live on: to look through them again and again is a seventh of the time. (`gc.freeze`
# would hide from Hypothesis, on Python 3.14, what it asks the collector for.)
gc.set_threshold(200_000, 20, 50)
jax.config.update("jax_numpy_dtype_promotion", "standard")
jax.config.update("jax_debug_key_reuse", False)

TESTS = itertools.count()
FAMILIES = {"gan": "dcgan", "vae": "conv_vae", "classifier": "simple_cnn", "vq": "vqvae", "prior": "code_prior"}
"""One model for each family of steps."""


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="every model through every layout")


def pytest_sessionstart(session):
    """Before the workers start."""
    if not hasattr(session.config, "workerinput") and kept:
        compiled.prune(kept)


def pytest_generate_tests(metafunc):
    full, families = metafunc.config.getoption("--full"), list(FAMILIES.values())
    for fixture, names in (
        ("model", registry.list_models()),
        ("family_model", registry.list_models() if full else families),
    ):
        if fixture in metafunc.fixturenames:
            marks = [pytest.mark.newest if name in families else () for name in names]
            metafunc.parametrize(fixture, [pytest.param(n, marks=m) for n, m in zip(names, marks, strict=True)])


@pytest.fixture
def full(request):
    """Whether every model goes through everything."""
    return request.config.getoption("--full")


@pytest.fixture
def tiny(model):
    """(algorithm, batch of 8) of each model's `tiny` preset."""
    return zoo.tiny(model), zoo.batch(zoo.tiny(model).batch_spec, 8)


@pytest.fixture(scope="session")
def brief_run(tmp_path_factory):
    """brief_run(model, place): a run of two steps of a tiny preset, on the art set. Trained once, and copied there."""
    root = tmp_path_factory.mktemp("brief")

    def copy(model, place):
        if not (root / model).exists():
            ga.fit(ga.configure(model, preset="tiny", train={"steps": 2}, parallel={"data": 1}), root / model)
        return shutil.copytree(root / model, place)

    return copy


@pytest.fixture(autouse=True)
def _programs_are_freed():
    """Each compiled program holds memory maps, and a process may have 65,530 of them: past that, XLA crashes.

    Counting them takes a hundredth of a second, and what is freed early is traced again: now and then is enough.
    """
    yield
    if next(TESTS) % 10:
        return
    with Path("/proc/self/maps").open("rb") as maps:
        if sum(1 for _ in maps) > 25_000:
            jax.clear_caches()
