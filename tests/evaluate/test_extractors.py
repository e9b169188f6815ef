"""Networks that make features, by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax import assets, registry
from genart_jax.evaluate.extractors import CUBIC, Extractor, fitted, make_extractor


def pictures(n=5, size=(20, 28), channels=3):
    return np.random.default_rng(0).integers(0, 256, (n, *size, channels)).astype(np.uint8)


@pytest.mark.parametrize("size", [8, 16, 45])
def test_the_resize_filter_is_pillows_bicubic(size):
    """Pillow's is antialiased, with a = -0.5, and in float32 for pictures of floats."""
    images = pictures(2)
    features, logits = make_extractor(f"pixels:{size}")(images)
    assert logits is None
    for image, got in zip(images, features.reshape(2, size, size, 3), strict=True):
        for channel in range(3):
            plane = Image.fromarray(image[..., channel].astype(np.float32) / 127.5 - 1)
            expected = np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC))
            np.testing.assert_allclose(got[..., channel], expected, atol=2e-5)


def test_pixels_of_their_own_size_are_left_alone():
    images = pictures(3, (16, 16), 1)
    features, _ = make_extractor("pixels")(images)
    np.testing.assert_allclose(features, np.repeat(images, 3, -1).reshape(3, -1) / 127.5 - 1, atol=1e-6)


def test_parts_of_batches_make_no_difference():
    seen = []

    def apply(variables, x):
        seen.append(x.shape)
        return variables * jnp.mean(x, axis=(1, 2)), x[:, 0, 0]

    images = pictures(7, (4, 4))
    features, logits = Extractor("mean", "", (4, 4), CUBIC, apply, jnp.float32(2), batch=3)(images)
    np.testing.assert_allclose(features, 2 * ga.to_float(images).mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(logits, ga.to_float(images)[:, 0, 0], rtol=1e-5)
    assert seen == [(3, 4, 4, 3)]  # one program


def test_a_trained_classifier(runs):
    network = make_extractor(f"classifier:{runs / 'classifier'}")
    assert network.name == "simple_cnn_style"
    assert len(network.weights) == 64
    assert network.size == (32, 32)
    images = pictures(4, (32, 32))
    features, logits = network(images)
    assert features.shape == (4, 8)  # the hidden layer
    assert (features >= 0).all()
    algorithm, state = ga.load(runs / "classifier")
    expected = algorithm.predict(state, ga.to_float(images))
    np.testing.assert_allclose(jax.nn.log_softmax(logits), expected, atol=1e-5)
    assert make_extractor(f"classifier:{runs / 'digits_classifier'}").weights != network.weights
    with pytest.raises(ga.UserError, match="has no use 'predict'"):
        make_extractor(f"classifier:{runs / 'gan'}")


def test_a_judge_answers_as_it_predicts(tmp_path):
    """With mirror images it is another judge than without; one of another step than the package's is none the worse."""
    rng = np.random.default_rng(0)
    data = {"image": rng.integers(0, 256, (24, 16, 16, 3), np.uint8), "kind": np.arange(24) % 3}
    train = {"steps": 2, "batch": 8, "sample_every": 0}
    own = ga.configure(ga.get_config("benchmarks.semi_gan:Config"), width=2, label="kind", train=train)
    made = {"mirror": ga.configure("simple_cnn", preset="tiny", step={"mirror": True}), "own": own}
    digests = {}
    for name, run in made.items():
        ga.fit(ga.configure(run, parallel={"data": 1}), tmp_path / name, data=data)
        network, (algorithm, state) = make_extractor(f"classifier:{tmp_path / name}"), ga.load(tmp_path / name)
        _, logits = network(data["image"])
        expected = algorithm.use("predict").function(state, ga.to_float(data["image"]))
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        digests[name] = network.weights
    config = tmp_path / "mirror" / "config.json"
    config.write_text(config.read_text().replace('"mirror": true', '"mirror": false'))
    plain = make_extractor(f"classifier:{tmp_path / 'mirror'}")
    assert plain.weights != digests["mirror"]
    assert np.abs(plain(data["image"])[1] - plain(data["image"][:, :, ::-1])[1]).max() > 1e-4


@pytest.mark.parametrize(("name", "width"), [("lite0:32", 1280), ("vgg19:32", 512)])
def test_published_networks(name, width, monkeypatch):
    """With weights as they are initialised: the features are those of the network on pictures of its size."""

    def load(asset):
        if asset == "vgg19":
            from genart_jax.nn.vgg import VGG

            network = VGG(until="relu5_4")
            return dict(network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
        run = ga.configure(asset, image_shape=(32, 32, 3), conditions=(("class", 1000),))
        network = registry.model_module(asset).networks(run.model)["classifier"].module
        return dict(jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))

    monkeypatch.setattr(assets, "load", load)
    monkeypatch.setattr(assets, "sha256", lambda asset: "5" * 64)
    network = make_extractor(name)
    assert network.name == name.replace(":", "_")
    features, logits = network(pictures(2))
    assert features.shape == (2, width)
    assert np.isfinite(features).all()
    assert (logits is None) == (name == "vgg19:32")
    if logits is not None:
        assert logits.shape == (2, 1000)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("resnet", "unknown"),
        ("inception", "needs a file"),
        ("classifier", "needs a run"),
        ("pixels:big", "number of pixels"),
        ("inception:nowhere.pth", "nowhere.pth"),
        ("classifier:nowhere", "is not a run"),
        ("lite0", "assets fetch"),
    ],
)
def test_mistakes(word, words):
    with pytest.raises(ga.UserError, match=words):
        make_extractor(word)


