"""What figures say in words."""

import genart_jax as ga
from genart_jax.app import words
from tests import zoo


def test_every_figure_of_an_evaluation_is_explained(model):
    from genart_jax.train import checkpoint

    algorithm = zoo.tiny(model)
    missing = set(checkpoint.figure_names(algorithm, checkpoint.abstract_state(algorithm))) - words.FIGURES.keys()
    assert not missing


def test_a_collapse_is_said_in_words():
    vae, vq = (ga.configure(name, image_shape=(32, 32, 3)) for name in ("conv_vae", "vqvae"))
    assert words.collapsed(vae, {"kl": 30.0}) == []
    (line,) = words.collapsed(vae, {"kl": 0.031})
    assert "latents carry 0.031 nats" in line
    assert "--step.beta" in line
    assert words.collapsed(vq, {"perplexity": 180.0}) == []
    (line,) = words.collapsed(vq, {"perplexity": 2.9})
    assert "2.9 of 256 codes" in line
    assert words.collapsed(ga.configure("dcgan"), {"real_score": 0.0}) == []
