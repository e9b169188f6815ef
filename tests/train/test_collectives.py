"""What the devices send one another in a step, read from the compiled programs."""

import math

import jax
import pytest

import genart_jax as ga
from benchmarks import hlo, partitioned
from genart_jax.config import Parallel, override
from tests import zoo


def collectives(name, data, model, batch=16, accelerator=True, **options):
    """(kind, payload, count) of the collectives of a tiny model's step on `data` x `model` devices."""
    lazy = {"dcgan": {"r1_gamma": 0.0}, "stylegan2": {"r1_gamma": 0.0, "path_weight": 0.0}}
    if name in lazy:
        options["step"] = lazy[name]
    run = ga.configure(name, preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS, **options)
    run = override(run, train={"batch": batch}, parallel=Parallel(data, model))
    cost = hlo.read(partitioned.compiled(run, accelerator=accelerator))
    assert {c.group for c in cost.collectives} == {8}
    return ga.build(run), [(c.kind, c.payload, n) for c, n in cost.collectives.items()]


def gradient_bytes(algorithm):
    return {role: 4 * n for role, n in partitioned.parameters(algorithm).items()}


@pytest.mark.parametrize("name", ["mlp_vae", "dcgan", "stylegan2"])
def test_a_data_parallel_step_sends_its_gradients_once_and_no_pictures(name):
    algorithm, sent = collectives(name, 8, 1)
    total = sum(gradient_bytes(algorithm).values())
    assert {kind for kind, _, _ in sent} == {"all-reduce"}
    # Beside gradients: sums over the batch, of metrics and statistics.
    assert total <= sum(payload * n for _, payload, n in sent) < total + 2048
    # Each network's gradients travel together.
    assert sum(n for _, payload, n in sent if payload > 1024) <= len(gradient_bytes(algorithm))


def test_chunks_of_a_batch_stay_on_their_devices():
    """Convolutions take a few images at a time on CPU: of each device, its own."""
    algorithm, sent = collectives("dcgan", 8, 1, batch=512, accelerator=False, width=8)
    total = sum(gradient_bytes(algorithm).values())
    assert {kind for kind, _, _ in sent} == {"all-reduce"}
    assert total <= sum(payload * n for _, payload, n in sent) < total + 8192  # once, and not with every chunk


def test_more_parameters_take_no_more_collectives():
    counts = [sum(n for _, _, n in collectives("mlp_vae", 8, 1, hidden=width)[1]) for width in (16, 64)]
    assert counts[0] == counts[1] <= 3


@pytest.mark.parametrize(("name", "options"), [("mlp_vae", {"hidden": 64}), ("dcgan", {"width": 32, "latent_dim": 32})])
def test_a_fully_sharded_step_gathers_parameters_and_no_activations(name, options):
    algorithm, sent = collectives(name, 1, 8, **options)
    gradients = gradient_bytes(algorithm)
    state = jax.eval_shape(lambda: zoo.start(algorithm, jax.random.key(0), zoo.full_batch(algorithm, 8)))
    sizes = {math.prod(x.shape) * 4 for x in jax.tree.leaves(state.params)}
    gathered = [(payload, n) for kind, payload, n in sent if kind == "all-gather"]
    assert {kind for kind, _, _ in sent} <= {"all-gather", "all-reduce"}
    assert {payload for payload, _ in gathered} <= sizes
    # The critic is gathered again after its update, for the generator's.
    most = sum(gradients.values()) + gradients.get("critic", 0)
    assert 0.5 * most < sum(payload * n for payload, n in gathered) <= most
    assert sum(payload * n for kind, payload, n in sent if kind == "all-reduce") < sum(gradients.values()) + 4096
