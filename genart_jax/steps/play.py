"""The engine of all steps: players that take turns.

A player moves the parameters of its roles along the gradient of a loss and of terms that regularise it. A game is its
players and what a round is about. Whatever the family, this file owns rounds, microbatches, means over devices, lazy
terms, optimizers, moving averages and the norms in the log; a family says what is drawn, made and lost.

In a game with a maker, the last player, what its networks make is made once in a round: the others take it as it is,
and the maker's gradient is the pullback of its loss's gradient with respect to what it made. So the maker's loss sees
its own networks by what they made, and by nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Run, UserError
from genart_jax.nn import random
from genart_jax.steps import common
from genart_jax.steps.schedules import value_at
from genart_jax.types import Batch, Loss, Metrics, Outcome, Scene, State, Subject, Term, Tree, Variables

Trees = Mapping[str, Tree]
T = TypeVar("T")

Pullback = Callable[[Tree], tuple[Tree]]
"""The cotangent of what was made -> the gradient of who made it."""

Due = bool | jax.Array
"""Whether a term is computed: known when tracing, or decided by `lax.cond`."""


def _as_it_is(state: State, metrics: Metrics, found: Trees, num: int) -> tuple[dict[str, Tree], Metrics]:
    return state.extra, metrics


class Player(NamedTuple):
    """Whose turn it is.

    Attributes:
      name: key of `State.opt`, and prefix of its norms in the log.
      roles: whose parameters it moves; with one role, its optimizer sees that role's parameters alone.
      loss: what it plays for.
      updates: how many it makes in a step, a critic each on a batch of its own.
      terms: what regularises it.
      subject: (variables, scene) -> what its terms regularise.
      after: (state, metrics, found, examples here) -> `State.extra` and metrics after each of its updates.
      measure: (variables, scene) -> means over the batch that a loss needs which is no mean over examples.
      searches: its optimizer searches along a line, with the loss's value and function.
    """

    name: str
    roles: tuple[str, ...]
    loss: Loss
    updates: int = 1
    terms: tuple[Term, ...] = ()
    subject: Callable[[Variables, Scene], Subject] = lambda at, scene: None
    after: Callable[[State, Metrics, Trees, int], tuple[dict[str, Tree], Metrics]] = _as_it_is
    measure: Callable[[Variables, Scene], Tree] | None = None
    searches: bool = False

    def own(self, trees: Trees) -> Tree:
        """Its parameters out of role -> parameters: a role's, or a dict where it has several."""
        return trees[self.roles[0]] if len(self.roles) == 1 else {role: trees[role] for role in self.roles}

    def whole(self, trees: Trees, own: Tree) -> dict[str, Tree]:
        """Role -> parameters, with its own replaced."""
        return {**trees, **({self.roles[0]: own} if len(self.roles) == 1 else own)}


class Game(NamedTuple):
    """Players, and what their rounds are about.

    Attributes:
      players: in their order; with `make`, the last one is the maker.
      optimizers: player -> its optimizer.
      draw: (state, batch, key) -> the scene of a round, nothing made yet.
      prepare: (batch, key) -> the round's batch, with what is hidden or mixed in it.
      make: (variables, scene) -> what the maker's networks make, and their collections by role.
      averaged: roles that have moving averages.
      decay: (age, examples over all devices) -> the decay of these averages.
      age: steps that they had behind them when the run began, in the run that it began from.
      chunks: into how many microbatches a batch is cut.
      group: how many neighbours stay together in that.
      separate: lazy terms get an update of their own, after the loss's, instead of joining it.
      axis_name: of `pmap` or `shard_map`.
    """

    players: tuple[Player, ...]
    optimizers: Mapping[str, optax.GradientTransformationExtraArgs]
    draw: Callable[[State, Batch, jax.Array], Scene]
    prepare: Callable[[Batch, jax.Array], Batch] = lambda batch, key: batch
    make: Callable[[Variables, Scene], tuple[Tree, Trees]] | None = None
    averaged: tuple[str, ...] = ()
    decay: Callable[[jax.Array, int], jax.Array] = lambda age, images: jnp.zeros(())
    age: int = 0
    chunks: int = 1
    group: int = 1
    separate: bool = False
    axis_name: str | None = None

    @property
    def rounds(self) -> int:
        """How many real batches a step takes: the most updates of a player that is no maker."""
        return max((p.updates for p in self.critics), default=1)

    @property
    def critics(self) -> tuple[Player, ...]:
        """The players that take what is made as it is."""
        return self.players[:-1] if self.make else self.players

    @property
    def lazy(self) -> tuple[tuple[str, int], ...]:
        """`Algorithm.lazy`: the lazy terms' names and periods."""
        return tuple((term.name, term.every) for player in self.players for term in player.terms if term.every)

    @property
    def carried(self) -> dict[str, float]:
        """What the terms keep in `State.extra`, at first: the last values, and what each carries."""
        terms = [term for player in self.players for term in player.terms]
        return {term.name: 0.0 for term in terms} | {k: v for term in terms for k, v in term.start.items()}


