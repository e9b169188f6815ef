"""The README's Python runs as it is pasted: here with the smallest models and few pictures, in an empty folder."""

import re
from pathlib import Path

import numpy as np
import pytest

import genart_jax as ga
from genart_jax import registry

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.exists() else ""
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Every preset is the tiny one, the art set has 96 pictures, and a training two steps."""
    config, open_data, fit = registry.get_config, ga.open_data, ga.fit
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "get_config", lambda name, preset="default": config(name, "tiny"))

    def few(source, *args, **options):
        whole = open_data(source, *args, **options)
        arrays = {name: values[:96] for name, values in whole.train.arrays.items()}
        return open_data({"train": arrays, "test": arrays}, whole.class_names) if isinstance(source, str) else whole

    def two_steps(run, directory, **options):
        options.setdefault("data", few("emoji"))
        train = {"steps": 2, "batch": 8, "sample_every": 0}
        return fit(ga.configure(run, width=4, train=train, parallel={"data": 1}), directory, **options)

    # Where `ga.NAME` is looked up; the modules keep their own.
    monkeypatch.setattr(ga, "open_data", few, raising=False)
    monkeypatch.setattr(ga, "fit", two_steps, raising=False)


@pytest.mark.parametrize("block", BLOCKS)
def test_it_runs_as_it_is_pasted(block, small):
    assert max(map(len, block.splitlines())) <= 120
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert np.isfinite(np.asarray(names["images"])).all()


def test_there_is_some():
    assert not TEXT or BLOCKS
