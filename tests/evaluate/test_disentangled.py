"""Scores of a VAE's latents by the known factors of its data."""

import pytest

import genart_jax as ga
from genart_jax.evaluate.disentangled import score_latents
from genart_jax.evaluate.scores import read_scores

TRAIN = {"steps": 1, "sample_every": 0, "save_every": 0}


def test_a_run_is_scored_by_the_classes_that_it_is_not_told(tmp_path):
    ga.fit(ga.configure("mlp_vae", preset="tiny", conditions="style", train=TRAIN), tmp_path / "run")
    scores = {score.name: score for score in score_latents(tmp_path / "run", num=300)}
    assert scores.keys() == {"mig", "dci_disentanglement", "dci_completeness", "dci_informativeness"}
    assert scores["mig"].contract["factors"] == ["color", "shape"]
    assert scores["mig"].better == scores["dci_completeness"].better == "higher"
    assert all(0 <= score.value <= 1 for score in scores.values())
    assert scores["mig"].details["shuffled"] < 0.1
    assert {score.name for score in read_scores(tmp_path / "run")} == scores.keys()


def test_models_without_one_vector_are_refused(tmp_path):
    ga.fit(ga.configure("vqvae", preset="tiny", train=TRAIN), tmp_path / "run")
    with pytest.raises(ga.UserError, match="vqvae has no one vector for a picture"):
        score_latents(tmp_path / "run")
