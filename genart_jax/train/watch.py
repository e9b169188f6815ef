"""Watching a model while it trains: what goes wrong is said once, in plain words, with what to change.

Of a GAN's game is looked at: the critic's accuracy on training pictures (`critic_accuracy` of a row of training) and on
held-out ones (`held_out/critic_accuracy`), its scores of both, the norms of gradients, and how much pictures differ
(`held_out/variety`, of equal conditions, and `held_out/least_variety` in the class where it is least; relative to real
ones: `diversity`; of real ones: `spread`). Of a VAE, how many of its latents carry anything (`active`), and how many of
its codes are in use (`code_use`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from genart_jax import registry
from genart_jax.config import Gan, Run, Vae, VectorQuantized
from genart_jax.data.source import Split, limited

Row = Mapping[str, float]

ROWS = 4
"""A sign is believed when so many rows in a row have it."""
WARM_UP = 0.1
"""Share of a run in which nothing is believed yet: a generator begins with one grey picture for all latents."""
PICTURES = 64
"""Held-out pictures that are looked at, no more than a batch: the same each time."""
SMOOTH = 0.25
"""Share of the newest look in the running mean of looks: of 16 pictures, an accuracy is known to a tenth."""
NATS = 0.5
"""A posterior that carries fewer, a picture, has collapsed."""
CODES = 0.05
"""A codebook of which a smaller share is in use has collapsed."""
ALIKE, ALIKE_IN_A_CLASS = 0.15, 0.22
"""Two pictures of equal conditions are one where they differ by a smaller share of what two real pictures do: in the
mean, and in one class. There sharp lines of one picture that trembles are up to 0.20 of it (eight runs of `fastgan` and
`projected_gan`, means of some looks), in six models that vary it was never below 0.26; classes of real icons, digits
and avatars are above 0.4."""
FAR = 5
"""A weight of R1 is worth a word where it is so many times larger or smaller than what is usual."""


class Sign(NamedTuple):
    """What tells that something goes wrong.

    Attributes:
      name: of what goes wrong; each is said once a run.
      seen: whether a row has it. A row holds the newest figures of training and of held-out pictures.
      says: what it means and what to change; may name figures of the row.
    """

    name: str
    seen: Callable[[Row], bool]
    says: str


def few_of(split: Split, batch: int) -> Split | None:
    """The held-out pictures to look at; None where there are none."""
    return limited(split, min(PICTURES, split.size, max(16, batch))) if split.size else None


def overfitting(row: Row) -> float:
    """How far the critic's scores of held-out pictures are on the way from those of training pictures to those of
    generated ones: 0: it knows nothing of the training pictures by heart; 1: it knows nothing else (Karras et al. 2020,
    "Training generative adversarial networks with limited data", eq. 1, r_v). NaN where the scores do not tell.
    """
    real, held_out, fake = (row.get(k, math.nan) for k in ("real_score", "held_out/real_score", "held_out/fake_score"))
    return (real - held_out) / (real - fake) if real > fake else math.nan


GAN = (
    Sign(
        "collapse",
        lambda row: row.get("diversity", 1.0) < 0.35,
        "the generator's pictures differ {diversity:.0%} as much as real ones: it has collapsed, or is about to. Try a "
        "smaller --optimizer.learning-rate, a larger weight of R1 (--step.r1-gamma), or a loss of pairs (--step.loss "
        "relativistic)",
    ),
    Sign(
        "one picture a condition",
        lambda row: row.get("held_out/variety", math.inf) < ALIKE * row.get("spread", 0.0),
        "two pictures of equal conditions differ by {held_out/variety:.2f} in the mean, real ones by {spread:.2f}: "
        "the latent is hardly used. Try a larger weight of R1 (--step.r1-gamma), or --step.generator-terms "
        "latent_spread=0.1",
    ),
    Sign(
        "one picture in a class",
        lambda row: (
            row.get("held_out/least_variety", math.inf) < ALIKE_IN_A_CLASS * row.get("spread", 0.0)
            and row.get("held_out/variety", 0.0) >= ALIKE * row.get("spread", 0.0)  # else the sign before says it
        ),
        "two pictures of equal conditions differ by {held_out/variety:.2f} in the mean, and in one class by only "
        "{held_out/least_variety:.2f}: that class has collapsed; the samples show which. Try a larger weight of R1 "
        "(--step.r1-gamma), --step.loss relativistic, or --step.generator-terms latent_spread=0.1",
    ),
    Sign(
        "saturation",
        lambda row: row.get("critic_accuracy", 0.5) > 0.985,
        "the critic tells {critic_accuracy:.1%} of the pictures apart: the generator has little to learn from. Try a "
        "larger weight of R1 (--step.r1-gamma), a smaller --step.critic-learning-rate, or --step.augment diffaugment",
    ),
    Sign(
        "idle critic",
        lambda row: max(row.get("critic_accuracy", 1.0), row.get("held_out/critic_accuracy", 1.0)) < 0.52,
        "the critic tells {critic_accuracy:.1%} of the pictures apart, as one that guesses: the generator learns "
        "nothing. Try a larger --step.critic-learning-rate, more --step.d-steps, or a smaller weight of R1",
    ),
    Sign(
        "overfitting",
        lambda row: (
            row.get("held_out/critic_accuracy", 1.0) < min(0.6, row.get("critic_accuracy", 0.0) - 0.2)
            and overfitting(row) > 0.5
        ),
        "the critic takes held-out pictures for generated ones ({overfitting:.0%} of the way there): it knows the "
        "training pictures by heart. Try --step.augment ada or diffaugment, --data.flip, more pictures, or fewer steps",
    ),
)

VAE = (
    Sign(
        "posterior collapse",
        lambda row: (
            # While a capacity rises from 0, so few nats are what was asked for.
            row.get("capacity", math.inf) > 2 * NATS
            and (row.get("active", 1.0) < 0.1 or row.get("kl", math.inf) < NATS)
        ),
        "of the latents {active:.0%} carry anything, {kl:.2f} nats a picture together: the decoder hardly listens to "
        "them. Try a smaller --step.beta, --step.free-bits 0.1, or a decoder that can do less by itself",
    ),
)
VQ = (
    Sign(
        "codebook collapse",
        lambda row: row.get("code_use", 1.0) < CODES,
        "as many codes are in use as if {code_use:.1%} of them were used equally often. Try a larger "
        "--model.revive-below, a smaller --optimizer.learning-rate, or fixed levels (--preset fsq)",
    ),
)
SIGNS: Mapping[type, tuple[Sign, ...]] = {Gan: GAN, Vae: VAE, VectorQuantized: VQ}
"""By the options of the step that trains a model."""


class Watch:
    """Reads rows as they are written. `earlier` are those that a run has already, which are not told of again.

    Attributes:
      on: whether there is something to watch: not in a sweep.
      game: whether it is a GAN's, so that held-out pictures are looked at, too.
      told: names of the signs that were told of.
    """

    def __init__(self, run: Run, members: int = 0, earlier: Iterable[Row] = ()) -> None:
        self._signs = () if members else next((v for kind, v in SIGNS.items() if isinstance(run.step, kind)), ())
        self.on, self.game = bool(self._signs), bool(self._signs) and isinstance(run.step, Gan)
        self._from = WARM_UP * run.train.steps
        self._row: dict[str, float] = {}
        self._last: dict[str, deque[bool]] = {sign.name: deque(maxlen=ROWS) for sign in self._signs}
        self.told: list[str] = []
        for row in earlier:
            self.see(int(row.get("step", 0)), row)

    def see(self, step: int, row: Row, tell: Callable[[str], None] = lambda text: None) -> None:
        """Tells of what a new row gives reason for: of training, or of held-out pictures (`held_out/...`)."""
        for name, value in row.items():
            if isinstance(value, int | float):
                before = self._row.get(name, value) if name.startswith("held_out/") else value
                self._row[name] = before + SMOOTH * (value - before)
        if not self.on or step < self._from or not row.keys() & {"critic_loss", "loss"}:
            return
        figures = self._row | {"overfitting": overfitting(self._row)}
        for sign in self._signs:
            last = self._last[sign.name]
            last.append(sign.seen(self._row))
            if len(last) == ROWS and all(last) and sign.name not in self.told:
                self.told.append(sign.name)
                tell(f"step {step}: {sign.name}: {_filled(sign.says, figures)}")


def _filled(text: str, figures: Row) -> str:
    # Not str.format: names of figures have a slash.
    for name, value in figures.items():
        for digits in (".0%", ".1%", ".2f"):
            text = text.replace(f"{{{name}:{digits}}}", format(value, digits))
    return text


def gamma_hint(run: Run) -> str:
    """What the weight of R1 might be at this resolution and batch, where it is far from that; "" where it is near.

    The weight that suits a model grows with pixels / batch (Karras et al. 2020, "Training generative adversarial
    networks with limited data", appendix C); the model's default preset says what suits it at 32x32 and its batch.
    """
    if not isinstance(run.step, Gan) or not run.step.r1_gamma or ":" in run.name:
        return ""
    usual = registry.get_config(run.name, "default")
    assert isinstance(usual.step, Gan)
    pixels = math.prod((run.model.image_shape or (32, 32, 3))[:-1])
    gamma = usual.step.r1_gamma * pixels / 32**2 * usual.train.batch / run.train.batch
    if not gamma or 1 / FAR <= gamma / run.step.r1_gamma <= FAR:
        return ""
    shape = "x".join(map(str, (run.model.image_shape or ())[:-1]))
    return (
        f"--step.r1-gamma is {run.step.r1_gamma:g}; what suits {run.name} at 32x32 with batches of {usual.train.batch} "
        f"would be {gamma:.2g} at {shape} with {run.train.batch} (it grows with pixels / batch): a value to try"
    )
