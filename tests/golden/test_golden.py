"""The steps compute what they computed on 2026-11-28: moving and rewriting changed no number."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.golden import cases

GOLDEN = json.loads(Path(__file__).with_name("states.json").read_text(encoding="utf-8"))
ALWAYS = ("dcgan joint", "mlp_vae microbatch", "simple_cnn mixed")
"""What `make test` takes; the rest by --full."""


def norm(sketch):
    return float(np.linalg.norm(sketch))


@pytest.fixture(params=GOLDEN["cases"])
def case(request, full):
    """A case's name."""
    if jax.__version__ != GOLDEN["jax"]:
        pytest.skip(f"written with jax {GOLDEN['jax']}: others round otherwise")
    if request.param not in ALWAYS and not full:
        pytest.skip("every golden state by --full")
    return request.param


def test_five_steps_by_gradient_descent(case):
    """Parameters, averages and what a state carries: within 1e-5 of what five steps change (2e-5 of sketches)."""
    golden = GOLDEN["cases"][case]
    run = cases.restore(golden["run"])
    got, wanted = cases.take(run, None if run.optimizer.name == "lbfgs" else cases.SGD), golden["sgd"]
    for name, first in wanted["first"].items():
        assert norm(np.subtract(got["first"][name], first)) <= 1e-6 * norm(first), f"first {name}"
    for name, change in wanted["change"].items():
        assert norm(np.subtract(got["change"][name], change)) <= 2e-5 * norm(change) + 1e-9, name


def test_five_steps_by_its_own_optimizer(case):
    """Losses to 1e-4, and updates in the same direction: Adam makes whole steps of near-zero gradients' rounding."""
    golden = GOLDEN["cases"][case]
    got, wanted = cases.take(cases.restore(golden["run"])), golden["own"]
    for a, b in zip(got["metrics"], wanted["metrics"], strict=True):
        assert a.keys() >= b.keys()  # others have come since
        for name in [n for n in b if "loss" in n]:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-5, err_msg=name)
    for name in [n for n in wanted["change"] if n.startswith("params/")]:
        a, b = (np.array(x["change"][name]) for x in (got, wanted))
        assert a @ b >= 0.999 * norm(a) * norm(b), name
