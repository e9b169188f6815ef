"""Exported models: the same pictures, with jax alone and with NumPy alone; each model's program in test_models.py."""

import ast
import functools
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.data import picture, reader
from genart_jax.train.checkpoint import Model, Saved
from genart_jax.use import export, reference
from genart_jax.use.predict import classify, load_classifier
from tests import zoo
from tests.data import odd_pictures as odd

CLASS_NAMES = {name: [str(i) for i in range(classes)] for name, classes in zoo.CONDITIONS}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, brief_run):
    """A short run of each small model."""
    directory = tmp_path_factory.mktemp("runs")

    def run(name):
        path = directory / name
        if not path.exists():
            brief_run(name, path)
        return path

    return run


def inputs_of(program, batch, seed=0):
    rng = np.random.default_rng(seed)
    out = {}
    for name, (shape, dtype) in program.inputs.items():
        shape = tuple(batch if n == "batch" else n for n in shape)
        out[name] = np.asarray(rng.integers(0, 3, shape) if dtype != "float32" else rng.uniform(-1, 1, shape), dtype)
    if "seed" in out:
        out["seed"] = np.uint32(7)
    return out


def test_a_prior_without_conditions():
    algorithm = zoo.tiny("code_prior", conditions=())
    saved = Saved(ga.configure("code_prior", preset="tiny"), {"class_names": {}})
    state = zoo.start(algorithm, jax.random.key(0), zoo.full_batch(algorithm, 8))
    program = export.program_of(Model(algorithm, state), saved)
    exported = jax.export.deserialize(bytearray(export.serialize(program, ("cpu",))))
    for batch in (1, 3):
        inputs = {"seed": np.uint32(7), "pictures": np.zeros(batch, np.int32)}
        images = exported.call(**inputs)
        np.testing.assert_allclose(images, algorithm.sample(state, jax.random.key(7), batch), rtol=1e-3, atol=1e-4)


