"""StyleGAN2 from a state dict in the published layout, against a forward pass of its own in NumPy, float64."""

import functools

import jax
import numpy as np
import pytest
import safetensors.numpy

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.nn import random, style
from genart_jax.train import checkpoint, published

Z, W, CLASSES, CHANNELS = 6, 6, 3, {4: 8, 8: 8, 16: 4}
FILTER = np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64
KEY = jax.random.key(3)


def generator(rng, classes, layers=3):
    """A random state dict of a generator, with the published names."""
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    out = {"mapping.w_avg": draw(W)}
    for i in range(layers):  # of learning-rate multiplier 0.01: a hundred times as large
        out[f"mapping.fc{i}.weight"] = 100 * draw(W, W if i else Z * (1 + bool(classes)))
        out[f"mapping.fc{i}.bias"] = 20 * draw(W)
    if classes:
        out |= {"mapping.embed.weight": draw(Z, classes), "mapping.embed.bias": draw(Z)}
    out["synthesis.b4.const"] = draw(CHANNELS[4], 4, 4)
    for side, channels in CHANNELS.items():
        block = f"synthesis.b{side}"
        out[f"{block}.resample_filter"] = FILTER.astype(np.float32)
        for name in ("conv0", "conv1")[side == 4 :]:
            inputs = CHANNELS[side // 2] if name == "conv0" else channels
            layer = f"{block}.{name}"
            out |= {f"{layer}.weight": draw(channels, inputs, 3, 3), f"{layer}.bias": 0.3 * draw(channels)}
            out |= {f"{layer}.affine.weight": draw(inputs, W), f"{layer}.affine.bias": 1 + 0.1 * draw(inputs)}
            out |= {f"{layer}.noise_const": draw(side, side), f"{layer}.noise_strength": 0.5 * draw()}
        rgb = f"{block}.torgb"
        out |= {f"{rgb}.weight": draw(3, channels, 1, 1), f"{rgb}.bias": draw(3)}
        out |= {f"{rgb}.affine.weight": draw(channels, W), f"{rgb}.affine.bias": 1 + 0.1 * draw(channels)}
    return {name: np.asarray(value, np.float32) for name, value in out.items()}


def critic(rng, classes, residual=True, layers=2):
    """A random state dict of a critic, with the published names."""
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    conv = lambda name, o, i, k: {f"{name}.weight": draw(o, i, k, k), f"{name}.bias": 0.3 * draw(o)}
    side = max(CHANNELS)
    out = conv(f"b{side}.fromrgb", CHANNELS[side], 3, 1)
    while side > 4:
        here, below = CHANNELS[side], CHANNELS[side // 2]
        out |= conv(f"b{side}.conv0", here, here, 3) | conv(f"b{side}.conv1", below, here, 3)
        out[f"b{side}.resample_filter"] = FILTER.astype(np.float32)
        if residual:
            out[f"b{side}.skip.weight"] = draw(below, here, 1, 1)
        side //= 2
    channels = CHANNELS[4]
    out |= conv("b4.conv", channels, channels + 1, 3)
    out |= {"b4.fc.weight": draw(channels, 16 * channels), "b4.fc.bias": draw(channels)}
    out |= {"b4.out.weight": draw(W if classes else 1, channels), "b4.out.bias": draw(W if classes else 1)}
    if classes:
        out |= {"mapping.embed.weight": draw(W, classes), "mapping.embed.bias": draw(W)}
        for i in range(layers):
            out |= {f"mapping.fc{i}.weight": 100 * draw(W, W), f"mapping.fc{i}.bias": 20 * draw(W)}
    return out


# The networks by the papers' formulas, (n, channels, height, width).
def lrelu(x):
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def dense(t, name, x, rate=1.0):
    weight = t[f"{name}.weight"].astype(np.float64)
    return x @ weight.T * rate / np.sqrt(weight.shape[1]) + t[f"{name}.bias"] * rate


def unit(x):
    return x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-8)


def correlate(x, w, pad):
    """Each output is the sum over a window, w of (out, in, k, k), or (n, out, in, k, k) of each example's own."""
    k = w.shape[-1]
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))
    return np.einsum("nchwij,nocij->nohw" if w.ndim == 5 else "nchwij,ocij->nohw", windows, w, optimize=True)


