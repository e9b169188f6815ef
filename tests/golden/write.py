"""Writes the golden states: once, by the code as it stood on 2026-11-28, and never again.

From a checkout: `python -m tests.golden.write`. It refuses to overwrite.
"""

import dataclasses
import json
import sys
from pathlib import Path

import jax

import tests.conftest  # noqa: F401  # the flags of the tests
from tests.golden import cases

PATH = Path(__file__).with_name("states.json")


def main():
    """Takes every case with SGD and with the model's own optimizer."""
    if PATH.exists():
        sys.exit(f"{PATH} exists; golden states are written once")
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    out = {"jax": jax.__version__, "cases": {}}
    for name, run in cases.cases():
        sys.stderr.write(name + "\n")
        values = json.loads(json.dumps(dataclasses.asdict(run)))
        own = cases.take(run)
        sgd = own if run.optimizer.name == "lbfgs" else cases.take(run, cases.SGD)
        out["cases"][name] = {"run": values, "sgd": sgd, "own": own}
    PATH.write_text(json.dumps(out, separators=(",", ":")).replace('"run":', '\n"run":') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