def alone(
    player: Player,
    config: Run,
    axis_name: str | None,
    draw: Callable[[State, Batch, jax.Array], Scene],
    prepare: Callable[[Batch, jax.Array], Batch] = lambda batch, key: batch,
    ema_decay: float = 0.0,
) -> Game:
    """The game of one player, as a configuration has it."""
    return Game(
        (player,),
        {player.name: common.optimizer_of(config, searches=player.searches)},
        draw,
        prepare,
        averaged=player.roles if ema_decay else (),
        decay=lambda age, images: common.ema_decay(ema_decay, age),
        age=config.train.ema_steps,
        chunks=common.chunks_of(config),
        axis_name=axis_name,
    )


def start(
    game: Game,
    made: Mapping[str, tuple[Tree, Tree]],
    extra: dict[str, Tree] | None = None,
    frozen: dict[str, Tree] | None = None,
) -> State:
    """The first state, from role -> (parameters, mutable collections)."""
    params = {role: params for role, (params, _) in made.items() if any(role in p.roles for p in game.players)}
    state = State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        mutable={role: mutable for role, (_, mutable) in made.items()},
        opt={player.name: game.optimizers[player.name].init(player.own(params)) for player in game.players},
        ema={},
        extra={name: jnp.full((), value, jnp.float32) for name, value in game.carried.items()} | (extra or {}),
        frozen=frozen or {},
    )
    return common.ema_start(state, game.averaged, bool(game.averaged))


def step(game: Game, state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None) -> tuple[State, Metrics]:
    """One step of a game: see `types.Algorithm`."""
    common.refuse_statistics(state.mutable, game.chunks)
    key = random.stream(key, "step", state.step)
    is_due = {name: state.step % n == 0 if due is None else name in due for name, n in game.lazy}

    def prepared(index: int | jax.Array) -> tuple[Batch, jax.Array]:
        key_i = random.stream(key, "round", index) if game.make else key
        return game.prepare(common.select(batch, index, game.rounds), key_i), key_i

    def early(playing: tuple[Player, ...], index: int | jax.Array, state: State) -> State:
        scene = game.draw(state, *prepared(index))
        scene = scene if game.chunks > 1 else _made(game, state, scene)  # in parts, each part makes its own
        return _critics(game, state, playing, scene, {})[0]

    # Whoever makes fewer updates plays in the last rounds. Equal rounds are compiled once, however many there are.
    last = game.rounds - 1
    begins = sorted({game.rounds - player.updates for player in game.critics} | {last})
    for low, high in itertools.pairwise(begins):
        playing = tuple(player for player in game.critics if game.rounds - player.updates <= low)
        state = jax.lax.fori_loop(low, high, lambda i, s, playing=playing: early(playing, i, s), state)
    ready = prepared(last)
    scene = game.draw(state, *ready)
    if game.make is None:
        state, metrics = _critics(game, state, game.critics, scene, is_due)
    else:
        state, metrics = _with_maker(game, state, ready[0], scene, is_due)
    images = len(jax.tree.leaves(scene.batch)[0]) * _devices(game)
    ema = common.ema_update(state.ema, state.params, state.mutable, game.decay(state.step + game.age, images))
    return state.replace(step=state.step + 1, ema=ema), metrics | {name: state.extra[name] for name in game.carried}


def _devices(game: Game) -> int:
    return 1 if game.axis_name is None else int(jax.lax.axis_size(game.axis_name))


def _with_maker(game: Game, state: State, batch: Batch, scene: Scene, due: Mapping[str, Due]) -> tuple[State, Metrics]:
    """The last round, of a scene that was drawn from `batch`: all critics, then the maker; and what the maker plays on
    its own.
    """
    maker = game.players[-1]
    if game.chunks == 1:
        params = common.varying(maker.own(state.params), game.axis_name)
        made, pullback, changed = _forward(game, state, params, scene)
        scene = scene._replace(made=made)
        state, metrics = _critics(game, state, game.critics, scene, due)
        computed = _pulled_back(game, state, scene, pullback, changed)
    else:  # in parts, the activations of one forward pass cannot wait for the critics' updates
        state, metrics = _critics(game, state, game.critics, scene, due)
        computed = _maker_alone(game, state, scene)
    state, own = _update(game, state, maker, computed, scene, due)
    for index in range(1, maker.updates):
        key = random.stream(scene.key, "again", index)
        again = game.draw(state, batch, key)
        state, own = _update(game, state, maker, _maker_alone(game, state, again), again, {})
    return state, metrics | own


