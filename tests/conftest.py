"""Eight fake devices, warnings as errors, and the fixtures that run over the registry."""

import os
from pathlib import Path

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
# The tests' time is compilation, and little programs gain nothing from the last of it.
os.environ["XLA_FLAGS"] += " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["MALLOC_TRIM_THRESHOLD_"] = "131072"  # so that `heap.keep` leaves the heap alone: tests are short of memory

import jax
import pytest

from genart_jax import registry
from tests import zoo

jax.config.update("jax_numpy_dtype_promotion", "standard")
jax.config.update("jax_debug_key_reuse", False)

FAMILIES = {"gan": "dcgan", "vae": "conv_vae", "classifier": "simple_cnn", "vq": "vqvae", "prior": "code_prior"}
"""One model for each family of steps."""


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="every model through every layout")


def pytest_generate_tests(metafunc):
    if "model" in metafunc.fixturenames:
        metafunc.parametrize("model", registry.list_models())
    if "family_model" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full")
        metafunc.parametrize("family_model", registry.list_models() if full else list(FAMILIES.values()))


@pytest.fixture
def full(request):
    """Whether every model goes through everything."""
    return request.config.getoption("--full")


@pytest.fixture
def tiny(model):
    """(algorithm, batch of 8) of each model's `tiny` preset."""
    return zoo.tiny(model), zoo.batch(zoo.tiny(model).batch_spec, 8)


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache(tmp_path_factory):
    """The same little programs are compiled in many tests."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("jax_cache")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@pytest.fixture(autouse=True)
def _programs_are_freed():
    """Each compiled program holds memory maps, and a process may have 65,530 of them: past that, XLA crashes."""
    yield
    with Path("/proc/self/maps").open("rb") as maps:
        if sum(1 for _ in maps) > 10_000:
            jax.clear_caches()
