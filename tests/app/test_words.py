"""What figures say in words; that each model's are explained: test_models.py."""

import genart_jax as ga
from genart_jax.app import words


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
