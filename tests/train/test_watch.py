"""Warnings while a GAN trains: each is provoked, said once, and not said of a game that goes well."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.data.source import Split
from genart_jax.steps import gan
from genart_jax.train import trainer, watch
from genart_jax.train.log import read_rows
from tests.train.test_trainer import fit, small_data  # noqa: F401  # a fixture

WELL = {
    "critic_loss": 0.6, "critic_accuracy": 0.8, "real_score": 1.0, "fake_score": -1.0, "diversity": 0.9,
    "held_out/critic_accuracy": 0.78, "held_out/real_score": 0.7, "held_out/fake_score": -1.0,
    "held_out/variety": 0.3, "held_out/least_variety": 0.2, "spread": 0.5,
}  # fmt: skip
SIGNS = {
    "collapse": {"diversity": 0.1},
    "one picture a condition": {"held_out/variety": 0.01},
    "one picture in a class": {"held_out/least_variety": 0.01},
    "saturation": {"critic_accuracy": 0.999},
    "idle critic": {"critic_accuracy": 0.5, "held_out/critic_accuracy": 0.5},
    "overfitting": {"held_out/critic_accuracy": 0.52, "held_out/real_score": -0.8},
}


OTHERS = {
    "posterior collapse": ("conv_vae", {"loss": 1.0, "kl": 9.0, "active": 0.8}, {"active": 0.02}),
    "codebook collapse": ("vqvae", {"loss": 1.0, "code_use": 0.6}, {"code_use": 0.004}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_autoencoders_whose_latents_or_codes_are_not_used(name):
    model, well, bad = OTHERS[name]
    run = ga.configure(model, preset="tiny", train={"steps": 100})
    (text,) = said([well | bad | {"step": step} for step in range(50, 70)], run)
    assert text.startswith(f"step {50 + watch.ROWS - 1}: {name}: ")
    assert "--" in text
    assert "{" not in text
    assert not said([well | {"step": step} for step in range(50, 70)], run)


def said(rows, run=None, earlier=()):
    run = run or ga.configure("dcgan", preset="tiny", train={"steps": 100})
    seen, texts = watch.Watch(run, earlier=earlier), []
    for row in rows:
        seen.see(row["step"], row, texts.append)
    return texts


@pytest.mark.parametrize("name", SIGNS)
def test_a_sign_is_told_once_when_several_rows_have_it(name):
    bad = WELL | SIGNS[name]
    (text,) = said([bad | {"step": step} for step in range(50, 70)])
    assert text.startswith(f"step {50 + watch.ROWS - 1}: {name}: ")
    assert "--" in text
    assert "{" not in text
    assert not said([(bad if step % 2 else WELL) | {"step": step} for step in range(50, 70)])
    assert not said([bad | {"step": step} for step in range(1, 10)])  # too early in the run to mean something
    earlier = [bad | {"step": step} for step in range(50, 60)]
    assert not said([bad | {"step": step} for step in range(60, 70)], earlier=earlier)


def test_a_game_that_goes_well_has_no_warnings():
    assert not said([WELL | {"step": step} for step in range(100)])


@pytest.mark.parametrize(("least", "warned"), [(0.061, True), (0.113, True), (0.145, False), (0.26, False)])
def test_lines_that_tremble_are_one_picture(least, warned):
    """The first two were seen of a fastgan whose line drawings were all one, the third of an mlp_gan that varies."""
    row = WELL | {"held_out/least_variety": least, "spread": 0.555}
    assert bool(said([row | {"step": step} for step in range(50, 70)])) == warned


def test_overfitting_is_the_way_from_training_to_generated_pictures():
    row = {"real_score": 3.0, "held_out/real_score": 0.5, "held_out/fake_score": -2.0}
    assert watch.overfitting(row) == pytest.approx(0.5)
    assert np.isnan(watch.overfitting(row | {"held_out/fake_score": 4.0}))


def test_other_families_and_sweeps_are_not_watched():
    assert not watch.Watch(ga.configure("simple_cnn", preset="tiny")).on
    assert not watch.Watch(ga.configure("mlp_vae", preset="tiny")).game
    assert not watch.Watch(ga.configure("dcgan", preset="tiny"), members=2).on


def test_a_run_that_goes_wrong_is_warned_of(tmp_path, monkeypatch):
    """A generator that stands still, and held-out pictures that are as grey as what it makes."""
    opened = trainer.open_source

    def grey(data):
        whole = opened(data)
        levels = np.linspace(112, 144, whole.test.size).astype(np.uint8)[:, None, None, None]
        pictures = np.broadcast_to(levels, whole.test.arrays["image"].shape)
        test = Split(whole.test.size, whole.test.arrays | {"image": pictures})
        return dataclasses.replace(whole, test=test)

    monkeypatch.setattr(trainer, "open_source", grey)
    notes = []
    options = {
        "train": {"steps": 60, "watch_every": 2, "sample_every": 0, "save_every": 0},
        "optimizer": {"learning_rate": 1e-9, "b1": 0.5}, "step": {"critic_learning_rate": 5e-3},
    }  # fmt: skip
    fit("dcgan", tmp_path, lambda event, values: notes.append(values["text"]) if event == "note" else None, **options)
    names = [text.split(": ")[1] for text in notes if text.startswith("step ")]
    assert sorted(names) == ["collapse", "one picture a condition", "overfitting", "saturation"]
    assert json.loads((tmp_path / "summary.json").read_text())["warnings"] == names
    rows = [row for row in read_rows(tmp_path / "metrics.jsonl") if "held_out/variety" in row]
    assert [row["step"] for row in rows] == list(range(2, 60, 2))
    assert {"held_out/critic_accuracy", "held_out/real_score"} <= rows[0].keys()


def test_a_class_with_one_picture_among_others_that_vary_is_warned_of(tmp_path, monkeypatch):
    """Pictures are as grey as their latent says, but in one of five styles, where all are black."""
    notes, opened = [], trainer.open_source

    def five_styles(data):
        whole = opened(data)
        test = Split(whole.test.size, whole.test.arrays | {"style": np.arange(whole.test.size) % 5})
        return dataclasses.replace(whole, test=test)

    def shown(self, state, z, keys, condition, truncation):
        grey = jnp.where(condition["style"] == 3, -1.0, jnp.tanh(z[:, 0]))
        return jnp.broadcast_to(grey[:, None, None, None], (len(z), 16, 16, 3))

    monkeypatch.setattr(trainer, "open_source", five_styles)
    monkeypatch.setattr(gan.Adversarial, "_show", shown)
    options = {"train": {"steps": 30, "watch_every": 2, "sample_every": 0, "save_every": 0}}
    fit("dcgan", tmp_path, lambda event, values: notes.append(values["text"]) if event == "note" else None, **options)
    (text,) = [text for text in notes if "one picture in a class" in text]
    assert "in one class by only 0.00" in text


def test_the_weight_of_r1_grows_with_pixels_over_batch():
    usual = ga.configure("dcgan", image_shape=(32, 32, 3))
    assert not watch.gamma_hint(usual)
    large = ga.configure("dcgan", image_shape=(64, 64, 3), train={"batch": 16})
    gamma = usual.step.r1_gamma * 4 * usual.train.batch / 16
    assert f"would be {gamma:.2g} at 64x64 with 16" in watch.gamma_hint(large)
    assert not watch.gamma_hint(ga.configure(large, step={"r1_gamma": gamma}))
    assert not watch.gamma_hint(ga.configure(large, step={"r1_gamma": 0.0}))


def test_a_vae_that_ignores_its_latents_is_warned_of(tmp_path):
    """With a KL divergence that weighs ten thousand times as much, and not otherwise."""

    def told(name, beta):
        notes = []
        tell = lambda event, values: notes.append(values["text"]) if event == "note" else None
        options = {"optimizer": {"learning_rate": 0.02}, "step": {"beta": beta}, "train": {"steps": 40}}
        fit("mlp_vae", tmp_path / name, tell, **options)
        return [text for text in notes if "posterior collapse" in text]

    assert len(told("collapsed", 1e4)) == 1
    assert not told("healthy", 1.0)
