"""The KL autoencoder: its published size, and published weights by hand in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import genart_jax as ga
from genart_jax.assets import kl_autoencoder as published
from genart_jax.models import kl_autoencoder
from genart_jax.train.published import read

WIDTHS, LATENT = (32, 64), 3


def test_the_published_size():
    """83,653,863 with the biases of two attentions' keys, 512 each, which change nothing and are left out here."""
    run = ga.configure("kl_autoencoder", preset="stable-diffusion")
    count = 0
    for network in kl_autoencoder.networks(run.model).values():
        variables = jax.eval_shape(lambda n=network: n.module.init(jax.random.key(0), *n.inputs))
        count += sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == 83_653_863 - 2 * 512


def tensors(old_names=False):
    """A random state dict in diffusers' layout: two stages of one block, and of two on the way up."""
    rng, found = np.random.default_rng(0), {}

    def layer(name, *shape):
        found[f"{name}.weight"] = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        found[f"{name}.bias"] = 0.1 * rng.normal(size=shape[0])

    def norm(name, size):
        found[f"{name}.weight"], found[f"{name}.bias"] = rng.uniform(0.5, 1.5, size), 0.1 * rng.normal(size=size)

    def block(name, into, out):
        for i, size in enumerate((into, out)):
            norm(f"{name}.norm{i + 1}", size)
            layer(f"{name}.conv{i + 1}", out, size, 3, 3)
        if into != out:
            layer(f"{name}.conv_shortcut", out, into, 1, 1)

    def middle(name, size):
        block(f"{name}.resnets.0", size, size)
        norm(f"{name}.attentions.0.group_norm", size)
        words = ("query", "key", "value", "proj_attn") if old_names else ("to_q", "to_k", "to_v", "to_out.0")
        for word in words:
            layer(f"{name}.attentions.0.{word}", size, size)
        block(f"{name}.resnets.1", size, size)

    small, large = WIDTHS
    layer("encoder.conv_in", small, 3, 3, 3)
    block("encoder.down_blocks.0.resnets.0", small, small)
    layer("encoder.down_blocks.0.downsamplers.0.conv", small, small, 3, 3)
    block("encoder.down_blocks.1.resnets.0", small, large)
    middle("encoder.mid_block", large)
    norm("encoder.conv_norm_out", large)
    layer("encoder.conv_out", 2 * LATENT, large, 3, 3)
    layer("quant_conv", 2 * LATENT, 2 * LATENT, 1, 1)
    layer("post_quant_conv", LATENT, LATENT, 1, 1)
    layer("decoder.conv_in", large, LATENT, 3, 3)
    middle("decoder.mid_block", large)
    for i, (into, out) in enumerate(((large, large), (large, small))):
        block(f"decoder.up_blocks.{i}.resnets.0", into, out)
        block(f"decoder.up_blocks.{i}.resnets.1", out, out)
    layer("decoder.up_blocks.0.upsamplers.0.conv", large, large, 3, 3)
    norm("decoder.conv_norm_out", small)
    layer("decoder.conv_out", 3, small, 3, 3)
    return found


