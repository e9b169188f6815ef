"""The GAN of videos: its two codes, its length, and what its critic sees."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import video_gan
from genart_jax.nn.conv import conv
from tests import zoo

KEY = jax.random.key(0)
SHAPE, CONDITIONS = (3, 16, 16, 3), (("motion", 3),)


def networks(**options):
    """Of a small one."""
    sizes = {"hidden": 4, "width": 1, "embed_dim": 2, "style_dim": 8, "critic_width": 2}
    config = video_gan.Config(SHAPE, CONDITIONS, content_dim=3, motion_dim=2, **sizes)
    return video_gan.networks(ga.config.override(config, **options))


@functools.cache
def variables(role, **options):
    """A module, and its parameters."""
    network = networks(**options)[role]
    return network.module, jax.jit(lambda: network.module.init(KEY, *network.inputs()))()


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_frame_is_made_of_the_content_and_of_the_motion_so_far(cell):
    module, found = variables("generator", cell=cell)
    z = jax.random.normal(KEY, (2, 3 + 3 * 2))
    told = {"motion": jnp.array([0, 1])}
    made, aux = module.apply(found, z, told)
    assert made.shape == (2, *SHAPE)
    assert aux["styles"].shape == (2, 1 + 3, 8)
    later, _ = module.apply(found, z.at[:, 3 + 2 * 2 :].add(1.0), told)  # the last frame's noise
    np.testing.assert_array_equal(later[:, :2], made[:, :2])
    assert np.abs(later[:, 2] - made[:, 2]).max() > 1e-5
    first, first_aux = module.apply(found, z.at[:, 3:5].add(1.0), told)
    assert all(np.abs(first[:, t] - made[:, t]).max() > 1e-6 for t in range(3)), "the first is remembered"
    np.testing.assert_array_equal(first_aux["styles"][:, 0], aux["styles"][:, 0])
    content, content_aux = module.apply(found, z.at[:, :3].add(1.0), told)
    np.testing.assert_array_equal(content_aux["styles"][:, 1:], aux["styles"][:, 1:])
    assert all(np.abs(content[:, t] - made[:, t]).max() > 1e-6 for t in range(3))
    other, _ = module.apply(found, z, {"motion": jnp.array([2, 1])})
    assert np.abs(other[0] - made[0]).max() > 1e-6
    np.testing.assert_array_equal(other[1], made[1])


def test_one_picture_is_moved():
    module, found = variables("generator", frames="moved")
    z = jax.random.normal(KEY, (2, 3 + 3 * 2))
    shift = jnp.zeros(6).at[2].set(1 / 4)  # a quarter of the quarter of 16 pixels, to the left
    map_ = {"kernel": jnp.zeros_like(found["params"]["frame"]["map"]["kernel"]), "bias": shift}
    params = {**found["params"], "frame": {**found["params"]["frame"], "map": map_}}
    made, aux = module.apply({**found, "params": params}, z)
    assert (made.shape, aux["stage_0"].shape[0]) == ((2, *SHAPE), 2)
    still = {**params, "frame": {**params["frame"], "map": {**map_, "bias": 0 * shift}}}
    picture, _ = module.apply({**found, "params": still}, z)
    np.testing.assert_array_equal(picture[:, 0], picture[:, 2])
    np.testing.assert_allclose(made[:, 0, :, :-1], picture[:, 0, :, 1:], atol=1e-5)
    moving, _ = module.apply(found, z)
    later, _ = module.apply(found, z.at[:, 3 + 2 * 2 :].add(1.0))
    np.testing.assert_array_equal(later[:, :2], moving[:, :2])
    assert np.abs(later[:, 2] - moving[:, 2]).max() > 1e-5


def test_a_picture_that_is_given_is_moved_as_its_own_would_be():
    module, found = variables("generator", frames="moved")
    bias = jnp.array([0.1, 0.2, 0.3, -0.2, 0.15, -0.1])
    params = {**found["params"], "frame": {**found["params"]["frame"]}}
    params["frame"]["map"] = {**params["frame"]["map"], "bias": bias}
    z = jax.random.normal(KEY, (2, 3 + 5 * 2))
    video, aux = module.apply({"params": params, **{k: v for k, v in found.items() if k != "params"}}, z)
    extended = module.apply({**found, "params": params}, z, video[:, :2], method="extend")
    assert extended.shape == video.shape
    np.testing.assert_array_equal(extended[:, :2], video[:, :2])
    assert np.abs(extended[:, 2] - video[:, 1]).max() > 0.01  # it moves
    maps = np.concatenate([np.asarray(aux["maps"]), np.broadcast_to([[[0.0, 0, 1]]], (2, 5, 1, 3))], axis=2)
    wanted = np.linalg.inv(maps[:, 1:2]) @ maps[:, 2:]
    np.testing.assert_allclose(video_gan._from(aux["maps"][:, 1], aux["maps"][:, 2:]), wanted[:, :, :2], atol=1e-4)
    algorithm = zoo.tiny("video_gan", frames="moved")
    assert "extend" in algorithm.uses
    assert "extend" not in zoo.tiny("video_gan").uses


def test_the_critics_sizes_neighbours_and_patches():
    critic, found = variables("critic", minibatch_group=2, patches=True, clip_width=1)
    assert found["params"]["frame_down_0"]["kernel"].shape[-1] == 2
    assert found["params"]["clip_down_0"]["kernel"].shape[-1] == 1
    scores, _ = critic.apply(found, jax.random.normal(KEY, (4, *SHAPE)), {"motion": jnp.zeros(4, int)})
    shapes = {name: one.shape for name, one in scores.items()}
    assert shapes == {"frame": (4,), "clip": (4,), "patches": (4, 4, 4)}
    assert networks(minibatch_group=2)["critic"].group == 2


def test_the_clip_critic_may_hold_conditions_against_each_place():
    critic, found = variables("critic", clip_places=True)
    table = found["params"]["clip_embed"]["motion"]
    assert table.shape == (4, 4 * 4 * 4)  # 16 places of 4 channels in its last stage
    assert found["params"]["frame_embed"]["motion"].shape == (4, 4)
    x = jax.random.normal(KEY, (2, *SHAPE))
    score = lambda motion: critic.apply(found, x, {"motion": jnp.full(2, motion)})
    (one, aux), (other, _) = score(0), score(2)
    last = np.asarray(aux["clip_stage_1"]).reshape(2, -1)
    np.testing.assert_allclose(
        other["clip"] - one["clip"], last @ np.asarray(table[2] - table[0]), rtol=1e-4, atol=1e-4
    )


def test_a_video_is_as_long_as_is_asked_for_and_begins_alike():
    algorithm = zoo.tiny("video_gan")
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 8))
    sample = jax.jit(algorithm.sample, static_argnames=("num", "frames"))
    short, long = sample(state, KEY, num=2), sample(state, KEY, num=2, frames=5)
    assert (short.shape, long.shape) == ((2, *SHAPE), (2, 5, *SHAPE[1:]))
    np.testing.assert_allclose(long[:, :3], short, atol=1e-5)
    latents = jax.jit(algorithm.uses["draw"].function, static_argnums=2)(state, KEY, 2)
    assert latents.shape == (2, ga.get_config("video_gan", "tiny").model.latent_length(3))
    for frames, words in ((0.0, "wanted a number from 1 to 256"), (2.5, "wanted a whole number")):
        with pytest.raises(ga.UserError, match=words):
            algorithm.sample(state, KEY, 2, frames=frames)


def test_the_critic_sees_a_drawn_frame_and_the_clip():
    critic, found = variables("critic")
    x, told = jax.random.normal(KEY, (8, *SHAPE)), {"motion": jnp.zeros(8, int)}
    score = jax.jit(lambda x, key: critic.apply(found, x, told, train=True, rngs={"dropout": key})[0])
    scores = score(x, KEY)
    assert {name: one.shape for name, one in scores.items()} == {"frame": (8,), "clip": (8,)}
    again = score(x, jax.random.key(1))
    np.testing.assert_array_equal(again["clip"], scores["clip"])
    assert 0 < np.sum(np.asarray(again["frame"] != scores["frame"])) < 8, "another frame of some"
    # Frames in another order: the clip's score changes; with one and the same frame, the frame's does not.
    assert np.abs(score(x[:, ::-1], KEY)["clip"] - scores["clip"]).min() > 1e-6
    still = jnp.broadcast_to(x[:, 1:2], x.shape)
    middle, _ = critic.apply(found, x, told)
    np.testing.assert_allclose(score(still, KEY)["frame"], middle["frame"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [3, 4, 8])
def test_windows_of_frames_as_channels_make_a_convolution_in_time(frames):
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, frames, 4, 4, 2)), rng.standard_normal((4, 4, 4, 2, 3))
    flat = jnp.asarray(np.moveaxis(kernel, 0, 2).reshape(4, 4, 8, 3), jnp.float32)
    got = conv(video_gan.in_time(jnp.asarray(x, jnp.float32)).reshape(-1, 4, 4, 8), flat, strides=2)
    pads = [(1, 1 + frames % 2), (1, 1), (1, 1)]
    form = ("NDHWC", "DHWIO", "NDHWC")
    wanted = jax.lax.conv_general_dilated(x, kernel, (2, 2, 2), pads, dimension_numbers=form)
    np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-4)


def test_two_frames_are_one_window_and_one_stays():
    x = jnp.arange(2.0).reshape(1, 2, 1, 1, 1)
    np.testing.assert_array_equal(video_gan.in_time(x), [[[[[0.0, 1.0]]]]])
    np.testing.assert_array_equal(video_gan.in_time(x[:, :1]), x[:, :1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_shape": (16, 16, 3)}, r"image_shape \(16, 16, 3\): wanted videos"),
        ({"image_shape": (1, 16, 16, 3)}, "at least two frames"),
        ({"motion_dim": 0}, "video_gan: motion_dim must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, words):
    with pytest.raises(ga.UserError, match=words):
        networks(**options)
