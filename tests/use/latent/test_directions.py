"""Directions of models of which the answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.use import latent
from genart_jax.use.latent import labels
from genart_jax.use.latent.weights import first_weights
from tests import zoo
from tests.use.latent import toy


def alike(a, b, least=0.999):
    return abs(float(a @ b)) / np.linalg.norm(a) / np.linalg.norm(b) > least


def test_first_weights_are_the_kernel_without_what_stands_beside():
    np.testing.assert_allclose(first_weights(toy.linear()), toy.WEIGHTS.T, atol=1e-6)
    whole = np.concatenate([toy.STYLES[0].T, toy.STYLES[1].T])
    np.testing.assert_allclose(first_weights(toy.styled()), whole, atol=1e-6)
    np.testing.assert_allclose(first_weights(toy.styled(), [1]), toy.STYLES[1].T, atol=1e-6)


def test_sefa_is_the_eigendecomposition():
    values, vectors = np.linalg.eigh(toy.WEIGHTS.astype("float64") @ toy.WEIGHTS.T)
    found = latent.sefa(toy.linear(), 4)
    for n, one in enumerate(found):
        assert alike(one.vector, vectors[:, ::-1][:, n])
        assert (one.name, one.spread) == (f"sefa:{n}", pytest.approx(1.0))
        assert one.note.startswith(f"{values[::-1][n] / values.sum():.1%}")
    assert found[0].vector[np.argmax(np.abs(found[0].vector))] > 0
    _, vectors = np.linalg.eigh(toy.STYLES[1].astype("float64") @ toy.STYLES[1].T)
    (one,) = latent.sefa(toy.styled(), 1, [1])
    assert alike(one.vector[1], vectors[:, -1])
    np.testing.assert_array_equal(one.vector[0], np.zeros(3))
    with pytest.raises(ga.UserError, match="5 directions: the latents have 1 to 4"):
        latent.sefa(toy.linear(), 5)
    with pytest.raises(ga.UserError, match="no layers to choose from"):
        latent.sefa(toy.linear(), 1, [0])


def test_ganspace_is_the_principal_components():
    space = toy.styled()
    _, core, _ = space.core(500, 3)
    variances, vectors = (x[..., ::-1] for x in np.linalg.eigh(np.cov(core, rowvar=False)))
    for n, one in enumerate(latent.ganspace(space, 3, 500, 3)):
        assert alike(one.vector[0], vectors[:, n])
        np.testing.assert_array_equal(one.vector[0], one.vector[1])
        assert one.spread == pytest.approx(np.sqrt(variances[n]), rel=1e-2)
        assert one.note.startswith(f"{variances[n] / variances.sum():.1%}")


def test_ganspace_of_activations_is_regressed_on_z():
    """First activations x = W z + c: by least squares, z = sum of the components' coordinates times u."""
    space = toy.linear()
    latents, _, condition = space.core(800, 0, {"tint": 1})
    assert (condition["tint"] == 1).all()
    x = latents @ toy.WEIGHTS
    _, _, components = np.linalg.svd(x - x.mean(0), full_matrices=False)
    coordinates = (x - x.mean(0)) @ components[:4].T
    wanted = np.linalg.lstsq(coordinates, latents - latents.mean(0), rcond=None)[0]
    for n, one in enumerate(latent.ganspace(space, 4, 800, 0, {"tint": 1})):
        assert alike(one.vector, wanted[n], 0.99)


def test_dimensions_are_ranked_by_what_they_change():
    weights = toy.WEIGHTS * np.array([[0.0], [3.0], [1.0], [0.1]], np.float32)
    found = latent.dimensions(toy.linear(weights=weights), 4, 4)
    assert [one.name for one in found] == ["dim:1", "dim:2", "dim:3", "dim:0"]
    assert found[-1].note == "changes a pixel by 0.000 of [-1, 1]"


