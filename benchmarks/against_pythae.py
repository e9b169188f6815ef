"""A VAE trained here and by pythae: the same networks, pictures, batches and steps; bounds and CPU time of a step.

    python -m benchmarks.against_pythae [--only mlp_vae conv_vae] [--epochs N] [--seeds N] [--out FILE.md]

The pictures are MNIST binarised once (`benchmarks.binarised`), which both take as they are. pythae's encoder and
decoder are PyTorch's copies of ours (`benchmarks.peers`), and its own trainer trains them, as its README shows it; ours
is `ga.fit`. Both have Adam at 1e-3, as many batches of 128, no moving average, and weights that are drawn by one law,
ours (Flax's: LeCun's truncated normal, biases of 0). The bound is that of 10,000 test pictures, one draw each, pythae's
by its own loss. A step's time is that between the end of the first epoch and that of the last, in a process of its own;
the two take turns. To give both one thread, run it on one core (taskset -c 0). Needs torch and pythae.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine

MODELS: Mapping[str, Mapping[str, Any]] = {"mlp_vae": {"hidden": 400, "latent_dim": 20}, "conv_vae": {"latent_dim": 20}}
SIDES = "genart_jax", "pythae"
_BATCH, _RATE, _SHAPE = 128, 1e-3, (28, 28, 1)


def clock() -> tuple[float, float]:
    """CPU seconds of this process and seconds of the wall."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.perf_counter()


