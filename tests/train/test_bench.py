"""The measuring core: what it counts, and that every model can be measured."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.app.cli import main
from genart_jax.nn.conv import conv, conv_transpose
from genart_jax.train import bench
from genart_jax.types import Algorithm, State


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(bench, "_AT_LEAST", 1e-3)
    monkeypatch.setattr(bench.Matmul, "rate", lambda self: 1e9)


def flops(function, *shapes):
    return bench.count_flops(jax.make_jaxpr(function)(*(jnp.zeros(s) for s in shapes)).jaxpr)


def test_flops_of_products_and_loops():
    product = lambda a, b: a @ b
    assert flops(product, (3, 4), (4, 5)) == 2 * 3 * 4 * 5
    assert flops(lambda a, b: jnp.sin(jax.jit(product)(a, b)), (3, 4), (4, 5)) == 2 * 3 * 4 * 5
    assert flops(jax.vmap(product), (7, 3, 4), (7, 4, 5)) == 7 * 2 * 3 * 4 * 5
    assert flops(lambda a: jax.lax.scan(lambda c, _: (c @ a, None), a, None, length=6)[0], (4, 4)) == 6 * 2 * 4**3
    branches = lambda a: jax.lax.cond(a[0, 0] > 0, lambda: a @ a @ a, lambda: a @ a)
    assert flops(branches, (4, 4)) == 2 * 2 * 4**3


def test_flops_of_convolutions_do_not_depend_on_their_form():
    x, w, y = (2, 8, 8, 3), (4, 4, 3, 5), (2, 4, 4, 5)
    forward = 2 * 2 * 4 * 4 * 5 * 4 * 4 * 3
    ours = lambda x, w: conv(x, w, strides=2)
    lax = lambda x, w: jax.lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    assert flops(ours, x, w) == flops(lax, x, w) == forward
    assert flops(lambda y, w: conv_transpose(y, w, strides=2), y, (4, 4, 5, 3)) == forward
    loss = lambda x, w: jnp.sum(jnp.square(ours(x, w)))
    assert flops(jax.grad(loss, (0, 1)), x, w) == 3 * forward


def test_quartiles():
    assert bench.quartiles([3.0]) == [3.0, 3.0, 3.0]
    assert bench.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == [2.0, 3.0, 4.0]


def test_configurations():
    run = bench.resolved("dcgan", image_shape=(64, 64, 3), batch=16, options={"width": 8, "step.r1_every": 4})
    assert (run.model.image_shape, run.model.width, run.step.r1_every, run.train.batch) == ((64, 64, 3), 8, 4, 16)
    assert dict(run.model.conditions) == dict(bench.CONDITIONS)
    assert bench.resolved("mlp_vae").model.image_shape == (28, 28, 1)
    assert bench.resolved("dcgan", precision="bfloat16").train.precision == "bfloat16"
    with pytest.raises(ga.UserError, match="widht"):
        bench.resolved("dcgan", options={"widht": 8})
    with pytest.raises(ga.UserError, match="at least 1"):
        bench.measure(run, 0)


def test_pictures_are_as_large_as_what_is_cut_out_of_them(model):
    run = bench.resolved(model)
    side = getattr(run.step, "crop", 0) * getattr(run.model, "scale", 1)
    assert side <= min((run.model.image_shape or run.model.target_shape)[:2])


def test_a_model_is_measured():
    run = bench.resolved("mlp_vae", "tiny", (8, 8, 1))
    figures = bench.measure(run, 2)
    json.dumps(figures)
    assert figures["images_per_step"] == 8
    low, middle, high = figures["step_seconds"]
    assert 0 < low <= middle <= high
    np.testing.assert_allclose(figures["images_per_second"], 8 / middle)
    np.testing.assert_allclose(figures["flops_per_second"], figures["flops"] / middle)
    assert len(figures["rounds"]) == 2
    assert figures["memory"]["peak_bytes"] >= figures["memory"]["argument_bytes"] > 0
    for name in ("mfu", "trace_seconds", "compile_seconds", "compiled_flops", "bytes_accessed", "host_seconds"):
        assert figures[name] > 0, name
    assert set(figures["parameters"]) == {"encoder", "decoder"}


def test_lazy_terms_count_as_often_as_they_are_due(monkeypatch):
    """An algorithm of one matrix product a step, and of three in every fourth."""

    def step(state, batch, key, due=None):
        x = batch["image"].reshape(len(batch["image"]), -1)
        y = x @ x.T
        y = y @ y @ y if "r1" in due else y
        params = {"net": state.params["net"] + jnp.sum(y)}
        return state.replace(step=state.step + 1, params=params), {"loss": jnp.sum(y)}

    def init(key, batch):
        return State(jnp.zeros((), jnp.int32), {"net": jnp.zeros(3)}, {}, {}, {}, {})

    fake = Algorithm(ga.BatchSpec((2, 2, 1)), 1, init, step, lambda *a: {}, lazy=(("r1", 4),))
    monkeypatch.setattr(bench, "build", lambda run: fake)
    subject = bench.Subject(bench.resolved("mlp_vae", "tiny", (2, 2, 1)))
    product, square = 2 * 8 * 4 * 8, 2 * 8**3
    assert subject.facts["flops"] == product + 0.25 * 2 * square
    assert subject.facts["parameters"] == {"net": 3}
    assert subject.facts["steps_per_round"] % 4 == 0
    ran = []
    subject._programs = {due: lambda *a, due=due, f=f: ran.append(due) or f(*a) for due, f in subject._programs.items()}
    subject._run(8)
    assert ran == [("r1",), (), (), ()] * 2


def test_a_batch_is_shared_by_devices():
    run = bench.resolved("mlp_vae", "tiny", (8, 8, 1), devices=2)
    assert bench.measure(run, 1)["run"]["parallel"]["data"] == 2
    with pytest.raises(ga.UserError, match="devices"):
        bench.measure(bench.resolved("mlp_vae", "tiny", devices=99))


def test_the_command(capsys):
    words = ["--preset", "tiny", "--rounds", "1", "--image-size", "8", "8", "1"]
    assert main(["bench", "mlp_vae", *words, "--batch", "4", "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)
    assert (figures["model"], figures["images_per_step"]) == ("mlp_vae", 4)
    assert main(["bench", "mlp_vae", *words]) == 0
    assert "images/s" in capsys.readouterr().out
    assert main(["bench", "--help"]) == 0
    assert "--image-size" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("dcgn", "model 'dcgn' is unknown; did you mean dcgan or modgan"),
        ("dcgan other", "model 'other' is unknown; there are "),
        ("dcgan --preset nothing", "model 'dcgan' has no preset 'nothing'; there are default, "),
        ("dcgan --prset tiny", "option --prset is unknown; did you mean --preset?"),
        ("dcgan --rounds 0", "--rounds must be at least 1, not 0"),
        ("dcgan --batch 0", "--batch must be at least 1, not 0"),
        ("dcgan --image-size 8", "--image-size takes (depth or frames,) height, width and channels, not 1 numbers"),
        ("mlp_vae --image-size 0 8 3", "--image-size 0 8 3: each must be at least 1"),
        ("dcgan --image-size 5 5 3", "image_shape (5, 5, 3): sides must be 16 to 128"),
        ("dcgan --precision half", "invalid choice 'half' for argument '--precision'"),
        ("mlp_vae --devices 99", "99 x 1 devices wanted, 8 found"),
        ("mlp_vae --preset tiny --batch 8 --devices 3", "--batch 8 does not divide among 3 devices"),
    ],
)
def test_what_cannot_be_measured_is_one_line(wrong, words, capsys):
    """Said before anything is compiled, with what there is instead."""
    assert main(["bench", *wrong.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("genart: ")
    assert words in err
    assert err.count("\n") == 1