def scatter(x, w):
    """A transposed convolution of stride 2: each pixel adds its copy of the kernel. (n, out, 2h + 1, 2w + 1)."""
    n, _, height, width = x.shape
    out = np.zeros((n, w.shape[1], 2 * height + 1, 2 * width + 1))
    for i, j in np.ndindex(height, width):
        out[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("nc,nocij->noij", x[:, :, i, j], w)
    return out


def filtered(x, pad, gain=1.0):
    one = np.zeros((x.shape[1], x.shape[1], 4, 4))
    one[np.arange(x.shape[1]), np.arange(x.shape[1])] = FILTER * gain
    return correlate(x, one, pad)


def doubled(x):
    """An image with zeros between its pixels, filtered."""
    out = np.zeros((*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1))
    out[:, :, ::2, ::2] = x
    return filtered(out, 2, 4.0)


def by_hand(t, z, label, noise, layers=3):
    """Pictures of latents, classes and each layer's noise (n, side, side)."""
    x = unit(z)
    if label is not None:
        one_hot = np.eye(CLASSES)[label]
        x = np.concatenate([x, unit(dense(t, "mapping.embed", one_hot))], 1)
    for i in range(layers):
        x = lrelu(dense(t, f"mapping.fc{i}", x, 0.01))
    w, noise = x, iter(noise)

    def layer(name, x, up=False):
        weight = t[f"{name}.weight"].astype(np.float64)[None] * dense(t, f"{name}.affine", w)[:, None, :, None, None]
        weight = weight / np.sqrt((weight**2).sum((2, 3, 4), keepdims=True) + 1e-8)
        x = filtered(scatter(x, weight), 1, 4.0) if up else correlate(x, weight, 1)
        x = x + t[f"{name}.noise_strength"] * next(noise)[:, None]
        return lrelu(x + t[f"{name}.bias"][:, None, None])

    x, image = np.broadcast_to(t["synthesis.b4.const"], (len(w), *t["synthesis.b4.const"].shape)), 0.0
    for side, channels in CHANNELS.items():
        block = f"synthesis.b{side}"
        x = layer(f"{block}.conv0", x, up=True) if side > 4 else x
        x = layer(f"{block}.conv1", x)
        scales = dense(t, f"{block}.torgb.affine", w) / np.sqrt(channels)
        rgb = correlate(x, t[f"{block}.torgb.weight"][None] * scales[:, None, :, None, None], 0)
        image = (doubled(image) if side > 4 else 0.0) + rgb + t[f"{block}.torgb.bias"][:, None, None]
    return image


def scored(t, images, label, residual=True, layers=2):
    """The critic's scores of one group of pictures."""

    def conv(name, x, down=False, bias=True):
        weight = t[f"{name}.weight"].astype(np.float64)
        weight = weight / np.sqrt(np.prod(weight.shape[1:]))
        k = weight.shape[-1]
        x = filtered(x, 2 if k == 3 else 1) if down else x
        x = correlate(x, weight, 0 if down else k // 2)[:, :, :: 1 + down, :: 1 + down]
        return x + t[f"{name}.bias"][:, None, None] if bias else x

    side = max(CHANNELS)
    x = lrelu(conv(f"b{side}.fromrgb", images))
    while side > 4:
        y = lrelu(conv(f"b{side}.conv1", lrelu(conv(f"b{side}.conv0", x)), down=True))
        x = (y + conv(f"b{side}.skip", x, down=True, bias=False)) * np.sqrt(0.5) if residual else y
        side //= 2
    deviation = np.sqrt(x.var(0) + 1e-8).mean()
    x = np.concatenate([x, np.full_like(x[:, :1], deviation)], 1)
    x = lrelu(conv("b4.conv", x)).reshape(len(x), -1)
    x = dense(t, "b4.out", lrelu(dense(t, "b4.fc", x)))
    if label is None:
        return x[:, 0]
    y = unit(dense(t, "mapping.embed", np.eye(CLASSES)[label]))
    for i in range(layers):
        y = lrelu(dense(t, f"mapping.fc{i}", y, 0.01))
    return (x * y).sum(1) / np.sqrt(W)


@functools.cache
def tensors(classes=CLASSES, residual=True):
    rng = np.random.default_rng(classes)
    parts = {"G_ema.": generator(rng, classes), "D.": critic(rng, classes, residual)}
    return {front + name: value for front, part in parts.items() for name, value in part.items()}


def part(front, whole):
    return {name.removeprefix(front): value for name, value in whole.items() if name.startswith(front)}


def zeros(run):
    """A state of zeros, in place of a fresh one."""
    state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), checkpoint.abstract_state(ga.build(run)))
    return jax.device_put(state, jax.sharding.SingleDeviceSharding(jax.devices()[0]))


@pytest.mark.parametrize(("classes", "residual"), [(CLASSES, True), (0, False)])
def test_same_pictures_and_scores_as_the_formulas(tmp_path, classes, residual):
    whole = tensors(classes, residual)
    if not classes:  # the two networks have no name in common: nothing in front, as one of them alone is saved
        whole = {name.removeprefix("G_ema.").removeprefix("D."): value for name, value in whole.items()}
    safetensors.numpy.save_file(whole, tmp_path / "g.safetensors")
    algorithm, state = ga.load(tmp_path / "g.safetensors")
    g, d = part("G_ema.", tensors(classes, residual)), part("D.", tensors(classes, residual))
    rng = np.random.default_rng(9)
    z, label = rng.standard_normal((4, Z)).astype(np.float32), np.array([0, 2, 1, 1]) if classes else None
    told = {"label": label} if classes else {}
    keys = random.example_keys(KEY, 4)

    @jax.jit
    def ours(state):
        picture = ga.run(algorithm, state, "generator", z, told)[0]  # with the fixed noise
        noisy = algorithm.networks["generator"].module.apply(state.ema["generator"], z, told, keys=keys)[0]
        return picture, noisy, ga.run(algorithm, state, "critic", noisy, told)[0]

    fixed, noisy, scores = ours(state)
    sides = [(side, side) for side in CHANNELS for _ in range(1 + (side > 4))]
    for got, drawn in ((fixed, style.layer_noise(None, sides)), (noisy, style.layer_noise(keys, sides))):
        wanted = by_hand(g, z.astype(np.float64), label, [np.broadcast_to(n, (4, *n.shape[1:])) for n in drawn])
        np.testing.assert_allclose(np.moveaxis(got, -1, 1), wanted, atol=1e-4 * np.abs(wanted).max())
    wanted = scored(d, np.moveaxis(np.asarray(noisy, np.float64), -1, 1), label, residual)
    np.testing.assert_allclose(scores, wanted, atol=1e-4 * np.abs(wanted).max())
    assert np.ptp(wanted) > 0.01