def _critics(
    game: Game, state: State, playing: tuple[Player, ...], scene: Scene, due: Mapping[str, Due]
) -> tuple[State, Metrics]:
    """An update of each of these players, one after the other."""
    metrics: Metrics = {}
    for player in playing:
        computed = _gradient(game, state, player, scene)
        state, own = _update(game, state, player, computed, scene, due)
        metrics |= own
    return state, metrics


def _variables(game: Game, state: State) -> Variables:
    return state.variables._replace(params=common.varying(state.params, game.axis_name))


def _in_parts(game: Game, function: Callable[[Scene], T], scene: Scene) -> T:
    """The mean of `function(part)` over the microbatches of a scene."""

    def part(batch: Batch, drawn: Tree, made: Tree, view: Tree) -> T:
        return function(scene._replace(batch=batch, drawn=drawn, made=made, view=view))

    trees = scene.batch, scene.drawn, scene.made, scene.view
    return common.accumulate(part, game.chunks, *trees, group=game.group)


def _made(game: Game, state: State, scene: Scene) -> Scene:
    """The scene with what the maker makes of it, as far as no gradient goes back."""
    if game.make is None or scene.made is not None:
        return scene
    return scene._replace(made=game.make(state.variables, scene)[0])


class _Computed(NamedTuple):
    """A player's gradient, and what its loss says besides: means over the batch here."""

    grads: Tree
    metrics: Metrics
    found: Trees
    mutable: Trees


def _gradient(game: Game, state: State, player: Player, scene: Scene) -> _Computed:
    """A player's gradient by its loss."""
    at = _variables(game, state)
    if player.measure and game.chunks > 1:
        measure = player.measure
        scene = scene._replace(means=_in_parts(game, lambda part: measure(at, part), scene))

    def part(scene: Scene) -> _Computed:
        scene = _made(game, state, scene)  # in parts, the maker's activations are not kept

        def objective(own: Tree) -> tuple[jax.Array, Outcome]:
            outcome = player.loss(at._replace(params=player.whole(at.params, own)), scene)
            return jnp.mean(outcome.value), outcome

        if player.searches:
            value_of = lambda own: objective(own)[0]
            own, opt = player.own(at.params), state.opt[player.name]
            value, grads = optax.value_and_grad_from_state(value_of)(own, state=opt)
            return _Computed(grads, {"loss": value}, {"value": value, "grad": grads, "value_fn": value_of}, {})
        grads, outcome = jax.grad(objective, has_aux=True)(player.own(at.params))
        return _Computed(grads, outcome.metrics, outcome.found, outcome.mutable)

    return part(scene) if player.searches else _in_parts(game, part, scene)


def _forward(game: Game, state: State, params: Tree, scene: Scene) -> tuple[Tree, Pullback, Trees]:
    """What the maker makes, the pullback to its parameters, and its collections."""
    assert game.make is not None
    make, maker, at = game.make, game.players[-1], state.variables
    return jax.vjp(lambda own: make(at._replace(params=maker.whole(at.params, own)), scene), params, has_aux=True)


def _pulled_back(game: Game, state: State, scene: Scene, pullback: Pullback, changed: Trees) -> _Computed:
    """The maker's gradient, by what it has made."""
    maker, at = game.players[-1], _variables(game, state)

    def objective(made: Tree) -> tuple[jax.Array, Outcome]:
        outcome = maker.loss(at, scene._replace(made=made))
        return jnp.mean(outcome.value), outcome

    cotangent, outcome = jax.grad(objective, has_aux=True)(scene.made)
    return _Computed(pullback(cotangent)[0], outcome.metrics, outcome.found, {**changed, **outcome.mutable})


def _maker_alone(game: Game, state: State, scene: Scene) -> _Computed:
    """The maker's gradient, with forward passes of its own."""
    params = common.varying(game.players[-1].own(state.params), game.axis_name)

    def part(scene: Scene) -> _Computed:
        made, pullback, changed = _forward(game, state, params, scene)
        return _pulled_back(game, state, scene._replace(made=made), pullback, changed)

    return _in_parts(game, part, scene)


