"""What is measured, in the order of its worth: data, so that what a run will do can be read and tested."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

OURS, TORCH = "genart_jax", "torch"
PARTS = ("throughput", "alike", "quality", "remat", "precision")
WORK, PEERS = "benchmarks.gpu.work", "benchmarks.peers"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One thing that is measured, by a process of its own.

    Attributes:
      part: of `PARTS`.
      name: what it is of; with the part and the side its name in the file.
      side: whose it is.
      values: what the process is asked to do it with.
      seconds: how long it takes, as far as one can say before; on another machine all are off alike, which is learnt.
      cap: seconds after which it is stopped.
      devices: pretended on a CPU.
    """

    part: str
    name: str
    side: str
    values: Json
    seconds: float
    cap: float
    devices: int = 1

    @property
    def key(self) -> tuple[str, str, str]:
        """Its name in the file of results."""
        return self.part, self.name, self.side


@dataclasses.dataclass(frozen=True)
class Model:
    """A model whose steps are timed: arguments of `bench.resolved`, batches from the most wanted on, seconds that our
    side and PyTorch's take with compilation, and PyTorch's variant.
    """

    name: str
    case: Json
    batches: tuple[int, ...]
    ours: float = 60.0
    torch: float = 60.0
    kind: str = "step"
    variant: str = "compile+channels_last"


def _case(name: str, side: int = 0, preset: str = "default", **options: Any) -> Json:
    shape = [side, side, 3] if side else None
    return {"name": name, "preset": preset, "image_shape": shape, "options": options}


_DCGAN = _case("dcgan", 64, width=64)
_PLAIN_R3GAN: Json = {"step.augment": "none"}  # the peer has no augmentation
_CROP: Json = {"step.crop": 6}
_IMAGENET: Json = {"conditions": [["imagenet", 1000]]}

FIRST = (
    Model("dcgan-64", _DCGAN, (256, 1024, 64)),
    Model("stylegan2-256", _case("stylegan2", preset="stylegan2-256"), (64, 16), 180.0, 120.0),
    Model("r3gan-cifar", _case("r3gan", preset="cifar", **_PLAIN_R3GAN), (512, 128), 90.0, 90.0),
    Model("resnet50", _case("resnet", 224, "50", **_IMAGENET), (256, 64), 90.0, 90.0),
)
"""What matters most."""
THEN = (
    Model("sngan", _case("sngan", preset="paper"), (64, 256)),
    Model("stylegan2-64", _case("stylegan2", preset="stylegan2-64"), (32, 128), 150.0, 90.0),
    Model("vgg19-features", _case("vgg", 224, "19", **_IMAGENET), (64, 256), 40.0, 40.0, kind="features"),
    Model("vqvae", _case("vqvae", preset="paper"), (128, 1024), 40.0),
    Model("hvae", _case("hvae", 32), (32, 256), 90.0, 90.0),
    Model("adain", _case("adain", 256, features=""), (8, 32)),
    Model("super_resolution", _case("super_resolution", 128), (8, 128), 40.0),
)
_SMALL = (
    Model("dcgan-64", _case("dcgan", 16, "tiny"), (8, 16)),
    Model("stylegan2-256", _case("stylegan2", 16, "tiny", minibatch_group=2), (4,)),
    Model("r3gan-cifar", _case("r3gan", 16, "tiny"), (4,)),
    Model("resnet50", _case("resnet", 16, "tiny", **_IMAGENET), (8,)),
    Model("sngan", _case("sngan", 16, "tiny"), (4,)),
    Model("vgg19-features", _case("vgg", 16, "tiny", **_IMAGENET), (4,), kind="features"),
    Model("vqvae", _case("vqvae", 16, "tiny"), (8,)),
    Model("hvae", _case("hvae", 16, "tiny"), (4,)),
    Model("adain", _case("adain", 16, "tiny"), (2,)),
    Model("super_resolution", _case("super_resolution", 16, width=4, blocks=1, **_CROP), (4,)),
)
SMALL = (_SMALL[0], *(dataclasses.replace(model, variant="channels_last") for model in _SMALL[1:]))
"""The same in miniature; stylegan2-64 is the same network there. PyTorch's compiler, which takes minutes on a CPU, is
tried once."""


def _steps(model: Model, batch: int, scale: float) -> Iterator[Cell]:
    name, case = f"{model.name}, batch {batch}", model.case | {"batch": batch, "precision": "bfloat16"}
    yield Cell("throughput", name, OURS, {"kind": model.kind} | case, scale * model.ours, 2 * scale * model.ours)
    peer = f"{case['name']}_features" if model.kind == "features" else case["name"]
    values = {"name": peer, "variant": model.variant}
    yield Cell("throughput", name, TORCH, values, scale * model.torch, 2 * scale * model.torch)


def _variants(model: Model, batch: int, scale: float) -> Iterator[Cell]:
    """What rematerialisation saves and costs, and what the precision does, next to the step of `throughput`."""
    ways: tuple[tuple[str, str, str, Json], ...] = (
        ("remat", "rematerialised", "bfloat16", {"train.remat": True}),
        ("precision", "tf32", "tf32", {}),
        ("precision", "float32", "float32", {}),
    )
    for part, name, precision, more in ways:
        case = model.case | {"batch": batch, "precision": precision, "options": model.case["options"] | more}
        yield Cell(part, f"{model.name}, batch {batch}, {name}", OURS, {"kind": "step"} | case, scale * model.ours,
                   2 * scale * model.ours)  # fmt: skip


def cells(miniature: bool = False) -> list[Cell]:
    """Everything, the most valuable first."""
    first, then = (SMALL[:4], SMALL[4:]) if miniature else (FIRST, THEN)
    scale = 0.5 if miniature else 1.0
    of = lambda models, some: [
        cell for model in models for batch in model.batches[some] for cell in _steps(model, batch, scale)
    ]
    alike = Cell("alike", f"{first[0].name}, 3 steps", OURS, first[0].case | {"batch": 16, "precision": "float32"},
                 scale * 60.0, scale * 180.0, devices=2 if miniature else 1)  # fmt: skip
    length = 12.0 if miniature else 60.0
    quality = Cell("quality", "modgan", OURS, {"kind": "quality", "miniature": miniature}, length + scale * 60.0,
                   length + scale * 120.0)  # fmt: skip
    quality.values["seconds"] = length
    head, rest = slice(0, 1), slice(1, None)
    variants = itertools.chain.from_iterable(_variants(m, m.batches[0], scale) for m in first[:1])
    found = [*of(first, head), alike, *of(first, rest), *of(then, head), quality, *variants, *of(then, rest)]
    # Compilers of a CPU are slow, and another program may have it: a rehearsal is to come to its end.
    return [dataclasses.replace(cell, cap=600.0) for cell in found] if miniature else found
