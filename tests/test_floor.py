"""Configuration, image contract, grids and conditions."""

import ast
import inspect
import itertools
import json
import typing

import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import config as c
from genart_jax import registry
from genart_jax.data.conditions import class_word, condition_table, draw_conditions, parse_conditions
from genart_jax.data.source import Split
from genart_jax.metrics import accuracy
from genart_jax.types import check_images


def test_uint8_survives_the_round_trip():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    floats = ga.to_float(levels)
    assert floats.dtype == jnp.float32
    assert (float(floats.min()), float(floats.max())) == (-1.0, 1.0)
    np.testing.assert_array_equal(ga.to_uint8(floats), levels)
    np.testing.assert_array_equal(ga.to_uint8([-2.0, 2.0]), [0, 255])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 4, 4, 1), np.float32), r"\(2, 4, 4, 1\)"),
        (np.zeros((2, 4, 4, 3)), "float64"),
        (np.full((2, 4, 4, 3), np.nan, np.float32), "nan"),
        (np.full((2, 4, 4, 3), 3, np.float32), r"\[3, 3\]"),
        ("text", "None"),
    ],
)
def test_check_images_names_what_it_got_and_wanted(images, words):
    with pytest.raises(ga.UserError, match=words) as caught:
        check_images(images, (4, 4, 3))
    assert "wanted (batch, 4, 4, 3) float32 in [-1, 1]" in str(caught.value)


def test_configurations_round_trip_through_json(model):
    for preset in ("default", "tiny"):
        run = c.override(ga.get_config(model, preset), model={"image_shape": (32, 32, 3)})
        if hasattr(run.model, "conditions"):
            run = c.override(run, model={"conditions": (("style", 5),)})
        back = c.from_dict(c.Run, json.loads(c.to_json(run)), ga.get_config(model))
        assert back == run
        hash(run)


def test_one_of_many_and_lists_are_tuples():
    run = ga.configure("dcgan", conditions=["style"], data={"image_size": 64}, step={"critic_terms": "gp=10"})
    assert run.model.conditions == ("style",)
    assert run.data.image_size == (64,)
    assert run.step.critic_terms == ("gp=10",)
    assert ga.configure("dcgan", conditions=[["style", 5]]).model.conditions == (("style", 5),)


def test_unknown_options_are_named():
    with pytest.raises(ga.UserError, match="no option 'widht'"):
        ga.configure("dcgan", widht=3)
    with pytest.raises(ga.UserError, match="step: wanted a dict of its options, got None"):
        ga.configure("dcgan", step=None)
    with pytest.raises(ga.UserError, match="no option 'rate'"):
        ga.configure("dcgan", optimizer={"rate": 3})
    with pytest.raises(ga.UserError, match="another version"):
        c.from_dict(c.Train, {"stepz": 3})
    with pytest.raises(ga.UserError, match="image_shape is not set"):
        ga.build("dcgan")
    with pytest.raises(ga.UserError, match="without data"):
        ga.build("dcgan", image_shape=(32, 32, 3), conditions=("style",))
    with pytest.raises(ga.UserError, match="one"):
        ga.build("simple_cnn", image_shape=(32, 32, 3))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("conv_vae", {"step": {"likelihood": "gauss"}}, "gaussian, bernoulli"),
        ("dcgan", {"step": {"loss": "hinged"}}, "hinge"),
        ("dcgan", {"train": {"precision": "bf16"}}, "bfloat16"),
        ("dcgan", {"optimizer": {"schedule": "cosin"}}, "cosine"),
        ("dcgan", {"optimizer": {"learning_rate": "high"}}, "wanted float"),
        ("dcgan", {"width": 3.5}, "wanted int"),
        ("dcgan", {"image_shape": (32, 32)}, "height, width, channels"),
        ("dcgan", {"optimizer": {"name": "lbfgs"}}, "more than gradients"),
        ("conv_vae", {"latent_dim": 0}, "at least 1"),
        ("simple_cnn", {"dropout": 1.0, "conditions": (("style", 5),)}, "dropout"),
        ("dcgan", {"step": {"r1_gamma": -1.0}}, r"step\.r1-gamma must not be negative, as -1.0 is"),
        ("dcgan", {"step": {"condition_dropout": 1.5}}, r"step\.condition-dropout must be 0 to 1, not 1\.5"),
        ("dcgan", {"step": {"ema_images": -5.0}}, r"step\.ema-images must not be negative"),
        ("dcgan", {"step": {"critic_learning_rate": float("nan")}}, "critic-learning-rate must be a finite number"),
        ("dcgan", {"step": {"augment_target": -2.0}}, r"step\.augment-target must be -1 to 1, not -2\.0"),
        ("dcgan", {"optimizer": {"b2": 1.0}}, r"optimizer\.b2 must be 0 to below 1, not 1\.0"),
        ("dcgan", {"optimizer": {"b1": -1.0}}, r"optimizer\.b1 must be more than -1 to below 1"),
        ("dcgan", {"train": {"steps": 0}}, r"train\.steps must be at least 1, not 0"),
        ("dcgan", {"train": {"seed": 2**64}}, r"train\.seed must be 0 to 9223372036854775807, not"),
        ("dcgan", {"data": {"image_size": (32, 0)}}, r"data\.image-size must be at least 1, not 0"),
        ("dcgan", {"sweep": {"optimizer": {"eps": (1e-8, -1e-8)}}}, r"sweep\.optimizer\.eps must not be negative"),
        ("conv_vae", {"step": {"fixed_scale": 0.0}}, r"step\.fixed-scale must be more than 0, not 0\.0"),
        ("stylegan2", {"mapping_rate": 0.0}, r"model\.mapping-rate must be more than 0"),
        ("stylegan2", {"step": {"r1_every": 6, "path_every": 4}}, "periods must divide .* r1 every 6, path every 4"),
    ],
)
def test_wrong_values_are_named(name, options, words):
    with pytest.raises(ga.UserError, match=words):
        ga.build(name, **({"image_shape": (32, 32, 3)} | options))


