"""Projection, mixing, truncation and files of latents, on models of which the answer is known."""

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.types import to_uint8
from genart_jax.use import latent
from genart_jax.use.latent import files
from tests.use.latent import toy

PLAIN = latent.Options(steps=120, candidates=32, perceptual="none", prior=0.0, learning_rate=0.2)


def test_projection_recovers_the_latent_of_its_own_picture():
    space = toy.linear()
    codes = space.draw([(3, 0)], {"tint": 1})
    target = space.show(codes)[0]
    found = latent.project(space, target, options=PLAIN)
    assert found.codes.condition["tint"][0] == 1, "the condition is found, too"
    np.testing.assert_allclose(found.codes.values[0], codes.values[0], atol=0.05)
    assert found.pixel[0] < 0.004
    assert (np.diff(found.pixel) >= 0).all(), "the nearest first"
    np.testing.assert_array_equal(space.show(found.codes), found.images)
    whole = np.sqrt(np.mean(np.square((found.images[-1].astype(float) - target) / 255)))
    assert found.pixel[-1] == pytest.approx(whole, rel=1e-3)
    told = latent.project(space, target, {"tint": 0}, PLAIN)
    assert (told.codes.condition["tint"] == 0).all()
    assert told.pixel[0] > 0.004


def test_the_prior_keeps_latents_where_drawn_ones_are():
    space = toy.linear()
    bright = np.full(toy.SHAPE, 255, np.uint8)
    far, near = (latent.project(space, bright, options=PLAIN._replace(prior=p, steps=60)) for p in (0.0, 1.0))
    assert np.linalg.norm(near.codes.values[0]) < 0.5 * np.linalg.norm(far.codes.values[0])


def test_styles_are_projected_together_or_each_layer_its_own_way():
    space = toy.styled()
    odd = space.draw([(0, 0)])
    odd.values[0, 1] += [2.0, -1.0, 0.5]
    target = space.show(odd)[0]
    shared, own = (
        latent.project(space, target, {"tint": 0}, PLAIN._replace(each_layer=each)) for each in (False, True)
    )
    np.testing.assert_array_equal(shared.codes.values[:, 0], shared.codes.values[:, 1])
    assert own.pixel[0] < 0.01 < shared.pixel[0]
    with pytest.raises(ga.UserError, match="no layers to go their own way"):
        latent.project(toy.linear(), target, options=PLAIN._replace(each_layer=True))


def test_an_encoder_gives_a_start():
    space = toy.linear(toy.PLAIN, encodes=True)
    codes = space.draw([(3, 0)])
    found = latent.project(space, space.show(codes)[0], options=PLAIN._replace(steps=1, candidates=1, starts=1))
    np.testing.assert_allclose(found.codes.values[0], codes.values[0], atol=0.3)
    assert found.pixel[0] < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "must be positive"),
        ({"starts": 0}, "must be positive"),
        ({"perceptual": "eye"}, "there are lite0"),
    ],
)
def test_wrong_options_of_a_projection(options, message):
    with pytest.raises(ga.UserError, match=message):
        latent.project(toy.linear(), np.zeros(toy.SHAPE, np.uint8), options=PLAIN._replace(**options))
    with pytest.raises(ga.UserError, match=r"the picture is \(2, 2, 3\) uint8, wanted \(4, 4, 3\) uint8"):
        latent.project(toy.linear(), np.zeros((2, 2, 3), np.uint8))


def test_truncation_goes_to_the_middle():
    space = toy.linear(toy.PLAIN)
    codes = space.draw([(0, 0), (0, 1)])
    halves = codes._replace(values=codes.values / 2)
    np.testing.assert_array_equal(space.show(codes, 0.5), space.show(halves))
    space = toy.styled()
    codes = space.draw([(0, 0), (0, 1)])
    assert (space.show(codes, 0.0) == to_uint8(np.zeros(1))).all(), "w's mean"
    halves = codes._replace(values=5 + (codes.values - 5) / 2)
    np.testing.assert_array_equal(space.show(codes, 0.5), space.show(halves))
    in_z = toy.styled("z")
    np.testing.assert_array_equal(in_z.show(in_z.draw([(0, 0), (0, 1)]), 0.5), space.show(halves))
    with pytest.raises(ga.UserError, match=r"truncation 2: wanted 0 to 1\.5"):
        space.show(codes, 2.0)


def test_styles_are_mixed_by_layers_and_conditions_by_name():
    space = toy.styled()
    rows, columns = space.draw([(0, 0), (0, 1)]), space.draw([(1, 0), (1, 1), (1, 2)])
    mixed = latent.cross(space, rows, columns, [1])
    np.testing.assert_array_equal(mixed.values[4, 0], rows.values[1, 0])
    np.testing.assert_array_equal(mixed.values[4, 1], columns.values[1, 1])
    np.testing.assert_array_equal(latent.cross(space, rows, columns).values[4, 0], columns.values[1, 0])
    with pytest.raises(ga.UserError, match="there is no layer 2; there are 0 to 1"):
        latent.cross(space, rows, columns, [2])
    space = toy.linear()
    rows, columns = (space.draw([(s, 0), (s, 1)], {"tint": s}) for s in (0, 1))
    mixed = latent.cross(space, rows, columns)
    np.testing.assert_array_equal(mixed.values, np.repeat(rows.values, 2, axis=0))
    assert mixed.condition["tint"].tolist() == [1, 1, 1, 1]
    bare = toy.linear(toy.PLAIN)
    with pytest.raises(ga.UserError, match="neither styles nor conditions"):
        latent.cross(bare, bare.draw([(0, 0)]), bare.draw([(0, 1)]))


