"""Exported models: the same pictures, with jax alone and with NumPy alone."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import export, reference
from genart_jax.app.cli import main
from genart_jax.train.checkpoint import Model, Saved
from tests import zoo

CLASS_NAMES = {name: [str(i) for i in range(classes)] for name, classes in zoo.CONDITIONS}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A short run of each small model."""
    directory = tmp_path_factory.mktemp("runs")

    def run(name):
        path = directory / name
        if not path.exists():
            ga.fit(ga.configure(name, preset="tiny", train={"steps": 2, "sample_every": 0}, parallel={"data": 1}), path)
        return path

    return run


def inputs_of(program, batch, seed=0):
    rng = np.random.default_rng(seed)
    out = {}
    for name, (shape, dtype) in program.inputs.items():
        shape = tuple(batch if n == "batch" else n for n in shape)
        out[name] = np.asarray(rng.integers(-1, 3, shape) if dtype != "float32" else rng.uniform(-1, 1, shape), dtype)
    if "seed" in out:
        out["seed"] = np.uint32(7)
    return out


def test_every_model_for_every_platform_and_batch(model):
    algorithm = zoo.tiny(model)
    run = ga.configure(model, preset="tiny")
    saved = Saved(run, {"class_names": CLASS_NAMES})
    state = zoo.start(algorithm, jax.random.key(0), zoo.full_batch(algorithm, 8))
    model = Model(algorithm, state)
    if algorithm.sample is None and algorithm.predict is None:
        with pytest.raises(ga.UserError, match="cannot be exported"):
            export.program_of(model, saved)
        return
    program = export.program_of(model, saved)
    exported = jax.export.deserialize(bytearray(export.serialize(program, export.PLATFORMS)))
    assert exported.platforms == export.PLATFORMS
    for batch in (1, 3):
        inputs = inputs_of(program, batch)
        # Two programs of the same sums: their rounding differs.
        np.testing.assert_allclose(
            exported.call(**inputs), program.function(*map(jnp.asarray, inputs.values())), rtol=1e-3, atol=1e-4
        )


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


def test_the_folder_works_without_the_package(runs, tmp_path):
    out = tmp_path / "exported model"
    assert main(["export", str(runs("mlp_vae")), str(out)]) == 0
    text = (out / "README.md").read_text()
    assert "Apache-2.0" in text
    assert "latents" in text
    script = (
        f"import runpy, sys; runpy.run_path({str(out / 'make_picture.py')!r}); assert 'genart_jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "picture.png").stat().st_size > 0
    assert len((out / "make_picture.py").read_text().splitlines()) <= 10


def test_a_classifier_names_what_it_sees(runs, tmp_path):
    from PIL import Image

    out = tmp_path / "out"
    assert main(["export", str(runs("simple_cnn")), str(out)]) == 0
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    command = [sys.executable, str(out / "make_picture.py"), "red.png"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120)
    assert len(done.stdout.splitlines()) == 5


def test_mistakes(runs, tmp_path, capsys):
    run = str(runs("mlp_vae"))
    for args, words in [
        (["export", run, str(tmp_path)], "already there"),
        (["export", run], "needs out"),
        (["export", str(tmp_path / "none"), str(tmp_path / "x")], "none"),
        (["export", run, str(tmp_path / "x"), "--platforms", "abacus"], "abacus"),
        (["export", run, "/proc/x/y"], "cannot be written"),
    ]:
        assert main(args) == 2
        assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
