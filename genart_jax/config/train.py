"""Options of a training: length, rhythm, reporting. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from genart_jax.config.ranges import Count, Natural, Range


@dataclasses.dataclass(frozen=True)
class Train:
    """Length, rhythm and reporting of a run."""

    steps: Count = 1000
    """Steps in all; a larger number continues a finished run."""
    batch: Count = 64
    """Examples a step, over all devices (of the generator; a critic with d_steps = n sees n times as many)."""
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    """Seed of initialisation, data order and every random draw."""
    log_every: Count = 50
    """Steps between rows of metrics.jsonl."""
    sample_every: Natural = 500
    """Steps between sample grids (0: only at the end)."""
    eval_every: Natural = 0
    """Steps between evaluations on the test split (0: only at the end)."""
    watch_every: Natural = 100
    """Of a GAN: steps between looks at a few held-out pictures, for warnings (0: none; under 1 % of the time)."""
    save_every: Natural = 500
    """Steps between checkpoints (0: only at the end)."""
    keep: Count = 2
    """How many checkpoints to keep, the newest."""
    best: str = ""
    """Figure of the evaluation whose best checkpoint is kept as well, as in accuracy:max (empty: none)."""
    rollbacks: Natural = 1
    """How often a run that is no longer finite goes back to its last checkpoint, at 0.3 of its learning rate."""
    ema_steps: Natural = 0
    """Steps that the moving average has behind it, so that its warm-up goes on; --init-from sets it."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Precision of products and activations; parameters, losses and optimizers stay float32. tf32: NVIDIA GPUs only."""
    remat: bool = False
    """Keep only the activations between stages for the backward pass, and compute the others again, to save memory of
    accelerators; on CPU it saves none."""
    microbatch: Natural = 0
    """Examples computed at a time, over all devices; gradients add up to those of the whole batch (0: all at once)."""
    steps_per_dispatch: Count = 1
    """Steps run on the device at a time, in a loop there: pays for steps of a few milliseconds."""
    samples: Count = 64
    """Pictures in a sample grid."""
    provenance: bool = True
    """Write into sample grids that they are generated, by which model and run, and the licence of its data."""
    schedules: tuple[str, ...] = ()
    """Numbers that change over the run, as NAME=FROM..TO[:cosine|:linear][@STEPS], such as b2=0.9..0.99:cosine: of the
    optimizer learning_rate, b1, b2, and of a GAN ema_images, augment_p and its regularisers by name (their weights; of
    r1 that of |grad D|^2, which is half of step.r1-gamma)."""