def test_only_pictures_are_taken():
    for wrong in (np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)):
        with pytest.raises(ga.UserError, match="uint8 pictures"):
            make_extractor("pixels")(wrong)


def test_of_videos_a_network_of_pictures_sees_a_frame_each():
    rng = np.random.default_rng(0)
    videos = rng.integers(0, 256, (5, 3, 16, 16, 3), np.uint8)
    whole = make_extractor("pixels")
    network = fitted(whole, videos.shape[1:])
    assert network.name == "pixels_frames"
    frames = videos[np.arange(5), [0, 1, 2, 0, 1]]
    np.testing.assert_array_equal(network(videos)[0], whole(frames)[0])
    assert fitted(whole, (16, 16, 3)) is whole
    with pytest.raises(ga.UserError, match=r"wanted|not of \(5, 3, 16, 16, 3\)"):
        whole(videos)
    with pytest.raises(ga.UserError, match="pixels sees 16x16, this model makes 16x16x16; train a classifier"):
        fitted(whole, (16, 16, 16, 1))
    assert fitted(whole, (16, 16, 16, 3)).frames  # in colour: a clip, however long


def test_a_classifier_of_videos_sees_them_whole(tmp_path):
    rng = np.random.default_rng(0)
    videos, motion = rng.integers(0, 256, (24, 3, 16, 16, 3), np.uint8), np.arange(24) % 3
    run = ga.configure("simple_cnn", preset="tiny", parallel={"data": 1}, train={"steps": 2})
    ga.fit(run, tmp_path / "run", data={"image": videos, "motion": motion})
    network = make_extractor(f"classifier:{tmp_path / 'run'}")
    assert (network.name, network.size, network.resize) == ("simple_cnn_motion", (3, 16, 16), "as they are")
    assert fitted(network, (3, 16, 16, 3)) is network
    features, logits = network(videos)
    assert (features.shape, logits.shape) == ((24, 8), (24, 3))
    turned, _ = network(videos[:, ::-1])
    assert np.abs(turned - features).max() > 1e-4, "the order of frames counts"
    with pytest.raises(ga.UserError, match=r"pictures \(n, 3, 16, 16, 1 or 3\), not of \(24, 2, 16, 16, 3\)"):
        network(videos[:, :2])
    with pytest.raises(ga.UserError, match="simple_cnn_motion sees 3x16x16, this model makes 4x16x16"):
        fitted(network, (4, 16, 16, 3))
