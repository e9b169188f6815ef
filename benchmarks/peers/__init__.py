"""The zoo's models in PyTorch, as a skilled user of it would write them.

Built from our own resolved configuration: same layers and number of parameters (asserted), conditions, losses,
optimizer, moving average and R1 period. What PyTorch has for speed is used: fused Adam, moving averages by `foreach`,
one generator forward for both players with `detach` for the critic, no gradients of the critic's parameters in the
generator's turn. The norms of gradients, updates and parameters that our steps log are left out, as no usual loop
computes them.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from genart_jax.config import UserError

MODELS = (
    "adain", "biggan", "code_prior", "conv_vae", "cyclegan", "dcgan", "dehaze", "drift", "efficientnet_lite0",
    "enhance", "fastgan", "frame_rnn", "gan3d", "gatys", "hvae", "inpaint", "kl_autoencoder", "latent_gan", "mlp_gan",
    "mlp_vae", "modgan", "multistyle", "pix2pix", "projected_gan", "r3gan", "resnet", "sagan", "simple_cnn", "sngan",
    "stylegan2", "super_resolution", "vae_gan", "vgg", "vgg_features", "video_gan", "vqgan", "vqvae", "wgan_gp",
)  # fmt: skip


def variants(name: str) -> tuple[str, ...]:
    """The ways to run a model that are tried; the best counts."""
    plain = ("eager", "compile")
    return plain if name in ("mlp_gan", "mlp_vae") else (*plain, "channels_last", "compile+channels_last")


def check() -> None:
    """Raises UserError where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise UserError('--against torch needs PyTorch: pip install "genart_jax[bench]"')


def warm() -> None:
    """Imports PyTorch and starts the GPU, before there is anything to do."""
    import torch

    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")


def prepare(name: str, run: dict[str, Any], platform: str, variant: str) -> Any:
    """The subject for a worker: one variant of a model, warmed up.

    Raises:
      UserError: there is no PyTorch version of the model, or not of its options.
    """
    if name not in MODELS:
        raise UserError(f"--against torch: has {', '.join(MODELS)}, not {name}")
    from benchmarks.peers.common import Subject

    return Subject(name, run, platform, variant)
