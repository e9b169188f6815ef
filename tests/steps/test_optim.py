"""Optimizers against Optax's own, schedules at their ends, penalties against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genart_jax.config import Optimizer, UserError
from genart_jax.steps.optim import lazy_correction, make_optimizer, schedule

PARAMS = {"dense": {"kernel": jnp.array([[0.5, -1.0], [2.0, 0.1]]), "bias": jnp.array([0.3, -0.2])}}
MASK = {"dense": {"kernel": True, "bias": False}}


def run(tx, steps=5):
    params, state = PARAMS, tx.init(PARAMS)
    for i in range(steps):
        grads = jax.tree.map(lambda p, i=i: jnp.sin(p * (i + 1)) + 0.1, params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Optimizer("adam", 0.01, b1=0.5), optax.adam(0.01, b1=0.5)),
        (Optimizer("adam", 0.01, nesterov=True), optax.nadam(0.01)),
        (Optimizer("adamw", 0.01, weight_decay=0.1), optax.adamw(0.01, weight_decay=0.1, mask=MASK)),
        (Optimizer("sgd", 0.01, b1=0.9), optax.sgd(0.01, momentum=0.9)),
        (Optimizer("sgd", 0.01, b1=0.0), optax.sgd(0.01)),
        (Optimizer("lion", 0.01, b2=0.99, weight_decay=0.1), optax.lion(0.01, weight_decay=0.1, mask=MASK)),
        (Optimizer("rmsprop", 0.01, b1=0.0, b2=0.9), optax.rmsprop(0.01, decay=0.9)),
        (Optimizer("adabelief", 0.01, eps=1e-16), optax.adabelief(0.01)),
        (Optimizer("adam", 0.01, clip_norm=0.5), optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.01))),
        (Optimizer("sgd", 0.01, b1=0.0, clip_value=0.2), optax.chain(optax.clip(0.2), optax.sgd(0.01))),
    ],
)
def test_equals_optax(config, expected):
    got, wanted = run(make_optimizer(config, 10)), run(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, wanted)


def test_eps_is_where_its_help_says():
    """Of adam beside the root, of rmsprop under it: g moves by g / (|g| + eps), or by g / (g^2 + eps)^.5."""
    params, grads = {"kernel": jnp.zeros(())}, {"kernel": jnp.float32(1e-3)}
    for name, expected in (("adam", 1e-3 / (1e-3 + 1e-4)), ("rmsprop", 1e-3 / (1e-6 + 1e-4) ** 0.5)):
        tx = make_optimizer(Optimizer(name, 1.0, b1=0.0, b2=0.0, eps=1e-4), 10)
        updates, _ = tx.update(grads, tx.init(params), params)
        np.testing.assert_allclose(updates["kernel"], -expected, rtol=1e-5)


@pytest.mark.parametrize(("option", "gradient"), [("l1", jnp.sign), ("l2", lambda p: p)])
def test_penalties_add_their_gradient_to_kernels_only(option, gradient):
    tx = make_optimizer(Optimizer("sgd", 1.0, b1=0.0, **{option: 0.1}), 10)
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = tx.update(zero, tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["dense"]["kernel"], -0.1 * gradient(PARAMS["dense"]["kernel"]), rtol=1e-6)
    np.testing.assert_array_equal(updates["dense"]["bias"], 0)


@pytest.mark.parametrize(
    ("name", "middle", "end"),
    [("constant", 1.0, 1.0), ("cosine", 0.55, 0.1), ("linear", 0.55, 0.1), ("exponential", 0.1**0.5, 0.1)],
)
def test_schedules(name, middle, end):
    rate = schedule(Optimizer(learning_rate=1.0, schedule=name, warmup_steps=10, final_fraction=0.1), 110)
    np.testing.assert_allclose([rate(0), rate(5), rate(10), rate(60), rate(110)], [0, 0.5, 1, middle, end], rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Optimizer("adamm"), "adam"),
        (Optimizer("chain"), "not an optimizer"),
        (Optimizer(schedule="exponential"), "final-fraction"),
        (Optimizer(decay_paths="("), "regular expression"),
    ],
)
def test_wrong_options_are_named(config, words):
    with pytest.raises(UserError, match=words):
        make_optimizer(config, 10)


@pytest.mark.parametrize("every", [4, 16])
def test_lazy_correction_spans_one_update_more(every):
    """With it, every + 1 updates decay moments and move parameters as every updates do without it."""
    plain = Optimizer(learning_rate=0.01, b1=0.5, b2=0.99)
    corrected, rate = lazy_correction(plain, every, 0.02)
    np.testing.assert_allclose(corrected.b1 ** (every + 1), plain.b1**every, rtol=1e-12)
    np.testing.assert_allclose(corrected.b2 ** (every + 1), plain.b2**every, rtol=1e-12)
    np.testing.assert_allclose(
        [(every + 1) * corrected.learning_rate, (every + 1) * rate], [0.01 * every, 0.02 * every]
    )
    assert lazy_correction(plain, every)[1] is None
    with pytest.raises(UserError, match="negative momentum"):
        lazy_correction(Optimizer(b1=-0.5), every)