def test_stylegan2_of_64_pixels_for_every_platform_and_batch():
    algorithm = zoo.tiny("stylegan2", image_shape=(64, 64, 3))
    rng = np.random.default_rng(0)
    # Parameters of any value will do, and compiling `init` takes longer than all of this; noise and biases start at 0.
    abstract = jax.eval_shape(algorithm.init, jax.random.key(0), zoo.full_batch(algorithm, 2))
    state = jax.tree.map(lambda x: 0.5 * rng.standard_normal(x.shape).astype(x.dtype), abstract)
    saved = Saved(ga.configure("stylegan2", preset="tiny", image_shape=(64, 64, 3)), {"class_names": CLASS_NAMES})
    program = export.program_of(Model(algorithm, state), saved)
    exported = jax.export.deserialize(bytearray(export.serialize(program, export.PLATFORMS)))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert [str(a.shape[0]) for a in exported.in_avals] == ["batch"] * len(program.inputs)
    inputs = inputs_of(program, 5)
    images = jax.jit(program.function)(*map(jnp.asarray, inputs.values()))
    assert images.shape == (5, 64, 64, 3)
    assert np.mean(np.abs(images) < 0.99) > 0.5  # the sampler cuts pictures to [-1, 1]
    np.testing.assert_allclose(exported.call(**inputs), images, rtol=1e-4, atol=1e-4)
    first = {name: value[:2] for name, value in inputs.items()}
    np.testing.assert_allclose(exported.call(**first), images[:2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(reference.SAMPLERS))
def test_numpy_draws_the_same_pictures(name, runs, tmp_path):
    run, out = runs(name), tmp_path / "out"
    assert main(["export", str(run), str(out)]) == 0
    config = json.loads((out / "config.json").read_text())["run"]
    exported = jax.export.deserialize(bytearray((out / "model.jaxexport").read_bytes()))
    about = json.loads((out / "inputs.json").read_text())
    program = export.Program(about["operation"], None, {k: tuple(v) for k, v in about["inputs"].items()}, "")
    inputs = inputs_of(program, 5)
    latents = inputs.pop("latents")
    images = reference.SAMPLERS[name](reference.read(str(out / "weights.safetensors")), config, latents, inputs)
    np.testing.assert_allclose(images, exported.call(latents=latents, **inputs), rtol=1e-4, atol=1e-5)
    algorithm, state = ga.load(run)
    np.testing.assert_allclose(images, algorithm.decode(state, latents, inputs), rtol=1e-4, atol=1e-5)
    assert (out / "sampler_numpy.py").read_text() == Path(reference.__file__).read_text()
    assert "Classes by number, from 0 (others give NaN):" in (out / "README.md").read_text()
    draw = functools.partial(reference.SAMPLERS[name], reference.read(str(out / "weights.safetensors")))
    for condition, classes in config["model"]["conditions"]:
        for number in (-1, classes):  # hidden, which was not learnt, and no class
            wrong = inputs | {condition: np.array([number] + [0] * 4, np.int32)}
            with pytest.raises(ValueError, match=f"condition {condition}: wanted 0 to {classes - 1}"):
                draw(config, latents, wrong)
            images = np.asarray(exported.call(latents=latents, **wrong))
            assert np.isnan(images[0]).all()
            assert np.isfinite(images[1:]).all()
    hiding = config | {"step": config["step"] | {"condition_dropout": 0.1}}
    hidden = dict.fromkeys(inputs, np.full(5, -1))
    np.testing.assert_array_equal(draw(hiding, latents, {}), draw(hiding, latents, hidden))


def run_script(folder, *arguments, modules=("genart_jax",), **options):
    """Runs an exported folder's script where these modules cannot be imported."""
    block = f"import runpy, sys; sys.modules.update(dict.fromkeys({modules!r}))"
    run = f"sys.argv = {['x', *map(str, arguments)]!r}; runpy.run_path({str(folder / 'make_picture.py')!r})"
    code = f"{block}; {run}"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def test_the_folder_works_without_the_package_and_without_pillow(runs, tmp_path):
    out = tmp_path / "exported model"
    assert main(["export", str(runs("mlp_vae")), str(out)]) == 0
    text = (out / "README.md").read_text()
    assert "Apache-2.0" in text
    assert "latents" in text
    assert "Pillow" not in text
    done = run_script(out, cwd=tmp_path, modules=("genart_jax", "PIL"))
    assert not done.returncode, done.stderr
    assert (tmp_path / "picture.png").stat().st_size > 0


def toy(words, function, inputs, operation="decode", image_shape=(2, 256, 1)):
    """A program and what is saved of its run, without any training."""
    run = ga.configure("mlp_vae", preset="tiny", image_shape=image_shape)
    return export.Program(operation, function, inputs, "pictures"), Saved(run, {"class_names": words})


def test_scripts_write_what_the_model_draws_and_nothing_over_it(tmp_path):
    """Conditions of any name, each of the 256 levels, and no picture is lost."""
    levels = np.arange(256, dtype=np.uint8)

    def draw(latents, *classes):
        assert len(classes) == 4
        picture = jnp.broadcast_to(ga.to_float(levels)[None, None, :, None], (latents.shape[0], 2, 256, 1))
        return picture + 0 * sum(classes)[:, None, None, None]

    names = ("class", "my style", "function", "names")
    inputs = {"latents": (("batch", 8), "float32"), **dict.fromkeys(names, (("batch",), "int32"))}
    program, saved = toy({name: ["a", "b"] for name in names}, draw, inputs)
    out = tmp_path / "out"
    old = os.umask(0o022)
    try:
        export.write(out, program, saved, {"w": np.zeros(3, np.float32)}, ("cpu",))
    finally:
        os.umask(old)
    assert {stat.S_IMODE(file.stat().st_mode) for file in out.iterdir()} == {0o644}
    done = run_script(out, cwd=tmp_path, modules=("genart_jax", "PIL"))
    assert not done.returncode, done.stderr
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.asarray(picture), np.tile(levels, (8, 4)))
    whole = (tmp_path / "picture.png").read_bytes()
    (tmp_path / "picture.png").write_bytes(b"mine")
    done = run_script(out, cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "picture.png is already there" in done.stderr
    assert (tmp_path / "picture.png").read_bytes() == b"mine"
    assert not run_script(out, "other.png", cwd=tmp_path).returncode
    assert (tmp_path / "other.png").read_bytes() == whole


def test_exported_classifiers_see_what_predict_sees(tmp_path):
    """Crop, orientation, transparency, depth, colours and filter: one reader, so equal pixels."""

    def pixel(images):  # the middle's colour, as if these were classes
        return jnp.log(0.5 * images[:, 5, 5, :] + 0.5 + 1e-6)

    program, saved = toy(
        {"label": ["röd", "grön", "blå"]}, pixel, {"images": (("batch", 10, 10, 3), "float32")}, "predict", (10, 10, 3)
    )
    out = tmp_path / "out"
    export.write(out, program, saved, {"w": np.zeros(3, np.float32)}, ("cpu",))
    assert "Pillow" in (out / "README.md").read_text()
    files = {name: odd.SOUND[name][0] for name in ("exif6.jpg", "g16.png", "rgba_grad.png", "g12.tif", "cmyk.jpg")}
    files["p3.png"] = odd.encoded(odd.IMAGE, "PNG", icc_profile=odd.DISPLAY_P3)
    files["portrait.jpg"] = odd.encoded(odd.IMAGE.resize((30, 90)), "JPEG", exif=odd.exif(8))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    done = run_script(out, *files, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "utf-8"}, encoding="utf-8")
    assert not done.returncode, done.stderr
    lines = done.stdout.splitlines()
    for number, (name, content) in enumerate(files.items()):
        assert lines[4 * number] == name
        seen = {line.split()[0]: float(line.split()[1]) for line in lines[4 * number + 1 : 4 * number + 4]}
        color = np.array([seen["röd"], seen["grön"], seen["blå"]])
        np.testing.assert_allclose(color * 255, picture.decode(content, (10, 10), 3)[5, 5], atol=0.01)
    (tmp_path / "bad.png").write_bytes(b"<html>")
    for arguments, words in (([], "make_picture.py PICTURE"), (["bad.png"], "bad.png: not a picture but a web page")):
        done = run_script(out, *arguments, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert words in done.stderr


def test_the_exported_reader_is_the_package_s(tmp_path):
    export._copy_sources(Path(reader.__file__).parent, tmp_path / "copy")
    for module in Path(reader.__file__).parent.glob("*.py"):
        assert (tmp_path / "copy" / module.name).read_text() == module.read_text()
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.partition(".")[0] in {*sys.stdlib_module_names, "numpy", "PIL"}


def test_conditions_with_the_name_of_another_input_are_refused():
    algorithm = zoo.tiny("mlp_vae", conditions=(("latents", 3),))
    run = ga.configure("mlp_vae", preset="tiny")
    with pytest.raises(ga.UserError, match="the condition 'latents' has the name of another input"):
        export.program_of(Model(algorithm, None), Saved(run, {"class_names": {"latents": ["a"]}}))


def test_a_classifier_names_what_it_sees(runs, tmp_path):
    out = tmp_path / "out"
    assert main(["export", str(runs("simple_cnn")), str(out)]) == 0
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    command = [sys.executable, str(out / "make_picture.py"), "red.png"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120)
    ((expected,),) = [classify(load_classifier(runs("simple_cnn")), [tmp_path / "red.png"])]
    got = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, _ in got] == [name for name, _ in expected]
    np.testing.assert_allclose([float(p) for _, p in got], [p for _, p in expected], rtol=1e-4)


def test_mistakes(runs, tmp_path, capsys):
    run = str(runs("mlp_vae"))
    for args, words in [
        (["export", run, str(tmp_path)], "already there"),
        (["export", run], "needs a folder first"),
        (["export", str(tmp_path / "none"), str(tmp_path / "x")], "none"),
        (["export", run, str(tmp_path / "x"), "--platforms", "abacus"], "abacus"),
        (["export", run, "/proc/x/y"], "cannot be written"),
    ]:
        assert main(args) == 2
        assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_program_of_several_heads_names_each(tmp_path):
    train = {"steps": 1, "batch": 8, "sample_every": 0}
    ga.fit(ga.configure("simple_cnn", preset="tiny", conditions=("style", "color"), train=train), tmp_path / "run")
    ga.export_run(tmp_path / "run", tmp_path / "out", platforms=("cpu",))
    Image.fromarray(np.full((32, 32, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    done = subprocess.run(
        [sys.executable, tmp_path / "out/make_picture.py", tmp_path / "grey.png"], capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if " " not in line] == ["style", "color"], done.stderr
    assert len(lines) == 2 + 5 + 5
