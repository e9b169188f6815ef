"""The adversarial step (Goodfellow et al. 2014, algorithm 1), for any generator and critic.

One generator forward serves both players: the critic trains on its pictures, and the generator's gradient is the
pullback of the updated critic's gradient with respect to the same pictures.

The critic's spectral normalisation advances once in each of its updates, in the pass over real and generated pictures;
the penalty's pass, the generator's and evaluation take it as it is.

Augmentation is part of the critic, which scores real and generated pictures through it (Karras et al. 2020b, section
2.1). So R1 is evaluated at augmented real pictures, and is the gradient with respect to the pictures before that: what
is to be smooth is the two together, as a function of the data.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from fractions import Fraction

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Gan, Run, UserError
from genart_jax.losses import terms
from genart_jax.losses.adversarial import LOSSES
from genart_jax.losses.adversarial import Adversarial as AdversarialLoss
from genart_jax.losses.penalties import slope
from genart_jax.nn import random
from genart_jax.steps import common, generators, networks, play, schedules, uses
from genart_jax.steps.augmentation import Augmentation
from genart_jax.steps.common import per_example
from genart_jax.steps.critics import Critic, Rebuilt, Scores, spread, told_apart, value_of
from genart_jax.steps.family import Family
from genart_jax.steps.generators import Drawn
from genart_jax.steps.networks import Networks
from genart_jax.steps.optim import lazy_correction
from genart_jax.steps.schedules import value_at
from genart_jax.types import (
    Algorithm,
    Batch,
    Condition,
    Input,
    Keys,
    Outcome,
    Scene,
    State,
    Sums,
    Term,
    Told,
    Tree,
    Variables,
)


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a GAN, of a `generator` and a `critic`.

    A critic's scores may be of patches, (batch, ...), or a tree of such arrays: losses are taken of each score, and
    averaged over an example's.

    Raises:
      UserError: terms that are unknown, or penalties of a mapping network where there is none.
    """
    return algorithm_of(Adversarial(roles, config, axis_name))


def algorithm_of(made: Adversarial, begin: Callable[..., State] | None = None) -> Algorithm:
    """A game's functions and uses; `begin` as in `types.Algorithm`."""
    latents, shown = uses.latents(made.generator.latent_dim), (uses.condition(made.spec), *made.generator.options)
    table = uses.table(
        decode=(made.decode, (latents, *shown)),
        sample=(made.sample, (uses.KEY, uses.NUM, *shown, *made.generator.drawn)),
        draw=(made.latents, (uses.KEY, uses.NUM)),
        **_inside(made, latents, shown),
    )
    return made.algorithm(table, order=_order(made.game), begin=begin)


def _inside(
    made: Adversarial, latents: Input, shown: tuple[Input, ...]
) -> dict[str, tuple[uses.Function, tuple[Input, ...]]]:
    """The uses that look into the generator, as `uses.table` takes them."""
    if isinstance(made.generator, generators.Styled):
        styles = uses.styles(made.generator.shape(made.spec.conditions))
        found: dict[str, tuple[uses.Function, tuple[Input, ...]]] = {
            "map": (made.map, (latents, *shown)),
            "synthesize": (made.synthesize, (styles,)),
        }
        if isinstance(made.generator, generators.Moving) and made.generator.extends:
            images, frames = uses.beginning(made.spec)
            found["extend"] = made.extend, (images, uses.KEY, shown[0], frames)
        return found
    return {"activate": (made.activate, (latents, shown[0]))}


def _order(game: play.Game) -> tuple[str, ...]:
    """The metrics as a step computes them; see `types.Algorithm`."""
    names = ["real_score", "fake_score"]
    for player in game.players:
        names.append(f"{player.name}_loss")
        for term in player.terms:
            names += [term.name, *term.start]
        names += [f"{player.name}_{tree}_norm" for tree in ("grad", "update", "param")]
    return tuple(names)