def ours(name: str, seed: int, epochs: int, directory: Path, data: Mapping[str, Any]) -> dict[str, float]:
    """What `ga.fit` reaches."""
    import genart_jax as ga

    each, marks, found = -(-len(data["train"]) // _BATCH), list[tuple[int, tuple[float, float]]](), dict[str, float]()

    def watch(event: str, values: Mapping[str, Any]) -> None:
        if event == "log":
            marks.append((values["step"], clock()))
        if event == "evaluate":
            found["elbo"] = float(values["metrics"]["elbo"])

    train = {"seed": seed, "steps": each * epochs, "batch": _BATCH, "log_every": each, "save_every": 0,
             "sample_every": 0, "samples": 1}  # fmt: skip
    run = ga.configure(name, train=train, optimizer={"learning_rate": _RATE},
                       step={"likelihood": "bernoulli", "ema_decay": 0.0}, **MODELS[name])  # fmt: skip
    ga.fit(run, directory, watch, data={split: {"image": images} for split, images in data.items()})
    return found | between(marks)


def between(marks: Sequence[tuple[int, tuple[float, float]]]) -> dict[str, float]:
    """CPU and wall seconds of a step, from the first mark to the last."""
    (first, begun), (last, ended) = marks[0], marks[-1]
    return {kind: (b - a) / (last - first) for kind, a, b in zip(("cpu", "wall"), begun, ended, strict=True)}


def theirs(name: str, seed: int, epochs: int, directory: Path, data: Mapping[str, Any]) -> dict[str, float]:
    """What pythae's trainer reaches."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    torch.set_num_threads(machine.cores())
    torch.manual_seed(seed)
    pictures = {split: torch.from_numpy(np.moveaxis(x, -1, 1) / np.float32(255)) for split, x in data.items()}
    each, marks = -(-len(data["train"]) // _BATCH), list[tuple[int, tuple[float, float]]]()

    class Watch(TrainingCallback):
        """Times of the ends of epochs."""

        def on_epoch_end(self, training_config: Any, **values: Any) -> None:
            """See `TrainingCallback`."""
            marks.append((each * (len(marks) + 1), clock()))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce")
    model = VAE(config, *copies(name))
    settings = BaseTrainerConfig(
        output_dir=str(directory), num_epochs=epochs, learning_rate=_RATE, per_device_train_batch_size=_BATCH,
        no_cuda=True, seed=seed,
    )  # fmt: skip
    labels = torch.zeros(len(pictures["train"]))
    trainer = BaseTrainer(model, BaseDataset(pictures["train"], labels), training_config=settings, callbacks=[Watch()])
    trainer.train()
    model.eval()
    losses = []
    with torch.no_grad():
        for part in pictures["test"].split(500):
            losses.append(float(model({"data": part}).loss) * len(part))
    return {"elbo": -sum(losses) / len(pictures["test"])} | between(marks)


def copies(name: str) -> tuple[Any, Any]:
    """Encoder and decoder for pythae: the layers of `benchmarks.peers`, and a sigmoid, as its loss takes shares."""
    import importlib
    from types import SimpleNamespace

    import torch
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    import genart_jax as ga

    peer = importlib.import_module(f"benchmarks.peers.{name}")
    model = ga.configure(name, image_shape=_SHAPE, **MODELS[name]).model
    c: Any = SimpleNamespace(**{**vars(model), "conditions": ()})
    same: Any = SimpleNamespace(layout=lambda images: images)

    class Encoder(BaseEncoder):
        """Pictures -> mean and log variance."""

        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.layers = peer.Encoder(c)

        def forward(self, x: torch.Tensor) -> Any:
            """Of shares in [0, 1]; ours sees [-1, 1]."""
            mean, log_variance = self.layers(2 * x - 1, {})
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        """Latents -> shares in [0, 1]."""

        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.layers = peer.Decoder(c, same) if name == "conv_vae" else peer.Decoder(c)

        def forward(self, z: torch.Tensor) -> Any:
            """See the class."""
            return ModelOutput(reconstruction=torch.sigmoid(self.layers(z, {})))

    return drawn(Encoder()), drawn(Decoder())


def drawn(module: Any) -> Any:
    """A module of PyTorch with its weights as Flax draws them (`flax.linen.initializers.lecun_normal`)."""
    from torch import nn

    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            weight, transposed = layer.weight, isinstance(layer, nn.ConvTranspose2d)
            inputs = weight[:, 0].numel() if transposed else weight[0].numel()
            spread = inputs**-0.5 / 0.87962566  # what a normal law that is cut at two deviations has left of one
            nn.init.trunc_normal_(weight, std=spread, a=-2 * spread, b=2 * spread)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def one(side: str, name: str, seed: int, epochs: int) -> dict[str, float]:
    """A training in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.against_pythae", "--one", side, "--only", name, "--seeds", str(seed)]
    done = subprocess.run([*words, "--epochs", str(epochs)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"against_pythae: {side} {name} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(found: Mapping[tuple[str, str], Sequence[Mapping[str, float]]], epochs: int, versions: str) -> str:
    """The page."""
    seeds = len(next(iter(found.values())))
    lines = [
        "# VAEs here and in pythae\n",
        f"`python -m benchmarks.against_pythae --epochs {epochs} --seeds {seeds}`: {machine.about()}; {versions}.",
        f"MNIST binarised once, {epochs} epochs of batches of {_BATCH}; the same layers, Adam at {_RATE}. Mean and",
        "standard deviation over seeds of the negative evidence lower bound of the test split, in nats; medians of a",
        "step's time. The shares are ours of theirs.\n",
        "| model | by | negative ELBO | CPU ms a step | wall ms a step | share of CPU | share of wall |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, side), rows in found.items():
        times = {key: statistics.median(row[key] for row in rows) for key in ("cpu", "wall")}
        other = {key: statistics.median(row[key] for row in found[name, SIDES[1]]) for key in times}
        shares = [f"{times[key] / other[key]:.2f}" if side == SIDES[0] else "" for key in times]
        bounds = [-row["elbo"] for row in rows]
        spread = f" ± {statistics.stdev(bounds):.2f}" if len(bounds) > 1 else ""
        lines.append(
            f"| {name} | {side} | {statistics.mean(bounds):.2f}{spread} | {1000 * times['cpu']:.2f} |"
            f" {1000 * times['wall']:.2f} | {' | '.join(shares)} |"
        )
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(MODELS), default=list(MODELS), metavar="MODEL")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/against_pythae.md"))
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        from benchmarks.binarised import digits

        with tempfile.TemporaryDirectory() as folder:
            train = ours if args.one == SIDES[0] else theirs
            print(json.dumps(train(args.only[0], args.seeds, args.epochs, Path(folder) / "run", digits())))
        return
    found: dict[tuple[str, str], list[Mapping[str, float]]] = {}
    for name in args.only:
        for seed in range(args.seeds):
            for side in SIDES if seed % 2 else reversed(SIDES):
                found.setdefault((name, side), []).append(one(side, name, seed, args.epochs))
                print(name, side, seed, found[name, side][-1], flush=True)
    ordered = {(name, side): found[name, side] for name in args.only for side in SIDES}
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions(("torch", "pythae")).items())
    args.out.write_text(table(ordered, args.epochs, versions))
    print(args.out)


if __name__ == "__main__":
    main()