def _update(
    game: Game, state: State, player: Player, computed: _Computed, scene: Scene, due: Mapping[str, Due]
) -> tuple[State, Metrics]:
    """A player's update by its gradient, and by its terms where they are due (in rounds before the last: never)."""
    grads, metrics, found, changed = computed
    search, found = (found, {}) if player.searches else ({}, found)
    grads, metrics, found = common.pmean((grads, metrics, found), game.axis_name)
    state = state.replace(mutable={**state.mutable, **changed})
    for term in player.terms:
        if not (term.every and game.separate):
            added, state = _joined(game, state, player, term, scene, due.get(term.name, not term.every))
            grads = grads if added is None else jax.tree.map(jnp.add, grads, added)
    state, norms = _moved(game, state, player, grads, **search)
    for term in player.terms:
        if term.every and game.separate:
            state = _on_its_own(game, state, player, term, scene, due.get(term.name, False))
    num = len(jax.tree.leaves(scene.batch)[0])
    extra, metrics = player.after(state, metrics, found, num)
    return state.replace(extra=extra), metrics | norms


def _moved(game: Game, state: State, player: Player, grads: Tree, **search: Any) -> tuple[State, Metrics]:
    """An optimizer's update by a gradient that is the same on all devices."""
    own, opt, norms = common.update(
        player.name, game.optimizers[player.name], grads, state.opt[player.name], player.own(state.params), **search
    )
    params = player.whole(state.params, own)
    return state.replace(params=params, opt={**state.opt, player.name: opt}), norms


def _regular(game: Game, state: State, player: Player, term: Term, scene: Scene) -> tuple[Tree, dict[str, jax.Array]]:
    """The gradient of a term, and its entries of `State.extra`: means over the whole batch."""
    num, at = len(jax.tree.leaves(scene.batch)[0]), _variables(game, state)
    own_key = random.stream(scene.key, term.name)
    keys = lambda name: random.example_keys(random.stream(own_key, name), num, game.axis_name)
    weight = value_at(term.weight, state.step) * max(1, term.every)

    def part(scene: Scene) -> tuple[Tree, dict[str, jax.Array]]:
        scene = _made(game, state, scene)

        def penalty(own: Tree) -> tuple[jax.Array, dict[str, jax.Array]]:
            subject = player.subject(at._replace(params=player.whole(at.params, own)), scene)
            values, carried = term.value(subject, scene)
            value = jnp.mean(values)
            return weight * value, {term.name: value, **carried}

        grads, values = jax.grad(penalty, has_aux=True)(player.own(at.params))
        return grads, values

    scene = term.prepare(keys, scene._replace(carried=state.extra))
    return common.pmean(_in_parts(game, part, scene), game.axis_name)


def _kept(state: State, values: Trees, due: Due) -> dict[str, Tree]:
    """`State.extra` with a term's entries; `where` for the sake of donation, which frees only what is used."""
    return state.extra | {name: jnp.where(due, new, state.extra[name]) for name, new in values.items()}


def _joined(game: Game, state: State, player: Player, term: Term, scene: Scene, due: Due) -> tuple[Tree | None, State]:
    """What a term adds to the gradient of the player's update, None for nothing; `cond` holds nothing but this."""
    if due is False:
        return None, state

    def compute() -> tuple[Tree, dict[str, Tree]]:
        grads, values = _regular(game, state, player, term, scene)
        return grads, _kept(state, values, due)

    skip = lambda: (jax.tree.map(jnp.zeros_like, player.own(state.params)), state.extra)
    grads, extra = compute() if due is True else jax.lax.cond(due, compute, skip)
    return grads, state.replace(extra=extra)


def _on_its_own(game: Game, state: State, player: Player, term: Term, scene: Scene, due: Due) -> State:
    """The state after an update by a term alone, where it is due (Karras et al. 2020, appendix B)."""
    if due is False:
        return state

    def compute() -> tuple[Tree, Tree, dict[str, Tree]]:
        grads, values = _regular(game, state, player, term, scene)
        new, _ = _moved(game, state, player, grads)
        return player.own(new.params), new.opt[player.name], _kept(state, values, due)

    skip = lambda: (player.own(state.params), state.opt[player.name], state.extra)
    own, opt, extra = compute() if due is True else jax.lax.cond(due, compute, skip)
    return state.replace(params=player.whole(state.params, own), opt={**state.opt, player.name: opt}, extra=extra)


def check_periods(game: Game) -> None:
    """Raises UserError unless the lazy terms' periods divide one another: else each mix of them is a program more."""
    periods = sorted({every for _, every in game.lazy})
    for shorter, longer in itertools.pairwise(periods):
        if longer % shorter:
            named = ", ".join(f"{name} every {every}" for name, every in game.lazy)
            raise UserError(f"step: lazy terms' periods must divide one another, got {named}")
