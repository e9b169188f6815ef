"""Compact networks of ncnn: read by their text, and equal to a walk through its layers."""

import jax
import numpy as np
import pytest

import genart_jax as ga
from tests.assets.test_upscaler import convolved

WIDTH, BLOCKS = 6, 2


def published(folder, scale, half=True):
    """Files as the package holds them, with weights of a seed; and each layer's tensors."""
    rng, layers, data, tensors = np.random.default_rng(0), [], [], []

    def add(kind, options="", inputs=1):
        names = " ".join(f"b{len(layers)}_{i}" for i in range(inputs))
        layers.append(f"{kind:24} layer_{len(layers)} {inputs} 1 {names} out{len(layers)} {options}")

    def conv(given, size):
        kernel = rng.normal(0, 1.5 / np.sqrt(9 * given), (size, given, 3, 3)).astype("<f2" if half else "<f4")
        bias = rng.normal(0, 0.1, size).astype("<f4")
        data.append(bytes.fromhex("476b3001") if half else bytes(4))
        data.append(kernel.tobytes() + bytes(-kernel.nbytes % 4) + bias.tobytes())
        tensors.append((kernel.astype(float), bias.astype(float)))
        add("Convolution", f"0={size} 1=3 4=1 5=1 6={kernel.size}")

    add("Input")
    add("Split")
    for i in range(BLOCKS + 1):
        conv(WIDTH if i else 3, WIDTH)
        slopes = rng.uniform(-0.5, 0.5, WIDTH).astype("<f4")
        data.append(slopes.tobytes())
        tensors.append(slopes.astype(float))
        add("PReLU", f"0={WIDTH}")
    conv(WIDTH, 48)
    add("PixelShuffle", "0=4")
    add("Interp", "0=1 1=4.000000e+00 2=4.000000e+00")
    add("BinaryOp", "", 2)
    if scale != 4:
        add("Interp", f"0=3 1={scale / 4:e} 2={scale / 4:e}")
    folder.mkdir(exist_ok=True)
    path = folder / "net.param"
    path.write_text("\n".join(["7767517", f"{len(layers)} {len(layers) + 1}", *layers]) + "\n")
    path.with_suffix(".bin").write_bytes(b"".join(data))
    return path, tensors


def cubic(line, size):
    """A line of numbers at `size` places, by Keys' kernel of slope -0.75, half-pixel centres, ends repeated."""
    out = []
    for i in range(size):
        at, total = (i + 0.5) * len(line) / size - 0.5, 0.0
        for j in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            d, a = abs(at - j), -0.75
            weight = (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4)
            total += weight * line[min(max(j, 0), len(line) - 1)]
        out.append(total)
    return np.array(out)


def walked(tensors, x, scale):
    """What the layers make of a picture (height, width, 3) in [0, 1], by NumPy alone."""
    y, rest = x, list(tensors)
    while len(rest) > 1:
        (kernel, bias), slopes, *rest = rest
        y = convolved(y, kernel.transpose(2, 3, 1, 0), bias)
        y = np.maximum(y, 0) + slopes * np.minimum(y, 0)
    kernel, bias = rest[0]
    y = convolved(y, kernel.transpose(2, 3, 1, 0), bias)
    large = np.empty((4 * x.shape[0], 4 * x.shape[1], 3))
    for color in range(3):
        for down in range(4):
            for right in range(4):
                large[down::4, right::4, color] = y[..., 16 * color + 4 * down + right]
    large += x.repeat(4, 0).repeat(4, 1)
    if scale == 4:
        return large
    for axis in (0, 1):
        large = np.apply_along_axis(cubic, axis, large, large.shape[axis] * scale // 4)
    return large


@pytest.mark.parametrize(("scale", "half"), [(2, True), (3, True), (4, False)])
def test_it_makes_what_the_layers_make(scale, half, tmp_path):
    path, tensors = published(tmp_path / "x", scale, half)
    model = ga.load(path)
    c = model.config.model
    assert (c.scale, c.width, c.blocks, c.compact) == (scale, WIDTH, BLOCKS, True)
    picture = np.random.default_rng(1).integers(0, 256, (9, 12, 3), np.uint8)
    network = model.algorithm.networks["generator"].module
    got = jax.jit(network.apply)({"params": model.state.params["generator"]}, ga.to_float(picture[None]))[0][0]
    wanted = walked(tensors, picture / 255, scale)
    np.testing.assert_allclose((np.asarray(got) + 1) / 2, wanted, atol=2e-5)
    tiled = ga.transform(model, picture)[: 9 * scale - 24, : 12 * scale - 24]  # sides are mirrored to whole tiles
    np.testing.assert_allclose(tiled, np.clip(255 * wanted, 0, 255)[: len(tiled), : tiled.shape[1]], atol=0.51)


def test_what_is_no_such_file(tmp_path):
    path, _ = published(tmp_path / "x", 2)
    text, stored = path.read_text(), path.with_suffix(".bin")
    content = stored.read_bytes()
    for other in ("x", text.replace("PReLU", "Sigmoid"), text.replace("0=3 1=5", "0=3 1=9"), "7767517\n1 1\nInput a"):
        path.write_text(other)
        with pytest.raises(ga.UserError, match="wanted a compact network of ncnn's"):
            ga.load(path)
    path.write_text(text)
    for cut, words in ((content[:-8], "cut short"), (content + b"1234", "but its layers need")):
        stored.write_bytes(cut)
        with pytest.raises(ga.UserError, match=words):
            ga.load(path)
    stored.unlink()
    with pytest.raises(ga.UserError, match="keep the files together"):
        ga.load(path)
    with pytest.raises(ga.UserError, match="a compact network enlarges 2, 3 or 4 times"):
        ga.build(ga.configure("super_resolution", compact=True, scale=8, image_shape=(32, 32, 3)))
