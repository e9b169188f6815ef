"""Autoencoders with judges: the loss is their own and the judges', and the critic's weight is equation 7."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import registry
from genart_jax.losses import perceptual
from genart_jax.nn import judges
from tests import zoo

KEY = jax.random.key(8)
WEIGHTS = {"perceptual_weight": 0.7, "adversarial_weight": 0.4, "loss": "hinge"}


@functools.cache
def stepped(at=1, **step):
    """A step of vqgan that is number `at`, where there is a critic from number 1 on: one program."""
    algorithm = zoo.tiny("vqgan", step=WEIGHTS | {"critic_start": 1} | step, optimizer=zoo.SGD)
    batch = zoo.batch(algorithm.batch_spec, 8)
    state = zoo.start(algorithm, KEY, batch)
    state = state.replace(step=np.full_like(state.step, at))
    after, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    return state, batch, after, metrics


def networks():
    run = ga.configure("vqgan", preset="tiny", image_shape=zoo.SHAPE)
    return {role: network.module for role, network in registry.model_module("vqgan").networks(run.model).items()}


def test_loss_and_gradient_are_the_sum_of_all_judges():
    """Of vqgan, whose codes follow no draws: by networks applied here, whose critic is that after its update."""
    state, batch, after, metrics = stepped()
    modules, images = networks(), batch["image"]
    book = {"codebook": state.mutable["quantizer"]["codebook"]}
    features = lambda x: modules["perceptual"].apply(state.frozen["perceptual"], x)[1]
    layers = judges.LAYERS["random"]
    critic = {"params": after.params["critic"], **after.mutable["critic"]}

    def parts(params):
        z, _ = modules["encoder"].apply({"params": params["encoder"]}, images)
        (quantized, _), _ = modules["quantizer"].apply(book, z)
        output, _ = modules["decoder"].apply({"params": params["decoder"]}, quantized)
        near = jnp.mean((output - images) ** 2)
        near += 0.25 * jnp.mean((z - jax.lax.stop_gradient(quantized)) ** 2)
        found, wanted = features(output), features(images)
        size = perceptual.content
        shares = [size(found[k], wanted[k]) / size(0 * wanted[k], wanted[k]) for k in layers]
        near += 0.7 * jnp.mean(jnp.stack(shares))
        return near, -jnp.mean(modules["critic"].apply(critic, output)[0])  # hinge

    params = {role: state.params[role] for role in ("encoder", "decoder")}
    near, judged = (jax.jit(jax.grad(lambda p, i=i: parts(p)[i]))(params) for i in (0, 1))
    weight = zoo.norm(near["decoder"]["out"]) / (zoo.norm(judged["decoder"]["out"]) + 1e-4)
    np.testing.assert_allclose(metrics["adaptive_weight"], weight, rtol=1e-3)
    wanted = jax.tree.map(lambda a, b: -0.05 * (np.asarray(a) + 0.4 * weight * np.asarray(b)), near, judged)
    moved = zoo.moved(params, {role: after.params[role] for role in params})
    assert zoo.relative(wanted, moved, least=1e-5) < 1e-2


def test_the_critic_begins_when_it_is_told_to():
    state, _, after, metrics = stepped(at=0)
    assert zoo.norm(zoo.moved(state.params["critic"], after.params["critic"])) == 0
    *_, without, other = stepped(at=0, adversarial_weight=0.0)
    assert zoo.relative(without.params["decoder"], after.params["decoder"]) < 1e-5
    np.testing.assert_allclose(metrics["loss"], other["loss"], rtol=1e-5)  # its own, without judges
    assert "critic_loss" not in other


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"step": {"likelihood": "bernoulli"}}, "has judges, which look at one picture"),
        ({"step": {"draws": 2}}, "has judges, which look at one picture"),
        ({"train": {"batch": 16, "microbatch": 4}}, "train.microbatch: what judges an autoencoder"),
    ],
)
def test_what_does_not_go_together(options, said):
    with pytest.raises(ga.UserError, match=said):
        zoo.tiny("vae_gan", **options)