class Adversarial(Family):
    """A generator against a critic, as a game."""

    trained_first = True

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(roles, config, axis_name)
        gan: Gan = config.step
        self.options = gan
        self.loss = _loss(gan.loss)
        self.augment = Augmentation(gan, self.spec, self.loss.threshold, axis_name)
        self.generator = generators.bind(config.name, roles, config.model.latent_dim, gan.style_mixing, gan.path_weight)
        self.critic = Critic("critic", roles, gan.critic_batch == "joint")
        every = self._critic_terms(), self._generator_terms()
        self.scheduled = (*common.SCHEDULED, "ema_images", "augment_p", *(term.name for part in every for term in part))
        self.schedules = schedules.parse(config.train.schedules, config.train.steps, self.scheduled)
        self.augment.schedules = self.schedules
        critic_terms, generator_terms = (tuple(map(self._weighted, part)) for part in every)
        players = (
            play.Player(
                "critic", ("critic",), self.critic_loss, gan.d_steps, critic_terms, self._critic_at,
                after=self.augment.after,
            ),
            play.Player(
                "generator", ("generator",), self.generator_loss, gan.g_steps, generator_terms,
                self._generator_at,
            ),
        )  # fmt: skip
        self.game = play.Game(
            players,
            {player.name: self._optimizer(player) for player in players},
            self._draw,
            self._prepare,
            self._make,
            averaged=("generator",) if gan.ema_decay or gan.ema_images or "ema_images" in self.schedules else (),
            decay=self._decay,
            age=config.train.ema_steps,
            chunks=common.chunks_of(config),
            group=self.critic.group,
            separate=gan.lazy_updates == "separate",
            axis_name=axis_name,
        )
        play.check_periods(self.game)

    def _critic_terms(self) -> tuple[Term, ...]:
        gan = self.options
        # Scaled by the updates in between, to keep the penalty's weight while it is computed only so often (Karras et
        # al. 2020, appendix B).
        old = (terms.r1(0.5 * gan.r1_gamma * gan.d_steps, gan.r1_every),) if gan.r1_gamma > 0 else ()
        found = terms.parse("step.critic-terms", gan.critic_terms, terms.CRITIC_TERMS, gan.d_steps, old)
        names = [term.name for term in found]
        if "matching" in names and not self.spec.conditions:
            raise UserError(f"step.critic-terms: {self.config.name} has no conditions here; leave matching out")
        if "reconstruction" in names and not self.critic.decodes:
            raise UserError(
                f"step.critic-terms: the critic of {self.config.name} has no decoders; leave reconstruction out"
            )
        return found

    def _generator_terms(self) -> tuple[Term, ...]:
        gan = self.options
        old: tuple[Term, ...] = ()
        if gan.path_weight > 0:
            old = (
                terms.path_length(
                    gan.path_weight, gan.path_every, self.generator.draw, gan.path_shrink, gan.path_decay
                ),
            )
        return terms.parse("step.generator-terms", gan.generator_terms, terms.GENERATOR_TERMS, 1, old)

    def _weighted(self, term: Term) -> Term:
        """A term whose weight may change over the run: its schedule, in the units that its option has."""
        schedule = self.schedules.get(term.name)
        if schedule is None:
            return term
        if term.every and term.name in terms.CRITIC_TERMS:
            schedule = dataclasses.replace(
                schedule, start=schedule.start * self.options.d_steps, end=schedule.end * self.options.d_steps
            )
        return term._replace(weight=schedule)

    def _optimizer(self, player: play.Player) -> optax.GradientTransformationExtraArgs:
        """A player's: its lazy terms' own updates come on top, with the correction for them."""
        options, more = self.config.optimizer, 0
        rate = self.options.critic_learning_rate if player.name == "critic" else None
        lazy = [term.every for term in player.terms if term.every]
        if self.options.lazy_updates == "separate" and lazy:
            options, rate = lazy_correction(
                options, player.updates / sum((Fraction(1, n) for n in lazy), Fraction()), rate
            )
            # Due at 0, so once more than the multiples after it.
            more = sum(-(-self.config.train.steps // n) for n in lazy)
        return common.optimizer_of(self.config, player.updates, more, options, rate, known=self.scheduled)

    def _decay(self, age: jax.Array, images: int) -> jax.Array:
        if half_life := self.schedules.get("ema_images") or self.options.ema_images:
            return common.half_life_decay(value_at(half_life, age), self.options.ema_ramp, images, age)
        return common.ema_decay(self.options.ema_decay, age)

    def extra(self) -> dict[str, Tree]:
        """The controller of the augmentation."""
        return self.augment.start()

    def init(self, key: jax.Array, batch: Batch) -> State:
        """The first state, for batches like this one."""
        state = super().init(key, batch)
        if self.options.critic_batch == "joint":
            common.refuse_joint(state.mutable["critic"])
        return state

    def _prepare(self, batch: Batch, key: jax.Array) -> Batch:
        return self.told(batch, key, self.options.condition_dropout)

    def _draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        batch, num = {**batch, "image": self.judged(state, batch["image"])}, len(batch["image"])
        view = self.augment.view(state, key, num)
        return Scene(batch, self.generator.draw(self._keys(key, num)), None, view, state.extra, key)

    def judged(self, state: State, images: jax.Array) -> jax.Array:
        """What the players make and judge, of real pictures: themselves."""
        return images

    def drawn(self, state: State, made: jax.Array) -> jax.Array:
        """Pictures of what the generator makes: that itself."""
        return made

    def _keys(self, key: jax.Array, num: int) -> Keys:
        return lambda name: random.example_keys(random.stream(key, name), num, self.axis_name)

    def _generated(self, at: Variables, drawn: Drawn, batch: Batch) -> tuple[jax.Array, Tree]:
        return self.generator.make(at, drawn, batch["condition"])

    def _make(self, at: Variables, scene: Scene) -> tuple[Tree, play.Trees]:
        """Generated pictures, as they are and as the critic sees them."""
        fake, mutable = self._generated(at, scene.drawn, scene.batch)
        return {"fake": fake, "seen": self.augment(fake, scene.view, "fake")}, {"generator": mutable}

    def critic_loss(self, at: Variables, scene: Scene) -> Outcome:
        """Real against generated pictures."""
        real = self.augment(scene.batch["image"], scene.view, "real")
        real_scores, fake_scores, mutable = self.critic.both(
            at, real, scene.made["seen"], scene.batch["condition"], _drops(scene, "critic"), advance=True
        )
        values = value_of(self.loss.critic, real_scores, fake_scores)
        right = told_apart(self.loss, real_scores, fake_scores)
        real_scores, fake_scores = per_example(real_scores), per_example(fake_scores)
        metrics = {
            "critic_loss": jnp.mean(values),
            "critic_accuracy": jnp.mean(right),
            "real_score": jnp.mean(real_scores),
            "fake_score": jnp.mean(fake_scores),
        }
        if len(scene.batch["image"]) > 1:
            metrics["spread"] = spread(scene.batch["image"])
            metrics["diversity"] = spread(scene.made["fake"]) / jnp.maximum(metrics["spread"], 1e-6)
        metrics |= self.augment.metrics(real_scores, scene.view)
        return Outcome(values, metrics, {"critic": mutable})

    def generator_loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the critic makes of the generated pictures."""
        fake, condition, paired = scene.made["seen"], scene.batch["condition"], self.loss.paired
        key = _drops(scene, "generator")
        real = self.augment(scene.batch["image"], scene.view, "real") if paired else fake
        if paired and "batch_stats" in at.mutable["critic"]:  # scores that depend on the pictures beside them
            real_scores, fake_scores, _ = self.critic.both(at, real, fake, condition, key)
        else:  # apart: no gradient goes back through the real pictures
            fake_scores, _ = self.critic.score(at, fake, condition, key)
            real_scores = self.critic.score(at, real, condition, key)[0] if paired else fake_scores
        values = value_of(self.loss.generator, real_scores, fake_scores)
        return Outcome(values, {"generator_loss": jnp.mean(values)})

    def _critic_at(self, at: Variables, scene: Scene) -> terms.CriticAt:
        def score(images: jax.Array, role: str = "real") -> jax.Array:
            seen = self.augment(images, scene.view, role)
            return per_example(self.critic.score(at, seen, scene.batch["condition"], _drops(scene, role))[0])

        def rebuilt(images: jax.Array, keys: jax.Array) -> Rebuilt:
            seen = self.augment(images, scene.view, "real")
            return self.critic.rebuilt(at, seen, scene.batch["condition"], keys)

        def mistold(images: jax.Array, shares: Mapping[str, jax.Array]) -> jax.Array:
            seen, right = self.augment(images, scene.view, "real"), scene.batch["condition"]
            wrong = {
                name: jnp.where(right[name] < 0, right[name], jnp.int32(shares[name] * classes))
                for name, classes in self.spec.conditions
            }
            return per_example(self.critic.score(at, seen, wrong, _drops(scene, "real"))[0])

        make = lambda drawn, batch: self._generated(at, drawn, batch)[0]
        return terms.CriticAt(
            at.params["critic"],
            score,
            make,
            rebuilt if self.critic.decodes else None,
            mistold if self.spec.conditions else None,
        )

    def _generator_at(self, at: Variables, scene: Scene) -> terms.GeneratorAt:
        params, generator = at.params["generator"], self.generator
        make = lambda drawn, batch: self._generated(at, drawn, batch)[0]
        if not isinstance(generator, generators.Styled):
            return terms.GeneratorAt(params, make)
        return terms.GeneratorAt(
            params,
            make,
            lambda drawn, batch: generator.styles(at, drawn, batch["condition"])[0],
            lambda styles, drawn: generator.synthesize(at, styles, drawn["keys"]),
        )

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """How the critic tells test pictures from generated ones."""
        common.check_batch(batch, self.spec)
        weight = common.weights_of(batch, self.spec)
        # Scores may depend on neighbours, so padding becomes a copy of the first example.
        real, condition = jax.tree.map(
            lambda x: jnp.where(weight.reshape(-1, *[1] * (x.ndim - 1)) > 0, x, x[:1]),
            (self.judged(state, batch["image"]), common.conditions_of(batch, self.spec)),
        )
        drawn = self.generator.draw(self._keys(random.stream(key, "evaluate"), len(weight)))
        fake = self._show(state, drawn["z"], drawn.get("keys"), condition, 1.0)
        other = self.generator.draw(self._keys(random.stream(key, "again"), len(weight)))
        again = self._show(state, other["z"], other.get("keys"), condition, 1.0)
        critic_of = lambda x: self.critic.judged(state.variables, x, condition)
        values = self._figures(critic_of(real), critic_of(fake), real, fake, weight)
        values["variety"] = per_example(jnp.abs(fake - again))
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        if told := [(name, classes) for name, classes in self.spec.conditions if classes > 1]:
            name, classes = min(told, key=lambda one: one[1])  # so that each has a few of the held-out pictures
            sums["least_variety"] = common.by_class(values["variety"], condition[name], classes, weight)
        return common.all_sums(sums, self.axis_name)

    def _figures(
        self, real_scores: Scores, fake_scores: Scores, real: jax.Array, fake: jax.Array, weight: jax.Array
    ) -> dict[str, jax.Array]:
        """Figures of each example (batch,)."""
        values = {"critic_loss": value_of(self.loss.critic, real_scores, fake_scores)}
        values["critic_accuracy"] = told_apart(self.loss, real_scores, fake_scores)
        real_scores, fake_scores = per_example(real_scores), per_example(fake_scores)
        values |= {"real_score": real_scores, "fake_score": fake_scores}
        # The steepest of a batch's pairs is a Lipschitz constant that the critic at least has.
        steepest = jnp.max(jnp.where(weight > 0, slope(real_scores, fake_scores, real, fake), 0.0))
        values["critic_lipschitz"] = jnp.broadcast_to(common.pmax(steepest, self.axis_name), weight.shape)
        return values

    def _show(
        self, state: State, z: jax.Array, keys: jax.Array | None, condition: Condition, truncation: float
    ) -> jax.Array:
        return self.generator.show(networks.averaged(state), z, keys, condition, truncation)

    def decode(self, state: State, latents: jax.Array, condition: Told = None, truncation: float = 1.0) -> jax.Array:
        """Pictures of latents. `truncation` scales them, or their styles' distance from the mean (1: no change)."""
        wanted = common.wanted_condition(self.spec, condition, latents.shape[0], None)
        return self.drawn(state, self._show(state, latents, None, wanted, truncation))

    def sample(
        self, state: State, key: jax.Array, num: int, condition: Told = None, truncation: float = 1.0, **chosen: float
    ) -> jax.Array:
        """Pictures of drawn latents, and drawn noise; `truncation` as in `decode`, `chosen` what the generator takes
        besides, such as the number of a video's frames.
        """
        drawn = self._drawn(key, num, **chosen)
        wanted = common.wanted_condition(self.spec, condition, num, random.stream(key, "sample"))
        return self.drawn(state, self._show(state, drawn["z"], drawn.get("keys"), wanted, truncation))

    def extend(
        self, state: State, images: jax.Array, key: jax.Array, condition: Told = None, frames: float | None = None
    ) -> jax.Array:
        """First frames -> videos of so many `frames`, a number that is static; None: as many as in training."""
        generator = self.generator
        assert isinstance(generator, generators.Moving)
        length = uses.number_of_frames(self.spec.image_shape[0] if frames is None else frames, images.shape[1])
        drawn = self._drawn(key, images.shape[0], frames=float(length))
        wanted = common.wanted_condition(self.spec, condition, images.shape[0], random.stream(key, "sample"))
        return generator.extend(networks.averaged(state), drawn["z"], images, wanted)

    def _drawn(self, key: jax.Array, num: int, **chosen: float) -> Drawn:
        key = random.stream(key, "sample")
        return self.generator.draw(lambda name: random.example_keys(random.stream(key, name), num), **chosen)

    def latents(self, state: State, key: jax.Array, num: int) -> jax.Array:
        """The latents that `sample` draws with the same key. What is noise besides, `decode` has fixed."""
        return self._drawn(key, num)["z"]

    def activate(self, state: State, latents: jax.Array, condition: Told = None) -> jax.Array:
        """The generator's first activations, (batch, features)."""
        wanted = common.wanted_condition(self.spec, condition, latents.shape[0], None)
        return networks.activations(self.roles, networks.averaged(state), "generator", latents, wanted)

    def map(self, state: State, latents: jax.Array, condition: Told = None, truncation: float = 1.0) -> jax.Array:
        """Styles of latents, (batch, layers, features), all layers of an example alike; `truncation` as in `decode`."""
        wanted = common.wanted_condition(self.spec, condition, latents.shape[0], None)
        made: jax.Array
        made, _ = networks.apply(
            self.roles, networks.averaged(state), "generator", latents, wanted, truncation=truncation, method="mapping"
        )
        return made

    def synthesize(self, state: State, styles: jax.Array) -> jax.Array:
        """Pictures of styles, with fixed noise."""
        assert isinstance(self.generator, generators.Styled)
        return jnp.clip(self.generator.synthesize(networks.averaged(state), styles, None), -1.0, 1.0)


def _drops(scene: Scene, name: str) -> jax.Array:
    """The key of what a critic drops in one pass of a round."""
    return random.stream(random.stream(scene.key, "dropout"), name)


def _loss(name: str) -> AdversarialLoss:
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(LOSSES)}"
        raise UserError(f"step.loss {name!r} is unknown; {hint}")
    return LOSSES[name]
