"""Degradations against Pillow, SciPy, scikit-image and their definitions; each example depends on its own key alone."""

import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

import genart_jax as ga
from genart_jax.data import degrade
from genart_jax.nn.random import example_keys

KEY = jax.random.key(3)


def keys(n):
    return example_keys(KEY, n)


def pictures(n, height=48, width=32, channels=3, seed=0):
    """Smooth pictures with edges, uint8."""
    rng = np.random.default_rng(seed)
    noise = rng.random((n, height, width, channels))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 3, 3, 0))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    smooth[:, height // 3 : height // 2, width // 4 : width // 2] *= 0.3
    return np.rint(255 * smooth).astype(np.uint8)


def floats(*args, **options):
    return np.asarray(ga.to_float(pictures(*args, **options)))


def unit(images):
    return (np.asarray(images) + 1) / 2


ALL = {
    "boxes": degrade.boxes,
    "free_form": degrade.free_form,
    "scratches": degrade.scratches,
    "haze": degrade.haze,
    "low_light": degrade.low_light,
    "gamma": degrade.gamma,
    "color_cast": degrade.color_cast,
    "gaussian_noise": degrade.gaussian_noise,
    "poisson_noise": degrade.poisson_noise,
    "blur": functools.partial(degrade.blur, sigma=(0.5, 1.5)),
    "jpeg": degrade.jpeg,
    "old_photograph": degrade.old_photograph,
    "camera": functools.partial(degrade.camera, factor=2),
}


@pytest.mark.parametrize("name", ALL)
def test_each_example_depends_on_its_key_alone_and_stays_in_range(name):
    images = floats(4, 32, 32)
    whole = jax.jit(ALL[name])(images, keys(4))
    assert whole.image.dtype == jnp.float32
    assert float(jnp.abs(whole.image).max()) <= 1.0
    assert not np.allclose(whole.image, whole.image[:1])  # it does something, to each another thing
    part = jax.jit(ALL[name])(images[2:], keys(4)[2:])
    np.testing.assert_allclose(part.image, whole.image[2:], atol=1e-6)
    assert part.parameters.keys() == whole.parameters.keys()
    for parameter, values in part.parameters.items():
        assert len(values) == 2
        np.testing.assert_allclose(values, whole.parameters[parameter][2:], atol=1e-6, err_msg=parameter)


@pytest.mark.parametrize("name", ["boxes", "free_form", "scratches"])
def test_a_mask_says_where_the_picture_is_lost(name):
    images = floats(64, 40, 56)
    out, parameters = jax.jit(ALL[name])(images, keys(64))
    mask = np.asarray(parameters["mask"])
    assert mask.shape == (64, 40, 56, 1)
    assert set(np.unique(mask)) == {0.0, 1.0}
    np.testing.assert_allclose(out, np.where(mask > 0, 0.0, images), atol=1e-6)
    share = mask.mean((1, 2, 3))
    assert (share > 0).all()
    assert {"boxes": (0.05, 0.4), "free_form": (0.05, 0.5), "scratches": (0.005, 0.15)}[name][0] < share.mean()
    assert share.mean() < {"boxes": 0.4, "free_form": 0.5, "scratches": 0.15}[name]


def test_boxes_are_rectangles_of_the_sides_asked_for():
    _, parameters = degrade.boxes(floats(32, 40, 80), keys(32), count=1, side=(0.25, 0.5))
    for mask in np.asarray(parameters["mask"])[..., 0]:
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert mask.sum() == len(rows) * len(columns)
        assert 9 <= len(rows) <= 21
        assert 19 <= len(columns) <= 41


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("method", ["bicubic", "bilinear", "area"])
def test_downsampling_is_pillows(factor, method):
    images = floats(2, 48, 72, 3, seed=1)
    out, parameters = degrade.downsample(images, factor, method)
    how = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR, "area": Image.BOX}[method]
    size = (72 // factor, 48 // factor)
    for image, got in zip(images, np.asarray(out), strict=True):
        for channel in range(3):
            wanted = Image.fromarray(image[..., channel], mode="F").resize(size, how)
            np.testing.assert_allclose(got[..., channel], np.clip(np.asarray(wanted), -1, 1), atol=1e-3)
    assert parameters == {}


def test_haze_is_the_atmospheric_model_and_depth_is_smooth():
    images = floats(8)
    out, p = degrade.haze(images, keys(8), beta=(1.0, 1.5), airlight=(0.8, 0.9))
    beta, light = (np.asarray(p[name])[:, None, None, None] for name in ("beta", "airlight"))
    assert (beta >= 1).all()
    assert (beta <= 1.5).all()
    t = np.exp(-beta * np.asarray(p["depth"]))
    np.testing.assert_allclose(p["transmission"], t, atol=1e-5)
    np.testing.assert_allclose(unit(out), unit(images) * t + light * (1 - t), atol=1e-5)
    depth = np.asarray(p["depth"])[..., 0]
    assert np.abs(np.diff(depth, axis=1)).max() < 0.12
    assert depth[:, :8].mean() > depth[:, -8:].mean()


def test_low_light_gamma_and_cast_are_their_formulas():
    images = floats(8)
    shaped = lambda values: np.asarray(values)[:, None, None, None]
    out, p = degrade.low_light(images, keys(8))
    wanted = shaped(p["gain"]) * (shaped(p["exposure"]) * unit(images)) ** shaped(p["exponent"])
    np.testing.assert_allclose(unit(out), wanted, atol=1e-5)
    out, p = degrade.gamma(images, keys(8))
    exponents = np.asarray(p["exponent"])
    from skimage.exposure import adjust_gamma

    for image, got, exponent in zip(unit(images), unit(out), exponents, strict=True):
        np.testing.assert_allclose(got, adjust_gamma(image, exponent), atol=1e-5)
    out, p = degrade.color_cast(images, keys(8))
    np.testing.assert_allclose(
        unit(out), np.clip(unit(images) * np.asarray(p["gains"])[:, None, None], 0, 1), atol=1e-5
    )
    dark = jax.grad(lambda x: degrade.gamma(x, keys(8), (0.5, 0.6)).image.sum())(jnp.full_like(images, -1.0))
    assert np.isfinite(dark).all()


def test_noise_has_the_moments_of_its_distribution():
    grey = np.zeros((4, 96, 96, 1), np.float32)  # 0.5 of [0, 1]
    out, p = degrade.gaussian_noise(grey, keys(4), (0.05, 0.1))
    noise = unit(out) - 0.5
    np.testing.assert_allclose(noise.std((1, 2, 3)), p["sigma"], rtol=0.05)
    assert np.abs(noise.mean()) < 0.003
    out, p = degrade.poisson_noise(grey, keys(4), (50.0, 100.0))
    peak = np.asarray(p["peak"])
    photons = unit(out) * peak[:, None, None, None]
    np.testing.assert_allclose(photons, np.rint(photons), atol=1e-3)  # whole photons
    np.testing.assert_allclose(photons.mean((1, 2, 3)), 0.5 * peak, rtol=0.02)
    np.testing.assert_allclose(photons.var((1, 2, 3)), 0.5 * peak, rtol=0.08)


def test_blur_is_scipys():
    images = floats(3)
    out, p = degrade.blur(images, keys(3), (0.6, 2.0))
    for image, got, sigma in zip(images, np.asarray(out), np.asarray(p["sigma"]), strict=True):
        wanted = scipy.ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4.0)
        np.testing.assert_allclose(got, wanted, atol=1e-4)


