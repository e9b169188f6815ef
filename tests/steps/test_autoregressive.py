"""The prior over codes: against PyTorch, cached against uncached, and trained on the run of a first stage."""

import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import genart_jax as ga
from genart_jax import registry
from genart_jax.app.cli import main
from genart_jax.steps import autoregressive
from genart_jax.steps.stages import complete
from genart_jax.train import bench, checkpoint
from tests import zoo
from tests.train.test_trainer import fit, small_data  # noqa: F401  # a fixture

KEY = jax.random.key(3)
LENGTH, CODES = 16, 16  # of the tiny tokenizer at 16x16


@pytest.fixture(scope="module")
def started():
    """(algorithm, state with large parameters, batch, the prior's module, its parameters)."""
    algorithm = zoo.tiny("code_prior")
    batch = zoo.batch(algorithm.batch_spec, 6)
    state = zoo.start(algorithm, KEY, batch)
    # Far from the small initial values, under which every code is about as likely.
    rng = np.random.default_rng(0)
    louder = jax.tree.map(lambda x: x + 0.3 * rng.normal(size=x.shape).astype(np.float32), state.params["prior"])
    state = state.replace(params={"prior": louder}, ema={"prior": {"params": louder}})
    config = _config()
    return (
        algorithm,
        state,
        batch,
        registry.model_module("code_prior").networks(config)["prior"].module,
        {"params": louder},
    )


def _config():
    run = ga.configure("code_prior", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS)
    return complete(run).model


def logits_of(prior, variables, codes, condition=None):
    """By one program; operation by operation, each would be compiled by itself."""
    return jax.jit(lambda v, c: prior.apply(v, c, condition)[0])(variables, codes)


def random_codes(num, seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(0, CODES, (num, LENGTH)), jnp.int32)


def written_out(params, codes, condition, heads):
    """The same transformer in NumPy, float64."""
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)

    def norm(x, p):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]

    dense = lambda x, p: x @ p["kernel"] + p.get("bias", 0)
    gelu = lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    batch, length = codes.shape
    before = np.concatenate([np.full((batch, 1), CODES), codes[:, :-1]], axis=1)
    x = params["tokens"][before] + params["positions"]
    for name, values in condition.items():
        x = x + params["embed"][name][np.asarray(values)][:, None]
    for i in range(sum(name.startswith("blocks_") for name in params)):
        p = params[f"blocks_{i}"]
        split = lambda y: y.reshape(batch, length, heads, -1).transpose(0, 2, 1, 3)
        q, k, v = map(split, np.split(dense(norm(x, p["norm_1"]), p["qkv"]), 3, axis=-1))
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
        shares = special.softmax(np.where(np.tri(length, dtype=bool), scores, -np.inf), axis=-1)
        x = x + dense((shares @ v).transpose(0, 2, 1, 3).reshape(batch, length, -1), p["project"])
        x = x + dense(gelu(dense(norm(x, p["norm_2"]), p["wide"])), p["narrow"])
    return dense(norm(x, params["norm"]), params["out"])


