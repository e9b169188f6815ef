"""Features, weights and pictures from seeds, the same for our tests and for the script that asks other packages."""

import zlib

import numpy as np

# name -> (real, fake), each (seed, pictures, dimensions, shift, scale)
FEATURES = {
    "few dimensions": ((0, 300, 16, 0.0, 1.0), (1, 200, 16, 0.3, 1.2)),
    "more dimensions than pictures": ((2, 60, 96, 0.0, 1.0), (3, 50, 96, 0.1, 0.9)),
    "far from the origin": ((4, 200, 32, 5.0, 0.5), (5, 200, 32, 5.1, 0.6)),
}


def features(seed, pictures, dimensions, shift, scale):
    """Correlated, skewed float32 features (pictures, dimensions)."""
    mixing = np.random.default_rng(99).standard_normal((dimensions, dimensions)) / np.sqrt(dimensions)
    normal = np.random.default_rng(seed).standard_normal((pictures, dimensions))
    return (shift + scale * np.abs(normal @ mixing + 0.5)).astype(np.float32)


def weights(shapes):
    """Random weights by name and shape that keep activations of a deep network in range."""
    out = {}
    for name, shape in shapes.items():
        normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
        if name.endswith("running_var"):
            out[name] = np.abs(1 + 0.1 * normal)
        elif name.endswith("bn.weight"):
            out[name] = 1 + 0.1 * normal
        elif len(shape) > 1:
            out[name] = normal * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        else:
            out[name] = 0.1 * normal
    return out


def images():
    """uint8 (2, 40, 56, 3): smooth, with a hard edge."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (2, 5, 7, 3))
    images = np.kron(coarse, np.ones((1, 8, 8, 1))) * 0.7 + rng.integers(0, 76, (2, 40, 56, 3))
    images[:, :, 28:] = 255 - images[:, :, 28:]
    return images.astype(np.uint8)
