"""The step from picture to picture: restoration, super-resolution, translation of pairs.

The role `generator` makes the output of the input. Where `step.degradation` is set, the input is made of the image,
which is then the target, on the device and from a key of each example; else the data has both, as `image` and `target`.
What is played for is a weighted sum: a distance of pixels, of a frozen network's activations (role `perceptual`) and of
their Gram matrices, total variation, and what a critic of patches (role `critic`) makes of the output. Roles that no
weight needs are left out.

A role `overview`, where a model has it, sees the whole input, reduced to a small square, and tells the generator a
vector: what holds for all of a picture, such as the colour of its light, and must not change from tile to tile.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Run, Translate, UserError
from genart_jax.data.degrade import named
from genart_jax.losses import perceptual, terms
from genart_jax.losses.pixel import DISTANCES, total_variation
from genart_jax.metrics import image as scores
from genart_jax.nn import judges, random
from genart_jax.nn.guided import smoothed
from genart_jax.nn.resample import bicubic
from genart_jax.steps import common, networks, play, uses
from genart_jax.steps.critics import Critic, told_apart, value_of
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.steps.pairs import adversarial, cut, in_parts, turned
from genart_jax.types import (
    Algorithm,
    Batch,
    Input,
    Outcome,
    Scene,
    State,
    Sums,
    Told,
    Translation,
    Tree,
    Variables,
)

_TERMS = {name: terms.CRITIC_TERMS[name] for name in ("r1", "r2", "gp", "zero_gp", "lecam", "orthogonal")}
_PERFECT = 100.0
"""Decibels of equal pictures, and of all that are nearer than that: figures stay finite."""
_WINDOW = 11
"""Sides of the smallest picture that has a structural similarity."""


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a model from pictures to pictures, of a `generator`; see this module's head for other roles.

    Raises:
      UserError: neither a degradation nor a target, or a weight for a network that the model has not.
    """
    made = Translator(roles, config, axis_name)
    table = uses.table(transform=(made.transform, made.inputs()))
    table["transform"] = table["transform"]._replace(translation=made.about)
    if "overview" in made.roles:
        table |= uses.table(overview=(made.overview, (uses.any_size(made.spec),)))
    return made.algorithm(table, show=made.show)