def test_likelihood_equals_the_definition(started):
    algorithm, state, batch, _, variables = started
    codes = np.asarray(jax.jit(algorithm.encode)(state, batch["image"], KEY)).reshape(6, LENGTH)
    logits = written_out(variables["params"], codes, batch["condition"], heads=2)
    chosen = np.take_along_axis(special.log_softmax(logits, axis=-1), codes[..., None], axis=-1)
    expected = -chosen.mean()
    sums = jax.jit(algorithm.evaluate)(state, batch, KEY)
    figures = {name: float(total / weight) for name, (total, weight) in sums.items()}
    np.testing.assert_allclose(figures["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(figures["bits_per_code"], expected / math.log(2), rtol=1e-5)
    np.testing.assert_allclose(figures["accuracy"], (logits.argmax(-1) == codes).mean(), atol=1e-6)
    assert expected > 3  # not the flat distribution's log(16) = 2.77


def test_a_position_sees_the_codes_before_it_alone(started):
    *_, prior, variables = started
    codes = random_codes(4)
    logits = jax.jit(lambda v, c: prior.apply(v, c)[0])
    whole = logits(variables, codes)
    for place in (0, 7, LENGTH - 1):
        other = logits(variables, codes.at[:, place].set((codes[:, place] + 1) % CODES))
        np.testing.assert_allclose(other[:, : place + 1], whole[:, : place + 1], atol=1e-6)
        if place < LENGTH - 1:
            assert np.abs(other[:, place + 1] - whole[:, place + 1]).max() > 1e-3


def test_steps_with_the_cache_equal_the_whole(started):
    *_, prior, variables = started
    codes, condition = random_codes(4), {"style": jnp.array([0, 1, -1, 4])}
    logits = logits_of(prior, variables, codes, condition)
    last, cache = jnp.full((4,), CODES, jnp.int32), prior.empty_cache(4)
    following = jax.jit(lambda last, i, cache: prior.apply(variables, last, i, cache, condition, method="next"))
    for i in range(LENGTH):
        step, cache = following(last, i, cache)
        np.testing.assert_allclose(step, logits[:, i], rtol=1e-4, atol=1e-5)
        last = codes[:, i]


def test_cached_sampling_equals_uncached(started):
    """The same draws from a loop that computes everything anew for each code."""
    from genart_jax.nn import random

    algorithm, state, _, prior, variables = started
    condition = {"style": 1, "shape": -1}
    images = jax.jit(lambda state: algorithm.sample(state, KEY, 5, condition))(state)
    keys = random.example_keys(random.stream(random.stream(KEY, "sample"), "codes"), 5)
    whole = {name: jnp.full(5, value) for name, value in condition.items()}
    codes = jnp.zeros((5, LENGTH), jnp.int32)

    @jax.jit
    def longer(codes, i):
        logits, _ = prior.apply(variables, codes, whole)
        draw = lambda key, row: jax.random.categorical(jax.random.fold_in(key, i), row)
        return codes.at[:, i].set(jax.vmap(draw)(keys, logits[:, i]))

    for i in range(LENGTH):
        codes = longer(codes, i)
    np.testing.assert_allclose(images, jax.jit(algorithm.decode)(state, codes.reshape(5, 4, 4)), atol=1e-5)
    assert len(np.unique(codes)) > 3


def test_one_forward_a_code(started):
    """All codes of a picture cost as much as one pass over the whole grid, plus the decoder."""
    algorithm, state, _, prior, variables = started
    flops = lambda f, *args: bench.count_flops(jax.make_jaxpr(f)(*args).jaxpr)
    sampling = flops(lambda s: algorithm.sample(s, KEY, 2), state)
    decoding = flops(algorithm.decode, state, random_codes(2).reshape(2, 4, 4))
    one = flops(lambda v, c: prior.apply(v, c, {})[0], variables, random_codes(2))
    embedding = flops(lambda v: prior.apply(v, 2, method=lambda m, n: m.embed({}, n)), variables)
    np.testing.assert_allclose(sampling - decoding, one + (LENGTH - 1) * embedding, rtol=1e-6)


def test_conditions_change_the_samples_and_may_be_hidden(started):
    algorithm, state, *_ = started
    sample = jax.jit(lambda state, i: algorithm.sample(state, KEY, 4, {"style": i, "shape": -1}), static_argnums=1)
    style = [sample(state, i) for i in (0, 1, -1)]
    assert not np.allclose(style[0], style[1])
    assert not np.allclose(style[0], style[2])


def test_a_cold_draw_takes_the_likeliest_code():
    algorithm = zoo.tiny("code_prior", step={"temperature": 1e-6})
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = zoo.start(algorithm, KEY, batch)
    sample = jax.jit(lambda state, key: algorithm.sample(state, key, 2, {"style": 0, "shape": 0}))
    cold = [sample(state, jax.random.key(seed)) for seed in (0, 1)]
    np.testing.assert_allclose(*cold, atol=1e-6)


@pytest.fixture
def tokenizer(tmp_path):
    return fit("vqvae", tmp_path / "vqvae")


def test_second_stage_on_the_run_of_the_first(tokenizer, tmp_path):
    run = fit("code_prior", tmp_path / "prior", tokenizer=str(tokenizer))
    saved = checkpoint.read_config(run).run.model
    assert (saved.grid, saved.codes, saved.tokenizer) == ((4, 4), CODES, str(tokenizer))
    first, (algorithm, state) = ga.load(tokenizer), ga.load(run)
    for role, params in first.state.params.items():
        jax.tree.map(np.testing.assert_array_equal, state.frozen["tokenizer"][role]["params"], params)
    book = state.frozen["tokenizer"]["quantizer"]["codebook"]
    jax.tree.map(np.testing.assert_array_equal, book, first.state.mutable["quantizer"]["codebook"])
    images = zoo.batch(algorithm.batch_spec, 4)["image"]
    codes = jax.jit(algorithm.encode)(state, images, KEY)
    np.testing.assert_array_equal(codes, jax.jit(first.algorithm.encode)(first.state, images, KEY))
    decoded = (jax.jit(one.decode)(at, codes) for one, at in ((algorithm, state), (first.algorithm, first.state)))
    np.testing.assert_array_equal(*decoded)
    # The first stage is not needed any more, by anything.
    shutil.move(tokenizer, tmp_path / "elsewhere")
    assert main(["sample", str(run), "--num", "4", "--condition", "style=noto", "--out", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").exists()
    assert int(ga.load(run).state.step) == 7
    content = json.loads((run / "config.json").read_text())
    assert set(content["data"]["frozen"]) == {"tokenizer"}
    sizes = [f.stat().st_size for f in (run / "checkpoints").rglob("*") if f.is_file()]
    assert sizes
    assert not any("quantizer" in f.read_text() for f in (run / "checkpoints").rglob("_METADATA"))


def test_without_the_trainer(tokenizer):
    algorithm = ga.build("code_prior", preset="tiny", tokenizer=str(tokenizer), conditions=zoo.CONDITIONS)
    assert algorithm.batch_spec.image_shape == zoo.SHAPE
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = zoo.start(algorithm, KEY, batch).replace(frozen=ga.load_frozen(algorithm))
    first = ga.load(tokenizer)
    expected = jax.jit(first.algorithm.encode)(first.state, batch["image"], KEY)
    np.testing.assert_array_equal(jax.jit(algorithm.encode)(state, batch["image"], KEY), expected)


def test_wrong_tokenizers(tmp_path):
    with pytest.raises(ga.UserError, match=r"--model\.tokenizer RUN"):
        fit("code_prior", tmp_path / "a", tokenizer=None)
    with pytest.raises(ga.UserError, match="is not a run"):
        fit("code_prior", tmp_path / "a", tokenizer=str(tmp_path / "nothing"))
    fit("simple_cnn", tmp_path / "cnn", train={"steps": 1})
    with pytest.raises(ga.UserError, match="simple_cnn makes no codes"):
        fit("code_prior", tmp_path / "a", tokenizer=str(tmp_path / "cnn"))
    with pytest.raises(ga.UserError, match="leave it out"):
        zoo.tiny("code_prior", codes=5)
    with pytest.raises(ga.UserError, match="image_shape is not set"):
        ga.build("code_prior", preset="tiny")
    with pytest.raises(ga.UserError, match="multiple of heads"):
        zoo.tiny("code_prior", heads=3)
    fit("vqvae", tmp_path / "vqvae", train={"steps": 1})
    with pytest.raises(ga.UserError, match=r"for pictures of \(16, 16, 3\), these have \(32, 32, 3\)"):
        ga.build("code_prior", tokenizer=str(tmp_path / "vqvae"), image_shape=(32, 32, 3))
    assert not (tmp_path / "a").exists()


def test_guidance_draws_from_logits_moved_away_from_those_without_conditions(started):
    _, state, _, prior, variables = started
    algorithm = zoo.tiny("code_prior", step={"temperature": 1e-4})
    told = {name: jnp.zeros(3, jnp.int32) for name, _ in zoo.CONDITIONS}
    untold = {name: jnp.full(3, -1) for name in told}
    codes = jnp.zeros((3, LENGTH), jnp.int32)
    for place in range(LENGTH):  # the likeliest code of each place, over and over from the beginning
        with_them, without = (logits_of(prior, variables, codes, given) for given in (told, untold))
        codes = codes.at[:, place].set(jnp.argmax((without + 2.5 * (with_them - without))[:, place], -1))
    guided = algorithm.sample(state, KEY, 3, told, guidance=2.5)
    np.testing.assert_allclose(guided, algorithm.decode(state, codes.reshape(3, 4, 4)), atol=1e-5)
    plain = algorithm.sample(state, KEY, 3, told)
    assert np.abs(guided - plain).max() > 1e-3  # else nothing was guided
    traced = jax.jit(lambda scale: algorithm.sample(state, KEY, 3, told, temperature=1.0, guidance=scale))
    np.testing.assert_allclose(traced(1.0), algorithm.sample(state, KEY, 3, told, temperature=1.0), atol=1e-5)


def test_samples_choose_numbers_within_their_ranges():
    numbers = {one.name: one for one in zoo.tiny("code_prior").use("sample").of_kind("number")}
    assert {name: (one.low, one.high, one.default) for name, one in numbers.items()} == {
        "temperature": (0.1, 2.0, 1.0), "guidance": (0.0, 10.0, 1.0),
    }  # fmt: skip
    shown = zoo.tiny("code_prior", step={"condition_dropout": 0.0, "temperature": 3.0})
    (only,) = shown.use("sample").of_kind("number")
    assert (only.name, only.high, only.default) == ("temperature", 3.0, 3.0)


def test_conditions_that_are_only_hidden_together_are_enough_for_guidance():
    algorithm = zoo.tiny("code_prior", step={"condition_dropout": 0.0, "unconditional": 0.1})
    assert algorithm.batch_spec.hidden == tuple(name for name, _ in zoo.CONDITIONS)
    assert {one.name for one in algorithm.use("sample").of_kind("number")} == {"temperature", "guidance"}


def test_guidance_without_hidden_conditions_is_refused():
    algorithm = zoo.tiny("code_prior", step={"condition_dropout": 0.0, "guidance": 2.0})
    state = jax.eval_shape(lambda: zoo.start(algorithm, KEY, zoo.batch(algorithm.batch_spec, 2)))
    with pytest.raises(ga.UserError, match="condition-dropout"):
        jax.eval_shape(lambda s: algorithm.sample(s, KEY, 2), state)


def test_all_conditions_are_hidden_together_besides(started):
    options = {"condition_dropout": 0.1, "unconditional": 0.3}
    run = ga.configure("code_prior", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS, step=options)
    run = complete(run)
    prior = autoregressive.Prior(registry.model_module("code_prior").networks(run.model), run, None)
    batch = zoo.batch(started[0].batch_spec, 4000)
    shown = prior.game.prepare(batch | {"image": batch["image"][:, :1, :1]}, KEY)["condition"]
    values = np.stack([np.asarray(value) for value in shown.values()])
    hidden = values < 0
    np.testing.assert_allclose(hidden.mean(1), 1 - 0.9 * 0.7, atol=0.02)
    np.testing.assert_allclose(hidden.all(0).mean(), 0.3 + 0.7 * 0.1 ** len(hidden), atol=0.02)
    np.testing.assert_array_equal(values[~hidden], np.stack([batch["condition"][name] for name in shown])[~hidden])