def test_every_number_has_a_range():
    """Of the options here; a model's own are its `networks`' to check."""
    for cls in (c.Optimizer, c.Gan, c.Vae, c.VectorQuantized, c.Autoregressive, c.Classifier, c.Pixels, c.Stylize,
                c.Data, c.Translate, c.Cycle, c.Train, c.Parallel, c.SweepOptimizer, c.Sweep, c.Drift):  # fmt: skip
        for name, hint in typing.get_type_hints(cls, include_extras=True).items():
            plain = {int, float, int | None, float | None, tuple[int, ...], tuple[float, ...]}
            assert hint not in plain, f"{cls.__name__}.{name}"


def test_every_preset_is_within_its_ranges():
    for model in ga.list_models():
        for preset in registry.model_module(model).PRESETS:
            c.check_ranges(ga.get_config(model, preset))


def test_every_option_is_documented():
    """Help texts are the fields' docstrings; tyro reads them from the source."""
    for cls in (c.Optimizer, c.Gan, c.Vae, c.Classifier, c.Stylize, c.Translate, c.Cycle, c.Data, c.Train, c.Parallel,
                c.Drift):  # fmt: skip
        (node,) = ast.parse(inspect.getsource(cls)).body
        for field, after in itertools.pairwise([*node.body, None]):
            if isinstance(field, ast.AnnAssign):
                documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                assert documented, f"{cls.__name__}.{field.target.id}"


def test_resolve_fills_what_is_left_open():
    spec = c.BatchSpec((32, 32, 3), (("style", 5), ("shape", 9)))
    run = c.resolve(ga.get_config("dcgan"), spec)
    assert run.model.image_shape == (32, 32, 3)
    assert run.model.conditions == (("style", 5), ("shape", 9))
    one = c.resolve(ga.configure("dcgan", conditions=("shape",)), spec)
    assert one.model.conditions == (("shape", 9),)
    assert c.resolve(ga.configure("dcgan", conditions=()), spec).model.conditions == ()
    classifier = c.resolve(ga.configure("simple_cnn", label="shape"), spec)
    assert classifier.model.conditions == (("shape", 9),)
    assert c.resolve(ga.get_config("simple_cnn"), spec).model.label == "style"
    by_condition = c.resolve(ga.configure("simple_cnn", conditions=("shape",)), spec)
    assert by_condition.model.label == "shape"
    with pytest.raises(ga.UserError, match="one condition"):
        c.resolve(ga.configure("simple_cnn", conditions=("shape",), label="style"), spec)
    with pytest.raises(ga.UserError, match="no labels"):
        c.resolve(ga.get_config("simple_cnn"), c.BatchSpec())


def test_grid():
    images = np.zeros((5, 4, 6, 3), np.uint8)
    images[0, :, :, 0] = 255
    grid = ga.make_grid(images, columns=3, scale=2)
    assert grid.size == (3 * 14 + 2, 2 * 10 + 2)
    assert grid.getpixel((3, 3)) == (255, 0, 0)
    assert grid.getpixel((0, 0)) == (255, 255, 255)
    assert ga.make_grid(images, caption="style=noto").height > ga.make_grid(images).height


