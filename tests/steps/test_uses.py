"""Uses by name: what they are declared to take is what they take (each model's: test_models.py), no more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.steps import uses
from genart_jax.types import Input
from tests import zoo

KEY = jax.random.key(3)


def example(one, num=2):
    """A value of an input; a length that may be any is 16, of first frames 2."""
    rng = np.random.default_rng(0)
    one = one._replace(shape=tuple(n or (2 if len(one.shape) == 4 else 16) for n in one.shape))
    return {
        "pictures": lambda: jnp.asarray(rng.uniform(-1, 1, (num, *one.shape)), jnp.float32),
        "mask": lambda: jnp.asarray(rng.integers(0, 2, (num, *one.shape)), jnp.float32),
        "overview": lambda: jnp.asarray(rng.standard_normal((num, *one.shape)), jnp.float32),
        "latents": lambda: jnp.asarray(rng.standard_normal((num, *one.shape)), jnp.float32),
        "styles": lambda: jnp.asarray(rng.standard_normal((num, *one.shape)), jnp.float32),
        "codes": lambda: jnp.asarray(rng.integers(0, one.classes, (num, *one.shape)), jnp.int32),
        "key": lambda: KEY,
        "count": lambda: num,
        "condition": lambda: {name: jnp.zeros(num, jnp.int32) for name, _ in one.spec.conditions},
        "number": lambda: one.default,
    }[one.kind]()


@pytest.mark.parametrize("name", ["modgan", "mlp_vae"])
def test_what_is_drawn_is_what_samples_show(name):
    algorithm = zoo.tiny(name)
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 2))
    told = {"style": jnp.asarray([1, 2, 4]), "shape": jnp.asarray([0, 3, 8])}

    @jax.jit
    def both(state):
        latents = algorithm.use("draw").function(state, KEY, 3)
        return algorithm.decode(state, latents, told), algorithm.sample(state, KEY, 3, told)

    decoded, sampled = both(state)
    np.testing.assert_array_equal(decoded, sampled)


@pytest.mark.parametrize("name", ["mlp_gan", "drift", "sngan"])
def test_truncation_scales_the_latents(name):
    algorithm = zoo.tiny(name, conditions=())
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 2))
    latents = jax.random.normal(KEY, (3, *algorithm.uses["decode"].of_kind("latents")[0].shape))
    decode = jax.jit(lambda latents, truncation: algorithm.decode(state, latents, truncation=truncation))
    np.testing.assert_allclose(decode(latents, 0.5), decode(latents / 2, 1.0), atol=1e-6)
    spread = lambda truncation: jnp.std(algorithm.sample(state, KEY, 4, truncation=truncation), axis=0).mean()
    assert jax.jit(spread)(0.25) < 0.7 * jax.jit(spread)(1.0)


def test_pictures_are_made_of_mapped_styles():
    algorithm = zoo.tiny("stylegan2")
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 2))
    latents, told = jax.random.normal(KEY, (2, 8)), {"style": jnp.asarray([1, 2]), "shape": jnp.asarray([0, 3])}

    @jax.jit
    def both(state):
        styles = algorithm.use("map").function(state, latents, told, truncation=0.5)
        return algorithm.use("synthesize").function(state, styles), algorithm.decode(state, latents, told, 0.5)

    np.testing.assert_allclose(*both(state), atol=1e-6)


INPUTS = (
    Input("images", "pictures", (2, 2, 1)),
    Input("latents", "latents", (3,)),
    Input("codes", "codes", (2, 2), 5),
    uses.KEY,
    uses.NUM,
    uses.condition(ga.BatchSpec((2, 2, 1), (("style", 5),))),
    Input("amount", "number", low=0.0, high=1.5),
)
GOOD = {one.name: example(one) for one in INPUTS}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"images": np.zeros((2, 3, 3, 1), np.float32)}, r"all: images: got shape \(2, 3, 3, 1\)"),
        ({"images": np.full((2, 2, 2, 1), 2, np.float32)}, r"all: images: got .* in \[2, 2\]"),
        ({"latents": np.zeros((2, 4), np.float32)}, r"latents: got \(2, 4\) float32, wanted \(batch, 3\) floats"),
        ({"latents": np.zeros((2, 3), np.int32)}, "int32, wanted"),
        ({"codes": np.full((2, 2, 2), 5)}, "codes: got 5, wanted .* from 0 to 4"),
        ({"codes": np.zeros((2, 2, 2), np.float32)}, "codes: got .* float32"),
        ({"key": 3}, r"key: got \(\) int64, wanted one key, such as jax.random.key\(0\)"),
        ({"num": 0}, "num 0: wanted at least 1"),
        ({"num": 2.0}, "num: got float, wanted an int"),
        ({"condition": 2}, "condition: got int, wanted classes by name"),
        ({"condition": {"style": 5}}, "condition style: 5 is no class"),
        ({"condition": {"shape": 0}}, "condition 'shape' is unknown"),
        ({"amount": 1.6}, "amount: got 1.6, wanted a number from 0 to 1.5"),
        ({"amount": float("nan")}, "amount: got nan"),
        ({"amount": np.zeros(2)}, r"amount: got shape \(2,\)"),
        ({"flavour": 1}, "all takes images, latents, .*; got flavour"),
    ],
)
def test_wrong_inputs_are_named_in_one_line(wrong, words):
    function = uses.table(all=(lambda state, **given: given, INPUTS))["all"].function
    assert function(None, **GOOD).keys() == GOOD.keys()
    with pytest.raises(ga.UserError, match=words) as found:
        function(None, **(GOOD | wrong))
    assert "\n" not in str(found.value)


def test_missing_and_superfluous_inputs():
    function = uses.table(all=(lambda state, **given: given, INPUTS))["all"].function
    needed = {name: value for name, value in GOOD.items() if name not in ("condition", "amount")}
    assert function(None, **needed) == needed
    with pytest.raises(ga.UserError, match="key is missing"):
        function(None, *list(GOOD.values())[:3])
    with pytest.raises(ga.UserError, match="got 8 arguments"):
        function(None, *GOOD.values(), 1)
    with pytest.raises(ga.UserError, match="got images twice"):
        function(None, GOOD["images"], images=GOOD["images"])
    with pytest.raises(ga.UserError, match="make it static"):
        jax.jit(lambda num: function(None, **(GOOD | {"num": num})))(2)


def test_a_use_that_is_not_there_is_named_with_those_that_are():
    algorithm = zoo.tiny("simple_cnn")
    assert algorithm.sample is None
    with pytest.raises(ga.UserError, match="this model has no use 'sample'; it has predict"):
        algorithm.use("sample")


NAMES = {"style": ("noto", "fluent", "3", "four", "five"), "shape": tuple(map(str, range(9)))}


@pytest.fixture(scope="module")
def named():
    spec = ga.BatchSpec(zoo.SHAPE, zoo.CONDITIONS, class_names=NAMES)
    algorithm = ga.build("mlp_vae", preset="tiny", spec=spec, conditions=("style", "shape"))
    return algorithm, ga.init(algorithm, jax.random.key(0))


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ({"style": "fluent", "shape": 2}, {"style": 1, "shape": 2}),
        ({"style": "3", "shape": "3"}, {"style": 2, "shape": 3}),  # a class of that name before the number
        ({"style": ["five", "noto"], "shape": 0}, {"style": np.array([4, 0]), "shape": 0}),
        ({"style": np.array(["five", "noto"]), "shape": 0}, {"style": np.array([4, 0]), "shape": 0}),
    ],
)
def test_classes_by_their_names(named, words, numbers):
    algorithm, state = named
    key = jax.random.key(0)
    want = algorithm.sample(state, key, 2, numbers)
    np.testing.assert_array_equal(algorithm.sample(state, key, 2, words), want)
    np.testing.assert_array_equal(algorithm.sample(state, key, num=2, condition=words), want)
    latents = jax.numpy.zeros((2, algorithm.uses["decode"].inputs[0].shape[0]))
    got, want = (algorithm.decode(state, latents, told) for told in (words, numbers))
    np.testing.assert_array_equal(got, want)


def test_words_that_are_no_classes(named):
    algorithm, state = named
    key = jax.random.key(0)
    with pytest.raises(ga.UserError, match="style=apple is no class; choose from noto, fluent"):
        algorithm.sample(state, key, 2, {"style": "apple"})
    with pytest.raises(ga.UserError, match="has not learnt to do without"):
        algorithm.sample(state, key, 2, {"style": "none"})
    nameless = zoo.tiny("mlp_vae")
    with pytest.raises(ga.UserError, match=r"got noto, wanted 0 to 4; ga\.load knows names"):
        nameless.sample(state, key, 2, {"style": "noto"})
    with pytest.raises(ga.UserError, match="2 names for 5 classes"):
        ga.build("mlp_vae", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS,
                 class_names={"style": ("a", "b")})  # fmt: skip