def through_pillow(image, quality):
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(image.shape)


@pytest.mark.parametrize("size", [(48, 32), (45, 37)])
@pytest.mark.parametrize("channels", [3, 1])
def test_jpeg_is_pillows_at_the_same_quality(size, channels):
    images = pictures(12, *size, channels, seed=2)
    out, p = degrade.jpeg(ga.to_float(images), keys(12), (5, 95))
    qualities = np.asarray(p["quality"]).astype(int)
    assert qualities.min() < 30
    assert qualities.max() > 70
    for quality, image, got in zip(qualities, images, ga.to_uint8(out).astype(int), strict=True):
        wanted = through_pillow(image, int(quality)).astype(int)
        away, lost = np.abs(got - wanted), np.abs(wanted - image.astype(int)).mean()
        # Of 255 levels: libjpeg counts in whole numbers. Its loss is from 0.5 to 13.
        assert away.mean() < (0.8 if channels == 3 else 0.4), quality
        assert away.mean() < 0.4 * lost, quality
        # A coefficient halfway between two steps may be rounded the other way, for its whole block.
        assert (away > 2).mean() < 0.07, quality


def test_jpeg_passes_gradients():
    images = floats(2, 32, 32)
    gradient = jax.grad(lambda x: (degrade.jpeg(x, keys(2), (30, 30)).image ** 2).sum())(images)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).mean() > 0.1