def test_a_file_is_sampled_from_and_trained_further(tmp_path, capsys):
    file = tmp_path / "net.safetensors"
    twice = {f"G.{name}": np.asarray(2 * value) for name, value in part("G_ema.", tensors()).items()}
    safetensors.numpy.save_file(tensors() | {k: v for k, v in twice.items() if "filter" not in k}, file)
    assert main(["sample", str(file), "--num", "2", "--condition", "label=2", "--out", str(tmp_path / "a.npz")]) == 0
    assert np.load(tmp_path / "a.npz")["images"].shape == (2, 16, 16, 3)
    assert main(["sample", str(file)]) == 2
    assert "--out FILE.png" in capsys.readouterr().err

    run, theirs = published.read(file)
    taken, left = checkpoint.take_parameters(zeros(run), str(file), "stylegan2")
    assert left == []
    for got, wanted in ((taken.params, theirs.params), (taken.ema, theirs.ema), (taken.mutable, theirs.mutable)):
        jax.tree.map(np.testing.assert_array_equal, got, wanted)
    kernels = (tree["generator"] for tree in (taken.params, {"generator": taken.ema["generator"]["params"]}))
    live, average = (np.asarray(k["pictures"]["conv_1"]["kernel"]) for k in kernels)
    np.testing.assert_array_equal(live, 2 * average)
    other = zeros(ga.configure(run, channel_base=128))
    with pytest.raises(ga.UserError, match=r"same --model options: --model.latent-dim 6 .* --model.channel-base 64"):
        checkpoint.take_parameters(other, str(file), "stylegan2")
    aged = checkpoint.with_age(ga.configure("stylegan2"), tmp_path / "new", str(file))
    assert aged.train.ema_steps == published.AGE


def test_without_a_critic_that_one_begins_anew(tmp_path):
    file = tmp_path / "g.safetensors"
    safetensors.numpy.save_file(part("G_ema.", tensors()), file)
    run, theirs = published.read(file)
    assert [*theirs.params] == ["generator"]
    taken, left = checkpoint.take_parameters(zeros(run), str(file), "stylegan2")
    assert left
    assert all("['critic']" in path for path in left)
    assert not np.any(jax.tree.leaves(taken.params["critic"])[0])
    assert np.any(taken.params["generator"]["pictures"]["const"])


def changed(**changes):
    return {name: value for name, value in {**tensors(), **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(**{"G_ema.synthesis.b8.conv0.affine.weight": np.zeros((5, W), "f4")}),
         r"G_ema.synthesis.b8.conv0.affine.weight is \(5, 6\), wanted \(8, 6\)"),
        (changed(**{"D.b4.fc.weight": None}), r"D.b4.fc.weight is missing, wanted \(8, 128\)"),
        (changed(**{"G_ema.mapping.fc1.bias": None}), r"G_ema.mapping.fc1.bias is missing, wanted \(6,\)"),
        (changed(**{"D.b8.fromrgb.weight": np.zeros((8, 3, 1, 1), "f4")}), "D.b8.fromrgb.weight is no part"),
        (changed(**{"D.b8.resample_filter": np.ones((4, 4), "f4")}), r"D.b8.resample_filter is not \[1, 3, 3, 1\]"),
        ({"a": np.zeros(3, "f4")}, "synthesis.b4.const is missing, so these are not the weights of a StyleGAN2"),
        ({k.removeprefix("G_ema.").removeprefix("D."): v for k, v in tensors().items()}, r"with D\. in front"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path, content, said):
    file = tmp_path / "net.safetensors"
    safetensors.numpy.save_file(content, file)
    with pytest.raises(ga.UserError, match=said) as error:
        ga.load(file)
    assert "\n" not in str(error.value)


def test_other_files_and_steps_are_refused(tmp_path):
    (tmp_path / "net.pkl").write_bytes(b"x")
    with pytest.raises(ga.UserError, match=r"published weights as .safetensors"):
        ga.load(tmp_path / "net.pkl")
    (tmp_path / "net.safetensors").write_bytes(b"x")
    with pytest.raises(ga.UserError, match="no steps"):
        ga.load(tmp_path / "net.safetensors", step=3)
