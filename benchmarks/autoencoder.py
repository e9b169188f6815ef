"""How far `kl_autoencoder` is from diffusers' `AutoencoderKL`, with equal random weights and pictures.

    python -m benchmarks.autoencoder [--out benchmarks/results/autoencoder.md]

Needs torch and diffusers, which the package does not. The module there computes in double precision; its state dict is
saved in single precision as `.safetensors`, read here as any published one, and run in single precision.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from benchmarks import machine
from genart_jax.runtime.values import Array

WIDTHS, IMAGES, CODES = (32, 64, 64), (2, 3, 32, 48), (2, 4, 8, 12)


def theirs(file: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """Inputs and outputs of a random network, channels first; its weights go to `file`."""
    import diffusers
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    stages: dict[str, Any] = {"block_out_channels": WIDTHS, "layers_per_block": 2, "latent_channels": CODES[1]}
    stages |= {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    module = diffusers.AutoencoderKL(**stages).double().eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * (0.05 if parameter.ndim > 1 else 0.3)
    images = torch.rand(*IMAGES, dtype=torch.float64) * 2 - 1
    codes = torch.randn(*CODES, dtype=torch.float64)
    with torch.no_grad():
        posterior = module.encode(images).latent_dist
        made = {"mean": posterior.mean, "log variance": posterior.logvar, "picture": module.decode(codes).sample}
    save_file({name: value.float().contiguous() for name, value in module.state_dict().items()}, str(file))
    numbers = lambda tree: {name: value.numpy() for name, value in tree.items()}
    return numbers({"encoder": images, "decoder": codes}), numbers(made)


def ours(file: Path, inputs: dict[str, Array]) -> dict[str, Array]:
    """What the network in `file` makes of these, channels first."""
    algorithm, state = ga.load(file)
    call = jax.jit(lambda role, x: ga.run(algorithm, state, role, x)[0], static_argnums=0)
    last = {role: jnp.asarray(x.transpose(0, 2, 3, 1), jnp.float32) for role, x in inputs.items()}
    mean, log_variance = call("encoder", last["encoder"])
    found = {"mean": mean, "log variance": log_variance, "picture": call("decoder", last["decoder"])}
    return {name: np.asarray(x).transpose(0, 3, 1, 2) for name, x in found.items()}


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "autoencoder.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vae.safetensors"
        inputs, wanted = theirs(file)
        found = ours(file, inputs)
    versions = ", ".join(
        f"{name} {version}" for name, version in machine.versions(("diffusers", "torch")).items() if name != "python"
    )
    lines = [
        "# kl_autoencoder against diffusers",
        "",
        f"By `python -m benchmarks.autoencoder`: random weights, widths {WIDTHS}, pictures {IMAGES[2]}x{IMAGES[3]},",
        f"double precision there and single here. {machine.about()}; {versions}.",
        "",
        "| | largest difference | largest value |",
        "|---|---|---|",
        *(f"| {n} | {np.abs(found[n] - x).max():.1e} | {np.abs(x).max():.2f} |" for n, x in wanted.items()),
    ]
    args.out.write_text("\n".join(lines) + "\n")
    print(args.out.read_text())


if __name__ == "__main__":
    main()