class ByHand:
    """The formulas, in float64, on (batch, channels, height, width)."""

    def __init__(self, found):
        self.found = found

    def conv(self, x, name, stride=1, pads=None):
        kernel, bias = self.found[f"{name}.weight"], self.found[f"{name}.bias"]
        side = kernel.shape[-1]
        pads = ((side // 2, side // 2),) * 2 if pads is None else pads
        windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), *pads)), (side, side), axis=(2, 3))
        return np.einsum("bchwij,ocij->bohw", windows[:, :, ::stride, ::stride], kernel) + bias[:, None, None]

    def norm(self, x, name):
        groups = x.reshape(len(x), 32, -1)
        groups = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-6)
        scale, shift = (self.found[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return groups.reshape(x.shape) * scale + shift

    def block(self, x, name):
        y = x
        for i in (1, 2):
            y = self.norm(y, f"{name}.norm{i}")
            y = self.conv(y / (1 + np.exp(-y)), f"{name}.conv{i}")
        return y + (self.conv(x, f"{name}.conv_shortcut") if f"{name}.conv_shortcut.weight" in self.found else x)

    def middle(self, x, name):
        x = self.block(x, f"{name}.resnets.0")
        y = self.norm(x, f"{name}.attentions.0.group_norm").reshape(*x.shape[:2], -1)
        dense = lambda y, word: (
            np.einsum("bcp,oc->bop", y, self.found[f"{name}.attentions.0.{word}.weight"])
            + self.found[f"{name}.attentions.0.{word}.bias"][:, None]
        )
        query, key, value = (dense(y, word) for word in ("to_q", "to_k", "to_v"))
        weights = np.exp(np.einsum("bcp,bcq->bpq", query, key) / np.sqrt(x.shape[1]))
        weights /= weights.sum(-1, keepdims=True)
        y = dense(np.einsum("bpq,bcq->bcp", weights, value), "to_out.0")
        return self.block(x + y.reshape(x.shape), f"{name}.resnets.1")

    def last(self, x, name):
        x = self.norm(x, f"{name}.conv_norm_out")
        return self.conv(x / (1 + np.exp(-x)), f"{name}.conv_out")

    def encode(self, x):
        x = self.block(self.conv(x, "encoder.conv_in"), "encoder.down_blocks.0.resnets.0")
        x = self.conv(x, "encoder.down_blocks.0.downsamplers.0.conv", 2, ((0, 1), (0, 1)))
        x = self.middle(self.block(x, "encoder.down_blocks.1.resnets.0"), "encoder.mid_block")
        return np.split(self.conv(self.last(x, "encoder"), "quant_conv"), 2, axis=1)

    def decode(self, z):
        x = self.middle(self.conv(self.conv(z, "post_quant_conv"), "decoder.conv_in"), "decoder.mid_block")
        for i in range(2):
            if i:
                x = self.conv(x.repeat(2, axis=2).repeat(2, axis=3), "decoder.up_blocks.0.upsamplers.0.conv")
            for j in range(2):
                x = self.block(x, f"decoder.up_blocks.{i}.resnets.{j}")
        return self.last(x, "decoder")


def save(directory, found, dtype=np.float32):
    from safetensors.numpy import save_file

    path = directory / "vae.safetensors"
    save_file({name: np.ascontiguousarray(value, dtype) for name, value in found.items()}, path)
    return path


def test_a_published_network_by_hand(tmp_path):
    """Encoder and decoder, of a size that is no preset's; posterior and picture to 1e-4."""
    found, rng = tensors(), np.random.default_rng(1)
    run, state = read(save(tmp_path, found))
    assert (run.model.widths, run.model.blocks, run.model.latent_channels) == (WIDTHS, 1, LATENT)
    roles = kl_autoencoder.networks(run.model)
    apply = lambda role, x: jax.jit(roles[role].module.apply)(
        {"params": state.params[role]}, jnp.asarray(x.transpose(0, 2, 3, 1), jnp.float32)
    )[0]
    by_hand = ByHand({name: np.float32(value).astype(np.float64) for name, value in found.items()})
    images, codes = rng.uniform(-1, 1, (2, 3, 8, 12)), rng.normal(size=(2, LATENT, 4, 6))
    for got, wanted in zip(apply("encoder", images), by_hand.encode(images), strict=True):
        np.testing.assert_allclose(got, wanted.transpose(0, 2, 3, 1), atol=1e-4)
    np.testing.assert_allclose(apply("decoder", codes), by_hand.decode(codes).transpose(0, 2, 3, 1), atol=1e-4)


def test_old_names_and_matrices_as_convolutions_are_read():
    new = published.read(tensors(), "new")
    old = tensors(old_names=True)
    name = "encoder.mid_block.attentions.0.query.weight"
    old[name] = old[name][..., None, None]
    jax.tree.map(np.testing.assert_array_equal, published.read(old, "old").variables, new.variables)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("quant_conv.weight"), "quant_conv.weight is missing, so these are not the weights of a KL"),
        (lambda t: t.pop("decoder.up_blocks.1.resnets.0.conv_shortcut.bias"), "conv_shortcut.bias is missing"),
        (lambda t: t.update({"encoder.conv_out.bias": np.zeros(5)}), r"encoder.conv_out.bias is \(5,\), wanted \(6,\)"),
        (lambda t: t.update({"loss.weight": np.zeros(5)}), "loss.weight is in no KL autoencoder"),
    ],
)
def test_another_file_is_refused(change, said):
    found = tensors()
    change(found)
    with pytest.raises(ga.UserError, match=said):
        published.read(found, "file")


def test_what_does_not_fit_is_refused():
    config = kl_autoencoder.Config(image_shape=(32, 32, 3), widths=(8, 12), groups=8)
    with pytest.raises(ga.UserError, match="12 channels do not make 8 groups"):
        kl_autoencoder.networks(config)
    with pytest.raises(ga.UserError, match="sides must be multiples of 4"):
        kl_autoencoder.networks(kl_autoencoder.Config(image_shape=(30, 32, 3), widths=(8, 8, 8), groups=8))