class Translator(Family):
    """A generator, and maybe a critic, as a game over pairs of pictures."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        options: Translate = config.step
        super().__init__(_needed(roles, options, config.name), config, axis_name)
        self.options = options
        self.about = self.roles["generator"].translation or Translation()
        self.makers = tuple(role for role in ("generator", "overview") if role in self.roles)
        self.paired = "target" in self.spec.fields
        if not (self.paired or options.degradation or "mask" in self.spec.fields):
            raise UserError(f"{config.name}: set step.degradation, for pictures without a target would be copied")
        self.degrade = named(options.degradation, self.about.scale) if options.degradation else None
        self.layers = _layers(self.roles, options)
        self.critic = Critic("critic", self.roles, joint=False) if "critic" in self.roles else None
        self.adversarial = adversarial(options.loss)
        self.game = self._game()
        play.check_periods(self.game)

    def _game(self) -> play.Game:
        options, players = self.options, []
        if self.critic is not None:
            regular = terms.parse("step.critic-terms", options.critic_terms, _TERMS, options.d_steps)
            players.append(
                play.Player("critic", ("critic",), self.critic_loss, options.d_steps, regular, self._critic_at)
            )
        players.append(play.Player("generator", self.makers, self.generator_loss))
        return play.Game(
            tuple(players),
            {player.name: self._optimizer(player) for player in players},
            lambda state, batch, key: Scene(batch, {}, carried=state.extra, key=key),
            self._trained_on,
            self._make,
            averaged=self.makers if options.ema_decay else (),
            decay=lambda age, images: common.ema_decay(options.ema_decay, age),
            age=self.config.train.ema_steps,
            chunks=common.chunks_of(self.config),
            axis_name=self.axis_name,
        )

    def _optimizer(self, player: play.Player) -> optax.GradientTransformationExtraArgs:
        rate = self.options.critic_learning_rate if player.name == "critic" else None
        return common.optimizer_of(self.config, player.updates, learning_rate=rate)

    def pair(self, batch: Batch, key: jax.Array) -> Batch:
        """The pairs of a batch: `input`, `image` (what is wanted of it), `condition`; what the generator takes besides.

        The input is made of the image by each example's own key.
        """
        images, scale = batch["image"], self.about.scale
        keys = random.example_keys(random.stream(key, "degrade"), len(images), self.axis_name)
        if self.degrade is not None and scale > 1:
            height, width = (n // scale * scale for n in images.shape[1:3])
            images = images[:, :height, :width]
        given, found = images, {"mask": batch["mask"]} if "mask" in batch else {}
        if self.degrade is not None:
            given, found = self.degrade(images, keys)
        out = {"input": given, "image": batch["target"] if self.paired else images, "condition": batch["condition"]}
        if "mask" in self.about.takes:
            out["mask"] = found.get("mask", jnp.zeros((*given.shape[:-1], 1)))
        if "keys" in self.about.takes:
            out["keys"] = random.example_keys(random.stream(key, "noise"), len(given), self.axis_name)
        if "overview" in self.roles:
            out["small"] = self._reduced(given)
        return out

    def _trained_on(self, batch: Batch, key: jax.Array) -> Batch:
        """The pairs, cut and turned; what the overview sees stays whole."""
        pair = self.pair(self.told(batch, key), key)
        num = len(pair["input"])
        keys = lambda name: random.example_keys(random.stream(key, name), num, self.axis_name)
        factors = {"input": 1, "mask": 1, "image": self.about.scale}
        planes = {name: pair[name] for name in factors if name in pair}
        if share := self.options.smooth:
            planes["image"] = (1.0 - share) * planes["image"] + share * smoothed(planes["image"])
        if self.options.crop:
            planes = cut(planes, factors, keys("crop"), self.options.crop)
        if self.options.turns:
            planes = {name: turned(x, keys("turns")) for name, x in planes.items()}
        return pair | planes

    def _reduced(self, images: jax.Array) -> jax.Array:
        inputs = self.roles["overview"].inputs
        small = jax.eval_shape(inputs if callable(inputs) else lambda: inputs)[0].shape[1:]
        return jax.image.resize(images, (len(images), *small), "linear", antialias=True)

    def output(self, at: Variables, pair: Batch, train: bool = False) -> tuple[jax.Array, dict[str, Tree]]:
        """What the generator makes of pairs' inputs, not clipped, and the collections of the roles that made it."""
        changed = {}
        if "overview" in self.roles and "overview" not in pair:
            (told, _), changed["overview"] = networks.apply(self.roles, at, "overview", pair["small"], train=train)
            pair = pair | {"overview": told}
        beside = [pair[name] for name in self.about.takes]
        found, changed["generator"] = networks.apply(self.roles, at, "generator", pair["input"], *beside, train=train)
        return found[0].astype(jnp.float32), changed

    def _make(self, at: Variables, scene: Scene) -> tuple[Tree, play.Trees]:
        output, changed = self.output(at, scene.batch, train=True)
        return {"fake": output}, changed

    def _activations(self, at: Variables, images: jax.Array) -> dict[str, jax.Array]:
        wanted = tuple(dict.fromkeys(self.layers[0] + self.layers[1]))
        x = images if images.shape[-1] == 3 else jnp.broadcast_to(images, (*images.shape[:-1], 3))
        return networks.run(self.roles, at, "perceptual", x, capture=wanted)[1]

    def distances(self, at: Variables, output: jax.Array, target: jax.Array) -> dict[str, tuple[float, jax.Array]]:
        """(weight, values (batch,)) of each loss between pictures, by its name in the log."""
        o = self.options
        out = {"pixel_loss": (o.pixel_weight, DISTANCES[o.pixel](output, target))}
        if o.tv_weight:
            out["tv_loss"] = (o.tv_weight, total_variation(output))
        if "perceptual" not in self.roles:
            return out
        found, wanted = self._activations(at, output), self._activations(at, target)
        if o.perceptual_weight:
            values = [perceptual.content(found[name], wanted[name]) for name in self.layers[0]]
            out["perceptual_loss"] = (o.perceptual_weight, sum(values[1:], values[0]) / len(values))
        if o.style_weight:
            grams = [(perceptual.gram(found[name]), perceptual.gram(wanted[name])) for name in self.layers[1]]
            values = [perceptual.style(*pair) for pair in grams]
            out["style_loss"] = (o.style_weight, sum(values[1:], values[0]) / len(values))
        return out

    def generator_loss(self, at: Variables, scene: Scene) -> Outcome:
        """Near to the target, and taken for it by the critic."""
        output, target = scene.made["fake"], scene.batch["image"]
        parts = self.distances(at, output, target)
        if self.critic is not None:
            key, seen = random.stream(scene.key, "dropout"), self._beside(scene.batch)
            fake, _ = self.critic.score(at, seen(output), scene.batch["condition"], key)
            real = self.critic.score(at, seen(target), scene.batch["condition"], key)[0]
            parts["adversarial_loss"] = (
                self.options.adversarial_weight,
                value_of(self.adversarial.generator, real if self.adversarial.paired else fake, fake),
            )
        values = sum((weight * value for weight, value in parts.values()), jnp.zeros(()))
        metrics = {name: jnp.mean(value) for name, (_, value) in parts.items()}
        return Outcome(values, {"generator_loss": jnp.mean(values), **metrics})

    def critic_loss(self, at: Variables, scene: Scene) -> Outcome:
        """Targets against outputs."""
        assert self.critic is not None
        seen, key = self._beside(scene.batch), random.stream(scene.key, "dropout")
        pictures = seen(scene.batch["image"]), seen(scene.made["fake"])
        real, fake, mutable = self.critic.both(at, *pictures, scene.batch["condition"], key, advance=True)
        values = value_of(self.adversarial.critic, real, fake)
        figures = {"critic_loss": values, "critic_accuracy": told_apart(self.adversarial, real, fake)}
        return Outcome(values, {name: jnp.mean(value) for name, value in figures.items()}, {"critic": mutable})

    def _beside(self, pair: Batch) -> Callable[[jax.Array], jax.Array]:
        """Pictures as the critic sees them: with the input beside them, where it takes that."""
        about = self.roles["critic"].translation
        if about is None or "input" not in about.takes:
            return lambda images: images
        return lambda images: jnp.concatenate([images, self.unchanged(pair["input"])], axis=-1)

    def _critic_at(self, at: Variables, scene: Scene) -> terms.CriticAt:
        def score(images: jax.Array, role: str = "real") -> jax.Array:
            assert self.critic is not None
            key, seen = random.stream(scene.key, "dropout"), self._beside(scene.batch)
            return common.per_example(self.critic.score(at, seen(images), scene.batch["condition"], key)[0])

        return terms.CriticAt(at.params["critic"], score, lambda drawn, batch: self.output(at, batch)[0])

    def unchanged(self, images: jax.Array) -> jax.Array:
        """What strength 0 makes of pictures: themselves, or larger ones by bicubic interpolation."""
        return bicubic(images, self.about.scale)

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Losses and, in decibels and as structural similarity, how near outputs and inputs are to the targets.

        Where there are holes, `hole_psnr` and `input_hole_psnr` are of the pixels in them alone.
        """
        common.check_batch(batch, self.spec)
        weight, at = common.weights_of(batch, self.spec), networks.averaged(state)
        pair = self.pair(batch, random.stream(key, "evaluate"))
        values = in_parts(lambda part: self._figures(at, part), pair)
        return common.all_sums({k: common.weighted(v, weight) for k, v in values.items()}, self.axis_name)

    def _figures(self, at: Variables, pair: Batch) -> dict[str, jax.Array]:
        """Figures of each pair (batch,)."""
        output, target, given = self.output(at, pair)[0], pair["image"], self.unchanged(pair["input"])
        values = {name: value for name, (_, value) in self.distances(at, output, target).items()}
        shown = {"": jnp.clip(output, -1.0, 1.0)} | ({"input_": given} if given.shape == target.shape else {})
        for name, images in shown.items():
            values[f"{name}psnr"] = jnp.minimum(scores.psnr(images, target), _PERFECT)
            if min(target.shape[1:3]) >= _WINDOW:
                values[f"{name}ssim"] = scores.ssim(images, target)
            if "mask" in pair and images.shape == pair["input"].shape:
                values[f"{name}hole_psnr"] = _inside(images, target, pair["mask"])
        return values

    def inputs(self) -> tuple[Input, ...]:
        """What `transform` takes, besides the state."""
        known = {
            "mask": Input("mask", "mask", (0, 0, 1)),
            "overview": Input("overview", "overview", self._told()),
            "condition": uses.condition(self.spec),
        }
        more = tuple(known[name] for name in self.about.takes if name in known)
        images = uses.any_size(self.spec) if self.about.reach is not None else uses.pictures(self.spec)
        return images, uses.KEY, *more, Input("strength", "number")

    def _told(self) -> tuple[int, ...]:
        if "overview" not in self.roles:
            return ()
        module, inputs, *_ = self.roles["overview"]
        given = inputs() if callable(inputs) else inputs
        made = lambda key: module.apply(module.init(key, *given), *given)[0]
        return tuple(jax.eval_shape(made, jax.random.key(0)).shape[1:])

    def transform(
        self,
        state: State,
        images: jax.Array,
        key: jax.Array,
        mask: jax.Array | None = None,
        overview: jax.Array | None = None,
        condition: Told = None,
        strength: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Pictures of pictures. `strength` is the share of the change: 0 leaves them as they are (or enlarges them).

        Raises:
          UserError: a mask of another size than the pictures.
        """
        if mask is not None and mask.shape[1:3] != images.shape[1:3]:
            raise UserError(f"transform: mask: got shape {mask.shape}, wanted that of the pictures, {images.shape}")
        num = len(images)
        pair: Batch = {"input": images}
        pair["mask"] = jnp.zeros((*images.shape[:-1], 1)) if mask is None else mask
        pair["keys"] = random.example_keys(random.stream(key, "noise"), num)
        if "condition" in self.about.takes:
            pair["condition"] = common.wanted_condition(self.spec, condition, num, None)
        if overview is not None:
            pair["overview"] = overview
        elif "overview" in self.roles:
            pair["small"] = self._reduced(images)
        output = jnp.clip(self.output(networks.averaged(state), pair)[0], -1.0, 1.0)
        base = self.unchanged(images)
        if base.shape != output.shape:  # other channels: nothing in between
            return output
        return base + strength * (output - base)

    def overview(self, state: State, images: jax.Array) -> jax.Array:
        """What the overview tells of whole pictures, to be given to each of their tiles: (batch, n)."""
        at = networks.averaged(state)
        return networks.run(self.roles, at, "overview", self._reduced(images))[0].astype(jnp.float32)

    def show(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Test examples: what goes in, what comes out, and what is wanted."""
        pair = self.pair(batch, random.stream(key, "show"))
        output = jnp.clip(self.output(networks.averaged(state), pair)[0], -1.0, 1.0)
        return {"input": self.unchanged(pair["input"]), "output": output, "target": pair["image"]}


def _needed(roles: Networks, options: Translate, name: str) -> Networks:
    """The roles without those whose losses have no weight."""
    weights = {
        "critic": options.adversarial_weight,
        "perceptual": max(options.perceptual_weight, options.style_weight),
    }
    for role, weight in weights.items():
        if weight and role not in roles:
            raise UserError(f"{name} has no network {role!r}, which a weight of the step asks for")
    if options.critic_terms and not options.adversarial_weight:
        raise UserError("step.critic-terms: without step.adversarial-weight there is no critic")
    return {role: network for role, network in roles.items() if weights.get(role, 1.0)}


def _layers(roles: Networks, options: Translate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The activations that are compared, and those whose Gram matrices are."""
    default = judges.LAYERS.get(roles["perceptual"].frozen, ()) if "perceptual" in roles else ()
    compared = options.perceptual_layers or default
    return compared, options.style_layers or compared


def _inside(images: jax.Array, target: jax.Array, mask: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio over the pixels of the mask, in decibels (batch,)."""
    total = jnp.sum(mask, axis=(1, 2, 3)) * images.shape[-1]
    error = jnp.sum(mask * jnp.square(images - target), axis=(1, 2, 3)) / jnp.maximum(total, 1.0)
    return jnp.minimum(10.0 * jnp.log10(scores.RANGE**2 / jnp.maximum(error, 1e-12)), _PERFECT)