@pytest.mark.parametrize("method", ["logistic", "mean"])
def test_a_label_s_direction_flips_a_linear_classifier(method):
    space = toy.linear()
    latents, _, _ = space.core(1500, 0)
    normal = np.array([3.0, -1.0, 0.0, 2.0])
    sees = lambda z: z @ normal > 1.0
    one = latent.separating(space, latent.Labelled(latents, sees(latents), "latents"), "bright", method)
    assert alike(one.vector, normal, 0.99)
    assert one.vector @ normal > 0
    assert int(one.note.split()[-1].rstrip("%")) > 90
    codes = space.draw([(9, i) for i in range(6)])
    for i in range(6):
        moved = latent.move(codes.take([i]), one, [-5.0, 0.0, 5.0])
        assert sees(moved.values).tolist() == [False, bool(sees(codes.values[i])), True]
        np.testing.assert_allclose(moved.values[1], codes.values[i], atol=1e-6)
    blind = latent.separating(space, latent.Labelled(latents, np.arange(1500) % 2 == 0, "latents"), "odd", method)
    assert blind.note.endswith("the latents hardly hold it")
    with pytest.raises(ga.UserError, match="rare: 7 of 1500 latents have it"):
        latent.separating(space, latent.Labelled(latents, np.arange(1500) < 7, "latents"), "rare", method)


def test_labels_of_a_classifier(tmp_path, monkeypatch):
    """One that sees how bright the first pixel is: the direction is that pixel's weights."""
    (tmp_path / "config.json").write_text("{}")
    spec = ga.BatchSpec(toy.SHAPE, (("light", 2),), class_names={"light": ("dark", "bright")})
    sees = lambda state, images: jax.nn.log_softmax(jnp.stack([-images[:, 0, 0, 0], images[:, 0, 0, 0]], 1) * 9)
    from genart_jax.steps import uses
    from genart_jax.types import Algorithm

    algorithm = Algorithm(spec, 1, None, None, None, {}, uses.table(predict=(sees, (uses.pictures(spec),))))
    monkeypatch.setattr(labels, "load", lambda run: ga.Model(algorithm, {}, toy.saved(spec)))
    space = toy.linear(toy.PLAIN)
    (one,) = latent.find(space, f"{tmp_path}=bright", num=600)
    assert alike(one.vector, toy.WEIGHTS[:, 0], 0.98)
    with pytest.raises(ga.UserError, match="condition light=red is no class; choose from dark, bright"):
        latent.find(space, f"{tmp_path}=red", num=64)


def test_a_condition_s_direction_where_the_latents_hold_it():
    (one,) = latent.find(toy.styled(), "tint=tint1", num=400, method="mean")
    assert alike(one.vector[0], np.array([1.0, 0, 0]), 0.9)
    assert one.vector[0, 0] > 0
    with pytest.raises(ga.UserError, match=r"toy is given its conditions beside z.*--condition tint=tint1"):
        latent.find(toy.linear(), "tint=tint1")
    with pytest.raises(ga.UserError, match="'hue' is no condition of this model"):
        latent.find(toy.linear(), "hue=red")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("up", "direction 'up' is unknown; there are sefa:0"),
        ("dim:4", "there is no dim:4; the latents have dim:0 to dim:3"),
        ("sefa:9", "there is no sefa:9; there are sefa:0 to sefa:3"),
        ("none.npz:0", "none.npz: No such file"),
        ("=bright", "write NAME=CLASS"),
    ],
)
def test_unknown_directions_are_named(word, message):
    with pytest.raises(ga.UserError, match=message):
        latent.find(toy.linear(), word)


@pytest.mark.parametrize("name", ["mlp_vae", "modgan", "biggan", "stylegan2", "fastgan", "vqvae", "simple_cnn"])
def test_models_have_first_weights(name):
    """Without training, or initialising: of random numbers in the shapes of its state."""
    algorithm = zoo.tiny(name)
    if "draw" not in algorithm.uses:
        with pytest.raises(ga.UserError, match="latent is for models with continuous latents"):
            latent.Space(ga.Model(algorithm, None, toy.saved(algorithm.batch_spec)))
        return
    shapes = jax.eval_shape(algorithm.init, jax.random.key(0), zoo.full_batch(algorithm, 2))
    rng = np.random.default_rng(0)
    state = jax.tree.map(lambda x: jnp.asarray(rng.uniform(0.1, 1, x.shape), x.dtype), shapes.replace(opt={}, extra={}))
    space = latent.Space(ga.Model(algorithm, state, toy.saved(algorithm.batch_spec)))
    weights = first_weights(space)
    assert weights.shape[1] == space.length
    assert np.linalg.norm(weights, axis=0).min() > 0