@pytest.mark.parametrize(("count", "side"), [(1, 28), (4, 96), (64, 128)])
def test_captions_can_be_read_at_every_size(count, side):
    """Letters of 14 pixels or more, words a quarter of that apart, and nothing cut off."""
    images = np.full((count, side, side, 3), 255, np.uint8)
    text = "style=noto seed=0 " + "a-class-with-a-long-name " * 8
    plain, written = ga.make_grid(images), ga.make_grid(images, caption=text)
    below = np.asarray(written)[plain.height :, :, 0] < 128
    columns = np.flatnonzero(below.any(axis=0))
    assert columns.min() >= 2
    assert columns.max() < written.width - 2
    one = np.asarray(ga.make_grid(images, caption="H"))[plain.height :, :, 0] < 128
    height = np.flatnonzero(one.any(axis=1))
    assert len(height) >= 0.6 * 14
    two = np.flatnonzero((np.asarray(ga.make_grid(images, caption="H H"))[plain.height :, :, 0] < 128).any(axis=0))
    assert np.diff(two).max() - 1 >= 0.4 * len(height)
    grey = ga.make_grid(np.full((1, 4, 4, 1), -1.0, np.float32))
    assert grey.getpixel((3, 3)) == (0, 0, 0)
    with pytest.raises(ga.UserError, match=r"\(4, 4, 3\)"):
        ga.make_grid(np.zeros((4, 4, 3)))


CONDITIONS = (("style", 3), ("color", 2))


def test_conditions_are_drawn_as_they_occur():
    style, color = np.array([0] * 30 + [1] * 60 + [2] * 10), np.array([0] * 30 + [1] * 70)
    table = condition_table(Split(100, {"style": style, "color": color}), ["style", "color"])
    assert table == [[0, 0, 30], [1, 1, 60], [2, 1, 10]]
    drawn = draw_conditions(CONDITIONS, table, 5000, seed=0)
    counts = np.bincount(drawn["style"]) / 5000
    np.testing.assert_allclose(counts, [0.3, 0.6, 0.1], atol=0.03)
    np.testing.assert_array_equal(drawn["color"], drawn["style"] > 0)
    one = draw_conditions(CONDITIONS, table, 50, seed=0, given={"style": 0})
    assert set(one["style"]) == {0}
    assert set(one["color"]) == {0}
    never = draw_conditions(CONDITIONS, table, 50, seed=0, given={"style": 0, "color": 1})
    assert (set(never["style"]), set(never["color"])) == ({0}, {1})
    hidden = draw_conditions(CONDITIONS, table, 50, seed=0, given={"style": -1})
    assert set(hidden["style"]) == {-1}
    assert draw_conditions((), [], 3, seed=0) == {}
    part = Split(4, {"style": np.array([-1, 0, 1, 2]), "color": np.array([0, 1, -1, 1])})
    part = condition_table(part, ["style", "color"])
    assert part == [[0, 1, 1], [2, 1, 1]]  # without the unlabelled, which no sample is drawn as
    drawn = draw_conditions(CONDITIONS, [[-1, 0, 90], *part], 50, seed=0)
    assert (set(drawn["style"]), set(drawn["color"])) == ({0, 2}, {1})
    for known in (table, []):  # the first are the same however many are drawn
        few, many = (draw_conditions(CONDITIONS, known, n, seed=4) for n in (5, 50))
        for name in few:
            np.testing.assert_array_equal(few[name], many[name][:5])


def test_accuracy_counts_no_unlabelled_picture():
    logits = np.eye(2)[[0, 1, 1, 0]]
    state = accuracy.update(accuracy.empty(2), logits, np.array([0, -1, 0, 0]), np.array([1, 1, 1, 2]))
    figures = accuracy.compute(state)
    assert figures.value == figures.balanced == 0.75
    with pytest.raises(ga.UserError, match="2 is no class; wanted 0 to 1"):
        accuracy.update(accuracy.empty(2), logits, np.array([0, 1, 2, 0]))


def test_condition_words():
    names = {"style": ("noto", "fluent"), "color": ("red", "blue")}
    assert parse_conditions(["style=fluent", "color=0"], names) == {"style": 1, "color": 0}
    assert parse_conditions(["style=none"], names) == parse_conditions(["style=-1"], names) == {"style": -1}
    # A name is taken before a number, and that before the word for a hidden one.
    odd = {"style": ("none", "01", "7", "1", "x")}
    asked = {word: parse_conditions([f"style={word}"], odd)["style"] for word in ("none", "01", "7", "1", "4", "-1")}
    assert asked == {"none": 0, "01": 1, "7": 2, "1": 3, "4": 4, "-1": -1}
    assert [class_word(odd["style"], i) for i in (-1, 0, 4)] == ["-1", "none", "x"]
    assert class_word(names["style"], -1) == "none"
    for words in (["style=noto", "style=fluent"], ["style"], ["=noto"], ["taste=sweet"], ["style=cubism"], ["style=7"],
                  ["style=2"], ["style=01"], ["style=-2"], ["style=\N{ARABIC-INDIC DIGIT ZERO}"]):  # fmt: skip
        with pytest.raises(ga.UserError):
            parse_conditions(words, names)