def test_arithmetic_with_means_of_classes(monkeypatch):
    space = toy.linear(toy.PLAIN, encodes=True)
    codes = space.draw([(0, 0), (0, 1)])
    means = {"a=1": np.array([1.0, 0, 0, 0]), "b=1": np.array([0, 2.0, 0, 0])}
    monkeypatch.setattr("genart_jax.use.latent.mix.class_mean", lambda space, word, *rest: means[word])
    done = latent.arithmetic(space, codes, ["a=1"], ["b=1"])
    np.testing.assert_allclose(done.values - codes.values, [[1, -2, 0, 0]] * 2, atol=1e-6)
    assert done.words[0].endswith("+a=1 -b=1")
    with pytest.raises(ga.UserError, match="toy does not encode pictures"):
        latent.class_mean(toy.linear(), "tint=tint0")


def test_latents_come_back_from_their_file(tmp_path):
    space, path = toy.linear(), tmp_path / "z.npz"
    codes = space.draw([(0, 0), (2, 65)], {"tint": 1})
    path.write_bytes(files.codes_bytes(space, codes))
    again = latent.read_codes(path, space)
    np.testing.assert_array_equal(again.values, codes.values)
    assert again.condition["tint"].tolist() == [1, 1]
    assert again.words == codes.words == ("seed 0 tint=tint1", "seed 2:65 tint=tint1")
    for other, message in ((toy.styled(), None), (toy.linear(toy.PLAIN), None)):
        assert message or latent.read_codes(path, other).values.shape[1:] == other.shape
    np.testing.assert_allclose(
        latent.read_codes(path, toy.styled()).values[:, 0], toy.styled().of_latents(codes.values, codes.condition)[:, 0]
    )
    w = tmp_path / "w.npz"
    w.write_bytes(files.codes_bytes(toy.styled(), toy.styled().draw([(0, 0)])))
    with pytest.raises(ga.UserError, match="no way back from to z; say --space w"):
        latent.read_codes(w, toy.styled("z"))
    with pytest.raises(ga.UserError, match="no way back"):
        latent.read_codes(w, space)
    bare = tmp_path / "bare.npz"
    bare.write_bytes(files.codes_bytes(toy.linear(toy.PLAIN), toy.linear(toy.PLAIN).draw([(0, 0)])))
    with pytest.raises(ga.UserError, match="does not say which tint"):
        latent.read_codes(bare, space)
    for content in (b"nothing", b""):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ga.UserError, match="is no file of latents that --save wrote"):
            latent.read_codes(tmp_path / "bad.npz", space)
    with pytest.raises(ga.UserError, match="No such file"):
        latent.read_codes(tmp_path / "none.npz", space)


def test_directions_come_back_from_their_file(tmp_path):
    space, path = toy.styled(), tmp_path / "d.npz"
    found = latent.sefa(space, 2, [0])
    path.write_bytes(files.directions_bytes(space, found))
    (one,) = latent.find(space, f"{path}:1")
    assert (one.name, one.spread, one.note) == found[1][:1] + found[1][2:]
    np.testing.assert_array_equal(one.vector, found[1].vector)
    with pytest.raises(ga.UserError, match=r"there is no .*d.npz:2"):
        latent.find(space, f"{path}:2")
    with pytest.raises(ga.UserError, match="holds directions in w"):
        latent.find(toy.linear(), str(path))
    with pytest.raises(ga.UserError, match="is no file of latents"):
        latent.read_codes(path, space)


def test_a_pictures_seed_is_that_of_samples():
    from genart_jax.use.sample import draw_samples

    space = toy.linear()
    sample = lambda state, key, num, condition=None: space.decode.function(state, toy.draw(state, key, num), condition)
    from genart_jax.steps import uses

    table = uses.table(sample=(sample, (uses.KEY, uses.NUM, uses.condition(toy.SPEC))))
    algorithm = space.model.algorithm._replace(uses=space.model.algorithm.uses | table)
    drawn = draw_samples(ga.Model(algorithm, space.state), space.saved, 70, 4)
    codes = space.draw([(4, 0), (4, 69)])
    np.testing.assert_array_equal(space.show(codes), drawn.images[[0, 69]])
    assert codes.condition["tint"].tolist() == drawn.condition["tint"][[0, 69]].tolist()


def test_a_prior_fills_in_what_a_degradation_took():
    """Half of the picture is not seen: of a linear model what is left decides the latent, and so the whole picture."""
    space = toy.linear()
    codes = space.draw([(3, 0)], {"tint": 1})
    whole = space.show(codes)[0]
    below = lambda images: images[:, toy.SHAPE[0] // 2 :]
    found = latent.project(space, below(whole[None])[0], options=PLAIN._replace(steps=200), through=below)
    assert found.images[0].shape == toy.SHAPE
    assert np.abs(found.images[0].astype(int) - whole).max() <= 3
    assert found.pixel[0] < 0.004
    with pytest.raises(ga.UserError, match=r"wanted \(\d+, \d+, 3\) uint8"):
        latent.project(space, whole, options=PLAIN, through=below)


def test_arithmetic_with_latents_of_seeds():
    """As they are drawn, and as long as what they are added to was."""
    space = toy.linear(toy.PLAIN)
    codes, others = (space.draw(seeds).values for seeds in ([(0, 0), (0, 1)], [(2, 0), (3, 1)]))
    done = latent.arithmetic(space, space.draw([(0, 0), (0, 1)]), ["2"], ["3:1"]).values
    wanted = codes + others[0] - others[1]
    np.testing.assert_allclose(np.linalg.norm(done, axis=1), np.linalg.norm(codes, axis=1), rtol=1e-5)
    turned = np.sum(done * wanted, axis=1) / np.linalg.norm(done, axis=1) / np.linalg.norm(wanted, axis=1)
    np.testing.assert_allclose(turned, 1, rtol=1e-5)
