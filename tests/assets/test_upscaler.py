"""Residual dense networks of TensorFlow.js: read by name, and equal to a walk through the graph that the file holds."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main


def convolved(x, kernel, bias):
    """x (height, width, in) by a kernel (side, side, in, out), zeros around it: sums of shifted products, float64."""
    side = len(kernel)
    edge = side // 2
    padded = np.pad(x, [(edge, edge), (edge, edge), (0, 0)])
    height, width = x.shape[:2]
    return bias + sum(padded[i : i + height, j : j + width] @ kernel[i, j] for i in range(side) for j in range(side))


def walked(path, x):
    """What the graph of a model.json makes of a picture (height, width, 3) of levels 0 to 255, by NumPy alone."""
    stored = json.loads(path.read_text())
    (group,) = stored["weightsManifest"]
    flat = np.frombuffer((path.parent / group["paths"][0]).read_bytes(), "<f4").astype(np.float64)
    weights, at = {}, 0
    for one in group["weights"]:
        weights[one["name"]] = flat[at : (at := at + int(np.prod(one["shape"])))].reshape(one["shape"])
    config = stored["modelTopology"]["model_config"]["config"]
    made = {}
    for layer in config["layers"]:
        name, of = layer["config"]["name"], layer["config"]
        given = [made[source[0]] for source in (layer["inbound_nodes"] or [[]])[0]]
        made[name] = {
            "InputLayer": lambda: x,
            "Conv2D": lambda name=name, given=given: convolved(
                given[0], weights[f"{name}/kernel"], weights[f"{name}/bias"]
            ),
            "Activation": lambda given=given: np.maximum(given[0], 0),
            "Concatenate": lambda given=given: np.concatenate(given, axis=-1),
            "Add": lambda given=given: sum(given),
            "UpSampling2D": lambda given=given, of=of: given[0].repeat(of["size"][0], 0).repeat(of["size"][1], 1),
        }[layer["class_name"]]()
    return made[config["output_layers"][0][0]]


def published(folder, scale, width=6, blocks=2, layers=2, growth=4):
    """A file as the packages hold them, with weights of a seed."""
    graph, weights, data = [], [], []
    rng = np.random.default_rng(0)
    channels = {}

    def add(kind, name, sources, **config):
        given = [[[source, 0, 0, {}] for source in sources]] if sources else []
        graph.append({"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": given})
        return name

    def conv(name, source, size, side):
        shape = (side, side, channels[source], size)
        channels[name] = size
        kernel = rng.normal(0, 0.5 / np.sqrt(np.prod(shape[:3])), shape)
        for part, values in (("kernel", kernel), ("bias", rng.normal(0, 1.0, size))):
            weights.append({"name": f"{name}/{part}", "shape": list(values.shape), "dtype": "float32"})
            data.append(values.astype("<f4").tobytes())
        return add("Conv2D", name, [source], filters=size, kernel_size=[side, side], activation="linear")

    def relu(source):
        channels[f"{source}_Relu"] = channels[source]
        return add("Activation", f"{source}_Relu", [source], activation="relu")

    def concatenated(name, sources):
        channels[name] = sum(channels[source] for source in sources)
        return add("Concatenate", name, sources)

    def added(name, sources):
        channels[name] = channels[sources[0]]
        return add("Add", name, sources)

    channels["LR"] = 3
    first = conv("F_m1", add("InputLayer", "LR", []), width, 3)
    x, sums = conv("F_0", first, width, 3), []
    for i in range(1, blocks + 1):
        dense = x
        for j in range(1, layers + 1):
            dense = concatenated(f"RDB_Concat_{i}_{j}", [dense, relu(conv(f"F_{i}_{j}", dense, growth, 3))])
        x = added(f"LRL_{i}", [conv(f"LFF_{i}", dense, width, 1), x])
        sums.append(x)
    fused = conv("GFF_2", conv("GFF_1", concatenated("LRLs_Concat", sums), width, 1), width, 3)
    x = relu(conv("UPN1", added("FDF", [fused, first]), width, 5))
    x = conv("UPN3", relu(conv("UPN2", x, width // 2, 3)), 3 * scale**2, 3)
    channels["UPsample"] = channels[x]
    conv("SR", add("UpSampling2D", "UPsample", [x], size=[scale, scale], interpolation="nearest"), 3, 3)
    folder.mkdir()
    (folder / "group1.bin").write_bytes(b"".join(data))
    config = {"layers": graph, "output_layers": [["SR", 0, 0]]}
    stored = {
        "format": "layers-model", "modelTopology": {"model_config": {"config": config}},
        "weightsManifest": [{"paths": ["group1.bin"], "weights": weights}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(stored))
    return folder / "model.json"


@pytest.mark.parametrize("scale", [2, 3])
def test_it_makes_what_the_graph_makes(scale, tmp_path):
    path = published(tmp_path / "x", scale)
    model = ga.load(path)
    c = model.config.model
    assert (c.scale, c.width, c.blocks, c.layers, c.growth) == (scale, 6, 2, 2, 4)
    picture = np.random.default_rng(1).integers(0, 256, (9, 12, 3), np.uint8)
    network = model.algorithm.networks["generator"].module
    variables = {"params": model.state.params["generator"]}
    got = jax.jit(network.apply)(variables, ga.to_float(picture[None]))[0][0]
    np.testing.assert_allclose(127.5 * (np.asarray(got) + 1), walked(path, picture.astype(float)), rtol=1e-4, atol=1e-3)


def test_it_is_used_as_a_run_is(tmp_path, monkeypatch):
    """Whatever the size of the picture: away from the right and the lower border tiles are what the whole would be."""
    path = published(tmp_path / "x", 2)
    picture = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    assert main(["transform", str(path), str(tmp_path / "photo.png"), "--out", str(tmp_path / "large.png")]) == 0
    made = np.asarray(Image.open(tmp_path / "large.png"))[:40, :50]
    wanted = np.clip(np.rint(walked(path, picture.astype(float))), 0, 255)[:40, :50]
    assert np.abs(made - wanted).max() <= 1


def test_what_is_no_such_file(tmp_path):
    path = published(tmp_path / "x", 2)
    stored = json.loads(path.read_text())
    (group,) = stored["weightsManifest"]
    other = tmp_path / "x" / "other.json"
    for changes, words in [
        ({"format": "graph-model"}, "wanted a residual dense network"),
        ({"weightsManifest": [{"paths": group["paths"], "weights": group["weights"][2:]}]}, "wanted a residual dense"),
        ({"weightsManifest": [group | {"paths": ["none.bin"]}]}, r"No such file.*none\.bin; keep the files together"),
    ]:
        other.write_text(json.dumps(stored | changes))
        with pytest.raises(ga.UserError, match=words):
            ga.load(other)
    (path.parent / "group1.bin").write_bytes(b"1234")
    with pytest.raises(ga.UserError, match="cut short"):
        ga.load(path)
