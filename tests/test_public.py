"""What is under `ga.`: all that a notebook needs, with help and short pictures of itself."""

import ast
import importlib
import io
import pydoc
import typing
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.data import provenance
from genart_jax.steps import described
from genart_jax.train.checkpoint import Model, Saved
from genart_jax.types import Input, Kind
from tests import zoo


@pytest.mark.parametrize("name", ga.__all__)
def test_a_public_name_is_there(name):
    found = getattr(ga, name)
    assert found is getattr(importlib.import_module(ga._HOME[name]), name)
    assert name in ("Batch", "Callback", "Metrics") or found.__doc__


def test_types_know_the_same_names():
    """Those imported for type checkers, those that are looked up, and those that `from genart_jax import *` gives."""
    tree = ast.parse(Path(ga.__file__).read_text())
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {alias.name: node.module for node in checked.body for alias in node.names}
    assert imported == ga._HOME
    assert sorted(ga.__all__) == sorted(ga._HOME)


@pytest.fixture(scope="module")
def trained():
    algorithm = zoo.tiny("mlp_vae")
    return Model(algorithm, ga.init(algorithm, jax.random.key(0)))


@pytest.mark.parametrize("name", ["init", "step", "evaluate", "sample", "decode", "encode"])
def test_help_says_what_a_function_takes(trained, name):
    text = pydoc.plain(pydoc.render_doc(getattr(trained.algorithm, name)))
    assert "Args:" in text
    assert "style 0 to 4" in text or name == "encode"
    assert ("float32 in [-1, 1]" in text) == (name not in ("sample", "decode"))


def test_every_kind_of_input_is_described():
    kinds = typing.get_args(Kind)
    assert set(described._KINDS) == set(kinds)
    text = described.use("sample", [Input(kind, kind, (3,)) for kind in kinds], "Draws.")
    assert "(batch, 3) float32 in [0, 1], 1 where a picture is lost" in text
    assert "whatever: new (batch, 3)" in described.use("sample", [Input("whatever", "new", (3,))], "Draws.")


def test_repr_is_short(trained):
    algorithm, state = trained
    for shown in (algorithm, state):
        assert len(repr(shown)) < 800
        assert max(map(len, repr(shown).splitlines())) < 120
    assert "decoder" in repr(state)
    assert "numbers" in repr(state)
    assert "(16, 16, 3)" in repr(algorithm)
    assert "sample(key, num, condition)" in repr(algorithm)
    assert len(repr(trained)) < 1700


def test_a_state_without_numbers_has_a_repr_too(trained):
    assert "decoder" in repr(jax.eval_shape(lambda state: state, trained.state))
    jax.jit(lambda state: repr(state) and state.step)(trained.state)


def test_html_has_the_shape_of_every_array(trained):
    html = trained._repr_html_()
    for path, leaf in jax.tree.leaves_with_path(trained.state.params):
        assert path[-1].key in html
        assert str(leaf.shape) in html
    assert "<script" not in html


def test_grids_show_themselves(trained):
    images = trained.algorithm.sample(trained.state, jax.random.key(0), 4)
    grid = Image.open(io.BytesIO(ga.make_grid(images)._repr_png_()))
    samples = Image.open(io.BytesIO(ga.Samples(ga.to_uint8(images), {})._repr_png_()))
    assert grid.size == (2 * 18 + 2, 2 * 18 + 2)
    assert samples.width > grid.width  # enlarged


def test_a_model_is_a_pair_that_knows_its_run(trained, tmp_path):
    algorithm, state = trained
    assert (trained.run, trained.class_names) == (None, {})
    with pytest.raises(ga.UserError, match=r"ga\.load"):
        _ = trained.config
    run = ga.configure("mlp_vae", preset="tiny")
    known = Model(algorithm, state, Saved(run, {}), tmp_path)
    assert known.config is run
    assert known == (algorithm, state)


def test_arrays_are_data_for_fit(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 8, 8, 3), np.uint8), rng.integers(0, 2, 40)
    data = ga.open_data({"image": images, "label": labels}, class_names={"label": ("cat", "dog")})
    run = ga.configure(
        "mlp_vae", preset="tiny", conditions=("label",), train={"steps": 2, "batch": 4}, parallel={"data": 1}
    )
    told = []
    ga.fit(run, tmp_path / "run", callback=lambda event, values: told.append(event), data=data)
    model = ga.load(tmp_path / "run")
    assert model.class_names == {"label": ("cat", "dog")}
    assert model.run == tmp_path / "run"
    assert model.config.model.conditions == (("label", 2),)
    assert "end" in told
    about = provenance.read(tmp_path / "run" / "samples" / "000002.png")
    assert about == model.provenance._replace(sha256="")  # drawn before the state was saved
    assert (about.model, about.step, about.data, len(about.run)) == ("mlp_vae", 2, "arrays", 16)
    # A run may go on without.
    ga.fit(ga.configure(run, train={"steps": 3, "provenance": False}), tmp_path / "run", data=data)
    assert provenance.read(tmp_path / "run" / "samples" / "000003.png") is None
    alg, state = model
    got = alg.sample(state, jax.random.key(0), 2, {"label": ["dog", "cat"]})
    np.testing.assert_array_equal(got, alg.sample(state, jax.random.key(0), 2, {"label": np.array([1, 0])}))
