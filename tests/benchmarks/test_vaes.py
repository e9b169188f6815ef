"""The harness of VAEs: recipes that can be trained, a training that is cut off and goes on, and the tables."""

import itertools

import jax
import numpy as np
import pytest

import genart_jax as ga
from benchmarks import against_pythae, binarised, vaes


@pytest.mark.parametrize("name", vaes.RECIPES)
def test_recipes_are_configurations(name, tmp_path):
    recipe = vaes.RECIPES[name]
    run = vaes.configured(name, tmp_path)
    assert (run.name, run.train.steps, run.data.source) == (recipe.model, recipe.steps, recipe.data)
    if recipe.first:
        assert list(vaes.RECIPES).index(recipe.first) < list(vaes.RECIPES).index(name)
        assert run.model.tokenizer == str(tmp_path / recipe.first)


def test_a_training_that_is_cut_off_goes_on(tmp_path, monkeypatch):
    recipe = vaes.Recipe("mlp_vae", 20, preset="tiny", options={"train": {"batch": 8, "log_every": 5}})
    monkeypatch.setitem(vaes.RECIPES, "tiny", recipe)
    monkeypatch.setattr(vaes, "figures", lambda directory: {"steps": vaes.open_run(directory).model.state.step.item()})
    ticks = itertools.count()  # a second a look at the clock, so that some steps fit
    monkeypatch.setattr(vaes, "cpu_seconds", lambda: float(next(ticks)))
    first = vaes.result("tiny", tmp_path, seconds=8)
    assert 0 < first["steps"] < 20
    whole = vaes.result("tiny", tmp_path, seconds=0)
    assert whole["steps"] == 20
    assert whole["minutes"] > first["minutes"]
    monkeypatch.setattr(vaes.ga, "fit", None)
    assert vaes.result("tiny", tmp_path, seconds=0) == whole  # not trained again


def test_the_table_has_what_a_model_has():
    row = {"steps": 1200, "batch": 16, "minutes": 5.04, "bits_per_dim": 2.987, "elbo": -6361.4, "active_units": 60.0}
    page = vaes.table(
        {"icons_conv_vae": row, "icons_latent_gan": {"steps": 500, "batch": 128, "minutes": 1, "fd": 99.6}}
    )
    assert "| icons_conv_vae | 1,200 x 16 | 5.0 |  | -6,361 | 2.99 |  |  |  |  |  |  |  |  | 60 |" in page
    assert "| icons_latent_gan | 500 x 128 | 1.0 |" in page
    assert "| 100 |" in page


def test_digits_are_white_by_their_grey_values():
    grey = np.repeat(np.uint8([0, 64, 255]), 20_000).reshape(3, 20_000, 1, 1).transpose(1, 0, 2, 3)
    found = binarised.binarised(grey, np.random.default_rng(0))
    assert set(np.unique(found)) == {0, 255}
    np.testing.assert_allclose((found > 0).mean(axis=(0, 2, 3)), [0, 64 / 255, 1], atol=0.01)
    np.testing.assert_array_equal(found, binarised.binarised(grey, np.random.default_rng(0)))


def test_bounds_and_minutes_of_digits():
    one = {"parameters": 652_824, "steps": 5000, "seconds": 90.0, "elbo": -99.876, "iw_elbo": -95.0, "rows": []}
    assert "| mlp_vae | 652,824 | 5,000 | 1.5 | 99.88 | 95.00 |" in binarised.table({"mlp_vae": one})


def test_shares_are_ours_of_theirs():
    rows = lambda elbo, cpu: [{"elbo": elbo - i, "cpu": cpu, "wall": 2 * cpu} for i in range(3)]
    found = {("mlp_vae", "genart_jax"): rows(-100, 0.006), ("mlp_vae", "pythae"): rows(-101, 0.012)}
    page = against_pythae.table(found, 5, "torch 2")
    assert "| mlp_vae | genart_jax | 101.00 ± 1.00 | 6.00 | 12.00 | 0.50 | 0.50 |" in page
    assert "| mlp_vae | pythae | 102.00 ± 1.00 | 12.00 | 24.00 |  |  |" in page
    assert against_pythae.between([(10, (1.0, 2.0)), (30, (2.0, 6.0))]) == {"cpu": 0.05, "wall": 0.2}


def test_pythae_gets_the_same_networks():
    pytest.importorskip("pythae")
    for name, options in against_pythae.MODELS.items():
        modules = against_pythae.copies(name)
        algorithm = ga.build(name, image_shape=(28, 28, 1), step={"likelihood": "bernoulli"}, **options)
        batch = {"image": np.zeros((2, 28, 28, 1), np.float32), "condition": {}}
        params = jax.eval_shape(algorithm.init, jax.random.key(0), batch).params
        for role, module in zip(("encoder", "decoder"), modules, strict=True):
            assert sum(p.numel() for p in module.parameters()) == sum(x.size for x in jax.tree.leaves(params[role]))