def test_an_old_photograph_is_brown_faded_and_scratched():
    images = floats(8)
    out, p = degrade.old_photograph(images, keys(8), sepia=(1.0, 1.0), fading=(0.2, 0.2), grain=(0.0, 0.0))
    x, mask = unit(out), np.asarray(p["mask"])[..., 0] > 0
    paper, ink = np.array([0.93, 0.87, 0.74]), np.array([0.16, 0.10, 0.06])
    luma = unit(images) @ np.array([0.299, 0.587, 0.114])
    wanted = 0.8 * (ink + luma[..., None] * (paper - ink)) + 0.2 * paper
    np.testing.assert_allclose(x[~mask], wanted[~mask], atol=1e-5)
    np.testing.assert_allclose(x[mask], np.broadcast_to(paper, x[mask].shape), atol=1e-5)
    grey = degrade.old_photograph(floats(2, 32, 32, 1), keys(2)).image
    assert grey.shape == (2, 32, 32, 1)


def test_a_chain_is_its_stages_and_a_stage_more_changes_none_of_the_others():
    images = floats(4)
    noise, dark = degrade.gaussian_noise, functools.partial(degrade.gamma, exponent=(2.0, 3.0))
    _, alone = degrade.chain(noise=noise)(images, keys(4))
    out, both = degrade.chain(dark=dark, noise=noise)(images, keys(4))
    assert set(both) == {"dark/exponent", "noise/sigma"}
    np.testing.assert_array_equal(alone["noise/sigma"], both["noise/sigma"])
    clean = unit(images) ** np.asarray(both["dark/exponent"])[:, None, None, None]
    assert np.abs(unit(out) - clean).mean() < 0.15
    small = degrade.camera(images, keys(4), factor=2)
    assert small.image.shape == (4, 24, 16, 3)
    assert [name.partition("/")[0] for name in small.parameters] == [
        "lens", "light", "light", "light", "shot", "readout", "balance", "file",
    ]  # fmt: skip


def test_wrong_input_is_one_line():
    images = floats(2, 32, 32)
    for call, words in (
        (lambda: degrade.blur(images[0], keys(2)), "wanted .batch, height, width, 1 or 3"),
        (lambda: degrade.blur(pictures(2), keys(2)), "float32 in"),
        (lambda: degrade.blur(images, keys(3)), "one key an example"),
        (lambda: degrade.blur(images, keys(2), (2.0, 1.0)), "lower end first"),
        (lambda: degrade.downsample(images, 3), "32x32 by 3"),
        (lambda: degrade.downsample(images, 2, "nearest"), "nearest"),
        (lambda: degrade.jpeg(images, keys(2), (0, 50)), "1 to 100"),
        (lambda: degrade.poisson_noise(images, keys(2), (0.0, 5.0)), "photons"),
        (lambda: degrade.color_cast(images[..., :1], keys(2)), "3 channels"),
        (lambda: degrade.chain(), "no stages"),
    ):
        with pytest.raises(ga.UserError, match=words) as error:
            call()
        assert "\n" not in str(error.value)
